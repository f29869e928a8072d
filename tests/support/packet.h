/*
 * Frames with TCP and UDP for tests, made and checked byte by byte without the code under test.
 */
#ifndef TESTS_SUPPORT_PACKET_H
#define TESTS_SUPPORT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/datapath/vnet.h"
#include "tests/support/prng.h"

#define PACKET_MAX 66000

struct packet {
	bool ipv6, tcp, df;
	uint8_t tags;	   /* 0-2 */
	uint8_t ip_words;  /* IPv4 options, 0-10 */
	uint8_t ext;	   /* IPv6 extension headers, 0-2 */
	uint8_t tcp_words; /* TCP options, 0-10 */
	uint8_t tos, flags;
	uint16_t flow; /* source port */
	uint16_t id;
	uint32_t seq;
	/* Added to what is usual: */
	uint8_t vlan, ttl, ack, window, urgent, option;
};

/* Any packet that can be cut. */
struct packet packet_random(struct prng *p);
/* Bytes of all headers. */
size_t packet_header(const struct packet *k);
/* The whole frame with all its checksums; its length. */
size_t packet_build(const struct packet *k, const uint8_t *payload, size_t len, uint8_t *buf);
/* Takes its L4 checksum back to the pseudo header's, as the kernel leaves it; *ret says so. */
void packet_unfinish(const struct packet *k, uint8_t *buf, size_t len, struct vnet *ret);
/* What the kernel does with such a frame in the end. */
void packet_finish(uint8_t *buf, size_t len, const struct vnet *v);

#endif
