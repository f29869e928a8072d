/*
 * libcrypto behind a narrow wall. Invariants: no algorithm is looked up by name after
 * crypto_new(); every return value is checked, and a failure of libcrypto itself is
 * -EIO, distinct from a tag that does not fit (-EBADMSG); what held a secret is cleansed
 * before it leaves scope.
 */
#include "l2tund/session/crypto.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/util.h"

struct crypto {
	EVP_MD *sha256;
	EVP_MD_CTX *md;
	EVP_MAC *hmac;
	EVP_MAC_CTX *mac;
	EVP_CIPHER *ciphers[CIPHERS];
};

struct crypto *crypto_new(void)
{
	struct crypto *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;

	c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	c->md = EVP_MD_CTX_new();
	c->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	c->mac = c->hmac ? EVP_MAC_CTX_new(c->hmac) : NULL;
	c->ciphers[CIPHER_AES256GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	c->ciphers[CIPHER_CHACHAPOLY] = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);

	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	if (!c->sha256 || !c->md || !c->mac || !c->ciphers[CIPHER_AES256GCM] ||
	    !c->ciphers[CIPHER_CHACHAPOLY] || EVP_MAC_CTX_set_params(c->mac, params) != 1) {
		crypto_free(c);
		return NULL;
	}
	return c;
}

void crypto_free(struct crypto *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CIPHERS; i++)
		EVP_CIPHER_free(c->ciphers[i]);
	EVP_MAC_CTX_free(c->mac);
	EVP_MAC_free(c->hmac);
	EVP_MD_CTX_free(c->md);
	EVP_MD_free(c->sha256);
	free(c);
}

int crypto_sha256(struct crypto *c, const struct crypto_buf *in, unsigned n,
		  uint8_t ret[CRYPTO_HASH_BYTES])
{
	if (EVP_DigestInit_ex2(c->md, c->sha256, NULL) != 1)
		return -EIO;
	for (unsigned i = 0; i < n; i++)
		if (EVP_DigestUpdate(c->md, in[i].p, in[i].len) != 1)
			return -EIO;
	return EVP_DigestFinal_ex(c->md, ret, NULL) == 1 ? 0 : -EIO;
}

int crypto_hmac(struct crypto *c, const void *key, size_t key_len, const struct crypto_buf *in,
		unsigned n, uint8_t ret[CRYPTO_HASH_BYTES])
{
	size_t len = 0;

	if (EVP_MAC_init(c->mac, key, key_len, NULL) != 1)
		return -EIO;
	for (unsigned i = 0; i < n; i++)
		if (EVP_MAC_update(c->mac, in[i].p, in[i].len) != 1)
			return -EIO;
	if (EVP_MAC_final(c->mac, ret, &len, CRYPTO_HASH_BYTES) != 1 || len != CRYPTO_HASH_BYTES)
		return -EIO;
	return 0;
}

int crypto_hkdf(struct crypto *c, const uint8_t ck[CRYPTO_HASH_BYTES], const void *ikm,
		size_t ikm_len, unsigned n, uint8_t (*ret)[CRYPTO_HASH_BYTES])
{
	uint8_t prk[CRYPTO_HASH_BYTES];
	uint8_t out[3][CRYPTO_HASH_BYTES];
	struct crypto_buf in = { ikm, ikm_len };
	int r;

	assert(n == 2 || n == 3);
	r = crypto_hmac(c, ck, CRYPTO_HASH_BYTES, &in, 1, prk);
	for (unsigned i = 0; i < n && r == 0; i++) {
		uint8_t number = (uint8_t)(i + 1);
		struct crypto_buf block[] = {
			{ i ? out[i - 1] : prk, i ? CRYPTO_HASH_BYTES : 0 },
			{ &number, 1 },
		};
		r = crypto_hmac(c, prk, sizeof(prk), block, 2, out[i]);
	}
	if (r == 0)
		memcpy(ret, out, n * sizeof(out[0]));
	crypto_wipe(prk, sizeof(prk));
	crypto_wipe(out, sizeof(out));
	return r;
}

int crypto_expand(struct crypto *c, const uint8_t secret[CRYPTO_HASH_BYTES], const char *label,
		  uint8_t *ret, size_t len)
{
	static const uint8_t one = 1;
	uint8_t out[CRYPTO_HASH_BYTES];
	struct crypto_buf in[] = { { label, strlen(label) }, { &one, 1 } };

	assert(len <= sizeof(out));
	int r = crypto_hmac(c, secret, CRYPTO_HASH_BYTES, in, 2, out);
	if (r == 0)
		memcpy(ret, out, len);
	crypto_wipe(out, sizeof(out));
	return r;
}

static int x25519_derive(EVP_PKEY *priv, EVP_PKEY *pub, uint8_t ret[32])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, priv, NULL);
	size_t len = 32;
	int r = -EIO;

	/* The derivation itself fails when the shared secret would be all zero. */
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, pub) == 1)
		r = EVP_PKEY_derive(ctx, ret, &len) == 1 && len == 32 ? 0 : -EINVAL;
	EVP_PKEY_CTX_free(ctx);
	return r;
}

int crypto_x25519(const uint8_t priv[32], const uint8_t pub[32], uint8_t ret[32])
{
	static const uint8_t zero[32];
	EVP_PKEY *a = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, priv, 32);
	EVP_PKEY *b = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, pub, 32);
	int r = a && b ? x25519_derive(a, b, ret) : -EIO;

	if (r == 0 && crypto_equal(ret, zero, 32))
		r = -EINVAL;
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	return r;
}

int crypto_x25519_public(const uint8_t priv[32], uint8_t ret[32])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, priv, 32);
	size_t len = 32;
	int r = k && EVP_PKEY_get_raw_public_key(k, ret, &len) == 1 && len == 32 ? 0 : -EIO;

	EVP_PKEY_free(k);
	return r;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void crypto_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}

int aead_init(struct aead *a, const struct crypto *c, enum cipher cipher,
	      const uint8_t key[CRYPTO_KEY_BYTES], bool seal)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	assert(cipher > CIPHER_NONE && cipher < CIPHERS);
	if (!ctx)
		return -ENOMEM;
	if (EVP_CipherInit_ex2(ctx, c->ciphers[cipher], key, NULL, seal, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return -EIO;
	}
	a->ctx = ctx;
	a->cipher = cipher;
	return 0;
}

void aead_fini(struct aead *a)
{
	EVP_CIPHER_CTX_free(a->ctx); /* cleanses the key schedule */
	a->ctx = NULL;
}

/* Starts one message: nonce and associated data. */
static int aead_begin(struct aead *a, uint64_t counter, const struct crypto_buf *ad, unsigned n_ad)
{
	uint8_t iv[12] = { 0 };
	int len;

	put_le64(iv + 4, a->cipher == CIPHER_AES256GCM ? __builtin_bswap64(counter) : counter);
	if (EVP_CipherInit_ex2(a->ctx, NULL, NULL, iv, -1, NULL) != 1)
		return -EIO;
	for (unsigned i = 0; i < n_ad; i++) {
		assert(ad[i].len <= INT_MAX);
		if (ad[i].len && EVP_CipherUpdate(a->ctx, NULL, &len, ad[i].p, (int)ad[i].len) != 1)
			return -EIO;
	}
	return 0;
}

int aead_seal(struct aead *a, uint64_t counter, const struct crypto_buf *ad, unsigned n_ad,
	      uint8_t *buf, size_t len, uint8_t tag[CRYPTO_TAG_BYTES])
{
	uint8_t none[16];
	int n = 0;

	assert(len <= INT_MAX);
	if (aead_begin(a, counter, ad, n_ad) < 0)
		return -EIO;
	if (len && (EVP_CipherUpdate(a->ctx, buf, &n, buf, (int)len) != 1 || (size_t)n != len))
		return -EIO;
	if (EVP_CipherFinal_ex(a->ctx, none, &n) != 1)
		return -EIO;
	if (EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_BYTES, tag) != 1)
		return -EIO;
	return 0;
}

int aead_open(struct aead *a, uint64_t counter, const struct crypto_buf *ad, unsigned n_ad,
	      uint8_t *buf, size_t len, const uint8_t tag[CRYPTO_TAG_BYTES])
{
	uint8_t copy[CRYPTO_TAG_BYTES];
	uint8_t none[16];
	int n = 0;

	assert(len <= INT_MAX);
	memcpy(copy, tag, sizeof(copy)); /* the call wants it writable */
	if (aead_begin(a, counter, ad, n_ad) < 0)
		return -EIO;
	if (len && (EVP_CipherUpdate(a->ctx, buf, &n, buf, (int)len) != 1 || (size_t)n != len))
		return -EIO;
	if (EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_BYTES, copy) != 1)
		return -EIO;
	return EVP_CipherFinal_ex(a->ctx, none, &n) == 1 ? 0 : -EBADMSG;
}
