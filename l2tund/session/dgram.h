/* The fixed parts of datagrams (doc/protocol.md, "Datagrams"). */
#ifndef L2TUND_SESSION_DGRAM_H
#define L2TUND_SESSION_DGRAM_H

#include "l2tund/session/cookie.h"
#include "l2tund/session/noise.h"

enum dgram_type {
	DGRAM_INIT = 1,
	DGRAM_RESPONSE = 2,
	DGRAM_COOKIE = 3,
	DGRAM_DATA = 4,
	DGRAM_CONTROL = 5,
	DGRAM_PLAIN = 6, /* data without tag: mode none */
};

#define DGRAM_PROLOGUE "l2tund v1"
#define DGRAM_HDR_BYTES 16 /* type, lane, reserved u16, receiver u32, counter u64 */

/* Initiation: type, zero, reserved u16, sender u32, noise message 1, mac1, mac2. */
#define DGRAM_INIT_HDR 8
#define DGRAM_INIT_MIN (DGRAM_INIT_HDR + NOISE_1_BYTES + COOKIE_MACS_BYTES)
/* Response: the same and receiver u32 behind the sender. */
#define DGRAM_RESPONSE_HDR 12
#define DGRAM_RESPONSE_MIN (DGRAM_RESPONSE_HDR + NOISE_2_BYTES + COOKIE_MACS_BYTES)

/* An outer packet of 1200 bytes leaves this much after the IPv6 and UDP headers. */
#define DGRAM_HANDSHAKE_MAX (1200 - 48)
/* The initiation's payload is padded to this, so that no response is longer. */
#define DGRAM_INIT_PAYLOAD 448

#endif
