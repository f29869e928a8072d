/*
 * Frames on one data connection, with errors told as a struct fail: what sender and receiver
 * share. And the greeting: who called sends HELLO first, who was called answers only when
 * that was right, so a stranger hears nothing.
 *
 * Payload of HELLO, little endian: number of the connection (4), zero (4), bytes that the target
 * knows already (8; from the source 0), HMAC-SHA256 with the transfer's key over a label,
 * the role, the number, what is known and the window (32). Without TLS it keeps strangers out who
 * cannot change what others send; who can do that needs TLS against him.
 */
#ifndef BRIDGECTL_TRANSFER_WIRE_H
#define BRIDGECTL_TRANSFER_WIRE_H

#include "bridgectl/transfer/conn.h"
#include "bridgectl/transfer/digest.h"
#include "bridgectl/transfer/fail.h"
#include "bridgectl/transfer/frame.h"

#define WIRE_VERSION 1
#define WIRE_CONNECTIONS_MAX 16

enum wire_role { WIRE_SOURCE = 's', WIRE_TARGET = 't' };

/* What both ends of all connections of a transfer agree on. */
struct wire_setup {
	enum wire_role role; /* of this end */
	uint8_t key[CONN_KEY_BYTES];
	unsigned timeout_ms; /* of silence; 0: CONN_TIMEOUT_MS */
	bool tls;
	bool local; /* Unix sockets that nobody else can reach: the source greets, whoever called */
	struct digest digest;
	uint64_t window;      /* bytes */
	uint64_t known_bytes; /* of the target */
};

struct wire {
	struct conn *conn; /* owned by whoever made it */
	const struct digest *digest;
	uint64_t window;
	unsigned number;
	uint64_t known_bytes; /* what the target said in its HELLO */
};

/*
 * The greeting of the one who called, as connection `number`. `ret` borrows from `s`. 0, or
 * negative errno with `f` filled in.
 */
int wire_greet(struct wire *ret, struct conn *c, const struct wire_setup *s, unsigned number,
	       struct fail *f);
/* Of the one who was called: what he hears, and, when he wants that number, what he answers. */
int wire_hear(struct wire *ret, struct conn *c, const struct wire_setup *s, struct fail *f);
int wire_answer(struct wire *w, const struct wire_setup *s, struct fail *f);

/* Sends a header and `n` - 1 pieces behind it; iov[0] is left free for the header. */
int wire_send(struct wire *w, const struct frame *frame, struct iovec *iov, unsigned n,
	      struct fail *f);
/* A frame without payload. */
int wire_send_bare(struct wire *w, enum frame_type type, uint8_t flags, uint64_t offset,
		   uint64_t length, struct fail *f);
int wire_flush(struct wire *w, struct fail *f);
/* The next header. FRAME_ERROR is taken here, and comes back as the failure it tells of. */
int wire_take(struct wire *w, struct frame *ret, struct fail *f);
int wire_read(struct wire *w, void *buf, size_t len, struct fail *f);
/* Tells the other end why, if that can still be done; errors are ignored. */
void wire_send_error(struct wire *w, const struct fail *why);

#endif
