/*
 * Reads just as much of a frame as it takes to compare addresses and ports; every step looks
 * first whether the bytes are there. Checksums and total lengths are not looked at: what a
 * host would refuse may still be carried round and round.
 */
#include "l2tund/topology/recursion.h"

#include <string.h>

#include "common/util.h"

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define TYPE_VLAN 0x8100   /* IEEE 802.1Q */
#define TYPE_VLAN_S 0x88a8 /* the outer one of two */
#define TAGS_MAX 2
#define TAG_BYTES 4
#define AT_TYPE 12
#define IPV4_BYTES 20 /* without options */
#define IPV4_FRAGMENT 0x1fff
#define IPV6_BYTES 40
#define PROTO_UDP 17
#define PORTS_BYTES 4

/* The IP header; *len_io becomes what is left from there. NULL: there is none. */
static const uint8_t *ip_of(const uint8_t *frame, size_t *len_io, unsigned *ret_type)
{
	size_t at = AT_TYPE;

	for (unsigned i = 0; i <= TAGS_MAX && at + 2 <= *len_io; i++, at += TAG_BYTES) {
		unsigned type = get_be16(frame + at);

		if (type == TYPE_VLAN || type == TYPE_VLAN_S)
			continue;
		if (type != TYPE_IPV4 && type != TYPE_IPV6)
			return NULL;
		*ret_type = type;
		*len_io -= at + 2;
		return frame + at + 2;
	}
	return NULL;
}

static bool same_ports(const uint8_t *udp, const struct addr *local, const struct addr *remote)
{
	return get_be16(udp + 2) == addr_port(remote) &&
	       (!addr_is_set(local) || get_be16(udp) == addr_port(local));
}

static bool ipv4_is_own(const uint8_t *ip, size_t len, const struct addr *local,
			const struct addr *remote)
{
	size_t header;

	if (len < IPV4_BYTES || ip[9] != PROTO_UDP || remote->sa.sa_family != AF_INET)
		return false;
	header = (size_t)(ip[0] & 0x0f) * 4;
	if (header < IPV4_BYTES || len < header + PORTS_BYTES || get_be16(ip + 6) & IPV4_FRAGMENT)
		return false;
	return memcmp(ip + 16, &remote->in.sin_addr, 4) == 0 &&
	       (!addr_is_set(local) || memcmp(ip + 12, &local->in.sin_addr, 4) == 0) &&
	       same_ports(ip + header, local, remote);
}

static bool ipv6_is_own(const uint8_t *ip, size_t len, const struct addr *local,
			const struct addr *remote)
{
	if (len < IPV6_BYTES + PORTS_BYTES || ip[6] != PROTO_UDP ||
	    remote->sa.sa_family != AF_INET6)
		return false;
	return memcmp(ip + 24, &remote->in6.sin6_addr, 16) == 0 &&
	       (!addr_is_set(local) || memcmp(ip + 8, &local->in6.sin6_addr, 16) == 0) &&
	       same_ports(ip + IPV6_BYTES, local, remote);
}

bool recursion_is_own(const uint8_t *frame, size_t len, const struct addr *local,
		      const struct addr *remote)
{
	unsigned type;
	const uint8_t *ip = ip_of(frame, &len, &type);

	if (!ip)
		return false;
	return type == TYPE_IPV4 ? ipv4_is_own(ip, len, local, remote) :
				   ipv6_is_own(ip, len, local, remote);
}
