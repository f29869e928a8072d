/* Makes the other side relearn where our guests are, instead of waiting for the ageing time. */
#ifndef L2TUND_ANNOUNCE_H
#define L2TUND_ANNOUNCE_H

#include <stdint.h>

#define ANNOUNCE_MAX 1000 /* addresses in one go: within the policer's burst at the other end */

struct bridge;
struct tunnel;

/*
 * One RARP through the tunnel for each address that its bridge has behind other ports. Gives
 * their number.
 */
unsigned announce_tunnel(struct tunnel *t);
/* Through all forwarding tunnels of a bridge; `mac` NULL: all addresses. */
unsigned announce_bridge(struct bridge *b, const uint8_t *mac);

#endif
