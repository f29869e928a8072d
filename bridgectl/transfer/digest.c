/*
 * XXH3-128 with a secret of our own. The secret comes out of SHAKE256 over the seed and not out
 * of XXH3_generateSecret(), which is not in the stable part of xxHash: both ends must have the
 * same secret, whatever versions of the library they have. The hash itself is stable since 0.8.
 */
#include "bridgectl/transfer/digest.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include "common/util.h"

#define DIGEST_LABEL "l2tund disk transfer digest 1"

static int secret_from_seed(EVP_MD_CTX *ctx, const uint8_t *seed, uint8_t *secret)
{
	return EVP_DigestInit_ex(ctx, EVP_shake256(), NULL) == 1 &&
	       EVP_DigestUpdate(ctx, DIGEST_LABEL, sizeof(DIGEST_LABEL)) == 1 &&
	       EVP_DigestUpdate(ctx, seed, DIGEST_SEED_BYTES) == 1 &&
	       EVP_DigestFinalXOF(ctx, secret, DIGEST_SECRET_BYTES) == 1;
}

void digest_init(struct digest *d, const uint8_t seed[DIGEST_SEED_BYTES])
{
	static const uint8_t zeros[4096];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	XXH3_state_t *x = XXH3_createState();
	XXH128_canonical_t c;

	_Static_assert(DIGEST_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "secret");
	_Static_assert(sizeof(c) == DIGEST_BYTES, "digest");
	/* Going on without a secret would be worse than to end; it fails without memory only. */
	if (!ctx || !x || !secret_from_seed(ctx, seed, d->secret))
		abort();
	EVP_MD_CTX_free(ctx);
	XXH3_128bits_reset_withSecret(x, d->secret, sizeof(d->secret));
	for (unsigned i = 0; i < CHUNK_BYTES / sizeof(zeros); i++)
		XXH3_128bits_update(x, zeros, sizeof(zeros));
	XXH128_canonicalFromHash(&c, XXH3_128bits_digest(x));
	memcpy(d->zero, &c, sizeof(c));
	XXH3_freeState(x);
}

bool digest_is_known(const uint8_t *digest)
{
	static const uint8_t unknown[DIGEST_BYTES];

	return memcmp(digest, unknown, DIGEST_BYTES) != 0;
}

void digest_bytes(const struct digest *d, const void *buf, size_t len, uint8_t *ret)
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c,
				 XXH3_128bits_withSecret(buf, len, d->secret, sizeof(d->secret)));
	memcpy(ret, &c, sizeof(c));
	if (!digest_is_known(ret))
		ret[0] = 1;
}

void digest_chunks(const struct digest *d, const void *buf, size_t len, uint8_t *ret)
{
	const uint8_t *p = buf;

	for (; len; ret += DIGEST_BYTES) {
		size_t n = MIN(len, CHUNK_BYTES);

		digest_bytes(d, p, n, ret);
		p += n;
		len -= n;
	}
}

uint64_t digest_check(const struct digest *d, const void *buf, size_t len)
{
	return XXH3_64bits_withSecret(buf, len, d->secret, sizeof(d->secret));
}

/* Sixteen zeros, and everything the same as sixteen bytes before: memcmp() is hard to beat. */
bool bytes_are_zero(const void *buf, size_t len)
{
	static const uint8_t zeros[16];
	const uint8_t *p = buf;

	if (len < sizeof(zeros))
		return memcmp(p, zeros, len) == 0;
	return memcmp(p, zeros, sizeof(zeros)) == 0 &&
	       memcmp(p, p + sizeof(zeros), len - sizeof(zeros)) == 0;
}
