/*
 * Why a frame that had passed gate and guards did not get on, on its way to the peer
 * or to the bridge: one table of reasons for the counters of streams and of tunnels.
 */
#ifndef L2TUND_DATAPATH_DROP_H
#define L2TUND_DATAPATH_DROP_H

#include <stdint.h>

enum drop {
	DROP_MALFORMED, /* not an Ethernet frame, or its offload state points outside of it */
	DROP_NO_KEY,	/* the session has no key, or could not seal */
	DROP_NO_ROOM,	/* a datagram is too small for any piece of it */
	DROP_PATH_MTU,	/* the datagram was larger than the path allows: it is smaller now */
	DROP_LEASE,	/* the lease ran out, or the gate closed, while it waited to leave */
	DROP_FULL,	/* the socket takes no more for now */
	DROP_SOCKET,	/* the socket refused it for another reason */
	DROP_TAP,	/* the bridge's port refused it */
	DROPS,
};

/* "path-mtu": in JSON. */
const char *drop_name(enum drop d);
/* Which one a negative errno from stream_put() or of a sent datagram means. */
enum drop drop_reason(int err);
uint64_t drop_sum(const uint64_t drops[DROPS]);

#endif
