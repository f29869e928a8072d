/*
 * Changed chunks in a hash table by their number, open addressing, never more than half full. A
 * chunk holds all of its bytes: the first write to one reads it. The last chunk of a disk may be
 * short.
 */
#include "bridgectl/fixup/overlay.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/sort.h"
#include "common/io.h"
#include "common/util.h"

#define CHUNKS_MAX (OVERLAY_MAX / OVERLAY_CHUNK)
#define SLOTS_FIRST 256U

struct chunk {
	uint64_t number; /* + 1; 0: free */
	unsigned char *bytes;
};

struct overlay {
	int fd;
	uint64_t start, bytes;
	struct chunk *slots;
	size_t n_slots, n; /* n_slots is a power of two */
};

struct overlay *overlay_new(int fd, uint64_t start, uint64_t bytes)
{
	struct overlay *o = mem_new(sizeof(*o));

	o->fd = fd;
	o->start = start;
	o->bytes = bytes;
	o->n_slots = SLOTS_FIRST;
	o->slots = mem_new(o->n_slots * sizeof(*o->slots));
	return o;
}

void overlay_free(struct overlay *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n_slots; i++)
		free(o->slots[i].bytes);
	free(o->slots);
	free(o);
}

uint64_t overlay_bytes(const struct overlay *o)
{
	return o->bytes;
}

/* Where chunk `number` is, or the free slot where it would be. */
static struct chunk *slot_of(const struct overlay *o, uint64_t number)
{
	uint64_t mask = o->n_slots - 1, i = (number * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & mask;

	while (o->slots[i].number && o->slots[i].number != number + 1)
		i = (i + 1) & mask;
	return &o->slots[i];
}

static void grow(struct overlay *o)
{
	struct overlay larger = *o;

	larger.n_slots *= 2;
	larger.slots = mem_new(larger.n_slots * sizeof(*larger.slots));
	for (size_t i = 0; i < o->n_slots; i++)
		if (o->slots[i].number)
			*slot_of(&larger, o->slots[i].number - 1) = o->slots[i];
	free(o->slots);
	*o = larger;
}

/* From the disk itself. What lies behind the end of a short file is an error, not zeros. */
static int read_below(const struct overlay *o, uint64_t offset, unsigned char *buf, size_t len)
{
	return io_pread_all(o->fd, buf, len, o->start + offset);
}

static bool inside(const struct overlay *o, uint64_t offset, size_t len)
{
	return len <= o->bytes && offset <= o->bytes - len;
}

static size_t chunk_len(const struct overlay *o, uint64_t number)
{
	return (size_t)MIN((uint64_t)OVERLAY_CHUNK, o->bytes - number * OVERLAY_CHUNK);
}

int overlay_read(struct overlay *o, uint64_t offset, void *buf, size_t len)
{
	unsigned char *to = buf;
	int r;

	if (!inside(o, offset, len))
		return -ERANGE;
	r = read_below(o, offset, to, len);
	while (r == 0 && len && o->n) {
		uint64_t number = offset / OVERLAY_CHUNK;
		size_t at = offset % OVERLAY_CHUNK, n = MIN(len, OVERLAY_CHUNK - at);
		const struct chunk *c = slot_of(o, number);

		if (c->number)
			memcpy(to, c->bytes + at, n);
		to += n;
		offset += n;
		len -= n;
	}
	return r;
}

/* The chunk to be written into, with what was there. */
static int touch(struct overlay *o, uint64_t number, struct chunk **ret)
{
	struct chunk *c = slot_of(o, number);
	int r;

	if (!c->number) {
		if (o->n == CHUNKS_MAX)
			return -ENOSPC;
		if ((o->n + 1) * 2 > o->n_slots) {
			grow(o);
			c = slot_of(o, number);
		}
		c->bytes = mem_new(OVERLAY_CHUNK);
		r = read_below(o, number * OVERLAY_CHUNK, c->bytes, chunk_len(o, number));
		if (r < 0) {
			free(c->bytes);
			c->bytes = NULL;
			return r;
		}
		c->number = number + 1;
		o->n++;
	}
	*ret = c;
	return 0;
}

int overlay_write(struct overlay *o, uint64_t offset, const void *buf, size_t len)
{
	const unsigned char *from = buf;

	if (!inside(o, offset, len))
		return -ERANGE;
	while (len) {
		size_t at = offset % OVERLAY_CHUNK, n = MIN(len, OVERLAY_CHUNK - at);
		struct chunk *c;
		int r = touch(o, offset / OVERLAY_CHUNK, &c);

		if (r < 0)
			return r;
		memcpy(c->bytes + at, from, n);
		from += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct chunk *x = *(const struct chunk *const *)a;
	const struct chunk *y = *(const struct chunk *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

/* The changed chunks in order; their number is in *ret_n. */
static const struct chunk **sorted(const struct overlay *o, size_t *ret_n)
{
	const struct chunk **v = mem_new((o->n + 1) * sizeof(*v));
	unsigned char old[OVERLAY_CHUNK];
	size_t n = 0;

	for (size_t i = 0; i < o->n_slots; i++) {
		const struct chunk *c = &o->slots[i];
		size_t len;

		if (!c->number)
			continue;
		len = chunk_len(o, c->number - 1);
		if (read_below(o, (c->number - 1) * OVERLAY_CHUNK, old, len) < 0 ||
		    memcmp(old, c->bytes, len) != 0)
			v[n++] = c;
	}
	sort(v, n, sizeof(*v), by_number);
	*ret_n = n;
	return v;
}

int overlay_each(struct overlay *o, overlay_fn fn, void *arg)
{
	_cleanup_free_ unsigned char *run = mem_must(malloc(OVERLAY_RUN_MAX));
	_cleanup_free_ const struct chunk **v = NULL;
	size_t n, len = 0;
	int r = 0;

	v = sorted(o, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		uint64_t number = v[i]->number - 1;
		size_t more = chunk_len(o, number);

		memcpy(run + len, v[i]->bytes, more);
		len += more;
		if (i + 1 < n && v[i + 1]->number == v[i]->number + 1 &&
		    len + OVERLAY_CHUNK <= OVERLAY_RUN_MAX)
			continue;
		r = fn(arg, o->start + number * OVERLAY_CHUNK + more - len, run, len);
		len = 0;
	}
	return r;
}
