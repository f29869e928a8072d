/*
 * Two whole daemons in one process: real configuration, real sessions, real data path, on
 * the made-up kernel with virtual time. What is tested here are the joints: bridge,
 * port, session and topology turning into one state, and frames passing only when it says so.
 */
#include <errno.h>

#include "l2tund/bridge.h"
#include "tests/unit/daemon_world.h"

#define HOSTS 2 /* as world_setup() makes them */

/* And until frames pass: the kernel's port follows the carrier a little later. */
static void wait_forwarding(struct world *w, uint64_t limit_us)
{
	world_wait_forwarding(w, limit_us);
	fake_run_for(w->net, 10 * US_PER_MS);
}

static bool any_forwarding(void *arg)
{
	struct world *w = arg;

	return tunnel(w, 0, "sv")->state == TUNNEL_FORWARDING ||
	       tunnel(w, 1, "sv")->state == TUNNEL_FORWARDING;
}

/* frames */

/* How many copies of a frame of `len` bytes from one guest reach the other within 100 ms. */
static unsigned copies(struct world *w, unsigned from, size_t len)
{
	uint8_t frame[9018];
	struct fake_frame f;
	unsigned n = 0;

	for (size_t k = 0; k < len; k++)
		frame[k] = (uint8_t)(k * 7 + len);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x52\x54\x00\x00\x00\x01", 6);
	guest_drain(w, !from);
	assert_int_equal(fake_send(w->host[from], "guest", &(struct vnet){ 0 }, frame, len), 0);
	fake_run_for(w->net, 100 * US_PER_MS);
	while (guest_recv(w, !from, &f)) {
		assert_int_equal(f.len, len);
		assert_memory_equal(f.bytes, frame, len);
		n++;
	}
	return n;
}

/* tests */

static void joins_and_carries_frames(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	assert_int_equal(copies(w, 0, 60), 0);
	wait_forwarding(w, US_PER_S);
	for (size_t len = 60; len <= 1514; len += 97) {
		assert_int_equal(copies(w, 0, len), 1);
		assert_int_equal(copies(w, 1, len), 1);
	}
	assert_true(counts(tunnel(w, 0, "sv")).tx_frames >= 15);
}

static void bridge_keeps_mac_and_mtu(void **state)
{
	struct world *w = *state;

	bridge_with_guest(w, 0);
	/* The hard case: no port of others, the bridge has nothing to hold on to. */
	fake_link_add(w->host[0], "br-lan", OS_LINK_BRIDGE);
	fake_link_mtu(w->host[0], "br-sv", 1400);
	struct os_link sv = *fake_link(w->host[0], "br-sv"), lan = *fake_link(w->host[0], "br-lan");

	write_config(w, 0,
		     "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n"
		     "tunnel \"lan\" { peer = \"there\" bridge = \"br-lan\" }\n");
	start(w, 0);
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(fake_link(w->host[0], "l2t-sv")->master, sv.index);
	assert_int_equal(fake_link(w->host[0], "l2t-lan")->master, lan.index);
	assert_int_equal(fake_link(w->host[0], "l2t-sv")->mac[0], 0xfe);
	for (unsigned round = 0; round < 2; round++) {
		assert_memory_equal(fake_link(w->host[0], "br-sv")->mac, sv.mac, 6);
		assert_memory_equal(fake_link(w->host[0], "br-lan")->mac, lan.mac, 6);
		assert_int_equal(fake_link(w->host[0], "br-sv")->mtu, sv.mtu);
		assert_int_equal(fake_link(w->host[0], "br-lan")->mtu, lan.mtu);
		if (round == 0)
			end(w, 0);
	}
	assert_null(fake_link(w->host[0], "l2t-sv"));
}

static void bridge_made_again_is_joined_again(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	fake_link_del(w->host[0], "br-sv");
	fake_run_for(w->net, 50 * US_PER_MS);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_NO_BRIDGE);
	/* The other end knows at once, without any timer. */
	assert_int_equal(tunnel(w, 1, "sv")->state, TUNNEL_DOWN);
	assert_int_equal(tunnel(w, 1, "sv")->reason, REASON_REMOTE);
	fake_link_add(w->host[0], "br-sv", OS_LINK_BRIDGE);
	fake_link_master(w->host[0], "guest", "br-sv");
	wait_forwarding(w, US_PER_S);
	assert_int_equal(copies(w, 1, 100), 1);
	assert_int_equal(tunnel(w, 0, "sv")->port.removals, 0);
}

static void bridge_is_created_when_wanted(void **state)
{
	struct world *w = *state;

	fake_link_add(w->host[0], "eth1", OS_LINK_OTHER);
	write_config(w, 0,
		     "bridge \"br-sv\" { create = yes ports = {\"eth1\"} }\n"
		     "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n");
	start(w, 0);
	fake_run_for(w->net, US_PER_S);
	const struct os_link *b = fake_link(w->host[0], "br-sv");
	assert_non_null(b);
	assert_string_equal(b->alias, "l2tund");
	assert_int_equal(fake_link(w->host[0], "eth1")->master, b->index);
	assert_int_equal(fake_link(w->host[0], "l2t-sv")->master, b->index);
	fake_link_del(w->host[0], "br-sv");
	fake_run_for(w->net, 100 * US_PER_MS);
	assert_non_null(fake_link(w->host[0], "br-sv"));
}

static void nomaster_backs_off_then_latches(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	for (unsigned n = 1; n < PORT_REMOVALS_MAX; n++) {
		fake_link_master(w->host[0], "l2t-sv", NULL);
		fake_run_for(w->net, 20 * US_PER_MS);
		assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
		assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_PORT);
		fake_run_for(w->net, (n * 2 - 1) * US_PER_S);
		assert_int_equal(fake_link(w->host[0], "l2t-sv")->master, 0);
		wait_forwarding(w, 2 * US_PER_S);
	}
	fake_link_master(w->host[0], "l2t-sv", NULL);
	fake_run_for(w->net, 60 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_LATCHED);
	tunnel_set_admin(tunnel(w, 0, "sv"), true);
	daemon_reconcile(w->daemon[0]);
	wait_forwarding(w, US_PER_S);
}

static void mtu_follows_the_bridge(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	/* Somebody raises the uplink: our port must not be what keeps the bridge at 1500. */
	for (unsigned i = 0; i < HOSTS; i++)
		fake_link_mtu(w->host[i], "guest", 9000);
	fake_run_for(w->net, 100 * US_PER_MS);
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(fake_link(w->host[i], "l2t-sv")->mtu, 9000);
		assert_int_equal(fake_link(w->host[i], "br-sv")->mtu, 9000);
	}
	assert_int_equal(copies(w, 0, 9014), 1);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
}

static bool tap_is_small(void *arg)
{
	return fake_link(arg, "l2t-sv")->mtu == 1400;
}

/* Somebody sets our port's MTU again and again: it goes on, and we do so less and less often. */
static void mtu_fight_backs_off(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	uint64_t since = tunnel(w, 0, "sv")->since_us;
	for (unsigned n = 0; n < PORT_REMOVALS_MAX; n++) {
		uint64_t begin_us = fake_now(w->net);

		fake_link_mtu(w->host[0], "l2t-sv", 1400);
		assert_true(fake_run_while(w->net, tap_is_small, w->host[0], 60 * US_PER_S));
		assert_in_range(fake_now(w->net) - begin_us, n * 2 * US_PER_S,
				n ? n * 2 * US_PER_S + RECONCILE_US : 20 * US_PER_MS);
	}
	fake_link_mtu(w->host[0], "l2t-sv", 1400);
	fake_run_for(w->net, 100 * US_PER_S);
	assert_has(
		ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"sv\"}}"),
		"l2t-sv: another program has changed its MTU; that is put back, each time later.");
	unsigned calls = fake_calls(w->host[0], FAKE_LINK_SET_MTU);
	fake_run_for(w->net, 400 * US_PER_S);
	assert_int_equal(fake_calls(w->host[0], FAKE_LINK_SET_MTU), calls);
	/* The bridge's own MTU is followed all the same. */
	fake_link_mtu(w->host[0], "guest", 9000);
	fake_run_for(w->net, 20 * US_PER_MS);
	assert_int_equal(fake_link(w->host[0], "l2t-sv")->mtu, 9000);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	assert_int_equal(tunnel(w, 0, "sv")->since_us, since);
}

static void deleted_tap_comes_back(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	fake_link_del(w->host[1], "l2t-sv");
	fake_run_for(w->net, 20 * US_PER_MS);
	assert_int_equal(tunnel(w, 1, "sv")->state, TUNNEL_DOWN);
	wait_forwarding(w, 3 * US_PER_S);
	assert_int_equal(copies(w, 1, 200), 1);
}

static void cut_is_noticed_and_healed(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	fake_host_cut(w->host[0], true);
	assert_true(fake_run_while(w->net, any_forwarding, w, 2500 * US_PER_MS));
	assert_int_equal(copies(w, 0, 60), 0);
	fake_run_for(w->net, 20 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_UNREACHABLE);
	fake_host_cut(w->host[0], false);
	wait_forwarding(w, 3 * US_PER_S);
	assert_int_equal(copies(w, 0, 60), 1);
}

/* What waited in the queues of a stopped daemon must not make it forward. */
static void stopped_daemon_forwards_nothing_old(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	guest_drain(w, 0);
	fake_host_stall(w->host[0], 10 * US_PER_S);
	uint8_t frame[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2 };
	uint64_t before = counts(tunnel(w, 0, "sv")).tx_frames;

	fake_send(w->host[0], "guest", &(struct vnet){ 0 }, frame, sizeof(frame));
	fake_run_for(w->net, 10 * US_PER_S + 1000);
	assert_int_equal(counts(tunnel(w, 0, "sv")).tx_frames, before);
	assert_true(counts(tunnel(w, 0, "sv")).drop_gate >= 1);
	wait_forwarding(w, 3 * US_PER_S);
	assert_int_equal(copies(w, 0, 60), 1);
}

static void restart_is_back_soon(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	end(w, 1); /* no farewell: as kill -9 */
	start(w, 1);
	fake_run_for(w->net, 20 * US_PER_MS);
	wait_forwarding(w, 3 * US_PER_S);
	assert_int_equal(copies(w, 0, 60), 1);
}

static void farewell_is_heard_at_once(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	daemon_stop(w->daemon[0]);
	fake_run_for(w->net, 20 * US_PER_MS);
	assert_int_not_equal(tunnel(w, 1, "sv")->state, TUNNEL_FORWARDING);
	assert_null(fake_link(w->host[0], "l2t-sv"));
}

static const char redundant[] = "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n"
				"tunnel \"sv2\" { peer = \"other\" bridge = \"br-sv\" }\n";

/* The pair of tunnels over two underlays, and which of them forwards. */
struct pair {
	struct world *w;
	unsigned active;
};

static const char *const pair_names[] = { "sv", "sv2" };

static bool pair_not_moved(void *arg)
{
	struct pair *p = arg;
	const char *name = pair_names[!p->active];

	return tunnel(p->w, 0, name)->state != TUNNEL_FORWARDING ||
	       tunnel(p->w, 1, name)->state != TUNNEL_FORWARDING;
}

/* Cuts the underlay of the active tunnel. */
static bool pair_filter(void *arg, const struct addr *from, const struct addr *to,
			const uint8_t *buf, size_t len)
{
	struct pair *p = arg;
	struct addr a;

	(void)buf;
	(void)len;
	for (unsigned i = 0; i < HOSTS; i++) {
		char text[ADDR_STRLEN];

		snprintf(text, sizeof(text), "%s:4655", world_ips[i][p->active]);
		assert_int_equal(addr_parse(text, &a), 0);
		if (addr_same_host(&a, from) || addr_same_host(&a, to))
			return false;
	}
	return true;
}

static void pair_check(const struct pair *p)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(tunnel(p->w, i, pair_names[p->active])->state, TUNNEL_FORWARDING);
		assert_int_equal(tunnel(p->w, i, pair_names[!p->active])->state, TUNNEL_STANDBY);
		assert_int_equal(tunnel(p->w, i, pair_names[!p->active])->reason, REASON_PARALLEL);
		assert_int_equal(copies(p->w, i, 60), 1);
	}
}

static void parallel_tunnels_forward_once_and_fail_over(void **state)
{
	struct world *w = *state;
	struct pair p = { .w = w };

	world_start_both(w, redundant, redundant);
	fake_run_for(w->net, 3 * US_PER_S);
	p.active = tunnel(w, 0, "sv")->state != TUNNEL_FORWARDING;
	pair_check(&p);
	for (unsigned round = 0; round < 4; round++) {
		fake_filter(w->net, pair_filter, &p);
		assert_true(fake_run_while(w->net, pair_not_moved, &p, 2500 * US_PER_MS));
		fake_filter(w->net, NULL, NULL);
		fake_run_for(w->net, 5 * US_PER_S);
		p.active = !p.active;
		pair_check(&p);
	}
}

/* control */

static void control_steers_tunnels(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"status\"}"), "\"state\":\"forwarding\"");
	assert_has(ask(w, 0, 1000,
		       "{\"id\":1,\"method\":\"tunnel.down\",\"params\":{\"name\":\"sv\"}}"),
		   "not-permitted");
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	assert_has(
		ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.down\",\"params\":{\"name\":\"sv\"}}"),
		"\"reason\":\"admin\"");
	assert_null(fake_link(w->host[0], "l2t-sv"));
	fake_run_for(w->net, 50 * US_PER_MS);
	assert_int_equal(tunnel(w, 1, "sv")->reason, REASON_REMOTE);
	assert_has(
		ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"sv\"}}"),
		"bridgectl tunnel up sv");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.up\",\"params\":{\"name\":\"sv\"}}"),
		   "\"admin_up\":true");
	wait_forwarding(w, US_PER_S);
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.up\",\"params\":{\"name\":\"no\"}}"),
		   "not-found");
}

static void reload_leaves_the_rest_alone(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	struct tunnel *before = tunnel(w, 0, "sv");
	uint64_t since = before->since_us;

	fake_link_add(w->host[0], "br-lan", OS_LINK_BRIDGE);
	write_config(w, 0,
		     "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" priority = 7 }\n"
		     "tunnel \"lan\" { peer = \"there\" bridge = \"br-lan\" }\n");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"), "tunnel lan added");
	assert_ptr_equal(tunnel(w, 0, "sv"), before);
	assert_int_equal(before->since_us, since);
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(tunnel(w, 0, "lan")->state, TUNNEL_DOWN);
	assert_int_equal(tunnel(w, 0, "lan")->reason, REASON_REMOTE);
	assert_int_equal(copies(w, 0, 60), 1);
	/* A bad file changes nothing. */
	char path[128];
	config_path(w, 0, path, sizeof(path));
	write_text(path, "tunnel \"lan\" { peer = \"nobody\" }\n");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"), "\"code\":\"config\"");
	assert_non_null(daemon_find_tunnel(w->daemon[0], "lan"));
	write_config(w, 0, world_plain);
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"), "tunnel lan removed");
	assert_null(fake_link(w->host[0], "l2t-lan"));
	assert_int_equal(copies(w, 1, 60), 1);
	assert_int_equal(before->since_us, since);
}

/* What sockets and devices were opened with stays, and stays visible, until a restart. */
static void reload_names_switches(void **state)
{
	struct world *w = *state;
	const char *reply;

	world_start_plain(w);
	write_config(w, 0, "offload { tso = off pack = off }\n");
	reply = ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}");
	assert_has(reply, "\"offload.tso: needs a restart\"");
	assert_has(reply, "\"offload.pack: needs a restart\"");
	assert_null(strstr(reply, "offload.uso"));
	assert_int_equal(w->daemon[0]->config->node.offload, OFFLOAD_ALL);
}

static const char *ask_show(struct world *w, unsigned i)
{
	return ask(w, i, 0, "{\"id\":1,\"method\":\"tunnel.show\",\"params\":{\"name\":\"sv\"}}");
}

static void show_tells_offloads(void **state)
{
	struct world *w = *state;
	const char *reply;
	char rest[160];

	snprintf(rest, sizeof(rest), "offload { tso = off pack = off }\n%s", world_plain);
	world_start_both(w, rest, world_plain);
	world_wait_forwarding(w, 5 * US_PER_S);
	fake_offload_refuse(w->host[1], OFFLOAD_USO, "the kernel refused: Invalid argument");
	fake_offload_refuse(w->host[1], OFFLOAD_UDP_GRO, "the kernel refused: Protocol");
	reply = ask_show(w, 0);
	assert_has(reply, "\"tso\":{\"active\":false,\"why\":\"switched off in l2tund.conf\"}");
	assert_has(reply, "\"pack\":{\"active\":false,\"why\":\"switched off in l2tund.conf\"}");
	assert_has(reply, "\"uso\":{\"active\":true}");
	assert_has(reply, "\"join\":{\"active\":true}");
	assert_has(reply, "\"udp-gro\":{\"active\":true}");
	reply = ask_show(w, 1);
	assert_has(reply, "\"tso\":{\"active\":true}");
	assert_has(reply, "\"uso\":{\"active\":false,\"why\":\"the kernel refused: Invalid");
	assert_has(reply, "\"udp-gro\":{\"active\":false,\"why\":\"the kernel refused: Protocol");
	/* Without a device nothing of it can be said to work. */
	ask(w, 1, 0, "{\"id\":1,\"method\":\"tunnel.down\",\"params\":{\"name\":\"sv\"}}");
	reply = ask_show(w, 1);
	assert_has(reply, "\"tso\":{\"active\":false,\"why\":\"there is no TAP device");
	assert_has(reply, "\"udp-segment\":{\"active\":true}");
	assert_has(reply, "\"coalesce\":{\"active\":true}");
}

static void bridges_tell_filters(void **state)
{
	static const char list[] = "{\"id\":1,\"method\":\"bridge.list\"}";
	struct world *w = *state;

	fake_bridge_filters(w->host[1], NULL, 1U << OS_FILTER_IPTABLES);
	world_start_plain(w);
	assert_has(ask(w, 0, 0, list), "\"filters\":[]");
	assert_false(w->daemon[0]->filters_told);
	assert_has(ask(w, 1, 0, list), "\"filters\":[\"iptables\"]");
	assert_true(w->daemon[1]->filters_told);
	fake_bridge_filters(w->host[1], "br-sv", 1U << OS_FILTER_ARPTABLES);
	assert_has(ask(w, 1, 0, list), "\"filters\":[\"iptables\",\"arptables\"]");
	fake_bridge_filters(w->host[1], NULL, 0);
	fake_bridge_filters(w->host[1], "br-sv", 0);
	assert_has(ask(w, 1, 0, list), "\"filters\":[]");
}

static void show_tells_every_drop(void **state)
{
	struct world *w = *state;
	const char *reply;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	tunnel(w, 0, "sv")->counters->drop_gate = 3;
	tunnel(w, 0, "sv")->counters->drop[DROP_TAP] = 5;
	reply = ask_show(w, 0);
	assert_has(reply, "\"drops\":{\"gate\":3,\"policer\":0,\"queue\":5,\"decode\":0,");
	assert_has(reply,
		   "\"drops_by_reason\":{\"tunnel\":{\"gate\":3,\"policer\":0,\"malformed\":0,");
	assert_has(reply, "\"tap\":5}");
	assert_has(reply, "\"session\":{\"auth\":0,\"replay\":0,\"decode\":0,\"chunk-timeout\":0,");
}

/* The second reload finds the other end ready, and its gate may open before its list is told. */
static void reload_adds_a_tunnel_at_both_ends(void **state)
{
	static const char two[] = "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n"
				  "tunnel \"lan\" { peer = \"there\" bridge = \"br-lan\" }\n";
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, US_PER_S);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned k = 0; k < HOSTS; k++) {
			unsigned i = (k + round) % HOSTS;

			if (round == 0)
				fake_link_add(w->host[i], "br-lan", OS_LINK_BRIDGE);
			write_config(w, i, two);
			assert_has(ask(w, i, 0, "{\"id\":1,\"method\":\"reload\"}"),
				   "tunnel lan added");
		}
		fake_run_for(w->net, US_PER_S);
		for (unsigned i = 0; i < HOSTS; i++)
			assert_int_equal(tunnel(w, i, "lan")->state, TUNNEL_FORWARDING);
		for (unsigned i = 0; i < HOSTS; i++) {
			write_config(w, i, world_plain);
			ask(w, i, 0, "{\"id\":1,\"method\":\"reload\"}");
		}
	}
}

/* Every start-up step fails once: an error that says what, and nothing left open. */
static void failed_starts_leave_nothing(void **state)
{
	static const enum fake_op steps[] = { FAKE_TIMER_NEW, FAKE_UDP_OPEN, FAKE_LISTEN,
					      FAKE_LINKS_WATCH };
	struct world *w = *state;

	bridge_with_guest(w, 0);
	write_config(w, 0, world_plain);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		char err[DAEMON_ERRLEN] = "";

		fake_fail(w->host[0], steps[i], 0, 1, -EADDRINUSE);
		assert_true(start_err(w, 0, err) < 0);
		assert_true(strlen(err) > 10);
		assert_int_equal(fake_host_open(w->host[0]), 0);
	}
}

/* And every later kernel error is survived: retried, and forwarding in the end. */
static void kernel_errors_are_retried(void **state)
{
	static const enum fake_op ops[] = { FAKE_TAP_OPEN, FAKE_TAP_CARRIER, FAKE_LINK_SET_MTU,
					    FAKE_LINK_SET_MASTER, FAKE_UDP_SEND };
	struct world *w = *state;

	for (unsigned i = 0; i < HOSTS; i++) {
		bridge_with_guest(w, i);
		write_config(w, i, world_plain);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		fake_fail(w->host[0], ops[i], 0, 1, -ENOBUFS);
		start(w, 0);
		start(w, 1);
		wait_forwarding(w, 12 * US_PER_S);
		assert_int_equal(copies(w, 0, 60), 1);
		end(w, 0);
		end(w, 1);
	}
}

static void one_way_underlay_is_named(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	wait_forwarding(w, 3 * US_PER_S);
	fake_path(w->host[0], w->host[1])->cut = true;
	fake_run_for(w->net, 20 * US_PER_S);
	/* Host 0 hears host 1 call; host 1 hears nothing. */
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_ONE_WAY);
	assert_int_equal(tunnel(w, 1, "sv")->reason, REASON_UNREACHABLE);
	fake_path(w->host[0], w->host[1])->cut = false;
	wait_forwarding(w, 12 * US_PER_S);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(joins_and_carries_frames),
		TEST(bridge_keeps_mac_and_mtu),
		TEST(bridge_made_again_is_joined_again),
		TEST(bridge_is_created_when_wanted),
		TEST(nomaster_backs_off_then_latches),
		TEST(mtu_follows_the_bridge),
		TEST(mtu_fight_backs_off),
		TEST(deleted_tap_comes_back),
		TEST(cut_is_noticed_and_healed),
		TEST(stopped_daemon_forwards_nothing_old),
		TEST(restart_is_back_soon),
		TEST(farewell_is_heard_at_once),
		TEST(parallel_tunnels_forward_once_and_fail_over),
		TEST(control_steers_tunnels),
		TEST(reload_leaves_the_rest_alone),
		TEST(reload_names_switches),
		TEST(reload_adds_a_tunnel_at_both_ends),
		TEST(show_tells_offloads),
		TEST(show_tells_every_drop),
		TEST(bridges_tell_filters),
		TEST(failed_starts_leave_nothing),
		TEST(kernel_errors_are_retried),
		TEST(one_way_underlay_is_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
