/* What `tunnel show` tells of the data path beyond the plain status: offloads and lost frames. */
#ifndef L2TUND_STATUS_DATAPATH_H
#define L2TUND_STATUS_DATAPATH_H

#include <jansson.h>

struct tunnel;

/* {"tso": {"active": true}, "uso": {"active": false, "why": "…"}, …}: new reference. */
json_t *status_offloads(const struct tunnel *t);
/*
 * Lost frames by reason, {"tunnel": {"gate": 0, …}, "session": {"replay": 0, …}}: at the tunnel
 * itself, and in the session that the peer's tunnels share, these included. New reference.
 */
json_t *status_drops(const struct tunnel *t);

#endif
