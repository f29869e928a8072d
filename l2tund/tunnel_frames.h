/*
 * The frames of one tunnel end: what its TAP and its peer do with them.
 */
#ifndef L2TUND_TUNNEL_FRAMES_H
#define L2TUND_TUNNEL_FRAMES_H

#include "l2tund/datapath/join.h"
#include "l2tund/tunnel.h"

struct worker;

int tunnel_frames_init(struct tunnel *t); /* 0 or -ENOMEM */
void tunnel_frames_fini(struct tunnel *t);
void tunnel_frames_open(struct tunnel *t, uint64_t now_us); /* the gate has opened */
void tunnel_frames_update(struct tunnel *t);		    /* to its configuration */

/* From the bridge; `arg` is the tunnel. */
extern const struct os_tap_ops tunnel_tap_ops;

/*
 * A frame from the peer, for the bridge. Unless it `stays` where it is until the worker's
 * next flush, it passes on before the call returns.
 */
void tunnel_deliver(struct worker *w, struct tunnel *t, const struct vnet *v, uint8_t *frame,
		    size_t len, bool stays);

/*
 * Frames that have passed the guards, joined or not, on to the peer, and on to the bridge, if
 * the gate is still open: join_out_fn, `arg` is the worker, `owner` the tunnel. Each
 * part is, or was, one frame.
 */
void tunnel_out(void *arg, void *owner, const struct vnet *v, const struct iovec *iov, unsigned n,
		size_t len);
void tunnel_in(void *arg, void *owner, const struct vnet *v, const struct iovec *iov, unsigned n,
	       size_t len);

#endif
