/*
 * Records: what a datagram carries once it is opened (doc/protocol.md, "Records").
 * Sessions read CONTROL records, the data path all others.
 *
 *   kind u8 | flags u8 | segment u16 | length u16 | length bytes         little-endian
 *
 * The bytes begin with the extra header that kind and flags ask for.
 */
#ifndef L2TUND_SESSION_RECORD_H
#define L2TUND_SESSION_RECORD_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "common/util.h"

#define RECORD_HDR_BYTES 6
#define RECORD_CSUM_BYTES 4   /* csum_start u16, csum_offset u16, first when RECORD_F_CSUM */
#define RECORD_GSO_BYTES 4    /* gso_type u8, 0 u8, gso_size u16, then, when RECORD_F_GSO */
#define RECORD_CHUNK_BYTES 12 /* message u32, offset u32, total u32, then, in CHUNKs */

enum record_kind {
	RECORD_FRAME = 1,
	RECORD_CHUNK = 3,
	RECORD_CONTROL = 4,
};

/* Any other bit makes a record malformed. */
#define RECORD_F_CSUM 0x01
#define RECORD_F_GSO 0x02 /* in CHUNKs only, and with RECORD_F_CSUM */

#define RECORD_GSO_ECN 0x80 /* in gso_type, whose other bits are enum vnet_gso */

struct record {
	uint8_t kind;
	uint8_t flags;
	uint16_t segment;
	uint16_t len;
	const uint8_t *bytes;
};

static inline void record_put_header(uint8_t *p, uint8_t kind, uint8_t flags, uint16_t segment,
				     uint16_t len)
{
	p[0] = kind;
	p[1] = flags;
	put_le16(p + 2, segment);
	put_le16(p + 4, len);
}

/*
 * Takes the next record off *p. 1 with *ret filled, 0 at the end, -EBADMSG
 * when the rest is not whole records; then nothing more of the datagram is usable.
 */
static inline int record_next(const uint8_t **p, size_t *len, struct record *ret)
{
	if (*len == 0)
		return 0;
	if (*len < RECORD_HDR_BYTES)
		return -EBADMSG;

	const uint8_t *b = *p;
	struct record r = { b[0], b[1], get_le16(b + 2), get_le16(b + 4), b + RECORD_HDR_BYTES };
	if (r.len > *len - RECORD_HDR_BYTES)
		return -EBADMSG;
	*p += RECORD_HDR_BYTES + r.len;
	*len -= RECORD_HDR_BYTES + r.len;
	*ret = r;
	return 1;
}

#endif
