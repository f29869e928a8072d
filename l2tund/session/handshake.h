/* Calling and answering: the handshake messages and when they are sent. */
#ifndef L2TUND_SESSION_HANDSHAKE_H
#define L2TUND_SESSION_HANDSHAKE_H

#include "l2tund/session/noise.h"
#include "l2tund/session/session.h"

/* Our initiation that waits for its response. */
struct call {
	uint32_t index; /* 0: none */
	struct noise noise;
	uint64_t counter;
	uint64_t generation;
	struct path path;
	uint64_t due_us; /* when to call (again) */
	unsigned tries;	 /* since the last success */
	bool answered;	 /* something came that claims to be the response */
	bool forced;	 /* keys are to be replaced whatever their age */
};

/* Calls when it is due; gives the next deadline. */
uint64_t handshake_tick(struct session *s, uint64_t now_us);
/* Forgets an unanswered call. */
void handshake_cancel(struct session *s);

void handshake_input_init(struct sessions *ss, const struct path *from, const uint8_t *dgram,
			  size_t len, uint64_t now_us);
void handshake_input_response(struct sessions *ss, const struct path *from, const uint8_t *dgram,
			      size_t len, uint64_t now_us);
void handshake_input_cookie(struct sessions *ss, const uint8_t *dgram, size_t len, uint64_t now_us);

#endif
