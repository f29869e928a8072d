/*
 * The frames of one tunnel end: what its TAP and its peer do with them.
 */
#ifndef L2TUND_TUNNEL_FRAMES_H
#define L2TUND_TUNNEL_FRAMES_H

#include "l2tund/tunnel.h"

void tunnel_frames_init(struct tunnel *t);
void tunnel_frames_open(struct tunnel *t, uint64_t now_us); /* the gate has opened */
void tunnel_frames_update(struct tunnel *t);		    /* to its configuration */

/* From the bridge; `arg` is the tunnel. */
extern const struct os_tap_ops tunnel_tap_ops;

/* A frame from the peer, for the bridge. */
void tunnel_deliver(struct tunnel *t, const struct vnet *v, const uint8_t *frame, size_t len,
		    uint64_t now_us);

#endif
