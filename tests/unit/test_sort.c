/* Sorted like qsort(3) sorts, whatever the order, the number and the size of the elements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/fixup/sort.h"
#include "tests/support/prng.h"

struct wide {
	uint32_t key;
	char rest[21];
};

static unsigned long compared;

static int by_key(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	compared++;
	return x < y ? -1 : x > y;
}

/* Few different keys, many, rising, falling. */
static uint32_t key(struct prng *p, unsigned kind, size_t i)
{
	static const uint32_t limits[] = { 3, UINT32_MAX };

	return kind < 2 ? (uint32_t)prng_below(p, limits[kind]) : (uint32_t)(kind == 2 ? i : ~i);
}

static void test_like_qsort(void **state)
{
	struct prng p = { 1 };
	static uint32_t a[600], b[600];

	(void)state;
	for (size_t n = 0; n < 600; n++) {
		for (size_t i = 0; i < n; i++)
			a[i] = b[i] = key(&p, n % 4, i);
		sort(a, n, sizeof(*a), by_key);
		qsort(b, n, sizeof(*b), by_key);
		assert_memory_equal(a, b, n * sizeof(*a));
	}
}

static void test_wide(void **state)
{
	struct prng p = { 2 };
	static struct wide v[300];

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		v[i].key = (uint32_t)prng_next(&p);
		memset(v[i].rest, (int)(v[i].key & 0x7f), sizeof(v[i].rest));
	}
	sort(v, 300, sizeof(*v), by_key);
	for (size_t i = 0; i < 300; i++) {
		assert_true(!i || v[i - 1].key <= v[i].key);
		for (size_t k = 0; k < sizeof(v[i].rest); k++)
			assert_int_equal(v[i].rest[k], v[i].key & 0x7f);
	}
}

/* 100,000 names of a folder are sorted in any order with 2 n log2 n comparisons at most. */
static void test_never_slow(void **state)
{
	struct prng p = { 3 };
	static uint32_t v[100000];

	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		for (size_t i = 0; i < 100000; i++)
			v[i] = key(&p, kind, i);
		compared = 0;
		sort(v, 100000, sizeof(*v), by_key);
		assert_true(compared < 2 * 17 * 100000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_qsort),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_never_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
