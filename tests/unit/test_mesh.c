/*
 * Tunnels in mode mesh on the made-up kernel: their ports are isolated before anything can pass,
 * stay so whatever others do, and an end in another mode never comes up. Also the other way
 * round: a port of a tree that others isolate.
 */
#include "tests/unit/daemon_world.h"

#include <errno.h>

#define MESH "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" mode = mesh }\n"
#define TAP "l2t-sv"

/* And until frames pass: the kernel's port follows the carrier a little later. */
static void wait_forwarding(struct world *w, uint64_t limit_us)
{
	world_wait_forwarding(w, limit_us);
	fake_run_for(w->net, 10 * US_PER_MS);
}

static void start_mesh(struct world *w)
{
	world_start_both(w, MESH, MESH);
	wait_forwarding(w, US_PER_S);
}

static const struct os_link *tap(struct world *w, unsigned i)
{
	const struct os_link *l = fake_link(w->host[i], TAP);

	assert_non_null(l);
	return l;
}

static bool no_carrier(void *arg)
{
	const struct os_link *l = fake_link(arg, TAP);

	return !l || !l->carrier;
}

/* Broadcasts from the guest of `from` that reach the guest of `to` within 100 ms. */
static unsigned copies(struct world *w, unsigned from, unsigned to)
{
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1, 8, 0 };
	struct fake_frame f;
	unsigned n = 0;

	guest_drain(w, to);
	assert_int_equal(
		fake_send(w->host[from], "guest", &(struct vnet){ 0 }, frame, sizeof(frame)), 0);
	fake_run_for(w->net, 100 * US_PER_MS);
	while (guest_recv(w, to, &f))
		n++;
	return n;
}

static void isolated_before_the_carrier(void **state)
{
	struct world *w = *state;

	world_start_both(w, MESH, MESH);
	for (unsigned i = 0; i < 2; i++)
		assert_true(fake_run_while(w->net, no_carrier, w->host[i], US_PER_S));
	for (unsigned i = 0; i < 2; i++) {
		assert_true(tap(w, i)->isolated);
		assert_int_equal(fake_calls(w->host[i], FAKE_PORT_SET_ISOLATED), 1);
		assert_false(fake_link(w->host[i], "guest")->isolated);
	}
	wait_forwarding(w, US_PER_S);
	assert_int_equal(copies(w, 0, 1), 1);
	assert_has(
		ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"sv\"}}"),
		"isolated from other tunnels, carrier on");
}

static void tree_is_not_touched(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(tap(w, i)->isolated);
		assert_int_equal(fake_calls(w->host[i], FAKE_PORT_SET_ISOLATED), 0);
	}
}

/* A kernel that knows no isolation, or answers "done" without doing it. */
static void never_open_without_isolation(void **state)
{
	struct world *w = *state;

	fake_fail(w->host[0], FAKE_PORT_SET_ISOLATED, 0, 4, -EOPNOTSUPP);
	world_start_both(w, MESH, MESH);
	fake_run_for(w->net, 14 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_PORT);
	assert_has(tunnel(w, 0, "sv")->detail, "cannot be isolated from the other tunnels");
	assert_false(tap(w, 0)->carrier || tap(w, 1)->carrier);
	wait_forwarding(w, 8 * US_PER_S);
	assert_true(tap(w, 0)->isolated);
}

/* What leaves one tunnel never enters the next; the guest in between sees both. */
static void no_frames_between_tunnels(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 3; i++)
		bridge_with_guest(w, i);
	write_config(w, 0,
		     MESH "tunnel \"b\" { peer = \"beyond\" bridge = \"br-sv\" mode = mesh }\n");
	write_config(w, 1, "tunnel \"sv\" { peer = \"beyond\" bridge = \"br-sv\" mode = mesh }\n");
	write_config(w, 2, MESH);
	for (unsigned i = 0; i < 3; i++)
		start(w, i);
	fake_run_for(w->net, 2 * US_PER_S);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tunnel(w, i, "sv")->state, TUNNEL_FORWARDING);
	assert_int_equal(tunnel(w, 0, "b")->state, TUNNEL_FORWARDING);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(copies(w, i, 0), 1);
		assert_int_equal(copies(w, 0, i), 1);
		assert_int_equal(copies(w, i, 3 - i), 0);
	}
}

static void opened_by_others_is_closed_until_isolated(void **state)
{
	struct world *w = *state;

	start_mesh(w);
	fake_link_isolated(w->host[0], TAP, false);
	fake_run_for(w->net, 20 * US_PER_MS);
	assert_true(tap(w, 0)->isolated);
	assert_false(tap(w, 0)->carrier);
	assert_int_not_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	assert_int_equal(copies(w, 1, 0), 0);
	wait_forwarding(w, US_PER_S);
	assert_true(tap(w, 0)->isolated);
	assert_int_equal(copies(w, 1, 0), 1);
}

/* Nothing is open while it cannot be isolated again. */
static void stays_closed_while_it_cannot_be_isolated(void **state)
{
	struct world *w = *state;

	start_mesh(w);
	fake_fail(w->host[0], FAKE_PORT_SET_ISOLATED, 0, 1, -EBUSY);
	fake_link_isolated(w->host[0], TAP, false);
	fake_run_for(w->net, 4 * US_PER_S);
	assert_false(tap(w, 0)->isolated || tap(w, 0)->carrier);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_PORT);
	assert_int_equal(tunnel(w, 1, "sv")->reason, REASON_REMOTE);
	wait_forwarding(w, 3 * US_PER_S);
	assert_true(tap(w, 0)->isolated);
}

static void opened_again_and_again_latches(void **state)
{
	struct world *w = *state;

	start_mesh(w);
	for (unsigned n = 1; n < PORT_REMOVALS_MAX; n++) {
		fake_link_isolated(w->host[0], TAP, false);
		fake_run_for(w->net, 20 * US_PER_MS);
		assert_true(tap(w, 0)->isolated);
		if (n > 1) {
			fake_run_for(w->net, ((n - 1) * 2 - 1) * US_PER_S);
			assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
			assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_PORT);
			assert_has(tunnel(w, 0, "sv")->detail, "isolation was switched off");
		}
		wait_forwarding(w, 2 * US_PER_S);
	}
	fake_link_isolated(w->host[0], TAP, false);
	fake_run_for(w->net, 60 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_LATCHED);
	assert_has(tunnel(w, 0, "sv")->detail, "5 times by another program");
	assert_false(tap(w, 0)->carrier);
	assert_true(tap(w, 0)->isolated);
	ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.up\",\"params\":{\"name\":\"sv\"}}");
	wait_forwarding(w, US_PER_S);
}

static void isolated_again_in_another_bridge(void **state)
{
	struct world *w = *state;

	start_mesh(w);
	fake_link_del(w->host[0], "br-sv");
	fake_run_for(w->net, 50 * US_PER_MS);
	assert_false(tap(w, 0)->isolated);
	fake_link_add(w->host[0], "br-sv", OS_LINK_BRIDGE);
	fake_link_master(w->host[0], "guest", "br-sv");
	wait_forwarding(w, US_PER_S);
	assert_true(tap(w, 0)->isolated);
	assert_int_equal(tunnel(w, 0, "sv")->port.removals, 0);
}

static void ignore_lost(void *arg, int err)
{
	(void)arg;
	(void)err;
}

/* The table knows before the daemon has looked: even then there is no carrier. */
static void no_carrier_before_the_next_look(void **state)
{
	static const struct os_tap_ops ops = { .lost = ignore_lost };
	struct world *w = *state;
	struct os *os = fake_host_os(w->host[0]);
	struct port p;

	fake_link_add(w->host[0], "br-sv", OS_LINK_BRIDGE);
	port_init(&p, os, TAP, true, &ops, NULL);
	assert_true(port_sync(&p, fake_link(w->host[0], "br-sv"), US_PER_S));
	fake_link_isolated(w->host[0], TAP, false);
	assert_int_equal(port_set_carrier(&p, true, US_PER_S), -EAGAIN);
	assert_false(p.carrier || tap(w, 0)->carrier);
	/* It is on again, but who wanted the carrier thinks that it has it. */
	fake_link_isolated(w->host[0], TAP, true);
	assert_false(port_sync(&p, fake_link(w->host[0], "br-sv"), US_PER_S));
	assert_true(port_sync(&p, fake_link(w->host[0], "br-sv"), US_PER_S));
	assert_int_equal(port_set_carrier(&p, true, US_PER_S), 0);
	assert_true(tap(w, 0)->carrier);
	port_fini(&p);
}

static bool is_isolated(void *arg)
{
	return fake_link(arg, TAP)->isolated;
}

/* In a tree it goes on, and is put back later each time. */
static void tree_port_isolated_by_others(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	uint64_t since_us = tunnel(w, 0, "sv")->since_us;
	for (unsigned n = 0; n < PORT_REMOVALS_MAX; n++) {
		uint64_t begin_us = fake_now(w->net);

		fake_link_isolated(w->host[0], TAP, true);
		assert_true(fake_run_while(w->net, is_isolated, w->host[0], 60 * US_PER_S));
		uint64_t took_us = fake_now(w->net) - begin_us;
		assert_in_range(took_us, n * 2 * US_PER_S,
				n ? n * 2 * US_PER_S + RECONCILE_US : 20 * US_PER_MS);
	}
	fake_link_isolated(w->host[0], TAP, true);
	fake_run_for(w->net, 590 * US_PER_S);
	assert_true(tap(w, 0)->isolated); /* let it be, for a while */
	fake_run_for(w->net, 20 * US_PER_S);
	assert_false(tap(w, 0)->isolated);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	assert_int_equal(tunnel(w, 0, "sv")->since_us, since_us);
}

static void other_mode_there(void **state)
{
	struct world *w = *state;

	world_start_both(w, MESH, world_plain);
	fake_run_for(w->net, 10 * US_PER_S);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tunnel(w, i, "sv")->state, TUNNEL_DOWN);
		assert_int_equal(tunnel(w, i, "sv")->reason, REASON_REMOTE);
		assert_has(tunnel(w, i, "sv")->detail, i ? "mode is tree here and mesh at peer" :
							   "mode is mesh here and tree at peer");
		assert_has(tunnel(w, i, "sv")->detail, "conf:");
		assert_false(tap(w, i)->carrier);
		assert_int_equal(copies(w, i, !i), 0);
	}
	/* One end is corrected: that tunnel is made anew, and both come up. */
	struct tunnel *before = tunnel(w, 0, "sv");
	write_config(w, 1, MESH);
	assert_has(ask(w, 1, 0, "{\"id\":1,\"method\":\"reload\"}"), "tunnel sv is made anew");
	wait_forwarding(w, US_PER_S);
	assert_ptr_equal(tunnel(w, 0, "sv"), before);
	/* And the other way round: it falls at once. */
	write_config(w, 1, world_plain);
	ask(w, 1, 0, "{\"id\":1,\"method\":\"reload\"}");
	fake_run_for(w->net, 100 * US_PER_MS);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
	assert_false(tap(w, 0)->carrier);
	assert_false(tap(w, 1)->isolated || tap(w, 1)->carrier);
}

static void preempt_is_a_change(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	struct tunnel *before = tunnel(w, 0, "sv");
	write_config(w, 0, "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" preempt = yes }\n");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"), "tunnel sv changed");
	assert_ptr_equal(tunnel(w, 0, "sv"), before);
	assert_true(before->cfg->preempt);
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(before->state, TUNNEL_FORWARDING);
}

static int three(void **state)
{
	*state = world_new(3, 1);
	return 0;
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(isolated_before_the_carrier),
		TEST(tree_is_not_touched),
		TEST(never_open_without_isolation),
		cmocka_unit_test_setup_teardown(no_frames_between_tunnels, three, world_teardown),
		TEST(opened_by_others_is_closed_until_isolated),
		TEST(stays_closed_while_it_cannot_be_isolated),
		TEST(opened_again_and_again_latches),
		TEST(isolated_again_in_another_bridge),
		TEST(no_carrier_before_the_next_look),
		TEST(tree_port_isolated_by_others),
		TEST(other_mode_there),
		TEST(preempt_is_a_change),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
