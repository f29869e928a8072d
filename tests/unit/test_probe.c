/*
 * Probe frames and their schedule. The known frames were computed by another program from
 * the layout in doc/loops.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/probe.h"

static const uint8_t key[PROBE_KEY_BYTES] = {
	0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47,
	0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f,
};

static const struct probe_body body = {
	.kind = PROBE_L,
	.node = { 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8 },
	.bridge = "br-sv",
	.incarnation = UINT64_C(0x1122334455667788),
	.seq = 0x01020305,
	.time_us = UINT64_C(0x0807060504030201),
};

static const uint8_t known[PROBE_FRAME_BYTES] = {
	0x03, 0x4c, 0x32, 0x54, 0x55, 0x4e, 0x02, 0x59, 0x9a, 0x00, 0x21, 0xc6, 0x88, 0xb5,
	0x4c, 0x32, 0x50, 0x42, 0x01, 0x01, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,
	0x62, 0x72, 0x2d, 0x73, 0x76, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x05, 0x03, 0x02, 0x01,
	0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1b, 0x95, 0xea, 0x71,
	0x22, 0x32, 0x6d, 0x0e, 0x91, 0xf2, 0xef, 0x24, 0x76, 0xaa, 0x7b, 0xbf,
};

static const uint8_t known_mac_of_w8[16] = {
	0x32, 0xa9, 0x3c, 0xb1, 0x6a, 0x52, 0xc0, 0x13,
	0xe1, 0x2c, 0xda, 0xfd, 0x07, 0xf6, 0xa6, 0x0f,
};

static void test_known_frame(void **state)
{
	uint8_t frame[PROBE_FRAME_BYTES + 1];
	struct probe_body w = body;

	(void)state;
	memset(frame, 0xaa, sizeof(frame));
	assert_int_equal(probe_build(&body, key, frame), 0);
	assert_memory_equal(frame, known, sizeof(known));
	assert_int_equal(frame[PROBE_FRAME_BYTES], 0xaa);

	w.kind = PROBE_W;
	w.seq = 8;
	assert_int_equal(probe_build(&w, key, frame), 0);
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff", 6);
	assert_memory_equal(frame + 80, known_mac_of_w8, 16);
}

static void test_round_trip(void **state)
{
	struct probe_body got;

	(void)state;
	memset(&got, 0xee, sizeof(got));
	assert_true(probe_is(known, sizeof(known)));
	assert_int_equal(probe_parse(known, sizeof(known), &got), 0);
	assert_int_equal(got.kind, PROBE_L);
	assert_memory_equal(got.node, body.node, sizeof(got.node));
	assert_string_equal(got.bridge, "br-sv");
	assert_true(got.incarnation == body.incarnation && got.seq == body.seq);
	assert_true(got.time_us == body.time_us);
	assert_true(probe_verify(known, sizeof(known), key));
}

static void test_every_fourth_is_broadcast(void **state)
{
	static const uint8_t group[6] = { 0x03, 0x4c, 0x32, 0x54, 0x55, 0x4e };
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint8_t frame[PROBE_FRAME_BYTES];
	struct probe_body b = body;

	(void)state;
	for (b.seq = 0; b.seq < 16; b.seq++) {
		assert_int_equal(probe_build(&b, key, frame), 0);
		assert_memory_equal(frame, b.seq % 4 == 0 ? all : group, 6);
	}
}

/* Nothing of a frame can be changed, its addresses included, by one bit or by all. */
static void test_tampering(void **state)
{
	uint8_t frame[PROBE_FRAME_BYTES], other[PROBE_KEY_BYTES];

	(void)state;
	for (unsigned i = 0; i < PROBE_FRAME_BYTES; i++) {
		for (unsigned bit = 0; bit < 9; bit++) {
			memcpy(frame, known, sizeof(frame));
			frame[i] ^= (uint8_t)(bit == 8 ? 0xff : 1u << bit);
			assert_false(probe_verify(frame, sizeof(frame), key));
		}
	}
	for (unsigned i = 0; i < PROBE_KEY_BYTES; i++) {
		memcpy(other, key, sizeof(other));
		other[i] ^= 0x80;
		assert_false(probe_verify(known, sizeof(known), other));
	}
}

/* On heap memory of the exact length, so that a sanitizer sees a byte read beyond. */
static void test_lengths(void **state)
{
	struct probe_body got;
	uint8_t longer[PROBE_FRAME_BYTES + 4] = { 0 };

	(void)state;
	for (size_t len = 0; len < PROBE_FRAME_BYTES; len++) {
		_cleanup_free_ uint8_t *cut = malloc(len ? len : 1);

		assert_non_null(cut);
		memcpy(cut, known, len);
		assert_int_equal(probe_is(cut, len), len >= 18);
		assert_int_equal(probe_parse(cut, len, &got), -EBADMSG);
		assert_false(probe_verify(cut, len, key));
	}
	memcpy(longer, known, sizeof(known)); /* some card's trailer */
	assert_int_equal(probe_parse(longer, sizeof(longer), &got), 0);
	assert_true(probe_verify(longer, sizeof(longer), key));
}

/* What does not parse leaves the result alone. */
static int parse_with(unsigned at, const void *bytes, size_t n)
{
	uint8_t frame[PROBE_FRAME_BYTES];
	struct probe_body got, untouched;
	int r;

	memcpy(frame, known, sizeof(frame));
	memcpy(frame + at, bytes, n);
	memset(&got, 0xee, sizeof(got));
	untouched = got;
	r = probe_parse(frame, sizeof(frame), &got);
	if (r < 0)
		assert_memory_equal(&got, &untouched, sizeof(got));
	return r;
}

static void test_malformed(void **state)
{
	(void)state;
	assert_int_equal(parse_with(0, "\x12", 1), 0);
	assert_int_equal(parse_with(12, "\x08\x06", 2), -EBADMSG);
	assert_int_equal(parse_with(14, "L2PX", 4), -EBADMSG);
	assert_int_equal(parse_with(18, "\x00", 1), -EBADMSG);
	assert_int_equal(parse_with(18, "\x02", 1), -EBADMSG);
	assert_int_equal(parse_with(19, "\x00", 1), -EBADMSG);
	assert_int_equal(parse_with(19, "\x02", 1), 0);
	assert_int_equal(parse_with(19, "\x03", 1), -EBADMSG);
	for (unsigned i = 64; i < 80; i++)
		assert_int_equal(parse_with(i, "\x01", 1), -EBADMSG);
}

static void test_names(void **state)
{
	static const char nothing[16];

	(void)state;
	assert_int_equal(parse_with(28, "abcdefghijklmno", 16), 0);
	assert_int_equal(parse_with(28, "abcdefghijklmnop", 16), -EBADMSG); /* no end */
	assert_int_equal(parse_with(28, nothing, 16), -EBADMSG);
	assert_int_equal(parse_with(28, "br\0x", 5), -EBADMSG); /* something behind the end */
	assert_int_equal(parse_with(28, "br\x1b[1m", 6), -EBADMSG);
	assert_int_equal(parse_with(28, "br sv", 5), -EBADMSG);
	assert_int_equal(parse_with(28, "br/sv", 5), -EBADMSG);
	assert_int_equal(parse_with(28, "br\xc3\xa4", 5), -EBADMSG);
}

static void test_tagged_is_none(void **state)
{
	uint8_t tagged[PROBE_FRAME_BYTES + 4] = { 0 };
	struct probe_body got;

	(void)state;
	memcpy(tagged, known, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, known + 12, PROBE_FRAME_BYTES - 12);
	assert_false(probe_is(tagged, sizeof(tagged)));
	assert_int_equal(probe_parse(tagged, sizeof(tagged), &got), -EBADMSG);
	assert_false(probe_verify(tagged, sizeof(tagged), key));
}

/* Unicast, locally administered, the same each time, another for each node and each bridge. */
static void test_source(void **state)
{
	uint8_t a[6], b[6], node[TOPO_NODE_ID_BYTES];

	(void)state;
	probe_source(body.node, "br-sv", a);
	assert_memory_equal(a, known + 6, 6);
	assert_int_equal(a[0], 0x02);
	probe_source(body.node, "br-sw", b);
	assert_memory_not_equal(a, b, 6);
	memcpy(node, body.node, sizeof(node));
	node[7] ^= 1;
	probe_source(node, "br-sv", b);
	assert_memory_not_equal(a, b, 6);
}

/* schedule */

#define T0 UINT64_C(7000000000)

/* Asks every `step_us` from `from` to before `to`: how many are due; never two too close. */
static unsigned count(struct probe_schedule *s, uint64_t from_us, uint64_t to_us, uint64_t step_us)
{
	unsigned n = 0;
	uint64_t last_us = s->sent_us;

	for (uint64_t t = from_us; t < to_us; t += step_us) {
		if (!probe_due(s, t))
			continue;
		assert_false(probe_due(s, t));
		if (last_us)
			assert_true(t - last_us >= PROBE_BURST_US);
		last_us = t;
		n++;
	}
	return n;
}

static void test_steady(void **state)
{
	struct probe_schedule s = { 0 };

	(void)state;
	assert_int_equal(count(&s, T0, T0 + 10 * US_PER_S, 1000), 20);
	assert_true(s.next_us == T0 + 10 * US_PER_S);
}

static void test_burst(void **state)
{
	struct probe_schedule s = { 0 };

	(void)state;
	count(&s, T0, T0 + 100000, 1000);
	probe_burst(&s, T0 + 100000);
	assert_true(s.next_us == T0 + 100000); /* at once */
	assert_int_equal(count(&s, T0 + 100000, T0 + 200000, 1000), 5);
	assert_int_equal(count(&s, T0 + 200000, T0 + 1100000, 1000), 45);
	/* The last one of the burst set one more at its distance; then it is steady again. */
	assert_int_equal(count(&s, T0 + 1100000, T0 + 11100000, 1000), 20);
}

static void test_burst_extends(void **state)
{
	struct probe_schedule s = { 0 };

	(void)state;
	count(&s, T0, T0 + 100000, 1000);
	probe_burst(&s, T0 + 100000);
	assert_int_equal(count(&s, T0 + 100000, T0 + 700000, 1000), 30);
	probe_burst(&s, T0 + 700000);
	assert_int_equal(count(&s, T0 + 700000, T0 + 1700000, 1000), 50);
	assert_int_equal(count(&s, T0 + 1700000, T0 + 2700000, 1000), 2);
	/* A clock that went back does not cut it short. */
	probe_burst(&s, T0 + 3000000);
	probe_burst(&s, T0 + 2900000);
	assert_true(s.burst_until_us == T0 + 4000000);
}

/* Asked for with every frame of a flood, it is still one probe in 20 ms. */
static void test_burst_asked_often(void **state)
{
	struct probe_schedule s = { 0 };
	unsigned n = 0;

	(void)state;
	for (uint64_t t = T0; t < T0 + 10 * US_PER_S; t += 100) {
		probe_burst(&s, t);
		n += probe_due(&s, t);
	}
	assert_int_equal(n, 500);
	/* Also right after the burst, or after a steady one. */
	s = (struct probe_schedule){ 0 };
	assert_true(probe_due(&s, T0));
	probe_burst(&s, T0 + 5000);
	assert_true(s.next_us == T0 + PROBE_BURST_US);
}

static void test_stall(void **state)
{
	struct probe_schedule s = { 0 };
	uint64_t t = T0 + 3600 * US_PER_S;

	(void)state;
	count(&s, T0, T0 + US_PER_S, 1000);
	assert_int_equal(count(&s, t, t + PROBE_STEADY_US, 100), 1);
	probe_burst(&s, t + US_PER_S);
	t += 600 * US_PER_S; /* stopped in a burst: it is over */
	assert_int_equal(count(&s, t, t + US_PER_S, 100), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_frame),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_fourth_is_broadcast),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_tagged_is_none),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_burst_extends),
		cmocka_unit_test(test_burst_asked_often),
		cmocka_unit_test(test_stall),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
