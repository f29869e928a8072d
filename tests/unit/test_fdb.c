/*
 * The mirror of a forwarding table: what each update was, against a plain list under random
 * operations, at its limit, and after full reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/fdb.h"
#include "tests/support/prng.h"

#define SEED UINT64_C(0x0123456789abcdef)
#define STEPS 200000
#define MODEL_MACS 48
#define MODEL_VLANS 4

static const uint8_t a[6] = { 2, 0, 0, 0, 0, 0xa }, b[6] = { 2, 0, 0, 0, 0, 0xb };

static enum fdb_change put(struct fdb *f, const uint8_t mac[6], int port)
{
	int from;

	return fdb_put(f, mac, 0, port, false, &from);
}

static void test_what_an_update_was(void **state)
{
	struct fdb f;
	int from = -1;

	(void)state;
	fdb_init(&f, SEED);
	assert_false(fdb_knows(&f, a, 0));
	assert_int_equal(fdb_drop(&f, a, 0), FDB_NONE);
	assert_int_equal(fdb_put(&f, a, 0, 3, false, &from), FDB_LEARNT);
	assert_int_equal(fdb_put(&f, a, 0, 3, false, &from), FDB_REFRESHED);
	assert_int_equal(from, -1);
	assert_int_equal(fdb_put(&f, a, 0, 4, false, &from), FDB_MOVED);
	assert_int_equal(from, 3);
	assert_int_equal(put(&f, b, 3), FDB_LEARNT);
	assert_int_equal(f.n, 2);
	assert_int_equal(fdb_drop(&f, a, 0), FDB_GONE);
	assert_int_equal(fdb_drop(&f, a, 0), FDB_NONE);
	assert_false(fdb_knows(&f, a, 0));
	assert_true(fdb_knows(&f, b, 0));
	/* After it was gone, another port is no move. */
	assert_int_equal(put(&f, a, 9), FDB_LEARNT);
	fdb_fini(&f);
}

static void test_ports_and_vlans(void **state)
{
	struct fdb f;
	int from;

	(void)state;
	fdb_init(&f, SEED);
	fdb_put(&f, a, 1, 3, false, &from);
	assert_int_equal(fdb_put(&f, a, 2, 4, false, &from), FDB_LEARNT);
	assert_true(fdb_knows(&f, a, 3) && fdb_knows(&f, a, 4) && fdb_knows(&f, a, 0));
	assert_false(fdb_knows(&f, a, 5) || fdb_knows(&f, b, 0));
	assert_int_equal(fdb_drop(&f, a, 0), FDB_NONE);
	assert_int_equal(fdb_drop(&f, a, 1), FDB_GONE);
	assert_false(fdb_knows(&f, a, 3));
	assert_true(fdb_knows(&f, a, 4));
	fdb_fini(&f);
}

/* The bridge's own addresses may be at several ports, and are never guests that move. */
static void test_local_addresses_do_not_move(void **state)
{
	struct fdb f;
	int from;

	(void)state;
	fdb_init(&f, SEED);
	assert_int_equal(fdb_put(&f, a, 0, 3, true, &from), FDB_LEARNT);
	assert_int_equal(fdb_put(&f, a, 0, 4, true, &from), FDB_REFRESHED);
	assert_int_equal(fdb_put(&f, a, 0, 5, false, &from), FDB_REFRESHED);
	assert_int_equal(fdb_put(&f, a, 0, 6, true, &from), FDB_REFRESHED);
	assert_true(fdb_knows(&f, a, 6));
	fdb_fini(&f);
}

static void number(unsigned i, uint8_t mac[6])
{
	const uint8_t bytes[6] = {
		2, 0, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i
	};

	memcpy(mac, bytes, sizeof(bytes));
}

static void test_full(void **state)
{
	struct fdb f;
	uint8_t mac[6];

	(void)state;
	fdb_init(&f, SEED);
	for (unsigned i = 0; i < FDB_MAX; i++) {
		number(i, mac);
		assert_int_equal(put(&f, mac, 3), FDB_LEARNT);
	}
	assert_int_equal(put(&f, a, 3), FDB_REFRESHED); /* its number is 10 */
	number(FDB_MAX, mac);
	assert_int_equal(put(&f, mac, 3), FDB_FULL);
	assert_false(fdb_knows(&f, mac, 0));
	assert_int_equal(f.n, FDB_MAX);
	for (unsigned i = 0; i < FDB_MAX; i++) {
		number(i, mac);
		assert_true(fdb_knows(&f, mac, 3));
	}
	/* One place is enough for one. */
	assert_int_equal(fdb_drop(&f, a, 0), FDB_GONE);
	number(FDB_MAX, mac);
	assert_int_equal(put(&f, mac, 3), FDB_LEARNT);
	fdb_clear(&f);
	assert_int_equal(f.n, 0);
	assert_false(fdb_knows(&f, mac, 0));
	assert_int_equal(put(&f, mac, 3), FDB_LEARNT);
	fdb_fini(&f);
}

static void fill(struct fdb *f, unsigned from, unsigned to, unsigned step, int port)
{
	uint8_t mac[6];

	for (unsigned i = from; i < to; i += step) {
		number(i, mac);
		put(f, mac, port);
	}
}

/* What a read does not show is gone; changes in the middle of it count. */
static void test_full_read(void **state)
{
	struct fdb f;
	uint8_t mac[6];

	(void)state;
	fdb_init(&f, SEED);
	for (unsigned round = 0; round < 3; round++) {
		fill(&f, 0, 1000, 1, 3);
		fdb_begin(&f);
		fill(&f, 0, 1000, 2, 4);
		number(1, mac);
		put(&f, mac, 3);
		number(0, mac);
		fdb_drop(&f, mac, 0);
		fdb_end(&f);
		assert_int_equal(f.n, 500);
		for (unsigned i = 0; i < 1000; i++) {
			number(i, mac);
			assert_int_equal(fdb_knows(&f, mac, 4), i > 0 && i % 2 == 0);
			assert_int_equal(fdb_knows(&f, mac, 3), i == 1);
		}
	}
	/* An empty one. */
	fdb_begin(&f);
	fdb_end(&f);
	assert_int_equal(f.n, 0);
	fdb_fini(&f);
}

/* Against a table with a place for everything. */
static void test_model(void **state)
{
	int model[MODEL_MACS][MODEL_VLANS] = { 0 };
	struct prng prng = { 7 };
	struct fdb f;
	uint8_t mac[6];
	unsigned n = 0;

	(void)state;
	fdb_init(&f, SEED);
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned m = prng_below(&prng, MODEL_MACS), v = prng_below(&prng, MODEL_VLANS);
		int port = 1 + (int)prng_below(&prng, 3), from = 0, *at = &model[m][v];
		bool known = false, here = false;

		number(m << 8, mac);
		if (prng_below(&prng, 3)) {
			enum fdb_change want = !*at	   ? FDB_LEARNT :
					       *at == port ? FDB_REFRESHED :
							     FDB_MOVED;

			n += !*at;
			assert_int_equal(fdb_put(&f, mac, (uint16_t)v, port, false, &from), want);
			assert_int_equal(from, want == FDB_MOVED ? *at : 0);
			*at = port;
		} else {
			n -= *at != 0;
			assert_int_equal(fdb_drop(&f, mac, (uint16_t)v), *at ? FDB_GONE : FDB_NONE);
			*at = 0;
		}
		assert_int_equal(f.n, n);
		for (unsigned k = 0; k < MODEL_VLANS; k++) {
			known |= model[m][k] != 0;
			here |= model[m][k] == port;
		}
		assert_int_equal(fdb_knows(&f, mac, 0), known);
		assert_int_equal(fdb_knows(&f, mac, port), here);
	}
	fdb_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_an_update_was),
		cmocka_unit_test(test_ports_and_vlans),
		cmocka_unit_test(test_local_addresses_do_not_move),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_read),
		cmocka_unit_test(test_model),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
