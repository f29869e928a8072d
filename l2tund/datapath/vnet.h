/*
 * The offload state of a frame between us and the TAP: what virtio calls
 * virtio_net_hdr (virtio 1.1, section 5.1.6), reduced to what may cross the tunnel.
 */
#ifndef L2TUND_DATAPATH_VNET_H
#define L2TUND_DATAPATH_VNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VNET_HDR_BYTES 10 /* struct virtio_net_hdr, TUNSETVNETHDRSZ */

/* VIRTIO_NET_HDR_GSO_*, which is also what crosses the tunnel. */
enum vnet_gso { VNET_GSO_NONE = 0, VNET_GSO_TCP4 = 1, VNET_GSO_TCP6 = 4, VNET_GSO_UDP = 5 };

struct vnet {
	bool csum;	      /* L4 checksum still to be written (NEEDS_CSUM) */
	uint16_t csum_start;  /* from the start of the frame */
	uint16_t csum_offset; /* from csum_start */
	uint8_t gso;	      /* enum vnet_gso: a super-frame, always with csum */
	bool ecn;	      /* of a TCP super-frame: CWR is for its first segment only */
	uint16_t gso_size;    /* payload of each of its segments */
	bool verified;	      /* the kernel has found the checksum good; never crosses the tunnel */
};

/*
 * From the header that stands in front of a frame of `len` bytes read from a TAP.
 * -EBADMSG when it points outside the frame or contradicts itself; -EOPNOTSUPP for a
 * super-frame of a kind that we never asked the kernel for. hdr_len is the kernel's own.
 */
int vnet_parse(const uint8_t hdr[VNET_HDR_BYTES], size_t len, struct vnet *ret);
/* The header for writing to a TAP; `v` is valid. What was verified is not told. */
void vnet_format(const struct vnet *v, uint8_t hdr[VNET_HDR_BYTES]);
/*
 * Whether a description that came from the network stays inside a frame of `len` bytes, and is one
 * that the kernel takes. The frame's own headers may still say something else.
 */
bool vnet_valid(const struct vnet *v, size_t len);

#endif
