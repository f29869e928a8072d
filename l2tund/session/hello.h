/* Hellos: liveness both ways, round trip, loss, and the state of tunnels. */
#ifndef L2TUND_SESSION_HELLO_H
#define L2TUND_SESSION_HELLO_H

#include "l2tund/session/state.h"

/* For a new establishment. */
void hello_reset(struct session *s, uint64_t now_us);
/* Sends a hello when one is due; gives the next deadline. */
uint64_t hello_tick(struct session *s, uint64_t now_us);
void hello_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us);
/* Own state changed: a hello at the end of this tick, repeated in haste until it is echoed. */
void hello_flush(struct session *s, uint64_t now_us);
/* Whether something waits for an echo; when not, both directions worked just now. */
bool hello_in_haste(const struct session *s, uint64_t now_us);
unsigned hello_loss_permille(const uint64_t sum[2]);

#endif
