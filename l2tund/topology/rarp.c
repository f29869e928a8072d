/*
 * Announcements of addresses. A switch learns a port from the source of any frame; a RARP request
 * is one that no host answers or takes for its own, and that carries no IP address which
 * could upset somebody's neighbour table. Hypervisors announce a moved guest in the same way.
 */
#include "l2tund/topology/rarp.h"

#include <string.h>

/* RFC 903: the layout of ARP (RFC 826) under another EtherType. All big-endian. */
static const uint8_t rarp_fixed[] = {
	0x80, 0x35, /* EtherType */
	0x00, 0x01, /* hardware: Ethernet */
	0x08, 0x00, /* protocol: IPv4 */
	6,    4,    /* lengths of their addresses */
	0x00, 0x03, /* request reverse */
};

#define AT_SOURCE 6
#define AT_FIXED 12
#define AT_SENDER (AT_FIXED + sizeof(rarp_fixed))
#define TAG_BYTES (RARP_TAGGED_BYTES - RARP_FRAME_BYTES)
#define AT_TARGET (AT_SENDER + 6 + 4)

void rarp_build(const uint8_t mac[6], uint8_t frame[RARP_FRAME_BYTES])
{
	memset(frame, 0, RARP_FRAME_BYTES);
	memset(frame, 0xff, 6);
	memcpy(frame + AT_SOURCE, mac, 6);
	memcpy(frame + AT_FIXED, rarp_fixed, sizeof(rarp_fixed));
	memcpy(frame + AT_SENDER, mac, 6);
	memcpy(frame + AT_TARGET, mac, 6);
}

void rarp_build_tagged(const uint8_t mac[6], uint16_t vlan, uint8_t frame[RARP_TAGGED_BYTES])
{
	uint8_t *tag = frame + AT_FIXED;

	rarp_build(mac, frame);
	memmove(tag + TAG_BYTES, tag, RARP_FRAME_BYTES - AT_FIXED);
	tag[0] = 0x81;
	tag[1] = 0x00;
	tag[2] = (uint8_t)(vlan >> 8);
	tag[3] = (uint8_t)vlan;
}
