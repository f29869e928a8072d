/*
 * Flooding alone: up to four databases joined by lines that lose, delay and reorder. Whatever gets
 * through at all makes all equal in the end, then it is quiet; what a hostile neighbour can make
 * us send is bounded.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/flood.h"
#include "tests/support/prng.h"

#define SEED 20260004
#define NODES 4
#define QUEUE 8192
#define BIG 120 /* edges: several pages */

struct packet {
	unsigned from, to;
	uint64_t at_us;
	size_t len;
	uint8_t bytes[TOPO_MSG_MAX];
};

static struct world {
	struct prng rng;
	uint64_t now_us;
	struct lsdb db[NODES];
	struct flood flood[NODES];
	struct topo_adj *adj[NODES][NODES];
	struct packet queue[QUEUE];
	unsigned n_queue;
	unsigned loss; /* in 100 */
	uint64_t jitter_us;
	bool linked[NODES][NODES];
	uint64_t generation;
	uint64_t sent[NODES], latest_us; /* messages; when the latest one was sent */
	unsigned most_at_once;		 /* to one neighbour at one time */
	uint64_t batch_us[NODES][NODES], closest_us;
	unsigned batch[NODES][NODES];
} w;

static void id_of(unsigned i, uint8_t ret[TOPO_NODE_ID_BYTES])
{
	memset(ret, 0, TOPO_NODE_ID_BYTES);
	ret[0] = (uint8_t)(10 + i);
	ret[1] = (uint8_t)(i >> 8);
}

static void note_batch(unsigned from, unsigned to)
{
	if (w.batch_us[from][to] != w.now_us || !w.batch[from][to]) {
		if (w.batch[from][to])
			w.closest_us = MIN(w.closest_us, w.now_us - w.batch_us[from][to]);
		w.batch_us[from][to] = w.now_us;
		w.batch[from][to] = 0;
	}
	w.batch[from][to]++;
	w.most_at_once = MAX(w.most_at_once, w.batch[from][to]);
}

static int on_send(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	unsigned from = (unsigned)((struct flood *)arg - w.flood),
		 to = (unsigned)(uintptr_t)a->user;

	assert_true(len <= TOPO_MSG_MAX);
	w.sent[from]++;
	w.latest_us = w.now_us;
	note_batch(from, to);
	if (!w.linked[from][to] || prng_below(&w.rng, 100) < w.loss)
		return 0;
	assert_true(w.n_queue < QUEUE);
	struct packet *p = &w.queue[w.n_queue++];
	*p = (struct packet){ .from = from, .to = to, .len = len };
	p->at_us = w.now_us + 1 + (w.jitter_us ? prng_below(&w.rng, w.jitter_us) : 0);
	memcpy(p->bytes, msg, len);
	return 0;
}

static void node_begin(unsigned i)
{
	uint8_t id[TOPO_NODE_ID_BYTES];
	struct flood *f = &w.flood[i];

	id_of(i, id);
	lsdb_init(&w.db[i], id);
	*f = (struct flood){ .db = &w.db[i], .send = on_send, .arg = f };
	TAILQ_INIT(&f->adjs);
	for (unsigned k = 0; k < NODES; k++)
		w.adj[i][k] = flood_add(f, NULL, (void *)(uintptr_t)k);
}

static void node_end(unsigned i)
{
	for (unsigned k = 0; k < NODES; k++)
		flood_remove(&w.flood[i], w.adj[i][k]);
	lsdb_fini(&w.db[i]);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.rng.state = SEED;
	w.now_us = US_PER_S;
	w.closest_us = NEVER;
	for (unsigned i = 0; i < NODES; i++)
		node_begin(i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NODES; i++)
		node_end(i);
	return 0;
}

static void link_up(unsigned a, unsigned b)
{
	uint8_t id[TOPO_NODE_ID_BYTES];

	w.generation++;
	w.linked[a][b] = w.linked[b][a] = true;
	id_of(b, id);
	flood_up(&w.flood[a], w.adj[a][b], id, w.generation, 0);
	id_of(a, id);
	flood_up(&w.flood[b], w.adj[b][a], id, w.generation, 0);
}

/* Node i tells something new of itself. */
static void tell(unsigned i, unsigned n_edges)
{
	static uint8_t body[LSA_BYTES_MAX];
	static struct lsa_edge edges[BIG];
	struct lsa l = { .name = "n", .n_edges = n_edges, .edges = edges };
	struct lsdb *db = &w.db[i];
	struct lsdb_node *self = &db->node[db->self];
	struct version v = { 7, self->version.seq + 1 };
	struct sync s = { .version = v };

	for (unsigned k = 0; k < n_edges; k++) {
		memset(&edges[k], 0, sizeof(edges[k]));
		edges[k].far.node[0] = (uint8_t)k;
		strcpy(edges[k].far.bridge, "br0");
		strcpy(edges[k].local, "br0");
		edges[k].generation = prng_next(&w.rng);
	}
	int len = lsa_build(&l, body, sizeof(body));
	assert_true(len > 0);
	assert_int_equal(lsdb_set_lsa(db, db->self, v, body, (size_t)len), 0);
	prng_fill(&w.rng, s.digest, sizeof(s.digest));
	lsdb_set_sync(db, db->self, &s);
	flood_wake(&w.flood[i]);
}

static bool deliver(void)
{
	for (unsigned i = 0; i < w.n_queue; i++) {
		struct packet p = w.queue[i];

		if (p.at_us > w.now_us)
			continue;
		w.queue[i] = w.queue[--w.n_queue];
		if (w.linked[p.from][p.to])
			assert_true(flood_input(&w.flood[p.to], w.adj[p.to][p.from], p.bytes,
						p.len) >= 0);
		return true;
	}
	return false;
}

static void run(uint64_t for_us)
{
	uint64_t end_us = w.now_us + for_us;

	for (;;) {
		uint64_t next_us = NEVER;

		for (unsigned i = 0; i < NODES; i++) {
			uint64_t due_us = flood_tick(&w.flood[i], w.now_us);

			assert_true(due_us > w.now_us);
			next_us = MIN(next_us, due_us);
		}
		if (deliver())
			continue;
		for (unsigned i = 0; i < w.n_queue; i++)
			next_us = MIN(next_us, w.queue[i].at_us);
		if (next_us > end_us)
			break;
		w.now_us = next_us;
	}
	w.now_us = end_us;
}

static bool same(const struct lsdb *a, const struct lsdb *b)
{
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *x = &a->node[i];

		if (!x->used)
			continue;
		unsigned slot = lsdb_find(b, x->id);
		if (slot == LSDB_NONE)
			return false;
		const struct lsdb_node *y = &b->node[slot];
		if (version_compare(x->version, y->version) != 0 || x->len != y->len ||
		    version_compare(x->sync.version, y->sync.version) != 0 ||
		    memcmp(x->sync.digest, y->sync.digest, sizeof(x->sync.digest)) != 0 ||
		    memcmp(x->sync.key, y->sync.key, sizeof(x->sync.key)) != 0 ||
		    (x->len && memcmp(x->body, y->body, x->len) != 0))
			return false;
	}
	return true;
}

static bool all_same(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < n; k++) {
			if (!same(&w.db[i], &w.db[k]))
				return false;
		}
	}
	return true;
}

static uint64_t sent(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < NODES; i++)
		n += w.sent[i];
	return n;
}

/* Everybody is told everything, then nobody says anything any more. */
static void assert_settles(unsigned n, uint64_t limit_us)
{
	uint64_t end_us = w.now_us + limit_us;

	while (!all_same(n) && w.now_us < end_us)
		run(100 * US_PER_MS);
	assert_true(all_same(n));
	w.loss = 0;
	run(10 * US_PER_S);
	uint64_t before = sent();
	run(600 * US_PER_S);
	assert_int_equal(sent(), before);
	assert_true(all_same(n));
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(flood_tick(&w.flood[i], w.now_us), NEVER);
}

static void test_two(void **state)
{
	(void)state;
	tell(0, 2);
	tell(1, 3);
	link_up(0, 1);
	run(50 * US_PER_MS);
	assert_true(all_same(2));
	assert_settles(2, 0);
	/* Each: a link state, digests, an answer or two. */
	assert_true(sent() <= 10);
	assert_int_equal(w.flood[0].counters.repeated + w.flood[1].counters.repeated, 0);
	assert_int_equal(w.flood[0].counters.malformed, 0);
}

/* A chain, a ring and pages; any loss; messages overtake each other. */
static void converge(unsigned loss, bool ring)
{
	teardown(NULL);
	setup(NULL);
	w.rng.state = SEED + loss;
	w.loss = loss;
	w.jitter_us = 300 * US_PER_MS;
	for (unsigned i = 0; i < NODES; i++)
		tell(i, i % 2 ? BIG : 3);
	for (unsigned i = 0; i + 1 < NODES; i++)
		link_up(i, i + 1);
	if (ring)
		link_up(NODES - 1, 0);
	for (unsigned i = 0; i < 20; i++) {
		run(prng_below(&w.rng, 200) * US_PER_MS);
		tell((unsigned)prng_below(&w.rng, NODES), prng_below(&w.rng, 2) ? BIG : 1);
	}
	w.jitter_us = 20 * US_PER_MS;
	assert_settles(NODES, 3600 * US_PER_S);
}

static void test_loss(void **state)
{
	(void)state;
	static const unsigned losses[] = { 0, 10, 30, 60, 90 };

	for (unsigned i = 0; i < ARRAY_SIZE(losses); i++) {
		converge(losses[i], false);
		converge(losses[i], true);
	}
}

/* Of a burst of changes the first and the last travel, and one in 10 ms between. */
static void test_pace(void **state)
{
	(void)state;
	tell(0, 1);
	tell(1, 1);
	link_up(0, 1);
	run(US_PER_S);
	uint64_t before = w.sent[0];
	for (unsigned i = 0; i < 1000; i++) {
		tell(0, 1);
		run(100); /* 100 ms in all */
	}
	run(US_PER_S);
	assert_true(all_same(2));
	assert_true(w.sent[0] - before <= 2 * 11 + 4);
	assert_true(w.closest_us >= 10 * US_PER_MS);
}

/* To one who never answers: less and less often, once a second in the end. */
static void test_retries_back_off(void **state)
{
	(void)state;
	tell(0, 1);
	link_up(0, 1);
	w.loss = 100;
	run(US_PER_S);
	uint64_t first = w.sent[0];
	assert_in_range(first, 6, 14); /* both kinds at 0, 60, 180, 420, 900 ms */
	run(9 * US_PER_S);
	assert_in_range(w.sent[0] - first, 2 * 8, 2 * 10);
	uint64_t before = w.sent[0];
	run(100 * US_PER_S);
	assert_in_range(w.sent[0] - before, 2 * 99, 2 * 101);
	flood_down(w.adj[0][1]);
	before = w.sent[0];
	run(100 * US_PER_S);
	assert_int_equal(w.sent[0], before);
}

/* What is large goes in batches. */
static void test_batches(void **state)
{
	struct lsdb *db = &w.db[0];
	uint8_t id[TOPO_NODE_ID_BYTES];

	(void)state;
	tell(0, BIG);
	for (unsigned i = 4; i < TOPO_NODES_MAX; i++) {
		id_of(i, id);
		unsigned slot = lsdb_get(db, id);
		const struct lsdb_node *self = &db->node[db->self];

		assert_int_equal(
			lsdb_set_lsa(db, slot, (struct version){ 1, i }, self->body, self->len), 0);
	}
	link_up(0, 1);
	run(5 * US_PER_S);
	assert_true(same(db, &w.db[1]));
	/* A batch ends with the link state that fills it; digests and answers come on top. */
	assert_true(w.most_at_once <= 32 + MSG_PAGES + 8 + 4);
	assert_true(w.closest_us >= 10 * US_PER_MS);
}

static void hear(unsigned i, unsigned from, const struct msg *m)
{
	uint8_t bytes[TOPO_MSG_MAX];
	size_t len = msg_build(m, bytes);

	flood_input(&w.flood[i], w.adj[i][from], bytes, len);
}

/* A HAVE that says less than we believed is believed: what is missing is sent again. */
static void test_have_mends(void **state)
{
	struct msg m = { .kind = MSG_HAVE, .n = 1 };

	(void)state;
	tell(0, 1);
	tell(1, 1);
	link_up(0, 1);
	run(US_PER_S);
	assert_true(all_same(2));
	/* Node 1 forgets node 0. */
	struct lsdb_node *n = &w.db[1].node[lsdb_find(&w.db[1], w.db[0].node[0].id)];
	n->version = n->sync.version = (struct version){ 0, 0 };
	run(10 * US_PER_S);
	assert_false(all_same(2)); /* nobody knows */
	flood_tell_all(&w.flood[1]);
	run(US_PER_S);
	assert_true(all_same(2));

	/* One that claims more than there is, is told what there is, and nothing else. */
	memcpy(m.haves[0].node, w.db[1].node[0].id, TOPO_NODE_ID_BYTES);
	m.haves[0].lsa = m.haves[0].sync = (struct version){ UINT64_MAX, UINT32_MAX };
	uint64_t before = w.sent[0];
	hear(0, 1, &m);
	run(100 * US_PER_MS);
	assert_int_equal(w.sent[0] - before, 1);
	assert_true(all_same(2));
	assert_settles(2, US_PER_S);
}

static void test_new_session(void **state)
{
	(void)state;
	tell(0, BIG);
	tell(1, 1);
	link_up(0, 1);
	run(US_PER_S);
	assert_true(all_same(2));
	/* Node 1 starts anew and knows nothing; the same session again would not help. */
	lsdb_fini(&w.db[1]);
	uint8_t id[TOPO_NODE_ID_BYTES];
	id_of(1, id);
	lsdb_init(&w.db[1], id);
	flood_up(&w.flood[0], w.adj[0][1], id, w.generation, 5);
	run(US_PER_S);
	assert_int_equal(lsdb_find(&w.db[1], w.db[0].node[0].id), LSDB_NONE);
	link_up(0, 1);
	run(US_PER_S);
	unsigned slot = lsdb_find(&w.db[1], w.db[0].node[0].id);
	assert_true(slot != LSDB_NONE);
	assert_int_equal(w.db[1].node[slot].lsa.n_edges, BIG);
	/* What it was before has come back to it, and it knows. */
	assert_true(w.flood[1].alien_lsa.incarnation == 7 && w.flood[1].alien_lsa.seq == 1);
}

/* An own state that is newer than ours is told to nobody as ours, and noticed. */
static void test_alien(void **state)
{
	struct msg m = { .kind = MSG_SYNC, .n = 1 };

	(void)state;
	tell(0, 1);
	link_up(0, 1);
	run(US_PER_S);
	memcpy(m.syncs[0].node, w.db[0].node[0].id, TOPO_NODE_ID_BYTES);
	m.syncs[0].sync.version = (struct version){ UINT64_MAX, UINT32_MAX };
	hear(0, 1, &m);
	assert_true(w.flood[0].alien_sync.incarnation == UINT64_MAX);
	assert_int_equal(w.db[0].node[0].sync.version.incarnation, 7);
	uint64_t before = w.sent[0];
	run(60 * US_PER_S);
	assert_in_range(w.sent[0] - before, 1, 2); /* acknowledged, so it is not sent again */
}

/* Strangers: whatever comes, one answer in 10 ms, no member lost, and malformed takes nothing. */
static void test_hostile(void **state)
{
	uint32_t tenants;

	(void)state;
	tell(0, 1);
	tell(1, 1);
	link_up(0, 1);
	run(US_PER_S);
	assert_int_equal(lsdb_settle(&w.db[0]), 0);
	w.linked[0][1] = false; /* from here on node 1 says what we want */
	uint64_t before = w.sent[0], began_us = w.now_us;
	for (unsigned i = 0; i < 5000; i++) {
		struct msg m = { .kind = i % 2 ? MSG_SYNC : MSG_HAVE, .n = 1 };

		prng_fill(&w.rng, i % 2 ? m.syncs[0].node : m.haves[0].node, 8);
		m.syncs[0].sync.version.incarnation |= 1;
		if (i % 4 == 0)
			memcpy(m.haves[0].node, w.db[0].node[0].id, 8);
		hear(0, 1, &m);
		run(100);
	}
	uint64_t batches = (w.now_us - began_us) / (10 * US_PER_MS) + 2;
	assert_true(w.sent[0] - before <= batches * (8 + 4 + 2));
	assert_true(w.db[0].node[w.db[0].self].version.seq == 1);

	tenants = w.db[0].tenants;
	uint8_t bad[23] = { MSG_LSA, 1, 99, 98, 97, 96, 95, 94, 93, 92, 1 }; /* page 1 of 0 */
	assert_int_equal(flood_input(&w.flood[0], w.adj[0][1], bad, sizeof(bad)), -EBADMSG);
	assert_int_equal(w.db[0].tenants, tenants);
	assert_int_equal(w.flood[0].counters.malformed, 1);
	assert_int_equal(flood_input(&w.flood[0], w.adj[0][1], (const uint8_t *)"\x09", 1), 0);
	assert_int_equal(w.flood[0].counters.malformed, 1);
	flood_down(w.adj[0][1]);
	assert_int_equal(flood_input(&w.flood[0], w.adj[0][1], bad, sizeof(bad)), 0);
}

/* With every slot taken, what is known of is still heard, behind what there is no room for. */
static void test_full(void **state)
{
	struct lsdb *db = &w.db[0];
	uint8_t id[TOPO_NODE_ID_BYTES];
	struct msg m = { .kind = MSG_SYNC, .n = 2 };

	(void)state;
	link_up(0, 1);
	for (unsigned i = 1; i < TOPO_NODES_MAX; i++) {
		id_of(i, id);
		db->node[lsdb_get(db, id)].listed = true;
	}
	id_of(1000, m.syncs[0].node);
	id_of(5, m.syncs[1].node);
	m.syncs[0].sync.version = m.syncs[1].sync.version = (struct version){ 3, 3 };
	uint8_t bytes[TOPO_MSG_MAX];
	size_t len = msg_build(&m, bytes);
	assert_int_equal(flood_input(&w.flood[0], w.adj[0][1], bytes, len), 1);
	assert_int_equal(db->node[lsdb_find(db, m.syncs[1].node)].sync.version.seq, 3);
	assert_int_equal(lsdb_find(db, m.syncs[0].node), LSDB_NONE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_two),	     T(test_loss),	 T(test_pace),
		T(test_batches),     T(test_have_mends), T(test_retries_back_off),
		T(test_new_session), T(test_alien),	 T(test_hostile),
		T(test_full),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
