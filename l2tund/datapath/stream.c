/*
 * The record stream. Out: frames are packed as records into one datagram that stands ready
 * in `buf`, with room in front and behind for what sealing adds; it leaves when the next
 * record does not fit or at stream_flush(). In: records are checked one by one and handed
 * on, chunks by way of the reassembly table.
 *
 * The room of a datagram is asked for anew before each record, because sending may have taught
 * the session a smaller path MTU. Every frame put is counted once: as sent, when the
 * datagram with its last byte has left, or as dropped.
 */
#include "l2tund/datapath/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/reasm.h"
#include "l2tund/session/record.h"
#include "l2tund/session/session.h"

#define RECORDS_MAX (SESSION_DGRAM_MAX - SESSION_HEADROOM - SESSION_TAILROOM)

/* What waits in the datagram under construction. */
struct pending {
	size_t len;	  /* bytes of records */
	unsigned touched; /* frames with a record in it: lost if it does not leave */
	unsigned ended;	  /* those of them whose last byte is in it: sent when it leaves */
	unsigned chunked; /* those of them that are chunked */
};

struct stream {
	const struct stream_ops *ops;
	void *arg;
	struct stream_counters counters;
	struct reasm reasm;
	uint32_t message; /* number of the next frame to be cut */
	struct pending pending;
	uint8_t buf[SESSION_DGRAM_MAX];
};

struct stream *stream_new(const struct stream_ops *ops, void *arg)
{
	struct stream *st = malloc(sizeof(*st));

	if (!st)
		return NULL;
	memset(st, 0, offsetof(struct stream, buf));
	st->ops = ops;
	st->arg = arg;
	return st;
}

void stream_free(struct stream *st)
{
	if (!st)
		return;
	reasm_fini(&st->reasm);
	free(st);
}

/* ---- out ---- */

static size_t stream_room(struct stream *st)
{
	return MIN(st->ops->room(st->arg), (size_t)RECORDS_MAX);
}

static int drop(struct stream *st, int err)
{
	st->counters.drop[drop_reason(err)]++;
	return err;
}

static int flush(struct stream *st)
{
	struct pending p = st->pending;

	if (p.len == 0)
		return 0;
	st->pending = (struct pending){ 0 };
	int r = st->ops->send(st->arg, st->buf, p.len);
	if (r < 0) {
		st->counters.drop[drop_reason(r)] += p.touched;
		return r;
	}
	st->counters.tx_frames += p.ended;
	st->counters.tx_chunked += p.chunked;
	return 0;
}

static size_t csum_bytes(const struct vnet *v)
{
	return v->csum ? RECORD_CSUM_BYTES : 0;
}

/* Begins a record with `len` bytes behind header and checksum hint; where they go. */
static uint8_t *append(struct stream *st, uint8_t kind, uint16_t segment, const struct vnet *v,
		       size_t len)
{
	uint8_t *p = st->buf + SESSION_HEADROOM + st->pending.len;
	size_t body = csum_bytes(v) + len;

	record_put_header(p, kind, v->csum ? RECORD_F_CSUM : 0, segment, (uint16_t)body);
	p += RECORD_HDR_BYTES;
	if (v->csum) {
		put_le16(p, v->csum_start);
		put_le16(p + 2, v->csum_offset);
	}
	st->pending.len += RECORD_HDR_BYTES + body;
	st->pending.touched++;
	return p + csum_bytes(v);
}

static void append_frame(struct stream *st, uint16_t segment, const struct vnet *v,
			 const uint8_t *frame, size_t len)
{
	memcpy(append(st, RECORD_FRAME, segment, v, len), frame, len);
	st->pending.ended++;
}

static void append_chunk(struct stream *st, const struct reasm_chunk *c)
{
	uint8_t *p = append(st, RECORD_CHUNK, c->segment, &c->vnet, RECORD_CHUNK_BYTES + c->len);

	put_le32(p, c->message);
	put_le32(p + 4, c->offset);
	put_le32(p + 8, c->total);
	memcpy(p + RECORD_CHUNK_BYTES, c->bytes, c->len);
	if (c->offset + c->len == c->total) {
		st->pending.ended++;
		st->pending.chunked++;
	}
}

/*
 * Bytes of the next chunk when `left` are to go in datagrams of `room`, all about equal, so
 * that none is a needless small one. 0: they cannot go in `chunks` pieces.
 */
static size_t chunk_len(size_t room, size_t overhead, size_t left, unsigned chunks)
{
	if (room <= overhead)
		return 0;
	size_t max = room - overhead;
	size_t n = (left + max - 1) / max;
	return n <= chunks ? (left + n - 1) / n : 0;
}

/*
 * A chunk that is not the last goes out at once: two of one frame never share a datagram, and a
 * refusal is known before more of the frame is sent in vain.
 */
static int put_chunked(struct stream *st, uint16_t segment, const struct vnet *v,
		       const uint8_t *frame, size_t len)
{
	size_t overhead = RECORD_HDR_BYTES + csum_bytes(v) + RECORD_CHUNK_BYTES;
	struct reasm_chunk c = { .segment = segment, .vnet = *v, .total = (uint32_t)len };

	c.message = st->message++;
	for (unsigned sent = 0; sent < REASM_CHUNKS_MAX; sent++) {
		size_t left = len - c.offset;
		size_t room = stream_room(st);

		c.bytes = frame + c.offset;
		c.len = chunk_len(room, overhead, left, REASM_CHUNKS_MAX - sent);
		if (c.len > 0 && st->pending.len + overhead + c.len > room) {
			flush(st);
			room = stream_room(st);
			c.len = chunk_len(room, overhead, left, REASM_CHUNKS_MAX - sent);
		}
		if (c.len == 0)
			return drop(st, -EMSGSIZE);
		append_chunk(st, &c);
		c.offset += (uint32_t)c.len;
		if (c.offset == len)
			return 0;
		int r = flush(st);
		if (r < 0)
			return r;
	}
	return drop(st, -EMSGSIZE); /* the room shrank on the way */
}

int stream_put(struct stream *st, uint16_t far_id, const struct vnet *v, const uint8_t *frame,
	       size_t len)
{
	size_t need = RECORD_HDR_BYTES + csum_bytes(v) + len;

	if (len < FRAME_MIN || len > FRAME_MAX || !vnet_valid(v, len))
		return drop(st, -EBADMSG);

	size_t room = stream_room(st);
	if (need <= room && st->pending.len + need > room) {
		flush(st);
		room = stream_room(st);
	}
	if (room == 0)
		return drop(st, -ENETDOWN);
	if (need > room)
		return put_chunked(st, far_id, v, frame, len);
	append_frame(st, far_id, v, frame, len);
	return 0;
}

void stream_flush(struct stream *st)
{
	flush(st);
}

/* ---- in ---- */

/* What is left of a record while its extra headers are taken off. */
struct body {
	const uint8_t *p;
	size_t len;
};

static const uint8_t *take(struct body *b, size_t len)
{
	const uint8_t *p = b->p;

	if (b->len < len)
		return NULL;
	b->p += len;
	b->len -= len;
	return p;
}

static bool take_vnet(struct body *b, uint8_t flags, struct vnet *ret)
{
	*ret = (struct vnet){ 0 };
	if (!(flags & RECORD_F_CSUM))
		return true;
	const uint8_t *p = take(b, RECORD_CSUM_BYTES);
	if (!p)
		return false;
	*ret = (struct vnet){ .csum = true,
			      .csum_start = get_le16(p),
			      .csum_offset = get_le16(p + 2) };
	return true;
}

static bool frame_valid(const struct vnet *v, size_t len)
{
	return len >= FRAME_MIN && len <= FRAME_MAX && vnet_valid(v, len);
}

static bool input_frame(struct stream *st, uint16_t segment, const struct vnet *v, struct body b)
{
	if (!frame_valid(v, b.len))
		return false;
	st->counters.rx_frames++;
	st->ops->deliver(st->arg, segment, v, b.p, b.len);
	return true;
}

/* A frame cut from a larger one, complete in itself: the hint only helps joining them again. */
static bool input_segment(struct stream *st, uint16_t segment, const struct vnet *v, struct body b)
{
	const uint8_t *hint = take(&b, RECORD_HINT_BYTES);

	if (!hint || get_le16(hint + 4) >= get_le16(hint + 6))
		return false;
	return input_frame(st, segment, v, b);
}

static bool input_chunk(struct stream *st, uint16_t segment, const struct vnet *v, struct body b,
			uint64_t now_us)
{
	const uint8_t *p = take(&b, RECORD_CHUNK_BYTES);
	struct reasm_frame f;

	if (!p)
		return false;
	struct reasm_chunk c = {
		.segment = segment,
		.vnet = *v,
		.message = get_le32(p),
		.offset = get_le32(p + 4),
		.total = get_le32(p + 8),
		.bytes = b.p,
		.len = b.len,
	};
	if (!frame_valid(v, c.total))
		return false;
	int r = reasm_add(&st->reasm, &c, now_us, &f);
	if (r == 1) {
		st->counters.rx_frames++;
		st->counters.rx_chunked++;
		st->ops->deliver(st->arg, f.segment, &f.vnet, f.bytes, f.len);
	}
	return r != -EBADMSG;
}

/* False: malformed, and only this record is lost. */
static bool input_record(struct stream *st, const struct record *r, uint64_t now_us)
{
	struct body b = { r->bytes, r->len };
	struct vnet v;

	if (r->kind == RECORD_CONTROL) /* the session's */
		return true;
	if (r->flags & ~RECORD_F_KNOWN || !take_vnet(&b, r->flags, &v))
		return false;
	switch (r->kind) {
	case RECORD_FRAME:
		return input_frame(st, r->segment, &v, b);
	case RECORD_SEGMENT:
		return input_segment(st, r->segment, &v, b);
	case RECORD_CHUNK:
		return input_chunk(st, r->segment, &v, b, now_us);
	}
	return false;
}

void stream_input(struct stream *st, const uint8_t *records, size_t len, uint64_t now_us)
{
	struct record rec;
	int r;

	reasm_tick(&st->reasm, now_us);
	while ((r = record_next(&records, &len, &rec)) == 1)
		if (!input_record(st, &rec, now_us))
			st->counters.drop_decode++;
	if (r < 0)
		st->counters.drop_decode++;
	st->counters.drop_reasm = reasm_lost(&st->reasm);
}

void stream_reset(struct stream *st)
{
	reasm_reset(&st->reasm);
	st->counters.drop_reasm = reasm_lost(&st->reasm);
}

void stream_tick(struct stream *st, uint64_t now_us)
{
	reasm_tick(&st->reasm, now_us);
	st->counters.drop_reasm = reasm_lost(&st->reasm);
}

const struct stream_counters *stream_counters(const struct stream *st)
{
	return &st->counters;
}

const struct reasm_counters *stream_reasm_counters(const struct stream *st)
{
	return &st->reasm.counters;
}
