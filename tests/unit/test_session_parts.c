/*
 * The small parts that sessions are made of, each alone: replay window, cookies, limits,
 * indexes, codecs, seals, and the measuring of ciphers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tlv.h"
#include "common/util.h"
#include "l2tund/session/cipher.h"
#include "l2tund/session/control.h"
#include "l2tund/session/cookie.h"
#include "l2tund/session/dgram.h"
#include "l2tund/session/index.h"
#include "l2tund/session/limit.h"
#include "l2tund/session/payload.h"
#include "l2tund/session/replay.h"
#include "l2tund/session/seal.h"

static bool take(struct replay *r, uint64_t counter)
{
	if (!replay_ok(r, counter))
		return false;
	replay_update(r, counter);
	return true;
}

static void test_replay_window(void **state)
{
	struct replay r;
	(void)state;

	replay_init(&r);
	assert_true(take(&r, 0));
	assert_false(take(&r, 0));
	assert_true(take(&r, 1));
	assert_true(take(&r, 9));
	assert_true(take(&r, 8));
	assert_true(take(&r, 7));
	assert_false(take(&r, 7));
	assert_false(take(&r, 9));
	assert_true(take(&r, REPLAY_BITS + 8));
	assert_false(take(&r, 8)); /* just inside, taken */
	assert_true(take(&r, REPLAY_BITS + 9));
	assert_true(take(&r, 10));  /* the oldest that is in reach */
	assert_false(take(&r, 9));  /* out of reach */
	assert_false(take(&r, 10)); /* taken */
	assert_true(take(&r, 10 * REPLAY_BITS));
	assert_false(take(&r, 9 * REPLAY_BITS));
	assert_true(take(&r, 9 * REPLAY_BITS + 1));
	assert_false(take(&r, UINT64_MAX));
	assert_true(take(&r, UINT64_MAX - 1));
	assert_false(take(&r, UINT64_MAX - 1));
	assert_true(take(&r, UINT64_MAX - REPLAY_BITS));
	assert_false(take(&r, UINT64_MAX - 1 - REPLAY_BITS));

	replay_init(&r);
	assert_true(replay_update(&r, 5));
	assert_false(replay_update(&r, 4));
	assert_true(replay_update(&r, 6));
}

/* Against the simplest possible window: a list of all that was taken. */
static void test_replay_model(void **state)
{
	static bool taken[60000];
	uint64_t x = 12345, greatest = 0;
	struct replay r;
	(void)state;

	replay_init(&r);
	for (unsigned i = 0; i < 40000; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		uint64_t back = x >> 40 & (i % 7 ? 255 : 16383);
		uint64_t counter = i + 16384 - back;
		bool old = greatest >= REPLAY_BITS && counter <= greatest - REPLAY_BITS;

		assert_int_equal(take(&r, counter), !old && !taken[counter]);
		if (!old)
			taken[counter] = true;
		greatest = MAX(greatest, counter);
	}
}

static void test_index(void **state)
{
	struct index_table t = { 0 };
	uint32_t got[100];
	int owners[100];
	(void)state;

	assert_null(index_find(&t, 5));
	assert_int_equal(index_add(&t, 7, owners), 0); /* no room was made */
	assert_int_equal(index_reserve(&t, 8), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(index_reserve(&t, i + 1), 0);
		got[i] = index_add(&t, i % 3 ? 0x5000 + 16 * i : 0, &owners[i]);
		assert_true(got[i] != 0);
		for (unsigned j = 0; j < i; j++)
			assert_true(got[i] != got[j]);
	}
	for (unsigned i = 0; i < 100; i++)
		assert_ptr_equal(index_find(&t, got[i]), &owners[i]);
	index_remove(&t, got[3]);
	assert_null(index_find(&t, got[3]));
	assert_null(index_find(&t, got[4] ^ 0x80000000));
	assert_null(index_find(&t, 0));
	index_fini(&t);
	assert_int_equal(index_reserve(&t, 8), 0);
	for (unsigned i = 0; i < t.cap; i++)
		assert_true(index_add(&t, 99, owners) != 0);
	assert_int_equal(index_add(&t, 99, owners), 0); /* full */
	index_fini(&t);
}

static void test_cookie(void **state)
{
	struct crypto *c = crypto_new();
	struct cookie_checker checker = { 0 };
	struct cookie_maker maker = { 0 };
	uint8_t pub[32] = { 9 }, msg[200] = { DGRAM_INIT }, reply[COOKIE_REPLY_BYTES];
	uint8_t nonce[16] = { 1 }, secret[32] = { 2 };
	struct addr from, other;
	uint64_t now_us = 5 * US_PER_S;
	(void)state;

	assert_int_equal(addr_parse("192.0.2.1:4655", &from), 0);
	assert_int_equal(addr_parse("192.0.2.1:4656", &other), 0);
	assert_int_equal(cookie_keys_init(&checker.keys, c, pub), 0);
	assert_int_equal(cookie_keys_init(&maker.keys, c, pub), 0);
	assert_true(cookie_rotation_due(&checker, now_us));
	cookie_rotate(&checker, secret, now_us);
	assert_false(cookie_rotation_due(&checker, now_us));

	assert_int_equal(cookie_stamp(&maker, c, msg, sizeof(msg), now_us), 0);
	assert_true(cookie_check_mac1(&checker, c, msg, sizeof(msg)));
	assert_false(cookie_check_mac2(&checker, c, msg, sizeof(msg), &from, now_us));
	msg[20] ^= 1;
	assert_false(cookie_check_mac1(&checker, c, msg, sizeof(msg)));
	msg[20] ^= 1;

	assert_int_equal(cookie_reply(&checker, c, msg, sizeof(msg), 77, &from, nonce, reply), 0);
	assert_int_equal(reply[0], DGRAM_COOKIE);
	assert_int_equal(get_le32(reply + 4), 77);
	for (unsigned i = 8; i < sizeof(reply); i++) {
		reply[i] ^= 1;
		assert_int_equal(cookie_take(&maker, c, reply, sizeof(reply), now_us), -EBADMSG);
		reply[i] ^= 1;
	}
	assert_int_equal(cookie_take(&maker, c, reply, sizeof(reply), now_us), 0);
	assert_int_equal(cookie_take(&maker, c, reply, sizeof(reply), now_us), -EBADMSG); /* once */

	assert_int_equal(cookie_stamp(&maker, c, msg, sizeof(msg), now_us), 0);
	assert_true(cookie_check_mac1(&checker, c, msg, sizeof(msg)));
	assert_true(cookie_check_mac2(&checker, c, msg, sizeof(msg), &from, now_us));
	assert_false(cookie_check_mac2(&checker, c, msg, sizeof(msg), &other, now_us));
	msg[199] ^= 1;
	assert_false(cookie_check_mac2(&checker, c, msg, sizeof(msg), &from, now_us));
	msg[199] ^= 1;
	/* The secret is over after two minutes, and so is the cookie at the other end. */
	now_us += COOKIE_LIFE_US;
	assert_true(cookie_rotation_due(&checker, now_us));
	assert_false(cookie_check_mac2(&checker, c, msg, sizeof(msg), &from, now_us));
	assert_int_equal(cookie_stamp(&maker, c, msg, sizeof(msg), now_us), 0);
	for (unsigned i = 184; i < 200; i++)
		assert_int_equal(msg[i], 0);
	crypto_free(c);
}

static struct addr v6(uint64_t net, uint64_t host)
{
	struct addr a = { .in6.sin6_family = AF_INET6 };

	put_le64(a.in6.sin6_addr.s6_addr, net);
	put_le64(a.in6.sin6_addr.s6_addr + 8, host);
	return a;
}

static void test_limit(void **state)
{
	struct limit *l = calloc(1, sizeof(*l));
	struct addr a, b;
	uint64_t now_us = 100 * US_PER_S;
	unsigned passed = 0;
	(void)state;

	limit_init(l, 42, 20, 5);
	assert_int_equal(addr_parse("192.0.2.1:1", &a), 0);
	assert_int_equal(addr_parse("192.0.2.2:1", &b), 0);
	for (unsigned i = 0; i < 50; i++)
		passed += limit_pass(l, &a, now_us);
	assert_int_equal(passed, 5);
	assert_true(limit_pass(l, &b, now_us)); /* another network's bucket */
	now_us += 50 * US_PER_MS;		/* one token */
	addr_set_port(&a, 99);			/* ports make no difference */
	assert_true(limit_pass(l, &a, now_us));
	assert_false(limit_pass(l, &a, now_us));

	/* A /64 is one source, however many addresses it has. */
	passed = 0;
	for (unsigned i = 0; i < 50; i++) {
		struct addr x = v6(7, i);
		passed += limit_pass(l, &x, now_us);
	}
	assert_int_equal(passed, 5);
	/* Ten thousand networks do not make a busy one forgotten more than once in a while. */
	passed = 0;
	for (unsigned i = 0; i < 10000; i++) {
		struct addr x = v6(1000 + i, 0);
		limit_pass(l, &x, now_us);
		passed += limit_pass(l, &a, now_us);
	}
	assert_true(passed <= 100);
	free(l);
}

static void test_load(void **state)
{
	struct load l;
	uint64_t now_us = 50 * US_PER_S;
	(void)state;

	load_init(&l, 50);
	for (unsigned i = 0; i < 50; i++)
		assert_false(load_note(&l, now_us + i));
	assert_true(load_note(&l, now_us + 50));
	assert_true(load_note(&l, now_us + US_PER_S - 1));
	assert_false(load_note(&l, now_us + 3 * US_PER_S));
	for (unsigned i = 0; i < 200; i++) /* 20 a second: no load */
		assert_false(load_note(&l, now_us + (5 * 20 + i) * 50 * US_PER_MS));
}

static struct payload sample_payload(void)
{
	struct payload p = {
		.version_min = 1,
		.version_max = 3,
		.incarnation = UINT64_C(0x1122334455667788),
		.counter = 42,
		.name = "xen1.example",
		.modes = 5,
		.generation = UINT64_C(0xabcdef),
		.epoch = 77,
	};

	p.mbps[CIPHER_AES256GCM] = 3000;
	p.mbps[CIPHER_CHACHAPOLY] = 1200;
	return p;
}

static void test_payload(void **state)
{
	struct payload in = sample_payload(), out;
	uint8_t buf[600];
	(void)state;

	int n = payload_build(&in, buf, sizeof(buf), 448);
	assert_int_equal(n, 448);
	assert_int_equal(payload_parse(buf, 448, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));

	in.chosen = true;
	in.version = 1;
	in.mode = DATA_AUTH;
	in.cipher = CIPHER_CHACHAPOLY;
	in.refusal = REFUSAL_MODE;
	strcpy(in.text, "no common data mode");
	n = payload_build(&in, buf, sizeof(buf), 0);
	assert_true(n > 0);
	assert_int_equal(payload_parse(buf, (size_t)n, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	for (int cap = 0; cap < n; cap++) {
		assert_int_equal(payload_build(&in, buf, (size_t)cap, 0), -ENOBUFS);
		struct payload cut = { .counter = 1 };
		payload_build(&in, buf, sizeof(buf), 0);
		/* Cut between the last items it may still parse, but then lacks them. */
		if (payload_parse(buf, (size_t)cap, &cut) == 0)
			assert_true(!cut.refusal);
	}
	/* The figures on the wire, once by hand. */
	static const uint8_t begin[] = { 0x81, 2, 0, 1, 3, 0x82, 16, 0, 0x88, 0x77, 0x66, 0x55 };
	assert_memory_equal(buf, begin, sizeof(begin));
}

/* A good payload, less its item of `type`. */
static size_t payload_without(uint8_t type, uint8_t *buf, size_t cap)
{
	struct payload in = sample_payload();
	uint8_t whole[600];
	int n = payload_build(&in, whole, sizeof(whole), 0);
	size_t len = 0;

	assert_true(n > 0 && cap >= sizeof(whole));
	for (const uint8_t *p = whole; p < whole + n; p += 3 + get_le16(p + 1)) {
		if (*p == type)
			continue;
		memcpy(buf + len, p, 3u + get_le16(p + 1));
		len += 3u + get_le16(p + 1);
	}
	return len;
}

static void test_payload_malformed(void **state)
{
	static const struct {
		const char *what;
		uint8_t item[8];
		unsigned n;
		int want, unknown;
	} cases[] = {
		{ "unknown, optional", { 0x33, 2, 0, 1, 1 }, 5, 0, 0 },
		{ "unknown, mandatory", { 0xb3, 2, 0, 1, 1 }, 5, 0, 0xb3 },
		{ "as it should be", { 0x83, 1, 0, 1 }, 4, 0, 0 },
		{ "twice the same", { 0x83, 1, 0, 1, 0x83, 1, 0, 1 }, 8, -EBADMSG, 0 },
		{ "a cipher of the future", { 0x84, 5, 0, 9, 1, 1, 0, 0 }, 8, 0, 0 },
		{ "too long for what it is", { 0x83, 2, 0, 1, 1 }, 5, -EBADMSG, 0 },
		{ "too short", { 0x81, 1, 0, 1 }, 4, -EBADMSG, 0 },
		{ "versions upside down", { 0x81, 2, 0, 3, 2 }, 5, -EBADMSG, 0 },
		{ "empty name", { 0x01, 0, 0 }, 3, -EBADMSG, 0 },
		{ "bad name", { 0x01, 2, 0, 'a', '\n' }, 5, -EBADMSG, 0 },
		{ "refusal without reason", { 0x87, 1, 0, 0 }, 4, -EBADMSG, 0 },
		{ "half a header", { 0x33, 2 }, 2, -EBADMSG, 0 },
		{ "length past the end", { 0x33, 200, 0, 1 }, 4, -EBADMSG, 0 },
	};
	struct payload in = sample_payload(), out;
	uint8_t buf[600];
	(void)state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = payload_without(cases[i].item[0], buf, sizeof(buf));

		memcpy(buf + n, cases[i].item, cases[i].n);
		print_message("# %s\n", cases[i].what);
		assert_int_equal(payload_parse(buf, n + cases[i].n, &out), cases[i].want);
		if (!cases[i].want)
			assert_int_equal(out.unknown, cases[i].unknown);
	}
	static const uint8_t needed[] = { 0x01, 0x81, 0x82, 0x83, 0x84, 0x85 };
	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
		size_t n = payload_without(needed[i], buf, sizeof(buf));
		assert_int_equal(payload_parse(buf, n, &out), -EBADMSG);
	}
	assert_int_equal(payload_parse(buf, 0, &out), -EBADMSG);
	/* A cipher of the future is skipped: AES's number becomes one that nobody knows. */
	int n = payload_build(&in, buf, sizeof(buf), 0);
	static const uint8_t ciphers[] = { 0x84, 10, 0, CIPHER_AES256GCM };
	uint8_t *at = memmem(buf, (size_t)n, ciphers, sizeof(ciphers));
	assert_non_null(at);
	at[3] = 200;
	assert_int_equal(payload_parse(buf, (size_t)n, &out), 0);
	assert_int_equal(out.mbps[CIPHER_AES256GCM], 0);
	assert_int_equal(out.mbps[CIPHER_CHACHAPOLY], in.mbps[CIPHER_CHACHAPOLY]);
	/* A text from afar is made safe to print. */
	n = payload_build(&in, buf, sizeof(buf), 0);
	static const uint8_t text[] = { 0x87, 5, 0, 2, 'a', 27, 0xff, 'b' };
	memcpy(buf + n, text, sizeof(text));
	assert_int_equal(payload_parse(buf, (size_t)n + sizeof(text), &out), 0);
	assert_string_equal(out.text, "a??b");
}

static void test_picks(void **state)
{
	static const uint32_t a[CIPHERS] = { 0, 100, 90 }, b[CIPHERS] = { 0, 20, 30 };
	static const uint32_t only_aes[CIPHERS] = { 0, 1, 0 }, only_chacha[CIPHERS] = { 0, 0, 1 };
	(void)state;

	assert_int_equal(payload_pick_cipher(a, b), CIPHER_CHACHAPOLY);
	assert_int_equal(payload_pick_cipher(b, a), CIPHER_CHACHAPOLY);
	assert_int_equal(payload_pick_cipher(a, a), CIPHER_AES256GCM);
	assert_int_equal(payload_pick_cipher(a, only_aes), CIPHER_AES256GCM);
	assert_int_equal(payload_pick_cipher(only_chacha, only_aes), -ENOENT);
	assert_int_equal(payload_pick_mode(7, 6), DATA_AUTH);
	assert_int_equal(payload_pick_mode(4, 7), DATA_NONE);
	assert_int_equal(payload_pick_mode(1, 6), -ENOENT);
	assert_int_equal(payload_pick_mode(0xf8, 0xf8), -ENOENT); /* modes of the future */
}

static void test_hello_codec(void **state)
{
	static struct hello in, out;
	uint8_t buf[1200];
	(void)state;

	in.flags = HELLO_F_ANSWER;
	in.list = 3;
	in.list_seen = 4;
	in.sent_us = UINT64_C(0x0102030405060708);
	in.echo_us = 6;
	in.held_us = 7;
	in.tx = 8;
	in.echo_tx = 9;
	in.echo_rx = 10;
	in.n = SESSION_SEGMENTS_MAX;
	for (unsigned i = 0; i < in.n; i++)
		in.segs[i] = (struct hello_segment){ (uint16_t)(i * 3), i % 2 };
	int n = control_build_hello(&in, buf, sizeof(buf));
	assert_int_equal(n, 56 + 3 * 256);
	assert_true(n <= CONTROL_BYTES_MAX);
	assert_int_equal(control_kind(buf, (size_t)n), CONTROL_HELLO);
	assert_int_equal(control_parse_hello(buf, (size_t)n, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(control_parse_hello(buf, (size_t)n + 9, &out),
			 0); /* a longer one of later */
	for (int len = 0; len < n; len++)
		assert_int_equal(control_parse_hello(buf, (size_t)len, &out), -EBADMSG);
	put_le16(buf + 2, SESSION_SEGMENTS_MAX + 1);
	assert_int_equal(control_parse_hello(buf, sizeof(buf), &out), -EBADMSG);
	assert_int_equal(control_build_hello(&in, buf, 100), -ENOBUFS);
	assert_int_equal(control_kind(buf, 0), -EBADMSG);
}

static void test_segments_codec(void **state)
{
	static struct segment segs[60];
	static struct segments_page out;
	uint8_t buf[1400];
	unsigned taken;
	(void)state;

	for (unsigned i = 0; i < ARRAY_SIZE(segs); i++) {
		segs[i] = (struct segment){ .id = (uint16_t)i, .mtu = 9000, .priority = 7 };
		memcpy(segs[i].bridge, "br-0123456789ab", 16);
		memcpy(segs[i].want, "br-ba9876543210", 16);
		segs[i].mesh = i % 2;
		segs[i].usable = i % 3;
	}
	int n = control_build_segments(9, 2, 5, segs, ARRAY_SIZE(segs), buf, sizeof(buf), &taken);
	assert_in_range(n, 900, CONTROL_BYTES_MAX);
	assert_in_range(taken, 20, 25);
	assert_int_equal(control_parse_segments(buf, (size_t)n, &out), 0);
	assert_int_equal(out.list, 9);
	assert_int_equal(out.page, 2);
	assert_int_equal(out.pages, 5);
	assert_int_equal(out.n, taken);
	assert_memory_equal(out.segs, segs, taken * sizeof(segs[0]));
	for (int len = 0; len < n; len++)
		assert_int_equal(control_parse_segments(buf, (size_t)len, &out), -EBADMSG);

	struct {
		unsigned at;
		uint8_t v;
	} bad[] = { { 1, 5 },				/* page behind the last */
		    { 2, 0 },	 { 2, 17 }, { 3, 255 }, /* more than can be */
		    { 22, 16 },				/* name too long */
		    { 22, 0 },				/* and empty */
		    { 23, '/' }, { 24, 0 } };
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		control_build_segments(9, 2, 5, segs, ARRAY_SIZE(segs), buf, sizeof(buf), &taken);
		buf[bad[i].at] = bad[i].v;
		assert_int_equal(control_parse_segments(buf, (size_t)n, &out), -EBADMSG);
	}
	n = control_build_segments(9, 0, 1, segs, 0, buf, sizeof(buf), &taken);
	assert_int_equal(n, 8);
	assert_int_equal(control_parse_segments(buf, 8, &out), 0);
	assert_int_equal(out.n, 0);
	put_le32(buf + 4, 0); /* list 0 means "none yet" and is never sent */
	assert_int_equal(control_parse_segments(buf, 8, &out), -EBADMSG);
}

static void test_probe_codec(void **state)
{
	struct probe in = { 0x01020304, 1500 }, out;
	uint8_t buf[1600];
	(void)state;

	assert_int_equal(control_build_probe(&in, 1442, buf, sizeof(buf)), 1442);
	assert_int_equal(control_kind(buf, 1442), CONTROL_PROBE);
	assert_int_equal(control_parse_probe(buf, 1442, &out), 0);
	assert_int_equal(out.id, in.id);
	assert_int_equal(out.size, 1500);
	assert_int_equal(control_build_probe(&in, 1442, buf, 1000), -ENOBUFS);
	assert_int_equal(control_build_probe_ack(&in, buf, sizeof(buf)), 8);
	assert_int_equal(control_kind(buf, 8), CONTROL_PROBE_ACK);
	assert_int_equal(control_parse_probe(buf, 7, &out), -EBADMSG);
	assert_int_equal(control_build_close(buf, sizeof(buf)), 2);
	assert_int_equal(control_kind(buf, 2), CONTROL_CLOSE);
}

static void test_tlv(void **state)
{
	uint8_t buf[8];
	struct tlv_writer w = tlv_writer(buf, sizeof(buf));
	struct tlv_reader r;
	char text[4];
	(void)state;

	tlv_put_u32(&w, 1);
	tlv_put_u64(&w, 2); /* does not fit */
	assert_true(w.bad);
	tlv_put_u8(&w, 3); /* would fit, but comes too late */
	assert_int_equal(w.len, 4);

	r = tlv_reader("\x03"
		       "abc",
		       4);
	tlv_get_text(&r, text, sizeof(text));
	assert_string_equal(text, "abc");
	assert_false(r.bad);
	r = tlv_reader("\x04"
		       "abcd",
		       5);
	tlv_get_text(&r, text, sizeof(text));
	assert_true(r.bad);
	assert_string_equal(text, "");
	r = tlv_reader("\x05"
		       "ab",
		       3);
	tlv_get_text(&r, text, sizeof(text));
	assert_true(r.bad);
	assert_int_equal(tlv_get_u16(&r), 0);
}

struct seals {
	struct crypto *c;
	struct seal a, b;
	uint8_t dgram[300];
};

static void seals_init(struct seals *s, enum data_mode mode, enum cipher cipher)
{
	uint8_t x[32] = { 1 }, y[32] = { 2 };

	s->c = crypto_new();
	assert_int_equal(seal_init(&s->a, s->c, mode, cipher, x, y, 1), 0);
	assert_int_equal(seal_init(&s->b, s->c, mode, cipher, y, x, 1), 0);
	memset(s->dgram, 0x5a, sizeof(s->dgram));
}

static void seals_fini(struct seals *s)
{
	seal_fini(&s->a);
	seal_fini(&s->b);
	crypto_free(s->c);
}

/* Each type in each mode and cipher; header and every byte are protected. */
static void test_seal(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 6; k++) {
		enum data_mode mode = k % 3;
		struct seals s;
		bool newest;

		seals_init(&s, mode, k < 3 ? CIPHER_AES256GCM : CIPHER_CHACHAPOLY);
		uint8_t types[] = { seal_data_type(&s.a), DGRAM_CONTROL };
		for (unsigned t = 0; t < 2; t++) {
			bool plain = types[t] == DGRAM_PLAIN;
			int n = seal_out(&s.a, 0, types[t], 0x01020304, s.dgram, 100);

			assert_int_equal(n, plain ? 116 : 132);
			assert_int_equal(get_le32(s.dgram + 4), 0x01020304);
			for (int i = 0; i < (plain ? 16 : n); i++) {
				struct seal copy = s.b;
				uint8_t x[300];

				if (plain && i >= 1 && i < 8)
					continue; /* checked before, by index and layout */
				memcpy(x, s.dgram, sizeof(x));
				x[i] ^= 0x10;
				assert_true(seal_in(&copy, 0, x, (size_t)n, &newest) < 0);
			}
			uint8_t again[300];
			memcpy(again, s.dgram, sizeof(again));
			assert_int_equal(seal_in(&s.b, 0, s.dgram, (size_t)n, &newest), 100);
			assert_int_equal(newest, !plain);
			for (unsigned i = 0; i < 100; i++)
				assert_int_equal(s.dgram[16 + i], 0x5a);
			if (!plain)
				assert_int_equal(seal_in(&s.b, 0, again, (size_t)n, &newest),
						 -EALREADY);
			assert_int_equal(seal_in(&s.b, 0, s.dgram, 16 - plain, &newest), -EPROTO);
		}
		seals_fini(&s);
	}
}

/* What one mode sends, another does not take; own datagrams sent back neither. */
static void test_seal_confusion(void **state)
{
	struct seals aead, none;
	bool newest;
	(void)state;

	seals_init(&aead, DATA_AEAD, CIPHER_AES256GCM);
	seals_init(&none, DATA_NONE, CIPHER_AES256GCM);
	int n = seal_out(&none.a, 0, DGRAM_PLAIN, 1, none.dgram, 50);
	assert_int_equal(seal_in(&aead.b, 0, none.dgram, (size_t)n, &newest), -EPROTO);
	n = seal_out(&aead.a, 0, DGRAM_DATA, 1, aead.dgram, 50);
	assert_int_equal(seal_in(&none.b, 0, aead.dgram, (size_t)n, &newest), -EPROTO);
	assert_int_equal(seal_in(&aead.a, 0, aead.dgram, (size_t)n, &newest), -EBADMSG);
	assert_true(none.a.tx_cookie != none.a.rx_cookie);
	assert_true(none.a.tx_cookie == none.b.rx_cookie);
	seals_fini(&aead);
	seals_fini(&none);
}

static uint64_t slow_clock(void *arg)
{
	uint64_t *now_us = arg;
	return *now_us += 100;
}

static void test_cipher_measure(void **state)
{
	uint64_t now_us = 0;
	uint32_t aes = 0, chacha = 0;
	(void)state;

	/* 16 datagrams of 1400 bytes in each 100 us: 224 MB/s for both. */
	assert_int_equal(cipher_measure(slow_clock, &now_us, &aes, &chacha), 0);
	assert_in_range(aes, 200, 240);
	assert_int_equal(aes, chacha);
	assert_in_range(now_us, 5000, 7000);
}

struct busy_clock {
	uint64_t now_us;
	unsigned calls;
};

/* In the first turn, which is that of AES-256-GCM, another program runs for 20 ms. */
static uint64_t busy_clock(void *arg)
{
	struct busy_clock *c = arg;

	c->now_us += ++c->calls == 3 ? 20000 : 100;
	return c->now_us;
}

static void test_cipher_measure_on_a_busy_machine(void **state)
{
	struct busy_clock c = { 0 };
	uint32_t aes = 0, chacha = 0;
	(void)state;

	assert_int_equal(cipher_measure(busy_clock, &c, &aes, &chacha), 0);
	assert_in_range(aes, 200, 240);
	assert_int_equal(aes, chacha);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replay_window),
		cmocka_unit_test(test_replay_model),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_payload_malformed),
		cmocka_unit_test(test_picks),
		cmocka_unit_test(test_hello_codec),
		cmocka_unit_test(test_segments_codec),
		cmocka_unit_test(test_probe_codec),
		cmocka_unit_test(test_tlv),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_seal_confusion),
		cmocka_unit_test(test_cipher_measure),
		cmocka_unit_test(test_cipher_measure_on_a_busy_machine),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
