/*
 * Sessions against strangers, eavesdroppers who send again what they saw, liars among the
 * peers, and clocks that stood still.
 */
#include "l2tund/session/peer.h"
#include <errno.h>

#include "tests/unit/simpeer.h"

#define A_HOST SIM_A_HOST
#define B_HOST SIM_B_HOST
#define EVIL "10.6.6.6:666"
#define S US_PER_S
#define MS US_PER_MS

struct packet {
	struct addr from, to;
	size_t len;
	uint8_t dgram[SESSION_DGRAM_MAX];
};

/* Two nodes and somebody who records the line. */
struct fix {
	struct simnet net;
	struct sim_node a, b;
	struct packet *tape;
	unsigned n_tape, max_tape;
	struct path evil;
	unsigned to_evil; /* datagrams that went to the stranger */
	size_t to_evil_bytes;
	uint8_t to_evil_last[SESSION_DGRAM_MAX];
	size_t to_evil_len;
};

static bool record(void *arg, const struct addr *from, const struct addr *to, const uint8_t *dgram,
		   size_t len)
{
	struct fix *f = arg;

	if (addr_same_host(to, &f->evil.remote)) {
		f->to_evil++;
		f->to_evil_bytes += len;
		memcpy(f->to_evil_last, dgram, len);
		f->to_evil_len = len;
	}
	if (f->n_tape < f->max_tape) {
		struct packet *p = &f->tape[f->n_tape++];
		p->from = *from;
		p->to = *to;
		p->len = len;
		memcpy(p->dgram, dgram, len);
	}
	return true;
}

static struct fix *fix_new(uint64_t seed)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	simnet_init(&f->net, seed);
	sim_node_start(&f->a, &f->net, A_HOST, 1, 100);
	sim_node_start(&f->b, &f->net, B_HOST, 2, 200);
	f->max_tape = 400;
	f->tape = calloc(f->max_tape, sizeof(*f->tape));
	f->net.filter = record;
	f->net.filter_arg = f;
	assert_int_equal(addr_parse(EVIL, &f->evil.remote), 0);
	return f;
}

static void fix_free(struct fix *f)
{
	sim_node_stop(&f->a);
	sim_node_stop(&f->b);
	simnet_fini(&f->net);
	free(f->tape);
	free(f);
}

static void pass(struct fix *f, uint64_t us)
{
	simnet_run(&f->net, f->net.now_us + us);
}

static void up(struct fix *f)
{
	sim_join(&f->a, A_HOST, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	pass(f, 200 * MS);
}

static void inject(struct fix *f, struct sim_node *to, const struct addr *from,
		   const uint8_t *dgram, size_t len)
{
	uint8_t copy[SESSION_DGRAM_MAX];
	struct path path = { *from, to->wire->addrs[0], 0 };

	memcpy(copy, dgram, len);
	sessions_input(to->ss, &path, copy, len, f->net.now_us);
	to->wire->due_us = f->net.now_us;
}

static bool unmoved(const struct sim_node *n, const struct sim_node *far)
{
	struct session_info info = sim_info(n, 0);
	return addr_equal(&info.path.remote, &far->wire->addrs[0]);
}

static void undisturbed(struct fix *f)
{
	assert_int_equal(session_state(f->a.peers[0]), SESSION_UP);
	assert_int_equal(session_state(f->b.peers[0]), SESSION_UP);
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN] + f->b.events[0][SESSION_EV_DOWN], 0);
	assert_int_equal(f->a.events[0][SESSION_EV_MOVED] + f->b.events[0][SESSION_EV_MOVED], 0);
	assert_true(unmoved(&f->a, &f->b) && unmoved(&f->b, &f->a));
}

/* Everything that was ever on the line comes again, from its sender and from elsewhere. */
static void test_replay(void **state)
{
	struct fix *f = fix_new(1);
	(void)state;

	up(f);
	for (uint32_t i = 0; i < 100; i++) {
		assert_true(sim_data(&f->a, 0, i, 100) > 0);
		assert_true(sim_data(&f->b, 0, i, 100) > 0);
		pass(f, MS);
	}
	pass(f, 10 * MS);
	unsigned n = f->n_tape;
	uint64_t a = f->a.records, b = f->b.records;
	struct keypair *cur = f->a.peers[0]->cur;
	for (unsigned i = 0; i < 2 * n; i++) {
		struct packet *p = &f->tape[i / 2];
		bool to_a = addr_equal(&p->to, &f->a.wire->addrs[0]);

		inject(f, to_a ? &f->a : &f->b, i % 2 ? &f->evil.remote : &p->from, p->dgram,
		       p->len);
	}
	pass(f, 3 * S);
	undisturbed(f);
	assert_int_equal(f->a.records, a);
	assert_int_equal(f->b.records, b);
	assert_ptr_equal(f->a.peers[0]->cur, cur);
	assert_int_equal(f->to_evil, 0);
	assert_true(sim_info(&f->a, 0).drop_replay >= 200);
	assert_true(sessions_counters(f->a.ss)->replayed_initiations +
			    sessions_counters(f->b.ss)->replayed_initiations >=
		    2);
	fix_free(f);
}

/*
 * A node that was restarted knows nothing of old initiations. A copy makes it answer the
 * thief once, shorter than it was asked, and that is all.
 */
static void test_replay_to_restarted(void **state)
{
	struct fix *f = fix_new(2);
	struct session_params p = sim_params(&f->a, NULL);
	(void)state;

	sim_join(&f->a, NULL, &f->b, B_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	struct packet init = f->tape[0];
	assert_int_equal(init.dgram[0], DGRAM_INIT);
	sim_node_kill(&f->b);
	pass(f, 100 * MS);
	sim_node_restart(&f->b, 201);
	sim_add(&f->b, &p, NULL);
	inject(f, &f->b, &f->evil.remote, init.dgram, init.len);
	assert_int_equal(f->to_evil, 1);
	assert_true(f->to_evil_bytes <= init.len);
	inject(f, &f->b, &f->evil.remote, init.dgram, init.len);
	assert_int_equal(f->to_evil, 1);
	assert_int_not_equal(session_state(f->b.peers[0]), SESSION_UP);
	assert_true(sim_wait_up(&f->a, &f->b, 4 * S));
	struct packet again = init; /* and once more while it is up: too old now */
	inject(f, &f->b, &f->evil.remote, again.dgram, again.len);
	pass(f, 3 * S);
	assert_int_equal(f->to_evil, 1);
	assert_int_equal(f->b.events[0][SESSION_EV_DOWN], 0);
	assert_true(unmoved(&f->b, &f->a));
	fix_free(f);
}

/* One bit of any byte of any datagram: nothing altered is ever taken. */
static void test_altered(void **state)
{
	struct fix *f = fix_new(3);
	(void)state;

	up(f);
	f->n_tape = 0;
	f->net.loss_permille = 1000; /* only the recorder gets these */
	f->net.filter = record;
	for (uint32_t i = 0; i < 4; i++) {
		struct path path = f->a.peers[0]->path;
		uint8_t buf[400] = { 0 };
		const struct path *out;

		record_put_header(buf + SESSION_HEADROOM, RECORD_FRAME, 0, 7, 60);
		put_le32(buf + SESSION_HEADROOM + RECORD_HDR_BYTES, i);
		int n = session_seal(f->a.peers[0], 0, buf, 66, f->net.now_us, &out);
		assert_true(n > 0);
		record(f, &f->a.wire->addrs[0], &path.remote, buf, (size_t)n);
	}
	f->net.loss_permille = 0;
	assert_int_equal(f->n_tape, 4);
	for (unsigned i = 0; i < 3; i++) {
		struct packet *p = &f->tape[i];
		for (size_t at = 0; at < p->len; at++) {
			p->dgram[at] ^= (uint8_t)(1u << at % 8);
			inject(f, &f->b, &p->from, p->dgram, p->len);
			p->dgram[at] ^= (uint8_t)(1u << at % 8);
		}
		for (size_t len = 0; len < p->len; len++)
			inject(f, &f->b, &p->from, p->dgram, len);
	}
	assert_int_equal(f->b.records, 0);
	undisturbed(f);
	/* The tests before did not close the window: the true ones still pass, in any order. */
	inject(f, &f->b, &f->tape[3].from, f->tape[3].dgram, f->tape[3].len);
	inject(f, &f->b, &f->tape[0].from, f->tape[0].dgram, f->tape[0].len);
	assert_int_equal(f->b.records, 2);
	fix_free(f);
}

/*
 * A datagram that was held back and comes from elsewhere is good, but old: it proves nothing
 * about where its sender is now.
 */
static void test_old_from_elsewhere(void **state)
{
	struct fix *f = fix_new(17);
	uint8_t buf[100] = { 0 };
	const struct path *path;
	(void)state;

	up(f);
	record_put_header(buf + SESSION_HEADROOM, RECORD_FRAME, 0, 7, 60);
	int n = session_seal(f->a.peers[0], 0, buf, 66, f->net.now_us, &path);
	assert_true(n > 0);
	assert_true(sim_data(&f->a, 0, 1, 100) > 0); /* overtakes it */
	pass(f, 10 * MS);
	inject(f, &f->b, &f->evil.remote, buf, (size_t)n);
	assert_int_equal(f->b.records, 2); /* taken */
	undisturbed(f);			   /* but not followed */
	fix_free(f);
}

/* Data under good keys before the two-way hello: authentic, but the session is not up. */
static void test_early_data(void **state)
{
	struct fix *f = fix_new(18);
	uint8_t buf[100] = { 0 };
	(void)state;

	sim_join(&f->a, NULL, &f->b, B_HOST);
	for (unsigned i = 0; i < 100 && !f->a.peers[0]->cur; i++)
		pass(f, 100);
	struct keypair *kp = f->a.peers[0]->cur;
	assert_non_null(kp);
	assert_int_not_equal(session_state(f->a.peers[0]), SESSION_UP);
	assert_int_equal(sim_data(&f->a, 0, 1, 50), -ENOKEY);
	record_put_header(buf + SESSION_HEADROOM, RECORD_FRAME, 0, 7, 60);
	int n = seal_out(&kp->seal, 0, DGRAM_DATA, kp->far_index, buf, 66);
	inject(f, &f->b, &f->a.wire->addrs[0], buf, (size_t)n);
	assert_non_null(f->b.peers[0]->cur); /* it does prove the keys */
	assert_int_equal(f->b.records, 0);
	assert_true(sim_wait_up(&f->a, &f->b, 100 * MS));
	fix_free(f);
}

static void test_wrong_key(void **state)
{
	struct fix *f = fix_new(4);
	struct sim_node *stranger = calloc(1, sizeof(*stranger));
	(void)state;

	up(f);
	sim_node_start(stranger, &f->net, EVIL, 9, 900);
	struct session_params p = sim_params(&f->b, B_HOST);
	sim_add(stranger, &p, B_HOST); /* it knows b, b does not know it */
	pass(f, 10 * S);
	assert_int_equal(session_state(stranger->peers[0]), SESSION_HANDSHAKE);
	assert_string_equal(sim_info(stranger, 0).detail, "no answer from 10.0.0.2:4655");
	assert_true(sessions_counters(f->b.ss)->unknown_key >= 4);
	assert_int_equal(f->to_evil, 0);
	undisturbed(f);
	sim_node_stop(stranger);
	fix_free(f);
	free(stranger);
}

/* Somebody has a's private key but not the preshared one: a's session does not notice. */
static void test_wrong_psk(void **state)
{
	struct fix *f = fix_new(5);
	struct sim_node *thief = calloc(1, sizeof(*thief));
	(void)state;

	up(f);
	sim_node_start(thief, &f->net, EVIL, 1, 101); /* number 1: the same key */
	assert_memory_equal(&thief->pub, &f->a.pub, sizeof(f->a.pub));
	struct session_params p = sim_params(&f->b, B_HOST);
	memset(p.psk.b, 7, KEY_BYTES);
	sim_add(thief, &p, B_HOST);
	pass(f, 20 * S);
	assert_int_not_equal(session_state(thief->peers[0]), SESSION_UP);
	assert_string_equal(sim_info(thief, 0).detail,
			    "response does not decrypt: the preshared keys differ?");
	assert_true(sim_info(thief, 0).differ);
	assert_true(f->to_evil > 5);
	undisturbed(f);
	sim_node_stop(thief);
	fix_free(f);
	free(thief);
}

/* Mode none: frames from the pinned host with the cookie pass, and that is all it can do. */
static void test_plain(void **state)
{
	struct fix *f = fix_new(7);
	struct session_params to_a = sim_params(&f->a, A_HOST), to_b = sim_params(&f->b, B_HOST);
	uint8_t buf[200] = { 0 };
	const struct path *path;
	(void)state;

	to_a.modes = to_b.modes = 1u << DATA_NONE;
	sim_add(&f->a, &to_b, B_HOST);
	sim_add(&f->b, &to_a, A_HOST);
	assert_true(sim_wait_up(&f->a, &f->b, S));
	pass(f, 100 * MS);
	record_put_header(buf + SESSION_HEADROOM, RECORD_FRAME, 0, 7, 2);
	int n = session_seal(f->a.peers[0], 0, buf, 8, f->net.now_us, &path);
	assert_int_equal(n, 16 + 8);
	assert_int_equal(buf[0], DGRAM_PLAIN);

	inject(f, &f->b, &f->evil.remote, buf, (size_t)n); /* wrong host */
	assert_int_equal(f->b.records, 0);
	buf[8] ^= 1; /* wrong cookie */
	inject(f, &f->b, &f->a.wire->addrs[0], buf, (size_t)n);
	assert_int_equal(f->b.records, 0);
	buf[8] ^= 1;
	for (unsigned type = 1; type < 8; type++) { /* as anything else */
		buf[0] = (uint8_t)type;
		if (type != DGRAM_PLAIN)
			inject(f, &f->b, &f->a.wire->addrs[0], buf, (size_t)n);
	}
	assert_int_equal(f->b.records, 0);
	buf[0] = DGRAM_PLAIN;
	inject(f, &f->b, &f->a.wire->addrs[0], buf, (size_t)n);
	assert_int_equal(f->b.records, 1);

	/* A forged close, hello or anything in plain is data, and data alone. */
	record_put_header(buf + SESSION_HEADROOM, RECORD_CONTROL, 0, 0, 2);
	buf[SESSION_HEADROOM + RECORD_HDR_BYTES] = CONTROL_CLOSE;
	inject(f, &f->b, &f->a.wire->addrs[0], buf, (size_t)n);
	assert_int_equal(session_state(f->b.peers[0]), SESSION_UP);
	assert_int_equal(f->b.records, 2);

	/* Only plain data goes on: it keeps nothing alive. */
	f->a.wire->dead = true;
	for (unsigned i = 0; i < 30; i++) {
		inject(f, &f->b, &f->a.wire->addrs[0], buf, (size_t)n);
		pass(f, 100 * MS);
	}
	assert_int_not_equal(session_state(f->b.peers[0]), SESSION_UP);
	fix_free(f);
}

/* Hellos wait 1.5 s in a queue: what they prove is as old as they are. */
static void test_lease_delayed(void **state)
{
	struct fix *f = fix_new(8);
	(void)state;

	up(f);
	pass(f, 3 * S);
	f->a.wire->stopped = true; /* nothing is lost, all of it comes late */
	uint64_t stop_us = f->net.now_us;
	pass(f, 1500 * MS);
	f->a.wire->stopped = false;
	pass(f, 10);
	/* b answered a's last hellos, from before the stop; nothing later was sent. */
	uint64_t lease_us = session_lease_us(f->a.peers[0]);
	assert_true(lease_us == 0 || lease_us <= stop_us + 2 * S);
	fix_free(f);
}

/* kill -STOP for ten seconds, then -CONT: no frame passes before the session is anew. */
static void test_stopped(void **state)
{
	struct fix *f = fix_new(9);
	(void)state;

	up(f);
	pass(f, S);
	f->a.wire->stopped = true;
	for (uint32_t i = 0; i < 100; i++) {
		sim_data(&f->b, 0, i, 100);
		pass(f, 100 * MS);
	}
	uint64_t records = f->a.records;
	assert_int_not_equal(session_state(f->b.peers[0]), SESSION_UP);
	f->a.wire->stopped = false;
	pass(f, 1);
	assert_int_equal(f->a.records, records); /* simpeer checks the lease at each as well */
	assert_int_equal(f->a.events[0][SESSION_EV_DOWN], 1);
	assert_true(sim_wait_up(&f->a, &f->b, 3 * S));
	fix_free(f);
}

static void random_bytes(struct fix *f, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)simnet_random(&f->net);
}

/* Garbage, half of it with the headers of a running session. */
static void test_garbage(void **state)
{
	struct fix *f = fix_new(10);
	uint8_t buf[1600];
	(void)state;

	up(f);
	uint64_t rx = sim_info(&f->b, 0).rx_datagrams;
	for (unsigned i = 0; i < 100000; i++) {
		size_t len = simnet_random(&f->net) % (i % 10 ? 120 : sizeof(buf));

		random_bytes(f, buf, len);
		if (len >= 8 && i % 2) {
			memset(buf, 0, 4);
			buf[0] = (uint8_t)(1 + i / 2 % 6);
			put_le32(buf + 4, f->b.peers[0]->cur->index);
		}
		struct path path = { f->a.wire->addrs[0], f->b.wire->addrs[0], 0 };
		sessions_input(f->b.ss, &path, buf, len, f->net.now_us);
	}
	assert_int_equal(sim_info(&f->b, 0).rx_datagrams, rx);
	pass(f, 3 * S);
	undisturbed(f);
	assert_int_equal(f->b.records, 0);
	const struct sessions_counters *c = sessions_counters(f->b.ss);
	assert_true(c->bad_header > 10000);
	assert_true(sim_info(&f->b, 0).drop_auth + sim_info(&f->b, 0).drop_replay +
			    sim_info(&f->b, 0).drop_decode >
		    10000);
	fix_free(f);
}

/* An initiation of a stranger who knows b's public key, with chosen payload. */
struct caller {
	struct crypto *c;
	struct noise n;
	uint8_t priv[32], pub[32];
	struct cookie_maker maker;
	uint32_t index;
};

static void caller_init(struct caller *k, const struct sim_node *to, const uint8_t priv[32])
{
	memset(k, 0, sizeof(*k));
	k->c = crypto_new();
	memcpy(k->priv, priv, 32);
	assert_int_equal(crypto_x25519_public(k->priv, k->pub), 0);
	assert_int_equal(cookie_keys_init(&k->maker.keys, k->c, to->pub.b), 0);
	k->index = 0x1234;
}

static size_t caller_build(struct caller *k, const struct sim_node *to, const uint8_t *plain,
			   size_t len, uint64_t salt, uint8_t *msg, uint64_t now_us)
{
	uint8_t e[32];

	memset(e, 0x11, sizeof(e));
	put_le64(e, salt);
	assert_int_equal(
		noise_init(&k->n, k->c, true, true, DGRAM_PROLOGUE, 9, k->priv, k->pub, to->pub.b),
		0);
	memset(msg, 0, DGRAM_INIT_HDR);
	msg[0] = DGRAM_INIT;
	put_le32(msg + 4, k->index);
	int n = noise_write_1(&k->n, e, plain, len, msg + DGRAM_INIT_HDR);
	assert_true(n > 0);
	size_t total = DGRAM_INIT_HDR + (size_t)n + COOKIE_MACS_BYTES;
	assert_int_equal(cookie_stamp(&k->maker, k->c, msg, total, now_us), 0);
	return total;
}

/*
 * A flood of well-made initiations from everywhere: cookies are asked for, nothing grows, the
 * running session goes on, and an honest peer gets through with its cookie.
 */
static void test_flood(void **state)
{
	struct fix *f = fix_new(11);
	struct sim_node *honest = calloc(1, sizeof(*honest));
	uint8_t priv[32], msg[1200], copy[1200], plain[DGRAM_INIT_PAYLOAD] = { 0 };
	struct caller k;
	(void)state;

	up(f);
	memset(priv, 0x77, sizeof(priv));
	caller_init(&k, &f->b, priv);
	size_t len = caller_build(&k, &f->b, plain, sizeof(plain), 1, msg, f->net.now_us);
	sim_node_start(honest, &f->net, "10.0.0.3:4655", 3, 300);
	struct session_params to_honest = sim_params(honest, NULL);
	sim_add(&f->b, &to_honest, NULL);
	uint64_t cookies = 0;
	for (unsigned i = 0; i < 100000; i++) {
		struct path path = f->evil;

		path.remote.in.sin_addr.s_addr = (in_addr_t)simnet_random(&f->net);
		memcpy(copy, msg, len);
		sessions_input(f->b.ss, &path, copy, len, f->net.now_us);
		if (i == 10000) {
			struct session_params p = sim_params(&f->b, B_HOST);
			cookies = sessions_counters(f->b.ss)->cookies_sent;
			sim_add(honest, &p, B_HOST);
		}
		if (i % 100 == 0)
			pass(f, 10 * MS); /* 10,000 a second */
	}
	assert_true(cookies > 9000);
	assert_int_equal(session_state(honest->peers[0]), SESSION_UP);
	assert_true(sessions_counters(honest->ss)->unknown_index == 0);
	undisturbed(f);
	pass(f, 5 * S);
	undisturbed(f);
	crypto_free(k.c);
	fix_free(f);
	sim_node_stop(honest);
	free(honest);
}

/* Whoever has a cookie is still limited by its network. */
static void test_source_limit(void **state)
{
	struct fix *f = fix_new(12);
	uint8_t priv[32], msg[1200], plain[DGRAM_INIT_PAYLOAD] = { 0 };
	struct caller k;
	(void)state;

	up(f);
	memset(priv, 0x77, sizeof(priv));
	caller_init(&k, &f->b, priv);
	for (unsigned i = 0; i < 1000; i++) {
		size_t len = caller_build(&k, &f->b, plain, sizeof(plain), i, msg, f->net.now_us);

		inject(f, &f->b, &f->evil.remote, msg, len);
		if (f->to_evil_len == COOKIE_REPLY_BYTES && f->to_evil_last[0] == DGRAM_COOKIE) {
			cookie_take(&k.maker, k.c, f->to_evil_last, f->to_evil_len, f->net.now_us);
			f->to_evil_len = 0;
		}
		if (i % 10 == 0)
			pass(f, 10 * MS);
	}
	const struct sessions_counters *c = sessions_counters(f->b.ss);
	assert_true(c->rate_limited > 800);
	assert_in_range(c->unknown_key + c->bad_mac, 60, 110); /* what reached the costly part */
	assert_in_range(c->cookies_sent, 1, 3);
	undisturbed(f);
	crypto_free(k.c);
	fix_free(f);
}

static struct payload honest_payload(uint64_t counter)
{
	struct payload p = { .version_min = 1,
			     .version_max = 1,
			     .incarnation = 1000,
			     .counter = counter,
			     .name = "crafted",
			     .modes = 1,
			     .epoch = 1 };

	p.mbps[CIPHER_AES256GCM] = 100;
	return p;
}

/* Calls b as a, with a payload of choice; true with the response's payload in *ret. */
static bool call_b(struct fix *f, const uint8_t *plain, size_t len, struct payload *ret)
{
	uint8_t msg[1200], out[1200];
	static const uint8_t psk[32];
	struct caller k;

	caller_init(&k, &f->b, f->a.params.private_key.b);
	size_t total = caller_build(&k, &f->b, plain, len, 5, msg, f->net.now_us);
	unsigned before = f->to_evil;
	inject(f, &f->b, &f->evil.remote, msg, total);
	bool ok = f->to_evil == before + 1 && f->to_evil_last[0] == DGRAM_RESPONSE;
	if (ok) {
		assert_true(f->to_evil_len <= total);
		int n = noise_read_2(&k.n, psk, f->to_evil_last + DGRAM_RESPONSE_HDR,
				     f->to_evil_len - DGRAM_RESPONSE_HDR - COOKIE_MACS_BYTES, out);
		assert_true(n > 0);
		assert_int_equal(payload_parse(out, (size_t)n, ret), 0);
	}
	crypto_free(k.c);
	return ok;
}

static size_t build(const struct payload *p, uint8_t *plain, const uint8_t *extra, size_t n)
{
	int len = payload_build(p, plain, 600, 300);

	assert_int_equal(len, 300);
	if (n)
		memcpy(plain + len, extra, n);
	return (size_t)len + n;
}

/* Callers of other versions, and malformed ones. */
static void test_refusals(void **state)
{
	static const uint8_t future[] = { 0x99, 1, 0, 7 }, optional[] = { 0x19, 1, 0, 7 };
	static const uint8_t cut[] = { 0x19, 9, 0, 7 };
	struct fix *f = fix_new(13);
	struct session_params p = sim_params(&f->a, NULL);
	uint8_t plain[700];
	struct payload in, out;
	(void)state;

	sim_add(&f->b, &p, NULL);
	in = honest_payload(1);
	assert_true(call_b(f, plain, build(&in, plain, optional, 4), &out));
	assert_int_equal(out.refusal, REFUSAL_NONE);
	assert_true(out.chosen);
	assert_int_equal(out.cipher, CIPHER_AES256GCM);
	assert_int_equal(out.counter, 1);

	in = honest_payload(2);
	assert_true(call_b(f, plain, build(&in, plain, future, 4), &out));
	assert_int_equal(out.refusal, REFUSAL_ITEM);
	assert_string_equal(out.text, "node2 does not know item 0x99");

	in = honest_payload(3);
	in.version_min = 2;
	in.version_max = 4;
	assert_true(call_b(f, plain, build(&in, plain, NULL, 0), &out));
	assert_int_equal(out.refusal, REFUSAL_VERSION);
	assert_false(out.chosen);

	in = honest_payload(4);
	in.mbps[CIPHER_AES256GCM] = 0;
	assert_true(call_b(f, plain, build(&in, plain, NULL, 0), &out));
	assert_int_equal(out.refusal, REFUSAL_CIPHER);

	in = honest_payload(5);
	assert_false(call_b(f, plain, build(&in, plain, cut, 4), &out));
	assert_int_equal(sim_info(&f->b, 0).drop_decode, 1);
	in = honest_payload(4); /* not greater than the last that was taken */
	assert_false(call_b(f, plain, build(&in, plain, NULL, 0), &out));
	in = honest_payload(9);
	in.incarnation = 999;
	assert_false(call_b(f, plain, build(&in, plain, NULL, 0), &out));
	assert_int_equal(sessions_counters(f->b.ss)->replayed_initiations, 2);
	/* An initiation that leaves no room for the answer gets none. */
	in = honest_payload(10);
	in.version_min = in.version_max = 2;
	int len = payload_build(&in, plain, sizeof(plain), 0);
	assert_false(call_b(f, plain, (size_t)len, &out));
	in = honest_payload(11);
	len = payload_build(&in, plain, sizeof(plain), 0);
	assert_true(call_b(f, plain, (size_t)len, &out));
	assert_int_not_equal(session_state(f->b.peers[0]), SESSION_UP);
	fix_free(f);
}

/* Answers a's latest initiation in b's place. */
static void answer_a(struct fix *f, const struct payload *p)
{
	const struct packet *init = NULL;
	static const uint8_t psk[32];
	struct crypto *c = crypto_new();
	uint8_t e[32], plain[1200], msg[1200];
	struct payload in, out = *p;
	struct cookie_maker maker = { 0 };
	struct noise n;

	for (unsigned i = 0; i < f->n_tape; i++)
		if (f->tape[i].dgram[0] == DGRAM_INIT)
			init = &f->tape[i];
	assert_non_null(init);
	assert_int_equal(noise_init(&n, c, false, true, DGRAM_PROLOGUE, 9,
				    f->b.params.private_key.b, f->b.pub.b, NULL),
			 0);
	int len = noise_read_1(&n, init->dgram + DGRAM_INIT_HDR,
			       init->len - DGRAM_INIT_HDR - COOKIE_MACS_BYTES, plain);
	assert_true(len > 0);
	assert_int_equal(payload_parse(plain, (size_t)len, &in), 0);
	out.counter += in.counter;
	len = payload_build(&out, plain, sizeof(plain), 0);
	memset(msg, 0, DGRAM_RESPONSE_HDR);
	msg[0] = DGRAM_RESPONSE;
	put_le32(msg + 4, 0x777);
	memcpy(msg + 8, init->dgram + 4, 4);
	memset(e, 0x22, sizeof(e));
	len = noise_write_2(&n, e, psk, plain, (size_t)len, msg + DGRAM_RESPONSE_HDR);
	assert_true(len > 0);
	len += DGRAM_RESPONSE_HDR + COOKIE_MACS_BYTES;
	assert_int_equal(cookie_keys_init(&maker.keys, c, f->a.pub.b), 0);
	assert_int_equal(cookie_stamp(&maker, c, msg, (size_t)len, f->net.now_us), 0);
	inject(f, &f->a, &f->b.wire->addrs[0], msg, (size_t)len);
	crypto_free(c);
}

/* A responder that chooses what it should not: the caller does not go along. */
static void test_bad_choices(void **state)
{
	static const struct {
		uint8_t theirs, version, mode, cipher;
		uint64_t counter;
		uint64_t generation;
		bool ok;
		const char *detail;
	} cases[] = {
		{ 7, 1, DATA_AEAD, CIPHER_AES256GCM, 0, 0, true, "" },
		{ 7, 1, DATA_NONE, CIPHER_AES256GCM, 0, 0, false, "not the strongest" },
		{ 2, 1, DATA_AUTH, CIPHER_AES256GCM, 0, 0, false, "not the strongest" },
		{ 7, 1, 77, CIPHER_AES256GCM, 0, 0, false, "not the strongest" },
		{ 7, 2, DATA_AEAD, CIPHER_AES256GCM, 0, 0, false, "version 2" },
		{ 7, 1, DATA_AEAD, 3, 0, 0, false, "cipher 3" },
		{ 7, 1, DATA_AEAD, CIPHER_NONE, 0, 0, false, "cipher 0" },
		{ 7, 1, DATA_AEAD, CIPHER_AES256GCM, 1, 0, false, "" }, /* of another call */
		{ 7, 1, DATA_AEAD, CIPHER_AES256GCM, 0, 5, false, "" }, /* goes on with nothing */
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fix *f = fix_new(14);
		struct session_params p = sim_params(&f->b, B_HOST);
		struct payload out = honest_payload(cases[i].counter);

		p.modes = 1u << DATA_AEAD | 1u << DATA_NONE;
		f->b.wire->dead = true;
		sim_add(&f->a, &p, B_HOST);
		pass(f, 10 * MS);
		out.modes = cases[i].theirs;
		out.chosen = true;
		out.version = cases[i].version;
		out.mode = cases[i].mode;
		out.cipher = cases[i].cipher;
		out.generation = cases[i].generation;
		answer_a(f, &out);
		assert_int_equal(f->a.peers[0]->cur != NULL, cases[i].ok);
		assert_non_null(strstr(sim_info(&f->a, 0).detail, cases[i].detail));
		fix_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replay),	      cmocka_unit_test(test_replay_to_restarted),
		cmocka_unit_test(test_altered),	      cmocka_unit_test(test_old_from_elsewhere),
		cmocka_unit_test(test_early_data),    cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_wrong_psk),     cmocka_unit_test(test_plain),
		cmocka_unit_test(test_lease_delayed), cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_garbage),	      cmocka_unit_test(test_flood),
		cmocka_unit_test(test_source_limit),  cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bad_choices),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
