/*
 * Replay window over datagram counters: RFC 6479's ring of words, so that nothing is
 * ever shifted. Looked at, and updated, after the tag was good.
 *
 * Datagrams of one lane (a thread of either end) come in order, but a lane whose thread waits for
 * a processor has all that its socket's buffer holds behind those of the others: up to 10000.
 */
#ifndef L2TUND_SESSION_REPLAY_H
#define L2TUND_SESSION_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BITS 32768
#define REPLAY_RING (REPLAY_BITS / 64 + 1) /* the word that fills up is not part of the window */

struct replay {
	uint64_t next; /* greatest counter taken, plus one; 0: none yet */
	uint64_t ring[REPLAY_RING];
};

void replay_init(struct replay *r);
/* Whether `counter` is neither taken already nor older than the window. */
bool replay_ok(const struct replay *r, uint64_t counter);
/* Marks it taken. True when it is greater than all before it. */
bool replay_update(struct replay *r, uint64_t counter);

#endif
