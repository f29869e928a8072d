/*
 * Sessions between two and three nodes on a simulated network: coming up, staying up,
 * going down and coming back, in virtual time. What strangers and attackers do is in
 * test_session_hostile.c.
 */
#include "tests/unit/simpeer.h"

#define A_HOST SIM_A_HOST
#define B_HOST SIM_B_HOST
#define S US_PER_S
#define MS US_PER_MS

static void test_establish(void **state)
{
	struct sim_pair *f = sim_pair_new(1);
	(void)state;

	sim_join(&f->a, NULL, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, 100 * MS));
	assert_true(f->net.now_us - 1000 * S <= 10 * MS); /* a few round trips of 2 ms */

	struct session_info a = sim_info(&f->a, 0), b = sim_info(&f->b, 0);
	assert_int_equal(a.state, SESSION_UP);
	assert_string_equal(a.far_name, "node2");
	assert_string_equal(b.far_name, "node1");
	assert_true(a.generation != 0);
	assert_true(a.generation == b.generation);
	assert_int_equal(a.far_incarnation, 200);
	assert_int_equal(b.far_incarnation, 100);
	assert_memory_equal(a.far_id, sessions_node_id(f->b.ss), NODE_ID_BYTES);
	assert_memory_equal(session_far_id(f->a.peers[0]), a.far_id, NODE_ID_BYTES);
	assert_true(session_generation(f->b.peers[0]) == a.generation);
	assert_int_equal(a.mode, DATA_AEAD);
	assert_string_equal(a.cipher, "aes-256-gcm");
	assert_string_equal(a.detail, "");
	assert_true(addr_equal(&a.path.remote, &f->b.wire->addrs[0]));
	assert_true(addr_equal(&b.path.remote, &f->a.wire->addrs[0]));
	sim_exchange(f, 1);

	sim_pass(f, 10 * S);
	a = sim_info(&f->a, 0);
	assert_in_range(a.rtt_us, 1500, 2500);
	assert_int_equal(a.loss_rx_permille, 0);
	assert_int_equal(a.loss_tx_permille, 0);
	assert_int_equal(f->a.events[0][SESSION_EV_UP], 1);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	/* The lease is renewed by hellos and never runs ahead of the dead time. */
	assert_true(session_lease_us(f->a.peers[0]) > f->net.now_us);
	assert_true(session_lease_us(f->a.peers[0]) <= f->net.now_us + 2 * S);
	sim_pair_free(f);
}

/* Both begin at the same instant, over and over with different timing. */
static void test_glare(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct sim_pair *f = sim_pair_new(seed);

		f->net.jitter_us = (seed - 1) * 300;
		f->net.loss_permille = seed > 30 ? 200 : 0;
		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		assert_true(sim_wait_up(&f->a, &f->b, 10 * S));
		f->net.loss_permille = 0;
		sim_pass(f, 2 * S);
		assert_true(sim_wait_up(&f->a, &f->b, S));
		struct keypair *a = f->a.peers[0]->cur, *b = f->b.peers[0]->cur;
		/* Both send with the same keys. */
		assert_int_equal(a->far_index, b->index);
		assert_int_equal(b->far_index, a->index);
		assert_true(sim_info(&f->a, 0).generation == sim_info(&f->b, 0).generation);
		if (seed ==
		    1) /* in step: the call of the greater incarnation is the one that stays */
			assert_true(b->initiator && !a->initiator);
		sim_exchange(f, 1);
		sim_pair_free(f);
	}
}

struct oneway {
	struct addr from;
	uint8_t type;
};

static bool drop_type_from(void *arg, const struct addr *from, const struct addr *to,
			   const uint8_t *dgram, size_t len)
{
	struct oneway *w = arg;
	(void)to;
	(void)len;
	return !(addr_equal(from, &w->from) && (!w->type || dgram[0] == w->type));
}

/* Calls of one side never arrive: the other's must do, whoever ranks higher. */
static void test_one_way_calls(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sim_pair *f = sim_pair_new(3);
		struct oneway w = { i ? f->a.wire->addrs[0] : f->b.wire->addrs[0], DGRAM_INIT };

		f->net.filter = drop_type_from;
		f->net.filter_arg = &w;
		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		assert_true(sim_wait_up(&f->a, &f->b, 2 * S));
		sim_exchange(f, 1);
		sim_pair_free(f);
	}
}

/* One direction dead from the start: never up, and the words say which. */
static void test_one_way(void **state)
{
	struct sim_pair *f = sim_pair_new(4);
	struct oneway w = { f->a.wire->addrs[0], 0 };
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 100 * MS);
	f->net.filter = drop_type_from; /* nothing of a arrives any more */
	f->net.filter_arg = &w;
	uint64_t cut_us = f->net.now_us;
	assert_true(simnet_run_until(&f->net, sim_is_not_up, f->b.peers[0], 3 * S));
	assert_string_equal(sim_info(&f->b, 0).detail, "no answer for 2.0 s from 10.0.0.1:4655");
	assert_true(simnet_run_until(&f->net, sim_is_not_up, f->a.peers[0], 3 * S));
	assert_non_null(strstr(sim_info(&f->a, 0).detail, "10.0.0.2:4655 does not hear us"));
	assert_true(f->net.now_us - cut_us <= 2500 * MS);
	sim_pass(f, 20 * S);
	assert_int_not_equal(session_state(f->a.peers[0]), SESSION_UP);
	assert_int_not_equal(session_state(f->b.peers[0]), SESSION_UP);
	f->net.filter = NULL;
	assert_true(sim_wait_up(&f->a, &f->b, 4 * S));
	sim_pair_free(f);
}

static void test_loss(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct sim_pair *f = sim_pair_new(seed);

		f->net.loss_permille = 300;
		f->net.delay_us = 10 * MS;
		f->net.jitter_us = 20 * MS;
		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		assert_true(sim_wait_up(&f->a, &f->b, 15 * S));
		sim_pass(f, S);
		unsigned downs = f->a.events[0][SESSION_EV_DOWN] + f->b.events[0][SESSION_EV_DOWN];
		sim_pass(f, 600 * S); /* rekeys too */
		assert_int_equal(f->a.events[0][SESSION_EV_DOWN] + f->b.events[0][SESSION_EV_DOWN],
				 downs);
		struct session_info a = sim_info(&f->a, 0);
		assert_in_range(a.loss_rx_permille, 50, 600);
		assert_in_range(a.loss_tx_permille, 50, 600);
		assert_true(f->net.now_us - a.handshake_us < 180 * S);
		sim_pair_free(f);
	}
}

static void set_modes(struct sim_node *n, unsigned modes, struct sim_node *far, const char *host)
{
	struct session_params p = sim_params(far, host);

	p.modes = modes;
	session_update(n->peers[0], &p, n->net->now_us);
	n->wire->due_us = n->net->now_us;
}

/* Traffic in both directions over several rekeys: every datagram arrives, exactly once. */
static void rekey_run(enum data_mode mode, uint64_t rekey_us, uint64_t volume, uint64_t jitter_us,
		      unsigned expect)
{
	struct sim_pair *f = sim_pair_new(5);
	uint32_t n = 0;

	f->a.ss->tune.rekey_us = f->b.ss->tune.rekey_us = rekey_us;
	f->a.ss->tune.rekey_datagrams = f->b.ss->tune.rekey_datagrams = volume;
	f->net.jitter_us = jitter_us;
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	set_modes(&f->a, 1u << mode, &f->b, B_HOST);
	set_modes(&f->b, 1u << mode, &f->a, A_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 100 * MS);
	uint64_t generation = sim_info(&f->a, 0).generation, keys = 0;
	uint32_t index = 0;
	for (; n < 10000; n++) {
		assert_true(sim_data(&f->a, 0, n, 100) > 0);
		assert_true(sim_data(&f->b, 0, n, 100) > 0);
		sim_pass(f, MS);
		keys += f->a.peers[0]->cur->index != index;
		index = f->a.peers[0]->cur->index;
	}
	sim_pass(f, 100 * MS);
	assert_int_equal(f->a.records, n);
	assert_int_equal(f->b.records, n);
	assert_in_range(keys, expect, 3 * expect);
	assert_int_equal(f->a.events[0][SESSION_EV_UP], 1);
	assert_int_equal(f->b.events[0][SESSION_EV_UP], 1);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	assert_true(sim_info(&f->a, 0).generation == generation);
	assert_true(sim_info(&f->b, 0).generation == generation);
	sim_pair_free(f);
}

static void test_rekey_time(void **state)
{
	(void)state;
	rekey_run(DATA_AEAD, S, UINT64_MAX, 0, 8);
	rekey_run(DATA_AEAD, S, UINT64_MAX, 30 * MS, 8);
	rekey_run(DATA_AUTH, S, UINT64_MAX, 30 * MS, 8);
	rekey_run(DATA_NONE, S, UINT64_MAX, 0, 8);
}

/* In mode none nothing but the hello proves new keys: it leaves before any frame can. */
static bool first_under_new_keys(void *arg, const struct addr *from, const struct addr *to,
				 const uint8_t *dgram, size_t len)
{
	uint8_t *types = arg;
	(void)from;
	(void)to;
	(void)len;

	memmove(types, types + 1, 2);
	types[2] = dgram[0];
	return true;
}

static void test_rekey_order(void **state)
{
	struct sim_pair *f = sim_pair_new(5);
	uint8_t types[3] = { 0 };
	(void)state;

	sim_join(&f->a, NULL, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, S);
	f->net.filter = first_under_new_keys;
	f->net.filter_arg = types;
	f->a.wire->tick = NULL; /* input alone */
	f->a.peers[0]->call.forced = true;
	f->a.ss->due_us = f->a.peers[0]->due_us = 0;
	sessions_tick(f->a.ss, f->net.now_us);
	sim_pass(f, 2 * MS);
	assert_int_equal(types[0], DGRAM_INIT);
	assert_int_equal(types[1], DGRAM_RESPONSE);
	assert_int_equal(types[2], DGRAM_CONTROL);
	sim_pair_free(f);
}

static void test_rekey_volume(void **state)
{
	(void)state;
	rekey_run(DATA_AEAD, 1000 * S, 500, 0, 15);
}

/* The default clockwork: new keys about every 120 s. */
static void test_rekey_default(void **state)
{
	struct sim_pair *f = sim_pair_new(6);
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, NULL);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	uint64_t first_us = sim_info(&f->a, 0).handshake_us;
	sim_pass(f, 119 * S);
	assert_true(sim_info(&f->a, 0).handshake_us == first_us);
	sim_pass(f, 3 * S);
	assert_in_range(sim_info(&f->a, 0).handshake_us - first_us, 120 * S, 121 * S);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	sim_pair_free(f);
}

/* Calls get lost for good: the old keys are refused after 180 s, not used for ever. */
static void test_reject(void **state)
{
	struct sim_pair *f = sim_pair_new(6);
	struct oneway w = { f->b.wire->addrs[0], DGRAM_INIT };
	(void)state;

	sim_join(&f->a, NULL, &f->b, NULL);
	struct session_params p = sim_params(&f->a, A_HOST);
	f->b.hosts[0] = A_HOST;
	session_update(f->b.peers[0], &p, f->net.now_us);
	f->b.wire->due_us = f->net.now_us;
	assert_true(sim_wait_up(&f->a, &f->b, S));
	uint64_t up_us = f->net.now_us;
	f->net.filter = drop_type_from;
	f->net.filter_arg = &w;
	assert_true(simnet_run_until(&f->net, sim_is_not_up, f->a.peers[0], 300 * S));
	assert_in_range(f->net.now_us - up_us, 179 * S, 181 * S);
	f->net.filter = NULL;
	assert_true(sim_wait_up(&f->a, &f->b, 5 * S));
	sim_pair_free(f);
}

static void test_dead(void **state)
{
	(void)state;
	for (int graceful = 0; graceful < 2; graceful++) {
		struct sim_pair *f = sim_pair_new(7);

		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		assert_true(sim_wait_up(&f->a, &f->b, S));
		sim_pass(f, 5250 * MS);
		uint64_t cut_us = f->net.now_us;
		if (graceful)
			session_close(f->b.peers[0], f->net.now_us);
		else
			sim_node_kill(&f->b);
		assert_true(simnet_run_until(&f->net, sim_is_not_up, f->a.peers[0], 3 * S));
		if (graceful)
			assert_true(f->net.now_us - cut_us <= 2 * MS);
		else
			assert_in_range(f->net.now_us - cut_us, 1300 * MS, 2500 * MS);
		assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 1);
		assert_string_equal(sim_info(&f->a, 0).detail,
				    graceful ? "closed by the peer" :
					       "no answer for 2.0 s from 10.0.0.2:4655");
		assert_true(session_lease_us(f->a.peers[0]) == 0);
		assert_int_equal(sim_data(&f->a, 0, 0, 100), -ENOKEY);
		assert_int_equal(session_room(f->a.peers[0]), 0);
		sim_pass(f, 10 * S);
		assert_string_equal(sim_info(&f->a, 0).detail, "no answer from 10.0.0.2:4655");
		assert_true(f->a.resolves >= 2); /* the name was asked again */
		sim_pair_free(f);
	}
}

/* kill -9 and start again: with and without a host to call. */
static void test_restart(void **state)
{
	(void)state;
	for (int passive = 0; passive < 2; passive++) {
		for (uint64_t after_ms = 50; after_ms <= 1250; after_ms += 300) {
			struct sim_pair *f = sim_pair_new(8);
			struct session_params p = sim_params(&f->a, passive ? NULL : A_HOST);

			sim_join(&f->a, passive ? NULL : A_HOST, &f->b, B_HOST);
			assert_true(sim_wait_up(&f->a, &f->b, S));
			sim_pass(f, 3 * S);
			uint64_t generation = sim_info(&f->a, 0).generation;
			uint64_t kill_us = f->net.now_us;
			sim_node_kill(&f->b);
			sim_pass(f, after_ms * MS);
			sim_node_restart(&f->b, 201);
			sim_add(&f->b, &p, passive ? NULL : A_HOST);
			assert_true(sim_wait_up(&f->a, &f->b, 3 * S));
			assert_true(f->net.now_us - kill_us <= 3 * S);
			assert_true(sim_info(&f->a, 0).generation != generation);
			assert_int_equal(sim_info(&f->a, 0).far_incarnation, 201);
			assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 1);
			assert_int_equal(f->a.events[0][SESSION_EV_UP], 2);
			assert_true(f->a.event_us[0][SESSION_EV_DOWN] <=
				    f->a.event_us[0][SESSION_EV_UP]);
			sim_exchange(f, 1);
			sim_pair_free(f);
		}
	}
}

/* A new process does not know of the rekeys that were: its first handshake counts all the same. */
static void test_restart_after_rekeys(void **state)
{
	struct sim_pair *f = sim_pair_new(8);
	struct session_params p = sim_params(&f->a, A_HOST);
	(void)state;

	f->a.ss->tune.rekey_us = S;
	sim_join(&f->a, NULL, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 5500 * MS);
	assert_true(f->a.peers[0]->epoch >= 5);
	sim_node_kill(&f->b);
	sim_node_restart(&f->b, 201);
	sim_add(&f->b, &p, A_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, 50 * MS)); /* long before the old session is dead */
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 1);
	assert_null(f->a.peers[0]->prev); /* nobody has the old keys any more */
	assert_int_equal(sim_info(&f->a, 0).far_incarnation, 201);
	sim_pair_free(f);
}

static void test_passive(void **state)
{
	struct sim_pair *f = sim_pair_new(9);
	(void)state;

	sim_join(&f->a, NULL, &f->b, NULL); /* neither calls */
	sim_pass(f, 5 * S);
	assert_int_equal(session_state(f->a.peers[0]), SESSION_DOWN);
	assert_string_equal(sim_info(&f->a, 0).detail, "waiting for the peer to call");
	assert_int_equal(f->net.sent, 0);
	assert_int_equal(f->a.resolves, 0);
	sim_pair_free(f);

	f = sim_pair_new(9);
	sim_join(&f->a, NULL, &f->b, "");
	sim_pass(f, 12 * S);
	assert_int_equal(session_state(f->a.peers[0]), SESSION_DOWN);
	assert_string_equal(sim_info(&f->a, 0).detail, "cannot resolve far: no such name");
	assert_in_range(f->a.resolves, 2, 3);
	f->a.hosts[0] = "192.0.2.9:1 192.0.2.8:1 " B_HOST; /* the last one is right */
	assert_true(sim_wait_up(&f->a, &f->b, 13 * S));
	sim_pair_free(f);
}

/* A call that was answered and never confirmed: waiting again once its keys are too old. */
static void test_unconfirmed(void **state)
{
	struct sim_pair *f = sim_pair_new(28);
	struct session_params to_a = sim_params(&f->a, NULL), to_b = sim_params(&f->b, B_HOST);
	(void)state;

	to_b.psk.b[0] = 1;
	sim_add(&f->a, &to_b, B_HOST);
	sim_add(&f->b, &to_a, NULL);
	sim_pass(f, S);
	assert_int_equal(session_state(f->b.peers[0]), SESSION_HANDSHAKE);
	sim_node_kill(&f->a);
	sim_pass(f, 200 * S);
	assert_int_equal(session_state(f->b.peers[0]), SESSION_DOWN);
	assert_null(f->b.peers[0]->fresh);
	sim_node_restart(&f->a, 101);
	sim_pair_free(f);
}

static void test_all_silent(void **state)
{
	struct sim_pair *f = sim_pair_new(10);
	(void)state;

	sim_join(&f->a, NULL, &f->b, "192.0.2.9:1");
	sim_pass(f, 5 * S);
	assert_int_equal(session_state(f->a.peers[0]), SESSION_HANDSHAKE);
	assert_string_equal(sim_info(&f->a, 0).detail, "no answer from 192.0.2.9:1");
	unsigned notes = f->a.events[0][SESSION_EV_NOTE];
	uint64_t sent = f->net.sent;
	sim_pass(f, 60 * S);
	assert_int_equal(f->a.events[0][SESSION_EV_NOTE], notes); /* said once */
	assert_in_range(f->net.sent - sent, 20, 32);		  /* every 2 to 2.5 s */
	sim_pair_free(f);
}

/* Every combination of allowed modes at both ends. */
static void test_modes(void **state)
{
	(void)state;
	for (unsigned am = 1; am < 8; am++) {
		for (unsigned bm = 1; bm < 8; bm++) {
			struct sim_pair *f = sim_pair_new(am * 8 + bm);
			struct session_params to_b = sim_params(&f->b, B_HOST);
			struct session_params to_a = sim_params(&f->a, NULL);
			unsigned common = am & bm;

			to_b.modes = am;
			to_a.modes = bm;
			sim_add(&f->a, &to_b, B_HOST);
			sim_add(&f->b, &to_a, NULL);
			assert_true(sim_wait_up(&f->a, &f->b, 2 * S) == (common != 0));
			if (common) {
				unsigned want = (unsigned)__builtin_ctz(common);
				assert_int_equal(sim_info(&f->a, 0).mode, want);
				assert_int_equal(sim_info(&f->b, 0).mode, want);
				sim_exchange(f, 1);
				/* All leave the same room but `none`, which has no tag. */
				sim_pass(f, S);
				assert_int_equal(session_room(f->a.peers[0]),
						 9000 - 28 - 16 - (want == DATA_NONE ? 0 : 16));
			} else {
				assert_non_null(
					strstr(sim_info(&f->a, 0).detail,
					       "peer refuses: no common data mode: node2 allows"));
				assert_non_null(
					strstr(sim_info(&f->b, 0).detail, "no common data mode"));
				assert_int_equal(f->a.events[0][SESSION_EV_UP], 0);
			}
			sim_pair_free(f);
		}
	}
}

/* Only what must be hidden is hidden: mode by mode, look at the wire. */
struct sniffer {
	uint8_t type;
	unsigned seen, readable;
};

static bool sniff(void *arg, const struct addr *from, const struct addr *to, const uint8_t *dgram,
		  size_t len)
{
	static const uint8_t pattern[32] = { [0 ... 31] = 0x5a };
	struct sniffer *s = arg;
	(void)from;
	(void)to;

	if (dgram[0] == s->type) {
		s->seen++;
		s->readable += memmem(dgram, len, pattern, sizeof(pattern)) != NULL;
	}
	return true;
}

static void test_wire(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < DATA_MODES; mode++) {
		struct sniffer s = { mode == DATA_NONE ? DGRAM_PLAIN : DGRAM_DATA, 0, 0 };
		struct sim_pair *f = sim_pair_new(11);

		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		set_modes(&f->a, 1u << mode, &f->b, B_HOST);
		set_modes(&f->b, 1u << mode, &f->a, A_HOST);
		f->net.filter = sniff;
		f->net.filter_arg = &s;
		assert_true(sim_wait_up(&f->a, &f->b, S));
		sim_exchange(f, 1);
		assert_int_equal(s.seen, 2);
		assert_int_equal(s.readable, mode == DATA_AEAD ? 0 : 2);
		sim_pair_free(f);
	}
}

static void test_cipher_choice(void **state)
{
	static const struct {
		uint32_t a[2], b[2];
		const char *want;
	} cases[] = {
		{ { 3000, 1500 }, { 3000, 1500 }, "aes-256-gcm" },
		{ { 3000, 1500 }, { 90, 400 }, "chacha20-poly1305" },
		{ { 90, 400 }, { 3000, 1500 }, "chacha20-poly1305" },
		{ { 500, 400 }, { 450, 3000 }, "aes-256-gcm" },
		{ { 400, 400 }, { 400, 400 }, "aes-256-gcm" },
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sim_pair *f = sim_pair_new(12);

		f->a.ss->p.aes_mbps = cases[i].a[0];
		f->a.ss->p.chacha_mbps = cases[i].a[1];
		f->b.ss->p.aes_mbps = cases[i].b[0];
		f->b.ss->p.chacha_mbps = cases[i].b[1];
		sim_join(&f->a, A_HOST, &f->b, B_HOST);
		assert_true(sim_wait_up(&f->a, &f->b, S));
		assert_string_equal(sim_info(&f->a, 0).cipher, cases[i].want);
		assert_string_equal(sim_info(&f->b, 0).cipher, cases[i].want);
		sim_exchange(f, 1);
		sim_pair_free(f);
	}
}

/* A reload: a mode that goes away ends the session, a stronger one that comes is taken up. */
static void test_update_modes(void **state)
{
	struct sim_pair *f = sim_pair_new(13);
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	set_modes(&f->a, 1u << DATA_NONE | 1u << DATA_AEAD, &f->b, B_HOST);
	set_modes(&f->b, 1u << DATA_NONE, &f->a, A_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	assert_int_equal(sim_info(&f->a, 0).mode, DATA_NONE);

	set_modes(&f->b, 1u << DATA_NONE | 1u << DATA_AEAD, &f->a, A_HOST);
	sim_pass(f, 100 * MS);
	assert_int_equal(sim_info(&f->a, 0).mode, DATA_AEAD);
	assert_int_equal(sim_info(&f->b, 0).mode, DATA_AEAD);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	sim_exchange(f, 1);

	set_modes(&f->a, 1u << DATA_AUTH, &f->b, B_HOST);
	assert_int_not_equal(session_state(f->a.peers[0]), SESSION_UP);
	sim_pass(f, S);
	assert_int_not_equal(session_state(f->b.peers[0]), SESSION_UP);
	assert_non_null(strstr(sim_info(&f->a, 0).detail, "no common data mode"));
	set_modes(&f->b, 7, &f->a, A_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, 10 * S));
	assert_int_equal(sim_info(&f->a, 0).mode, DATA_AUTH);
	sim_pair_free(f);
}

static void test_update_psk(void **state)
{
	struct sim_pair *f = sim_pair_new(14);
	struct session_params to_a = sim_params(&f->a, A_HOST), to_b = sim_params(&f->b, B_HOST);
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	uint64_t generation = sim_info(&f->a, 0).generation;
	memset(to_a.psk.b, 9, KEY_BYTES);
	memset(to_b.psk.b, 9, KEY_BYTES);
	session_update(f->a.peers[0], &to_b, f->net.now_us); /* the other end is reloaded later */
	f->a.wire->due_us = f->net.now_us;
	sim_pass(f, 20 * S);
	assert_int_equal(session_state(f->a.peers[0]), SESSION_UP);
	session_update(f->b.peers[0], &to_a, f->net.now_us);
	f->b.wire->due_us = f->net.now_us;
	sim_pass(f, 5 * S);
	assert_true(f->net.now_us - sim_info(&f->a, 0).handshake_us < 6 * S);
	assert_true(sim_info(&f->a, 0).generation == generation);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	sim_pair_free(f);
}

/* The fast profile: 100 ms and 400 ms. */
static void test_fast(void **state)
{
	struct sim_pair *f = sim_pair_new(23);
	struct session_params to_a = sim_params(&f->a, A_HOST), to_b = sim_params(&f->b, B_HOST);
	(void)state;

	to_a.hello_us = to_b.hello_us = 100 * MS;
	to_a.dead_us = to_b.dead_us = 400 * MS;
	sim_add(&f->a, &to_b, B_HOST);
	sim_add(&f->b, &to_a, A_HOST);
	f->net.loss_permille = 100;
	assert_true(sim_wait_up(&f->a, &f->b, 5 * S));
	sim_pass(f, 120 * S);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 0);
	f->net.loss_permille = 1000;
	uint64_t cut_us = f->net.now_us;
	assert_true(simnet_run_until(&f->net, sim_is_not_up, f->a.peers[0], S));
	assert_true(f->net.now_us - cut_us <= 400 * MS);
	sim_pair_free(f);
}

/* Idle sessions do next to nothing. */
static void test_idle(void **state)
{
	struct sim_pair *f = sim_pair_new(24);
	(void)state;

	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	sim_pass(f, 10 * S);
	uint64_t sent = f->net.sent;
	sim_pass(f, 10 * S);
	assert_in_range(f->net.sent - sent, 40, 50); /* two hellos a second each way, a probe */
	assert_true(sim_is_up(f->a.peers[0]));
	sim_pair_free(f);
}

/* The owner closes a session whenever it hears of something, from inside the callback. */
static void test_close_in_callback(void **state)
{
	(void)state;
	for (unsigned ev = 0; ev <= SESSION_EV_NOTE; ev++) {
		for (unsigned who = 0; who < 2; who++) {
			struct sim_pair *f = sim_pair_new(25);
			struct sim_node *n = who ? &f->b : &f->a;
			struct segment seg = { .id = 1, .bridge = "br0", .want = "br1" };
			struct session_params p = sim_params(&f->a, A_HOST);

			sim_join(&f->a, A_HOST, &f->b, B_HOST);
			session_set_segments(f->a.peers[0], &seg, 1, f->net.now_us);
			session_set_segments(f->b.peers[0], &seg, 1, f->net.now_us);
			n->close_on = 1u << ev;
			sim_pass(f, 2 * S);
			session_set_open(f->a.peers[0], 1, true, f->net.now_us);
			session_set_open(f->b.peers[0], 1, true, f->net.now_us);
			simnet_rebind(f->a.wire, 0, "10.9.9.9:61001");
			sim_pass(f, 2 * S);
			sim_node_kill(&f->b);
			f->b.close_on = who ? n->close_on : 0;
			sim_node_restart(&f->b, 201);
			sim_add(&f->b, &p, "10.9.9.9:61001");
			sim_pass(f, 5 * S);
			if (n->events[0][ev])
				assert_int_not_equal(session_state(n->peers[0]), SESSION_UP);
			sim_pair_free(f);
		}
	}
}

static void test_psk(void **state)
{
	(void)state;
	for (int same = 0; same < 2; same++) {
		struct sim_pair *f = sim_pair_new(6);
		struct session_params to_a = sim_params(&f->a, A_HOST);
		struct session_params to_b = sim_params(&f->b, B_HOST);

		memset(to_a.psk.b, 7, KEY_BYTES);
		memset(to_b.psk.b, same ? 7 : 8, KEY_BYTES);
		sim_add(&f->a, &to_b, B_HOST);
		sim_add(&f->b, &to_a, A_HOST);
		assert_int_equal(sim_wait_up(&f->a, &f->b, 5 * S), same);
		if (!same)
			assert_string_equal(
				sim_info(&f->a, 0).detail,
				"response does not decrypt: the preshared keys differ?");
		sim_pair_free(f);
	}
}

/* The same refusal text on both screens, and no hurry in asking again. */
static void test_refused_pace(void **state)
{
	struct sim_pair *f = sim_pair_new(15);
	struct session_params to_a = sim_params(&f->a, NULL), to_b = sim_params(&f->b, B_HOST);
	(void)state;

	to_a.modes = 1u << DATA_AEAD;
	to_b.modes = 1u << DATA_NONE;
	sim_add(&f->a, &to_b, B_HOST);
	sim_add(&f->b, &to_a, NULL);
	sim_pass(f, 21 * S);
	assert_in_range(f->net.sent, 8, 12); /* a call and an answer each 5 s */
	assert_string_equal(
		sim_info(&f->a, 0).detail,
		"peer refuses: no common data mode: node2 allows aead, node1 allows none");
	assert_string_equal(sim_info(&f->b, 0).detail,
			    "refused the peer's call: no common data mode: node2 allows aead, "
			    "node1 allows none");
	assert_int_equal(f->a.events[0][SESSION_EV_NOTE], 1);
	sim_pair_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_establish),
		cmocka_unit_test(test_glare),
		cmocka_unit_test(test_one_way_calls),
		cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_rekey_time),
		cmocka_unit_test(test_rekey_order),
		cmocka_unit_test(test_rekey_volume),
		cmocka_unit_test(test_rekey_default),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_after_rekeys),
		cmocka_unit_test(test_passive),
		cmocka_unit_test(test_unconfirmed),
		cmocka_unit_test(test_all_silent),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_cipher_choice),
		cmocka_unit_test(test_update_modes),
		cmocka_unit_test(test_update_psk),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_psk),
		cmocka_unit_test(test_refused_pace),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_close_in_callback),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
