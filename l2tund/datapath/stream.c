/*
 * The record stream. Out: frames are packed as records into one datagram that is built where the
 * train's next one stands, with room in front and behind for what sealing adds. It is coupled
 * to the train when the next record does not fit; the train leaves when it is full, when
 * something larger comes, or at stream_flush(). In: records are checked one by one and handed
 * on, chunks by way of the reassembly table.
 *
 * The room of a datagram is asked for anew before each record, because sending may have taught
 * the session a smaller path MTU. Every frame put is counted once: as sent, when the
 * run with its last byte has left and nothing of it was lost before, or as dropped.
 */
#include "l2tund/datapath/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/chunks.h"
#include "l2tund/datapath/train.h"
#include "l2tund/session/record.h"

#define RECORDS_MAX (SESSION_DGRAM_MAX - SESSION_HEADROOM - SESSION_TAILROOM)

/* What a datagram carries, or a run of them. */
struct tally {
	unsigned ended;	  /* frames whose last byte is in it: sent when it leaves */
	unsigned chunked; /* those of them that are chunked */
	bool part;	  /* and some of the frame that is being split */
	bool end;	  /* of a datagram: one that ended in it is chunked and began in the run */
};

struct stream {
	const struct stream_ops *ops;
	void *arg;
	struct train *train;
	struct stream_options options;
	struct stream_counters counters;
	struct chunks *chunks;
	struct chunks own;  /* where `chunks` points when nobody shares them */
	size_t pending;	    /* bytes of records in the datagram under construction */
	struct tally dgram; /* of that datagram, */
	struct tally run;   /* and of those that are complete */
	int lost;	    /* why a part of the frame that is being split could not leave, or 0 */
};

struct stream *stream_new(const struct stream_ops *ops, void *arg, struct train *train,
			  const struct stream_options *options)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->ops = ops;
	st->arg = arg;
	st->train = train;
	st->options = *options;
	chunks_init(&st->own, false);
	st->chunks = options->chunks ? options->chunks : &st->own;
	return st;
}

void stream_free(struct stream *st)
{
	if (!st)
		return;
	assert(st->train->user != st);
	chunks_fini(&st->own);
	free(st);
}

/* ---- out: the train ---- */

static int drop(struct stream *st, int err)
{
	st->counters.drop[drop_reason(err)]++;
	return err;
}

static void lose(struct stream *st, const struct tally *t, int err)
{
	st->counters.drop[drop_reason(err)] += t->ended;
	if (t->part)
		st->lost = err;
}

/* A frame that began in a run that could not leave ends in the datagram that comes next. */
static void lose_end(struct stream *st, int err)
{
	if (!st->dgram.end)
		return;
	st->dgram.ended--;
	st->dgram.chunked -= st->dgram.chunked > 0;
	drop(st, err);
}

/* The run leaves. */
static void depart(struct stream *st)
{
	struct train *t = st->train;
	struct tally left = st->run;

	if (t->n == 0)
		return;
	int r = st->ops->send(st->arg, t->buf, t->len, t->size);
	t->n = 0;
	t->len = 0;
	st->run = (struct tally){ 0 };
	if (r < 0) {
		lose(st, &left, r);
		lose_end(st, r);
	} else {
		st->counters.tx_frames += left.ended;
		st->counters.tx_chunked += left.chunked;
	}
	st->dgram.end = false;
}

/* The datagram of `len` bytes at train_next() joins the run, or begins a new one. */
static void couple(struct stream *st, size_t len)
{
	struct train *t = st->train;
	const uint8_t *dgram = train_next(t);

	if (t->n > 0 && (len > t->size || t->len + len > TRAIN_BYTES)) {
		depart(st);
		memmove(t->buf, dgram, len);
	}
	if (t->n == 0)
		t->size = len;
	t->n++;
	t->len += len;
	st->run.ended += st->dgram.ended;
	st->run.chunked += st->dgram.chunked;
	st->run.part |= st->dgram.part;
	st->dgram = (struct tally){ 0 };
	if (len < t->size || t->n == TRAIN_DATAGRAMS)
		depart(st);
}

static void close_dgram(struct stream *st)
{
	size_t len = st->pending;

	if (len == 0)
		return;
	st->pending = 0;
	int r = st->ops->seal(st->arg, train_next(st->train), len);
	if (r >= 0) {
		couple(st, (size_t)r);
		return;
	}
	lose(st, &st->dgram, r);
	st->dgram = (struct tally){ 0 };
}

void stream_flush(struct stream *st)
{
	if (st->train->user != st)
		return;
	close_dgram(st);
	depart(st);
	st->train->user = NULL;
}

static void board(struct stream *st)
{
	if (st->train->user == st)
		return;
	if (st->train->user)
		stream_flush(st->train->user);
	st->train->user = st;
}

/* ---- out: records ---- */

static size_t stream_room(struct stream *st)
{
	return MIN(st->ops->room(st->arg), (size_t)RECORDS_MAX);
}

static size_t hint_bytes(const struct vnet *v)
{
	return (v->csum ? RECORD_CSUM_BYTES : 0) + (v->gso ? RECORD_GSO_BYTES : 0);
}

static uint8_t *put_hints(uint8_t *p, const struct vnet *v)
{
	if (v->csum) {
		put_le16(p, v->csum_start);
		put_le16(p + 2, v->csum_offset);
		p += RECORD_CSUM_BYTES;
	}
	if (v->gso) {
		p[0] = v->gso | (v->ecn ? RECORD_GSO_ECN : 0);
		p[1] = 0;
		put_le16(p + 2, v->gso_size);
		p += RECORD_GSO_BYTES;
	}
	return p;
}

/* Begins a record with `len` bytes behind header and hints; where they go. */
static uint8_t *append(struct stream *st, uint8_t kind, uint16_t segment, const struct vnet *v,
		       size_t len)
{
	uint8_t *p = train_next(st->train) + SESSION_HEADROOM + st->pending;
	uint8_t flags = (v->csum ? RECORD_F_CSUM : 0) | (v->gso ? RECORD_F_GSO : 0);
	size_t body = hint_bytes(v) + len;

	record_put_header(p, kind, flags, segment, (uint16_t)body);
	st->pending += RECORD_HDR_BYTES + body;
	return put_hints(p + RECORD_HDR_BYTES, v);
}

/* ---- out: a frame in several datagrams ---- */

static void split_begin(struct stream *st)
{
	st->lost = 0;
}

/* The last byte is in the datagram under construction; what came before may be in the run. */
static void split_end(struct stream *st, bool chunked)
{
	st->dgram.ended++;
	st->dgram.chunked += chunked;
	st->dgram.part = false;
	st->dgram.end |= st->run.part;
	st->run.part = false;
}

/* No more of it is sent; what has left or will leave is in vain. */
static int split_abort(struct stream *st, int err)
{
	st->run.part = false;
	st->dgram.part = false;
	return drop(st, err);
}

/* One frame cut from a larger one, built right where it leaves from; small ones share datagrams. */
static void put_piece(struct stream *st, uint16_t segment, struct cut *c, size_t len)
{
	uint8_t *p = append(st, RECORD_FRAME, segment, &c->vnet, len);
	struct vnet v;

	cut_next(c, p, &v);
	st->dgram.part = true;
	if (cut_size(c) == 0)
		split_end(st, false);
	if (!st->options.pack)
		close_dgram(st);
}

static int put_pieces(struct stream *st, uint16_t segment, struct cut *c)
{
	size_t overhead = RECORD_HDR_BYTES + hint_bytes(&c->vnet), len;

	split_begin(st);
	while ((len = cut_size(c)) > 0) {
		if (st->pending + overhead + len > stream_room(st))
			close_dgram(st);
		if (overhead + len > stream_room(st))
			return split_abort(st, -EMSGSIZE); /* it shrank on the way */
		if (st->lost)
			return split_abort(st, st->lost);
		put_piece(st, segment, c, len);
	}
	return 0;
}

static void append_chunk(struct stream *st, const struct reasm_chunk *c, struct cursor *from)
{
	uint8_t *p = append(st, RECORD_CHUNK, c->segment, &c->vnet, RECORD_CHUNK_BYTES + c->len);

	put_le32(p, c->message);
	put_le32(p + 4, c->offset);
	put_le32(p + 8, c->total);
	cursor_copy(from, p + RECORD_CHUNK_BYTES, c->len);
	st->dgram.part = true;
	if (c->offset + c->len == c->total)
		split_end(st, true);
}

/*
 * Bytes of each chunk when `left` are to go in datagrams of `room`, all about equal, so
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

/* As long as the room allows all chunks but the last are equal: they leave in one run. */
static void chunk_fit(struct stream *st, struct reasm_chunk *c, size_t overhead, unsigned chunks,
		      size_t *step)
{
	size_t left = c->total - c->offset, room = stream_room(st);

	if (*step == 0 || overhead + *step > room)
		*step = chunk_len(room, overhead, left, chunks);
	if (*step > 0 && st->pending + overhead + MIN(*step, left) > room) {
		close_dgram(st);
		room = stream_room(st);
		if (overhead + *step > room)
			*step = chunk_len(room, overhead, left, chunks);
	}
	c->len = MIN(*step, left);
}

/* A chunk that is not the last closes its datagram: two of one frame never share one. */
static int put_chunked(struct stream *st, uint16_t segment, const struct vnet *v,
		       const struct parts *parts)
{
	size_t overhead = RECORD_HDR_BYTES + hint_bytes(v) + RECORD_CHUNK_BYTES, step = 0;
	struct reasm_chunk c = { .segment = segment, .vnet = *v, .total = (uint32_t)parts->len };
	struct cursor from = { parts->iov, 0 };

	split_begin(st);
	c.message = (uint32_t)counter_next(&st->chunks->message);
	for (unsigned sent = 0; sent < REASM_CHUNKS_MAX; sent++) {
		chunk_fit(st, &c, overhead, REASM_CHUNKS_MAX - sent, &step);
		if (st->lost)
			return split_abort(st, st->lost);
		if (c.len == 0)
			return split_abort(st, -E2BIG);
		append_chunk(st, &c, &from);
		c.offset += (uint32_t)c.len;
		if (c.offset == c.total)
			return 0;
		close_dgram(st);
		if (st->lost)
			return split_abort(st, st->lost);
	}
	return split_abort(st, -E2BIG); /* the room shrank on the way */
}

/* Frames where that can be: they need not all arrive, and the far end may join them again. */
static int put_large(struct stream *st, uint16_t segment, const struct vnet *v,
		     const struct parts *p, size_t room)
{
	size_t overhead = RECORD_HDR_BYTES + RECORD_CSUM_BYTES;
	struct cut c;

	if (room > overhead && cut_init(&c, v, p, room - overhead) == 0)
		return put_pieces(st, segment, &c);
	return put_chunked(st, segment, v, p);
}

static bool frame_valid(const struct vnet *v, size_t len)
{
	return len >= FRAME_MIN && len <= FRAME_MAX && vnet_valid(v, len);
}

int stream_put(struct stream *st, uint16_t far_id, const struct vnet *v, const struct parts *p)
{
	size_t need = RECORD_HDR_BYTES + hint_bytes(v) + p->len;
	struct cursor from = { p->iov, 0 };

	if (!frame_valid(v, p->len))
		return drop(st, -EBADMSG);
	board(st);
	size_t room = stream_room(st);
	if (need <= room && st->pending + need > room) {
		close_dgram(st);
		room = stream_room(st);
	}
	if (room == 0)
		return drop(st, -ENETDOWN);
	if (v->gso || need > room)
		return put_large(st, far_id, v, p, room);
	cursor_copy(&from, append(st, RECORD_FRAME, far_id, v, p->len), p->len);
	st->dgram.ended++;
	if (!st->options.pack)
		close_dgram(st);
	return 0;
}

int stream_put_frame(struct stream *st, uint16_t far_id, const struct vnet *v, const uint8_t *frame,
		     size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)frame, len };

	return stream_put(st, far_id, v, &(struct parts){ &iov, 1, len });
}

/* ---- in ---- */

/* What is left of a record while its extra headers are taken off. */
struct body {
	uint8_t *p;
	size_t len;
};

static const uint8_t *take(struct body *b, size_t len)
{
	uint8_t *p = b->p;

	if (b->len < len)
		return NULL;
	b->p += len;
	b->len -= len;
	return p;
}

static bool take_csum(struct body *b, struct vnet *v)
{
	const uint8_t *p = take(b, RECORD_CSUM_BYTES);

	if (!p)
		return false;
	v->csum = true;
	v->csum_start = get_le16(p);
	v->csum_offset = get_le16(p + 2);
	return true;
}

static bool take_gso(struct body *b, struct vnet *v)
{
	const uint8_t *p = take(b, RECORD_GSO_BYTES);

	if (!p || p[1])
		return false;
	v->gso = p[0] & (uint8_t)~RECORD_GSO_ECN;
	v->ecn = p[0] & RECORD_GSO_ECN;
	v->gso_size = get_le16(p + 2);
	return v->gso != VNET_GSO_NONE; /* the rest is for vnet_valid() */
}

/* What the flags ask for, as far as they are allowed in records of that kind. */
static bool take_vnet(struct body *b, const struct record *r, struct vnet *ret)
{
	uint8_t flags = r->flags;

	*ret = (struct vnet){ 0 };
	if (flags & ~(RECORD_F_CSUM | RECORD_F_GSO))
		return false;
	if (flags & RECORD_F_GSO && (r->kind != RECORD_CHUNK || !(flags & RECORD_F_CSUM)))
		return false;
	return (!(flags & RECORD_F_CSUM) || take_csum(b, ret)) &&
	       (!(flags & RECORD_F_GSO) || take_gso(b, ret));
}

static bool input_frame(struct stream *st, uint16_t segment, const struct vnet *v, struct body b)
{
	if (!frame_valid(v, b.len))
		return false;
	st->counters.rx_frames++;
	st->ops->deliver(st->arg, segment, v, b.p, b.len, true);
	return true;
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
	chunks_lock(st->chunks);
	reasm_tick(&st->chunks->reasm, now_us);
	int r = reasm_add(&st->chunks->reasm, &c, now_us, &f);
	if (r == 1) {
		st->counters.rx_frames++;
		st->counters.rx_chunked++;
		st->ops->deliver(st->arg, f.segment, &f.vnet, f.bytes, f.len, false);
	}
	chunks_unlock(st->chunks);
	return r != -EBADMSG;
}

/* False: malformed, and only this record is lost. */
static bool input_record(struct stream *st, const struct record *r, uint8_t *bytes, uint64_t now_us)
{
	struct body b = { bytes, r->len };
	struct vnet v;

	if (r->kind == RECORD_CONTROL) /* the session's */
		return true;
	if (!take_vnet(&b, r, &v))
		return false;
	switch (r->kind) {
	case RECORD_FRAME:
		return input_frame(st, r->segment, &v, b);
	case RECORD_CHUNK:
		return input_chunk(st, r->segment, &v, b, now_us);
	}
	return false;
}

void stream_input(struct stream *st, uint8_t *records, size_t len, uint64_t now_us)
{
	const uint8_t *p = records;
	struct record rec;
	int r;

	if (!st->chunks->shared) /* else with each chunk, and stream_tick() */
		reasm_tick(&st->chunks->reasm, now_us);
	while ((r = record_next(&p, &len, &rec)) == 1)
		if (!input_record(st, &rec, records + (rec.bytes - records), now_us))
			st->counters.drop_decode++;
	if (r < 0)
		st->counters.drop_decode++;
}

void stream_reset(struct stream *st)
{
	reasm_reset(&st->chunks->reasm);
}

void stream_tick(struct stream *st, uint64_t now_us)
{
	reasm_tick(&st->chunks->reasm, now_us);
}

const struct stream_counters *stream_counters(struct stream *st)
{
	st->counters.drop_reasm = reasm_lost(&st->chunks->reasm);
	return &st->counters;
}

const struct reasm_counters *stream_reasm_counters(const struct stream *st)
{
	return &st->chunks->reasm.counters;
}
