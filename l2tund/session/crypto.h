/*
 * The few primitives of libcrypto that sessions need. Algorithms are fetched once
 * (crypto_new) and contexts are kept and only given a new key or nonce: a fetch per
 * packet would cost more than the packet. One struct crypto must not be shared by threads.
 * Every function gives 0, or a negative errno with the output not to be used.
 */
#ifndef L2TUND_SESSION_CRYPTO_H
#define L2TUND_SESSION_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_BYTES 32
#define CRYPTO_HASH_BYTES 32
#define CRYPTO_TAG_BYTES 16

/* The numbers are those of the wire. */
enum cipher {
	CIPHER_NONE = 0,
	CIPHER_AES256GCM = 1,
	CIPHER_CHACHAPOLY = 2,
	CIPHERS,
};

struct crypto;

/* A piece of input; the pieces of a call are taken as if they stood together. */
struct crypto_buf {
	const void *p;
	size_t len;
};

/* NULL when libcrypto cannot give an algorithm, or out of memory. */
struct crypto *crypto_new(void);
void crypto_free(struct crypto *c);

int crypto_sha256(struct crypto *c, const struct crypto_buf *in, unsigned n,
		  uint8_t ret[CRYPTO_HASH_BYTES]);
/* HMAC-SHA-256, RFC 2104. */
int crypto_hmac(struct crypto *c, const void *key, size_t key_len, const struct crypto_buf *in,
		unsigned n, uint8_t ret[CRYPTO_HASH_BYTES]);
/*
 * HKDF-SHA-256 with `ck` as salt and empty info (RFC 5869; Noise revision 34, section
 * 4.3): the first n (2 or 3) outputs of 32 bytes. `ret` may overlap `ck`, not `ikm`.
 */
int crypto_hkdf(struct crypto *c, const uint8_t ck[CRYPTO_HASH_BYTES], const void *ikm,
		size_t ikm_len, unsigned n, uint8_t (*ret)[CRYPTO_HASH_BYTES]);
/* HKDF-Expand with one block: `len` (at most 32) bytes from a secret and a text label. */
int crypto_expand(struct crypto *c, const uint8_t secret[CRYPTO_HASH_BYTES], const char *label,
		  uint8_t *ret, size_t len);

/* RFC 7748. -EINVAL for a low-order point, whose result is all zero. */
int crypto_x25519(const uint8_t priv[32], const uint8_t pub[32], uint8_t ret[32]);
int crypto_x25519_public(const uint8_t priv[32], uint8_t ret[32]);

bool crypto_equal(const void *a, const void *b, size_t len); /* in constant time */
void crypto_wipe(void *p, size_t len);

/*
 * One direction of an AEAD under one key. The 12-byte nonce is four zero bytes and the
 * counter, big-endian for AES-256-GCM and little-endian for ChaCha20-Poly1305, as
 * Noise has it (revision 34, section 12). The caller never repeats a counter.
 */
struct aead {
	void *ctx; /* EVP_CIPHER_CTX */
	enum cipher cipher;
};

int aead_init(struct aead *a, const struct crypto *c, enum cipher cipher,
	      const uint8_t key[CRYPTO_KEY_BYTES], bool seal);
void aead_fini(struct aead *a);
/* In place. `ad` pieces are authenticated, `buf` is sealed, the tag comes out at `tag`. */
int aead_seal(struct aead *a, uint64_t counter, const struct crypto_buf *ad, unsigned n_ad,
	      uint8_t *buf, size_t len, uint8_t tag[CRYPTO_TAG_BYTES]);
/* In place. -EBADMSG when the tag is wrong; `buf` then holds rubbish. */
int aead_open(struct aead *a, uint64_t counter, const struct crypto_buf *ad, unsigned n_ad,
	      uint8_t *buf, size_t len, const uint8_t tag[CRYPTO_TAG_BYTES]);

#endif
