/*
 * Probes: small Ethernet frames by which a segment (a bridge of a node) finds out whether it
 * is joined with another one by a path that is not ours (doc/loops.md). Pure: frames in and
 * out, keys and time as arguments.
 *
 * An L-probe is sent on the bridge and never carried by our tunnels: whoever hears one that
 * another segment sent has a foreign path to it. A W-probe travels through a tunnel as
 * data: whoever gets its own one back has a loop.
 */
#ifndef L2TUND_TOPOLOGY_PROBE_H
#define L2TUND_TOPOLOGY_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/topology/topology.h"

#define PROBE_ETHERTYPE 0x88b5 /* IEEE 802 local experimental EtherType 1, RFC 9542 */
#define PROBE_KEY_BYTES 16
#define PROBE_FRAME_BYTES 96 /* all of it: header, body, MAC; no padding is needed */

enum probe_kind { PROBE_L = 1, PROBE_W = 2 };

struct probe_body {
	enum probe_kind kind;
	uint8_t node[TOPO_NODE_ID_BYTES];
	char bridge[TOPO_BRIDGE_MAX + 1];
	uint64_t incarnation;
	uint32_t seq;
	uint64_t time_us; /* the sender's clock */
};

/*
 * Writes a whole frame of PROBE_FRAME_BYTES. Every fourth `seq` goes to broadcast, the others to
 * the probes' own group address; the source is probe_source(). -EINVAL when libcrypto refuses.
 */
int probe_build(const struct probe_body *b, const uint8_t key[PROBE_KEY_BYTES], uint8_t *frame);

/* The source MAC of a segment's probes: 02 and 5 bytes of a hash, to be found in an FDB. */
void probe_source(const uint8_t node[TOPO_NODE_ID_BYTES], const char *bridge, uint8_t ret_mac[6]);

/*
 * Whether a frame is (or claims to be) one of our probes; cheap enough for every frame. One
 * with a VLAN tag is none: it is in another Ethernet than the one it was sent to.
 */
bool probe_is(const uint8_t *frame, size_t len);

/*
 * What it claims. -EBADMSG: not a probe, or of another version. Bytes behind PROBE_FRAME_BYTES
 * are not looked at. Nothing is proven yet.
 */
int probe_parse(const uint8_t *frame, size_t len, struct probe_body *ret);
/* Whether the node that has `key` made it. Constant time. */
bool probe_verify(const uint8_t *frame, size_t len, const uint8_t key[PROBE_KEY_BYTES]);

/*
 * When to send L-probes: two a second, and a burst of one each 20 ms for a second after
 * whatever may have joined two segments. All zero: one is due at once.
 */
struct probe_schedule {
	uint64_t next_us;
	uint64_t burst_until_us;
	uint64_t sent_us; /* the latest one; 0: none yet */
};
#define PROBE_STEADY_US UINT64_C(500000)
#define PROBE_BURST_US UINT64_C(20000)
#define PROBE_BURST_FOR_US UINT64_C(1000000)

/* Begins a burst at once, or prolongs the one under way. */
void probe_burst(struct probe_schedule *s, uint64_t now_us);
/* True when one is due; then the next one's time is set. */
bool probe_due(struct probe_schedule *s, uint64_t now_us);

#endif
