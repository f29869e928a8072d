/*
 * The reassembly table. Frames under way stand in a list, oldest first; since all have the same
 * time to live, the oldest is also the next to time out and the first to go when room is short.
 *
 * Their bytes live in one arena of equal units, taken from the low end first: a stream
 * that loses nothing uses the same few pages again and again, whatever the arena's size.
 * Which bytes of a frame came is a sorted list of spans that neither overlap nor touch.
 *
 * A message number is handed out once: when its frame is done with, for whatever
 * reason, a bit remembers that, so that late copies of its chunks cannot begin it again.
 */
#include "l2tund/datapath/reasm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

#define UNIT_BYTES 2048 /* one 1500-byte frame with its headers */
#define UNITS (REASM_BYTES / UNIT_BYTES)
#define SPANS (REASM_CHUNKS_MAX / 2) /* chunks that all have holes between them */

struct span {
	uint32_t start, end;
};

struct entry {
	struct entry *newer; /* next in the list, or next unused */
	uint32_t message;
	uint32_t total;
	uint32_t received;
	uint16_t segment;
	uint16_t unit; /* first of its run in the arena */
	struct vnet vnet;
	uint64_t deadline_us;
	unsigned n_spans;
	struct span spans[SPANS];
};

struct reasm_store {
	struct entry *oldest;
	struct entry *unused;
	bool unit_used[UNITS];
	struct entry entries[REASM_ENTRIES];
	uint8_t arena[REASM_BYTES];
};

static unsigned units_for(uint32_t bytes)
{
	return (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
}

/* First run of `n` unused units, or -1. */
static int units_find(const struct reasm_store *s, unsigned n)
{
	unsigned run = 0;

	for (unsigned i = 0; i < UNITS; i++) {
		run = s->unit_used[i] ? 0 : run + 1;
		if (run == n)
			return (int)(i + 1 - n);
	}
	return -1;
}

static struct reasm_store *store_get(struct reasm *r)
{
	if (r->store)
		return r->store;

	struct reasm_store *s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	/* The arena stays untouched: pages that are never used are never there. */
	memset(s, 0, offsetof(struct reasm_store, arena));
	for (unsigned i = REASM_ENTRIES; i > 0; i--) {
		s->entries[i - 1].newer = s->unused;
		s->unused = &s->entries[i - 1];
	}
	r->store = s;
	return s;
}

/* ---- which messages are done with ---- */

static uint64_t *window_word(struct reasm *r, uint32_t message)
{
	return &r->done[message % REASM_WINDOW / 64];
}

static uint64_t window_bit(uint32_t message)
{
	return UINT64_C(1) << (message % 64);
}

/* Whether `message` may begin now; moves the window up to it when it is new. */
static bool window_admit(struct reasm *r, uint32_t message)
{
	uint32_t ahead = message - r->newest;

	if (!r->window_set) {
		memset(r->done, 0, sizeof(r->done));
		r->window_set = true;
		r->newest = message;
		return true;
	}
	if (ahead > INT32_MAX) { /* behind; serial number arithmetic as in RFC 1982 */
		if (-ahead >= REASM_WINDOW)
			return false;
		return !(*window_word(r, message) & window_bit(message));
	}
	if (ahead == 0)
		return !(*window_word(r, message) & window_bit(message));
	if (ahead >= REASM_WINDOW)
		memset(r->done, 0, sizeof(r->done));
	else
		for (uint32_t m = message; m != r->newest; m--)
			*window_word(r, m) &= ~window_bit(m);
	r->newest = message;
	return true;
}

static void window_done(struct reasm *r, uint32_t message)
{
	if (r->newest - message < REASM_WINDOW)
		*window_word(r, message) |= window_bit(message);
}

/* ---- entries ---- */

static struct entry *entry_find(const struct reasm_store *s, uint32_t message)
{
	struct entry *e = s->oldest;

	while (e && e->message != message)
		e = e->newer;
	return e;
}

/* The frame is done with, complete or not. Its bytes stay readable until units are taken again. */
static void entry_release(struct reasm *r, struct entry *e)
{
	struct reasm_store *s = r->store;
	struct entry **p = &s->oldest;

	while (*p != e)
		p = &(*p)->newer;
	*p = e->newer;
	memset(s->unit_used + e->unit, false, units_for(e->total));
	window_done(r, e->message);
	e->newer = s->unused;
	s->unused = e;
}

static struct entry *entry_begin(struct reasm *r, const struct reasm_chunk *c, uint64_t now_us)
{
	struct reasm_store *s = r->store;
	unsigned n = units_for(c->total);
	int unit;

	/* Ends: an empty table has entries and units for any frame. */
	while ((unit = units_find(s, n)) < 0 || !s->unused) {
		entry_release(r, s->oldest);
		r->counters.lost_full++;
	}
	memset(s->unit_used + unit, true, n);

	struct entry *e = s->unused;
	s->unused = e->newer;
	e->newer = NULL;
	e->message = c->message;
	e->total = c->total;
	e->received = 0;
	e->segment = c->segment;
	e->unit = (uint16_t)unit;
	e->vnet = c->vnet;
	e->deadline_us = now_us + REASM_TIMEOUT_US;
	e->n_spans = 0;

	struct entry **p = &s->oldest;
	while (*p)
		p = &(*p)->newer;
	*p = e;
	return e;
}

static bool vnet_equal(const struct vnet *a, const struct vnet *b)
{
	return a->csum == b->csum && a->csum_start == b->csum_start &&
	       a->csum_offset == b->csum_offset && a->gso == b->gso && a->ecn == b->ecn &&
	       a->gso_size == b->gso_size;
}

static bool entry_fits(const struct entry *e, const struct reasm_chunk *c)
{
	return e->segment == c->segment && e->total == c->total && vnet_equal(&e->vnet, &c->vnet);
}

/* ---- spans ---- */

enum { SPAN_NEW, SPAN_KNOWN, SPAN_CONFLICT };

static void span_insert(struct entry *e, unsigned at, struct span n)
{
	memmove(e->spans + at + 1, e->spans + at, (e->n_spans - at) * sizeof(n));
	e->spans[at] = n;
	e->n_spans++;
}

static void span_remove(struct entry *e, unsigned at)
{
	e->n_spans--;
	memmove(e->spans + at, e->spans + at + 1, (e->n_spans - at) * sizeof(e->spans[0]));
}

/*
 * Enters the span n. Known: all of it was there, the caller compares the
 * bytes. Conflict: it overlaps others in part, or there are too many holes.
 */
static int span_add(struct entry *e, struct span n)
{
	unsigned i = 0;

	while (i < e->n_spans && e->spans[i].end < n.start)
		i++;
	if (i < e->n_spans && e->spans[i].start <= n.start && n.end <= e->spans[i].end)
		return SPAN_KNOWN;

	bool join_left = i < e->n_spans && e->spans[i].end == n.start;
	unsigned right = join_left ? i + 1 : i;
	if (right < e->n_spans && e->spans[right].start < n.end)
		return SPAN_CONFLICT;
	bool join_right = right < e->n_spans && e->spans[right].start == n.end;

	if (join_left && join_right) {
		e->spans[i].end = e->spans[right].end;
		span_remove(e, right);
	} else if (join_left) {
		e->spans[i].end = n.end;
	} else if (join_right) {
		e->spans[right].start = n.start;
	} else if (e->n_spans == SPANS) {
		return SPAN_CONFLICT;
	} else {
		span_insert(e, i, n);
	}
	return SPAN_NEW;
}

/* ---- the table ---- */

/* 1 when the frame is complete, 0 when more is needed, -EPROTO on contradiction. */
static int entry_take(struct reasm *r, struct entry *e, const struct reasm_chunk *c)
{
	uint8_t *bytes = r->store->arena + (size_t)e->unit * UNIT_BYTES;

	if (!entry_fits(e, c))
		return -EPROTO;
	switch (span_add(e, (struct span){ c->offset, c->offset + (uint32_t)c->len })) {
	case SPAN_KNOWN:
		if (memcmp(bytes + c->offset, c->bytes, c->len) != 0)
			return -EPROTO;
		r->counters.duplicate++;
		return 0;
	case SPAN_CONFLICT:
		return -EPROTO;
	}
	memcpy(bytes + c->offset, c->bytes, c->len);
	e->received += (uint32_t)c->len;
	return e->received == e->total;
}

static bool chunk_in_bounds(const struct reasm_chunk *c)
{
	return c->len > 0 && c->total <= REASM_BYTES && c->offset < c->total &&
	       c->len <= c->total - c->offset;
}

int reasm_add(struct reasm *r, const struct reasm_chunk *c, uint64_t now_us,
	      struct reasm_frame *ret)
{
	if (!chunk_in_bounds(c))
		return -EBADMSG;
	reasm_tick(r, now_us);

	struct reasm_store *s = store_get(r);
	if (!s) {
		r->counters.lost_full++;
		return -ENOMEM;
	}
	struct entry *e = entry_find(s, c->message);
	if (!e) {
		if (!window_admit(r, c->message)) {
			r->counters.late++;
			return 0;
		}
		e = entry_begin(r, c, now_us);
	}
	r->last_us = now_us;

	int done = entry_take(r, e, c);
	if (done == 0)
		return 0;
	if (done < 0)
		r->counters.lost_conflict++;
	else
		*ret = (struct reasm_frame){ e->segment, e->vnet,
					     s->arena + (size_t)e->unit * UNIT_BYTES, e->total };
	entry_release(r, e);
	return done;
}

void reasm_tick(struct reasm *r, uint64_t now_us)
{
	struct reasm_store *s = r->store;

	if (!s)
		return;
	while (s->oldest && now_us >= s->oldest->deadline_us) {
		entry_release(r, s->oldest);
		r->counters.lost_timeout++;
	}
	if (now_us < r->last_us + REASM_IDLE_US)
		return;
	/*
	 * Nothing is under way after this long. Message numbers are forgotten too: old datagrams
	 * are the session's to refuse, and a peer whose count was lost must not stay shut out.
	 */
	free(s);
	r->store = NULL;
	r->window_set = false;
}

void reasm_reset(struct reasm *r)
{
	while (r->store && r->store->oldest) {
		entry_release(r, r->store->oldest);
		r->counters.lost_reset++;
	}
	free(r->store);
	r->store = NULL;
	r->window_set = false;
}

void reasm_fini(struct reasm *r)
{
	free(r->store);
	r->store = NULL;
}

uint64_t reasm_lost(const struct reasm *r)
{
	const struct reasm_counters *c = &r->counters;

	return c->lost_timeout + c->lost_full + c->lost_conflict + c->lost_reset;
}
