/*
 * Sender and receiver together: every kind of pass over every kind of size, resume after it was
 * broken off anywhere, and what must be told. Hostile frames are in test_ends_hostile.c.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/ends_pair.h"

#define MIB (UINT64_C(1) << 20)

static const struct sender_pass full = { .kind = PASS_FULL, .compress = COMPRESS_NEVER };
static const struct sender_pass delta = { .kind = PASS_DELTA, .compress = COMPRESS_NEVER };
static const struct sender_pass verify = { .kind = PASS_VERIFY };

static void pass_well(struct ends *e, uint32_t number, const struct sender_pass *p)
{
	struct fail f;

	if (ends_pass(e, number, p, &f) < 0)
		fail_msg("%s: %s", fail_code_name(f.code), f.text);
}

static struct sender_counts counts_of(struct ends *e)
{
	struct sender_counts c;

	sender_counts(e->sender, &c);
	return c;
}

/* --- Sizes --- */

static void one_size(uint64_t length, unsigned n, enum pass_compress compress, bool garbage)
{
	struct sender_pass p = { .kind = PASS_FULL, .compress = compress };
	struct receiver_counts rc;
	struct sender_counts c;
	struct ends e;

	ends_make(&e, length, garbage, length + n);
	ends_fill(&e);
	ends_open(&e, n, false);
	e.target.fresh = !garbage;
	pass_well(&e, 0, &p);
	c = counts_of(&e);
	assert_int_equal(c.covered, length);
	assert_int_equal(c.total, length);
	assert_int_equal(c.sent + c.zero, length);
	receiver_counts(e.receiver, &rc);
	assert_int_equal(rc.written, garbage ? length : c.sent);
	assert_int_equal(rc.verified, rc.written);
	assert_int_equal(rc.mismatched, 0);
	ends_check(&e);
	ends_close(&e);
	ends_free(&e);
}

static void sizes(void **state)
{
	static const uint64_t t[] = {
		1,     511, 512,	 4095,	  4096,	       65535,	       65536,
		65537, MIB, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 12345
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		for (unsigned garbage = 0; garbage < 2; garbage++) {
			one_size(t[i], 1, COMPRESS_NEVER, garbage);
			one_size(t[i], 3, COMPRESS_ALWAYS, garbage);
		}
	one_size(40 * MIB + 77, 16, COMPRESS_AUTO, false);
}

/* --- Kinds --- */

static void change(struct ends *e, uint64_t offset)
{
	e->bytes[offset] ^= 0xff;
	ends_write_source(e);
}

static void deltas(void **state)
{
	struct ends e;

	(void)state;
	ends_make(&e, 21 * MIB + 5, false, 7);
	ends_fill(&e);
	ends_open(&e, 4, false);
	pass_well(&e, 0, &full);
	pass_well(&e, 1, &delta);
	assert_int_equal(counts_of(&e).sent, 0);
	assert_int_equal(counts_of(&e).same, e.length);
	change(&e, 3);
	change(&e, 10 * MIB);
	change(&e, e.length - 1);
	pass_well(&e, 2, &delta);
	assert_int_equal(counts_of(&e).sent, 2 * CHUNK_BYTES + 5);
	ends_check(&e);
	memset(e.bytes + 5 * MIB, 0, MIB);
	ends_write_source(&e);
	pass_well(&e, 3, &delta);
	assert_int_equal(counts_of(&e).sent, 0);
	ends_check(&e);
	ends_close(&e);
	ends_free(&e);
}

/* Content that no map knows: it is read, and only what differs is sent. */
static void delta_over_content(void **state)
{
	struct ends e;

	(void)state;
	ends_make(&e, 9 * MIB + 100, true, 8);
	ends_write_source(&e);
	change(&e, 2 * MIB);
	ends_open(&e, 2, true);
	pass_well(&e, 0, &delta);
	assert_int_equal(counts_of(&e).sent, CHUNK_BYTES);
	ends_check(&e);
	change(&e, 0);
	pass_well(&e, 1, &full);
	ends_check(&e);
	ends_close(&e);
	ends_free(&e);
}

static void dirty_chunks_only(void **state)
{
	struct sender_pass p = { .kind = PASS_DIRTY, .compress = COMPRESS_NEVER };
	struct ends e;

	(void)state;
	ends_make(&e, 17 * MIB + 1, false, 9);
	ends_fill(&e);
	p.dirty = dirty_new(e.length);
	assert_non_null(p.dirty);
	ends_open(&e, 4, false);
	/* Whatever was marked before a chunk was read is done with. */
	dirty_mark_all(p.dirty);
	pass_well(&e, 0, &(struct sender_pass){ .kind = PASS_FULL, .dirty = p.dirty });
	assert_int_equal(dirty_chunks(p.dirty), 0);
	change(&e, 6 * MIB);
	change(&e, 11 * MIB);
	change(&e, e.length - 1);
	dirty_mark(p.dirty, 6 * MIB, 1);
	dirty_mark(p.dirty, e.length - 1, 1);
	pass_well(&e, 1, &p);
	assert_int_equal(counts_of(&e).read, CHUNK_BYTES + 1);
	assert_int_equal(counts_of(&e).covered, CHUNK_BYTES + 1);
	/* One was not marked; events were lost, so all is compared. */
	p.lost = true;
	pass_well(&e, 2, &p);
	assert_int_equal(counts_of(&e).sent, CHUNK_BYTES);
	ends_check(&e);
	ends_close(&e);
	dirty_free(p.dirty);
	ends_free(&e);
}

static void verifies(void **state)
{
	struct sender_counts c;
	struct ends e;

	(void)state;
	ends_make(&e, 13 * MIB + 9, false, 10);
	ends_fill(&e);
	ends_open(&e, 3, false);
	pass_well(&e, 0, &full);
	pass_well(&e, 1, &verify);
	assert_int_equal(counts_of(&e).n_mismatches, 0);
	ends_damage_target(&e, 12 * MIB);
	ends_damage_target(&e, 3 * MIB + 70000);
	ends_damage_target(&e, e.length - 1);
	pass_well(&e, 2, &verify);
	c = counts_of(&e);
	assert_int_equal(c.n_mismatches, 3);
	assert_int_equal(c.mismatches[0], 3 * MIB + 65536);
	assert_int_equal(c.mismatches[1], 12 * MIB);
	assert_int_equal(c.mismatches[2], 13 * MIB);
	assert_int_equal(c.mismatched, 2 * CHUNK_BYTES + 9);
	assert_int_equal(c.sent, 0);
	ends_close(&e);
	ends_free(&e);
}

/* --- Broken off --- */

/* Cut in the middle, closed, opened again, until it is through. */
static void resumes(void **state)
{
	struct prng p = { .state = 11 };

	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		unsigned times = 0;
		struct ends e;
		struct fail f;
		int r;

		ends_make(&e, 24 * MIB + prng_below(&p, MIB), round % 2, 100 + round);
		ends_fill(&e);
		e.middle = (struct ends_middle){ true, UINT64_MAX, 0 };
		do {
			/* A greeting, and a bit more each time, so that it comes to an end. */
			e.middle.cut_at = 80 + prng_below(&p, 3 * MIB) + times++ * MIB;
			ends_open(&e, 2, false);
			assert_true(e.state.known_bytes <= e.length);
			r = ends_pass(&e, 0, &full, &f);
			if (r < 0)
				assert_int_equal(f.code, FAIL_CONNECTION);
			assert_true(counts_of(&e).sent <= e.length - e.state.known_bytes + 9 * MIB);
			ends_close(&e);
			ends_check_guards(&e);
		} while (r < 0 && times < 50);
		assert_int_equal(r, 0);
		ends_check(&e);
		ends_free(&e);
	}
}

/* What was committed is not sent again, and what changed meanwhile is. */
static void resume_sends_the_rest(void **state)
{
	struct ends e;
	struct fail f;
	uint64_t known;

	(void)state;
	ends_make(&e, 32 * MIB, false, 12);
	prng_fill(&e.prng, e.bytes, e.length);
	ends_write_source(&e);
	e.middle = (struct ends_middle){ true, UINT64_MAX, 16 * MIB };
	ends_open(&e, 1, false);
	assert_true(ends_pass(&e, 0, &full, &f) < 0);
	ends_close(&e);
	e.middle.active = false;
	change(&e, 0);
	ends_open(&e, 1, false);
	known = e.state.known_bytes;
	assert_true(e.state.resumed && known >= 12 * MIB);
	pass_well(&e, 0, &full);
	assert_int_equal(counts_of(&e).sent, e.length - known + CHUNK_BYTES);
	ends_check(&e);
	ends_close(&e);
	ends_free(&e);
}

static void *stop_soon(void *arg)
{
	struct timespec t = { 0, 50000000 };

	nanosleep(&t, NULL);
	sender_stop(arg);
	return NULL;
}

/* Also one who waits for the rate, for hours. */
static void stops(void **state)
{
	struct timespec begin, end;
	pthread_t thread;
	struct ends e;
	struct fail f;

	(void)state;
	ends_make(&e, 16 * MIB, false, 13);
	prng_fill(&e.prng, e.bytes, e.length);
	ends_write_source(&e);
	ends_open(&e, 2, false);
	sender_rate(e.sender, 1);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, e.sender), 0);
	assert_true(ends_pass(&e, 0, &full, &f) < 0);
	pthread_join(thread, NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - begin.tv_sec < 20);
	assert_int_equal(f.code, FAIL_STOPPED);
	ends_close(&e);
	ends_free(&e);
}

/* --- What must be told --- */

static void flipped_bytes(void **state)
{
	static const uint64_t at[] = { 100, 1000, 70000, 3 * MIB, 4 * MIB + 2000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		struct ends e;
		struct fail f = { 0 };

		ends_make(&e, 8 * MIB, false, 14);
		prng_fill(&e.prng, e.bytes, e.length);
		ends_write_source(&e);
		e.middle = (struct ends_middle){ true, at[i], UINT64_MAX };
		ends_open(&e, 1, false);
		assert_true(ends_pass(&e, 0, &full, &f) < 0);
		assert_int_equal(e.failed.code, FAIL_PROTOCOL);
		ends_close(&e);
		e.middle.active = false;
		ends_open(&e, 1, false);
		pass_well(&e, 0, &full);
		ends_check(&e);
		ends_close(&e);
		ends_free(&e);
	}
}

static void source_unreadable(void **state)
{
	struct ends e;
	struct fail f;

	(void)state;
	ends_make(&e, 8 * MIB, false, 15);
	prng_fill(&e.prng, e.bytes, e.length);
	ends_write_source(&e);
	ends_open(&e, 2, false);
	assert_int_equal(ftruncate(e.source_fd, 5 * MIB + 4096), 0);
	assert_true(ends_pass(&e, 0, &full, &f) < 0);
	assert_int_equal(f.code, FAIL_IO);
	assert_non_null(strstr(f.text, "SOURCE at byte 5246976"));
	ends_close(&e);
	ends_free(&e);
}

/* RLIMIT_FSIZE stands in for a full disk; what fitted is kept. */
static void target_full(void **state)
{
	struct rlimit old, less;
	struct ends e;
	struct fail f;

	(void)state;
	ends_make(&e, 16 * MIB, false, 16);
	prng_fill(&e.prng, e.bytes, e.length);
	ends_write_source(&e);
	ends_open(&e, 1, false);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	less = (struct rlimit){ 9 * MIB, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	assert_true(ends_pass(&e, 0, &full, &f) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(e.failed.code, FAIL_NO_SPACE);
	assert_int_equal(f.code, FAIL_NO_SPACE);
	assert_non_null(strstr(f.text, "TARGET"));
	ends_close(&e);
	ends_open(&e, 1, false);
	assert_int_equal(e.state.known_bytes, 8 * MIB);
	pass_well(&e, 0, &full);
	ends_check(&e);
	ends_close(&e);
	ends_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(deltas),
		cmocka_unit_test(delta_over_content),
		cmocka_unit_test(dirty_chunks_only),
		cmocka_unit_test(verifies),
		cmocka_unit_test(resumes),
		cmocka_unit_test(resume_sends_the_rest),
		cmocka_unit_test(stops),
		cmocka_unit_test(flipped_bytes),
		cmocka_unit_test(source_unreadable),
		cmocka_unit_test(target_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
