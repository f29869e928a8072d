/* Hold-down and latch in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/block.h"

#define S US_PER_S
#define T0 (1000 * S)

static void before_forwarding_ends_with_the_evidence(void **state)
{
	struct block b = { 0 };

	(void)state;
	assert_false(block_stands(&b, T0));
	assert_true(block_evidence(&b, REASON_FOREIGN, false, T0 + 3 * S, T0));
	assert_false(block_evidence(&b, REASON_WATCHDOG, false, T0 + 5 * S, T0 + 2 * S));
	assert_int_equal(b.reason, REASON_FOREIGN);
	assert_true(block_stands(&b, T0 + 5 * S - 1));
	assert_true(block_until_us(&b) == T0 + 5 * S);
	assert_false(block_stands(&b, T0 + 5 * S));
	assert_int_equal(b.reason, REASON_NONE);
	assert_true(block_until_us(&b) == NEVER);
}

static void hold_down_doubles_and_forgets(void **state)
{
	static const uint64_t holds_s[] = { 10, 20, 40, 80, 160, 300, 300 };
	struct block b = { 0 };
	uint64_t now_us = T0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(holds_s); i++) {
		assert_true(block_evidence(&b, REASON_FOREIGN, true, now_us + 3 * S, now_us));
		assert_true(block_until_us(&b) == now_us + holds_s[i] * S);
		now_us = block_until_us(&b);
		assert_true(block_stands(&b, now_us - 1));
		assert_false(block_stands(&b, now_us));
		assert_false(b.latched); /* a foreign path is no riddle: it never latches */
	}
	now_us += BLOCK_MEMORY_US + S;
	assert_true(block_evidence(&b, REASON_FOREIGN, true, now_us + 3 * S, now_us));
	assert_true(block_until_us(&b) == now_us + 10 * S);
}

static void evidence_outlasts_the_hold_down(void **state)
{
	struct block b = { 0 };

	(void)state;
	block_evidence(&b, REASON_FOREIGN, true, T0 + 3 * S, T0);
	for (unsigned i = 1; i <= 60; i++)
		block_evidence(&b, REASON_FOREIGN, false, T0 + i * S + 3 * S, T0 + i * S);
	assert_true(block_stands(&b, T0 + 62 * S));
	assert_false(block_stands(&b, T0 + 63 * S));
}

static void five_watchdogs_latch_until_cleared(void **state)
{
	struct block b = { 0 };
	uint64_t now_us = T0;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_false(b.latched);
		assert_true(block_evidence(&b, i % 2 ? REASON_STORM : REASON_WATCHDOG, true, now_us,
					   now_us));
		if (i < 4) {
			now_us = block_until_us(&b);
			assert_false(block_stands(&b, now_us));
		}
	}
	assert_true(b.latched);
	assert_true(block_stands(&b, now_us + 100 * BLOCK_MEMORY_US));
	assert_true(block_until_us(&b) == NEVER);
	block_clear(&b);
	assert_false(block_stands(&b, now_us));
}

static void a_found_cause_explains_the_storm(void **state)
{
	struct block b = { 0 };
	uint64_t now_us = T0;

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		assert_true(block_evidence(&b, REASON_STORM, true, now_us, now_us));
		assert_false(block_evidence(&b, REASON_FOREIGN, false, now_us + 3 * S, now_us + S));
		assert_int_equal(b.reason, REASON_FOREIGN);
		assert_false(b.latched);
		now_us = block_until_us(&b);
		assert_false(block_stands(&b, now_us));
	}
}

static void slow_watchdogs_do_not_latch(void **state)
{
	struct block b = { 0 };

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		uint64_t now_us = T0 + i * (BLOCK_MEMORY_US / 4);

		assert_true(block_evidence(&b, REASON_WATCHDOG, true, now_us, now_us));
		assert_false(b.latched);
		assert_false(block_stands(&b, now_us + BLOCK_HOLD_MAX_US));
	}
}

/* The cause is known and avoided: a fifth, each time, and no step towards the latch. */
static void accounted_blocks_are_short(void **state)
{
	struct block b = { 0 };
	uint64_t now_us = US_PER_S, hold_us = BLOCK_HOLD_US;

	(void)state;
	for (unsigned i = 0; i < BLOCK_LATCH + 1; i++) {
		assert_true(block_evidence(&b, REASON_STORM, true, now_us, now_us));
		assert_int_equal(block_until_us(&b), now_us + MIN(hold_us, BLOCK_HOLD_MAX_US));
		block_account(&b, now_us + US_PER_MS);
		block_account(&b, now_us + US_PER_MS); /* once */
		assert_false(b.latched);
		now_us += MIN(hold_us, BLOCK_HOLD_MAX_US) / 5;
		assert_int_equal(block_until_us(&b), now_us);
		assert_false(block_stands(&b, now_us));
		hold_us *= 2;
	}
}

static void no_two_come_back_together(void **state)
{
	struct block a = { .spread = 0 }, b = { .spread = 40 }, c = { .spread = 255 };
	uint64_t now_us = T0;

	(void)state;
	for (unsigned i = 0; i < BLOCK_PAST; i++) {
		block_evidence(&a, REASON_FOREIGN, true, now_us, now_us);
		block_evidence(&b, REASON_FOREIGN, true, now_us, now_us);
		block_evidence(&c, REASON_FOREIGN, true, now_us, now_us);
		uint64_t hold_us = block_until_us(&a) - now_us;

		/* A tunnel listens for 300 ms before it opens: who is behind hears the first. */
		assert_true(block_until_us(&b) - block_until_us(&a) >= 350 * US_PER_MS);
		assert_true(block_until_us(&c) - block_until_us(&b) >= 350 * US_PER_MS);
		assert_true(block_until_us(&c) - now_us < hold_us + hold_us / 4);
		now_us = block_until_us(&c);
		assert_false(block_stands(&a, now_us));
		assert_false(block_stands(&b, now_us));
		assert_false(block_stands(&c, now_us));
	}
	block_clear(&b);
	assert_int_equal(b.spread, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_forwarding_ends_with_the_evidence),
		cmocka_unit_test(hold_down_doubles_and_forgets),
		cmocka_unit_test(evidence_outlasts_the_hold_down),
		cmocka_unit_test(five_watchdogs_latch_until_cleared),
		cmocka_unit_test(a_found_cause_explains_the_storm),
		cmocka_unit_test(slow_watchdogs_do_not_latch),
		cmocka_unit_test(accounted_blocks_are_short),
		cmocka_unit_test(no_two_come_back_together),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
