/*
 * The handshake's cryptography, nothing else: no sizes on the wire, no peers, no time.
 * Names follow the specification (ck, h, k, MixHash, MixKey, EncryptAndHash), so that the
 * two can be read side by side. Invariant: a function that fails leaves nothing that a
 * caller could mistake for keys.
 */
#include "l2tund/session/noise.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"

static int mix_hash(struct noise *n, const void *data, size_t len)
{
	struct crypto_buf in[] = { { n->h, 32 }, { data, len } };

	return crypto_sha256(n->c, in, 2, n->h);
}

static int mix_key(struct noise *n, const void *ikm, size_t len)
{
	uint8_t out[2][CRYPTO_HASH_BYTES];
	int r = crypto_hkdf(n->c, n->ck, ikm, len, 2, out);

	if (r == 0) {
		memcpy(n->ck, out[0], 32);
		memcpy(n->k, out[1], 32);
		n->n = 0;
		n->keyed = true;
	}
	crypto_wipe(out, sizeof(out));
	return r;
}

static int mix_key_and_hash(struct noise *n, const uint8_t psk[32])
{
	uint8_t out[3][CRYPTO_HASH_BYTES];
	int r = crypto_hkdf(n->c, n->ck, psk, 32, 3, out);

	if (r == 0) {
		memcpy(n->ck, out[0], 32);
		memcpy(n->k, out[2], 32);
		n->n = 0;
		n->keyed = true;
		r = mix_hash(n, out[1], 32);
	}
	crypto_wipe(out, sizeof(out));
	return r;
}

static int mix_dh(struct noise *n, const uint8_t priv[32], const uint8_t pub[32])
{
	uint8_t secret[32];
	int r = crypto_x25519(priv, pub, secret);

	if (r == 0)
		r = mix_key(n, secret, sizeof(secret));
	crypto_wipe(secret, sizeof(secret));
	return r;
}

/* The `e` token: in psk handshakes the ephemeral key is mixed into the key as well. */
static int mix_e(struct noise *n, const uint8_t pub[32])
{
	int r = mix_hash(n, pub, 32);

	return r == 0 && n->psk2 ? mix_key(n, pub, 32) : r;
}

static int encrypt_and_hash(struct noise *n, const uint8_t *in, size_t len, uint8_t *out)
{
	struct crypto_buf ad = { n->h, 32 };
	struct aead a;
	int r = aead_init(&a, n->c, CIPHER_CHACHAPOLY, n->k, true);

	if (r < 0)
		return r;
	if (len)
		memcpy(out, in, len);
	r = aead_seal(&a, n->n++, &ad, 1, out, len, out + len);
	aead_fini(&a);
	return r < 0 ? r : mix_hash(n, out, len + CRYPTO_TAG_BYTES);
}

/* `len` counts the tag. The hash takes the ciphertext, so it is mixed from `in`. */
static int decrypt_and_hash(struct noise *n, const uint8_t *in, size_t len, uint8_t *out)
{
	struct crypto_buf ad = { n->h, 32 };
	size_t plain = len - CRYPTO_TAG_BYTES;
	struct aead a;
	int r = aead_init(&a, n->c, CIPHER_CHACHAPOLY, n->k, false);

	if (r < 0)
		return r;
	if (plain)
		memcpy(out, in, plain);
	r = aead_open(&a, n->n++, &ad, 1, out, plain, in + plain);
	aead_fini(&a);
	return r < 0 ? r : mix_hash(n, in, len);
}

int noise_init(struct noise *n, struct crypto *c, bool initiator, bool psk2, const void *prologue,
	       size_t prologue_len, const uint8_t s_priv[32], const uint8_t s_pub[32],
	       const uint8_t *rs)
{
	const char *name =
		psk2 ? "Noise_IKpsk2_25519_ChaChaPoly_SHA256" : "Noise_IK_25519_ChaChaPoly_SHA256";
	size_t name_len = strlen(name);
	int r = 0;

	memset(n, 0, sizeof(*n));
	n->c = c;
	n->initiator = initiator;
	n->psk2 = psk2;
	memcpy(n->s_priv, s_priv, 32);
	memcpy(n->s_pub, s_pub, 32);
	if (rs)
		memcpy(n->rs, rs, 32);

	/* A protocol name of at most 32 bytes is padded, a longer one hashed (section 5.2). */
	if (name_len <= 32) {
		memcpy(n->h, name, name_len);
	} else {
		struct crypto_buf in = { name, name_len };
		r = crypto_sha256(c, &in, 1, n->h);
	}
	memcpy(n->ck, n->h, 32);
	if (r == 0)
		r = mix_hash(n, prologue, prologue_len);
	return r == 0 ? mix_hash(n, initiator ? n->rs : n->s_pub, 32) : r;
}

void noise_wipe(struct noise *n)
{
	crypto_wipe(n, sizeof(*n));
}

static int set_ephemeral(struct noise *n, const uint8_t e_priv[32])
{
	memcpy(n->e_priv, e_priv, 32);
	return crypto_x25519_public(n->e_priv, n->e_pub);
}

int noise_write_1(struct noise *n, const uint8_t e_priv[32], const uint8_t *payload, size_t len,
		  uint8_t *out)
{
	int r = set_ephemeral(n, e_priv);

	if (r == 0)
		r = mix_e(n, n->e_pub);
	if (r == 0)
		r = mix_dh(n, n->e_priv, n->rs); /* es */
	if (r == 0)
		r = encrypt_and_hash(n, n->s_pub, 32, out + 32);
	if (r == 0)
		r = mix_dh(n, n->s_priv, n->rs); /* ss */
	if (r == 0)
		r = encrypt_and_hash(n, payload, len, out + 80);
	if (r < 0)
		return r;
	memcpy(out, n->e_pub, 32);
	return (int)len + NOISE_1_BYTES;
}

int noise_read_1(struct noise *n, const uint8_t *in, size_t len, uint8_t *payload)
{
	int r;

	if (len < NOISE_1_BYTES)
		return -EBADMSG;
	memcpy(n->re, in, 32);
	r = mix_e(n, n->re);
	if (r == 0)
		r = mix_dh(n, n->s_priv, n->re); /* es */
	if (r == 0)
		r = decrypt_and_hash(n, in + 32, 48, n->rs);
	if (r == 0)
		r = mix_dh(n, n->s_priv, n->rs); /* ss */
	if (r == 0)
		r = decrypt_and_hash(n, in + 80, len - 80, payload);
	return r < 0 ? r : (int)(len - NOISE_1_BYTES);
}

int noise_write_2(struct noise *n, const uint8_t e_priv[32], const uint8_t psk[32],
		  const uint8_t *payload, size_t len, uint8_t *out)
{
	int r = set_ephemeral(n, e_priv);

	if (r == 0)
		r = mix_e(n, n->e_pub);
	if (r == 0)
		r = mix_dh(n, n->e_priv, n->re); /* ee */
	if (r == 0)
		r = mix_dh(n, n->e_priv, n->rs); /* se */
	if (r == 0 && n->psk2)
		r = mix_key_and_hash(n, psk);
	if (r == 0)
		r = encrypt_and_hash(n, payload, len, out + 32);
	if (r < 0)
		return r;
	memcpy(out, n->e_pub, 32);
	return (int)len + NOISE_2_BYTES;
}

int noise_read_2(struct noise *n, const uint8_t psk[32], const uint8_t *in, size_t len,
		 uint8_t *payload)
{
	int r;

	if (len < NOISE_2_BYTES)
		return -EBADMSG;
	memcpy(n->re, in, 32);
	r = mix_e(n, n->re);
	if (r == 0)
		r = mix_dh(n, n->e_priv, n->re); /* ee */
	if (r == 0)
		r = mix_dh(n, n->s_priv, n->re); /* se */
	if (r == 0 && n->psk2)
		r = mix_key_and_hash(n, psk);
	if (r == 0)
		r = decrypt_and_hash(n, in + 32, len - 32, payload);
	return r < 0 ? r : (int)(len - NOISE_2_BYTES);
}

int noise_split(struct noise *n, uint8_t i2r[32], uint8_t r2i[32])
{
	uint8_t out[2][CRYPTO_HASH_BYTES];
	int r = crypto_hkdf(n->c, n->ck, "", 0, 2, out);

	if (r == 0) {
		memcpy(i2r, out[0], 32);
		memcpy(r2i, out[1], 32);
	}
	crypto_wipe(out, sizeof(out));
	return r;
}
