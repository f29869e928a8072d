/*
 * The key slots of a session: previous and current, and `fresh` while a handshake that we
 * answered is not confirmed by a datagram under its keys.
 */
#ifndef L2TUND_SESSION_KEYS_H
#define L2TUND_SESSION_KEYS_H

#include "l2tund/session/noise.h"
#include "l2tund/session/payload.h"
#include "l2tund/session/seal.h"
#include "l2tund/session/session.h"

/* The keys of one handshake. */
struct keypair {
	uint32_t index, far_index;
	bool initiator; /* we began it */
	uint32_t epoch; /* order of handshakes, agreed in them */
	uint64_t generation;
	uint64_t born_us;
	uint64_t far_incarnation;
	char far_name[SESSION_NAME_MAX + 1];
	struct seal seal;
};

/*
 * Makes the keys of a finished noise state and the terms `p` that were agreed (mode,
 * cipher, epoch, generation: 0 derives one), with our receiver `index`. NULL on failure.
 */
struct keypair *keypair_new(struct session *s, struct noise *n, const struct payload *terms,
			    const struct payload *far, uint32_t index, uint32_t far_index,
			    uint64_t now_us);
/* Also gives the index back. NULL is fine. */
void keypair_free(struct session *s, struct keypair *kp);
void keys_drop(struct session *s);
struct keypair *keys_find(const struct session *s, uint32_t index);

/* The answered handshake's keys, waiting. */
void keys_set_fresh(struct session *s, struct keypair *kp);
/* `kp` is proven (it may be `fresh`): becomes current, or previous when it loses a glare. */
void keys_take(struct session *s, struct keypair *kp, uint64_t now_us);
/* Drops what is too old to be used. */
void keys_expire(struct session *s, uint64_t now_us);
uint64_t keys_expire_at(const struct session *s); /* when the next of them is; NEVER without */
/* Whether the current keys should be replaced, and from when on (us) when not yet. */
uint64_t keys_replace_at(const struct session *s);

#endif
