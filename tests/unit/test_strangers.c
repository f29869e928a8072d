/*
 * A wire between two hosts that have no session with each other, and do not know each
 * other's probes until a tunnel between two further hosts makes them members of one tree.
 */
#include "tests/unit/daemon_world.h"

#define CHAIN 4
#define MID "tunnel \"mid\" { peer = \"there\" bridge = \"br-sv\" }\n"
#define RIGHT "tunnel \"right\" { peer = \"there\" bridge = \"br-sv\" }\n"
#define LEFT "tunnel \"left\" { peer = \"across\" bridge = \"br-sv\" }\n"

static void cut(struct world *w, unsigned a, unsigned b, bool cut)
{
	fake_path(w->host[a], w->host[b])->cut = cut;
	fake_path(w->host[b], w->host[a])->cut = cut;
}

/* Sessions: 0 and 1, 2 and 3, later 1 and 2. The wire is between 0 and 3. */
static int setup(void **state)
{
	struct world *w = *state = world_new(CHAIN, 11);

	for (unsigned i = 0; i < CHAIN; i++)
		bridge_with_guest(w, i);
	write_config(w, 0, RIGHT);
	write_config(w, 1, LEFT MID);
	write_config(w, 2, RIGHT LEFT);
	write_config(w, 3, LEFT);
	for (unsigned i = 0; i < CHAIN; i++)
		start(w, i);
	cut(w, 0, 2, true);
	cut(w, 0, 3, true);
	cut(w, 1, 3, true);
	cut(w, 1, 2, true);
	return 0;
}

/* What `from` has sent on its bridge is heard on that of `to`. */
static void carry(struct world *w, unsigned from, unsigned to)
{
	struct fake_frame f;
	int ifindex;

	while (fake_packet_sent(w->host[from], &ifindex, &f))
		fake_packet_heard(w->host[to], "br-sv", f.bytes, f.len);
}

static bool both_open(struct world *w, unsigned i, const char *right, const char *left)
{
	return tunnel(w, i, right)->gate.open && tunnel(w, i + 1, left)->gate.open;
}

static bool loop(struct world *w)
{
	return both_open(w, 0, "right", "left") && both_open(w, 1, "mid", "left") &&
	       both_open(w, 2, "right", "left");
}

/* For how long (ms) there was a loop within three seconds. */
static unsigned run_with_wire(struct world *w)
{
	unsigned ms = 0;

	for (unsigned i = 0; i < 3000; i++) {
		fake_run_for(w->net, US_PER_MS);
		carry(w, 0, 3);
		guest_drain(w, 3); /* one way: both in turn would be found twice as soon */
		ms += loop(w);
	}
	return ms;
}

/* One of the three; which of them depends on who was heard while the tree was moving. */
static unsigned closed_for_foreign(struct world *w)
{
	return (tunnel(w, 0, "right")->reason == REASON_FOREIGN) +
	       (tunnel(w, 1, "mid")->reason == REASON_FOREIGN) +
	       (tunnel(w, 2, "right")->reason == REASON_FOREIGN);
}

static void found_before_anything_opens(void **state)
{
	struct world *w = *state;

	for (unsigned round = 0; round < 5; round++) {
		/* Long enough for all keys to be others. */
		for (unsigned i = 0; i < 45; i++)
			assert_int_equal(run_with_wire(w), 0);
		fake_run_for(w->net, round * 90 * US_PER_MS);
		assert_true(both_open(w, 0, "right", "left") && both_open(w, 2, "right", "left"));
		cut(w, 1, 2, false);
		assert_int_equal(run_with_wire(w), 0);
		assert_int_equal(closed_for_foreign(w), 1);
		cut(w, 1, 2, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(found_before_anything_opens, setup, world_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
