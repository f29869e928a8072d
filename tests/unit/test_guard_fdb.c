/*
 * What whole daemons make of forwarding tables: addresses that move, floods of unicast frames,
 * tunnels that would carry themselves, announcements; and what they leave alone when the table
 * says nothing reliable.
 */
#include "tests/unit/daemon_world.h"

#include <errno.h>

#include "l2tund/bridge.h"
#include "l2tund/peer.h"
#include "l2tund/topology/rarp.h"

#define AGEING_MS 300000
#define TWO                                                       \
	"tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n" \
	"tunnel \"alt\" { peer = \"other\" bridge = \"br-sv\" }\n"

static const uint8_t guest[6] = { 2, 1, 1, 1, 1, 1 }, away[6] = { 2, 2, 2, 2, 2, 2 },
		     nobody[6] = { 2, 9, 9, 9, 9, 9 };

static struct fdb_mirror *mirror(struct world *w, unsigned i)
{
	return &tunnel(w, i, "sv")->bridge->mirror;
}

static void up(struct world *w, const char *rest)
{
	world_start_both(w, rest, rest);
	for (unsigned i = 0; i < 2; i++)
		fake_bridge_ageing(w->host[i], "br-sv", AGEING_MS);
	world_wait_forwarding(w, 2 * US_PER_S);
	fake_run_for(w->net, 5 * US_PER_S); /* all bursts and early rates are over */
	for (unsigned i = 0; i < 2; i++)
		guest_drain(w, i);
}

static unsigned probes(struct world *w, unsigned i)
{
	struct fake_frame f;
	unsigned n = 0;
	int ifindex;

	while (fake_packet_sent(w->host[i], &ifindex, &f))
		n++;
	return n;
}

/* addresses that move */

static void a_move_asks_for_probes(void **state)
{
	struct world *w = *state;

	up(w, world_plain);
	fake_fdb_learn(w->host[0], "guest", guest);
	fake_run_for(w->net, US_PER_S);
	assert_in_range(probes(w, 0), 1, 3);
	fake_fdb_learn(w->host[0], "l2t-sv", guest);
	fake_run_for(w->net, US_PER_S);
	assert_in_range(probes(w, 0), 40, 60);
	assert_int_equal(mirror(w, 0)->moves, 1);
	/* It is no verdict. */
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	/* And back again, which may be a loop or not: bursts have a distance. */
	for (unsigned i = 0; i < 100; i++) {
		fake_fdb_learn(w->host[0], i % 2 ? "l2t-sv" : "guest", guest);
		fake_run_for(w->net, 100 * US_PER_MS);
	}
	assert_int_equal(mirror(w, 0)->moves, 101);
	assert_in_range(mirror(w, 0)->bursts, 5, 7);
}

static void other_moves_are_nothing(void **state)
{
	struct world *w = *state;

	up(w, TWO);
	fake_link_add(w->host[0], "guest2", OS_LINK_VETH);
	fake_link_master(w->host[0], "guest2", "br-sv");
	fake_run_for(w->net, 3 * US_PER_S); /* a new port asks for probes, too */
	probes(w, 0);
	fake_fdb_learn(w->host[0], "guest", guest);
	fake_fdb_learn(w->host[0], "guest2", guest);
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_fdb_learn(w->host[0], "l2t-alt", away);
	/* Gone here and learnt there: an outage, not a move. */
	fake_fdb_learn(w->host[0], "l2t-sv", nobody);
	fake_fdb_forget(w->host[0], "l2t-sv", nobody);
	fake_fdb_learn(w->host[0], "guest", nobody);
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(mirror(w, 0)->moves, 0);
	assert_in_range(probes(w, 0), 1, 3);
}

static void losses_ask_for_probes_and_are_repaired(void **state)
{
	struct world *w = *state;
	struct fdb_mirror *m;

	up(w, world_plain);
	m = mirror(w, 0);
	probes(w, 0);
	fake_fdb_learn(w->host[0], "guest", guest);
	fake_run_for(w->net, US_PER_MS);
	assert_true(fdb_mirror_reliable(m));
	fake_fdb_lose(w->host[0], true);
	assert_false(fdb_mirror_reliable(m));
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_fdb_forget(w->host[0], "guest", guest);
	fake_run_for(w->net, US_PER_S);
	assert_in_range(probes(w, 0), 40, 60);
	assert_false(fdb_mirror_reliable(m));
	fake_fdb_lose(w->host[0], false);
	fake_run_for(w->net, US_PER_MS);
	assert_true(fdb_mirror_reliable(m));
	assert_true(fdb_mirror_knows(m, away, tunnel(w, 0, "sv")->port.ifindex));
	assert_false(fdb_mirror_knows(m, guest, 0));
	/* Again and again: the table is read less and less often. */
	unsigned before = fake_calls(w->host[0], FAKE_FDB_DUMP);
	for (unsigned i = 0; i < 600; i++) {
		fake_fdb_lose(w->host[0], true);
		fake_fdb_lose(w->host[0], false);
		fake_run_for(w->net, 100 * US_PER_MS);
	}
	assert_in_range(fake_calls(w->host[0], FAKE_FDB_DUMP) - before, 4, 8);
	assert_int_equal(daemon_find_bridge(w->daemon[0], "br-sv")->daemon->fdb_watch.losses, 601);
	fake_run_for(w->net, 61 * US_PER_S);
	assert_true(fdb_mirror_reliable(m));
}

static void a_table_that_cannot_be_read_is_tried_again(void **state)
{
	struct world *w = *state;

	fake_fail(w->host[0], FAKE_FDB_DUMP, 0, 3, -ENOMEM);
	up(w, world_plain);
	assert_true(fdb_mirror_reliable(mirror(w, 0)));
	/* The bridge is made anew. */
	fake_fdb_learn(w->host[0], "guest", guest);
	fake_run_for(w->net, US_PER_MS);
	fake_link_del(w->host[0], "br-sv");
	fake_run_for(w->net, US_PER_S);
	assert_false(fdb_mirror_reliable(mirror(w, 0)));
	fake_link_add(w->host[0], "br-sv", OS_LINK_BRIDGE);
	fake_bridge_ageing(w->host[0], "br-sv", AGEING_MS);
	fake_run_for(w->net, US_PER_S);
	assert_true(fdb_mirror_reliable(mirror(w, 0)));
	assert_false(fdb_mirror_knows(mirror(w, 0), guest, 0));
}

static void without_a_watch(void **state)
{
	struct world *w = *state;

	fake_fail(w->host[0], FAKE_FDB_WATCH, 0, 1, -EPERM);
	up(w, world_plain);
	assert_false(fdb_mirror_reliable(mirror(w, 0)));
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
}

/* floods of unicast frames */

static void frame_to(const uint8_t mac[6], unsigned number, uint8_t frame[60])
{
	memset(frame, 0, 60);
	memcpy(frame, mac, 6);
	memcpy(frame + 6, guest, 6);
	frame[12] = 0x08;
	put_le32(frame + 20, number);
}

/* From the guest of host `i`, `n` different frames in no time; gives how many came across. */
static unsigned offer(struct world *w, unsigned i, const uint8_t mac[6], unsigned n)
{
	struct fake_frame f;
	uint8_t frame[60];
	unsigned got = 0;

	for (unsigned k = 0; k < n; k++) {
		frame_to(mac, k, frame);
		fake_send(w->host[i], "guest", NULL, frame, sizeof(frame));
		if (k % 64 == 63)
			fake_run_for(w->net, 100);
	}
	fake_run_for(w->net, 10 * US_PER_MS);
	while (guest_recv(w, !i, &f))
		got++;
	return got;
}

#define MANY 3000

static void unknown_unicasts_are_policed(void **state)
{
	struct world *w = *state;
	const struct tunnel *t[2];
	uint64_t before[2];

	up(w, world_plain);
	for (unsigned i = 0; i < 2; i++)
		t[i] = tunnel(w, i, "sv");
	/* Known at neither end: the sender's end drops. */
	assert_in_range(offer(w, 0, nobody, MANY), STORM_BURST, STORM_BURST + 100);
	assert_in_range(counts(t[0]).drop_policer, MANY - STORM_BURST - 100, MANY - STORM_BURST);
	fake_run_for(w->net, US_PER_S);
	/* Known here behind the tunnel, and there not: the other end would flood it. */
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_run_for(w->net, US_PER_MS);
	before[0] = counts(t[0]).drop_policer;
	assert_in_range(offer(w, 0, away, MANY), STORM_BURST, STORM_BURST + 100);
	assert_int_equal(counts(t[0]).drop_policer, before[0]);
	assert_in_range(counts(t[1]).drop_policer, MANY - STORM_BURST - 100, MANY - STORM_BURST);
	/* Known at both: it may have all there is, and costs nobody's credit. */
	fake_fdb_learn(w->host[1], "guest", away);
	fake_run_for(w->net, US_PER_MS);
	before[1] = counts(t[1]).drop_policer;
	assert_int_equal(offer(w, 0, away, MANY), MANY);
	assert_int_equal(counts(t[0]).drop_policer, before[0]);
	assert_int_equal(counts(t[1]).drop_policer, before[1]);
	/* Known, but behind another port than ours: it came to us by flooding. */
	fake_fdb_learn(w->host[0], "guest", away);
	fake_run_for(w->net, US_PER_S);
	assert_true(offer(w, 0, away, MANY) < MANY);
	assert_true(counts(t[0]).drop_policer > before[0]);
}

/* The bridge's own address is known, and so is one that is only behind the tunnel itself. */
static void known_ones_are_not(void **state)
{
	struct world *w = *state;
	struct os_fdb_entry own = { .local = true };

	up(w, world_plain);
	memcpy(own.mac, away, sizeof(own.mac));
	fake_fdb_put(w->host[1], "guest", &own);
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(offer(w, 0, away, MANY), MANY);
	fake_fdb_learn(w->host[0], "l2t-sv", nobody);
	fake_fdb_learn(w->host[1], "l2t-sv", nobody);
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(offer(w, 0, nobody, MANY), MANY);
	assert_int_equal(counts(tunnel(w, 0, "sv")).drop_policer, 0);
	assert_int_equal(counts(tunnel(w, 1, "sv")).drop_policer, 0);
}

static void passes_all(struct world *w)
{
	assert_int_equal(offer(w, 0, nobody, MANY), MANY);
	assert_int_equal(counts(tunnel(w, 0, "sv")).drop_policer, 0);
}

/* Whatever makes the mirror say less than the bridge knows. */
static void in_doubt_it_passes(void **state)
{
	struct world *w = *state;
	uint8_t mac[6] = { 2, 7 };

	up(w, world_plain);
	fake_fdb_lose(w->host[1], true);
	fake_fdb_lose(w->host[0], true);
	passes_all(w);
	fake_fdb_lose(w->host[0], false);
	fake_run_for(w->net, US_PER_MS);
	assert_true(fdb_mirror_reliable(mirror(w, 0)));
	fake_bridge_ageing(w->host[0], "br-sv", 0);
	fake_run_for(w->net, US_PER_MS);
	passes_all(w);
	fake_bridge_ageing(w->host[0], "br-sv", AGEING_MS);
	fake_link_learning(w->host[0], "guest", false);
	fake_run_for(w->net, US_PER_MS);
	passes_all(w);
	fake_link_learning(w->host[0], "guest", true);
	fake_run_for(w->net, US_PER_MS);
	assert_true(fdb_mirror_reliable(mirror(w, 0)));
	/* More addresses than the mirror holds. */
	struct os_fdb_entry e = { .ifindex = fake_link(w->host[0], "guest")->index };
	int from;
	for (unsigned i = 0; i < FDB_MAX; i++) {
		put_le32(mac + 2, i);
		fdb_put(&mirror(w, 0)->fdb, mac, 0, e.ifindex, false, &from);
	}
	fake_fdb_learn(w->host[0], "guest", away);
	fake_run_for(w->net, 200);
	assert_false(fdb_mirror_reliable(mirror(w, 0)));
	passes_all(w);
	/* It has been read again since: in truth there is but one. */
	fake_run_for(w->net, 100 * US_PER_S);
	assert_true(fdb_mirror_reliable(mirror(w, 0)));
	assert_int_equal(mirror(w, 0)->fdb.n, 1);
}

static void a_unicast_storm_blocks(void **state)
{
	struct world *w = *state;
	uint8_t frame[60];

	up(w, world_plain);
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_run_for(w->net, US_PER_MS);
	frame_to(away, 1, frame);
	fake_fdb_learn(w->host[1], "guest", away);
	fake_run_for(w->net, US_PER_MS);
	for (unsigned i = 0; i < 3 * STORM_REPEATS; i++)
		fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	frame_to(nobody, 1, frame);
	for (unsigned i = 0; i < STORM_REPEATS; i++)
		fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_STORM);
}

/* tunnels that would carry themselves */

/* A datagram of host 0 to host 1 over underlay `k`, to the station `mac`. */
static void own_datagram(const uint8_t mac[6], unsigned k, uint8_t frame[60])
{
	const uint8_t net[2][3] = { { 192, 0, 2 }, { 198, 51, 100 } };

	frame_to(mac, 0, frame);
	frame[14] = 0x45;
	frame[23] = 17;
	memcpy(frame + 26, net[k], 3);
	frame[29] = 1;
	memcpy(frame + 30, net[k], 3);
	frame[33] = 2;
	frame[34] = frame[36] = 4655 >> 8;
	frame[35] = frame[37] = 4655 & 0xff;
}

static void own_packets_block(void **state)
{
	struct world *w = *state;
	uint8_t frame[60];
	struct tunnel *t;

	up(w, TWO);
	t = tunnel(w, 0, "sv");
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_run_for(w->net, US_PER_MS);
	uint64_t before = counts(t).tx_frames;
	/* Of the other tunnel's session: it may well go through this one. */
	own_datagram(away, 1, frame);
	fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(t->state, TUNNEL_FORWARDING);
	assert_int_equal(counts(t).tx_frames, before + 1);
	own_datagram(away, 0, frame);
	fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, US_PER_MS);
	assert_int_equal(t->state, TUNNEL_BLOCKED);
	assert_int_equal(t->reason, REASON_RECURSION);
	assert_int_equal(counts(t).tx_frames, before + 1);
	assert_has(t->detail, "192.0.2.2:4655");
	assert_has(t->detail, "does not lead over br-sv");
	assert_has(
		ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"sv\"}}"),
		"the tunnel opens by itself");
	/* The other way to the same peer is no cause of anything, and takes over. */
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(tunnel(w, 0, "alt")->state, TUNNEL_FORWARDING);
	assert_int_equal(tunnel(w, 1, "alt")->state, TUNNEL_FORWARDING);
}

/* The peer's way has led through the bridge, so it is not heard: the reason remains. */
static void recursion_is_told_until_the_peer_is_heard(void **state)
{
	struct world *w = *state;
	uint8_t frame[60];
	struct tunnel *t;

	up(w, world_plain);
	t = tunnel(w, 0, "sv");
	fake_fdb_learn(w->host[0], "l2t-sv", away);
	fake_run_for(w->net, US_PER_MS);
	own_datagram(away, 0, frame);
	fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_host_cut(w->host[0], true);
	fake_run_for(w->net, 40 * US_PER_S);
	assert_int_equal(session_state(t->peer->session), SESSION_HANDSHAKE);
	assert_int_equal(t->reason, REASON_RECURSION);
	fake_host_cut(w->host[0], false);
	world_wait_forwarding(w, 15 * US_PER_S);
}

/* Underlay and tunnel may share a bridge, as long as the way to the peer is another port. */
static void flooded_own_packets_only_stay(void **state)
{
	struct world *w = *state;
	struct fake_frame f;
	uint8_t frame[60];
	struct tunnel *t;

	up(w, world_plain);
	t = tunnel(w, 0, "sv");
	own_datagram(nobody, 0, frame);
	for (unsigned i = 0; i < 100; i++)
		fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, 10 * US_PER_MS);
	assert_int_equal(t->state, TUNNEL_FORWARDING);
	assert_false(guest_recv(w, 1, &f));
	assert_int_equal(counts(t).drop_gate, 100);
	/* Of the same bytes another station's datagram is none of ours. */
	frame[29] = 77;
	fake_send(w->host[0], "guest", NULL, frame, sizeof(frame));
	fake_run_for(w->net, 10 * US_PER_MS);
	assert_true(guest_recv(w, 1, &f));
}

/* announcements */

static bool announced(struct world *w, const struct os_fdb_entry *e, unsigned *ret_len)
{
	struct fake_frame f;
	bool found = false;

	while (fake_recv(w->host[1], "guest", &f)) {
		size_t at = f.len == RARP_TAGGED_BYTES ? 16 : 12;

		if (f.bytes[at] == 0x80 && f.bytes[at + 1] == 0x35 &&
		    memcmp(f.bytes + 6, e->mac, 6) == 0) {
			found = true;
			*ret_len = (unsigned)f.len;
			if (at == 16)
				assert_int_equal(f.bytes[14] << 8 | f.bytes[15], e->vlan);
		}
	}
	return found;
}

static void announcements_bear_their_tag(void **state)
{
	static const struct {
		struct os_fdb_entry e;
		unsigned len; /* 0: none is sent */
	} cases[] = {
		{ { .mac = { 2, 5, 1 } }, RARP_FRAME_BYTES },
		{ { .mac = { 2, 5, 2 }, .vlan = 7 }, RARP_TAGGED_BYTES },
		{ { .mac = { 2, 5, 3 }, .vlan = 4094 }, RARP_TAGGED_BYTES },
		{ { .mac = { 2, 5, 4 }, .vlan = 1 }, RARP_FRAME_BYTES }, /* the default one */
		{ { .mac = { 2, 5, 5 }, .stale = true }, 0 },
		{ { .mac = { 2, 5, 6 }, .local = true }, 0 },
	};
	struct world *w = *state;
	char line[128];

	up(w, world_plain);
	fake_bridge_pvid(w->host[0], "br-sv", 1);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		fake_fdb_put(w->host[0], "guest", &cases[i].e);
	fake_run_for(w->net, US_PER_MS);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned len = 0;

		guest_drain(w, 1);
		ask(w, 0, 0, "{\"id\":1,\"method\":\"announce\",\"params\":{\"name\":\"br-sv\"}}");
		assert_int_equal(announced(w, &cases[i].e, &len), cases[i].len != 0);
		assert_int_equal(len, cases[i].len);
	}
	/* By name: in its VLAN, and even if it is not known. */
	for (unsigned i = 1; i < 6; i += 4) {
		unsigned len = 0;

		guest_drain(w, 1);
		snprintf(line, sizeof(line),
			 "{\"id\":1,\"method\":\"announce\",\"params\":{\"name\":\"br-sv\","
			 "\"mac\":\"02:05:%02x:00:00:00\"}}",
			 i + 1);
		ask(w, 0, 0, line);
		assert_true(announced(w, &cases[i].e, &len));
		assert_int_equal(len, i == 1 ? RARP_TAGGED_BYTES : RARP_FRAME_BYTES);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_move_asks_for_probes),
		TEST(other_moves_are_nothing),
		TEST(losses_ask_for_probes_and_are_repaired),
		TEST(a_table_that_cannot_be_read_is_tried_again),
		TEST(without_a_watch),
		TEST(unknown_unicasts_are_policed),
		TEST(known_ones_are_not),
		TEST(in_doubt_it_passes),
		TEST(a_unicast_storm_blocks),
		TEST(own_packets_block),
		TEST(recursion_is_told_until_the_peer_is_heard),
		TEST(flooded_own_packets_only_stay),
		TEST(announcements_bear_their_tag),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
