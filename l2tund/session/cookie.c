/*
 * mac1, mac2 and cookies. The responder keeps nothing per caller: a cookie is a MAC of the
 * source address under a secret that lives for two minutes, and travels back sealed so
 * that only who saw the initiation can read it. Invariant: the reply (56 bytes) is smaller than
 * the smallest message that asks for it.
 */
#include "l2tund/session/cookie.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/dgram.h"

_Static_assert(COOKIE_REPLY_BYTES < DGRAM_INIT_MIN, "a cookie reply must not amplify");

static int derive(struct crypto *c, const char *label, const uint8_t pub[32], uint8_t ret[32])
{
	struct crypto_buf in[] = { { label, strlen(label) }, { pub, 32 } };

	return crypto_sha256(c, in, 2, ret);
}

int cookie_keys_init(struct cookie_keys *k, struct crypto *c, const uint8_t pub[32])
{
	int r = derive(c, "l2tund mac1", pub, k->mac1);

	return r == 0 ? derive(c, "l2tund cookie", pub, k->seal) : r;
}

static int mac(struct crypto *c, const uint8_t *key, size_t key_len, const void *p, size_t len,
	       uint8_t ret[COOKIE_BYTES])
{
	uint8_t out[CRYPTO_HASH_BYTES];
	struct crypto_buf in = { p, len };
	int r = crypto_hmac(c, key, key_len, &in, 1, out);

	if (r == 0)
		memcpy(ret, out, COOKIE_BYTES);
	return r;
}

int cookie_stamp(struct cookie_maker *m, struct crypto *c, uint8_t *msg, size_t len,
		 uint64_t now_us)
{
	uint8_t *mac1 = msg + len - COOKIE_MACS_BYTES, *mac2 = mac1 + COOKIE_BYTES;
	int r = mac(c, m->keys.mac1, 32, msg, (size_t)(mac1 - msg), mac1);

	if (r < 0)
		return r;
	memcpy(m->last_mac1, mac1, COOKIE_BYTES);
	m->sent = true;
	if (m->cookie_us && now_us - m->cookie_us < COOKIE_LIFE_US)
		return mac(c, m->cookie, COOKIE_BYTES, msg, (size_t)(mac2 - msg), mac2);
	memset(mac2, 0, COOKIE_BYTES);
	return 0;
}

/* The nonce is random and longer than the cipher's: it goes into the key. */
static int reply_key(const struct cookie_keys *k, struct crypto *c, const uint8_t nonce[16],
		     uint8_t ret[32])
{
	struct crypto_buf in = { nonce, 16 };

	return crypto_hmac(c, k->seal, 32, &in, 1, ret);
}

int cookie_take(struct cookie_maker *m, struct crypto *c, const uint8_t *reply, size_t len,
		uint64_t now_us)
{
	struct crypto_buf ad = { m->last_mac1, COOKIE_BYTES };
	uint8_t key[32], cookie[COOKIE_BYTES];
	struct aead a;

	if (len != COOKIE_REPLY_BYTES || !m->sent)
		return -EBADMSG;
	int r = reply_key(&m->keys, c, reply + 8, key);
	if (r == 0)
		r = aead_init(&a, c, CIPHER_CHACHAPOLY, key, false);
	crypto_wipe(key, sizeof(key));
	if (r < 0)
		return r;
	memcpy(cookie, reply + 24, sizeof(cookie));
	r = aead_open(&a, 0, &ad, 1, cookie, sizeof(cookie), reply + 40);
	aead_fini(&a);
	if (r < 0)
		return r;
	memcpy(m->cookie, cookie, sizeof(cookie));
	m->cookie_us = now_us;
	m->sent = false; /* one reply per message */
	return 0;
}

bool cookie_check_mac1(const struct cookie_checker *k, struct crypto *c, const uint8_t *msg,
		       size_t len)
{
	uint8_t want[COOKIE_BYTES];

	if (len < COOKIE_MACS_BYTES)
		return false;
	len -= COOKIE_MACS_BYTES;
	return mac(c, k->keys.mac1, 32, msg, len, want) == 0 &&
	       crypto_equal(want, msg + len, COOKIE_BYTES);
}

/* What a cookie stands for: the source address and port. */
static int cookie_of(const struct cookie_checker *k, struct crypto *c, const struct addr *from,
		     uint8_t ret[COOKIE_BYTES])
{
	uint8_t b[18] = { 0 };

	if (from->sa.sa_family == AF_INET6)
		memcpy(b, &from->in6.sin6_addr, 16);
	else
		memcpy(b, &from->in.sin_addr, 4);
	put_le16(b + 16, addr_port(from));
	return mac(c, k->secret, 32, b, sizeof(b), ret);
}

bool cookie_check_mac2(const struct cookie_checker *k, struct crypto *c, const uint8_t *msg,
		       size_t len, const struct addr *from, uint64_t now_us)
{
	uint8_t cookie[COOKIE_BYTES], want[COOKIE_BYTES];

	if (len < COOKIE_MACS_BYTES || cookie_rotation_due(k, now_us))
		return false;
	len -= COOKIE_BYTES;
	return cookie_of(k, c, from, cookie) == 0 &&
	       mac(c, cookie, COOKIE_BYTES, msg, len, want) == 0 &&
	       crypto_equal(want, msg + len, COOKIE_BYTES);
}

bool cookie_rotation_due(const struct cookie_checker *k, uint64_t now_us)
{
	return !k->secret_us || now_us - k->secret_us >= COOKIE_LIFE_US;
}

void cookie_rotate(struct cookie_checker *k, const uint8_t fresh[32], uint64_t now_us)
{
	memcpy(k->secret, fresh, 32);
	k->secret_us = now_us ? now_us : 1;
}

int cookie_reply(const struct cookie_checker *k, struct crypto *c, const uint8_t *msg, size_t len,
		 uint32_t receiver, const struct addr *from, const uint8_t nonce[16],
		 uint8_t ret[COOKIE_REPLY_BYTES])
{
	struct crypto_buf ad = { msg + len - COOKIE_MACS_BYTES, COOKIE_BYTES };
	uint8_t key[32];
	struct aead a;
	int r;

	memset(ret, 0, 8);
	ret[0] = DGRAM_COOKIE;
	put_le32(ret + 4, receiver);
	memcpy(ret + 8, nonce, 16);
	r = cookie_of(k, c, from, ret + 24);
	if (r == 0)
		r = reply_key(&k->keys, c, nonce, key);
	if (r == 0)
		r = aead_init(&a, c, CIPHER_CHACHAPOLY, key, true);
	crypto_wipe(key, sizeof(key));
	if (r < 0)
		return r;
	r = aead_seal(&a, 0, &ad, 1, ret + 24, COOKIE_BYTES, ret + 40);
	aead_fini(&a);
	return r;
}
