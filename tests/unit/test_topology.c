/*
 * The guard for parallel tunnels: two ends, each with its own topology, joined by the
 * gate announcements that they would exchange. At every step at most one edge may be open
 * at both ends, whatever order announcements arrive in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/topology.h"

#define EDGES 3

struct end {
	struct topo *topo;
	struct topo_edge *edge[EDGES];
	bool open[EDGES];
	enum tunnel_reason reason[EDGES];
	unsigned changes;
};

static void on_gate(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
		    const char *detail)
{
	struct end *end = arg;
	unsigned i = (unsigned)(uintptr_t)topo_edge_user(e);

	(void)detail;
	end->open[i] = open;
	end->reason[i] = reason;
	end->changes++;
	/* Local exclusivity holds inside the callback, too: close comes before open. */
	unsigned n = 0;
	for (unsigned k = 0; k < EDGES; k++)
		n += end->open[k];
	assert_true(n <= 1);
}

static const struct topo_ops ops = { .gate = on_gate };
static const uint8_t low[TOPO_NODE_ID_BYTES] = { 1 };
static const uint8_t high[TOPO_NODE_ID_BYTES] = { 2 };

static void end_init(struct end *end, const uint8_t *id)
{
	static const char *const names[EDGES] = { "a", "b", "c" };

	memset(end, 0, sizeof(*end));
	end->topo = topo_new(id, &ops, end);
	assert_non_null(end->topo);
	for (unsigned i = 0; i < EDGES; i++)
		end->edge[i] = topo_edge_add(end->topo, names[i], (void *)(uintptr_t)i);
}

static struct topo_ends ends_of(const uint8_t *far, uint16_t priority, uint64_t generation)
{
	struct topo_ends e = { .local_bridge = "br-sv",
			       .far_bridge = "br-sv",
			       .priority = priority,
			       .generation = generation };

	memcpy(e.far_node, far, sizeof(e.far_node));
	return e;
}

static void end_up(struct end *end, unsigned i, const uint8_t *far, uint16_t priority)
{
	struct topo_ends e = ends_of(far, priority, 100 + i);

	topo_edge_up(end->edge[i], &e);
	topo_edge_ready(end->edge[i], true);
}

static void leader_opens_one_by_priority(void **state)
{
	struct end l;

	(void)state;
	end_init(&l, low);
	/* Priority decides among edges that come up together: none is ready before all are up. */
	for (unsigned i = 0; i < EDGES; i++) {
		struct topo_ends e = ends_of(high, (uint16_t)(100 - i), 100 + i);
		topo_edge_up(l.edge[i], &e);
	}
	assert_false(l.open[0] || l.open[1] || l.open[2]);
	topo_edge_ready(l.edge[2], true);
	topo_edge_ready(l.edge[0], true);
	topo_edge_ready(l.edge[1], true);
	assert_true(l.open[2]);
	assert_int_equal(l.reason[0], REASON_PARALLEL);
	assert_int_equal(l.reason[1], REASON_PARALLEL);
	/* A better one that comes later does not take over: that would cost frames. */
	topo_edge_down(l.edge[2]);
	assert_true(l.open[1]);
	end_up(&l, 2, high, 1);
	assert_true(l.open[1] && !l.open[2]);
	topo_free(l.topo);
}

static void follower_waits_and_follows(void **state)
{
	struct end f;

	(void)state;
	end_init(&f, high);
	end_up(&f, 0, low, 100);
	end_up(&f, 1, low, 100);
	assert_false(f.open[0] || f.open[1]);
	assert_int_equal(f.reason[0], REASON_REMOTE);
	topo_edge_far(f.edge[1], true);
	assert_true(f.open[1]);
	assert_int_equal(f.reason[0], REASON_PARALLEL);
	/* The leader has moved on; the old announcement was never taken back. */
	topo_edge_far(f.edge[0], true);
	assert_true(f.open[0] && !f.open[1]);
	topo_edge_far(f.edge[0], false);
	assert_true(f.open[1]);
	topo_free(f.topo);
}

static void other_bundles_are_independent(void **state)
{
	struct end l;

	(void)state;
	end_init(&l, low);
	end_up(&l, 0, high, 100);
	struct topo_ends e = ends_of(high, 100, 7);
	strcpy(e.far_bridge, "br-lan");
	strcpy(e.local_bridge, "br-lan");
	l.open[0] = false; /* the callback's bound is for one bundle */
	topo_edge_ready(l.edge[1], true);
	topo_edge_up(l.edge[1], &e);
	assert_true(l.open[1]);
	assert_true(topo_edge_open(l.edge[0]));
	topo_free(l.topo);
}

static void unready_down_and_new_session_close(void **state)
{
	struct end l;

	(void)state;
	end_init(&l, low);
	end_up(&l, 0, high, 100);
	assert_true(l.open[0]);
	topo_edge_ready(l.edge[0], false);
	assert_false(l.open[0]);
	topo_edge_ready(l.edge[0], true);
	assert_true(l.open[0]);
	/* A new session closes first and opens again: exactly two calls. */
	unsigned before = l.changes;
	struct topo_ends e = ends_of(high, 100, 999);
	topo_edge_up(l.edge[0], &e);
	assert_true(l.open[0]);
	assert_int_equal(l.changes, before + 2);
	/* The same again changes nothing. */
	topo_edge_up(l.edge[0], &e);
	assert_int_equal(l.changes, before + 2);
	topo_edge_down(l.edge[0]);
	assert_false(l.open[0]);
	topo_free(l.topo);
}

static void removing_the_open_edge_opens_another(void **state)
{
	struct end l;

	(void)state;
	end_init(&l, low);
	end_up(&l, 0, high, 100);
	end_up(&l, 1, high, 100);
	assert_true(l.open[0] && !l.open[1]);
	l.open[0] = false;
	topo_edge_remove(l.edge[0]);
	assert_true(l.open[1]);
	topo_free(l.topo);
}

/* Announcements of one edge stay in order; those of different edges overtake each other. */
struct wire {
	bool value[64];
	unsigned head, tail;
};

static uint32_t rng;

static uint32_t roll(uint32_t n)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % n;
}

static void announce(struct wire *w, const struct end *from, unsigned i, bool *last)
{
	if (*last == from->open[i] || w->tail - w->head >= ARRAY_SIZE(w->value))
		return;
	*last = from->open[i];
	w->value[w->tail++ % ARRAY_SIZE(w->value)] = from->open[i];
}

static void deliver(struct wire *w, struct end *to, unsigned i)
{
	if (w->head == w->tail)
		return;
	bool open = w->value[w->head++ % ARRAY_SIZE(w->value)];
	topo_edge_far(to->edge[i], open);
}

static void check_no_loop(const struct end *a, const struct end *b)
{
	unsigned both = 0;

	for (unsigned i = 0; i < EDGES; i++)
		both += a->open[i] && b->open[i];
	assert_true(both <= 1);
}

/* Random faults at both ends; once they stop, exactly one edge must forward. */
static void random_schedules_never_loop_and_span(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 2000; seed++) {
		struct end a, b;
		struct wire ab[EDGES] = { 0 }, ba[EDGES] = { 0 };
		bool last_a[EDGES] = { 0 }, last_b[EDGES] = { 0 };

		rng = seed;
		end_init(&a, low);
		end_init(&b, high);
		for (unsigned step = 0; step < 400; step++) {
			bool faults = step < 200;
			unsigned i = roll(EDGES);

			if (!faults && step < 200 + 2 * EDGES) {
				/* Heal: every edge is up at both ends in the end. */
				end_up(step % 2 ? &a : &b, (step - 200) / 2, step % 2 ? high : low,
				       100);
			} else if (faults && roll(4) == 0) {
				struct end *e = roll(2) ? &a : &b;
				if (roll(2))
					topo_edge_down(e->edge[i]);
				else
					end_up(e, i, e == &a ? high : low, (uint16_t)roll(3));
			} else if (roll(2)) {
				deliver(&ab[i], &b, i);
			} else {
				deliver(&ba[i], &a, i);
			}
			for (unsigned k = 0; k < EDGES; k++) {
				announce(&ab[k], &a, k, &last_a[k]);
				announce(&ba[k], &b, k, &last_b[k]);
			}
			check_no_loop(&a, &b);
		}
		for (unsigned k = 0; k < EDGES; k++) {
			/* Hellos repeat the state: what a down forgot is told again. */
			topo_edge_far(b.edge[k], false);
			topo_edge_far(b.edge[k], a.open[k]);
		}
		unsigned both = 0;
		for (unsigned k = 0; k < EDGES; k++)
			both += a.open[k] && b.open[k];
		assert_int_equal(both, 1);
		topo_free(a.topo);
		topo_free(b.topo);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leader_opens_one_by_priority),
		cmocka_unit_test(follower_waits_and_follows),
		cmocka_unit_test(other_bundles_are_independent),
		cmocka_unit_test(unready_down_and_new_session_close),
		cmocka_unit_test(removing_the_open_edge_opens_another),
		cmocka_unit_test(random_schedules_never_loop_and_span),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
