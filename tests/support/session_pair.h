/* Two nodes with an established session, wired back to back without a network: for fuzzing. */
#ifndef TESTS_SUPPORT_SESSION_PAIR_H
#define TESTS_SUPPORT_SESSION_PAIR_H

#include "l2tund/session/state.h"

#define PAIR_QUEUE 64

struct pair_node {
	struct session_pair *pair;
	struct sessions *ss;
	struct session *s;	/* with the other node */
	struct session *silent; /* a peer that never answers; node 0 only */
	struct addr addr;
	unsigned events, records, topology;
	uint8_t topology_sum;
};

struct session_pair {
	uint64_t now_us, rng;
	struct pair_node nodes[2];
	bool deaf;	   /* what is sent goes nowhere */
	bool hold_control; /* control is lost, handshakes arrive */
	size_t sent_max;   /* largest datagram sent since it was cleared */
	unsigned sent;
	struct {
		unsigned to;
		size_t len;
		uint8_t dgram[SESSION_DGRAM_MAX];
	} queue[PAIR_QUEUE];
	unsigned n_queue;
};

/* Aborts when the two do not come up. */
struct session_pair *session_pair_new(void);
struct session_pair *session_pair_new_lanes(unsigned lanes);
void session_pair_free(struct session_pair *p);
/* Ticks both and carries datagrams until there are none, for `us` of virtual time. */
void session_pair_run(struct session_pair *p, uint64_t us);

#endif
