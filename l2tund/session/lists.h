/* The lists of segments: ours to the peer, page by page until it has all, and the peer's. */
#ifndef L2TUND_SESSION_LISTS_H
#define L2TUND_SESSION_LISTS_H

#include "l2tund/session/state.h"

/* For a new establishment: nothing is known to be at the other end, nor here. */
void lists_reset(struct session *s);
uint64_t lists_tick(struct session *s, uint64_t now_us);
void lists_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us);

#endif
