/*
 * Virtio headers of TAP frames (virtio 1.1, section 5.1.6.1): the request to finish a checksum
 * and the description of a super-frame cross the tunnel. Guests write these headers
 * (through vhost) and so do peers: nothing in them is believed before vnet_valid().
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
_Static_assert(VNET_GSO_TCP4 == VIRTIO_NET_HDR_GSO_TCPV4, "virtio's numbers");
_Static_assert(VNET_GSO_TCP6 == VIRTIO_NET_HDR_GSO_TCPV6, "virtio's numbers");

/*
 * What the L4 header of a super-frame is like, as the kernel checks it too (virtio_net_hdr_to_skb()
 * in include/linux/virtio_net.h).
 */
static const struct kind {
	uint8_t l4_min;	     /* Ethernet and IP in front of it, without tags and options */
	uint8_t l4_bytes;    /* its own size, without options */
	uint8_t csum_offset; /* its checksum */
	bool tcp;
} kinds[] = {
	[VNET_GSO_TCP4] = { 14 + 20, 20, 16, true },
	[VNET_GSO_TCP6] = { 14 + 40, 20, 16, true },
	[VNET_GSO_UDP] = { 14 + 20, 8, 6, false },
};

static const struct kind *kind_of(unsigned gso)
{
	if (gso >= sizeof(kinds) / sizeof(kinds[0]) || !kinds[gso].l4_bytes)
		return NULL;
	return &kinds[gso];
}

int vnet_parse(const uint8_t hdr[VNET_HDR_BYTES], size_t len, struct vnet *ret)
{
	struct virtio_net_hdr h;
	struct vnet v = { 0 };

	memcpy(&h, hdr, sizeof(h));
	if (h.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		v.gso = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
		v.ecn = h.gso_type & VIRTIO_NET_HDR_GSO_ECN;
		v.gso_size = h.gso_size;
		if (!kind_of(v.gso))
			return -EOPNOTSUPP;
	}
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		v.csum = true;
		v.csum_start = h.csum_start;
		v.csum_offset = h.csum_offset;
	}
	v.verified = !v.csum && h.flags & VIRTIO_NET_HDR_F_DATA_VALID;
	if (!vnet_valid(&v, len))
		return -EBADMSG;
	*ret = v;
	return 0;
}

void vnet_format(const struct vnet *v, uint8_t hdr[VNET_HDR_BYTES])
{
	const struct kind *k = v->gso ? kind_of(v->gso) : NULL;
	struct virtio_net_hdr h = { 0 };

	if (v->csum) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = v->csum_start;
		h.csum_offset = v->csum_offset;
	}
	if (v->csum && k) {
		h.gso_type = v->gso | (v->ecn ? VIRTIO_NET_HDR_GSO_ECN : 0);
		h.gso_size = v->gso_size;
		/* The kernel puts that much into the linear part; vnet_valid() has it inside. */
		h.hdr_len = (uint16_t)(v->csum_start + k->l4_bytes);
	}
	memcpy(hdr, &h, sizeof(h));
}

static bool super_valid(const struct vnet *v, size_t len)
{
	const struct kind *k = kind_of(v->gso);

	/* 65535 is GSO_BY_FRAGS inside the kernel. */
	return k && v->csum && v->gso_size && v->gso_size != UINT16_MAX && (k->tcp || !v->ecn) &&
	       v->csum_start >= k->l4_min && v->csum_start <= UINT16_MAX - k->l4_bytes &&
	       v->csum_offset == k->csum_offset && (size_t)v->csum_start + k->l4_bytes <= len;
}

bool vnet_valid(const struct vnet *v, size_t len)
{
	if (v->gso)
		return super_valid(v, len);
	if (v->ecn || v->gso_size)
		return false;
	if (!v->csum)
		return true;
	/* A checksum inside the Ethernet header would have the kernel write over addresses. */
	return v->csum_start >= ETHERNET_HDR_BYTES &&
	       (size_t)v->csum_start + v->csum_offset + CHECKSUM_BYTES <= len;
}
