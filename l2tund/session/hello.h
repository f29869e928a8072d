/* Hellos: liveness both ways, round trip, loss, and the state of tunnels. */
#ifndef L2TUND_SESSION_HELLO_H
#define L2TUND_SESSION_HELLO_H

#include "l2tund/session/control.h"
#include "l2tund/session/session.h"

/*
 * Datagrams lost in one direction, reckoned from the counts in hellos. Hellos overtake data: what
 * is missing at one of them may be just behind it, and is lost only when the next one misses it.
 */
struct hello_loss {
	uint64_t sent, missing; /* of the last hello, not reckoned yet */
	uint64_t sum[2];	/* decaying: what was sent, what was lost */
};

struct hello_state {
	uint64_t due_us;    /* regular one */
	bool flush;	    /* own state changed: at the end of this tick */
	bool answer;	    /* the peer asked for one */
	uint64_t sent_us;   /* latest of ours */
	uint64_t echoed_us; /* latest of ours that came back; 0: none in this establishment */
	uint64_t settle_us; /* hurry until one sent at or after this came back */
	uint64_t far_sent_us, far_came_us; /* the peer's latest, in its clock and in ours */
	uint64_t far_tx, rx_then;
	uint64_t tx_base, rx_base; /* datagrams of the session that do not count in it */
	uint64_t seen_tx, seen_rx; /* last figures that loss_tx was reckoned from */
	struct hello_loss tx, rx;
	uint32_t rtt_us;
	uint16_t n;
	struct hello_segment far[SESSION_SEGMENTS_MAX];
};

/* For a new establishment. */
void hello_reset(struct session *s, uint64_t now_us);
/* Sends a hello when one is due; gives the next deadline. */
uint64_t hello_tick(struct session *s, uint64_t now_us);
void hello_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us);
/* Own state changed: a hello at the end of this tick, repeated in haste until it is echoed. */
void hello_flush(struct session *s, uint64_t now_us);
/* Whether something waits for an echo; when not, both directions worked just now. */
bool hello_in_haste(const struct session *s, uint64_t now_us);
/* Probes of the path do not count as sent or received: they are sent in order to be lost. */
void hello_forget_sent(struct session *s, uint64_t n);
void hello_forget_received(struct session *s);
/* 0 while it comes to no more than one datagram. */
unsigned hello_loss_permille(const struct hello_loss *l);

#endif
