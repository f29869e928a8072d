/*
 * Data records of an authenticated but hostile peer. The input is a room (u16) and then
 * datagrams: length u16, milliseconds since the last one u8, records.
 *
 * Whatever comes out of the first stream is put into a second one with that room, and
 * what arrives behind it at a third must be the same frames in the same order.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/stream.h"
#include "l2tund/datapath/train.h"
#include "l2tund/session/record.h"
#include "l2tund/session/session.h"
#include "tests/fuzz/fuzz.h"

#define SENT_MAX (4096 + CUT_PIECES_MAX)

struct world {
	struct stream *in, *out, *back;
	size_t room;
	uint64_t now_us;
	uint64_t sums[SENT_MAX]; /* of the frames put, in order */
	unsigned n_sent, n_back;
	unsigned n_put;
	struct train train;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint64_t sum(uint16_t id, const struct vnet *v, const uint8_t *frame, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ id ^ (uint64_t)len << 32;

	h ^= v->csum ? (uint64_t)v->csum_start << 16 ^ (uint64_t)v->csum_offset << 48 : 0;
	h ^= (uint64_t)v->gso << 8 ^ (uint64_t)v->gso_size << 24 ^ v->ecn;
	for (size_t i = 0; i < len; i++)
		h = (h ^ frame[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* What is to arrive: the frame, or the pieces that it is cut into. */
static void expect(struct world *w, uint16_t id, const struct vnet *v, const uint8_t *frame,
		   size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)frame, len };
	size_t over = RECORD_HDR_BYTES + RECORD_CSUM_BYTES;
	size_t room =
		MIN(w->room, (size_t)(SESSION_DGRAM_MAX - SESSION_HEADROOM - SESSION_TAILROOM));
	bool whole = RECORD_HDR_BYTES + (v->csum ? RECORD_CSUM_BYTES : 0) + len <= room && !v->gso;
	static uint8_t piece[SESSION_DGRAM_MAX];
	struct vnet piece_v;
	struct cut c;

	if (whole || room <= over ||
	    cut_init(&c, v, &(struct parts){ &iov, 1, len }, room - over) < 0) {
		w->sums[w->n_sent++] = sum(id, v, frame, len);
		return;
	}
	for (size_t n; (n = cut_size(&c)) > 0;) {
		cut_next(&c, piece, &piece_v);
		w->sums[w->n_sent++] = sum(id, &piece_v, piece, n);
	}
}

static void in_deliver(void *arg, uint16_t id, const struct vnet *v, uint8_t *frame, size_t len,
		       bool stays)
{
	struct world *w = arg;

	(void)stays;
	must(len >= FRAME_MIN && len <= FRAME_MAX && vnet_valid(v, len));
	if (w->n_sent > SENT_MAX - CUT_PIECES_MAX)
		return;
	unsigned before = w->n_sent;
	expect(w, id, v, frame, len);
	int r = stream_put_frame(w->out, id, v, frame, len);
	must(r == 0 || r == -ENETDOWN || r == -E2BIG);
	if (r < 0)
		w->n_sent = before;
	else
		w->n_put++;
}

static void back_deliver(void *arg, uint16_t id, const struct vnet *v, uint8_t *frame, size_t len,
			 bool stays)
{
	struct world *w = arg;

	(void)stays;
	must(w->n_back < w->n_sent);
	must(w->sums[w->n_back++] == sum(id, v, frame, len));
}

static size_t room(void *arg)
{
	return ((struct world *)arg)->room;
}

static int seal(void *arg, uint8_t *dgram, size_t len)
{
	struct world *w = arg;

	must(len > 0 && len <= w->room);
	memset(dgram, 0xee, SESSION_HEADROOM);
	memset(dgram + SESSION_HEADROOM + len, 0xee, SESSION_TAILROOM);
	return (int)(len + SESSION_HEADROOM + SESSION_TAILROOM);
}

static int send_on(void *arg, const uint8_t *buf, size_t len, size_t size)
{
	struct world *w = arg;
	static uint8_t dgram[SESSION_DGRAM_MAX];

	must(size <= len && len <= MAX((size_t)TRAIN_BYTES, size));
	for (; len > 0; buf += size, len -= size) {
		size = MIN(size, len);
		memcpy(dgram, buf, size);
		stream_input(w->back, dgram + SESSION_HEADROOM,
			     size - SESSION_HEADROOM - SESSION_TAILROOM, w->now_us);
	}
	return 0;
}

static void no_deliver(void *arg, uint16_t id, const struct vnet *v, uint8_t *frame, size_t len,
		       bool stays)
{
	(void)arg, (void)id, (void)v, (void)frame, (void)len, (void)stays;
	abort();
}

static const struct stream_ops in_ops = { room, seal, send_on, in_deliver };
static const struct stream_ops out_ops = { room, seal, send_on, no_deliver };
static const struct stream_ops back_ops = { room, seal, send_on, back_deliver };

static void run(struct world *w, const uint8_t *data, size_t size)
{
	while (size >= 3) {
		size_t len = MIN((size_t)get_le16(data), size - 3);

		w->now_us += data[2] * US_PER_MS;
		/* A copy of its own, so that a read behind the datagram is seen. */
		uint8_t *dgram = malloc(len ? len : 1);
		memcpy(dgram, data + 3, len);
		stream_input(w->in, dgram, len, w->now_us);
		stream_flush(w->out);
		free(dgram);
		data += 3 + len;
		size -= 3 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct stream_options options = { .pack = true };
	static struct world w;

	if (size < 2)
		return 0;
	memset(&w, 0, offsetof(struct world, train) + offsetof(struct train, buf));
	w.room = get_le16(data) % SESSION_DGRAM_MAX;
	w.in = stream_new(&in_ops, &w, &w.train, &options);
	w.out = stream_new(&out_ops, &w, &w.train, &options);
	w.back = stream_new(&back_ops, &w, &w.train, &options);
	must(w.in && w.out && w.back);
	run(&w, data + 2, size - 2);

	const struct stream_counters *c = stream_counters(w.out);
	must(c->tx_frames == w.n_put && w.n_back == w.n_sent);
	must(stream_counters(w.back)->drop_decode == 0 && stream_counters(w.back)->drop_reasm == 0);
	stream_free(w.in);
	stream_free(w.out);
	stream_free(w.back);
	return 0;
}
