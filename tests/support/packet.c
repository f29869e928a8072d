/*
 * Frames with TCP and UDP for tests: written field by field, with the plainest of checksums, so
 * that what the data path makes by offsets and differences can be compared with it.
 */
#include "tests/support/packet.h"

#include <string.h>

#include "common/util.h"

static unsigned sum_of(unsigned sum, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? buf[i] : (unsigned)buf[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

struct packet packet_random(struct prng *p)
{
	uint64_t r = prng_next(p);
	struct packet k = { .ipv6 = r & 1,
			    .tcp = r & 2,
			    .df = r & 4,
			    .tags = (uint8_t)((r >> 3 & 3) % 3),
			    .tos = r & 32 ? (uint8_t)prng_next(p) : 0,
			    .flow = (uint16_t)prng_below(p, 1000),
			    .id = (uint16_t)prng_next(p),
			    .seq = (uint32_t)prng_next(p) };

	if (r & 64)
		k.ip_words = k.ipv6 ? 0 : (uint8_t)prng_below(p, 11);
	if (r & 128)
		k.ext = k.ipv6 ? (uint8_t)prng_below(p, 3) : 0;
	if (k.tcp) {
		k.tcp_words = (uint8_t)prng_below(p, 11);
		/* ACK, and FIN, PSH, ECE and CWR as they come */
		k.flags = (uint8_t)(0x10 | (prng_next(p) & 0xc9));
	}
	return k;
}

static size_t l3_of(const struct packet *k)
{
	return 14 + 4 * (size_t)k->tags;
}

static size_t l4_of(const struct packet *k)
{
	return l3_of(k) + (k->ipv6 ? 40 + 8 * (size_t)k->ext : 20 + 4 * (size_t)k->ip_words);
}

size_t packet_header(const struct packet *k)
{
	return l4_of(k) + (k->tcp ? 20 + 4 * (size_t)k->tcp_words : 8);
}

static void build_ethernet(const struct packet *k, uint8_t *buf)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	size_t at = 12;

	memcpy(buf, macs, sizeof(macs));
	for (unsigned i = 0; i < k->tags; i++, at += 4) {
		put_be16(buf + at, k->tags == 2 && i == 0 ? 0x88a8 : 0x8100);
		put_be16(buf + at + 2, (uint16_t)(100 + i + k->vlan));
	}
	put_be16(buf + at, k->ipv6 ? 0x86dd : 0x0800);
}

static void build_ip4(const struct packet *k, size_t len, uint8_t *ip)
{
	size_t bytes = 20 + 4 * (size_t)k->ip_words;

	memset(ip, 1, bytes); /* options: no operation */
	ip[0] = (uint8_t)(0x40 | bytes / 4);
	ip[1] = k->tos;
	put_be16(ip + 2, (uint16_t)len);
	put_be16(ip + 4, k->id);
	put_be16(ip + 6, k->df ? 0x4000 : 0);
	ip[8] = (uint8_t)(64 + k->ttl);
	ip[9] = k->tcp ? 6 : 17;
	put_be16(ip + 10, 0);
	put_be32(ip + 12, 0x0a000001);
	put_be32(ip + 16, 0x0a000002);
	put_be16(ip + 10, (uint16_t)~sum_of(0, ip, bytes));
}

static void build_ip6(const struct packet *k, size_t len, uint8_t *ip)
{
	static const uint8_t ext[2] = { 0, 60 }; /* hop-by-hop, destination options */
	uint8_t *next = ip + 6;

	memset(ip, 0, 40 + 8 * (size_t)k->ext);
	put_be32(ip, 0x60000000 | (uint32_t)k->tos << 20 | 0x12345);
	put_be16(ip + 4, (uint16_t)(len - 40));
	ip[7] = (uint8_t)(64 + k->ttl);
	for (unsigned i = 0; i < 16; i++) {
		ip[8 + i] = (uint8_t)(i * 7 + 1);
		ip[24 + i] = (uint8_t)(i * 11 + 5);
	}
	for (unsigned i = 0; i < k->ext; i++) {
		*next = ext[i];
		next = ip + 40 + 8 * (size_t)i;
		next[2] = 1; /* PadN of four bytes */
		next[3] = 4;
	}
	*next = k->tcp ? 6 : 17;
}

static void build_l4(const struct packet *k, size_t len, uint8_t *l4)
{
	memset(l4, 0, packet_header(k) - l4_of(k));
	put_be16(l4, (uint16_t)(10000 + k->flow));
	put_be16(l4 + 2, 5001);
	if (!k->tcp) {
		put_be16(l4 + 4, (uint16_t)len);
		return;
	}
	put_be32(l4 + 4, k->seq);
	put_be32(l4 + 8, 0x01020304U + k->ack);
	l4[12] = (uint8_t)((5 + k->tcp_words) << 4);
	l4[13] = k->flags;
	put_be16(l4 + 14, (uint16_t)(502 + k->window));
	put_be16(l4 + 18, k->urgent);
	/* No operation, but for the last word: of a kind that nobody knows, with two bytes. */
	memset(l4 + 20, 1, 4 * (size_t)k->tcp_words);
	if (k->tcp_words)
		put_be32(l4 + 16 + 4 * (size_t)k->tcp_words, 0xfd040000U + k->option);
}

static unsigned pseudo_of(const struct packet *k, const uint8_t *buf, size_t l4_len)
{
	const uint8_t *ip = buf + l3_of(k);
	unsigned sum = sum_of(0, ip + (k->ipv6 ? 8 : 12), k->ipv6 ? 32 : 8);

	return sum + (k->tcp ? 6 : 17) + (unsigned)l4_len;
}

size_t packet_build(const struct packet *k, const uint8_t *payload, size_t len, uint8_t *buf)
{
	size_t l3 = l3_of(k), l4 = l4_of(k), header = packet_header(k), end = header + len;
	struct vnet v;

	build_ethernet(k, buf);
	if (k->ipv6)
		build_ip6(k, end - l3, buf + l3);
	else
		build_ip4(k, end - l3, buf + l3);
	build_l4(k, end - l4, buf + l4);
	memcpy(buf + header, payload, len);
	packet_unfinish(k, buf, end, &v);
	packet_finish(buf, end, &v);
	return end;
}

void packet_unfinish(const struct packet *k, uint8_t *buf, size_t len, struct vnet *ret)
{
	size_t l4 = l4_of(k);
	unsigned sum = pseudo_of(k, buf, len - l4);

	*ret = (struct vnet){ .csum = true,
			      .csum_start = (uint16_t)l4,
			      .csum_offset = k->tcp ? 16 : 6 };
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(buf + l4 + ret->csum_offset, (uint16_t)(sum + (sum >> 16)));
}

void packet_finish(uint8_t *buf, size_t len, const struct vnet *v)
{
	uint8_t *l4 = buf + v->csum_start;
	uint16_t sum;

	if (!v->csum)
		return;
	sum = (uint16_t)~sum_of(0, l4, len - v->csum_start);
	put_be16(l4 + v->csum_offset, sum ? sum : 0xffff);
}
