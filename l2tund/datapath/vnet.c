/*
 * Virtio headers of TAP frames (virtio 1.1, section 5.1.6.1): only the request to finish a
 * checksum crosses the tunnel. We never offer segmentation to the kernel, so a
 * super-frame here is a mistake somewhere and is refused rather than cut.
 *
 * The fields are in the host's byte order: that is what a TAP uses until it is told
 * otherwise (TUNSETVNETLE). On the wire they are little-endian, see record.h.
 */
#include "l2tund/datapath/vnet.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#define ETHERNET_HDR_BYTES 14
#define CHECKSUM_BYTES 2

_Static_assert(sizeof(struct virtio_net_hdr) == VNET_HDR_BYTES, "the legacy header has 10 bytes");

int vnet_parse(const uint8_t hdr[VNET_HDR_BYTES], size_t len, struct vnet *ret)
{
	struct virtio_net_hdr h;

	memcpy(&h, hdr, sizeof(h));
	if (h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return -EOPNOTSUPP;

	struct vnet v = { 0 };
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		v = (struct vnet){ .csum = true,
				   .csum_start = h.csum_start,
				   .csum_offset = h.csum_offset };
	if (!vnet_valid(&v, len))
		return -EBADMSG;
	*ret = v;
	return 0;
}

void vnet_format(const struct vnet *v, uint8_t hdr[VNET_HDR_BYTES])
{
	struct virtio_net_hdr h = { 0 };

	if (v->csum) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = v->csum_start;
		h.csum_offset = v->csum_offset;
	}
	memcpy(hdr, &h, sizeof(h));
}

bool vnet_valid(const struct vnet *v, size_t len)
{
	if (!v->csum)
		return true;
	/* A checksum inside the Ethernet header would have the kernel write over addresses. */
	return v->csum_start >= ETHERNET_HDR_BYTES &&
	       (size_t)v->csum_start + v->csum_offset + CHECKSUM_BYTES <= len;
}
