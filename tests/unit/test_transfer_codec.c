/* Compression: what comes back is what went in, hostile frames are refused, when it is tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/codec.h"
#include "bridgectl/transfer/frame.h"
#include "common/util.h"
#include "tests/support/prng.h"

static uint8_t text[SPAN_BYTES], noise[SPAN_BYTES], packed[SPAN_BYTES], back[SPAN_BYTES];

static int setup(void **state)
{
	struct prng p = { 1 };

	(void)state;
	prng_fill(&p, noise, sizeof(noise));
	for (size_t i = 0; i + 32 < sizeof(text);)
		i += (size_t)snprintf((char *)text + i, 32, "line %u of a text\n",
				      (unsigned)prng_below(&p, 1000));
	return 0;
}

static void there_and_back(void **state)
{
	static const size_t lengths[] = { 4096, 5000, CHUNK_BYTES, CHUNK_BYTES + 1, SPAN_BYTES };
	struct codec *c = codec_new(CODEC_ALWAYS, 1);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t n = codec_compress(c, text, lengths[i], packed);

		assert_true(n > 0 && n < lengths[i] / 2);
		memset(back, 0xee, sizeof(back));
		assert_int_equal(codec_decompress(c, packed, n, back, lengths[i]), 0);
		assert_memory_equal(back, text, lengths[i]);
		if (lengths[i] < sizeof(back))
			assert_int_equal(back[lengths[i]], 0xee);
		/* exactly that long */
		assert_int_equal(codec_decompress(c, packed, n, back, lengths[i] - 1), -EBADMSG);
		assert_int_equal(codec_decompress(c, packed, n, back, lengths[i] + 1), -EBADMSG);
		/* cut, or with something behind it */
		assert_int_equal(codec_decompress(c, packed, n - 1, back, lengths[i]), -EBADMSG);
		assert_int_equal(codec_decompress(c, packed, n + 1, back, lengths[i]), -EBADMSG);
		assert_int_equal(codec_decompress(c, packed, 0, back, lengths[i]), -EBADMSG);
	}
	codec_free(c);
}

static void two_frames_are_not_one(void **state)
{
	struct codec *c = codec_new(CODEC_ALWAYS, 1);
	size_t n = codec_compress(c, text, 4096, packed);

	(void)state;
	memcpy(packed + n, packed, n);
	assert_int_equal(codec_decompress(c, packed, 2 * n, back, 8192), -EBADMSG);
	codec_free(c);
}

static void noise_goes_as_it_is(void **state)
{
	struct codec *c = codec_new(CODEC_ALWAYS, 1);

	(void)state;
	assert_int_equal(codec_compress(c, noise, SPAN_BYTES, packed), 0);
	assert_int_equal(codec_compress(c, noise, 1, packed), 0);
	assert_int_equal(codec_compress(c, noise, 0, packed), 0);
	codec_free(c);
	/* compressible at first, then not: it must pay as a whole */
	c = codec_new(CODEC_ALWAYS, 1);
	memcpy(back, noise, SPAN_BYTES);
	memcpy(back, text, CHUNK_BYTES);
	assert_int_equal(codec_compress(c, back, SPAN_BYTES, packed), 0);
	codec_free(c);
}

static void only_on_slow_links(void **state)
{
	struct codec *c = codec_new(CODEC_AUTO, 1);

	(void)state;
	/* nothing is known */
	assert_int_equal(codec_compress(c, text, SPAN_BYTES, packed), 0);
	/* 100 GB/s, then 1 MB/s, then fast again */
	codec_sent(c, SPAN_BYTES, SPAN_BYTES / 100000);
	assert_int_equal(codec_compress(c, text, SPAN_BYTES, packed), 0);
	for (unsigned i = 0; i < 5; i++)
		codec_sent(c, SPAN_BYTES, SPAN_BYTES);
	assert_int_not_equal(codec_compress(c, text, SPAN_BYTES, packed), 0);
	assert_int_equal(codec_compress(c, noise, SPAN_BYTES, packed), 0);
	for (uint64_t us = 0; us < 5 * US_PER_S; us += SPAN_BYTES / 100000)
		codec_sent(c, SPAN_BYTES, SPAN_BYTES / 100000);
	assert_int_equal(codec_compress(c, text, SPAN_BYTES, packed), 0);
	codec_free(c);
	c = codec_new(CODEC_NEVER, 1);
	codec_sent(c, SPAN_BYTES, SPAN_BYTES);
	assert_int_equal(codec_compress(c, text, SPAN_BYTES, packed), 0);
	codec_free(c);
	codec_free(NULL);
}

/* 50 MB/s each are a slow link alone, and a fast one together with three others. */
static void connections_add_up(void **state)
{
	static const struct {
		unsigned n;
		bool slow;
	} cases[] = { { 1, true }, { 2, true }, { 4, false } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct codec *c = codec_new(CODEC_AUTO, cases[i].n);

		for (unsigned j = 0; j < 100; j++)
			codec_sent(c, SPAN_BYTES, SPAN_BYTES / 50);
		assert_int_equal(codec_compress(c, text, SPAN_BYTES, packed) > 0, cases[i].slow);
		codec_free(c);
	}
}

static void damage(void **state)
{
	struct codec *c = codec_new(CODEC_ALWAYS, 1);
	size_t n = codec_compress(c, text, CHUNK_BYTES, packed);
	struct prng p = { 4 };

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		size_t at = prng_below(&p, n);
		uint8_t was = packed[at];

		packed[at] ^= (uint8_t)(1 + prng_below(&p, 255));
		codec_decompress(c, packed, n, back, CHUNK_BYTES);
		packed[at] = was;
	}
	assert_int_equal(codec_decompress(c, packed, n, back, CHUNK_BYTES), 0);
	assert_memory_equal(back, text, CHUNK_BYTES);
	codec_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),      cmocka_unit_test(two_frames_are_not_one),
		cmocka_unit_test(noise_goes_as_it_is), cmocka_unit_test(only_on_slow_links),
		cmocka_unit_test(connections_add_up),  cmocka_unit_test(damage),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
