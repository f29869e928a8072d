/*
 * Noise_IKpsk2_25519_ChaChaPoly_SHA256 (Noise protocol framework, revision 34, sections
 * 5, 7.5 and 9), and plain IK for the published test vectors. Ephemeral keys come in as
 * arguments, so the handshake is a function of its inputs.
 *
 *   <- s
 *   -> e, es, s, ss      noise_write_1 / noise_read_1
 *   <- e, ee, se, psk    noise_write_2 / noise_read_2
 *
 * After a failure the state must not be used again: try a message on a copy.
 */
#ifndef L2TUND_SESSION_NOISE_H
#define L2TUND_SESSION_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/session/crypto.h"

#define NOISE_1_BYTES (32 + 48 + 16) /* what the first message adds to its payload */
#define NOISE_2_BYTES (32 + 16)	     /* the second */

struct noise {
	struct crypto *c;
	bool initiator;
	bool psk2;
	bool keyed;
	uint64_t n;
	uint8_t ck[32], h[32], k[32];
	uint8_t s_priv[32], s_pub[32]; /* own static */
	uint8_t e_priv[32], e_pub[32]; /* own ephemeral */
	uint8_t rs[32], re[32];	       /* the other end's public keys */
};

/*
 * `rs` is the responder's public key: the other end's for the initiator, and own
 * public key is derived. The responder passes NULL. `psk2` picks IKpsk2 over IK.
 */
int noise_init(struct noise *n, struct crypto *c, bool initiator, bool psk2, const void *prologue,
	       size_t prologue_len, const uint8_t s_priv[32], const uint8_t s_pub[32],
	       const uint8_t *rs);
void noise_wipe(struct noise *n);

/* `out` has room for payload + NOISE_x_BYTES and may not overlap `payload`. Gives the length. */
int noise_write_1(struct noise *n, const uint8_t e_priv[32], const uint8_t *payload, size_t len,
		  uint8_t *out);
int noise_write_2(struct noise *n, const uint8_t e_priv[32], const uint8_t psk[32],
		  const uint8_t *payload, size_t len, uint8_t *out);
/*
 * `payload` has room for len - NOISE_x_BYTES. Gives the payload's length; -EBADMSG when
 * the message is short or does not authenticate, -EINVAL for a low-order point.
 * After noise_read_1, n->rs is the initiator's (proven) public key.
 */
int noise_read_1(struct noise *n, const uint8_t *in, size_t len, uint8_t *payload);
int noise_read_2(struct noise *n, const uint8_t psk[32], const uint8_t *in, size_t len,
		 uint8_t *payload);

/* Transport secrets, initiator to responder and back. n->h stays as the handshake hash. */
int noise_split(struct noise *n, uint8_t i2r[32], uint8_t r2i[32]);

#endif
