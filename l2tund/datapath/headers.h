/*
 * What the headers of a frame say: Ethernet, up to two VLAN tags, IPv4 or IPv6, TCP or UDP.
 * And the internet checksum (RFC 1071), sums of which are kept as the 16-bit words stand
 * in memory: they can be stored with memcpy, and numbers enter through htons(). Pure.
 */
#ifndef L2TUND_DATAPATH_HEADERS_H
#define L2TUND_DATAPATH_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_CWR 0x80

/* Where the fields stand, from the start of their header. */
enum {
	IP4_TOTAL = 2,
	IP4_ID = 4,
	IP4_FLAGS = 6,
	IP4_CSUM = 10,
	IP4_SRC = 12,
	IP4_BYTES = 20,
	IP6_PAYLOAD = 4,
	IP6_SRC = 8,
	IP6_BYTES = 40,
	TCP_SEQ = 4,
	TCP_ACK_SEQ = 8,
	TCP_DOFF = 12,
	TCP_FLAGS = 13,
	TCP_CSUM = 16,
	TCP_URGENT = 18,
	TCP_BYTES = 20,
	UDP_LEN = 4,
	UDP_CSUM = 6,
	UDP_BYTES = 8,
};

/* Offsets from the start of the frame. */
struct headers {
	uint16_t l3, l4, payload;
	uint32_t end; /* of the packet, by IP; what stands behind it is padding */
	bool ipv6;
	bool tcp; /* or UDP */
	bool ext; /* IP options or extension headers stand in front of `l4` */
};

/*
 * Reads the headers of a frame of `len` bytes, `have` of which are at `frame`. -EOPNOTSUPP: not a
 * whole TCP or UDP packet (another protocol, a fragment, IPsec, a routing header that
 * has not been used up), headers not within `have`, lengths that contradict each other,
 * or a wrong IPv4 header checksum.
 */
int headers_parse(const uint8_t *frame, size_t have, size_t len, struct headers *ret);
/*
 * Whether a TCP segment carries a signature over itself as it is (RFC 2385, RFC 5925), or
 * options that end nowhere.
 */
bool headers_signed(const uint8_t *frame, const struct headers *h);
/* Sum of addresses, protocol and the length of L4 header and payload (RFC 9293, RFC 8200 8.1). */
uint64_t headers_pseudo(const uint8_t *frame, const struct headers *h, size_t l4_bytes);
/* Writes the length that IP and UDP have when the payload is `payload` bytes, below 64 KiB. */
void headers_set_length(uint8_t *frame, const struct headers *h, size_t payload);
/* Computes the IPv4 header checksum anew. Nothing for IPv6. */
void headers_finish_ip(uint8_t *frame, const struct headers *h);

/* `sum` and the sum of `len` bytes, which begin at an even place of the whole. */
uint64_t csum_add(uint64_t sum, const void *buf, size_t len);

/* To 16 bits, neither complemented nor swapped. */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

static inline uint16_t csum_load(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline void csum_store(uint8_t *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

/* Where the L4 checksum stands, from the start of its header. */
static inline uint16_t headers_csum_offset(const struct headers *h)
{
	return h->tcp ? TCP_CSUM : UDP_CSUM;
}

#endif
