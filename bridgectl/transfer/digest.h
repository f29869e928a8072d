/*
 * Digests of chunks: XXH3-128 with a secret made from the transfer's random seed, so that nobody
 * who writes the data of a guest can prepare two chunks that look alike. Thread safe after init.
 */
#ifndef BRIDGECTL_TRANSFER_DIGEST_H
#define BRIDGECTL_TRANSFER_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridgectl/transfer/frame.h"

#define DIGEST_SEED_BYTES 32
#define DIGEST_SECRET_BYTES 192

struct digest {
	uint8_t secret[DIGEST_SECRET_BYTES];
	uint8_t zero[DIGEST_BYTES]; /* of a whole chunk of zeros */
};

void digest_init(struct digest *d, const uint8_t seed[DIGEST_SEED_BYTES]);
/* Digest of `len` bytes into `ret` (DIGEST_BYTES); never all zero, which means "not known". */
void digest_bytes(const struct digest *d, const void *buf, size_t len, uint8_t *ret);
/* Of each chunk of `len` bytes, one after the other. */
void digest_chunks(const struct digest *d, const void *buf, size_t len, uint8_t *ret);
/* 64 bits over a frame's header. */
uint64_t digest_check(const struct digest *d, const void *buf, size_t len);
bool digest_is_known(const uint8_t *digest);
/* Whether all bytes are zero; stops at the first that is not. */
bool bytes_are_zero(const void *buf, size_t len);

#endif
