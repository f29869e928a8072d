/*
 * A run of datagrams to one peer that leave in one call (UDP_SEGMENT, udp(7)): all as large as the
 * first, the last one may be smaller. They stand one behind the other, and the next is built
 * right where it will leave from. One train serves all streams of a thread in turn. Pure.
 */
#ifndef L2TUND_DATAPATH_TRAIN_H
#define L2TUND_DATAPATH_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/session/session.h"

#define TRAIN_DATAGRAMS 64 /* UDP_MAX_SEGMENTS of older kernels */
#define TRAIN_BYTES 65507  /* what one IPv4 packet carries behind its UDP header */

struct stream;

/* Owned by the daemon; about 75 KB, of which quiet hosts touch the first pages only. */
struct train {
	struct stream *user; /* whose datagrams these are; NULL: empty */
	size_t size;	     /* of each datagram but the last */
	size_t len;	     /* of all that are complete */
	unsigned n;	     /* how many that is */
	uint8_t buf[TRAIN_BYTES + SESSION_DGRAM_MAX];
};

/* Where the next datagram is to be built: room for SESSION_DGRAM_MAX bytes. */
static inline uint8_t *train_next(struct train *t)
{
	return t->buf + t->len;
}

#endif
