/*
 * A chained hash table. All VLANs of an address share its bucket, because a frame alone does not
 * tell in which of them the bridge looks it up. Entries stand in one array and refer to each
 * other by index, so that growing moves them freely; array and buckets have the same size.
 */
#include "l2tund/topology/fdb.h"

#include <string.h>

#include "common/util.h"

#define FDB_LEAST 64

_Static_assert((FDB_MAX & (FDB_MAX - 1)) == 0, "a mask picks the bucket");

void fdb_init(struct fdb *f, uint64_t seed)
{
	*f = (struct fdb){ .seed = seed };
}

void fdb_clear(struct fdb *f)
{
	free(f->entries);
	free(f->buckets);
	*f = (struct fdb){ .seed = f->seed };
}

void fdb_fini(struct fdb *f)
{
	fdb_clear(f);
}

/* Murmur's finalizer (Appleby, public domain), twice, with half of the seed before each. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static uint32_t *bucket_of(const struct fdb *f, const uint8_t mac[6])
{
	uint64_t x = get_le32(mac) | (uint64_t)get_le16(mac + 4) << 32;

	x = mix(mix(x ^ f->seed) ^ (f->seed >> 32 | f->seed << 32));
	return &f->buckets[x & (f->size - 1)];
}

static bool entry_is(const struct fdb_entry *e, const uint8_t mac[6])
{
	return memcmp(e->mac, mac, sizeof(e->mac)) == 0;
}

/* The link that leads to the entry, or to where it would be added; the table is not empty. */
static uint32_t *find(const struct fdb *f, const uint8_t mac[6], uint16_t vlan)
{
	uint32_t *at = bucket_of(f, mac);

	while (*at) {
		struct fdb_entry *e = &f->entries[*at - 1];

		if (e->vlan == vlan && entry_is(e, mac))
			break;
		at = &e->next;
	}
	return at;
}

static void free_add(struct fdb *f, uint32_t i)
{
	f->entries[i] = (struct fdb_entry){ .next = f->free };
	f->free = i + 1;
}

static void rehash(struct fdb *f)
{
	for (unsigned i = 0; i < f->size; i++) {
		struct fdb_entry *e = &f->entries[i];
		uint32_t *bucket;

		if (!e->used)
			continue;
		bucket = bucket_of(f, e->mac);
		e->next = *bucket;
		*bucket = i + 1;
	}
}

static bool grow(struct fdb *f)
{
	unsigned size = f->size ? f->size * 2 : FDB_LEAST;
	struct fdb_entry *entries;
	uint32_t *buckets;

	if (size > FDB_MAX)
		return false;
	buckets = calloc(size, sizeof(*buckets));
	entries = buckets ? reallocarray(f->entries, size, sizeof(*entries)) : NULL;
	if (!entries) {
		free(buckets);
		return false;
	}
	free(f->buckets);
	f->buckets = buckets;
	f->entries = entries;
	for (unsigned i = size; i > f->size; i--)
		free_add(f, i - 1);
	f->size = size;
	rehash(f);
	return true;
}

static enum fdb_change update(struct fdb *f, struct fdb_entry *e, int port, bool local,
			      int *ret_from)
{
	bool moved = e->port != port && !e->local && !local;

	if (moved)
		*ret_from = e->port;
	e->port = port;
	e->local = local;
	e->round = f->round;
	return moved ? FDB_MOVED : FDB_REFRESHED;
}

enum fdb_change fdb_put(struct fdb *f, const uint8_t mac[6], uint16_t vlan, int port, bool local,
			int *ret_from)
{
	uint32_t *at = f->size ? find(f, mac, vlan) : NULL;
	struct fdb_entry *e;

	if (at && *at)
		return update(f, &f->entries[*at - 1], port, local, ret_from);
	if (!f->free && !grow(f))
		return FDB_FULL;
	at = bucket_of(f, mac); /* growing has moved it */
	uint32_t i = f->free;
	e = &f->entries[i - 1];
	f->free = e->next;
	*e = (struct fdb_entry){ .vlan = vlan,
				 .port = port,
				 .next = *at,
				 .used = true,
				 .local = local,
				 .round = f->round };
	memcpy(e->mac, mac, sizeof(e->mac));
	*at = i;
	f->n++;
	return FDB_LEARNT;
}

static void unlink_at(struct fdb *f, uint32_t *at)
{
	uint32_t i = *at - 1;

	*at = f->entries[i].next;
	free_add(f, i);
	f->n--;
}

enum fdb_change fdb_drop(struct fdb *f, const uint8_t mac[6], uint16_t vlan)
{
	uint32_t *at = f->size ? find(f, mac, vlan) : NULL;

	if (!at || !*at)
		return FDB_NONE;
	unlink_at(f, at);
	return FDB_GONE;
}

void fdb_begin(struct fdb *f)
{
	f->round = !f->round;
}

void fdb_end(struct fdb *f)
{
	for (unsigned i = 0; i < f->size; i++) {
		uint32_t *at = &f->buckets[i];

		while (*at) {
			struct fdb_entry *e = &f->entries[*at - 1];

			if (e->round == f->round)
				at = &e->next;
			else
				unlink_at(f, at);
		}
	}
}

bool fdb_knows(const struct fdb *f, const uint8_t mac[6], int port)
{
	const struct fdb_entry *e;

	if (!f->size)
		return false;
	for (uint32_t i = *bucket_of(f, mac); i; i = e->next) {
		e = &f->entries[i - 1];
		if (entry_is(e, mac) && (!port || e->port == port))
			return true;
	}
	return false;
}
