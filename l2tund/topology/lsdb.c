/*
 * What the nodes have told. The database believes nothing but versions: the newest counts, in
 * whatever order things arrive. Limits: TOPO_NODES_MAX nodes, for each one link state of
 * LSA_BYTES_MAX and one that is arriving. What no live edge joins with us is kept while
 * there is room: its probe keys are wanted, and it may come back.
 */
#include "l2tund/topology/lsdb.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/mutant.h"

#define DIGESTED_BYTES (TOPO_NODE_ID_BYTES + 12 + DIGEST_BYTES) /* of each node */

static int sha256(const uint8_t *bytes, size_t len, uint8_t ret[DIGEST_BYTES])
{
	return EVP_Digest(bytes, len, ret, NULL, EVP_sha256(), NULL) ? 0 : -EIO;
}

static void node_fini(struct lsdb_node *n)
{
	lsa_fini(&n->lsa);
	free(n->body);
	free(n->stage.bytes);
	memset(n, 0, sizeof(*n));
}

void lsdb_init(struct lsdb *db, const uint8_t self[TOPO_NODE_ID_BYTES])
{
	memset(db, 0, sizeof(*db));
	memset(db->index, LSDB_NONE, sizeof(db->index));
	db->self = LSDB_NONE;
	db->self = lsdb_get(db, self);
}

void lsdb_fini(struct lsdb *db)
{
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++)
		node_fini(&db->node[i]);
}

/* slots: ids are hashes already, so their first byte spreads them */

static uint8_t *index_at(struct lsdb *db, const uint8_t id[TOPO_NODE_ID_BYTES])
{
	unsigned i = id[0];

	while (db->index[i] != LSDB_NONE &&
	       memcmp(db->node[db->index[i]].id, id, TOPO_NODE_ID_BYTES) != 0)
		i = (i + 1) % LSDB_INDEX;
	return &db->index[i];
}

static void index_rebuild(struct lsdb *db)
{
	memset(db->index, LSDB_NONE, sizeof(db->index));
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		if (db->node[i].used)
			*index_at(db, db->node[i].id) = (uint8_t)i;
	}
}

unsigned lsdb_find(const struct lsdb *db, const uint8_t id[TOPO_NODE_ID_BYTES])
{
	return *index_at((struct lsdb *)db, id);
}

/* A free slot, or the one of the node that nobody has listed for the longest time. */
static unsigned find_room(const struct lsdb *db)
{
	unsigned best = LSDB_NONE;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &db->node[i];

		if (!n->used)
			return i;
		if (i != db->self && !n->member && !n->listed &&
		    (best == LSDB_NONE || n->stamp < db->node[best].stamp))
			best = i;
	}
	return best;
}

unsigned lsdb_get(struct lsdb *db, const uint8_t id[TOPO_NODE_ID_BYTES])
{
	unsigned slot = lsdb_find(db, id);
	struct lsdb_node *n;

	if (slot != LSDB_NONE)
		return slot;
	slot = find_room(db);
	if (slot == LSDB_NONE)
		return LSDB_NONE;
	n = &db->node[slot];
	node_fini(n);
	n->used = true;
	n->tenant = ++db->tenants;
	n->stamp = db->stamp;
	memcpy(n->id, id, TOPO_NODE_ID_BYTES);
	index_rebuild(db);
	return slot;
}

/* what is told */

static void stage_end(struct lsdb_stage *st)
{
	free(st->bytes);
	*st = (struct lsdb_stage){ .bytes = NULL };
}

int lsdb_set_lsa(struct lsdb *db, unsigned slot, struct version v, const uint8_t *body, size_t len)
{
	struct lsdb_node *n = &db->node[slot];
	uint8_t hash[DIGEST_BYTES];
	struct lsa lsa;

	if (len > LSA_BYTES_MAX)
		return -EBADMSG;
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		return -ENOMEM;
	int r = lsa_parse(body, len, &lsa);
	if (r == 0 && sha256(body, len, hash) < 0) {
		lsa_fini(&lsa);
		r = -EIO;
	}
	if (r < 0) {
		free(copy);
		return r;
	}
	memcpy(copy, body, len);
	if (n->stage.bytes && version_compare(n->stage.version, v) < 0)
		stage_end(&n->stage);
	lsa_fini(&n->lsa);
	free(n->body);
	n->lsa = lsa;
	n->body = copy;
	n->len = len;
	memcpy(n->hash, hash, sizeof(n->hash));
	n->version = v;
	return 0;
}

static int stage_begin(struct lsdb_stage *st, struct version v, unsigned pages, size_t page_bytes)
{
	uint8_t *bytes = realloc(st->bytes, pages * page_bytes);

	if (!bytes)
		return -ENOMEM;
	*st = (struct lsdb_stage){ .version = v, .pages = (uint8_t)pages, .bytes = bytes };
	return 0;
}

int lsdb_add_page(struct lsdb *db, unsigned slot, struct version v, unsigned page, unsigned pages,
		  size_t page_bytes, const uint8_t *bytes, size_t len)
{
	struct lsdb_node *n = &db->node[slot];
	struct lsdb_stage *st = &n->stage;
	int r;

	if (pages == 0 || pages > 32 || page >= pages || len > page_bytes ||
	    (page + 1 < pages && len != page_bytes))
		return -EBADMSG;
	if (version_compare(v, n->version) <= 0 || version_compare(v, st->version) < 0)
		return 0;
	if (pages == 1) {
		r = lsdb_set_lsa(db, slot, v, bytes, len);
		return r < 0 ? r : 1;
	}
	if (version_compare(v, st->version) > 0 || st->pages != pages) {
		r = stage_begin(st, v, pages, page_bytes);
		if (r < 0)
			return r;
	}
	memcpy(st->bytes + page * page_bytes, bytes, len);
	st->have |= UINT32_C(1) << page;
	if (page + 1 == pages)
		st->last_len = (uint16_t)len;
	if (st->have != UINT32_MAX >> (32 - pages))
		return 0;
	r = lsdb_set_lsa(db, slot, v, st->bytes, (pages - 1) * page_bytes + st->last_len);
	stage_end(st);
	return r < 0 ? r : 1;
}

static void take_key(struct lsdb_node *n, const uint8_t key[TOPO_KEY_BYTES])
{
	if (n->n_keys && memcmp(n->keys[0], key, TOPO_KEY_BYTES) == 0)
		return;
	memmove(n->keys[1], n->keys[0], sizeof(n->keys) - sizeof(n->keys[0]));
	memcpy(n->keys[0], key, TOPO_KEY_BYTES);
	n->n_keys = MIN(n->n_keys + 1, (unsigned)TOPO_KEYS);
}

void lsdb_set_sync(struct lsdb *db, unsigned slot, const struct sync *s)
{
	struct lsdb_node *n = &db->node[slot];

	n->sync = *s;
	take_key(n, s->key);
}

/* members and digest */

/* The slot of the other end's node when the edge is live, or LSDB_NONE. */
static unsigned live_neighbour(const struct lsdb *db, const struct lsdb_node *n,
			       const struct lsa_edge *e)
{
	unsigned far = lsdb_find(db, e->far.node);

	if (far == LSDB_NONE || !lsa_find_mirror(&db->node[far].lsa, n->id, e))
		return LSDB_NONE;
	return far;
}

static void settle_members(struct lsdb *db)
{
	unsigned queue[TOPO_NODES_MAX], n = 0;
	bool was[TOPO_NODES_MAX];

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		was[i] = db->node[i].member;
		db->node[i].member = false;
	}
	db->node[db->self].member = true;
	queue[n++] = db->self;
	for (unsigned i = 0; i < n; i++) {
		const struct lsdb_node *x = &db->node[queue[i]];

		for (unsigned k = 0; k < x->lsa.n_edges; k++) {
			unsigned far = live_neighbour(db, x, &x->lsa.edges[k]);

			if (far == LSDB_NONE || db->node[far].member)
				continue;
			db->node[far].member = true;
			queue[n++] = far;
		}
	}
	db->n_members = n;
	db->stamp++;
	for (unsigned i = 0; i < n; i++) {
		db->node[queue[i]].stamp = db->stamp;
		db->joined += !was[queue[i]];
	}
}

static void list_node(struct lsdb *db, const uint8_t id[TOPO_NODE_ID_BYTES], bool make)
{
	unsigned slot = make ? lsdb_get(db, id) : lsdb_find(db, id);

	if (slot == LSDB_NONE) {
		db->overflow |= make;
		return;
	}
	db->node[slot].listed = true;
	db->node[slot].stamp = db->stamp;
}

/*
 * Nodes that members list have a slot, so that others can be asked for them. Those that are known
 * are found first, so that none of them makes room for another one.
 */
static void settle_listed(struct lsdb *db)
{
	db->overflow = false;
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++)
		db->node[i].listed = false;
	for (int make = 0; make <= 1; make++) {
		for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
			const struct lsdb_node *x = &db->node[i];

			for (unsigned k = 0; x->member && k < x->lsa.n_edges; k++)
				list_node(db, x->lsa.edges[k].far.node, make);
		}
	}
}

static int by_id(const void *a, const void *b)
{
	const struct lsdb_node *const *x = a, *const *y = b;

	return memcmp((*x)->id, (*y)->id, TOPO_NODE_ID_BYTES);
}

/*
 * Versions would be enough if nobody ever told two things under one. The hashes make equal digests
 * mean equal trees even then: who was told something else disagrees, and stays closed.
 */
static int digest_of(const struct lsdb_node **nodes, unsigned n, uint8_t ret[DIGEST_BYTES])
{
	uint8_t bytes[TOPO_NODES_MAX * DIGESTED_BYTES] = { 0 }, *p = bytes;

	for (unsigned i = 0; i < n; i++, p += DIGESTED_BYTES) {
		memcpy(p, nodes[i]->id, TOPO_NODE_ID_BYTES);
		put_le32(p + 16, nodes[i]->version.seq);
		if (mutant(MUTANT_NO_INCARNATION))
			continue; /* generations in the hash would tell lives apart, too */
		put_le64(p + 8, nodes[i]->version.incarnation);
		memcpy(p + 20, nodes[i]->hash, DIGEST_BYTES);
	}
	return sha256(bytes, (size_t)(p - bytes), ret);
}

int lsdb_settle(struct lsdb *db)
{
	const struct lsdb_node *nodes[TOPO_NODES_MAX];
	unsigned n = 0;

	settle_members(db);
	settle_listed(db);
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		if (db->node[i].member || db->node[i].listed)
			nodes[n++] = &db->node[i];
	}
	qsort(nodes, n, sizeof(nodes[0]), by_id);
	return digest_of(nodes, n, db->digest);
}
