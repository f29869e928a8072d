/* The reassembly table: order, copies, contradictions, time, bounds, memory that comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/reasm.h"
#include "tests/support/prng.h"

#define T0 UINT64_C(1000000)
#define BIG 65550

static uint8_t content[BIG];

/* Bytes [from, to) of a frame of `total`. */
static struct reasm_chunk chunk(uint32_t message, uint32_t from, uint32_t to, uint32_t total)
{
	return (struct reasm_chunk){ .segment = 5,
				     .message = message,
				     .offset = from,
				     .total = total,
				     .bytes = content + from,
				     .len = to - from };
}

static int add(struct reasm *r, struct reasm_chunk c, uint64_t now_us)
{
	struct reasm_frame f = { .len = 12345 };
	int done = reasm_add(r, &c, now_us, &f);

	if (done == 1) {
		assert_int_equal(f.segment, c.segment);
		assert_int_equal(f.len, c.total);
		assert_memory_equal(f.bytes, content, f.len);
	} else {
		assert_int_equal(f.len, 12345); /* untouched */
	}
	return done;
}

static int setup(void **state)
{
	struct prng p = { 42 };
	static struct reasm r;

	prng_fill(&p, content, sizeof(content));
	memset(&r, 0, sizeof(r));
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	reasm_fini(*state);
	return 0;
}

/* Feeds the chunks of a 1000-byte frame in every order of `left` of them. */
static void permute(struct reasm *r, uint32_t *message, unsigned *order, unsigned n, unsigned k)
{
	if (k == n) {
		for (unsigned i = 0; i < n; i++) {
			uint32_t from = order[i] * 1000 / n, to = (order[i] + 1) * 1000 / n;
			assert_int_equal(add(r, chunk(*message, from, to, 1000), T0), i == n - 1);
		}
		++*message;
		return;
	}
	for (unsigned i = k; i < n; i++) {
		unsigned t = order[k];
		order[k] = order[i];
		order[i] = t;
		permute(r, message, order, n, k + 1);
		order[i] = order[k];
		order[k] = t;
	}
}

static void every_order(void **state)
{
	struct reasm *r = *state;
	uint32_t message = 0;

	for (unsigned n = 1; n <= 6; n++) {
		unsigned order[] = { 0, 1, 2, 3, 4, 5 };
		permute(r, &message, order, n, 0);
	}
	assert_int_equal(message, 1 + 2 + 6 + 24 + 120 + 720);
	assert_int_equal(reasm_lost(r), 0);
}

static void largest_frame_in_random_orders(void **state)
{
	struct reasm *r = *state;
	struct prng p = { 7 };

	for (uint32_t m = 0; m < 200; m++) {
		unsigned order[REASM_CHUNKS_MAX];
		for (unsigned i = 0; i < REASM_CHUNKS_MAX; i++) {
			unsigned j = (unsigned)prng_below(&p, i + 1);
			order[i] = order[j];
			order[j] = i;
		}
		for (unsigned i = 0; i < REASM_CHUNKS_MAX; i++) {
			uint32_t from = (uint32_t)((uint64_t)order[i] * BIG / REASM_CHUNKS_MAX);
			uint32_t to = (uint32_t)((uint64_t)(order[i] + 1) * BIG / REASM_CHUNKS_MAX);
			assert_int_equal(add(r, chunk(m, from, to, BIG), T0),
					 i == REASM_CHUNKS_MAX - 1);
		}
	}
	assert_int_equal(reasm_lost(r), 0);
}

/* The worst order for the list of spans: all the even ones first. */
static void most_holes(void **state)
{
	struct reasm *r = *state;
	unsigned n = REASM_CHUNKS_MAX, seen = 0;

	for (unsigned parity = 0; parity < 2; parity++)
		for (unsigned i = parity; i < n; i += 2)
			assert_int_equal(add(r, chunk(1, i * 20, i * 20 + 20, n * 20), T0),
					 ++seen == n);
}

static void too_many_holes(void **state)
{
	struct reasm *r = *state;
	int last = 0;

	for (unsigned i = 0; i <= REASM_CHUNKS_MAX / 2; i++)
		last = add(r, chunk(1, i * 4, i * 4 + 1, 9000), T0);
	assert_int_equal(last, -EPROTO);
	assert_int_equal(r->counters.lost_conflict, 1);
}

static void copies_are_harmless(void **state)
{
	struct reasm *r = *state;

	assert_int_equal(add(r, chunk(1, 0, 500, 1000), T0), 0);
	assert_int_equal(add(r, chunk(1, 0, 500, 1000), T0), 0);
	assert_int_equal(add(r, chunk(1, 100, 200, 1000), T0), 0); /* a part of what is known */
	assert_int_equal(r->counters.duplicate, 2);
	assert_int_equal(add(r, chunk(1, 500, 1000, 1000), T0), 1);
	/* All of it again: not a second time. */
	assert_int_equal(add(r, chunk(1, 0, 500, 1000), T0), 0);
	assert_int_equal(add(r, chunk(1, 500, 1000, 1000), T0), 0);
	assert_int_equal(r->counters.late, 2);
	assert_int_equal(reasm_lost(r), 0);
}

static void expect_conflict(struct reasm *r, uint32_t message, struct reasm_chunk second)
{
	uint64_t before = r->counters.lost_conflict;

	assert_int_equal(add(r, chunk(message, 300, 600, 1000), T0), 0);
	second.message = message;
	assert_int_equal(add(r, second, T0), -EPROTO);
	assert_int_equal(r->counters.lost_conflict, before + 1);
	/* Given up for good: the rest does not begin it again. */
	assert_int_equal(add(r, chunk(message, 0, 300, 1000), T0), 0);
	assert_int_equal(add(r, chunk(message, 300, 600, 1000), T0), 0);
	assert_int_equal(add(r, chunk(message, 600, 1000, 1000), T0), 0);
	assert_int_equal(reasm_lost(r), before + 1);
}

static void contradictions_are_refused(void **state)
{
	struct reasm *r = *state;
	static const uint8_t other[300];
	struct reasm_chunk c;

	expect_conflict(r, 1, chunk(0, 599, 700, 1000)); /* overlaps the end */
	expect_conflict(r, 2, chunk(0, 200, 301, 1000)); /* overlaps the start */
	expect_conflict(r, 3, chunk(0, 200, 700, 1000)); /* covers it */
	expect_conflict(r, 4, chunk(0, 600, 700, 1001)); /* another total */
	c = chunk(0, 300, 600, 1000);
	c.bytes = other;
	expect_conflict(r, 5, c); /* other bytes */
	c = chunk(0, 600, 1000, 1000);
	c.segment = 6;
	expect_conflict(r, 6, c);
	c = chunk(0, 600, 1000, 1000);
	c.vnet = (struct vnet){ .csum = true, .csum_start = 34, .csum_offset = 16 };
	expect_conflict(r, 7, c);
}

static void bounds_of_a_chunk(void **state)
{
	struct reasm *r = *state;
	struct reasm_chunk c = chunk(1, 0, 10, 1000);

	c.len = 0;
	assert_int_equal(add(r, c, T0), -EBADMSG);
	assert_int_equal(add(r, chunk(1, 990, 1001, 1000), T0), -EBADMSG);
	c = chunk(1, 0, 10, 1000);
	c.offset = 1000;
	assert_int_equal(add(r, c, T0), -EBADMSG);
	c.offset = UINT32_MAX - 4; /* offset + len wraps */
	assert_int_equal(add(r, c, T0), -EBADMSG);
	c.offset = 0;
	c.total = REASM_BYTES + 1;
	assert_int_equal(add(r, c, T0), -EBADMSG);
	c.total = 0;
	assert_int_equal(add(r, c, T0), -EBADMSG);
	assert_null(r->store); /* nothing of this costs memory */
}

static void timeout(void **state)
{
	struct reasm *r = *state;

	assert_int_equal(add(r, chunk(1, 0, 500, 1000), T0), 0);
	assert_int_equal(add(r, chunk(2, 0, 500, 1000), T0 + 10), 0);
	assert_int_equal(add(r, chunk(1, 500, 1000, 1000), T0 + REASM_TIMEOUT_US - 1), 1);
	assert_int_equal(r->counters.lost_timeout, 0);
	assert_int_equal(add(r, chunk(2, 500, 1000, 1000), T0 + 10 + REASM_TIMEOUT_US), 0);
	assert_int_equal(r->counters.lost_timeout, 1);
	assert_int_equal(r->counters.late, 1);

	add(r, chunk(3, 0, 500, 1000), T0 + 20);
	reasm_tick(r, T0 + 20 + REASM_TIMEOUT_US - 1);
	assert_int_equal(r->counters.lost_timeout, 1);
	reasm_tick(r, T0 + 20 + REASM_TIMEOUT_US);
	assert_int_equal(r->counters.lost_timeout, 2);
}

static void full_of_entries_gives_up_the_oldest(void **state)
{
	struct reasm *r = *state;

	for (uint32_t m = 0; m < REASM_ENTRIES; m++)
		add(r, chunk(m, 0, 20, 40), T0);
	assert_int_equal(r->counters.lost_full, 0);
	add(r, chunk(REASM_ENTRIES, 0, 20, 40), T0);
	assert_int_equal(r->counters.lost_full, 1);
	assert_int_equal(add(r, chunk(0, 20, 40, 40), T0), 0);
	assert_int_equal(r->counters.late, 1);
	for (uint32_t m = 1; m <= REASM_ENTRIES; m++)
		assert_int_equal(add(r, chunk(m, 20, 40, 40), T0), 1);
	assert_int_equal(r->counters.lost_full, 1);
}

static void full_of_bytes_gives_up_the_oldest(void **state)
{
	struct reasm *r = *state;
	uint32_t m;

	for (m = 0; m < 1000 && r->counters.lost_full == 0; m++)
		add(r, chunk(m, 0, 9000, BIG), T0);
	assert_in_range(m, 4, 1 + REASM_BYTES / BIG + 1); /* at least three at once */
	/* All but the one given up are still good. */
	for (uint32_t i = 1; i < m; i++)
		assert_int_equal(add(r, chunk(i, 9000, BIG, BIG), T0), 1);
	assert_int_equal(r->counters.lost_full, 1);
}

/* Frames of all sizes half received, finished in a random order: the arena never mixes them up. */
static void mixed_sizes(void **state)
{
	struct reasm *r = *state;
	struct prng p = { 99 };
	uint32_t total[8];
	uint32_t message = 0;

	for (int round = 0; round < 2000; round++) {
		unsigned n = 1 + (unsigned)prng_below(&p, 8);
		for (unsigned i = 0; i < n; i++) {
			total[i] = 100 + (uint32_t)prng_below(&p, 20000);
			assert_int_equal(add(r, chunk(message + i, 0, 50, total[i]), T0), 0);
		}
		unsigned first = (unsigned)prng_below(&p, n);
		for (unsigned i = 0; i < n; i++) {
			unsigned at = (first + i) % n;
			assert_int_equal(add(r, chunk(message + at, 50, total[at], total[at]), T0),
					 1);
		}
		message += n;
	}
	assert_int_equal(reasm_lost(r), 0);
}

static void window(void **state)
{
	struct reasm *r = *state;
	uint32_t top = 5; /* crosses zero going back */

	assert_int_equal(add(r, chunk(top, 0, 40, 40), T0), 1);
	assert_int_equal(add(r, chunk(top - REASM_WINDOW + 1, 0, 40, 40), T0), 1);
	assert_int_equal(add(r, chunk(top - REASM_WINDOW + 1, 0, 40, 40), T0), 0);
	assert_int_equal(add(r, chunk(top - REASM_WINDOW, 0, 40, 40), T0), 0);
	assert_int_equal(r->counters.late, 2);
	/* Forward by one: a number that shares its bit with an old one begins afresh. */
	assert_int_equal(add(r, chunk(top + 1, 0, 40, 40), T0), 1);
	assert_int_equal(add(r, chunk(top, 0, 40, 40), T0), 0);
	assert_int_equal(add(r, chunk(top + 1, 0, 40, 40), T0), 0);
	/* A jump forgets all, but not what it jumped to. */
	assert_int_equal(add(r, chunk(top + 5000, 0, 40, 40), T0), 1);
	assert_int_equal(add(r, chunk(top + 5000, 0, 40, 40), T0), 0);
	assert_int_equal(add(r, chunk(top + 4999, 0, 40, 40), T0), 1);
	assert_int_equal(add(r, chunk(top + 1, 0, 40, 40), T0), 0);
}

/* The edge of the window, with a newest message that is not done. */
static void window_edge(void **state)
{
	struct reasm *r = *state;

	add(r, chunk(5000, 0, 20, 40), T0);
	assert_int_equal(add(r, chunk(5000 - REASM_WINDOW, 0, 40, 40), T0), 0);
	assert_int_equal(r->counters.late, 1);
	assert_int_equal(add(r, chunk(5000 - REASM_WINDOW + 1, 0, 40, 40), T0), 1);
	assert_int_equal(add(r, chunk(5000, 20, 40, 40), T0), 1);
}

/* Every message once, in a shuffled order with copies: each comes out exactly once. */
static void window_against_copies(void **state)
{
	struct reasm *r = *state;
	struct prng p = { 3 };
	static uint8_t count[4000];

	memset(count, 0, sizeof(count));
	for (uint32_t base = 0; base < 4000; base += 100) {
		for (int i = 0; i < 2000; i++) {
			uint32_t m = base + (uint32_t)prng_below(&p, 100);
			count[m] += (uint8_t)add(r, chunk(m, 0, 40, 40), T0);
		}
	}
	for (unsigned m = 0; m < 4000; m++)
		assert_true(count[m] <= 1);
	unsigned sum = 0;
	for (unsigned m = 0; m < 4000; m++)
		sum += count[m];
	assert_in_range(sum, 3990, 4000);
}

static void memory_comes_and_goes(void **state)
{
	struct reasm *r = *state;

	assert_null(r->store);
	add(r, chunk(1, 0, 40, 40), T0);
	assert_non_null(r->store);
	reasm_tick(r, T0 + REASM_IDLE_US - 1);
	assert_non_null(r->store);
	reasm_tick(r, T0 + REASM_IDLE_US);
	assert_null(r->store);
	/* A peer that counts from the start again is heard by then. */
	assert_int_equal(add(r, chunk(0, 0, 40, 40), T0 + REASM_IDLE_US), 1);
}

static void reset(void **state)
{
	struct reasm *r = *state;

	add(r, chunk(900000, 0, 20, 40), T0);
	reasm_reset(r);
	assert_null(r->store);
	assert_int_equal(r->counters.lost_reset, 1);
	assert_int_equal(add(r, chunk(1, 0, 40, 40), T0), 1);
	reasm_reset(r);
	assert_int_equal(r->counters.lost_reset, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_order),
		TEST(largest_frame_in_random_orders),
		TEST(most_holes),
		TEST(too_many_holes),
		TEST(copies_are_harmless),
		TEST(contradictions_are_refused),
		TEST(bounds_of_a_chunk),
		TEST(timeout),
		TEST(full_of_entries_gives_up_the_oldest),
		TEST(full_of_bytes_gives_up_the_oldest),
		TEST(mixed_sizes),
		TEST(window),
		TEST(window_edge),
		TEST(window_against_copies),
		TEST(memory_comes_and_goes),
		TEST(reset),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
