/*
 * The guards of the data path in virtual time: exact counts, and what must never be taken
 * for a storm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/storm.h"
#include "tests/support/prng.h"

#define T0 UINT64_C(5000000000)
#define SEED UINT64_C(0x0123456789abcdef)

/* policer */

/* Frames at `fps`, evenly, for `us` from *now_us on; how many passed. */
static unsigned offer(struct policer *p, uint64_t *now_us, unsigned fps, uint64_t us)
{
	unsigned n = (unsigned)(us * fps / US_PER_S), passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += policer_pass(p, *now_us + i * US_PER_S / fps);
	*now_us += us;
	return passed;
}

static void test_ordinary_load(void **state)
{
	struct policer p;
	uint64_t now_us = T0;
	unsigned lumps = 0;

	(void)state;
	policer_init(&p, STORM_RATE, now_us);
	assert_int_equal(offer(&p, &now_us, 3900, 60 * US_PER_S), 3900 * 60);
	assert_int_equal(offer(&p, &now_us, 4000, 60 * US_PER_S), 4000 * 60);
	/* In lumps: 390 at once, ten times a second. */
	for (unsigned i = 0; i < 600; i++, now_us += 100000) {
		for (unsigned k = 0; k < 390; k++)
			lumps += policer_pass(&p, now_us);
	}
	assert_int_equal(lumps, 390 * 600);
}

static void test_excess_is_cut(void **state)
{
	struct policer p;
	uint64_t now_us = T0;

	(void)state;
	policer_init(&p, STORM_RATE, now_us);
	/* The burst, and 4,000 for each second but for the last 50 us of the 10 s. */
	assert_int_equal(offer(&p, &now_us, 20000, 10 * US_PER_S), STORM_BURST + 40000 - 1);
	/* From then on the rate, exactly. */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(offer(&p, &now_us, 20000, US_PER_S), 4000);
	assert_int_equal(offer(&p, &now_us, 200000, 10 * US_PER_S), 40000);
}

/* Rates that divide no microsecond evenly are kept, too. */
static void test_odd_rates(void **state)
{
	static const unsigned rates[] = { 1, 3, 7, 333, 2999, 3001, 77777 };
	struct policer p;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t now_us = T0;
		unsigned n = 0;

		policer_init(&p, rates[i], now_us);
		while (policer_pass(&p, now_us))
			n++;
		assert_int_equal(n, STORM_BURST);
		for (n = 0; now_us <= T0 + 100 * US_PER_S; now_us += 10)
			n += policer_pass(&p, now_us);
		assert_int_equal(n, rates[i] * 100);
	}
}

static void test_early_rate(void **state)
{
	struct policer p;
	uint64_t now_us = T0;

	(void)state;
	policer_init(&p, STORM_RATE, now_us);
	policer_open(&p, now_us);
	offer(&p, &now_us, 20000, US_PER_S); /* the burst is gone */
	assert_int_equal(offer(&p, &now_us, 20000, US_PER_S), 1000);
	assert_int_equal(offer(&p, &now_us, 20000, US_PER_S), 4000);

	/* 900 a second pass in the first seconds; of 10,000 the burst and 1,000 a second. */
	now_us += 10 * US_PER_S;
	policer_open(&p, now_us);
	assert_int_equal(offer(&p, &now_us, 900, 2 * US_PER_S), 1800);
	now_us += 10 * US_PER_S;
	policer_open(&p, now_us);
	assert_in_range(offer(&p, &now_us, 10000, 2 * US_PER_S), 2999, 3000);
}

/* A pause that reaches over the end of the early time earns at both rates. */
static void test_early_end_within_a_pause(void **state)
{
	struct policer p;
	unsigned n = 0;

	(void)state;
	policer_init(&p, STORM_RATE, T0);
	policer_open(&p, T0);
	while (policer_pass(&p, T0))
		;
	while (policer_pass(&p, T0 + 1900000))
		;
	while (policer_pass(&p, T0 + 2100000))
		n++;
	assert_int_equal(n, 100 + 400);
}

static void test_slow_tunnel_is_not_early_faster(void **state)
{
	struct policer p;
	uint64_t now_us = T0;

	(void)state;
	policer_init(&p, 200, now_us);
	policer_open(&p, now_us);
	offer(&p, &now_us, 20000, US_PER_S);
	assert_int_equal(offer(&p, &now_us, 20000, US_PER_S), 200);
}

/* A gate that opens again and again gets no burst by it. */
static void test_flapping_gate(void **state)
{
	struct policer p;
	uint64_t now_us = T0;
	unsigned n = 0;

	(void)state;
	policer_init(&p, STORM_RATE, now_us);
	for (unsigned i = 0; i < 1000; i++) {
		policer_open(&p, now_us);
		n += offer(&p, &now_us, 100000, 10000);
	}
	assert_in_range(n, 1000 + 9990, 1000 + 10000);
}

static void test_idle(void **state)
{
	static const unsigned rates[] = { 1, STORM_RATE, UINT32_MAX };
	struct policer p;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		unsigned n = 0;

		policer_init(&p, rates[i], 0);
		while (policer_pass(&p, 0))
			;
		while (policer_pass(&p, UINT64_MAX / 2) && n < 5000)
			n++;
		assert_int_equal(n, STORM_BURST);
	}
}

/* A pause whose credit would come out as nothing in 64 bits. */
static void test_idle_for_ever(void **state)
{
	struct policer p;
	unsigned n = 0;

	(void)state;
	policer_init(&p, 4096, 0);
	while (policer_pass(&p, 0))
		;
	while (policer_pass(&p, UINT64_C(1) << 52))
		n++;
	assert_int_equal(n, STORM_BURST);
}

/* What was earned before the gate opened was earned at the full rate. */
static void test_credit_at_opening(void **state)
{
	struct policer p;
	unsigned n = 0;

	(void)state;
	policer_init(&p, STORM_RATE, T0);
	while (policer_pass(&p, T0))
		;
	policer_open(&p, T0 + 100000);
	while (policer_pass(&p, T0 + 100000))
		n++;
	assert_int_equal(n, 400);
}

static void test_clock_goes_back(void **state)
{
	struct policer p;
	unsigned n = 0;

	(void)state;
	policer_init(&p, STORM_RATE, T0);
	for (unsigned i = 0; i < 100000; i++)
		n += policer_pass(&p, i % 2 ? T0 : T0 - US_PER_S);
	assert_int_equal(n, STORM_BURST);
}

/* recirculation */

static bool copies(struct recirculation *r, unsigned n, uint64_t apart_us)
{
	static const uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54 };
	bool storm = false;

	for (unsigned i = 0; i < n; i++) {
		assert_false(storm); /* not before the last one */
		storm = recirculation_storm(r, frame, sizeof(frame), T0 + i * apart_us);
	}
	return storm;
}

static void test_twenty_copies(void **state)
{
	struct recirculation r;

	(void)state;
	recirculation_init(&r, SEED);
	assert_false(copies(&r, 19, 0));
	recirculation_init(&r, SEED);
	assert_true(copies(&r, 20, 0));
	recirculation_init(&r, SEED);
	assert_false(copies(&r, 19, 5000));
	recirculation_init(&r, SEED);
	assert_true(copies(&r, 20, 5263)); /* 19 gaps are 99,997 us */
	recirculation_init(&r, SEED);
	assert_false(copies(&r, 20, 5264)); /* 100,016 us */
	recirculation_init(&r, SEED);
	assert_false(copies(&r, 20, 10000)); /* 200 ms */
	recirculation_init(&r, SEED);
	assert_false(copies(&r, 2000, 5264));
}

static void test_storm_lasts_as_long_as_it_lasts(void **state)
{
	static const uint8_t frame[60];
	struct recirculation r;

	(void)state;
	recirculation_init(&r, SEED);
	copies(&r, 20, 0);
	recirculation_init(&r, SEED);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(recirculation_storm(&r, frame, sizeof(frame), T0 + i * 100),
				 i >= 19);
	/* A new window after a pause, and when the clock went back. */
	for (unsigned i = 0; i < 15; i++)
		assert_false(recirculation_storm(&r, frame, sizeof(frame), T0 + US_PER_S));
	for (unsigned i = 0; i < 15; i++)
		assert_false(recirculation_storm(&r, frame, sizeof(frame), T0));
}

/* 50,000 a second for 20 s, which differ in one place of four bytes only. */
static void test_no_false_alarm(void **state)
{
	uint8_t frame[128] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct recirculation r;
	struct prng rng = { 4711 };

	(void)state;
	recirculation_init(&r, prng_next(&rng));
	for (uint32_t i = 0; i < 1000000; i++) {
		put_le32(frame + 40, i);
		assert_false(recirculation_storm(&r, frame, sizeof(frame), T0 + i * 20));
	}
	/* From 3,000 frames at random, each comes about 1.7 times in 100 ms. */
	for (uint32_t i = 0; i < 1000000; i++) {
		put_le32(frame + 40, (uint32_t)prng_below(&rng, 3000));
		assert_false(
			recirculation_storm(&r, frame, sizeof(frame), T0 + 60 * US_PER_S + i * 20));
	}
}

/* A loop among other frames: a copy each 2 ms, with 40 others (20,000 a second) between two. */
static void test_found_among_others(void **state)
{
	struct prng rng = { 815 };
	unsigned found = 0;

	(void)state;
	for (unsigned run = 0; run < 200; run++) {
		uint8_t frame[64] = { 0xff }, looping[64] = { 0xff, 1 };
		struct recirculation r;
		uint64_t now_us = T0;
		bool storm = false;

		recirculation_init(&r, prng_next(&rng));
		for (unsigned i = 0; i < 100 && !storm; i++) {
			storm = recirculation_storm(&r, looping, sizeof(looping), now_us);
			for (unsigned k = 0; k < 40; k++, now_us += 50) {
				prng_fill(&rng, frame + 6, 40);
				assert_false(recirculation_storm(&r, frame, sizeof(frame), now_us));
			}
		}
		found += storm;
	}
	assert_in_range(found, 190, 200);
}

/* Every byte counts, and the length. */
static void test_whole_frame(void **state)
{
	uint8_t frame[1514], other[1514];
	struct recirculation r;
	struct prng rng = { 1 };

	(void)state;
	prng_fill(&rng, frame, sizeof(frame));
	for (size_t len = 14; len <= sizeof(frame); len += len < 80 ? 1 : 239) {
		for (size_t at = 0; at <= len; at++) {
			size_t n = len;

			memcpy(other, frame, sizeof(other));
			if (at < len)
				other[at] ^= 0x80;
			else
				n--;
			recirculation_init(&r, SEED);
			for (unsigned i = 0; i < 19; i++)
				assert_false(recirculation_storm(&r, frame, len, T0));
			assert_false(recirculation_storm(&r, other, n, T0));
			assert_true(recirculation_storm(&r, frame, len, T0));
		}
	}
}

static uint64_t siphash13(uint64_t seed, const uint8_t *data, size_t len)
{
	unsigned c = 1, d = 3;
	size_t size = 8, n;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	uint8_t key[16], out[16];

	put_le64(key, seed);
	put_le64(key + 8, ~seed);
	assert_int_equal(EVP_MAC_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_MAC_init(ctx, key, sizeof(key), NULL), 1);
	assert_int_equal(EVP_MAC_update(ctx, data, len), 1);
	assert_int_equal(EVP_MAC_final(ctx, out, &n, sizeof(out)), 1);
	assert_int_equal(n, 8);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return get_le64(out);
}

/* The hash in the table is that of another implementation. */
static void test_hash(void **state)
{
	struct prng rng = { 77 };
	uint8_t frame[100];

	(void)state;
	prng_fill(&rng, frame, sizeof(frame));
	for (size_t len = 0; len <= sizeof(frame); len++) {
		uint64_t seed = prng_next(&rng), want = siphash13(seed, frame, len);
		struct recirculation r;

		recirculation_init(&r, seed);
		recirculation_storm(&r, frame, len, T0);
		assert_true(r.slot[want % STORM_SLOTS].hash == want);
		assert_int_equal(r.slot[want % STORM_SLOTS].count, 1);
	}
}

static void test_group_addresses(void **state)
{
	(void)state;
	assert_true(frame_is_group((const uint8_t *)"\xff\xff\xff\xff\xff\xff"));
	assert_true(frame_is_group((const uint8_t *)"\x01\x80\xc2\0\0\0"));
	assert_true(frame_is_group((const uint8_t *)"\x33\x33\0\0\0\x01"));
	assert_false(frame_is_group((const uint8_t *)"\x52\x54\0\0\0\x01"));
	assert_false(frame_is_group((const uint8_t *)"\x02\x01\x01\x01\x01\x01"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary_load),
		cmocka_unit_test(test_excess_is_cut),
		cmocka_unit_test(test_odd_rates),
		cmocka_unit_test(test_early_rate),
		cmocka_unit_test(test_early_end_within_a_pause),
		cmocka_unit_test(test_slow_tunnel_is_not_early_faster),
		cmocka_unit_test(test_flapping_gate),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_idle_for_ever),
		cmocka_unit_test(test_credit_at_opening),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_twenty_copies),
		cmocka_unit_test(test_storm_lasts_as_long_as_it_lasts),
		cmocka_unit_test(test_no_false_alarm),
		cmocka_unit_test(test_found_among_others),
		cmocka_unit_test(test_whole_frame),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_group_addresses),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
