/*
 * The reverse of cut.c, with the rules of tcp_gro_receive() and udp_gro_receive(): a frame is added
 * to a flow only when cutting the result again gives the same frames (but for the IPv4
 * ID of packets that must not be fragmented, which means nothing, RFC 6864). So nothing is lost
 * or invented when a decision here is too careful, and the receiver sees what was sent.
 *
 * Checksums of pieces are given up when joined, so each must be known to be good first; a frame
 * that stays alone is never touched, not even summed up.
 */
#include "l2tund/datapath/join.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/util.h"
#include "l2tund/datapath/headers.h"

#define JOIN_BYTES_MAX (14 + 65535) /* IPv4's limit; a little below it for tagged frames */
#define MACS_BYTES 12
#define IP4_DF 0x40
#define TCP_LAST (TCP_FIN | TCP_PSH) /* ends a super-frame */

/* One frame as join_put() has it. */
struct piece {
	void *owner;
	const struct vnet *vnet;
	uint8_t *frame;
	size_t len;
	size_t size; /* of its payload */
	uint32_t key;
	struct headers h;
};

struct flow {
	bool proven; /* the first one's checksum is known to be good */
	void *owner;
	struct vnet vnet; /* of the first */
	struct headers h; /* of all */
	size_t len;	  /* of all together */
	size_t size;	  /* payload of each but the last */
	uint64_t base;	  /* sum of the pseudo header without length */
	uint64_t born;
	uint32_t seq; /* of the next one, TCP */
	uint16_t id;  /* of the last one, IPv4 */
	unsigned n;
	struct iovec iov[JOIN_PIECES];
};

/* Owned by the caller of join_new(). */
struct join {
	join_out_fn out;
	void *arg;
	uint64_t births;
	unsigned protocols;
	unsigned n_flows;
	uint32_t *keys; /* of the flows, 0: free; apart, so that a look for one reads little */
	struct flow flows[];
};

struct join *join_new(unsigned flows, unsigned protocols, join_out_fn out, void *arg)
{
	struct join *j = calloc(1, sizeof(*j) + flows * sizeof(j->flows[0]));

	if (!j)
		return NULL;
	j->keys = calloc(flows ? flows : 1, sizeof(j->keys[0]));
	if (!j->keys) {
		free(j);
		return NULL;
	}
	j->out = out;
	j->arg = arg;
	j->n_flows = flows;
	j->protocols = protocols;
	return j;
}

void join_free(struct join *j)
{
	if (j)
		free(j->keys);
	free(j);
}

static uint8_t *first_of(const struct flow *f)
{
	return f->iov[0].iov_base;
}

/* Differences of `len` >= 8 bytes, which may end in the middle of a word. */
static uint64_t differ(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint64_t x, y, d = 0;

	for (size_t i = 0;; i += 8) {
		size_t at = MIN(i, len - 8);

		memcpy(&x, a + at, 8);
		memcpy(&y, b + at, 8);
		d |= x ^ y;
		if (at + 8 == len)
			return d;
	}
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Never 0, which marks a free slot. */
static uint32_t key_of(const uint8_t *frame, const struct headers *h)
{
	const uint8_t *ip = frame + h->l3;
	uint64_t k = load32(frame + h->l4) ^ (uint64_t)h->tcp << 40;

	if (h->ipv6)
		k ^= load64(ip + IP6_SRC + 8) ^ load64(ip + IP6_SRC + 24) * 3;
	else
		k ^= load64(ip + IP4_SRC);
	k *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(k >> 32) | 1;
}

/* Addresses, protocol and ports; the key has been found equal. */
static bool same_flow(const struct flow *f, const struct piece *p)
{
	const uint8_t *a = first_of(f), *b = p->frame;

	if (f->owner != p->owner || f->h.ipv6 != p->h.ipv6 || f->h.tcp != p->h.tcp ||
	    load32(a + f->h.l4) != load32(b + p->h.l4))
		return false;
	a += f->h.l3;
	b += p->h.l3;
	return f->h.ipv6 ? !differ(a + IP6_SRC, b + IP6_SRC, 32) :
			   load64(a + IP4_SRC) == load64(b + IP4_SRC);
}

static struct flow *flow_find(struct join *j, const struct piece *p)
{
	for (unsigned i = 0; i < j->n_flows; i++)
		if (j->keys[i] == p->key && same_flow(&j->flows[i], p))
			return &j->flows[i];
	return NULL;
}

/* The headers of the first one become those of all, as the kernel wants a super-frame. */
static struct vnet patch_super(struct flow *f)
{
	const struct headers *h = &f->h;
	uint8_t *frame = first_of(f);
	uint16_t at = headers_csum_offset(h);

	headers_set_length(frame, h, f->len - h->payload);
	headers_finish_ip(frame, h);
	csum_store(frame + h->l4 + at, csum_fold(f->base + htons((uint16_t)(f->len - h->l4))));
	return (struct vnet){ .csum = true,
			      .csum_start = h->l4,
			      .csum_offset = at,
			      .gso = !h->tcp ? VNET_GSO_UDP :
				     h->ipv6 ? VNET_GSO_TCP6 :
					       VNET_GSO_TCP4,
			      .gso_size = (uint16_t)f->size };
}

static void flow_out(struct join *j, struct flow *f)
{
	struct vnet v = f->n > 1 ? patch_super(f) : f->vnet;

	j->keys[f - j->flows] = 0;
	j->out(j->arg, f->owner, &v, f->iov, f->n, f->len);
}

static void pass(struct join *j, const struct piece *p)
{
	struct iovec iov = { p->frame, p->len };

	j->out(j->arg, p->owner, p->vnet, &iov, 1, p->len);
}

static struct flow *flow_oldest(struct join *j)
{
	struct flow *oldest = NULL;

	for (unsigned i = 0; i < j->n_flows; i++) {
		struct flow *f = &j->flows[i];

		if (j->keys[i] && (!oldest || f->born < oldest->born))
			oldest = f;
	}
	return oldest;
}

static struct flow *flow_slot(struct join *j)
{
	struct flow *f;

	for (unsigned i = 0; i < j->n_flows; i++)
		if (!j->keys[i])
			return &j->flows[i];
	f = flow_oldest(j);
	if (f)
		flow_out(j, f);
	return f;
}

void join_flush(struct join *j)
{
	for (struct flow *f; (f = flow_oldest(j)) != NULL;)
		flow_out(j, f);
}

static void append(struct join *j, struct flow *f, const struct piece *p)
{
	uint8_t flags = p->h.tcp ? p->frame[p->h.l4 + TCP_FLAGS] & TCP_LAST : 0;

	f->iov[f->n++] = (struct iovec){ p->frame + p->h.payload, p->size };
	f->len += p->size;
	f->seq += (uint32_t)p->size;
	f->id++;
	if (flags)
		first_of(f)[f->h.l4 + TCP_FLAGS] |= flags;
	if (flags || p->size < f->size || f->n == JOIN_PIECES)
		flow_out(j, f);
}

static void start(struct join *j, const struct piece *p)
{
	struct flow *f = flow_slot(j);
	const uint8_t *frame = p->frame;

	j->keys[f - j->flows] = p->key;
	f->owner = p->owner;
	f->vnet = *p->vnet;
	f->h = p->h;
	f->len = p->len;
	f->size = p->size;
	f->base = headers_pseudo(frame, &p->h, 0);
	f->born = ++j->births;
	f->proven = false;
	f->n = 1;
	f->iov[0] = (struct iovec){ p->frame, p->len };
	if (p->h.tcp)
		f->seq = get_be32(frame + p->h.l4 + TCP_SEQ) + (uint32_t)p->size;
	if (!p->h.ipv6)
		f->id = get_be16(frame + p->h.l3 + IP4_ID);
}

/* Whether a frame may be part of a super-frame at all. */
static bool joinable(const struct join *j, const struct piece *p)
{
	const struct vnet *v = p->vnet;
	const struct headers *h = &p->h;
	const uint8_t *l4 = p->frame + h->l4;

	if (!(j->protocols & (h->tcp ? JOIN_TCP : JOIN_UDP)) || v->gso || h->ext ||
	    h->end != p->len || !p->size)
		return false;
	if (h->tcp && l4[TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG | TCP_CWR))
		return false;
	if (v->csum)
		return v->csum_start == h->l4 && v->csum_offset == headers_csum_offset(h);
	return h->tcp || csum_load(l4 + UDP_CSUM) != 0; /* 0: it has none */
}

/* Whether more of its flow may follow it in one super-frame. */
static bool may_start(const struct piece *p)
{
	return !p->h.tcp ||
	       (!(p->frame[p->h.l4 + TCP_FLAGS] & TCP_LAST) && !headers_signed(p->frame, &p->h));
}

static bool ip_follows(const struct flow *f, const struct piece *p)
{
	const uint8_t *a = first_of(f) + f->h.l3, *b = p->frame + p->h.l3;

	if (f->h.ipv6) /* all but the payload's length; addresses are equal */
		return load32(a) == load32(b) && csum_load(a + 6) == csum_load(b + 6);
	return csum_load(a) == csum_load(b) && load32(a + IP4_FLAGS) == load32(b + IP4_FLAGS) &&
	       (get_be16(b + IP4_ID) == (uint16_t)(f->id + 1) || a[IP4_FLAGS] & IP4_DF);
}

/* Acknowledgment, window, urgent pointer, options and flags are those of the first. */
static bool tcp_follows(const struct flow *f, const struct piece *p)
{
	const uint8_t *a = first_of(f) + f->h.l4, *b = p->frame + p->h.l4;
	static const uint8_t last[8] = { [TCP_FLAGS - TCP_ACK_SEQ] = TCP_LAST };
	uint64_t d = load64(a + TCP_ACK_SEQ) ^ load64(b + TCP_ACK_SEQ);

	/* Eight bytes: acknowledgment, data offset, flags, window. */
	if (d & ~load64(last) || get_be32(b + TCP_SEQ) != f->seq ||
	    csum_load(a + TCP_URGENT) != csum_load(b + TCP_URGENT))
		return false;
	for (size_t i = TCP_BYTES; i < (size_t)f->h.payload - f->h.l4; i += 4)
		if (load32(a + i) != load32(b + i))
			return false;
	return true;
}

static bool follows(const struct flow *f, const struct piece *p)
{
	return f->h.l3 == p->h.l3 && f->h.payload == p->h.payload && p->size <= f->size &&
	       f->len + p->size <= JOIN_BYTES_MAX && !differ(first_of(f), p->frame, f->h.l3) &&
	       ip_follows(f, p) && (!f->h.tcp || tcp_follows(f, p));
}

/* Whether its checksum is, or when finished will be, right; `base` as in struct flow. */
static bool proven(const struct vnet *v, const uint8_t *frame, const struct headers *h,
		   uint64_t base)
{
	const uint8_t *l4 = frame + h->l4;
	size_t bytes = h->end - h->l4;

	if (v->verified)
		return true;
	base += htons((uint16_t)bytes);
	if (v->csum) /* the difference is 0, which has two forms */
		return csum_fold(base + (uint16_t)~csum_load(l4 + headers_csum_offset(h))) ==
		       UINT16_MAX;
	return csum_fold(csum_add(base, l4, bytes)) == UINT16_MAX;
}

static bool all_proven(struct flow *f, const struct piece *p)
{
	if (!f->proven)
		f->proven = proven(&f->vnet, first_of(f), &f->h, f->base);
	return f->proven && proven(p->vnet, p->frame, &p->h, f->base);
}

/* What cannot be told from a flow of the same hosts (a fragment, say) must not overtake it. */
static void hosts_out(struct join *j, const struct piece *p)
{
	for (unsigned i = 0; i < j->n_flows; i++) {
		struct flow *f = &j->flows[i];

		if (j->keys[i] && f->owner == p->owner &&
		    memcmp(first_of(f), p->frame, MACS_BYTES) == 0)
			flow_out(j, f);
	}
}

static void put_known(struct join *j, struct piece *p)
{
	struct flow *f;
	bool can;

	p->size = p->h.end - p->h.payload;
	p->key = key_of(p->frame, &p->h);
	f = flow_find(j, p);
	can = joinable(j, p);
	if (f && can && follows(f, p) && all_proven(f, p)) {
		append(j, f, p);
		return;
	}
	if (f)
		flow_out(j, f);
	if (can && may_start(p) && j->n_flows)
		start(j, p);
	else
		pass(j, p);
}

void join_put(struct join *j, void *owner, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct piece p = { .owner = owner, .vnet = v, .frame = frame, .len = len };

	if (headers_parse(frame, len, len, &p.h) == 0) {
		put_known(j, &p);
		return;
	}
	if (len >= MACS_BYTES)
		hosts_out(j, &p);
	pass(j, &p);
}
