/*
 * A topology at its limits: versions that cannot grow, more foreign paths than fit, more nodes
 * than there is room for. All of that closes, is told once, and ends when its cause does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/state.h"

/* Two nodes with a tunnel; messages arrive at once. */
static struct world {
	uint64_t now_us;
	struct topo *topo[2];
	struct topo_adj *adj[2];
	struct topo_edge *edge[2];
	unsigned alarms[2];
	char alarm[2][256];
	struct {
		unsigned to;
		size_t len;
		uint8_t bytes[TOPO_MSG_MAX];
	} queue[256];
	unsigned head, tail;
} w;

static const uint8_t ids[2][TOPO_NODE_ID_BYTES] = { { 10 }, { 11 } };

static unsigned who(const void *arg)
{
	return (unsigned)(uintptr_t)arg;
}

static void on_gate(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
		    const char *detail)
{
	(void)arg;
	(void)e;
	(void)open;
	(void)reason;
	(void)detail;
}

static int on_send(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	unsigned at = w.tail++ % ARRAY_SIZE(w.queue);

	(void)a;
	assert_true(w.tail - w.head < ARRAY_SIZE(w.queue));
	w.queue[at].to = !who(arg);
	w.queue[at].len = len;
	memcpy(w.queue[at].bytes, msg, len);
	return 0;
}

static void on_alarm(void *arg, const char *text)
{
	w.alarms[who(arg)]++;
	snprintf(w.alarm[who(arg)], sizeof(w.alarm[0]), "%s", text);
}

static const struct topo_ops ops = { .gate = on_gate, .send = on_send, .alarm = on_alarm };

static void run(uint64_t for_us)
{
	uint64_t end_us = w.now_us + for_us;

	for (;;) {
		uint64_t due_us =
			MIN(topo_tick(w.topo[0], w.now_us), topo_tick(w.topo[1], w.now_us));

		if (w.head != w.tail) {
			unsigned at = w.head++ % ARRAY_SIZE(w.queue);

			assert_int_equal(topo_adj_input(w.adj[w.queue[at].to], w.queue[at].bytes,
							w.queue[at].len, w.now_us),
					 0);
			continue;
		}
		assert_true(due_us > w.now_us);
		if (due_us > end_us)
			break;
		w.now_us = due_us;
	}
	w.now_us = end_us;
}

static bool both_open(void)
{
	return topo_edge_open(w.edge[0]) && topo_edge_open(w.edge[1]);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_us = US_PER_S;
	for (unsigned i = 0; i < 2; i++) {
		struct topo_params p = { .incarnation = 100 + i, .name = "n" };
		struct topo_ends ends = { .local_bridge = "br0", .generation = 5 };

		memcpy(p.node_id, ids[i], sizeof(p.node_id));
		ends.far = segment_of(ids[!i], "br0");
		w.topo[i] = topo_new(&p, &ops, (void *)(uintptr_t)i);
		assert_non_null(w.topo[i]);
		w.adj[i] = topo_adj_add(w.topo[i], NULL);
		w.edge[i] = topo_edge_add(w.topo[i], "t", NULL);
		topo_adj_up(w.adj[i], ids[!i], 5, 0);
		topo_edge_up(w.edge[i], &ends, w.now_us);
		topo_edge_ready(w.edge[i], true, w.now_us);
	}
	run(US_PER_S);
	assert_true(both_open());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	topo_free(w.topo[0]);
	topo_free(w.topo[1]);
	return 0;
}

static void hear_of_self(unsigned i, struct version v)
{
	struct msg m = { .kind = MSG_SYNC, .n = 1 };
	uint8_t bytes[TOPO_MSG_MAX];

	memcpy(m.syncs[0].node, ids[i], TOPO_NODE_ID_BYTES);
	m.syncs[0].sync.version = v;
	assert_int_equal(topo_adj_input(w.adj[i], bytes, msg_build(&m, bytes), w.now_us), 0);
}

/* The numbers run out while all is well: the next incarnation, and nothing closes for it. */
static void test_seq_ends(void **state)
{
	static const uint8_t key[TOPO_KEY_BYTES] = "another key";

	(void)state;
	topo_self(w.topo[0])->sync.version.seq = UINT32_MAX;
	topo_set_probe_key(w.topo[0], key, w.now_us);
	run(US_PER_S);
	assert_true(both_open());
	assert_int_equal(topo_self(w.topo[0])->version.incarnation, 101);
	assert_int_equal(topo_self(w.topo[0])->sync.version.incarnation, 101);

	topo_self(w.topo[1])->version.seq = UINT32_MAX;
	w.topo[1]->stale = true;
	topo_edge_down(w.edge[1], w.now_us);
	run(US_PER_S);
	assert_false(both_open());
	assert_int_equal(topo_self(w.topo[1])->version.incarnation, 102);
	const struct lsdb_node *far = &w.topo[0]->db.node[lsdb_find(&w.topo[0]->db, ids[1])];
	assert_int_equal(far->version.incarnation, 102);
	assert_true(topo_agreed(w.topo[1]));
	assert_int_equal(w.alarms[0] + w.alarms[1], 0);
}

static void test_last_but_one_incarnation(void **state)
{
	(void)state;
	hear_of_self(0, (struct version){ UINT64_MAX - 1, UINT32_MAX });
	run(US_PER_S);
	assert_false(topo_edge_open(w.edge[0]));
	assert_int_equal(w.alarms[0], 1);
	run(10 * US_PER_S);
	assert_int_equal(topo_self(w.topo[0])->version.incarnation, UINT64_MAX);
	assert_true(both_open());
}

static void test_last_incarnation(void **state)
{
	(void)state;
	hear_of_self(0, (struct version){ UINT64_MAX, 7 });
	run(US_PER_S);
	assert_false(topo_edge_open(w.edge[0]));
	assert_int_equal(w.alarms[0], 1);
	run(1000 * US_PER_S);
	assert_false(topo_edge_open(w.edge[0]));
	assert_int_equal(w.alarms[0], 2);
	assert_non_null(strstr(w.alarm[0], "new key"));
	assert_int_equal(topo_self(w.topo[0])->version.incarnation, 100);
	for (uint32_t i = 8; i < 20; i++) {
		hear_of_self(0, (struct version){ UINT64_MAX, i });
		run(100 * US_PER_S);
	}
	assert_int_equal(w.alarms[0], 2); /* told once */
	assert_false(topo_edge_open(w.edge[0]));
}

static void set_foreign(unsigned n)
{
	static struct topo_segment segs[TOPO_FOREIGN_MAX + 1];

	for (unsigned i = 0; i < n; i++) {
		uint8_t id[TOPO_NODE_ID_BYTES] = { 99, (uint8_t)i };

		segs[i] = segment_of(id, "br0");
	}
	topo_set_foreign(w.topo[0], "br0", segs, n, w.now_us);
}

/* What does not fit might be the path that closes a loop. */
static void test_foreign_paths(void **state)
{
	(void)state;
	set_foreign(TOPO_FOREIGN_MAX);
	run(US_PER_S);
	assert_true(both_open());
	set_foreign(TOPO_FOREIGN_MAX + 1);
	assert_false(topo_edge_open(w.edge[0])); /* at once */
	assert_int_equal(w.alarms[0], 1);
	run(US_PER_S);
	set_foreign(1); /* nobody knows what was left out */
	run(US_PER_S);
	assert_false(topo_edge_open(w.edge[0]));
	set_foreign(0);
	run(US_PER_S);
	assert_true(both_open());
	assert_int_equal(w.alarms[0], 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_seq_ends),
		T(test_last_but_one_incarnation),
		T(test_last_incarnation),
		T(test_foreign_paths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
