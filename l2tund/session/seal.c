/*
 * Sealing and opening. Invariants: data and control of one direction share one key and
 * one counter, so no nonce is used twice; the header, with the type in it, is always
 * authenticated, so data can't be taken for control; the replay window is looked at and moved
 * in one step, after the tag was good, so that of two copies in two lanes one is taken. Plain
 * datagrams (mode none) never touch key, counter or window.
 */
#include "l2tund/session/seal.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/dgram.h"

/* The contexts of one direction, in all lanes. */
static int direction_init(struct seal *s, bool tx, uint64_t *ret_cookie, struct crypto *c,
			  enum cipher cipher, const uint8_t secret[32])
{
	uint8_t key[32], cookie[8];
	int r = crypto_expand(c, secret,
			      cipher == CIPHER_AES256GCM ? "l2tund aes-256-gcm" :
							   "l2tund chacha20-poly1305",
			      key, sizeof(key));

	if (r == 0)
		r = crypto_expand(c, secret, "l2tund plain", cookie, sizeof(cookie));
	for (unsigned i = 0; i < s->lanes && r == 0; i++)
		r = aead_init(tx ? &s->lane[i].tx : &s->lane[i].rx, c, cipher, key, tx);
	if (r == 0)
		*ret_cookie = get_le64(cookie);
	crypto_wipe(key, sizeof(key));
	crypto_wipe(cookie, sizeof(cookie));
	return r;
}

int seal_init(struct seal *s, struct crypto *c, enum data_mode mode, enum cipher cipher,
	      const uint8_t tx_secret[32], const uint8_t rx_secret[32], unsigned lanes)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->mode = mode;
	s->cipher = cipher;
	s->lanes = lanes;
	pthread_mutex_init(&s->lock, NULL);
	replay_init(&s->replay);
	s->lane = calloc(lanes, sizeof(*s->lane));
	r = s->lane ? direction_init(s, true, &s->tx_cookie, c, cipher, tx_secret) : -ENOMEM;
	if (r == 0)
		r = direction_init(s, false, &s->rx_cookie, c, cipher, rx_secret);
	if (r < 0)
		seal_fini(s);
	return r;
}

void seal_fini(struct seal *s)
{
	for (unsigned i = 0; s->lane && i < s->lanes; i++) {
		aead_fini(&s->lane[i].tx);
		aead_fini(&s->lane[i].rx);
	}
	free(s->lane);
	pthread_mutex_destroy(&s->lock);
	crypto_wipe(s, sizeof(*s));
}

unsigned seal_overhead(const struct seal *s, uint8_t type)
{
	(void)s;
	return DGRAM_HDR_BYTES + (type == DGRAM_PLAIN ? 0 : CRYPTO_TAG_BYTES);
}

uint8_t seal_data_type(const struct seal *s)
{
	return s->mode == DATA_NONE ? DGRAM_PLAIN : DGRAM_DATA;
}

/* Mode auth leaves data readable: the records move from the sealed to the associated bytes. */
static unsigned layout(const struct seal *s, uint8_t type, uint8_t *dgram, size_t len,
		       struct crypto_buf ad[2], size_t *ret_sealed)
{
	bool readable = type == DGRAM_DATA && s->mode == DATA_AUTH;

	ad[0] = (struct crypto_buf){ dgram, DGRAM_HDR_BYTES };
	ad[1] = (struct crypto_buf){ dgram + DGRAM_HDR_BYTES, len };
	*ret_sealed = readable ? 0 : len;
	return readable ? 2 : 1;
}

int seal_out(struct seal *s, unsigned lane, uint8_t type, uint32_t receiver, uint8_t *dgram,
	     size_t len)
{
	uint64_t counter = type == DGRAM_PLAIN ? s->tx_cookie : counter_next(&s->tx_counter);
	uint8_t *records = dgram + DGRAM_HDR_BYTES;
	struct crypto_buf ad[2];
	size_t sealed;

	put_le32(dgram, type | (lane & 0xff) << 8);
	put_le32(dgram + 4, receiver);
	put_le64(dgram + 8, counter);
	if (type != DGRAM_PLAIN) {
		unsigned n = layout(s, type, dgram, len, ad, &sealed);

		if (aead_seal(&s->lane[lane].tx, counter, ad, n, records, sealed, records + len) <
		    0)
			return -EIO;
	}
	return (int)(len + seal_overhead(s, type));
}

static int plain_in(struct seal *s, const uint8_t *dgram, size_t len)
{
	if (s->mode != DATA_NONE)
		return -EPROTO;
	/* One word: no byte of it is found before others. */
	if (get_le64(dgram + 8) != s->rx_cookie)
		return -EBADMSG;
	return (int)(len - DGRAM_HDR_BYTES);
}

static bool replay_take(struct seal *s, uint64_t counter, bool *ret_newest)
{
	if (s->lanes > 1)
		pthread_mutex_lock(&s->lock);
	bool ok = replay_ok(&s->replay, counter);
	if (ok)
		*ret_newest = replay_update(&s->replay, counter);
	if (s->lanes > 1)
		pthread_mutex_unlock(&s->lock);
	return ok;
}

uint64_t seal_received(const struct seal *s)
{
	return s->replay.next;
}

int seal_in(struct seal *s, unsigned lane, uint8_t *dgram, size_t len, bool *ret_newest)
{
	uint8_t type = dgram[0];
	uint64_t counter = get_le64(dgram + 8);
	struct crypto_buf ad[2];
	size_t sealed;

	*ret_newest = false;
	if (len < seal_overhead(s, type))
		return -EPROTO;
	if (type == DGRAM_PLAIN)
		return plain_in(s, dgram, len);
	if (type == DGRAM_DATA && s->mode == DATA_NONE)
		return -EPROTO;

	len -= seal_overhead(s, type);
	unsigned n = layout(s, type, dgram, len, ad, &sealed);
	uint8_t *records = dgram + DGRAM_HDR_BYTES;
	if (aead_open(&s->lane[lane].rx, counter, ad, n, records, sealed, records + len) < 0)
		return -EBADMSG;
	return replay_take(s, counter, ret_newest) ? (int)len : -EALREADY;
}
