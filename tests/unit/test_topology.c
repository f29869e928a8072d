/*
 * The tree in small, directed cases: up to four topologies joined by sessions that deliver
 * at once and in order. What loss, delay and crashes do to it is tested by the simulator
 * (tests/sim).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/topology.h"
#include "l2tund/topology/view.h"

#define NODES 4
#define EDGES 8
#define QUEUE 4096

struct end {
	struct topo_edge *edge; /* NULL: none */
	bool open;
	enum tunnel_reason reason;
	char detail[256];
	unsigned changes;
};

struct node {
	struct topo *topo;
	struct topo_adj *adj[NODES];
	struct end end[EDGES];
	char alarm[256];
};

struct packet {
	unsigned from, to;
	size_t len;
	uint8_t bytes[TOPO_MSG_MAX];
};

static struct world {
	uint64_t now_us;
	struct node node[NODES];
	bool linked[NODES][NODES];
	uint64_t generation;
	struct packet queue[QUEUE];
	unsigned head, tail;
	bool mute[NODES]; /* its messages are lost */
} w;

static const char *const node_names[NODES] = { "n0", "n1", "n2", "n3" };

static void node_id(unsigned i, uint8_t ret[TOPO_NODE_ID_BYTES])
{
	memset(ret, 0, TOPO_NODE_ID_BYTES);
	ret[0] = (uint8_t)(10 + i);
}

static void on_gate(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
		    const char *detail)
{
	struct end *end = topo_edge_user(e);

	(void)arg;
	end->open = open;
	end->reason = reason;
	snprintf(end->detail, sizeof(end->detail), "%s", detail);
	end->changes++;
}

static int on_send(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	struct node *n = arg;
	unsigned to = (unsigned)(uintptr_t)topo_adj_user(a), from = (unsigned)(n - w.node);
	struct packet *p = &w.queue[w.tail % QUEUE];

	if (w.mute[from])
		return 0;
	assert_true(len <= TOPO_MSG_MAX);
	assert_true(w.tail - w.head < QUEUE);
	*p = (struct packet){ .from = from, .to = to, .len = len };
	memcpy(p->bytes, msg, len);
	w.tail++;
	return 0;
}

static void on_alarm(void *arg, const char *text)
{
	struct node *n = arg;

	snprintf(n->alarm, sizeof(n->alarm), "%s", text);
}

static const struct topo_ops ops = { .gate = on_gate, .send = on_send, .alarm = on_alarm };

static void node_start(unsigned i, uint64_t incarnation)
{
	struct topo_params p = { .incarnation = incarnation };

	node_id(i, p.node_id);
	snprintf(p.name, sizeof(p.name), "%s", node_names[i]);
	memset(&w.node[i], 0, sizeof(w.node[i]));
	w.node[i].topo = topo_new(&p, &ops, &w.node[i]);
	assert_non_null(w.node[i].topo);
	for (unsigned k = 0; k < NODES; k++)
		w.node[i].adj[k] = topo_adj_add(w.node[i].topo, (void *)(uintptr_t)k);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_us = US_PER_S;
	for (unsigned i = 0; i < NODES; i++)
		node_start(i, 100 + i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NODES; i++)
		topo_free(w.node[i].topo);
	return 0;
}

/* Delivers and lets time pass until `for_us` are over. */
static void run(uint64_t for_us)
{
	uint64_t end_us = w.now_us + for_us;

	for (;;) {
		uint64_t next_us = NEVER;

		for (unsigned i = 0; i < NODES; i++) {
			uint64_t due_us = topo_tick(w.node[i].topo, w.now_us);

			assert_true(due_us > w.now_us);
			next_us = MIN(next_us, due_us);
		}
		if (w.head != w.tail) {
			struct packet p = w.queue[w.head++ % QUEUE];

			if (w.linked[p.from][p.to])
				assert_int_equal(topo_adj_input(w.node[p.to].adj[p.from], p.bytes,
								p.len, w.now_us),
						 0);
			continue;
		}
		if (next_us > end_us)
			break;
		w.now_us = next_us;
	}
	w.now_us = end_us;
}

static void link_up(unsigned a, unsigned b)
{
	uint8_t id[TOPO_NODE_ID_BYTES];

	w.generation++;
	w.linked[a][b] = w.linked[b][a] = true;
	node_id(b, id);
	topo_adj_up(w.node[a].adj[b], id, w.generation, 0);
	node_id(a, id);
	topo_adj_up(w.node[b].adj[a], id, w.generation, 0);
}

static struct topo_segment segment(unsigned node, const char *bridge)
{
	struct topo_segment s = { .bridge = "" };

	node_id(node, s.node);
	snprintf(s.bridge, sizeof(s.bridge), "%s", bridge);
	return s;
}

struct option {
	uint16_t priority;
	bool mesh, preempt;
};

static void end_up(unsigned k, unsigned from, unsigned to, uint64_t generation, struct option o)
{
	struct end *end = &w.node[from].end[k];
	struct topo_ends ends = { .local_bridge = "br",
				  .far = segment(to, "br"),
				  .priority = o.priority ? o.priority : 100,
				  .generation = generation,
				  .mesh = o.mesh,
				  .preempt = o.preempt };
	char name[8];

	snprintf(name, sizeof(name), "t%u", k);
	if (!end->edge)
		end->edge = topo_edge_add(w.node[from].topo, name, end);
	topo_edge_up(end->edge, &ends, w.now_us);
	topo_edge_ready(end->edge, true, w.now_us);
}

/* Edge `k`, over the session of its own: generation is its number. */
static void edge_up(unsigned k, unsigned a, unsigned b, struct option o)
{
	if (!w.linked[a][b])
		link_up(a, b);
	end_up(k, a, b, 1000 + k, o);
	end_up(k, b, a, 1000 + k, o);
}

static void edge_down(unsigned k, unsigned a, unsigned b)
{
	topo_edge_down(w.node[a].end[k].edge, w.now_us);
	topo_edge_down(w.node[b].end[k].edge, w.now_us);
}

static bool forwards(unsigned k, unsigned a, unsigned b)
{
	return w.node[a].end[k].open && w.node[b].end[k].open;
}

static const struct option plain = { 0 };

static void two_nodes_open(void **state)
{
	struct topo_summary s;

	(void)state;
	edge_up(0, 0, 1, plain);
	assert_false(forwards(0, 0, 1));
	run(200 * US_PER_MS);
	assert_true(forwards(0, 0, 1));
	topo_get_summary(w.node[0].topo, &s);
	assert_int_equal(s.members, 2);
	assert_int_equal(s.disagreeing, 0);
	edge_down(0, 0, 1);
	assert_false(w.node[0].end[0].open || w.node[1].end[0].open);
}

static void one_end_is_not_enough(void **state)
{
	(void)state;
	link_up(0, 1);
	end_up(0, 0, 1, 7, plain);
	run(US_PER_S);
	assert_false(w.node[0].end[0].open);
	assert_int_equal(w.node[0].end[0].reason, REASON_REMOTE);
	/* Of another session: they do not mean the same. */
	end_up(0, 1, 0, 8, plain);
	run(US_PER_S);
	assert_false(w.node[0].end[0].open || w.node[1].end[0].open);
}

static void parallel_stands_by_and_takes_over(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 0, 1, plain);
	run(US_PER_S);
	assert_true(forwards(0, 0, 1) != forwards(1, 0, 1));
	unsigned active = forwards(0, 0, 1) ? 0 : 1, other = 1 - active;
	assert_int_equal(w.node[0].end[other].reason, REASON_PARALLEL);
	assert_int_equal(w.node[1].end[other].reason, REASON_PARALLEL);
	edge_down(active, 0, 1);
	run(250 * US_PER_MS);
	assert_true(forwards(other, 0, 1));
	/* It stays when the first comes back: a change of path costs frames. */
	edge_up(active, 0, 1, (struct option){ .priority = 1 });
	run(90 * US_PER_S);
	assert_true(forwards(other, 0, 1) && !forwards(active, 0, 1));
}

static void triangle_is_cut_once(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 1, 2, plain);
	edge_up(2, 2, 0, (struct option){ .priority = 200 });
	run(US_PER_S);
	assert_true(forwards(0, 0, 1) && forwards(1, 1, 2));
	assert_false(w.node[2].end[2].open || w.node[0].end[2].open);
	assert_int_equal(w.node[0].end[2].reason, REASON_PRIORITY);
	assert_non_null(strstr(w.node[0].end[2].detail, "by way of n1"));
	edge_down(0, 0, 1);
	run(250 * US_PER_MS);
	assert_true(forwards(1, 1, 2) && forwards(2, 2, 0));
}

static void better_priority_takes_over_when_it_is_to(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	run(US_PER_S);
	edge_up(1, 0, 1, (struct option){ .priority = 10, .preempt = true });
	run(59 * US_PER_S);
	assert_true(forwards(0, 0, 1) && !forwards(1, 0, 1));
	run(3 * US_PER_S);
	assert_true(forwards(1, 0, 1));
	assert_false(w.node[0].end[0].open || w.node[1].end[0].open);
}

/* 3 does not answer: whoever has it as a member opens nothing. */
static void nothing_opens_without_everybody(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 1, 2, plain);
	edge_up(2, 2, 3, plain);
	run(US_PER_S);
	assert_true(forwards(0, 0, 1) && forwards(1, 1, 2) && forwards(2, 2, 3));
	w.mute[3] = true;
	edge_up(3, 0, 2, plain);
	edge_down(0, 0, 1);
	run(US_PER_S);
	assert_false(w.node[0].end[3].open || w.node[2].end[3].open);
	assert_int_equal(w.node[0].end[3].reason, REASON_REMOTE);
	assert_non_null(strstr(w.node[0].end[3].detail, "n3"));
	w.mute[3] = false;
	run(3 * US_PER_S);
	assert_true(forwards(3, 0, 2));
}

static void foreign_path_cuts_at_once(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 1, 2, plain);
	run(US_PER_S);
	assert_true(forwards(0, 0, 1) && forwards(1, 1, 2));
	/* A cable between 0 and 2, heard by 0 only. */
	struct topo_segment heard = segment(2, "br");
	topo_set_foreign(w.node[0].topo, "br", &heard, 1, w.now_us);
	assert_false(w.node[0].end[0].open);
	assert_null(strstr(w.node[0].end[0].detail, "about to open"));
	run(US_PER_S);
	assert_true(forwards(0, 0, 1) != forwards(1, 1, 2));
	unsigned k = forwards(0, 0, 1) ? 1 : 0;
	assert_int_equal(w.node[1].end[k].reason, REASON_FOREIGN);
	assert_non_null(strstr(w.node[1].end[k].detail, "br of n"));
	topo_set_foreign(w.node[0].topo, "br", NULL, 0, w.now_us);
	run(US_PER_S);
	assert_true(forwards(0, 0, 1) && forwards(1, 1, 2));
}

/* The tunnel that the new path replaces: why it is closed is known before it is told. */
static void foreign_path_is_named_at_once(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	run(US_PER_S);
	assert_true(forwards(0, 0, 1));
	struct topo_segment heard = segment(1, "br");
	topo_set_foreign(w.node[0].topo, "br", &heard, 1, w.now_us);
	assert_false(w.node[0].end[0].open);
	assert_int_equal(w.node[0].end[0].reason, REASON_FOREIGN);
	assert_non_null(strstr(w.node[0].end[0].detail, "br of n1"));
}

static void mesh_opens_all(void **state)
{
	static const struct option mesh = { .mesh = true };
	unsigned k = 0;

	(void)state;
	for (unsigned a = 0; a < NODES; a++)
		for (unsigned b = a + 1; b < NODES; b++)
			edge_up(k++, a, b, mesh);
	edge_up(6, 0, 1, mesh);
	run(US_PER_S);
	k = 0;
	for (unsigned a = 0; a < NODES; a++)
		for (unsigned b = a + 1; b < NODES; b++, k++)
			assert_true(k == 0 || forwards(k, a, b));
	assert_true(forwards(0, 0, 1) != forwards(6, 0, 1));
	/* A cable between 2 and 3: one of the two keeps its tunnels. */
	struct topo_segment heard = segment(3, "br");
	topo_set_foreign(w.node[2].topo, "br", &heard, 1, w.now_us);
	for (k = 0; k < EDGES; k++)
		assert_false(w.node[2].end[k].open);
	run(US_PER_S);
	assert_false(forwards(5, 2, 3));
	assert_true(forwards(1, 0, 2) != forwards(2, 0, 3));
	assert_true(forwards(3, 1, 2) != forwards(4, 1, 3));
	assert_true(forwards(1, 0, 2) == forwards(3, 1, 2));
}

/* Its state was lost, and its clock is behind: it takes over from its earlier life. */
static void restart_with_an_older_incarnation(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 1, 2, plain);
	run(US_PER_S);
	assert_true(forwards(0, 0, 1));
	edge_down(0, 0, 1);
	topo_adj_down(w.node[1].adj[0]);
	topo_free(w.node[0].topo);
	node_start(0, 3);
	w.linked[0][1] = w.linked[1][0] = false;
	edge_up(0, 0, 1, plain);
	run(US_PER_S);
	assert_non_null(strstr(w.node[0].alarm, "identity"));
	assert_false(w.node[0].end[0].open);
	run(4 * US_PER_S);
	assert_true(forwards(0, 0, 1));
}

static void quiet_when_nothing_happens(void **state)
{
	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 1, 2, plain);
	run(5 * US_PER_S);
	unsigned sent = w.tail;
	run(100 * US_PER_S);
	assert_int_equal(w.tail, sent);
}

static void keys_reach_everybody(void **state)
{
	uint8_t key[TOPO_KEY_BYTES] = { 1 }, id[TOPO_NODE_ID_BYTES];
	const uint8_t(*keys)[TOPO_KEY_BYTES];

	(void)state;
	edge_up(0, 0, 1, plain);
	edge_up(1, 1, 2, plain);
	topo_set_probe_key(w.node[0].topo, key, w.now_us);
	run(US_PER_S);
	node_id(0, id);
	assert_true(topo_probe_keys(w.node[2].topo, id, &keys) >= 1);
	assert_memory_equal(keys[0], key, sizeof(key));
	key[0] = 2;
	topo_set_probe_key(w.node[0].topo, key, w.now_us);
	run(US_PER_S);
	assert_int_equal(topo_probe_keys(w.node[2].topo, id, &keys), 2);
	assert_memory_equal(keys[0], key, sizeof(key));
	assert_int_equal(keys[1][0], 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(two_nodes_open),
		TEST(one_end_is_not_enough),
		TEST(parallel_stands_by_and_takes_over),
		TEST(triangle_is_cut_once),
		TEST(better_priority_takes_over_when_it_is_to),
		TEST(nothing_opens_without_everybody),
		TEST(foreign_path_cuts_at_once),
		TEST(foreign_path_is_named_at_once),
		TEST(mesh_opens_all),
		TEST(restart_with_an_older_incarnation),
		TEST(quiet_when_nothing_happens),
		TEST(keys_reach_everybody),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
