/*
 * The record stream of one session: frames in, datagrams out, and back.
 * Frames that wait together share a datagram; what is larger than a datagram is cut
 * into smaller frames (cut.h) or, where that cannot be, becomes CHUNK records; every datagram
 * stands alone (doc/protocol.md). Equal datagrams leave together (train.h). Nothing is
 * allocated per frame.
 */
#ifndef L2TUND_DATAPATH_STREAM_H
#define L2TUND_DATAPATH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/datapath/cut.h"
#include "l2tund/datapath/drop.h"
#include "l2tund/datapath/vnet.h"

#define FRAME_MIN 14	/* Ethernet header */
#define FRAME_MAX 65550 /* the largest frame a TAP can hand over: 64 KiB MTU, header, one tag */

struct chunks; /* chunks.h */
struct stream;
struct train;
struct reasm_counters; /* reasm.h */

struct stream_ops {
	/* Bytes of records that fit one datagram now; 0: nothing can be sent. */
	size_t (*room)(void *arg);
	/*
	 * Seals `len` bytes of records at dgram + SESSION_HEADROOM in place, see session_seal().
	 * The datagram's length, or a negative errno.
	 */
	int (*seal)(void *arg, uint8_t *dgram, size_t len);
	/* Sends `len` bytes: datagrams of `size` bytes each, the last may be smaller. */
	int (*send)(void *arg, const uint8_t *buf, size_t len, size_t size);
	/*
	 * A whole frame for our segment `id` has come, and may be written to. It stays for as long
	 * as what stream_input() was given, or, unless `stays`, during the call only.
	 * The stream may be put to, but not reset or freed, from here.
	 */
	void (*deliver)(void *arg, uint16_t id, const struct vnet *v, uint8_t *frame, size_t len,
			bool stays);
};

struct stream_options {
	bool pack;	       /* frames that wait together share a datagram */
	struct chunks *chunks; /* of all streams of the session; NULL: this is the only one */
};

struct stream_counters {
	uint64_t drop[DROPS]; /* frames that did not leave */
	uint64_t drop_decode; /* malformed records from the peer */
	uint64_t drop_reasm;  /* frames never completed: a chunk was lost or the table was full */
	uint64_t tx_frames, tx_chunked, rx_frames, rx_chunked;
};

/* NULL when out of memory. `ops`, `arg` and `train` must outlive it. */
struct stream *stream_new(const struct stream_ops *ops, void *arg, struct train *train,
			  const struct stream_options *options);
/* Nothing of it may wait: see stream_flush(). */
void stream_free(struct stream *st);

/*
 * Queues one frame or super-frame for the peer's segment `far_id`, sending what is full on the
 * way; its bytes are copied. Call stream_flush() when no more frames are waiting. 0, or a
 * negative errno when the frame was dropped (and counted).
 */
int stream_put(struct stream *st, uint16_t far_id, const struct vnet *v, const struct parts *p);
/* The same for one that stands in one piece. */
int stream_put_frame(struct stream *st, uint16_t far_id, const struct vnet *v, const uint8_t *frame,
		     size_t len);
void stream_flush(struct stream *st);

/* Takes the data records of one authenticated datagram; hostile content is counted and dropped. */
void stream_input(struct stream *st, uint8_t *records, size_t len, uint64_t now_us);
/*
 * Drops every half-received frame: the session went down or the peer restarted. Where chunks are
 * shared, this and stream_tick() concern all streams, none of which may be at work.
 */
void stream_reset(struct stream *st);
/*
 * Gives up overdue frames and, after a second without chunks, the memory for them. Input does
 * the same; this is for streams that have become silent. Once a second is often enough.
 */
void stream_tick(struct stream *st, uint64_t now_us);

/* What it lost of chunks is that of all streams which share them. */
const struct stream_counters *stream_counters(struct stream *st);
/* Why frames were never completed. */
const struct reasm_counters *stream_reasm_counters(const struct stream *st);

#endif
