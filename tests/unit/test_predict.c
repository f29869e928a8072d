/* How long the last pass will take: rates that fade, a guest that writes too fast. */
#include "bridgectl/transfer/predict.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/util.h"

#define MIB (UINT64_C(1) << 20)

static void assert_near(double v, double wanted)
{
	assert_true(fabs(v - wanted) <= wanted * 0.02 + 1e-9);
}

static void nothing_measured(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	assert_true(predict_downtime_s(&p, 1, 0) >= PREDICT_UNKNOWN);
	assert_near(predict_downtime_s(&p, 0, 0), PREDICT_FIXED_S);
	assert_true(predict_eta_s(1, 0) >= PREDICT_UNKNOWN);
	assert_near(predict_eta_s(0, 0) + 1, 1);
}

static void first_sample_counts_in_full(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	predict_copied(&p, 50 * MIB, US_PER_S / 2);
	assert_near(p.copy.value, 100.0 * MIB);
	assert_near(predict_downtime_s(&p, 1000 * MIB, 0), 10 + PREDICT_FIXED_S);
}

static void short_spans_are_left_out(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	predict_copied(&p, 1000 * MIB, 10);
	assert_true(p.copy.weight <= 0);
}

/* After the limit was changed the old rate fades. */
static void old_rates_fade(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	for (int i = 0; i < 600; i++)
		predict_copied(&p, 100 * MIB, US_PER_S);
	assert_near(p.copy.value, 100.0 * MIB);
	for (int i = 0; i < 20; i++)
		predict_copied(&p, 10 * MIB, US_PER_S);
	assert_true(p.copy.value < 60.0 * MIB && p.copy.value > 30.0 * MIB);
	for (int i = 0; i < 200; i++)
		predict_copied(&p, 10 * MIB, US_PER_S);
	assert_near(p.copy.value, 10.0 * MIB);
}

/* One sample of ten seconds is as good as ten of one. */
static void weighed_by_time(void **state)
{
	struct predict_mean a = { 0 }, b = { 0 };

	(void)state;
	predict_mean_add(&a, 100, 1, 20);
	predict_mean_add(&b, 100, 1, 20);
	predict_mean_add(&a, 500, 10, 20);
	for (int i = 0; i < 10; i++)
		predict_mean_add(&b, 50, 1, 20);
	assert_near(a.value, b.value);
}

static void scan_and_fixed(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	predict_copied(&p, 100 * MIB, US_PER_S);
	/* What compares is as fast as what copies until it was seen. */
	assert_near(predict_downtime_s(&p, 0, 1000 * MIB), 10 + PREDICT_FIXED_S);
	predict_scanned(&p, 1000 * MIB, US_PER_S);
	predict_settled(&p, 2 * US_PER_S);
	assert_near(predict_downtime_s(&p, 100 * MIB, 1000 * MIB), 1 + 1 + 2);
}

static void shrinks(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	for (double s = 1000; s > 1; s /= 2)
		assert_true(predict_shrinks(&p, s));
}

static void does_not_shrink(void **state)
{
	struct predict p;

	(void)state;
	predict_init(&p);
	assert_true(predict_shrinks(&p, 100));
	/* A little shorter each time is not enough. */
	assert_true(predict_shrinks(&p, 98));
	assert_true(predict_shrinks(&p, 96));
	assert_false(predict_shrinks(&p, 94));
	/* A good pass counts again. */
	assert_true(predict_shrinks(&p, 40));
	assert_true(predict_shrinks(&p, 60));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_measured),
		cmocka_unit_test(first_sample_counts_in_full),
		cmocka_unit_test(short_spans_are_left_out),
		cmocka_unit_test(old_rates_fade),
		cmocka_unit_test(weighed_by_time),
		cmocka_unit_test(scan_and_fixed),
		cmocka_unit_test(shrinks),
		cmocka_unit_test(does_not_shrink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
