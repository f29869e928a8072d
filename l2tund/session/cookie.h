/*
 * mac1, mac2 and cookies: the cheap proofs in front of the expensive handshake
 * (doc/protocol.md, "Floods"). mac1 shows that the sender knows whom it calls; a cookie,
 * that it gets what is sent to its source address.
 */
#ifndef L2TUND_SESSION_COOKIE_H
#define L2TUND_SESSION_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "l2tund/session/crypto.h"

#define COOKIE_BYTES 16
#define COOKIE_MACS_BYTES 32 /* mac1 and mac2, at the end of initiation and response */
#define COOKIE_REPLY_BYTES 56
#define COOKIE_LIFE_US (120 * UINT64_C(1000000))

/* Keys that follow from the public key of the end that receives a message. */
struct cookie_keys {
	uint8_t mac1[32];
	uint8_t seal[32];
};

/* The end that asks for cookies; one per node. */
struct cookie_checker {
	struct cookie_keys keys;
	uint8_t secret[32];
	uint64_t secret_us; /* when it was drawn; 0: not yet */
};

/* The end that shows them; one per peer. */
struct cookie_maker {
	struct cookie_keys keys;
	uint8_t cookie[COOKIE_BYTES];
	uint64_t cookie_us; /* 0: none */
	uint8_t last_mac1[COOKIE_BYTES];
	bool sent; /* last_mac1 is of a message that was sent */
};

int cookie_keys_init(struct cookie_keys *k, struct crypto *c, const uint8_t pub[32]);

/* Fills the last COOKIE_MACS_BYTES of a message of `len` bytes. */
int cookie_stamp(struct cookie_maker *m, struct crypto *c, uint8_t *msg, size_t len,
		 uint64_t now_us);
/* Takes a cookie reply to our latest message. -EBADMSG when it is not one. */
int cookie_take(struct cookie_maker *m, struct crypto *c, const uint8_t *reply, size_t len,
		uint64_t now_us);

bool cookie_check_mac1(const struct cookie_checker *k, struct crypto *c, const uint8_t *msg,
		       size_t len);
bool cookie_check_mac2(const struct cookie_checker *k, struct crypto *c, const uint8_t *msg,
		       size_t len, const struct addr *from, uint64_t now_us);
/* `fresh` (32 random bytes) becomes the secret when the present one is over. */
void cookie_rotate(struct cookie_checker *k, const uint8_t fresh[32], uint64_t now_us);
bool cookie_rotation_due(const struct cookie_checker *k, uint64_t now_us);
/* Writes the reply to `msg`, whose sender's index is `receiver`; `nonce` is 16 random bytes. */
int cookie_reply(const struct cookie_checker *k, struct crypto *c, const uint8_t *msg, size_t len,
		 uint32_t receiver, const struct addr *from, const uint8_t nonce[16],
		 uint8_t ret[COOKIE_REPLY_BYTES]);

#endif
