/*
 * Measures the ciphers. The clock is an argument, so that a test can measure without
 * time. On a machine that is busy at start, turns are interrupted: short ones of each cipher
 * alternate, and the best of each counts, which was interrupted least.
 */
#include "l2tund/session/cipher.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/crypto.h"

#define DATAGRAM 1400
#define BURST 16 /* datagrams between two looks at the clock */
#define TURN_US 500
#define TURNS 5
#define BURSTS_MAX 100000 /* of a turn, should the clock stand still */

/* Megabytes per second (bytes per microsecond) of one turn, or -EIO. */
static int64_t take_turn(struct aead *a, uint64_t *counter, cipher_clock_fn clock, void *arg)
{
	uint8_t buf[DATAGRAM + CRYPTO_TAG_BYTES] = { 0 };
	uint64_t begin_us = clock(arg), us = 0, bytes = 0;

	for (unsigned n = 0; us < TURN_US && n < BURSTS_MAX; n++) {
		for (unsigned i = 0; i < BURST; i++)
			if (aead_seal(a, (*counter)++, NULL, 0, buf, DATAGRAM, buf + DATAGRAM) < 0)
				return -EIO;
		bytes += BURST * DATAGRAM;
		us = clock(arg) - begin_us;
	}
	return us ? (int64_t)MIN(bytes / us, (uint64_t)UINT32_MAX) : 0;
}

static int measure(struct crypto *c, cipher_clock_fn clock, void *arg, int64_t best[CIPHERS])
{
	static const uint8_t key[CRYPTO_KEY_BYTES];
	struct aead a[CIPHERS] = { 0 };
	uint64_t counter = 0;
	int64_t r = 0;

	for (enum cipher i = CIPHER_NONE + 1; i < CIPHERS && r == 0; i++)
		r = aead_init(&a[i], c, i, key, true);
	for (unsigned t = 0; t < TURNS; t++)
		for (enum cipher i = CIPHER_NONE + 1; i < CIPHERS && r >= 0; i++) {
			r = take_turn(&a[i], &counter, clock, arg);
			best[i] = MAX(best[i], r);
		}
	for (enum cipher i = CIPHER_NONE + 1; i < CIPHERS; i++)
		aead_fini(&a[i]);
	return r < 0 ? (int)r : 0;
}

int cipher_measure(cipher_clock_fn clock, void *arg, uint32_t *ret_aes_mbps,
		   uint32_t *ret_chacha_mbps)
{
	int64_t best[CIPHERS] = { [CIPHER_AES256GCM] = 1, [CIPHER_CHACHAPOLY] = 1 };
	struct crypto *c = crypto_new();

	if (!c)
		return -ENOMEM;
	int r = measure(c, clock, arg, best);
	crypto_free(c);
	if (r < 0)
		return r;
	*ret_aes_mbps = (uint32_t)best[CIPHER_AES256GCM];
	*ret_chacha_mbps = (uint32_t)best[CIPHER_CHACHAPOLY];
	return 0;
}
