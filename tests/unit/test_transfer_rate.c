/* The limit: how much passes in a while, bursts, debts, changes on the way, odd numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridgectl/transfer/rate.h"
#include "common/util.h"
#include "tests/support/prng.h"

/* Somebody who waits as told, for `us`: bytes that passed. */
static uint64_t run(struct rate *r, uint64_t *now, uint64_t us, uint64_t piece)
{
	uint64_t end = *now + us, bytes = 0;

	while (*now < end) {
		*now += rate_take(r, piece, *now);
		bytes += piece;
	}
	return bytes;
}

static void no_limit(void **state)
{
	struct rate r = { 0 };

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rate_take(&r, UINT64_MAX, i), 0);
}

static void keeps_its_rate(void **state)
{
	static const uint64_t rates[] = { 1000, 1500000, 50 * 1000000, 3333333333 };
	static const uint64_t pieces[] = { 1, 1448, 65536, 4 << 20 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(pieces); k++) {
			struct rate r = { 0 };
			uint64_t now = 1000000, bytes, us = 1000000, want;

			if (pieces[k] < rates[i] / 10000)
				continue; /* waiting is in whole microseconds */
			if (pieces[k] > rates[i])
				us = pieces[k] / rates[i] * 10 * 1000000;
			rate_set(&r, rates[i], now);
			bytes = run(&r, &now, us, pieces[k]);
			want = (uint64_t)((double)rates[i] * (double)us / 1e6);
			assert_true(bytes <= want + rates[i] / 9 + 2 * pieces[k]);
			assert_true(bytes >= want / 100 * 98);
		}
}

static void bursts_are_small(void **state)
{
	struct rate r = { 0 };
	uint64_t now = 0;

	(void)state;
	rate_set(&r, 1000000, now);
	now += 3600 * US_PER_S; /* nothing for an hour */
	assert_int_equal(rate_take(&r, 100000, now), 0);
	assert_int_equal(rate_take(&r, 1000, now), 1000);
}

static void debts_stay(void **state)
{
	struct rate r = { 0 };

	(void)state;
	rate_set(&r, 1000, 0);
	assert_int_equal(rate_take(&r, 5000, 0), 5 * US_PER_S);
	/* twice as fast: the rest takes half as long */
	rate_set(&r, 2000, US_PER_S);
	assert_int_equal(rate_take(&r, 0, US_PER_S), 2 * US_PER_S);
	/* no limit at all forgives, and a new one begins from nothing */
	rate_set(&r, 0, US_PER_S);
	assert_int_equal(rate_take(&r, 1000000, US_PER_S), 0);
	rate_set(&r, 1000, 2 * US_PER_S);
	assert_int_equal(rate_take(&r, 1000, 2 * US_PER_S), US_PER_S);
}

/* Many takers, each of whom sleeps for itself, as sender threads do. */
static void shared(void **state)
{
	uint64_t until[8] = { 0 }, bytes = 0;
	struct rate r = { 0 };

	(void)state;
	rate_set(&r, 10000000, 0);
	for (uint64_t now = 0; now < 10 * US_PER_S; now += 100)
		for (unsigned i = 0; i < ARRAY_SIZE(until); i++)
			if (until[i] <= now) {
				until[i] = now + rate_take(&r, 65536, now);
				bytes += 65536;
			}
	assert_true(bytes > 98 * 1000000 && bytes < 102 * 1000000);
}

static void odd_clocks_and_numbers(void **state)
{
	static const uint64_t odd[] = { 0, 1, 2, 1000000, 1 << 30, INT64_MAX, UINT64_MAX };
	struct prng p = { 5 };
	struct rate r = { 0 };

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t a = odd[prng_below(&p, 7)], b = odd[prng_below(&p, 7)];

		if (prng_below(&p, 3) == 0)
			rate_set(&r, a, b);
		else
			rate_take(&r, a, b);
	}
	rate_set(&r, 0, 0);
	rate_set(&r, 1000, 0);
	assert_true(rate_take(&r, 1000, 0) >= US_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_limit),	    cmocka_unit_test(keeps_its_rate),
		cmocka_unit_test(bursts_are_small), cmocka_unit_test(debts_stay),
		cmocka_unit_test(shared),	    cmocka_unit_test(odd_clocks_and_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
