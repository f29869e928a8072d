/* Headers of frames: what is put is taken, and nothing else: damage, other types, bad ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "bridgectl/transfer/digest.h"
#include "bridgectl/transfer/frame.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define WINDOW (10 * UINT64_C(4194304) + 5000)
#define LAST (WINDOW - WINDOW % CHUNK_BYTES)

static struct digest digest;

static int setup(void **state)
{
	static const uint8_t seed[DIGEST_SEED_BYTES] = { 9 };

	(void)state;
	digest_init(&digest, seed);
	return 0;
}

static int take(const struct frame *f)
{
	struct frame got = { .length = 12345 };
	uint8_t buf[FRAME_HEADER_BYTES];
	int r;

	frame_put(buf, f, &digest);
	r = frame_take(buf, WINDOW, &digest, &got);
	if (r < 0)
		assert_int_equal(got.length, 12345);
	else
		assert_memory_equal(&got, f, sizeof(got));
	return r;
}

#define D DIGEST_BYTES
static const struct {
	struct frame f;
	int want;
} cases[] = {
	{ { FRAME_HELLO, 0, FRAME_HELLO_BYTES, WINDOW, 1 }, 0 },
	{ { FRAME_HELLO, 0, 0, WINDOW, 1 }, -EPROTO },
	{ { FRAME_DATA, 0, D + CHUNK_BYTES, 0, CHUNK_BYTES }, 0 },
	{ { FRAME_DATA, 0, 64 * D + SPAN_BYTES, SPAN_BYTES, SPAN_BYTES }, 0 },
	{ { FRAME_DATA, 0, D + 5000, LAST, 5000 }, 0 },
	{ { FRAME_DATA, 0, 2 * D + CHUNK_BYTES + 5000, LAST - CHUNK_BYTES, CHUNK_BYTES + 5000 },
	  0 },
	/* compressed: from one byte to as long as it was */
	{ { FRAME_DATA, FRAME_F_ZSTD, D + 1, 0, CHUNK_BYTES }, 0 },
	{ { FRAME_DATA, FRAME_F_ZSTD, D, 0, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_DATA, FRAME_F_ZSTD, D + CHUNK_BYTES, 0, CHUNK_BYTES }, 0 },
	{ { FRAME_DATA, FRAME_F_ZSTD, D + CHUNK_BYTES + 1, 0, CHUNK_BYTES }, -EPROTO },
	/* payload that does not fit the range */
	{ { FRAME_DATA, 0, D + CHUNK_BYTES - 1, 0, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_DATA, 0, 0, 0, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_DATA, 0, UINT32_MAX, 0, CHUNK_BYTES }, -EPROTO },
	/* ranges: empty, crooked, too long, outside */
	{ { FRAME_DATA, 0, 0, 0, 0 }, -EPROTO },
	{ { FRAME_DATA, 0, D + 100, 0, 100 }, -EPROTO },
	{ { FRAME_DATA, 0, D + 4096, 4096, 4096 }, -EPROTO },
	{ { FRAME_DATA, 0, 65 * D + SPAN_BYTES + CHUNK_BYTES, 0, SPAN_BYTES + CHUNK_BYTES },
	  -EPROTO },
	{ { FRAME_DATA, 0, D + 5001, LAST, 5001 }, -EPROTO },
	{ { FRAME_DATA, 0, D + CHUNK_BYTES, LAST, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_DATA, 0, D + CHUNK_BYTES, LAST + CHUNK_BYTES, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_DATA, 0, D + CHUNK_BYTES, UINT64_MAX - CHUNK_BYTES + 1, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_ZERO, 0, 0, 0, WINDOW }, 0 },
	{ { FRAME_ZERO, 0, 0, CHUNK_BYTES, WINDOW - CHUNK_BYTES }, 0 },
	{ { FRAME_ZERO, 0, 0, CHUNK_BYTES, 9 * SPAN_BYTES }, 0 },
	{ { FRAME_ZERO, 0, 0, CHUNK_BYTES, WINDOW }, -EPROTO },
	{ { FRAME_ZERO, 0, 0, CHUNK_BYTES, UINT64_MAX - CHUNK_BYTES + 1 }, -EPROTO },
	{ { FRAME_ZERO, 0, 1, 0, CHUNK_BYTES }, -EPROTO },
	{ { FRAME_ASK, 0, 0, SPAN_BYTES, SPAN_BYTES }, 0 },
	{ { FRAME_ASK, FRAME_F_REREAD, 0, LAST, 5000 }, 0 },
	{ { FRAME_ASK, FRAME_F_ZSTD, 0, LAST, 5000 }, -EPROTO },
	{ { FRAME_ASK, 0, 0, 0, SPAN_BYTES + CHUNK_BYTES }, -EPROTO },
	{ { FRAME_HASHES, 0, 64 * D, 0, SPAN_BYTES }, 0 },
	{ { FRAME_HASHES, 0, D, LAST, 5000 }, 0 },
	{ { FRAME_HASHES, 0, 63 * D, 0, SPAN_BYTES }, -EPROTO },
	{ { FRAME_HASHES, 0, 65 * D, 0, SPAN_BYTES }, -EPROTO },
	{ { FRAME_END, 0, 0, 0, 0 }, 0 },
	{ { FRAME_END, 0, 1, 0, 0 }, -EPROTO },
	{ { FRAME_END, FRAME_F_REREAD, 0, 0, 0 }, -EPROTO },
	{ { FRAME_DONE, 0, 0, 77, 88 }, 0 },
	{ { FRAME_ERROR, 0, 0, 0, 0 }, 0 },
	{ { FRAME_ERROR, 0, FRAME_TEXT_MAX, 0, 0 }, 0 },
	{ { FRAME_ERROR, 0, FRAME_TEXT_MAX + 1, 0, 0 }, -EPROTO },
	{ { (enum frame_type)0, 0, 0, 0, 0 }, -EPROTO },
	{ { FRAME_TYPES, 0, 0, 0, 0 }, -EPROTO },
	{ { (enum frame_type)255, 0, 0, 0, 0 }, -EPROTO },
	{ { FRAME_DONE, 0x80, 0, 0, 0 }, -EPROTO },
};

static void rules(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		if (take(&cases[i].f) != cases[i].want)
			fail_msg("case %u: %d", i, take(&cases[i].f));
}

static void every_bit_counts(void **state)
{
	struct frame f = { FRAME_ASK, 0, 0, SPAN_BYTES, SPAN_BYTES }, got;
	uint8_t buf[FRAME_HEADER_BYTES];

	(void)state;
	frame_put(buf, &f, &digest);
	for (unsigned i = 0; i < 8 * sizeof(buf); i++) {
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(frame_take(buf, WINDOW, &digest, &got), -EBADMSG);
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(frame_take(buf, WINDOW, &digest, &got), 0);
}

static void other_secret(void **state)
{
	static const uint8_t seed[DIGEST_SEED_BYTES] = { 8 };
	struct frame f = { FRAME_END, 0, 0, 0, 0 }, got;
	uint8_t buf[FRAME_HEADER_BYTES];
	struct digest other;

	(void)state;
	digest_init(&other, seed);
	frame_put(buf, &f, &other);
	assert_int_equal(frame_take(buf, WINDOW, &digest, &got), -EBADMSG);
}

/* Reserved bytes are for later versions: one that uses them is not understood. */
static void reserved(void **state)
{
	struct frame f = { FRAME_END, 0, 0, 0, 0 }, got;
	uint8_t buf[FRAME_HEADER_BYTES];

	(void)state;
	frame_put(buf, &f, &digest);
	buf[3] = 1;
	put_le64(buf + 24, digest_check(&digest, buf, 24));
	assert_int_equal(frame_take(buf, WINDOW, &digest, &got), -EPROTO);
}

/* Whatever is taken lies inside, on chunks, and fits the buffer. */
static void anything(void **state)
{
	static const uint64_t odd[] = { 0,	    1,	  5000,	  CHUNK_BYTES,
					SPAN_BYTES, LAST, WINDOW, UINT64_MAX };
	struct prng p = { 11 };
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		struct frame f = { .type = (enum frame_type)prng_below(&p, 10),
				   .flags = (uint8_t)prng_below(&p, 4) };

		f.offset = odd[prng_below(&p, 8)] + prng_below(&p, 3) * CHUNK_BYTES -
			   prng_below(&p, 2);
		f.length = odd[prng_below(&p, 8)] + prng_below(&p, 3) * CHUNK_BYTES -
			   prng_below(&p, 2);
		f.payload = (uint32_t)(prng_below(&p, 3) * D +
				       (prng_below(&p, 2) ? f.length : prng_below(&p, 100)));
		if (take(&f) < 0)
			continue;
		taken++;
		assert_true(f.payload <= FRAME_PAYLOAD_MAX);
		if (f.type < FRAME_DATA || f.type > FRAME_HASHES)
			continue;
		assert_true(f.offset % CHUNK_BYTES == 0 && f.offset < WINDOW);
		assert_true(f.length > 0 && f.length <= WINDOW - f.offset);
		assert_true(f.length % CHUNK_BYTES == 0 || f.offset + f.length == WINDOW);
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),	cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(other_secret), cmocka_unit_test(reserved),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
