/*
 * Transport keys of one handshake: sealing what leaves, opening what comes, in each of
 * the three data modes (doc/protocol.md, "Data"). Knows nothing of peers or time.
 */
#ifndef L2TUND_SESSION_SEAL_H
#define L2TUND_SESSION_SEAL_H

#include <pthread.h>

#include "common/counter.h"
#include "common/names.h"
#include "l2tund/session/crypto.h"
#include "l2tund/session/replay.h"

/* Each lane (a thread that moves frames) has its own: libcrypto's contexts are not shared. */
struct seal_lane {
	struct aead tx, rx;
};

struct seal {
	enum data_mode mode;
	enum cipher cipher;
	unsigned lanes;
	struct seal_lane *lane;	       /* owned, `lanes` of them */
	uint64_t tx_cookie, rx_cookie; /* in the counter field of plain datagrams */
	struct counter tx_counter;     /* next to use */
	pthread_mutex_t lock;	       /* of `replay`; not taken when there is one lane only */
	struct replay replay;
};

/*
 * Secrets are those of noise_split(), ours to send with and ours to receive with. `lanes`, at
 * least 1, may use it at the same time.
 */
int seal_init(struct seal *s, struct crypto *c, enum data_mode mode, enum cipher cipher,
	      const uint8_t tx_secret[32], const uint8_t rx_secret[32], unsigned lanes);
void seal_fini(struct seal *s);

/* Bytes that a datagram of this type needs around its records. */
unsigned seal_overhead(const struct seal *s, uint8_t type);
/* The type that data travels as. */
uint8_t seal_data_type(const struct seal *s);

/*
 * Makes a datagram of the `len` bytes of records at dgram + DGRAM_HDR_BYTES, with the
 * peer's index and the lane in its header. Gives its length, or -EIO.
 */
int seal_out(struct seal *s, unsigned lane, uint8_t type, uint32_t receiver, uint8_t *dgram,
	     size_t len);

/*
 * Opens in place; *ret_newest says whether the counter is the greatest so far (never so
 * for plain datagrams). Gives the length of the records at dgram + DGRAM_HDR_BYTES, or
 * -EALREADY (replayed, or too old to tell), -EBADMSG (does not authenticate), -EPROTO
 * (a type that the mode does not have, or too short).
 */
int seal_in(struct seal *s, unsigned lane, uint8_t *dgram, size_t len, bool *ret_newest);
/* A number that is at least that of the sealed datagrams that came in. */
uint64_t seal_received(const struct seal *s);

#endif
