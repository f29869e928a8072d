/*
 * Foreign paths and storms, as whole daemons meet them: what is heard on a bridge is made
 * here, under the true keys, since bridges of the made-up kernel are not joined.
 */
#include "tests/unit/daemon_world.h"

#include <errno.h>

#include "l2tund/announce.h"
#include "l2tund/bridge.h"
#include "l2tund/guard.h"
#include "l2tund/peer.h"
#include "l2tund/worker.h"
#include "tests/support/packet.h"

#define TWO                                                       \
	"tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n" \
	"tunnel \"alt\" { peer = \"other\" bridge = \"br-sv\" }\n"

static struct daemon *daemon_of(struct world *w, unsigned i)
{
	return w->daemon[i];
}

static uint64_t now_of(struct world *w, unsigned i)
{
	return w->daemon[i]->os->now_us(w->daemon[i]->os);
}

static void make(struct world *w, unsigned from, enum probe_kind kind, uint32_t seq,
		 const char *bridge, uint8_t frame[PROBE_FRAME_BYTES])
{
	struct probe_body body = { .kind = kind, .incarnation = 1, .seq = seq };

	memcpy(body.node, sessions_node_id(daemon_of(w, from)->sessions), sizeof(body.node));
	snprintf(body.bridge, sizeof(body.bridge), "%s", bridge);
	assert_int_equal(probe_build(&body, daemon_of(w, from)->keys.now, frame), 0);
}

/* A probe of `from` is heard on br-sv of host `at`. */
static void hear(struct world *w, unsigned from, unsigned at, enum probe_kind kind, uint32_t seq,
		 const char *bridge)
{
	uint8_t frame[PROBE_FRAME_BYTES];

	make(w, from, kind, seq, bridge, frame);
	fake_packet_heard(w->host[at], "br-sv", frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
}

static void up(struct world *w, const char *rest)
{
	world_start_both(w, rest, rest);
	world_wait_forwarding(w, 2 * US_PER_S);
	fake_run_for(w->net, 2 * US_PER_S);
}

static void foreign_path_blocks_and_ends(void **state)
{
	struct world *w = *state;
	struct tunnel *t;

	up(w, world_plain);
	t = tunnel(w, 0, "sv");
	hear(w, 1, 0, PROBE_L, 1, "br-sv");
	assert_int_equal(t->state, TUNNEL_BLOCKED);
	assert_int_equal(t->reason, REASON_FOREIGN);
	assert_false(t->gate.open);
	fake_run_for(w->net, 500 * US_PER_MS);
	assert_int_equal(tunnel(w, 1, "sv")->reason, REASON_REMOTE);
	fake_run_for(w->net, 9 * US_PER_S); /* the hold-down; up to a quarter more */
	assert_int_equal(t->state, TUNNEL_BLOCKED);
	world_wait_forwarding(w, 4 * US_PER_S);
	hear(w, 1, 0, PROBE_L, 2, "br-sv");
	fake_run_for(w->net, 19 * US_PER_S); /* twice as long */
	assert_int_equal(t->state, TUNNEL_BLOCKED);
	world_wait_forwarding(w, 7 * US_PER_S);
}

static void port_and_owner_are_named(void **state)
{
	struct world *w = *state;
	uint8_t mac[6];

	up(w, world_plain);
	fake_link_add(w->host[0], "tap3", OS_LINK_TUN);
	fake_link_owner(w->host[0], "tap3", "vtund pid 812");
	fake_link_master(w->host[0], "tap3", "br-sv");
	probe_source(sessions_node_id(daemon_of(w, 1)->sessions), "br-sv", mac);
	/* Our own port, by a watchdog frame: it is not to blame. */
	fake_fdb_learn(w->host[0], "l2t-sv", mac);
	hear(w, 1, 0, PROBE_L, 1, "br-sv");
	assert_has(tunnel(w, 0, "sv")->detail, "port (not known yet)");
	fake_fdb_learn(w->host[0], "tap3", mac);
	fake_run_for(w->net, 300 * US_PER_MS);
	hear(w, 1, 0, PROBE_L, 2, "br-sv");
	assert_has(tunnel(w, 0, "sv")->detail, "port tap3 (vtund pid 812)");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"status\"}"),
		   "\"foreign\":[{\"node\":\"kvm1\",");
	/* And in a flood of probes nobody asks each time. */
	unsigned calls = fake_calls(w->host[0], FAKE_FDB_DUMP);
	for (unsigned i = 0; i < 50; i++)
		hear(w, 1, 0, PROBE_L, i, "br-sv");
	assert_true(fake_calls(w->host[0], FAKE_FDB_DUMP) - calls <= 1);
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *p = strstr(text, part); p; p = strstr(p + 1, part))
		n++;
	return n;
}

/* When the port is found after the cut, the log and the events say it then, and once. */
static void culprit_is_told_when_found(void **state)
{
	struct world *w = *state;
	const char *events = "{\"id\":1,\"method\":\"events\"}";
	uint8_t mac[6];

	up(w, world_plain);
	fake_link_add(w->host[0], "tap3", OS_LINK_TUN);
	fake_link_owner(w->host[0], "tap3", "vtund pid 812");
	fake_link_master(w->host[0], "tap3", "br-sv");
	hear(w, 1, 0, PROBE_L, 1, "br-sv");
	assert_int_equal(count(ask(w, 0, 0, events), "port (not known yet)"), 1);
	assert_int_equal(count(ask(w, 0, 0, events), "vtund"), 0);
	probe_source(sessions_node_id(daemon_of(w, 1)->sessions), "br-sv", mac);
	fake_fdb_learn(w->host[0], "tap3", mac);
	for (uint32_t i = 2; i < 100; i++) {
		fake_run_for(w->net, 300 * US_PER_MS);
		hear(w, 1, 0, PROBE_L, i, "br-sv");
	}
	assert_int_equal(count(ask(w, 0, 0, events), "port tap3 (vtund pid 812)"), 1);
	assert_int_equal(count(ask(w, 0, 0, events), "not known yet"), 1);
}

/* Bridges are joined at both hosts, and two tunnels make that a ring: who knows a port names it. */
static void path_of_ours_is_named(void **state)
{
	struct world *w = *state;
	char why[128];
	uint8_t mac[6];

	up(w, "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" priority = 1 }\n"
	      "bridge \"br-lan\" { create = yes }\n"
	      "tunnel \"lan\" { peer = \"there\" bridge = \"br-lan\" priority = 2 }\n");
	fake_link_add(w->host[0], "veth7", OS_LINK_VETH);
	fake_link_master(w->host[0], "veth7", "br-sv");
	probe_source(sessions_node_id(daemon_of(w, 0)->sessions), "br-lan", mac);
	fake_fdb_learn(w->host[0], "veth7", mac);
	for (uint32_t i = 1; i <= 3; i++) {
		hear(w, 0, 0, PROBE_L, i, "br-lan");
		hear(w, 1, 1, PROBE_L, i, "br-lan");
		fake_run_for(w->net, 100 * US_PER_MS);
	}
	bool sv = tunnel(w, 0, "sv")->state == TUNNEL_STANDBY;
	const char *closed = sv ? "sv" : "lan", *other = sv ? "lan" : "sv";

	assert_int_equal(tunnel(w, 0, closed)->reason, REASON_FOREIGN);
	assert_int_equal(tunnel(w, 0, other)->state, TUNNEL_FORWARDING);
	snprintf(why, sizeof(why),
		 "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"%s\"}}", closed);
	assert_int_equal(
		count(ask(w, 0, 0, why), "that we send on our bridge br-lan arrive on our br-sv"),
		1);
	assert_has(ask(w, 0, 0, why), "through port veth7.");
	assert_int_equal(count(ask(w, 0, 0, why), "`bridgectl topology` there"), 1);
	assert_has(ask(w, 1, 0, why), "through port (not known yet).");
}

static void strangers_prove_nothing(void **state)
{
	struct world *w = *state;
	uint8_t frame[PROBE_FRAME_BYTES];

	up(w, world_plain);
	make(w, 1, PROBE_L, 1, "br-sv", frame);
	frame[PROBE_FRAME_BYTES - 1] ^= 1;
	fake_packet_heard(w->host[0], "br-sv", frame, sizeof(frame));
	hear(w, 0, 0, PROBE_L, 1, "br-sv");  /* our own reflection */
	hear(w, 1, 0, PROBE_L, 1, "br-lan"); /* another segment */
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	assert_int_equal(daemon_of(w, 0)->probes_unknown, 1);
}

/* The peer's key changes: its probes are known before, meanwhile and after. */
static void probes_pass_a_change_of_keys(void **state)
{
	struct world *w = *state;

	up(w, world_plain);
	for (unsigned i = 0; i < 140; i++) {
		struct fake_frame f;
		int ifindex;
		unsigned n = 0;

		guest_drain(w, 0);
		guest_drain(w, 1);
		fake_run_for(w->net, US_PER_S);
		while (fake_packet_sent(w->host[1], &ifindex, &f)) {
			fake_packet_heard(w->host[0], "br-sv", f.bytes, f.len);
			n++;
		}
		assert_true(n >= 1);
	}
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_FOREIGN);
	assert_int_equal(daemon_of(w, 0)->probes_unknown, 0);
}

static void parallel_does_not_take_over(void **state)
{
	struct world *w = *state;
	unsigned carriers;

	up(w, TWO);
	assert_int_equal(tunnel(w, 0, "alt")->reason, REASON_PARALLEL);
	carriers = fake_calls(w->host[0], FAKE_TAP_CARRIER);
	hear(w, 1, 0, PROBE_L, 1, "br-sv");
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_FOREIGN);
	assert_int_equal(tunnel(w, 0, "alt")->reason, REASON_FOREIGN);
	/* One carrier has gone, none has come for a moment; and no hold-down for the innocent. */
	assert_int_equal(fake_calls(w->host[0], FAKE_TAP_CARRIER), carriers + 1);
	assert_true(tunnel(w, 0, "sv")->block.hold_until_us > now_of(w, 0));
	assert_true(tunnel(w, 0, "alt")->block.hold_until_us == 0);
}

/* What closed a loop is believed for the hold-down, by both tunnels; and nobody spins meanwhile. */
static void believed_for_the_hold_down(void **state)
{
	struct world *w = *state;

	up(w, TWO);
	hear(w, 1, 0, PROBE_L, 1, "br-sv");
	fake_run_for(w->net, 5 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_FOREIGN);
	assert_int_equal(tunnel(w, 0, "alt")->state, TUNNEL_BLOCKED);
	fake_run_for(w->net, 4 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "alt")->state, TUNNEL_BLOCKED);
	fake_run_for(w->net, 4 * US_PER_S); /* up to a quarter more, and the way back */
	assert_true((tunnel(w, 0, "alt")->state == TUNNEL_FORWARDING) !=
		    (tunnel(w, 0, "sv")->state == TUNNEL_FORWARDING));
}

/* The administrator knows better than a hold-down, of the bridge's evidence, too. */
static void clear_forgets_what_was_heard(void **state)
{
	struct world *w = *state;

	up(w, world_plain);
	hear(w, 1, 0, PROBE_L, 1, "br-sv");
	fake_run_for(w->net, 4 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_FOREIGN);
	ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.clear\",\"params\":{\"name\":\"sv\"}}");
	world_wait_forwarding(w, 2 * US_PER_S);
}

static void clear_before_anybody_looked(void **state)
{
	struct world *w = *state;

	up(w, world_plain);
	tunnel_block(tunnel(w, 0, "sv"), REASON_STORM, "made up");
	tunnel_clear(tunnel(w, 0, "sv"));
	world_wait_forwarding(w, 2 * US_PER_S);
	assert_true(tunnel(w, 0, "sv")->gate.open);
}

static void watchdog_blocks_the_bundle(void **state)
{
	struct world *w = *state;
	uint32_t seq;

	up(w, TWO);
	seq = (uint32_t)tunnel(w, 0, "sv")->serial << 16 | 7;
	hear(w, 0, 0, PROBE_W, seq, "br-sv");
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_WATCHDOG);
	assert_int_equal(tunnel(w, 0, "alt")->state, TUNNEL_BLOCKED);
	fake_run_for(w->net, 9 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "alt")->state, TUNNEL_BLOCKED);
	fake_run_for(w->net, 2 * US_PER_S);
	world_wait_forwarding(w, 2 * US_PER_S);
	for (unsigned i = 0; i < 4; i++) {
		hear(w, 0, 0, PROBE_W, seq, "br-sv");
		assert_false(tunnel(w, 0, "sv")->gate.open || tunnel(w, 0, "alt")->gate.open);
		fake_run_for(w->net, 200 * US_PER_S);
	}
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_LATCHED);
	assert_int_equal(tunnel(w, 0, "alt")->state, TUNNEL_LATCHED);
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"), "\"changed\":[]");
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_LATCHED);
	ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.clear\",\"params\":{\"name\":\"sv\"}}");
	world_wait_forwarding(w, 2 * US_PER_S);
}

/* As if it came in a datagram of its own. */
static void deliver(struct tunnel *t, uint8_t *frame, size_t len)
{
	tunnel_deliver(t->daemon->worker[0], t, &(struct vnet){ 0 }, frame, len, true);
	worker_flush(t->daemon->worker[0]);
}

/* Segments are held to the end of their batch: a gate that closes meanwhile stops them. */
static void what_is_held_heeds_the_gate(void **state)
{
	struct world *w = *state;
	const struct vnet good = { .verified = true };
	struct packet k = { .tcp = true, .flags = 0x10, .flow = 7, .seq = 1 };
	uint8_t payload[1000] = { 1 }, out[2][1100], in[2][1100];
	size_t len = 0;

	up(w, world_plain);
	struct tunnel *t = tunnel(w, 0, "sv");
	fake_fdb_learn(w->host[0], "guest", (const uint8_t[]){ 2, 0, 0, 0, 0, 9 });
	fake_run_for(w->net, US_PER_MS);
	for (unsigned open = 0; open < 2; open++) {
		struct tunnel_counters before = counts(t);

		for (unsigned i = 0; i < 2; i++, k.seq += sizeof(payload), k.id++) {
			len = packet_build(&k, payload, sizeof(payload), out[i]);
			packet_build(&k, payload, sizeof(payload), in[i]);
			memcpy(in[i], (const uint8_t[]){ 2, 0, 0, 0, 0, 9 }, 6);
			tunnel_tap_ops.frame(t, 0, &good, out[i], len);
			tunnel_deliver(t->daemon->worker[0], t, &good, in[i], len, true);
		}
		assert_int_equal(counts(t).tx_frames, before.tx_frames);
		assert_int_equal(counts(t).rx_frames, before.rx_frames);
		t->gate.open = open;
		tunnel_tap_ops.drained(t, 0);
		t->gate.open = true;
		assert_int_equal(counts(t).drop_gate - before.drop_gate, open ? 0 : 4);
		assert_int_equal(counts(t).tx_frames - before.tx_frames, open ? 2 : 0);
		assert_int_equal(counts(t).rx_frames - before.rx_frames, open ? 2 : 0);
	}
}

/* What the peer joins is no loop until it comes back to the bridge that it left. */
static void watchdog_at_another_place_is_no_loop(void **state)
{
	struct world *w = *state;
	struct tunnel *t;
	uint8_t frame[PROBE_FRAME_BYTES];

	up(w, world_plain);
	t = tunnel(w, 0, "sv");
	make(w, 0, PROBE_W, (uint32_t)(t->serial + 1) << 16, "br-lan", frame);
	deliver(t, frame, sizeof(frame));
	assert_true(t->gate.open);
	/* Through its own tunnel: the peer's side reflects. */
	make(w, 0, PROBE_W, (uint32_t)t->serial << 16, "br-sv", frame);
	deliver(t, frame, sizeof(frame));
	assert_true(t->gate.open);
	/* Through another one. */
	make(w, 0, PROBE_W, (uint32_t)(t->serial + 1) << 16, "br-sv", frame);
	deliver(t, frame, sizeof(frame));
	assert_false(t->gate.open);
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(t->reason, REASON_WATCHDOG);
}

/* A ring through two tunnels: each one's frame comes back by the other. One of them is enough. */
static void a_loop_is_cut_once(void **state)
{
	struct world *w = *state;
	struct tunnel *sv, *lan;
	uint8_t one[PROBE_FRAME_BYTES], two[PROBE_FRAME_BYTES];

	up(w, "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n"
	      "bridge \"br-lan\" { create = yes }\n"
	      "tunnel \"lan\" { peer = \"there\" bridge = \"br-lan\" }\n");
	sv = tunnel(w, 0, "sv");
	lan = tunnel(w, 0, "lan");
	assert_true(sv->gate.open && lan->gate.open);
	make(w, 0, PROBE_W, (uint32_t)lan->serial << 16, "br-sv", one);
	make(w, 0, PROBE_W, (uint32_t)sv->serial << 16, "br-lan", two);
	deliver(sv, one, sizeof(one));
	deliver(lan, two, sizeof(two));
	assert_false(sv->gate.open);
	assert_true(lan->gate.open);
}

static void the_same_frame_is_a_storm(void **state)
{
	struct world *w = *state;
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1, 1, 1, 1, 1, 8, 0 };
	struct tunnel *t;

	up(w, world_plain);
	t = tunnel(w, 0, "sv");
	for (unsigned i = 0; i < STORM_REPEATS - 1; i++)
		fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(t->state, TUNNEL_FORWARDING);
	fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(t->reason, REASON_STORM);
	assert_has(t->detail, "out of our bridge br-sv (from 02:01:01:01:01:01 to "
			      "ff:ff:ff:ff:ff:ff, type 0x0800)");
	assert_int_equal(counts(t).tx_frames, STORM_REPEATS - 1);
}

/* The storm's cause is known to the topology, though it is beside no single tunnel of ours. */
static void explained_storms_are_short(void **state)
{
	struct world *w = *state;
	struct tunnel *t;

	up(w, world_plain);
	t = tunnel(w, 0, "sv");
	tunnel_block(t, REASON_STORM, "made up");
	fake_run_for(w->net, 10 * US_PER_MS);
	assert_int_equal(t->state, TUNNEL_BLOCKED);
	for (uint32_t i = 1; i <= 3; i++) {
		hear(w, 1, 0, PROBE_L, i, "br-lan");
		fake_run_for(w->net, 500 * US_PER_MS);
	}
	assert_int_equal(t->state, TUNNEL_BLOCKED);
	world_wait_forwarding(w, 2 * US_PER_S);
	tunnel_block(t, REASON_STORM, "made up");
	fake_run_for(w->net, 15 * US_PER_S); /* nothing is known to have made this one */
	assert_int_equal(t->state, TUNNEL_BLOCKED);
}

/* Deaf for a while: the peer must hear when that is over. */
static void deaf_bridge_recovers(void **state)
{
	struct world *w = *state;

	fake_fail(w->host[0], FAKE_PACKET_OPEN, 0, 2, -ENOBUFS);
	world_start_plain(w);
	fake_run_for(w->net, 4 * US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
	world_wait_forwarding(w, 20 * US_PER_S);
}

static bool not_preparing(void *arg)
{
	return tunnel(arg, 0, "sv")->state != TUNNEL_PREPARE;
}

static bool gate_closed(void *arg)
{
	return !tunnel(arg, 0, "sv")->gate.open;
}

/* Stopped while it should have listened: the time is over, but nothing was listened to. */
static void stall_does_not_count_as_listening(void **state)
{
	struct world *w = *state;

	world_start_both(w, world_plain, world_plain);
	assert_true(fake_run_while(w->net, not_preparing, w, 2 * US_PER_S));
	uint32_t before = tunnel(w, 0, "sv")->bridge->guard.seq;
	fake_host_stall(w->host[0], GUARD_PREPARE_US + 10 * US_PER_MS);
	assert_true(fake_run_while(w->net, gate_closed, w, 2 * US_PER_S));
	assert_true(tunnel(w, 0, "sv")->bridge->guard.seq - before >= GUARD_PREPARE_PROBES);
}

static void policer_follows_a_reload(void **state)
{
	struct world *w = *state;

	up(w, world_plain);
	write_config(w, 0, "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" policer = 77 }\n");
	ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}");
	assert_int_equal(tunnel(w, 0, "sv")->floods.tx.rate, 77);
	assert_int_equal(tunnel(w, 0, "sv")->floods.rx.rate, 77);
}

static void local_addresses_are_announced(void **state)
{
	struct world *w = *state;
	static const uint8_t here[6] = { 2, 1 }, away[6] = { 2, 2 };
	struct fake_frame f;
	unsigned n = 0;

	world_start_plain(w);
	fake_fdb_learn(w->host[0], "guest", here);
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_run_for(w->net, 2 * US_PER_S);
	while (fake_recv(w->host[1], "guest", &f)) {
		if (f.bytes[12] != 0x80 || f.bytes[13] != 0x35)
			continue;
		assert_memory_equal(f.bytes + 6, here, 6);
		n++;
	}
	assert_int_equal(n, 1);
}

/* Who has evidence closes the gate, at once; state and timers follow in a turn of their own. */
static void closed_gate_lets_nothing_of_ours_pass(void **state)
{
	static const uint8_t here[6] = { 2, 1 };
	static const char ask_for[] =
		"{\"id\":1,\"method\":\"announce\",\"params\":{\"name\":\"br-sv\"}}";
	struct world *w = *state;
	struct stream_counters before, after;

	world_start_plain(w);
	world_wait_forwarding(w, US_PER_S);
	fake_fdb_learn(w->host[0], "guest", here);
	fake_run_for(w->net, 2 * US_PER_S);
	struct tunnel *t = tunnel(w, 0, "sv");
	assert_has(ask(w, 0, 0, ask_for), "\"frames\":1");
	peer_counters(t->peer, &before);
	t->gate.open = false;
	assert_has(ask(w, 0, 0, ask_for), "\"frames\":0");
	t->w_next_us = 0; /* the watchdog's is due, too */
	guard_run(w->daemon[0]);
	peer_counters(t->peer, &after);
	assert_int_equal(after.tx_frames, before.tx_frames);
}

/* A flooded super-frame is as many frames as come out of it, whoever cuts it. */
static void super_frames_are_policed_as_frames(void **state)
{
	enum { SEGMENTS = 40, SEGMENT = 100, SENT = 100 };
	struct packet k = { .flow = 7 };
	uint8_t payload[SEGMENTS * SEGMENT], frame[PACKET_MAX];
	struct world *w = *state;
	struct vnet v;

	world_start_plain(w);
	world_wait_forwarding(w, US_PER_S);
	fake_run_for(w->net, 3 * US_PER_S); /* a whole burst, and the full rate */
	struct tunnel_counters before = counts(tunnel(w, 0, "sv"));
	for (unsigned i = 0; i < SENT; i++) {
		memset(payload, (int)i, sizeof(payload));
		size_t len = packet_build(&k, payload, sizeof(payload), frame);

		memset(frame, 0xff, 6);
		packet_unfinish(&k, frame, len, &v);
		v.gso = VNET_GSO_UDP;
		v.gso_size = SEGMENT;
		assert_int_equal(fake_send(w->host[0], "guest", &v, frame, len), 0);
	}
	fake_run_for(w->net, 5 * US_PER_MS);
	struct tunnel_counters after = counts(tunnel(w, 0, "sv"));
	uint64_t passed = after.tx_frames - before.tx_frames;
	assert_in_range(passed, STORM_BURST / SEGMENTS - 5, STORM_BURST / SEGMENTS + 5);
	assert_int_equal(after.drop_policer - before.drop_policer, SENT - passed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(foreign_path_blocks_and_ends),
		TEST(port_and_owner_are_named),
		TEST(culprit_is_told_when_found),
		TEST(path_of_ours_is_named),
		TEST(strangers_prove_nothing),
		TEST(probes_pass_a_change_of_keys),
		TEST(parallel_does_not_take_over),
		TEST(believed_for_the_hold_down),
		TEST(clear_forgets_what_was_heard),
		TEST(clear_before_anybody_looked),
		TEST(watchdog_blocks_the_bundle),
		TEST(what_is_held_heeds_the_gate),
		TEST(watchdog_at_another_place_is_no_loop),
		TEST(a_loop_is_cut_once),
		TEST(the_same_frame_is_a_storm),
		TEST(explained_storms_are_short),
		TEST(deaf_bridge_recovers),
		TEST(stall_does_not_count_as_listening),
		TEST(policer_follows_a_reload),
		TEST(local_addresses_are_announced),
		TEST(closed_gate_lets_nothing_of_ours_pass),
		TEST(super_frames_are_policed_as_frames),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
