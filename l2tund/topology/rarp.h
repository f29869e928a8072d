/* The announcement of an address to all switches of a segment: a RARP request (RFC 903). Pure. */
#ifndef L2TUND_TOPOLOGY_RARP_H
#define L2TUND_TOPOLOGY_RARP_H

#include <stdint.h>

#define RARP_FRAME_BYTES 60 /* least Ethernet frame without its FCS */
#define RARP_TAGGED_BYTES (RARP_FRAME_BYTES + 4)

/* A broadcast from `mac` that says only that it is here: switches relearn its port from it. */
void rarp_build(const uint8_t mac[6], uint8_t frame[RARP_FRAME_BYTES]);
/* The same in a VLAN, 1 to 4094: with a tag (IEEE 802.1Q) of the least priority. */
void rarp_build_tagged(const uint8_t mac[6], uint16_t vlan, uint8_t frame[RARP_TAGGED_BYTES]);

#endif
