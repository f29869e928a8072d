/*
 * Segmentation as in tcp_gso_segment() and __udp_gso_segment() of the kernel: the headers are
 * copied in front of each slice of the payload and then patched. Nothing is computed
 * over the payload: checksums stay unfinished, with the sum of the pseudo header in place, as a
 * frame with VIRTIO_NET_HDR_F_NEEDS_CSUM has them.
 *
 * Only what is surely understood is cut: a packet that is not fragmented, with lengths that
 * agree and nothing that speaks of one particular segment (SYN, RST, URG, signatures).
 */
#include "l2tund/datapath/cut.h"

#include <arpa/inet.h>
#include <errno.h>

#include "common/util.h"

/* The sum of everything from the L4 header on; parts may end at odd places. */
static uint64_t sum_l4(const struct parts *p, const struct headers *h)
{
	size_t skip = h->l4, done = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->n; i++) {
		const uint8_t *buf = p->iov[i].iov_base;
		size_t len = p->iov[i].iov_len - skip;
		uint16_t part = csum_fold(csum_add(0, buf + skip, len));

		/* RFC 1071 2.(B): at an odd place the bytes of each word change places. */
		sum += done & 1 ? __builtin_bswap16(part) : part;
		done += len;
		skip = 0;
	}
	return sum;
}

static bool sum_good(const struct parts *p, const struct headers *h)
{
	const uint8_t *frame = p->iov[0].iov_base;

	return csum_fold(sum_l4(p, h) + headers_pseudo(frame, h, h->end - h->l4)) == UINT16_MAX;
}

static bool tcp_allows(const uint8_t *frame, const struct headers *h)
{
	const uint8_t *l4 = frame + h->l4;

	return !(l4[TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG)) && !headers_signed(frame, h);
}

/* Whether what virtio says of the frame is what its headers say. */
static bool vnet_agrees(const struct vnet *v, const struct headers *h)
{
	if (v->csum && (v->csum_start != h->l4 || v->csum_offset != headers_csum_offset(h)))
		return false;
	switch (v->gso) {
	case VNET_GSO_TCP4:
		return v->csum && h->tcp && !h->ipv6;
	case VNET_GSO_TCP6:
		return v->csum && h->tcp && h->ipv6;
	case VNET_GSO_UDP:
		return v->csum && !h->tcp;
	case VNET_GSO_NONE:
		return h->tcp;
	default:
		return false;
	}
}

/* Payload per piece, 0: such a frame cannot be cut. */
static size_t step_of(const struct vnet *v, size_t room)
{
	if (!v->gso)
		return room;
	if (v->gso == VNET_GSO_UDP && v->gso_size > room)
		return 0;
	return MIN(v->gso_size, room);
}

/*
 * Where the frame's checksum is unfinished, its sum is taken over rather than made anew,
 * so that one which was wrong remains so.
 */
static uint64_t pseudo_sum(const struct vnet *v, const uint8_t *frame, const struct headers *h)
{
	uint16_t len = htons((uint16_t)(h->end - h->l4));

	if (v->csum)
		return (uint64_t)csum_load(frame + h->l4 + headers_csum_offset(h)) + (uint16_t)~len;
	return headers_pseudo(frame, h, 0);
}

int cut_init(struct cut *c, const struct vnet *v, const struct parts *p, size_t room)
{
	const uint8_t *frame = p->n ? p->iov[0].iov_base : NULL;
	struct headers h;

	if (!frame || headers_parse(frame, p->iov[0].iov_len, p->len, &h) < 0 || h.end != p->len ||
	    h.end == h.payload || !vnet_agrees(v, &h) || (h.tcp && !tcp_allows(frame, &h)))
		return -EOPNOTSUPP;
	if (room <= h.payload)
		return -EMSGSIZE;

	size_t left = h.end - h.payload;
	size_t step = step_of(v, room - h.payload);
	if (!step || left > step * CUT_PIECES_MAX)
		return -EOPNOTSUPP;
	if (!v->csum && !v->verified && !sum_good(p, &h))
		return -EOPNOTSUPP;
	*c = (struct cut){ .vnet = { .csum = true,
				     .csum_start = h.l4,
				     .csum_offset = headers_csum_offset(&h) },
			   .parts = *p,
			   .h = h,
			   .from = { p->iov, h.payload },
			   .left = left,
			   .step = step,
			   .sum = pseudo_sum(v, frame, &h) };
	return 0;
}

size_t cut_size(const struct cut *c)
{
	return c->left ? c->h.payload + MIN(c->step, c->left) : 0;
}

/* RFC 3168 6.1.2: CWR is told once, by the first segment. */
static void patch_tcp(const struct cut *c, uint8_t *l4)
{
	put_be32(l4 + TCP_SEQ, get_be32(l4 + TCP_SEQ) + (uint32_t)(c->index * c->step));
	if (c->index)
		l4[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	if (c->left)
		l4[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

void cut_next(struct cut *c, uint8_t *buf, struct vnet *ret)
{
	const struct headers *h = &c->h;
	size_t size = MIN(c->step, c->left);
	uint16_t l4_bytes = (uint16_t)(h->payload - h->l4 + size);

	memcpy(buf, c->parts.iov[0].iov_base, h->payload);
	cursor_copy(&c->from, buf + h->payload, size);
	c->left -= size;

	headers_set_length(buf, h, size);
	if (!h->ipv6) {
		uint8_t *id = buf + h->l3 + IP4_ID;

		put_be16(id, (uint16_t)(get_be16(id) + c->index));
		headers_finish_ip(buf, h);
	}
	if (h->tcp)
		patch_tcp(c, buf + h->l4);
	csum_store(buf + h->l4 + c->vnet.csum_offset, csum_fold(c->sum + htons(l4_bytes)));
	c->index++;
	*ret = c->vnet;
}
