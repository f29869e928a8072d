/*
 * Transport keys of one handshake: sealing what leaves, opening what comes, in each of
 * the three data modes (doc/protocol.md, "Data"). Knows nothing of peers or time.
 */
#ifndef L2TUND_SESSION_SEAL_H
#define L2TUND_SESSION_SEAL_H

#include "common/names.h"
#include "l2tund/session/crypto.h"
#include "l2tund/session/replay.h"

struct seal {
	enum data_mode mode;
	enum cipher cipher;
	struct aead tx, rx;
	uint64_t tx_counter;	       /* next to use */
	uint64_t tx_cookie, rx_cookie; /* in the counter field of plain datagrams */
	struct replay replay;
};

/* Secrets are those of noise_split(), ours to send with and ours to receive with. */
int seal_init(struct seal *s, struct crypto *c, enum data_mode mode, enum cipher cipher,
	      const uint8_t tx_secret[32], const uint8_t rx_secret[32]);
void seal_fini(struct seal *s);

/* Bytes that a datagram of this type needs around its records. */
unsigned seal_overhead(const struct seal *s, uint8_t type);
/* The type that data travels as. */
uint8_t seal_data_type(const struct seal *s);

/*
 * Makes a datagram of the `len` bytes of records at dgram + DGRAM_HDR_BYTES, with the
 * peer's index in its header. Gives its length, or -EIO.
 */
int seal_out(struct seal *s, uint8_t type, uint32_t receiver, uint8_t *dgram, size_t len);

/*
 * Opens in place; *ret_newest says whether the counter is the greatest so far (never so
 * for plain datagrams). Gives the length of the records at dgram + DGRAM_HDR_BYTES, or
 * -EALREADY (replayed, or too old to tell), -EBADMSG (does not authenticate), -EPROTO
 * (a type that the mode does not have, or too short).
 */
int seal_in(struct seal *s, uint8_t *dgram, size_t len, bool *ret_newest);

#endif
