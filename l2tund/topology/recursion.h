/*
 * Whether a frame is one of our own datagrams: a tunnel that is handed what it has sent itself
 * carries itself, and each round makes more of it. Pure.
 */
#ifndef L2TUND_TOPOLOGY_RECURSION_H
#define L2TUND_TOPOLOGY_RECURSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

/*
 * A UDP datagram (RFC 768) from `local` to `remote`, addresses and ports, over IPv4 (RFC 791) or
 * IPv6 (RFC 8200), behind up to two VLAN tags. Later fragments and packets with IPv6
 * extension headers are none: we send neither. `local` may be unset: then any sender is
 * meant. Frames that are not UDP cost some comparisons; no length is assumed.
 */
bool recursion_is_own(const uint8_t *frame, size_t len, const struct addr *local,
		      const struct addr *remote);

#endif
