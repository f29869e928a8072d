/* The daemon's state as JSON: the keys are the contract of `bridgectl --json` (only ever added). */
#ifndef L2TUND_STATUS_H
#define L2TUND_STATUS_H

#include <jansson.h>

struct bridge;
struct daemon;
struct peer;
struct tunnel;

/* New references; NULL only when out of memory. */
json_t *status_json(struct daemon *d);
json_t *status_tunnel(const struct tunnel *t);
/* The same and what is of interest one at a time: offloads, and every reason for lost frames. */
json_t *status_tunnel_full(const struct tunnel *t);
json_t *status_peer(const struct peer *p);
json_t *status_bridge(struct bridge *b);
/* Every address that the bridge has learnt, with its port and what stands behind that. */
json_t *status_fdb(const struct bridge *b);

#endif
