/*
 * Frames of one flow, in order and alike but for their place in it, become one super-frame,
 * as GRO does in the kernel: what crossed the tunnel in pieces, and what a guest without
 * segmentation offload sends. Nothing is copied: the frames stay where they are, and
 * what comes out points into them. Pure.
 */
#ifndef L2TUND_DATAPATH_JOIN_H
#define L2TUND_DATAPATH_JOIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "l2tund/datapath/vnet.h"

#define JOIN_PIECES 64 /* frames in one super-frame */

struct join;

/*
 * One frame or super-frame of `owner`, in `n` parts of `len` bytes together, the first holding all
 * headers. Valid during the call. May be called from join_put() and join_flush(), and
 * must not call them.
 */
typedef void (*join_out_fn)(void *arg, void *owner, const struct vnet *v, const struct iovec *iov,
			    unsigned n, size_t len);

/* Of `protocols`, bits of these; what is of another one passes. */
#define JOIN_TCP 1U
#define JOIN_UDP 2U

/* Holds up to `flows` flows at a time. NULL when out of memory. */
struct join *join_new(unsigned flows, unsigned protocols, join_out_fn out, void *arg);
void join_free(struct join *j);

/*
 * Takes one frame, whose bytes must stay where they are until the next join_flush(); its headers
 * may be written to. It comes out at once or later; frames of one flow never overtake each
 * other, what belongs to no flow may pass what is held. Joined are TCP segments and UDP
 * datagrams (IPv4, IPv6, tagged or not) whose checksum is still to be computed or known to be
 * good, which is found out here where nobody says so. A frame that comes out alone
 * is as it went in.
 */
void join_put(struct join *j, void *owner, const struct vnet *v, uint8_t *frame, size_t len);
/* Everything held comes out, oldest flow first. */
void join_flush(struct join *j);

#endif
