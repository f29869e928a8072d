/*
 * The headers of one frame, read once and believed only where they agree with each other and with
 * the frame's length: what headers_parse() accepts can be cut, joined and patched by its
 * offsets without looking again. Frames come from guests and from peers.
 */
#include "l2tund/datapath/headers.h"

#include <arpa/inet.h>
#include <errno.h>

#include "common/util.h"

#define MAC_BYTES 12
#define TAGS_MAX 2
#define TAG_BYTES 4
#define EXTENSIONS_MAX 8 /* RFC 8200 4.1 knows seven */

enum { TYPE_IP4 = 0x0800, TYPE_IP6 = 0x86dd, TYPE_VLAN = 0x8100, TYPE_QINQ = 0x88a8 };
enum { PROTO_HOPOPTS = 0, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ROUTING = 43, PROTO_DSTOPTS = 60 };
enum { IP4_MORE_OR_OFFSET = 0x3fff };

/* Two words side by side, in one register where the processor has such. */
typedef uint64_t pair __attribute__((vector_size(16)));

/* The sums of the lower and the upper halves apart, so that carries need no care. */
static uint64_t sum_pairs(const uint8_t *p, size_t n)
{
	const pair low = { UINT32_MAX, UINT32_MAX };
	pair even = { 0 }, odd = { 0 };

	for (; n >= 2; p += 2 * sizeof(pair), n -= 2) {
		pair v, w;

		memcpy(&v, p, sizeof(v));
		memcpy(&w, p + sizeof(v), sizeof(w));
		even += (v & low) + (w & low);
		odd += (v >> 32) + (w >> 32);
	}
	even += odd;
	return even[0] + even[1]; /* below 2^50 for any frame */
}

uint64_t csum_add(uint64_t sum, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t v, more = 0;

	if (len >= 2 * sizeof(pair)) {
		size_t n = len / sizeof(pair) & ~(size_t)1;

		more = sum_pairs(p, n);
		p += n * sizeof(pair);
		len -= n * sizeof(pair);
	}
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&v, p, sizeof(v));
		more += (v & UINT32_MAX) + (v >> 32);
	}
	v = 0;
	memcpy(&v, p, len);
	more += (v & UINT32_MAX) + (v >> 32);
	/* Folded once, so that sums may be added up at will. */
	return sum + (more & UINT32_MAX) + (more >> 32);
}

/* Of an IPv4 header without options, which is nearly all there are. */
static uint64_t sum_ip4(const uint8_t *ip, size_t bytes)
{
	uint64_t v[2];
	uint32_t last;

	if (bytes != IP4_BYTES)
		return csum_add(0, ip, bytes);
	memcpy(v, ip, sizeof(v));
	memcpy(&last, ip + sizeof(v), sizeof(last));
	return (v[0] & UINT32_MAX) + (v[0] >> 32) + (v[1] & UINT32_MAX) + (v[1] >> 32) + last;
}

static int parse_ethernet(const uint8_t *frame, size_t have, struct headers *h, unsigned *type)
{
	size_t at = MAC_BYTES;

	if (have < at + 2 + IP4_BYTES)
		return -EOPNOTSUPP;
	*type = get_be16(frame + at);
	for (unsigned i = 0; i < TAGS_MAX && (*type == TYPE_VLAN || *type == TYPE_QINQ); i++) {
		at += TAG_BYTES;
		*type = get_be16(frame + at);
	}
	h->l3 = (uint16_t)(at + 2);
	return 0;
}

static int parse_ip4(const uint8_t *frame, size_t have, struct headers *h, unsigned *proto)
{
	const uint8_t *ip = frame + h->l3;
	size_t bytes;

	if (have < (size_t)h->l3 + IP4_BYTES || ip[0] >> 4 != 4)
		return -EOPNOTSUPP;
	bytes = (size_t)(ip[0] & 15) * 4;
	if (bytes < IP4_BYTES || have < h->l3 + bytes ||
	    get_be16(ip + IP4_FLAGS) & IP4_MORE_OR_OFFSET)
		return -EOPNOTSUPP;
	if (csum_fold(sum_ip4(ip, bytes)) != UINT16_MAX)
		return -EOPNOTSUPP;
	h->ipv6 = false;
	h->ext = bytes > IP4_BYTES;
	h->l4 = (uint16_t)(h->l3 + bytes);
	h->end = h->l3 + (uint32_t)get_be16(ip + IP4_TOTAL);
	*proto = ip[9];
	return 0;
}

/* Segments left: the destination is not the last one, which the pseudo header is made of. */
static bool extension_known(const uint8_t *ext, unsigned proto)
{
	return proto == PROTO_HOPOPTS || proto == PROTO_DSTOPTS ||
	       (proto == PROTO_ROUTING && ext[3] == 0);
}

static int parse_ip6(const uint8_t *frame, size_t have, struct headers *h, unsigned *proto)
{
	const uint8_t *ip = frame + h->l3;
	size_t at = (size_t)h->l3 + IP6_BYTES;

	if (have < at || ip[0] >> 4 != 6)
		return -EOPNOTSUPP;
	*proto = ip[6];
	for (unsigned i = 0; *proto != PROTO_TCP && *proto != PROTO_UDP; i++) {
		if (i == EXTENSIONS_MAX || have < at + 8 || !extension_known(frame + at, *proto))
			return -EOPNOTSUPP;
		*proto = frame[at];
		at += 8 + (size_t)frame[at + 1] * 8;
	}
	h->ipv6 = true;
	h->ext = at > (size_t)h->l3 + IP6_BYTES;
	h->l4 = (uint16_t)at;
	h->end = h->l3 + IP6_BYTES + (uint32_t)get_be16(ip + IP6_PAYLOAD);
	return 0;
}

static int parse_l4(const uint8_t *frame, size_t have, struct headers *h)
{
	const uint8_t *l4 = frame + h->l4;
	size_t bytes = h->tcp ? TCP_BYTES : UDP_BYTES;

	if (have < h->l4 + bytes)
		return -EOPNOTSUPP;
	if (h->tcp)
		bytes = (size_t)(l4[TCP_DOFF] >> 4) * 4;
	if (bytes < UDP_BYTES || (h->tcp && bytes < TCP_BYTES) || have < h->l4 + bytes ||
	    h->end < h->l4 + bytes)
		return -EOPNOTSUPP;
	if (!h->tcp && get_be16(l4 + UDP_LEN) != h->end - h->l4)
		return -EOPNOTSUPP;
	h->payload = (uint16_t)(h->l4 + bytes);
	return 0;
}

int headers_parse(const uint8_t *frame, size_t have, size_t len, struct headers *ret)
{
	struct headers h;
	unsigned type, proto;
	int r = parse_ethernet(frame, have, &h, &type);

	if (r < 0 || (type != TYPE_IP4 && type != TYPE_IP6))
		return -EOPNOTSUPP;
	r = type == TYPE_IP4 ? parse_ip4(frame, have, &h, &proto) :
			       parse_ip6(frame, have, &h, &proto);
	if (r < 0 || (proto != PROTO_TCP && proto != PROTO_UDP) || h.end > len)
		return -EOPNOTSUPP;
	h.tcp = proto == PROTO_TCP;
	r = parse_l4(frame, have, &h);
	if (r < 0)
		return r;
	*ret = h;
	return 0;
}

bool headers_signed(const uint8_t *frame, const struct headers *h)
{
	enum { OPT_END = 0, OPT_NOP = 1, OPT_MD5 = 19, OPT_AO = 29 };
	const uint8_t *opt = frame + h->l4 + TCP_BYTES, *end = frame + h->payload;

	while (opt < end && *opt != OPT_END) {
		if (*opt == OPT_NOP) {
			opt++;
			continue;
		}
		if (*opt == OPT_MD5 || *opt == OPT_AO || end - opt < 2 || opt[1] < 2)
			return true;
		opt += MIN(opt[1], end - opt);
	}
	return false;
}

uint64_t headers_pseudo(const uint8_t *frame, const struct headers *h, size_t l4_bytes)
{
	const uint8_t *ip = frame + h->l3;
	uint64_t sum = (uint64_t)htons(h->tcp ? PROTO_TCP : PROTO_UDP) + htons((uint16_t)l4_bytes);

	return h->ipv6 ? csum_add(sum, ip + IP6_SRC, 32) : csum_add(sum, ip + IP4_SRC, 8);
}

void headers_set_length(uint8_t *frame, const struct headers *h, size_t payload)
{
	size_t end = h->payload + payload;

	if (h->ipv6)
		put_be16(frame + h->l3 + IP6_PAYLOAD, (uint16_t)(end - h->l3 - IP6_BYTES));
	else
		put_be16(frame + h->l3 + IP4_TOTAL, (uint16_t)(end - h->l3));
	if (!h->tcp)
		put_be16(frame + h->l4 + UDP_LEN, (uint16_t)(end - h->l4));
}

void headers_finish_ip(uint8_t *frame, const struct headers *h)
{
	uint8_t *ip = frame + h->l3;

	if (h->ipv6)
		return;
	csum_store(ip + IP4_CSUM, 0);
	csum_store(ip + IP4_CSUM, (uint16_t)~csum_fold(sum_ip4(ip, (size_t)h->l4 - h->l3)));
}
