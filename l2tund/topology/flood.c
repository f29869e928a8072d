/*
 * One rule moves everything: for each neighbour and each node we remember what the neighbour has,
 * and send what is newer. It has what it sent to us and what its HAVE says; a HAVE
 * that says less than we believed is believed, too, so a wrong belief mends itself.
 *
 * What has changed leaves in batches, PACE_US apart: of a burst of changes only the last
 * is sent. Repetition slows down to once a second; a neighbour that is gone costs nothing, its
 * session ends.
 */
#include "l2tund/topology/flood.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

#define PACE_US (10 * US_PER_MS)
#define BATCH_MESSAGES 32 /* to one neighbour at a time */
#define RETRY_US (60 * US_PER_MS)
#define RETRY_MAX_US US_PER_S

struct topo_adj *flood_add(struct flood *f, struct topo *t, void *user)
{
	struct topo_adj *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->topo = t;
	a->user = user;
	a->due_us = NEVER;
	TAILQ_INSERT_TAIL(&f->adjs, a, link);
	return a;
}

void flood_remove(struct flood *f, struct topo_adj *a)
{
	TAILQ_REMOVE(&f->adjs, a, link);
	free(a);
}

void flood_up(struct flood *f, struct topo_adj *a, const uint8_t far[TOPO_NODE_ID_BYTES],
	      uint64_t generation, uint32_t rtt_us)
{
	a->rtt_us = rtt_us;
	if (a->up && a->generation == generation)
		return;
	/* Another establishment, perhaps with another start of that node: it has nothing. */
	memset(a->known, 0, sizeof(a->known));
	memcpy(a->far, far, sizeof(a->far));
	a->generation = generation;
	a->up = true;
	a->due_us = 0;
	f->due_us = 0;
}

void flood_down(struct topo_adj *a)
{
	a->up = false;
	a->due_us = NEVER;
}

void flood_wake(struct flood *f)
{
	struct topo_adj *a;

	TAILQ_FOREACH(a, &f->adjs, link) {
		if (a->up)
			a->due_us = 0;
	}
	f->due_us = 0;
}

static struct flood_known *known_of(struct flood *f, struct topo_adj *a, unsigned slot)
{
	struct flood_known *k = &a->known[slot];

	if (k->tenant != f->db->node[slot].tenant)
		*k = (struct flood_known){ .tenant = f->db->node[slot].tenant };
	return k;
}

void flood_tell_all(struct flood *f)
{
	struct topo_adj *a;

	TAILQ_FOREACH(a, &f->adjs, link) {
		for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
			if (f->db->node[i].used)
				known_of(f, a, i)->owed = true;
		}
	}
	flood_wake(f);
}

/* out */

static void send_msg(struct flood *f, struct topo_adj *a, const struct msg *m)
{
	uint8_t buf[TOPO_MSG_MAX];
	size_t len = msg_build(m, buf);

	f->counters.messages++;
	f->counters.bytes += len;
	f->send(f->arg, a, buf, len);
}

static uint64_t retry_after_us(const struct topo_adj *a, unsigned tries)
{
	uint64_t first_us = RETRY_US + 2 * (uint64_t)a->rtt_us;

	return MIN(first_us << MIN(tries, 8u), RETRY_MAX_US);
}

/* The neighbour has a tunnel with that node, so a session, and hears it without us. */
static bool hears_itself(const struct topo_adj *a, const struct lsdb_node *n)
{
	for (unsigned i = 0; i < n->lsa.n_edges; i++) {
		if (memcmp(n->lsa.edges[i].far.node, a->far, sizeof(a->far)) == 0)
			return true;
	}
	return false;
}

/*
 * Whether the neighbour is to get this item of a node, now; if not, *next_us says when. What it
 * should hear itself, it is only told that we have: in a full mesh everything would else
 * be sent by everybody to everybody.
 */
static bool item_due(struct flood *f, struct topo_adj *a, struct flood_item *it,
		     const struct lsdb_node *n, struct version v, uint64_t now_us,
		     uint64_t *next_us)
{
	unsigned slot = (unsigned)(n - f->db->node);

	if (version_compare(v, it->has) <= 0)
		return false;
	bool again = version_compare(v, it->sent) == 0;
	if (again && now_us < it->retry_us) {
		*next_us = MIN(*next_us, it->retry_us);
		return false;
	}
	f->counters.repeated += again;
	it->tries = again ? (uint8_t)MIN(it->tries + 1, 200) : 0;
	it->sent = v;
	it->retry_us = now_us + retry_after_us(a, it->tries);
	*next_us = MIN(*next_us, it->retry_us);
	if (again || slot == f->db->self || !hears_itself(a, n))
		return true;
	a->known[slot].owed = true;
	return false;
}

static unsigned send_lsa(struct flood *f, struct topo_adj *a, const struct lsdb_node *n)
{
	unsigned pages = n->len ? (unsigned)((n->len + MSG_PAGE_BYTES - 1) / MSG_PAGE_BYTES) : 1;
	struct msg m = { .kind = MSG_LSA };

	memcpy(m.page.node, n->id, sizeof(m.page.node));
	m.page.version = n->version;
	m.page.pages = (uint8_t)pages;
	for (unsigned i = 0; i < pages; i++) {
		m.page.page = (uint8_t)i;
		m.page.bytes = n->body + i * MSG_PAGE_BYTES;
		m.page.len = MIN(n->len - i * MSG_PAGE_BYTES, (size_t)MSG_PAGE_BYTES);
		send_msg(f, a, &m);
	}
	return pages;
}

/* Newer link states; gives false when there is more than one batch may have. */
static bool send_lsas(struct flood *f, struct topo_adj *a, uint64_t now_us, uint64_t *next_us)
{
	unsigned sent = 0;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &f->db->node[i];

		if (!n->used || !n->body)
			continue;
		if (sent >= BATCH_MESSAGES)
			return false;
		if (item_due(f, a, &known_of(f, a, i)->lsa, n, n->version, now_us, next_us))
			sent += send_lsa(f, a, n);
	}
	return true;
}

static void send_syncs(struct flood *f, struct topo_adj *a, uint64_t now_us, uint64_t *next_us)
{
	struct msg m = { .kind = MSG_SYNC };

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &f->db->node[i];

		if (!n->used ||
		    !item_due(f, a, &known_of(f, a, i)->sync, n, n->sync.version, now_us, next_us))
			continue;
		memcpy(m.syncs[m.n].node, n->id, sizeof(m.syncs[m.n].node));
		m.syncs[m.n++].sync = n->sync;
		if (m.n == MSG_SYNCS) {
			send_msg(f, a, &m);
			m.n = 0;
		}
	}
	if (m.n)
		send_msg(f, a, &m);
}

static struct version newest(struct version a, struct version b)
{
	return version_compare(a, b) < 0 ? b : a;
}

static void send_haves(struct flood *f, struct topo_adj *a)
{
	struct msg m = { .kind = MSG_HAVE };

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &f->db->node[i];
		bool self = i == f->db->self;

		if (!n->used || !known_of(f, a, i)->owed)
			continue;
		a->known[i].owed = false;
		memcpy(m.haves[m.n].node, n->id, sizeof(m.haves[m.n].node));
		m.haves[m.n].lsa = self ? newest(n->version, f->alien_lsa) : n->version;
		m.haves[m.n++].sync =
			self ? newest(n->sync.version, f->alien_sync) : n->sync.version;
		if (m.n == MSG_HAVES) {
			send_msg(f, a, &m);
			m.n = 0;
		}
	}
	if (m.n)
		send_msg(f, a, &m);
}

static void flush(struct flood *f, struct topo_adj *a, uint64_t now_us)
{
	uint64_t next_us = NEVER, sent = f->counters.messages;
	bool all = send_lsas(f, a, now_us, &next_us);

	send_syncs(f, a, now_us, &next_us);
	send_haves(f, a);
	if (f->counters.messages != sent)
		a->sent_us = now_us;
	a->due_us = all ? next_us : now_us + PACE_US;
}

uint64_t flood_tick(struct flood *f, uint64_t now_us)
{
	struct topo_adj *a;

	if (now_us < f->due_us)
		return f->due_us;
	f->due_us = NEVER;
	TAILQ_FOREACH(a, &f->adjs, link) {
		uint64_t due_us = a->due_us;

		if (!a->up)
			continue;
		if (a->sent_us && due_us < a->sent_us + PACE_US)
			due_us = a->sent_us + PACE_US;
		if (now_us >= due_us) {
			flush(f, a, now_us);
			due_us = a->due_us;
		}
		f->due_us = MIN(f->due_us, due_us);
	}
	return f->due_us;
}

/* in */

static void owe(struct flood *f, struct topo_adj *a, unsigned slot)
{
	known_of(f, a, slot)->owed = true;
	a->due_us = 0;
	f->due_us = 0;
}

/* Who has told that it has this, and may believe that we do not, hears that we do, too. */
static void tell_havers(struct flood *f, unsigned slot)
{
	const struct lsdb_node *n = &f->db->node[slot];
	struct topo_adj *a;

	TAILQ_FOREACH(a, &f->adjs, link) {
		struct flood_known *k = known_of(f, a, slot);

		if (a->up && version_compare(k->lsa.has, n->version) >= 0 &&
		    version_compare(k->sync.has, n->sync.version) >= 0)
			k->owed = true;
	}
}

/* The neighbour has what it has sent. */
static void proves(struct flood_item *it, struct version v)
{
	if (version_compare(v, it->has) > 0)
		it->has = v;
}

static int input_page(struct flood *f, struct topo_adj *a, const struct msg_page *p)
{
	unsigned slot = lsdb_get(f->db, p->node);
	int r;

	if (slot == LSDB_NONE)
		return -ENOSPC;
	if (slot == f->db->self) {
		proves(&known_of(f, a, slot)->lsa, p->version);
		owe(f, a, slot);
		if (version_compare(p->version, f->db->node[slot].version) <= 0)
			return 0;
		f->alien_lsa = newest(f->alien_lsa, p->version);
		return 1;
	}
	r = lsdb_add_page(f->db, slot, p->version, p->page, p->pages, MSG_PAGE_BYTES, p->bytes,
			  p->len);
	if (r < 0)
		return r == -EBADMSG ? r : 0; /* else it comes again */
	if (version_compare(p->version, f->db->node[slot].version) <= 0) {
		proves(&known_of(f, a, slot)->lsa, p->version);
		owe(f, a, slot);
	}
	if (r == 1) {
		tell_havers(f, slot);
		flood_wake(f);
	}
	return r;
}

static int input_sync(struct flood *f, struct topo_adj *a, const struct msg_sync *s)
{
	unsigned slot = lsdb_get(f->db, s->node);

	if (slot == LSDB_NONE)
		return -ENOSPC;
	proves(&known_of(f, a, slot)->sync, s->sync.version);
	owe(f, a, slot);
	if (version_compare(s->sync.version, f->db->node[slot].sync.version) <= 0)
		return 0;
	if (slot == f->db->self) {
		f->alien_sync = newest(f->alien_sync, s->sync.version);
		return 1;
	}
	lsdb_set_sync(f->db, slot, &s->sync);
	tell_havers(f, slot);
	flood_wake(f);
	return 1;
}

static int input_have(struct flood *f, struct topo_adj *a, const struct msg_have *h)
{
	unsigned slot = lsdb_find(f->db, h->node);

	if (slot == LSDB_NONE)
		return 0; /* nothing to give; what it has of it comes by itself */
	const struct lsdb_node *n = &f->db->node[slot];
	struct flood_known *k = known_of(f, a, slot);

	k->lsa.has = h->lsa;
	k->sync.has = h->sync;
	a->due_us = 0;
	f->due_us = 0;
	/* It has more than we, and seems to believe that we have it: say what we have. */
	if (slot != f->db->self && (version_compare(h->lsa, n->version) > 0 ||
				    version_compare(h->sync, n->sync.version) > 0))
		owe(f, a, slot);
	return 0;
}

static int input_syncs(struct flood *f, struct topo_adj *a, const struct msg *m)
{
	int changed = 0;

	for (unsigned i = 0; i < m->n; i++) {
		/* One that there is no room for does not keep the others out. */
		changed |= input_sync(f, a, &m->syncs[i]) > 0;
	}
	return changed;
}

int flood_input(struct flood *f, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	struct msg m;
	int r = msg_parse(msg, len, &m);

	if (r == -ENOTSUP || !a->up)
		return 0;
	if (r == 0 && m.kind == MSG_LSA)
		r = input_page(f, a, &m.page);
	else if (r == 0 && m.kind == MSG_SYNC)
		r = input_syncs(f, a, &m);
	for (unsigned i = 0; r == 0 && m.kind == MSG_HAVE && i < m.n; i++)
		r = input_have(f, a, &m.haves[i]);
	f->counters.malformed += r == -EBADMSG;
	return r;
}
