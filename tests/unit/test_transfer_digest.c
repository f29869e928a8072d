/* Digests: the same everywhere, different with another seed; zeros are found and only those. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/digest.h"
#include "common/util.h"
#include "tests/support/prng.h"

static const uint8_t seed[DIGEST_SEED_BYTES] = "thirty-two bytes of a known seed";

/* Versions must agree for years: a change of these is a change of the protocol. */
static void same_for_ever(void **state)
{
	static const char *wanted = "afc3d15845f174da7aacc7febfae4607";
	struct digest d;
	uint8_t digest[DIGEST_BYTES];
	char hex[2 * DIGEST_BYTES + 1];

	(void)state;
	digest_init(&d, seed);
	digest_bytes(&d, "abc", 3, digest);
	for (unsigned i = 0; i < DIGEST_BYTES; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
	assert_string_equal(hex, wanted);
}

static void seeds_matter(void **state)
{
	uint8_t other[DIGEST_SEED_BYTES], a[DIGEST_BYTES], b[DIGEST_BYTES];
	struct digest d, e;

	(void)state;
	memcpy(other, seed, sizeof(other));
	other[31] ^= 1;
	digest_init(&d, seed);
	digest_init(&e, other);
	digest_bytes(&d, "abc", 3, a);
	digest_bytes(&e, "abc", 3, b);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(d.zero, e.zero, sizeof(d.zero));
	assert_int_not_equal(digest_check(&d, "abc", 3), digest_check(&e, "abc", 3));
}

static void chunks_one_after_the_other(void **state)
{
	size_t len = 2 * CHUNK_BYTES + 777;
	uint8_t *buf = calloc(1, len), many[3 * DIGEST_BYTES], one[DIGEST_BYTES];
	struct prng p = { 3 };
	struct digest d;

	(void)state;
	digest_init(&d, seed);
	prng_fill(&p, buf + CHUNK_BYTES, len - CHUNK_BYTES);
	digest_chunks(&d, buf, len, many);
	assert_memory_equal(many, d.zero, DIGEST_BYTES);
	digest_bytes(&d, buf + CHUNK_BYTES, CHUNK_BYTES, one);
	assert_memory_equal(many + DIGEST_BYTES, one, DIGEST_BYTES);
	digest_bytes(&d, buf + 2 * (size_t)CHUNK_BYTES, 777, one);
	assert_memory_equal(many + 2 * (size_t)DIGEST_BYTES, one, DIGEST_BYTES);
	free(buf);
}

static void known_is_not_zero(void **state)
{
	uint8_t digest[DIGEST_BYTES] = { 0 };

	(void)state;
	assert_false(digest_is_known(digest));
	for (unsigned i = 0; i < DIGEST_BYTES; i++) {
		digest[i] = 0x80;
		assert_true(digest_is_known(digest));
		digest[i] = 0;
	}
}

/* Every length, and a byte that is not zero at every place of it. */
static void zeros(void **state)
{
	uint8_t buf[300 + 16] = { 0 };

	(void)state;
	for (size_t start = 0; start < 16; start++)
		for (size_t len = 0; len <= 300; len += len < 70 ? 1 : 23) {
			assert_true(bytes_are_zero(buf + start, len));
			for (size_t at = 0; at < len; at++) {
				buf[start + at] = (uint8_t)(1 + at);
				if (buf[start + at])
					assert_false(bytes_are_zero(buf + start, len));
				buf[start + at] = 0;
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_for_ever),
		cmocka_unit_test(seeds_matter),
		cmocka_unit_test(chunks_one_after_the_other),
		cmocka_unit_test(known_is_not_zero),
		cmocka_unit_test(zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
