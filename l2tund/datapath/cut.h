/*
 * A TCP or UDP super-frame becomes frames that each fit a datagram, as the kernel's segmentation
 * offload would make them (IPv4 or IPv6, tagged or not, with options and extension headers):
 * each piece is a frame complete in itself, its L4 checksum left to be computed. A plain
 * TCP segment that is too large for a datagram is cut too. Pure.
 */
#ifndef L2TUND_DATAPATH_CUT_H
#define L2TUND_DATAPATH_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/datapath/headers.h"
#include "l2tund/datapath/parts.h"
#include "l2tund/datapath/vnet.h"

struct cut; /* below: embedded by the caller, private */

#define CUT_PIECES_MAX 2048 /* enough for segments of 48 bytes; fewer bytes are no traffic */

/*
 * Prepares cutting `p` into pieces of at most `room` bytes. 0; -EOPNOTSUPP: not a frame that
 * can be cut (CHUNKs carry it whole); -EMSGSIZE: headers leave no room for payload.
 * A UDP super-frame is cut only where its datagrams begin. A plain TCP segment whose checksum is
 * neither unfinished nor verified is summed up first: a damaged one must stay damaged.
 * The parts must stay until the end.
 */
int cut_init(struct cut *c, const struct vnet *v, const struct parts *p, size_t room);
/* Bytes of the next piece, 0: there is none. All but the last are of the same size. */
size_t cut_size(const struct cut *c);
/*
 * Writes the next piece, cut_size() bytes, to `buf`, which nothing of the frame overlaps.
 * *ret says what of it is left to compute: its L4 checksum, always.
 */
void cut_next(struct cut *c, uint8_t *buf, struct vnet *ret);

struct cut {
	struct vnet vnet; /* of every piece */
	struct parts parts;
	struct headers h;
	struct cursor from; /* the next payload byte */
	size_t left;	    /* payload still to come */
	size_t step;	    /* payload of each piece but the last */
	unsigned index;	    /* of the next piece */
	uint64_t sum;	    /* of the pseudo header, without the length */
};

#endif
