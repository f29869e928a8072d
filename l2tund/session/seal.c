/*
 * Sealing and opening. Invariants: data and control of one direction share one key and
 * one counter, so no nonce is used twice; the header, with the type in it, is always
 * authenticated, so data can't be taken for control; the replay window moves only after
 * the tag was good. Plain datagrams (mode none) never touch key, counter or window.
 */
#include "l2tund/session/seal.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/dgram.h"

static int direction_init(struct aead *a, uint64_t *ret_cookie, struct crypto *c,
			  enum cipher cipher, const uint8_t secret[32], bool seal)
{
	uint8_t key[32], cookie[8];
	int r = crypto_expand(c, secret,
			      cipher == CIPHER_AES256GCM ? "l2tund aes-256-gcm" :
							   "l2tund chacha20-poly1305",
			      key, sizeof(key));

	if (r == 0)
		r = crypto_expand(c, secret, "l2tund plain", cookie, sizeof(cookie));
	if (r == 0)
		r = aead_init(a, c, cipher, key, seal);
	if (r == 0)
		*ret_cookie = get_le64(cookie);
	crypto_wipe(key, sizeof(key));
	crypto_wipe(cookie, sizeof(cookie));
	return r;
}

int seal_init(struct seal *s, struct crypto *c, enum data_mode mode, enum cipher cipher,
	      const uint8_t tx_secret[32], const uint8_t rx_secret[32])
{
	int r;

	memset(s, 0, sizeof(*s));
	s->mode = mode;
	s->cipher = cipher;
	replay_init(&s->replay);
	r = direction_init(&s->tx, &s->tx_cookie, c, cipher, tx_secret, true);
	if (r == 0)
		r = direction_init(&s->rx, &s->rx_cookie, c, cipher, rx_secret, false);
	if (r < 0)
		seal_fini(s);
	return r;
}

void seal_fini(struct seal *s)
{
	aead_fini(&s->tx);
	aead_fini(&s->rx);
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

int seal_out(struct seal *s, uint8_t type, uint32_t receiver, uint8_t *dgram, size_t len)
{
	uint8_t *records = dgram + DGRAM_HDR_BYTES;
	struct crypto_buf ad[2];
	size_t sealed;

	memset(dgram, 0, 4);
	dgram[0] = type;
	put_le32(dgram + 4, receiver);
	put_le64(dgram + 8, type == DGRAM_PLAIN ? s->tx_cookie : s->tx_counter);
	if (type != DGRAM_PLAIN) {
		unsigned n = layout(s, type, dgram, len, ad, &sealed);

		if (aead_seal(&s->tx, s->tx_counter++, ad, n, records, sealed, records + len) < 0)
			return -EIO;
	}
	return (int)(len + seal_overhead(s, type));
}

static int plain_in(struct seal *s, const uint8_t *dgram, size_t len)
{
	uint8_t want[8];

	if (s->mode != DATA_NONE)
		return -EPROTO;
	put_le64(want, s->rx_cookie);
	if (!crypto_equal(dgram + 8, want, sizeof(want)))
		return -EBADMSG;
	return (int)(len - DGRAM_HDR_BYTES);
}

int seal_in(struct seal *s, uint8_t *dgram, size_t len, bool *ret_newest)
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
	if (!replay_ok(&s->replay, counter))
		return -EALREADY;

	len -= seal_overhead(s, type);
	unsigned n = layout(s, type, dgram, len, ad, &sealed);
	uint8_t *records = dgram + DGRAM_HDR_BYTES;
	if (aead_open(&s->rx, counter, ad, n, records, sealed, records + len) < 0)
		return -EBADMSG;
	*ret_newest = replay_update(&s->replay, counter);
	return (int)len;
}
