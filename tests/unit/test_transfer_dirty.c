/* Dirty chunks against a simple model, at all borders, and from several threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/dirty.h"
#include "bridgectl/transfer/frame.h"
#include "tests/support/prng.h"

#define BYTES (3 * (uint64_t)SPAN_BYTES + 5 * CHUNK_BYTES + 100)
#define CHUNKS (3 * 64 + 6)

static void against_a_model(void **state)
{
	struct dirty *d = dirty_new(BYTES);
	bool model[4 * SPAN_CHUNKS] = { false };
	struct prng p = { 77 };

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		/* around borders of chunks, and beyond the end */
		uint64_t at = prng_below(&p, CHUNKS + 4) * CHUNK_BYTES + prng_below(&p, 3) - 1;
		uint64_t len = prng_below(&p, 4) * prng_below(&p, 80) * CHUNK_BYTES / 2 +
			       prng_below(&p, 3);
		uint64_t span = prng_below(&p, 5), n = 0, got = 0;

		dirty_mark(d, at, len);
		for (uint64_t c = 0; c < CHUNKS; c++) {
			if (len && at < BYTES && c >= at / CHUNK_BYTES &&
			    c <= (at + len - 1) / CHUNK_BYTES)
				model[c] = true;
			n += model[c];
		}
		assert_int_equal(dirty_chunks(d), n);
		if (prng_below(&p, 8))
			continue;
		for (unsigned i = 0; i < SPAN_CHUNKS && span < 4; i++) {
			got |= (uint64_t)model[span * SPAN_CHUNKS + i] << i;
			model[span * SPAN_CHUNKS + i] = false;
		}
		assert_int_equal(dirty_take_span(d, span), got);
	}
	dirty_free(d);
}

static void all_of_it(void **state)
{
	struct dirty *d = dirty_new(BYTES);

	(void)state;
	assert_int_equal(dirty_chunks(d), 0);
	dirty_mark_all(d);
	assert_int_equal(dirty_chunks(d), CHUNKS);
	assert_int_equal(dirty_take_span(d, 0), UINT64_MAX);
	assert_int_equal(dirty_take_span(d, 3), 0x3f);
	assert_int_equal(dirty_take_span(d, 4), 0);
	assert_int_equal(dirty_take_span(d, UINT64_MAX), 0);
	dirty_mark(d, UINT64_MAX, UINT64_MAX);
	dirty_mark(d, BYTES - 1, UINT64_MAX);
	assert_int_equal(dirty_take_span(d, 3), 1 << 5);
	dirty_free(d);
	dirty_free(NULL);
}

static void small_windows(void **state)
{
	(void)state;
	for (uint64_t bytes = 1; bytes < 200000; bytes += 511) {
		struct dirty *d = dirty_new(bytes);

		dirty_mark_all(d);
		assert_int_equal(dirty_chunks(d), frame_chunks(bytes));
		dirty_free(d);
	}
}

/* What one thread marks and others take, nobody takes twice and nothing is lost. */
static struct {
	struct dirty *d;
	_Atomic uint64_t taken;
	_Atomic bool end;
} shared;

static void *take_all(void *arg)
{
	bool last;

	do {
		last = shared.end;
		for (uint64_t s = 0; s < 4; s++)
			shared.taken +=
				(unsigned)__builtin_popcountll(dirty_take_span(shared.d, s));
	} while (!last);
	return arg;
}

static void threads(void **state)
{
	pthread_t t[2];
	uint64_t n = 0;

	(void)state;
	shared.d = dirty_new(BYTES);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, take_all, NULL);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t chunk = i % CHUNKS;

		dirty_mark(shared.d, chunk * CHUNK_BYTES, 1);
		n++;
		while (shared.taken < n) /* so that no mark meets an older one */
			sched_yield();
	}
	shared.end = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(shared.taken, n);
	dirty_free(shared.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_a_model),
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(small_windows),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
