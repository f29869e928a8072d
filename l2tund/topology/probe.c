/*
 * The frame of a probe and the times at which probes are due. The layout is in
 * doc/loops.md; numbers are little-endian but for the EtherType.
 *
 * A frame has one form only: what parses is, without its addresses and MAC, exactly what
 * probe_build() would write. The MAC covers all before it, so that nobody can send a probe of
 * another segment on by another source address or make a broadcast of it.
 */
#include "l2tund/topology/probe.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "common/util.h"

#define PROBE_VERSION 1
#define PROBE_MAC_BYTES 16
#define BRIDGE_BYTES (TOPO_BRIDGE_MAX + 1)
#define BROADCAST_EVERY 4

#define AT_SOURCE 6
#define AT_TYPE 12
#define AT_MAGIC 14
#define AT_VERSION 18
#define AT_KIND 19
#define AT_NODE 20
#define AT_BRIDGE 28
#define AT_INCARNATION 44
#define AT_SEQ 52
#define AT_TIME 56
#define AT_RESERVED 64
#define AT_MAC 80
_Static_assert(AT_MAC + PROBE_MAC_BYTES == PROBE_FRAME_BYTES, "layout");
_Static_assert(AT_BRIDGE + BRIDGE_BYTES == AT_INCARNATION, "layout");

/* EtherType and magic, which stand next to each other. */
static const uint8_t probe_head[] = {
	PROBE_ETHERTYPE >> 8, PROBE_ETHERTYPE & 0xff, 'L', '2', 'P', 'B',
};

/* Group bit and local bit set, then "L2TUN": unknown multicast to every bridge and switch. */
static const uint8_t probe_group[6] = { 0x03, 0x4c, 0x32, 0x54, 0x55, 0x4e };

static int source_hash(const uint8_t *node, const char *bridge, uint8_t ret_mac[6])
{
	static const char label[] = "l2tund probe";
	uint8_t in[sizeof(label) - 1 + TOPO_NODE_ID_BYTES + BRIDGE_BYTES];
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t n = strnlen(bridge, TOPO_BRIDGE_MAX);

	memcpy(in, label, sizeof(label) - 1);
	memcpy(in + sizeof(label) - 1, node, TOPO_NODE_ID_BYTES);
	memcpy(in + sizeof(label) - 1 + TOPO_NODE_ID_BYTES, bridge, n);
	n += sizeof(label) - 1 + TOPO_NODE_ID_BYTES;
	if (EVP_Digest(in, n, hash, NULL, EVP_sha256(), NULL) != 1)
		return -EINVAL;
	ret_mac[0] = 0x02;
	memcpy(ret_mac + 1, hash, 5);
	return 0;
}

void probe_source(const uint8_t node[TOPO_NODE_ID_BYTES], const char *bridge, uint8_t ret_mac[6])
{
	memset(ret_mac, 0, 6);
	ret_mac[0] = 0x02;
	source_hash(node, bridge, ret_mac);
}

static int probe_mac(const uint8_t *frame, const uint8_t *key, uint8_t ret[PROBE_MAC_BYTES])
{
	uint8_t full[EVP_MAX_MD_SIZE];

	if (!HMAC(EVP_sha256(), key, PROBE_KEY_BYTES, frame, AT_MAC, full, NULL))
		return -EINVAL;
	memcpy(ret, full, PROBE_MAC_BYTES);
	return 0;
}

int probe_build(const struct probe_body *b, const uint8_t key[PROBE_KEY_BYTES], uint8_t *frame)
{
	memset(frame, 0, PROBE_FRAME_BYTES);
	if (b->seq % BROADCAST_EVERY == 0)
		memset(frame, 0xff, 6);
	else
		memcpy(frame, probe_group, sizeof(probe_group));
	if (source_hash(b->node, b->bridge, frame + AT_SOURCE) < 0)
		return -EINVAL;
	memcpy(frame + AT_TYPE, probe_head, sizeof(probe_head));
	frame[AT_VERSION] = PROBE_VERSION;
	frame[AT_KIND] = (uint8_t)b->kind;
	memcpy(frame + AT_NODE, b->node, TOPO_NODE_ID_BYTES);
	memcpy(frame + AT_BRIDGE, b->bridge, strnlen(b->bridge, TOPO_BRIDGE_MAX));
	put_le64(frame + AT_INCARNATION, b->incarnation);
	put_le32(frame + AT_SEQ, b->seq);
	put_le64(frame + AT_TIME, b->time_us);
	return probe_mac(frame, key, frame + AT_MAC);
}

bool probe_is(const uint8_t *frame, size_t len)
{
	return len >= AT_TYPE + sizeof(probe_head) &&
	       memcmp(frame + AT_TYPE, probe_head, sizeof(probe_head)) == 0;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

/* A name that ends in zeros, of which there is at least one; it may come to a terminal. */
static bool bridge_valid(const uint8_t *name)
{
	size_t n = strnlen((const char *)name, BRIDGE_BYTES);

	return all_zero(name + n, BRIDGE_BYTES - n) &&
	       name_valid((const char *)name, TOPO_BRIDGE_MAX);
}

int probe_parse(const uint8_t *frame, size_t len, struct probe_body *ret)
{
	if (!probe_is(frame, len) || len < PROBE_FRAME_BYTES)
		return -EBADMSG;
	if (frame[AT_VERSION] != PROBE_VERSION)
		return -EBADMSG;
	if (frame[AT_KIND] != PROBE_L && frame[AT_KIND] != PROBE_W)
		return -EBADMSG;
	if (!bridge_valid(frame + AT_BRIDGE) ||
	    !all_zero(frame + AT_RESERVED, AT_MAC - AT_RESERVED))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->kind = (enum probe_kind)frame[AT_KIND];
	memcpy(ret->node, frame + AT_NODE, TOPO_NODE_ID_BYTES);
	memcpy(ret->bridge, frame + AT_BRIDGE, BRIDGE_BYTES);
	ret->incarnation = get_le64(frame + AT_INCARNATION);
	ret->seq = get_le32(frame + AT_SEQ);
	ret->time_us = get_le64(frame + AT_TIME);
	return 0;
}

bool probe_verify(const uint8_t *frame, size_t len, const uint8_t key[PROBE_KEY_BYTES])
{
	uint8_t mac[PROBE_MAC_BYTES];

	if (!probe_is(frame, len) || len < PROBE_FRAME_BYTES)
		return false;
	if (probe_mac(frame, key, mac) < 0)
		return false;
	return CRYPTO_memcmp(mac, frame + AT_MAC, sizeof(mac)) == 0;
}

/*
 * However many bursts are asked for, probes are never closer than PROBE_BURST_US: what asks may be
 * somebody else's frames.
 */
void probe_burst(struct probe_schedule *s, uint64_t now_us)
{
	uint64_t soonest_us = s->sent_us ? s->sent_us + PROBE_BURST_US : 0;

	s->burst_until_us = MAX(s->burst_until_us, now_us + PROBE_BURST_FOR_US);
	s->next_us = MAX(now_us, soonest_us);
}

/* Counted from now, not from when it was due: what a stopped process missed stays unsent. */
bool probe_due(struct probe_schedule *s, uint64_t now_us)
{
	if (now_us < s->next_us)
		return false;
	s->sent_us = now_us;
	s->next_us = now_us + (now_us < s->burst_until_us ? PROBE_BURST_US : PROBE_STEADY_US);
	return true;
}
