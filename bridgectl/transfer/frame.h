/*
 * What travels on a data connection between the two ends of a transfer: frames of a 32-byte
 * header and a payload (doc/transfer.md, "Frames"). Pure: bytes in, values out.
 *
 * The end that reads is the source, the end that writes the target. Offsets and lengths count
 * bytes of the window that is copied, not of the disk around it.
 */
#ifndef BRIDGECTL_TRANSFER_FRAME_H
#define BRIDGECTL_TRANSFER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_BYTES 65536u /* unit of digests, of the map and of dirtiness */
#define SPAN_CHUNKS 64u
#define SPAN_BYTES (SPAN_CHUNKS * CHUNK_BYTES) /* 4 MiB: unit of work, of reading and writing */
#define DIGEST_BYTES 16u		       /* XXH3-128 with the transfer's secret */
#define FRAME_HEADER_BYTES 32u
#define FRAME_TEXT_MAX 512u
#define FRAME_HELLO_BYTES 48u /* exactly so many behind HELLO, see wire.h */

enum frame_type {
	/* Both ways, first; offset: length of the window; length: version; payload: the proof. */
	FRAME_HELLO = 1,
	FRAME_DATA = 2,	  /* digest of each chunk, then the bytes, compressed or not */
	FRAME_ZERO = 3,	  /* no payload; length: any multiple of a chunk, or up to the end */
	FRAME_ASK = 4,	  /* digests of up to a span, please */
	FRAME_HASHES = 5, /* the answer; all bytes zero: not known */
	FRAME_END = 6,	  /* from the source: no more in this pass on this connection */
	FRAME_DONE = 7,	  /* from the target: all of it is written (not flushed yet) */
	FRAME_ERROR = 8,  /* a sentence; the connection ends */
	FRAME_TYPES,
};

#define FRAME_F_ZSTD 0x01   /* DATA: bytes are one zstd frame */
#define FRAME_F_REREAD 0x02 /* ASK: from the disk, not from the map */

struct frame {
	enum frame_type type;
	uint8_t flags;
	uint32_t payload; /* bytes behind the header */
	uint64_t offset;
	uint64_t length;
};

/* Chunks that `length` bytes from a chunk's beginning touch. */
static inline uint64_t frame_chunks(uint64_t length)
{
	return length / CHUNK_BYTES + (length % CHUNK_BYTES != 0);
}

struct digest;

/* `buf` of FRAME_HEADER_BYTES. */
void frame_put(uint8_t *buf, const struct frame *f, const struct digest *d);

/*
 * Takes and checks a header against a window of `window` bytes: known type and flags, chunk
 * boundaries, inside the window, payload no larger than its type and length allow (so a buffer
 * of FRAME_PAYLOAD_MAX always holds it). 0; -EBADMSG: the check sum is wrong; -EPROTO.
 */
int frame_take(const uint8_t *buf, uint64_t window, const struct digest *d, struct frame *ret);

#define FRAME_PAYLOAD_MAX (SPAN_BYTES + SPAN_CHUNKS * DIGEST_BYTES)

#endif
