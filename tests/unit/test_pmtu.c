/* Path MTU search against made-up paths, with loss, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/session/pmtu.h"

struct path_model {
	struct pmtu p;
	uint64_t now_us;
	unsigned mtu;	   /* of the path: larger probes vanish */
	unsigned local;	   /* of the interface: larger ones are refused */
	unsigned loss_pct; /* of what would pass */
	unsigned probes, largest;
	uint64_t rng;
};

static void start(struct path_model *m, unsigned mtu, unsigned local, unsigned loss_pct)
{
	memset(m, 0, sizeof(*m));
	m->now_us = 1000 * US_PER_S;
	m->mtu = mtu;
	m->local = local;
	m->loss_pct = loss_pct;
	m->rng = 99;
	pmtu_init(&m->p, &pmtu_defaults, 9000, m->now_us);
}

static bool lost(struct path_model *m)
{
	m->rng = m->rng * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (m->rng >> 33) % 100 < m->loss_pct;
}

static void run(struct path_model *m, uint64_t us)
{
	uint64_t end_us = m->now_us + us;
	unsigned size;
	uint32_t id;

	while (pmtu_due(&m->p) <= end_us) {
		m->now_us = MAX(m->now_us, pmtu_due(&m->p));
		while (pmtu_tick(&m->p, 2000, m->now_us, &size, &id)) {
			m->probes++;
			m->largest = MAX(m->largest, size);
			assert_in_range(size, PMTU_BASE, 9000);
			if (size > m->local)
				pmtu_too_big(&m->p, size, m->now_us);
			else if (size <= m->mtu && !lost(m))
				pmtu_acked(&m->p, id, size, m->now_us + 2000);
		}
		assert_true(m->p.mtu >= PMTU_BASE && m->p.mtu < m->p.ceiling);
	}
	m->now_us = end_us;
}

static void test_sizes(void **state)
{
	(void)state;
	for (unsigned mtu = 1200; mtu <= 9000; mtu += mtu < 1510 ? 1 : 97) {
		struct path_model m;

		start(&m, mtu, 9000, 0);
		run(&m, 20 * US_PER_S);
		assert_in_range(m.p.mtu, mtu < 1208 ? 1200 : mtu - 8, mtu);
		start(&m, 9000, mtu, 0);
		run(&m, US_PER_S); /* the kernel answers at once */
		assert_in_range(m.p.mtu, mtu < 1208 ? 1200 : mtu - 8, mtu);
	}
}

/* The usual sizes are found exactly, the most usual first and with few probes. */
static void test_usual(void **state)
{
	static const unsigned usual[] = { 1280, 1400, 1420, 1450, 1492, 1500, 9000 };
	(void)state;

	for (unsigned i = 0; i < ARRAY_SIZE(usual); i++) {
		struct path_model m;

		start(&m, usual[i], 9000, 0);
		run(&m, 20 * US_PER_S);
		assert_int_equal(m.p.mtu, usual[i]);
	}
	struct path_model m;
	start(&m, 9000, 9000, 0);
	run(&m, 10 * US_PER_MS);
	assert_int_equal(m.p.mtu, 9000);
	assert_int_equal(m.probes, 2);
}

/* 30 % of probes and their answers get lost: hardly ever taken for a limit. */
static void test_lossy(void **state)
{
	unsigned good = 0;
	(void)state;

	for (unsigned i = 0; i < 100; i++) {
		struct path_model m;

		start(&m, 1500, 1500, 51);
		m.rng = i * 77777;
		run(&m, 30 * US_PER_S);
		good += m.p.mtu == 1500;
	}
	assert_true(good >= 90);
}

static void test_black_hole(void **state)
{
	struct path_model m;
	(void)state;

	start(&m, 9000, 9000, 0);
	run(&m, 5 * US_PER_S);
	assert_int_equal(m.p.mtu, 9000);
	m.mtu = 1500;
	run(&m, 11 * US_PER_S);
	assert_true(m.p.mtu <= 1500);
	run(&m, 10 * US_PER_S);
	assert_int_equal(m.p.mtu, 1500);
	assert_true(m.p.ceiling <= 1508);
	/* Back again: tried once in ten minutes. */
	m.mtu = 9000;
	run(&m, 500 * US_PER_S);
	assert_int_equal(m.p.mtu, 1500);
	run(&m, 120 * US_PER_S);
	assert_int_equal(m.p.mtu, 9000);
}

static void test_suspect(void **state)
{
	struct path_model m;
	(void)state;

	start(&m, 1500, 1500, 0);
	run(&m, 3 * US_PER_S);
	m.mtu = 1300;
	pmtu_suspect(&m.p, m.now_us);
	run(&m, 700 * US_PER_MS);
	assert_true(m.p.mtu <= 1300);
	/* A false alarm costs one probe. */
	start(&m, 1500, 1500, 0);
	run(&m, 3 * US_PER_S);
	unsigned probes = m.probes;
	pmtu_suspect(&m.p, m.now_us);
	run(&m, 700 * US_PER_MS);
	assert_int_equal(m.p.mtu, 1500);
	assert_int_equal(m.probes, probes + 1);
}

static void test_too_big(void **state)
{
	struct path_model m;
	(void)state;

	start(&m, 9000, 9000, 0);
	run(&m, US_PER_S);
	pmtu_too_big(&m.p, 1400, m.now_us); /* data of 1400 bytes was refused */
	assert_int_equal(m.p.mtu, PMTU_BASE);
	assert_int_equal(m.p.ceiling, 1400);
	m.mtu = m.local = 1399;
	run(&m, US_PER_S);
	assert_in_range(m.p.mtu, 1390, 1399);
	pmtu_too_big(&m.p, 600, m.now_us); /* below the base: nothing that we could do */
	assert_in_range(m.p.mtu, 1390, 1399);
}

/* Answers to something else, or to what was settled long ago. */
static void test_stray_acks(void **state)
{
	struct path_model m;
	unsigned size;
	uint32_t id;
	(void)state;

	start(&m, 9000, 9000, 0);
	assert_true(pmtu_tick(&m.p, 0, m.now_us, &size, &id));
	assert_int_equal(size, 1500);
	pmtu_acked(&m.p, id, 9000, m.now_us);
	pmtu_acked(&m.p, id + 1, 1500, m.now_us);
	pmtu_acked(&m.p, id - 1, 1500, m.now_us);
	assert_int_equal(m.p.mtu, PMTU_BASE);
	m.now_us = pmtu_due(&m.p);
	uint32_t second;
	assert_true(pmtu_tick(&m.p, 0, m.now_us, &size, &second));
	pmtu_acked(&m.p, id, 1500, m.now_us); /* the first one's, late: as good */
	assert_int_equal(m.p.mtu, 1500);
	pmtu_acked(&m.p, second, 1500, m.now_us);
	assert_int_equal(m.p.mtu, 1500);
}

/* In peace: one probe per 10 s. */
static void test_idle(void **state)
{
	struct path_model m;
	(void)state;

	start(&m, 1500, 1500, 0);
	run(&m, 100 * US_PER_S);
	unsigned probes = m.probes;
	run(&m, 100 * US_PER_S);
	assert_in_range(m.probes - probes, 9, 11);
	start(&m, 1200, 9000, 0);
	run(&m, 100 * US_PER_S);
	probes = m.probes;
	run(&m, 100 * US_PER_S);
	assert_int_equal(m.probes, probes); /* the base needs no checking */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	   cmocka_unit_test(test_usual),
		cmocka_unit_test(test_lossy),	   cmocka_unit_test(test_black_hole),
		cmocka_unit_test(test_suspect),	   cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_stray_acks), cmocka_unit_test(test_idle),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
