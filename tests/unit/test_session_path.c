/*
 * Sessions and the underlay: size of the path, change of address, several paths and several
 * peers; and what sessions carry about tunnels: lists of segments and their states.
 */
#include "l2tund/session/peer.h"
#include "tests/unit/simpeer.h"

#define A_HOST SIM_A_HOST
#define B_HOST SIM_B_HOST
#define S US_PER_S
#define MS US_PER_MS

/* The source address changes under way, as behind a NAT that forgot its mapping. */
static void test_roaming(void **state)
{
	struct sim_pair *f = sim_pair_new(15);
	(void)state;

	sim_join(&f->a, NULL, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, S);
	simnet_rebind(f->a.wire, 0, "10.9.9.9:61001");
	sim_pass(f, 600 * MS); /* its next hello comes from there */
	assert_int_equal(f->b.events[0][SESSION_EV_MOVED], 1);
	struct session_info b = sim_info(&f->b, 0);
	assert_true(addr_equal(&b.path.remote, &f->a.wire->addrs[0]));
	sim_exchange(f, 1);
	sim_pass(f, 5 * S);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN] + f->b.events[0][SESSION_EV_DOWN], 0);
	sim_pair_free(f);
}

static void set_line(struct sim_pair *f, unsigned mtu, bool local)
{
	f->net.mtu = local ? 0 : mtu;
	f->a.wire->mtu = f->b.wire->mtu = local ? mtu : 0;
}

static void test_path_mtu(void **state)
{
	static const unsigned sizes[] = { 1200, 1280, 1420, 1450, 1492, 1500, 4000, 9000 };
	(void)state;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		struct sim_pair *f = sim_pair_new(16);
		unsigned mtu = sizes[i / 2];

		set_line(f, mtu, i % 2);
		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		assert_true(sim_wait_up(&f->a, &f->b, S));
		assert_int_equal(sim_info(&f->a, 0).path_mtu, 1200);
		sim_pass(f, 30 * S);
		unsigned got = sim_info(&f->a, 0).path_mtu;
		/* Probes that were too large are no loss. */
		assert_int_equal(sim_info(&f->a, 0).loss_tx_permille, 0);
		assert_int_equal(sim_info(&f->b, 0).loss_rx_permille, 0);
		assert_in_range(got, mtu - 8, mtu);
		if (mtu == 1280 || mtu == 1420 || mtu == 1450 || mtu == 1492 || mtu == 1500 ||
		    mtu == 9000)
			assert_int_equal(got, mtu);
		if (mtu > 1200)
			assert_true(f->a.events[0][SESSION_EV_MTU] >= 1);
		/* What fits the room passes the line. */
		f->net.too_big = 0;
		assert_true(sim_data(&f->a, 0, 1, session_room(f->a.peers[0])) > 0);
		sim_pass(f, 10 * MS);
		assert_true(f->b.seen[1]);
		sim_pair_free(f);
	}
}

/* The line shrinks without a word: found by the regular check, without losing the session. */
static void test_black_hole(void **state)
{
	struct sim_pair *f = sim_pair_new(17);
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	f->net.mtu = 1500;
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 30 * S);
	assert_int_equal(sim_info(&f->a, 0).path_mtu, 1500);
	f->net.mtu = 1400;
	sim_pass(f, 12 * S);
	assert_true(sim_info(&f->a, 0).path_mtu <= 1400);
	sim_pass(f, 10 * S);
	assert_int_equal(sim_info(&f->a, 0).path_mtu, 1400);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	f->net.mtu = 1500; /* and after a while it grows again */
	sim_pass(f, 620 * S);
	assert_int_equal(sim_info(&f->a, 0).path_mtu, 1500);
	/* The kernel says so: at once. */
	session_too_big(f->a.peers[0], 1450, f->net.now_us);
	assert_int_equal(sim_info(&f->a, 0).path_mtu, 1200);
	sim_pair_free(f);
}

/* Under load of full-size datagrams that vanish the check does not wait for its turn. */
static void test_black_hole_traffic(void **state)
{
	struct sim_pair *f = sim_pair_new(18);
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	f->net.mtu = 1500;
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 25 * S);
	size_t room = session_room(f->a.peers[0]);
	f->net.mtu = 1400;
	for (uint32_t i = 0; i < 3000 && session_room(f->a.peers[0]) == room; i++) {
		sim_data(&f->a, 0, i, room);
		sim_pass(f, MS);
	}
	assert_int_equal(sim_info(&f->a, 0).path_mtu, 1200);
	sim_pair_free(f);
}

/* Control has a socket of its own and is read first: what comes behind it is not lost. */
static void test_hellos_overtake_data(void **state)
{
	struct sim_pair *f = sim_pair_new(19);
	uint64_t delay_us = f->net.delay_us;
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	f->net.mtu = 1500;
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 25 * S);
	for (uint32_t i = 0, n = 0; i < 120; i++) {
		f->net.delay_us = 120 * MS;
		for (uint32_t end = n + i % 40; n < end; n++)
			sim_data(&f->a, 0, n, 500);
		f->net.delay_us = delay_us;
		/* Quiet until the next hello has come, so that only bursts are behind one. */
		for (unsigned part = 0; part < 7; part++) {
			sim_pass(f, 91 * MS);
			assert_int_equal(sim_info(&f->a, 0).loss_tx_permille, 0);
			assert_int_equal(sim_info(&f->b, 0).loss_rx_permille, 0);
		}
		assert_int_equal(sim_info(&f->a, 0).path_mtu, 1500);
	}
	sim_pair_free(f);
}

static void make_segments(struct segment *segs, unsigned n, unsigned base)
{
	memset(segs, 0, n * sizeof(*segs));
	for (unsigned i = 0; i < n; i++) {
		segs[i].id = (uint16_t)(base + i);
		snprintf(segs[i].bridge, sizeof(segs[i].bridge), "br-%hu", (uint16_t)(base + i));
		snprintf(segs[i].want, sizeof(segs[i].want), "brfar-long-%hhu", (uint8_t)i);
		segs[i].mac[5] = (uint8_t)i;
		segs[i].mtu = (uint16_t)(1500 + i);
		segs[i].priority = (uint16_t)(100 * i);
		segs[i].mesh = i % 3 == 0;
		segs[i].usable = i % 2 == 0;
	}
}

static bool has_far(void *arg)
{
	struct sim_node *n = arg;
	unsigned count;
	return session_far_segments(n->peers[0], &count) && count == 256;
}

struct some {
	unsigned left; /* how many are still to be lost */
};

static bool lose_some(void *arg, const struct addr *from, const struct addr *to,
		      const uint8_t *dgram, size_t len)
{
	struct some *w = arg;
	(void)from, (void)to, (void)dgram;
	if (!w->left || len > 1000) /* probes of the path do not count */
		return true;
	w->left--;
	return false;
}

/* The most that either side told of in ten seconds in which `n` datagrams in turn were lost. */
static unsigned worst_told(struct sim_pair *f, unsigned n)
{
	struct some w = { .left = n };
	unsigned worst = 0;

	f->net.filter = lose_some;
	f->net.filter_arg = &w;
	for (unsigned i = 0; i < 100; i++) {
		struct session_info a, b;

		sim_pass(f, S / 10);
		a = sim_info(&f->a, 0);
		b = sim_info(&f->b, 0);
		worst = MAX(worst, MAX(a.loss_rx_permille, a.loss_tx_permille));
		worst = MAX(worst, MAX(b.loss_rx_permille, b.loss_tx_permille));
	}
	assert_int_equal(w.left, 0);
	f->net.filter = NULL;
	return worst;
}

/* Monitoring must not cry for one hello of an idle tunnel. */
static void test_one_lost_is_no_rate(void **state)
{
	struct sim_pair *f = sim_pair_new(5);
	(void)state;
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, 2 * S));
	sim_pass(f, 20 * S);
	assert_int_equal(worst_told(f, 1), 0);
	assert_in_range(worst_told(f, 6), 101, 1000);
	sim_pair_free(f);
}

/* The largest list at 30 % loss, then another one in its place. */
static void test_segments(void **state)
{
	static struct segment segs[257];
	struct sim_pair *f = sim_pair_new(19);
	unsigned n;
	(void)state;

	make_segments(segs, 257, 1000);
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_int_equal(session_set_segments(f->a.peers[0], segs, 257, f->net.now_us), -E2BIG);
	assert_int_equal(session_set_segments(f->a.peers[0], segs, 256, f->net.now_us), 0);
	f->net.loss_permille = 300;
	assert_true(sim_wait_up(&f->a, &f->b, 15 * S));
	assert_true(simnet_run_until(&f->net, has_far, &f->b, 5 * S));
	assert_int_equal(f->b.events[0][SESSION_EV_SEGMENTS], 1);
	const struct segment *far = session_far_segments(f->b.peers[0], &n);
	for (unsigned i = 0; i < 256; i++)
		assert_memory_equal(&far[i], &segs[i], sizeof(segs[i]));
	assert_null(session_far_segments(f->a.peers[0], &n)); /* b never said what it has */
	assert_int_equal(n, 0);

	f->net.loss_permille = 0;
	sim_pass(f, S);
	uint64_t sent = f->net.sent;
	sim_pass(f, 10 * S);
	assert_true(f->net.sent - sent < 60); /* hellos only: the list is not repeated */

	assert_int_equal(session_set_segments(f->a.peers[0], segs + 5, 1, f->net.now_us), 0);
	f->a.wire->due_us = f->net.now_us;
	sim_pass(f, 20 * MS);
	far = session_far_segments(f->b.peers[0], &n);
	assert_int_equal(n, 1);
	assert_int_equal(far[0].id, 1005);
	assert_int_equal(session_set_segments(f->a.peers[0], NULL, 0, f->net.now_us), 0);
	f->a.wire->due_us = f->net.now_us;
	sim_pass(f, 20 * MS);
	assert_non_null(session_far_segments(f->b.peers[0], &n));
	assert_int_equal(n, 0);
	assert_int_equal(f->b.events[0][SESSION_EV_SEGMENTS], 3);
	sim_pair_free(f);
}

/* Opening and closing is at the other end after half a round trip, also over a lossy line. */
static void test_open(void **state)
{
	struct segment segs[3];
	struct sim_pair *f = sim_pair_new(20);
	(void)state;

	make_segments(segs, 3, 1);
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	session_set_segments(f->a.peers[0], segs, 3, f->net.now_us);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, S);
	assert_false(session_far_open(f->b.peers[0], 2));
	session_set_open(f->a.peers[0], 2, true, f->net.now_us);
	session_set_open(f->a.peers[0], 3, true, f->net.now_us);
	session_set_open(f->a.peers[0], 99, true, f->net.now_us);
	f->a.wire->due_us = f->net.now_us;
	unsigned far = f->b.events[0][SESSION_EV_FAR];
	sim_pass(f, 2 * MS);
	assert_true(session_far_open(f->b.peers[0], 2));
	assert_true(session_far_open(f->b.peers[0], 3));
	assert_false(session_far_open(f->b.peers[0], 1));
	assert_false(session_far_open(f->b.peers[0], 99));
	assert_int_equal(f->b.events[0][SESSION_EV_FAR], far + 1);

	f->net.loss_permille = 300;
	for (unsigned i = 0; i < 50; i++) {
		session_set_open(f->a.peers[0], 2, i % 2, f->net.now_us);
		f->a.wire->due_us = f->net.now_us;
		sim_pass(f, 450 * MS);
		assert_int_equal(session_far_open(f->b.peers[0], 2), i % 2);
	}
	/* Down means closed. */
	f->net.loss_permille = 1000;
	assert_true(simnet_run_until(&f->net, sim_is_not_up, f->b.peers[0], 3 * S));
	assert_false(session_far_open(f->b.peers[0], 3));
	f->net.loss_permille = 0;
	assert_true(sim_wait_up(&f->a, &f->b, 4 * S));
	sim_pass(f, 10 * MS);
	assert_true(session_far_open(f->b.peers[0], 3)); /* still what a says */
	sim_pair_free(f);
}

/* Messages between topologies: whole, only while up, and answered from inside the callback. */
static void test_topology(void **state)
{
	struct sim_pair *f = sim_pair_new(21);
	uint8_t msg[SESSION_TOPOLOGY_MAX + 1];
	(void)state;

	for (size_t i = 0; i < sizeof(msg); i++)
		msg[i] = (uint8_t)(i * 7 + 1);
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	struct session *s = f->a.peers[0];
	assert_int_equal(session_send_topology(s, msg, 10, f->net.now_us), -ENOTCONN);
	assert_true(sim_wait_up(&f->a, &f->b, S));

	assert_int_equal(session_send_topology(s, msg, sizeof(msg), f->net.now_us), -E2BIG);
	assert_int_equal(session_send_topology(s, msg, sizeof(msg) - 1, f->net.now_us), 0);
	sim_pass(f, 5 * MS);
	assert_int_equal(f->b.topology, 1);
	assert_int_equal(f->b.topology_len, SESSION_TOPOLOGY_MAX);
	assert_memory_equal(f->b.topology_msg, msg, SESSION_TOPOLOGY_MAX);
	assert_int_equal(f->a.topology, 0);

	f->b.topology_answer = true;
	assert_int_equal(session_send_topology(s, msg, 1, f->net.now_us), 0);
	sim_pass(f, 5 * MS);
	assert_int_equal(f->b.topology, 2);
	assert_int_equal(f->b.topology_len, 1);
	assert_int_equal(f->a.topology, 1);
	assert_int_equal(f->a.topology_len, 6);
	assert_memory_equal(f->a.topology_msg, "got it", 6);
	sim_pass(f, S); /* they count like other datagrams: no loss is seen */
	assert_int_equal(sim_info(&f->a, 0).loss_tx_permille, 0);
	assert_int_equal(sim_info(&f->b, 0).loss_rx_permille, 0);

	f->b.topology_close = true; /* and a callback may end the session */
	assert_int_equal(session_send_topology(s, msg, 2, f->net.now_us), 0);
	sim_pass(f, 5 * MS);
	assert_int_equal(f->b.topology, 3);
	assert_int_equal(session_state(f->b.peers[0]), SESSION_DOWN);
	assert_int_equal(session_send_topology(f->b.peers[0], msg, 2, f->net.now_us), -ENOTCONN);
	assert_int_equal(session_send_topology(s, msg, 2, f->net.now_us), -ENOTCONN);
	sim_pair_free(f);
}

/* Between the keys and the two-way hello nothing comes up; nor when nobody wants it. */
static void test_topology_early(void **state)
{
	static const uint8_t two[] = { RECORD_CONTROL, 0, 0, 0, 3, 0, CONTROL_TOPOLOGY, 5, 6,
				       RECORD_CONTROL, 0, 0, 0, 1, 0, CONTROL_TOPOLOGY };
	struct sim_pair *f = sim_pair_new(22);
	struct sessions_ops deaf;
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	session_control_input(f->a.peers[0], two, sizeof(two), f->net.now_us);
	assert_int_equal(f->a.topology, 0);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	session_control_input(f->a.peers[0], two, sizeof(two), f->net.now_us);
	assert_int_equal(f->a.topology, 2);
	assert_int_equal(f->a.topology_len, 0);

	deaf = *f->a.ss->ops;
	deaf.topology = NULL;
	f->a.ss->ops = &deaf;
	session_control_input(f->a.peers[0], two, sizeof(two), f->net.now_us);
	assert_int_equal(f->a.topology, 2);
	assert_int_equal(sim_info(&f->a, 0).drop_decode, 0);
	sim_pair_free(f);
}

/* Two underlay paths between two nodes: two sessions under one pair of keys. */
static void test_two_paths(void **state)
{
	struct sim_pair *f = sim_pair_new(21);
	(void)state;

	simnet_bind(f->a.wire, "[2001:db8::1]:4655");
	simnet_bind(f->b.wire, "[2001:db8::2]:4655");
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	struct session_params p = sim_params(&f->b, B_HOST), q = sim_params(&f->a, A_HOST);
	sim_add(&f->a, &p, "[2001:db8::2]:4655");
	sim_add(&f->b, &q, "[2001:db8::1]:4655");
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, S);
	assert_int_equal(session_state(f->a.peers[1]), SESSION_UP);
	assert_int_equal(session_state(f->b.peers[1]), SESSION_UP);
	for (unsigned i = 0; i < 2; i++)
		assert_true(sim_info(&f->a, i).generation == sim_info(&f->b, i).generation);
	assert_true(sim_info(&f->a, 0).generation != sim_info(&f->a, 1).generation);
	assert_int_equal(sim_info(&f->a, 1).path.remote.sa.sa_family, AF_INET6);
	assert_int_equal(sim_info(&f->a, 1).path_mtu - session_room(f->a.peers[1]), 48 + 32);
	/* One of the paths goes; the other stays. */
	session_remove(f->a.peers[1]);
	sim_pass(f, 4 * S);
	assert_int_equal(session_state(f->a.peers[0]), SESSION_UP);
	assert_int_equal(session_state(f->b.peers[0]), SESSION_UP);
	assert_int_not_equal(session_state(f->b.peers[1]), SESSION_UP);
	sim_pair_free(f);
}

/* Three nodes: each session is its own. */
static void test_three(void **state)
{
	struct sim_pair *f = sim_pair_new(22);
	(void)state;

	sim_node_start(&f->c, &f->net, "10.0.0.3:4655", 3, 300);
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	struct session_params to_c = sim_params(&f->c, "10.0.0.3:4655");
	struct session_params to_a = sim_params(&f->a, NULL), to_b = sim_params(&f->b, NULL);
	sim_add(&f->a, &to_c, "10.0.0.3:4655");
	sim_add(&f->b, &to_c, "10.0.0.3:4655");
	sim_add(&f->c, &to_a, NULL);
	sim_add(&f->c, &to_b, NULL);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, S);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(session_state(f->a.peers[i]), SESSION_UP);
		assert_int_equal(session_state(f->b.peers[i]), SESSION_UP);
		assert_int_equal(session_state(f->c.peers[i]), SESSION_UP);
	}
	sim_node_kill(&f->b);
	sim_pass(f, 3 * S);
	assert_int_not_equal(session_state(f->a.peers[0]), SESSION_UP);
	assert_int_equal(session_state(f->a.peers[1]), SESSION_UP);
	assert_int_equal(session_state(f->c.peers[0]), SESSION_UP);
	assert_int_not_equal(session_state(f->c.peers[1]), SESSION_UP);
	sim_pair_free(f);
}

static void say(struct sim_pair *f, const uint8_t *msg, int len)
{
	uint8_t rec[1200];

	assert_true(len > 0);
	record_put_header(rec, RECORD_CONTROL, 0, 0, (uint16_t)len);
	memcpy(rec + RECORD_HDR_BYTES, msg, (size_t)len);
	session_control_input(f->b.peers[0], rec, RECORD_HDR_BYTES + (size_t)len, f->net.now_us);
}

static void say_page(struct sim_pair *f, uint32_t list, unsigned page, unsigned pages, unsigned id)
{
	struct segment seg;
	uint8_t msg[200];
	unsigned taken;

	make_segments(&seg, 1, id);
	int len = control_build_segments(list, (uint8_t)page, (uint8_t)pages, &seg, 1, msg,
					 sizeof(msg), &taken);
	say(f, msg, len);
}

static unsigned first_far(struct sim_pair *f)
{
	unsigned n;
	const struct segment *far = session_far_segments(f->b.peers[0], &n);

	return far && n ? far[0].id : 0;
}

/* Pages that were overtaken: an older list replaces nothing, a page counts once. */
static void test_segments_reordered(void **state)
{
	struct sim_pair *f = sim_pair_new(26);
	unsigned n;
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	say_page(f, 10, 0, 1, 100);
	assert_int_equal(first_far(f), 100);
	say_page(f, 9, 0, 1, 90);
	assert_int_equal(first_far(f), 100);
	say_page(f, 12, 1, 2, 121);
	say_page(f, 12, 1, 2, 121);
	say_page(f, 11, 0, 2, 110); /* late: 12 is on its way */
	say_page(f, 11, 1, 2, 111);
	assert_int_equal(first_far(f), 100);
	say_page(f, 12, 0, 2, 120);
	assert_int_equal(first_far(f), 120);
	session_far_segments(f->b.peers[0], &n);
	assert_int_equal(n, 2);
	/* One number twice: the list is of no use, the last good one stays. */
	say_page(f, 13, 0, 2, 130);
	say_page(f, 13, 1, 2, 130);
	assert_int_equal(first_far(f), 120);
	assert_int_equal(sim_info(&f->b, 0).drop_decode, 1);
	sim_pair_free(f);
}

/* Hellos that were overtaken do not turn states back. */
static void test_hello_reordered(void **state)
{
	struct sim_pair *f = sim_pair_new(27);
	struct hello h = { .n = 1, .segs = { { 5, HELLO_SEGMENT_OPEN } } };
	uint8_t msg[200];
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	h.sent_us = f->net.now_us + 1000;
	say(f, msg, control_build_hello(&h, msg, sizeof(msg)));
	assert_true(session_far_open(f->b.peers[0], 5));
	unsigned far = f->b.events[0][SESSION_EV_FAR];
	h.sent_us -= 1;
	h.segs[0].flags = 0;
	say(f, msg, control_build_hello(&h, msg, sizeof(msg)));
	assert_true(session_far_open(f->b.peers[0], 5));
	assert_int_equal(f->b.events[0][SESSION_EV_FAR], far);
	h.sent_us += 2;
	say(f, msg, control_build_hello(&h, msg, sizeof(msg)));
	assert_false(session_far_open(f->b.peers[0], 5));
	assert_int_equal(f->b.events[0][SESSION_EV_FAR], far + 1);
	sim_pair_free(f);
}

/* A peer (authentic, but mad) says things about clocks that cannot be. */
static void test_lying_hello(void **state)
{
	struct sim_pair *f = sim_pair_new(16);
	struct hello h = { .sent_us = UINT64_MAX / 2, .echo_us = UINT64_MAX };
	uint8_t rec[128 + RECORD_HDR_BYTES];
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	uint64_t lease_us = session_lease_us(f->b.peers[0]);
	for (unsigned i = 0; i < 3; i++) {
		h.sent_us++;
		h.echo_us = i == 0 ? UINT64_MAX : i == 1 ? f->net.now_us + S : 1;
		h.held_us = UINT32_MAX;
		h.tx = h.echo_tx = h.echo_rx = UINT64_MAX;
		int n = control_build_hello(&h, rec + RECORD_HDR_BYTES, 128);
		assert_true(n > 0);
		record_put_header(rec, RECORD_CONTROL, 0, 0, (uint16_t)n);
		session_control_input(f->b.peers[0], rec, RECORD_HDR_BYTES + (size_t)n,
				      f->net.now_us);
		assert_true(session_lease_us(f->b.peers[0]) == lease_us);
	}
	sim_pair_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roaming),
		cmocka_unit_test(test_path_mtu),
		cmocka_unit_test(test_black_hole),
		cmocka_unit_test(test_black_hole_traffic),
		cmocka_unit_test(test_hellos_overtake_data),
		cmocka_unit_test(test_one_lost_is_no_rate),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_segments_reordered),
		cmocka_unit_test(test_hello_reordered),
		cmocka_unit_test(test_lying_hello),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_topology_early),
		cmocka_unit_test(test_two_paths),
		cmocka_unit_test(test_three),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
