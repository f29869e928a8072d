/*
 * The record stream: two of them joined by a wire that the test holds in its hands. What
 * must come out is computed from the records seen on the wire, not by the code under test.
 */
#include "tests/unit/stream_ends.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/reasm.h"
#include "l2tund/session/record.h"

#define CHUNK_OVERHEAD (RECORD_HDR_BYTES + RECORD_CHUNK_BYTES)

/*
 * The pieces of one chunked frame are equal, the last is little smaller, and they fill no more
 * datagrams than needed.
 */
static void assert_balanced(const struct end *e, size_t len)
{
	size_t least = SIZE_MAX, most = 0, sum = 0;

	assert_int_equal(e->n_wire,
			 (len + e->room - CHUNK_OVERHEAD - 1) / (e->room - CHUNK_OVERHEAD));
	for (unsigned i = 0; i < e->n_wire; i++) {
		size_t piece = e->wire[i].len - CHUNK_OVERHEAD;
		assert_int_equal(e->wire[i].bytes[0], RECORD_CHUNK);
		if (i + 1 < e->n_wire)
			least = MIN(least, piece);
		most = MAX(most, piece);
		sum += piece;
		assert_true(most - piece <= e->n_wire);
	}
	assert_int_equal(sum, len);
	assert_int_equal(most, least);
}

static const size_t rooms[] = { 1140, 1440, 8940 };

static void every_size_through_every_room(void **state)
{
	struct fixture *f = *state;
	uint64_t frames = 0, chunked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		f->tx.room = rooms[i];
		for (uint32_t len = 14; len <= 9018; len++) {
			send_one(f, len, len);
			for (unsigned d = 0; d < f->tx.n_wire; d++)
				assert_true(f->tx.wire[d].len <= rooms[i]);
			if (len + RECORD_HDR_BYTES <= rooms[i]) {
				assert_int_equal(f->tx.n_wire, 1);
				assert_int_equal(f->tx.wire[0].len, len + RECORD_HDR_BYTES);
			} else {
				assert_balanced(&f->tx, len);
				chunked++;
			}
			cross(f, 0, f->tx.n_wire);
			assert_int_equal(f->rx.n_frames, ++frames);
			assert_last_is(&f->rx, len, len);
			wire_clear(&f->tx);
		}
	}
	assert_int_equal(stream_counters(f->tx.st)->tx_frames, frames);
	assert_int_equal(stream_counters(f->tx.st)->tx_chunked, chunked);
	assert_int_equal(stream_counters(f->rx.st)->rx_frames, frames);
	assert_int_equal(stream_counters(f->rx.st)->rx_chunked, chunked);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 0);
	assert_int_equal(stream_counters(f->rx.st)->drop_decode, 0);
}

static void largest_frames(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = { 9019, 16000, 65535, 65536, FRAME_MAX };

	for (uint32_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		f->tx.room = rooms[i];
		for (uint32_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			send_one(f, k, sizes[k]);
			assert_balanced(&f->tx, sizes[k]);
			cross(f, 0, f->tx.n_wire);
			assert_last_is(&f->rx, k, sizes[k]);
			wire_clear(&f->tx);
		}
	}
	assert_int_equal(f->rx.n_frames, 15);
}

static void in_order(struct end *e, uint16_t id, const struct vnet *v, const uint8_t *frame,
		     size_t len)
{
	(void)id, (void)v, (void)len;
	assert_int_equal(get_le32(frame), e->n_frames - 1);
}

/* Frames of all sizes one after the other, flushed only at the end: none is lost, order is kept. */
static void packed_in_order(void **state)
{
	struct fixture *f = *state;
	uint32_t number = 0;

	f->rx.on_frame = in_order;
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct prng p = { i };
		f->tx.room = rooms[i];
		for (int k = 0; k < 4000; k++) {
			size_t len = 14 + prng_below(&p, k % 2 ? 100 : 3000);
			assert_int_equal(put(&f->tx, number++, len), 0);
		}
		stream_flush(f->tx.st);
		for (unsigned d = 0; d < f->tx.n_wire; d++)
			assert_true(f->tx.wire[d].len <= rooms[i]);
		cross(f, 0, f->tx.n_wire);
		wire_clear(&f->tx);
	}
	assert_int_equal(f->rx.n_frames, number);
}

static void assert_wire(const struct end *e, unsigned n, const size_t *lens)
{
	assert_int_equal(e->n_wire, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(e->wire[i].len, lens[i]);
}

static void packing_is_exact(void **state)
{
	struct fixture *f = *state;

	/* 21 records of 66 bytes fit 1440; the datagram leaves when the 22nd comes. */
	for (int i = 0; i < 210; i++) {
		assert_int_equal(f->tx.train->n, i ? (i - 1) / 21 : 0);
		put(&f->tx, 0, 60);
	}
	stream_flush(f->tx.st);
	assert_int_equal(f->tx.n_sent, 1);
	for (unsigned i = 0; i < f->tx.n_wire; i++)
		assert_int_equal(f->tx.wire[i].len, 21 * 66);
	assert_int_equal(f->tx.n_wire, 10);
	stream_flush(f->tx.st); /* nothing waits: nothing leaves */
	assert_int_equal(f->tx.n_wire, 10);
	wire_clear(&f->tx);

	/* Just fits; one byte more is cut in two. */
	put(&f->tx, 0, 1440 - RECORD_HDR_BYTES);
	send_one(f, 0, 1440 - RECORD_HDR_BYTES + 1);
	assert_wire(&f->tx, 3, (size_t[]){ 1440, 718 + CHUNK_OVERHEAD, 717 + CHUNK_OVERHEAD });
	wire_clear(&f->tx);

	/* Two that fill it to the last byte. */
	put(&f->tx, 0, 714);
	send_one(f, 0, 714);
	assert_wire(&f->tx, 1, (size_t[]){ 1440 });
	wire_clear(&f->tx);

	/* Does not fit the rest but an empty one: flushes first. */
	put(&f->tx, 0, 700);
	put(&f->tx, 0, 700);
	send_one(f, 0, 60);
	assert_wire(&f->tx, 2, (size_t[]){ 1412, 66 });
	wire_clear(&f->tx);

	/* The first and the last chunk share with small frames before and after. */
	put(&f->tx, 0, 60);
	put(&f->tx, 0, 1514);
	send_one(f, 0, 60);
	assert_wire(&f->tx, 2, (size_t[]){ 66 + 757 + CHUNK_OVERHEAD, 757 + CHUNK_OVERHEAD + 66 });
	assert_int_equal(stream_counters(f->tx.st)->tx_frames, 220);
	assert_int_equal(stream_counters(f->tx.st)->tx_chunked, 2);
}

/* ---- loss, copies, order ---- */

#define LOSSY_FRAMES 3000

/* What the test knows from the wire about each frame. */
struct oracle {
	uint8_t missing[LOSSY_FRAMES]; /* datagrams of it that were lost */
	uint8_t delivered[LOSSY_FRAMES];
	size_t len[LOSSY_FRAMES];
	uint32_t chunked[LOSSY_FRAMES]; /* frame number by message number */
	unsigned n_chunked;
};

static struct oracle oracle;

static void lossy_frame(struct end *e, uint16_t id, const struct vnet *v, const uint8_t *frame,
			size_t len)
{
	uint32_t number = get_le32(frame);

	(void)id, (void)v;
	assert_true(number < LOSSY_FRAMES);
	assert_int_equal(len, oracle.len[number]);
	assert_last_is(e, number, len);
	oracle.delivered[number]++;
}

/* Counts what a lost datagram takes with it; whether it holds nothing but chunks. */
static bool scan(const struct dgram *d, bool lost)
{
	const uint8_t *p = d->bytes;
	size_t len = d->len;
	struct record rec;
	bool only_chunks = true;

	while (record_next(&p, &len, &rec) == 1) {
		bool is_chunk = rec.kind == RECORD_CHUNK;
		uint32_t number =
			is_chunk ? oracle.chunked[get_le32(rec.bytes)] : get_le32(rec.bytes);
		only_chunks &= is_chunk;
		oracle.missing[number] += lost;
	}
	return only_chunks;
}

static void lossy_put_all(struct fixture *f, struct prng *p)
{
	memset(&oracle, 0, sizeof(oracle));
	for (uint32_t i = 0; i < LOSSY_FRAMES; i++) {
		size_t len = prng_below(p, 2) ? 14 + prng_below(p, 200) : 14 + prng_below(p, 9005);
		oracle.len[i] = len;
		if (len + RECORD_HDR_BYTES > f->tx.room)
			oracle.chunked[oracle.n_chunked++] = i;
		assert_int_equal(put(&f->tx, i, len), 0);
		if (prng_below(p, 10) == 0)
			stream_flush(f->tx.st);
	}
	stream_flush(f->tx.st);
}

/*
 * Each datagram may be lost, come again at once (only when it holds chunks: copies of
 * whole frames are refused by the session's replay window before they get here), or
 * wait for up to eight others.
 */
static void lossy_cross(struct fixture *f, struct prng *p, unsigned loss_percent)
{
	struct dgram *wait[8] = { 0 };

	for (unsigned i = 0; i < f->tx.n_wire + 8; i++) {
		struct dgram *d = i < f->tx.n_wire ? &f->tx.wire[i] : NULL;
		bool lost = d && prng_below(p, 100) < loss_percent;
		unsigned slot = d ? (unsigned)prng_below(p, 8) : i - f->tx.n_wire;
		struct dgram *out = lost ? NULL : wait[slot];
		unsigned copies = 1;

		if (d)
			scan(d, lost);
		if (!lost)
			wait[slot] = d;
		if (out)
			copies += prng_below(p, 4) == 0 && scan(out, false);
		while (out && copies--)
			stream_input(f->rx.st, out->bytes, out->len, T0);
	}
}

static void loss_copies_and_order(void **state)
{
	static const unsigned loss[] = { 0, 1, 10, 30 };

	(void)state;
	for (uint64_t seed = 0; seed < 12; seed++) {
		struct prng p = { seed };
		struct fixture *f;
		unsigned whole = 0;

		ends_setup((void **)&f);
		f->tx.room = rooms[seed % 3];
		f->rx.on_frame = lossy_frame;
		lossy_put_all(f, &p);
		lossy_cross(f, &p, loss[seed % 4]);
		for (unsigned i = 0; i < LOSSY_FRAMES; i++) {
			assert_int_equal(oracle.delivered[i], oracle.missing[i] == 0);
			whole += oracle.missing[i] == 0;
		}
		assert_int_equal(f->rx.n_frames, whole);
		assert_int_equal(stream_counters(f->rx.st)->rx_frames, whole);
		assert_int_equal(stream_counters(f->rx.st)->drop_decode, 0);
		assert_int_equal(whole == LOSSY_FRAMES, loss[seed % 4] == 0);
		ends_teardown((void **)&f);
	}
}

/* ---- time ---- */

static void timeouts(void **state)
{
	struct fixture *f = *state;

	put(&f->tx, 1, 1514);
	send_one(f, 2, 1514);
	assert_int_equal(f->tx.n_wire, 4);
	const struct dgram *w = f->tx.wire;

	stream_input(f->rx.st, w[0].bytes, w[0].len, T0);
	stream_input(f->rx.st, w[2].bytes, w[2].len, T0);
	stream_input(f->rx.st, w[1].bytes, w[1].len, T0 + REASM_TIMEOUT_US - 1);
	assert_int_equal(f->rx.n_frames, 1);
	assert_last_is(&f->rx, 1, 1514);
	stream_input(f->rx.st, w[3].bytes, w[3].len, T0 + REASM_TIMEOUT_US);
	assert_int_equal(f->rx.n_frames, 1);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 1);
	assert_int_equal(stream_reasm_counters(f->rx.st)->lost_timeout, 1);
}

/* Frames run the clock as well as chunks, and a tick does where nothing comes. */
static void what_runs_the_clock(void **state)
{
	struct fixture *f = *state;

	send_one(f, 1, 1514);
	send_one(f, 2, 60);
	cross(f, 0, 1);
	stream_input(f->rx.st, f->tx.wire[2].bytes, f->tx.wire[2].len, T0 + REASM_TIMEOUT_US);
	assert_int_equal(f->rx.n_frames, 1);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 1);
	send_one(f, 3, 1514);
	cross(f, 3, 4);
	stream_tick(f->rx.st, T0 + REASM_TIMEOUT_US - 1);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 1);
	stream_tick(f->rx.st, T0 + REASM_TIMEOUT_US);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 2);
}

static void reset_drops_halves(void **state)
{
	struct fixture *f = *state;

	send_one(f, 1, 1514);
	cross(f, 0, 1);
	stream_reset(f->rx.st);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 1);
	cross(f, 1, 2);
	assert_int_equal(f->rx.n_frames, 0);
	/* A restarted peer counts from zero and is heard. */
	stream_free(f->tx.st);
	f->tx.st = stream_new(&end_ops, &f->tx, f->tx.train, &packing);
	wire_clear(&f->tx);
	stream_reset(f->rx.st);
	send_one(f, 2, 1514);
	cross(f, 0, 2);
	assert_int_equal(f->rx.n_frames, 1);
	assert_last_is(&f->rx, 2, 1514);
}

/* ---- room ---- */

static void every_small_room(void **state)
{
	struct fixture *f = *state;
	const struct stream_counters *c = stream_counters(f->tx.st);

	for (f->tx.room = 0; f->tx.room < 300; f->tx.room++) {
		unsigned before = f->rx.n_frames;
		uint64_t drops = drop_sum(c->drop);
		int r = put(&f->tx, 4, 1514);

		stream_flush(f->tx.st);
		cross(f, 0, f->tx.n_wire);
		/* 64 pieces of 24 bytes are enough for 1514, of 23 are not. */
		if (f->tx.room >= CHUNK_OVERHEAD + 24) {
			assert_int_equal(r, 0);
			assert_int_equal(f->rx.n_frames, before + 1);
			assert_last_is(&f->rx, 4, 1514);
			assert_int_equal(drop_sum(c->drop), drops);
		} else {
			assert_int_equal(r, f->tx.room ? -E2BIG : -ENETDOWN);
			assert_int_equal(c->drop[f->tx.room ? DROP_NO_ROOM : DROP_NO_KEY],
					 f->tx.room ? f->tx.room : 1);
			assert_int_equal(drop_sum(c->drop), drops + 1);
			assert_int_equal(f->tx.n_wire, 0);
		}
		wire_clear(&f->tx);
	}
}

/* The room jumps about at every look and sends fail: every frame is counted exactly once. */
static void flapping_room_and_failing_sends(void **state)
{
	struct fixture *f = *state;
	struct prng p = { 11 }, flap = { 12 }, fail = { 13 };
	const struct stream_counters *c = stream_counters(f->tx.st);
	unsigned refused = 0, frames = 20000;

	f->tx.room = 1500;
	f->tx.flap = &flap;
	f->tx.fail = &fail;
	f->tx.fail_permille = 50;
	f->tx.seal_fail_permille = 20;
	for (unsigned i = 0; i < frames; i++) {
		refused += put(&f->tx, i, 14 + prng_below(&p, 3000)) < 0;
		if (i % 7 == 0)
			stream_flush(f->tx.st);
		cross(f, 0, f->tx.n_wire);
		wire_clear(&f->tx);
	}
	stream_flush(f->tx.st);
	cross(f, 0, f->tx.n_wire);
	assert_int_equal(c->tx_frames + drop_sum(c->drop), frames);
	assert_int_equal(f->rx.n_frames, c->tx_frames);
	assert_in_range(refused, 1, drop_sum(c->drop));
	assert_true(c->drop[DROP_NO_KEY] > 0 && c->drop[DROP_FULL] > 0);
	assert_true(c->tx_frames > frames / 2);
	assert_int_equal(stream_counters(f->rx.st)->drop_decode, 0);
}

static void room_is_clamped_to_the_buffer(void **state)
{
	struct fixture *f = *state;

	f->tx.room = SIZE_MAX;
	for (uint32_t i = 0; i < 50; i++)
		send_one(f, i, 20000);
	cross(f, 0, f->tx.n_wire); /* end_send checks the lengths */
	assert_int_equal(f->rx.n_frames, 50);
}

static void failed_send_loses_all_of_its_frames(void **state)
{
	struct fixture *f = *state;
	struct prng fail = { 1 };
	const struct stream_counters *c = stream_counters(f->tx.st);

	f->tx.fail = &fail;
	f->tx.fail_permille = 1000;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(put(&f->tx, i, 60), 0);
	assert_int_equal(drop_sum(c->drop), 0);
	stream_flush(f->tx.st);
	assert_int_equal(drop_sum(c->drop), 5);
	/* A chunked frame whose first piece is refused is lost once, and no more of it tried. */
	assert_int_equal(put(&f->tx, 5, 65535), -ENOBUFS);
	assert_int_equal(drop_sum(c->drop), 6);
	/* One that waits as a whole is lost as a whole. */
	stream_flush(f->tx.st);
	assert_int_equal(put(&f->tx, 6, 9000), 0);
	stream_flush(f->tx.st);
	assert_int_equal(drop_sum(c->drop), 7);
	f->tx.fail_permille = 0;
	stream_flush(f->tx.st);
	assert_int_equal(f->tx.n_wire, 0);
	assert_int_equal(c->tx_frames, 0);
}

/* ---- what may not go out ---- */

static void not_a_frame(void **state)
{
	struct fixture *f = *state;
	static uint8_t frame[FRAME_MAX + 1];
	const struct vnet outside = { .csum = true, .csum_start = 34, .csum_offset = 16 };

	assert_int_equal(put(&f->tx, 0, FRAME_MIN - 1), -EBADMSG);
	assert_int_equal(put(&f->tx, 0, FRAME_MAX + 1), -EBADMSG);
	assert_int_equal(stream_put_frame(f->tx.st, 1, &outside, frame, 51), -EBADMSG);
	assert_int_equal(drop_sum(stream_counters(f->tx.st)->drop), 3);
	stream_flush(f->tx.st);
	assert_int_equal(f->tx.n_wire, 0);
	assert_int_equal(put(&f->tx, 0, FRAME_MIN), 0);
}

static void checksum_hint_crosses(void **state)
{
	struct fixture *f = *state;
	static uint8_t frame[3000];
	const struct vnet v = { .csum = true, .csum_start = 34, .csum_offset = 16 };
	static const size_t sizes[] = { 52, 60, 1430, 1431, 3000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		make_frame(frame, 9, sizes[i]);
		assert_int_equal(stream_put_frame(f->tx.st, SEGMENT, &v, frame, sizes[i]), 0);
		stream_flush(f->tx.st);
		assert_int_equal(f->tx.n_wire, sizes[i] <= 1430 ? 1 : 1 + sizes[i] / 1430);
		cross(f, 0, f->tx.n_wire);
		wire_clear(&f->tx);
		assert_int_equal(f->rx.n_frames, i + 1);
		assert_last_is(&f->rx, 9, sizes[i]);
		assert_true(f->rx.last_vnet.csum);
		assert_int_equal(f->rx.last_vnet.csum_start, 34);
		assert_int_equal(f->rx.last_vnet.csum_offset, 16);
	}
	send_one(f, 1, 60);
	cross(f, 0, 1);
	assert_false(f->rx.last_vnet.csum);
}

/* ---- what may come in ---- */

/* A record with a body of `len` bytes, the first of them `head`. */
static size_t record(uint8_t *p, uint8_t kind, uint8_t flags, const uint8_t *head, size_t n_head,
		     size_t len)
{
	record_put_header(p, kind, flags, SEGMENT, (uint16_t)len);
	memset(p + RECORD_HDR_BYTES, 0x55, len);
	if (n_head)
		memcpy(p + RECORD_HDR_BYTES, head, MIN(n_head, len));
	return RECORD_HDR_BYTES + len;
}

static void hostile_records(void **state)
{
	struct fixture *f = *state;
#define LE16(v) (v) & 255, (v) >> 8
#define LE32(v) LE16((v)&65535), LE16((uint32_t)(v) >> 16)
	static const struct {
		uint8_t kind, flags;
		uint8_t head[16];
		size_t len;
		enum { FRAME, BAD, SKIP } want;
	} rows[] = {
		{ RECORD_FRAME, 0, { 0 }, 14, FRAME },
		{ RECORD_FRAME, 0, { 0 }, 13, BAD },
		{ RECORD_FRAME, 0, { 0 }, 0, BAD },
		{ RECORD_FRAME, 2, { 0 }, 60, BAD },
		{ RECORD_FRAME, 0x81, { LE16(14), LE16(0) }, 60, BAD },
		{ RECORD_FRAME, 1, { LE16(14), LE16(44) }, 64, FRAME },
		{ RECORD_FRAME, 1, { LE16(14), LE16(45) }, 64, BAD },
		{ RECORD_FRAME, 1, { LE16(13), LE16(0) }, 64, BAD },
		{ RECORD_FRAME, 1, { LE16(0xffff), LE16(0xffff) }, 64, BAD },
		{ RECORD_FRAME, 1, { 0 }, 3, BAD },
		{ RECORD_FRAME, 1, { LE16(14), LE16(0) }, 17, BAD },
		{ RECORD_CHUNK, 0, { LE32(90), LE32(0), LE32(14) }, 12 + 14, FRAME },
		{ RECORD_CHUNK, 0, { LE32(91), LE32(0), LE32(13) }, 12 + 13, BAD },
		{ RECORD_CHUNK, 0, { LE32(92), LE32(0), LE32(FRAME_MAX + 1) }, 12 + 14, BAD },
		{ RECORD_CHUNK, 0, { LE32(93), LE32(0), LE32(0xffffffff) }, 12 + 14, BAD },
		{ RECORD_CHUNK, 0, { LE32(94), LE32(100), LE32(60) }, 12 + 14, BAD },
		{ RECORD_CHUNK, 0, { LE32(95), LE32(50), LE32(60) }, 12 + 11, BAD },
		{ RECORD_CHUNK, 0, { LE32(96), LE32(0xfffffff0), LE32(60) }, 12 + 32, BAD },
		{ RECORD_CHUNK, 0, { LE32(97), LE32(0), LE32(60) }, 12, BAD },
		{ RECORD_CHUNK, 0, { LE32(98), LE32(0) }, 11, BAD },
		{ RECORD_CHUNK, 1, { LE16(34), LE16(26), LE32(99), LE32(0) }, 4 + 11, BAD },
		{ 2, 0, { LE32(1), LE16(0), LE16(1) }, 8 + 60, BAD },
		{ RECORD_FRAME, 3, { LE16(34), LE16(6), LE16(1), LE16(1400) }, 8 + 60, BAD },
		{ RECORD_CHUNK, 2, { LE16(1), LE16(9), LE32(80), LE32(0), LE32(60) }, 76, BAD },
		{ RECORD_CONTROL, 0xff, { 0 }, 40, SKIP },
		{ 0, 0, { 0 }, 60, BAD },
		{ 5, 0, { 0 }, 60, BAD },
		{ 255, 0, { 0 }, 60, BAD },
	};
	const struct stream_counters *c = stream_counters(f->rx.st);
	uint8_t buf[512];
	unsigned frames = 0, decode = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* A good frame behind each shows that only the bad record is lost. */
		size_t len = record(buf, rows[i].kind, rows[i].flags, rows[i].head,
				    sizeof(rows[i].head), rows[i].len);
		len += record(buf + len, RECORD_FRAME, 0, NULL, 0, 60);
		uint8_t *exact = malloc(len); /* so that a read behind it is seen */
		memcpy(exact, buf, len);
		stream_input(f->rx.st, exact, len, T0);
		free(exact);
		frames += 1 + (rows[i].want == FRAME);
		decode += rows[i].want == BAD;
		assert_int_equal(f->rx.n_frames, frames);
		assert_int_equal(c->drop_decode, decode);
	}
	assert_int_equal(c->rx_frames, frames);
}

/* Cut off anywhere: the records before the cut count, and one error. */
static void cut_datagrams(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[512];
	size_t one = record(buf, RECORD_FRAME, 0, NULL, 0, 60);
	size_t all = one + record(buf + one, RECORD_FRAME, 0, NULL, 0, 70);
	const struct stream_counters *c = stream_counters(f->rx.st);

	for (size_t len = 0; len <= all; len++) {
		unsigned frames = f->rx.n_frames;
		uint64_t decode = c->drop_decode;
		bool whole = len == 0 || len == one || len == all;

		stream_input(f->rx.st, buf, len, T0);
		assert_int_equal(f->rx.n_frames - frames, (len >= one) + (len == all));
		assert_int_equal(c->drop_decode - decode, !whole);
	}
}

/* Contradicting chunks are counted as a frame lost in reassembly, not as malformed. */
static void contradiction_is_a_reassembly_loss(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[512];
	static const uint8_t a[] = { LE32(7), LE32(0), LE32(100) };
	static const uint8_t b[] = { LE32(7), LE32(10), LE32(100) };
	size_t len = record(buf, RECORD_CHUNK, 0, a, sizeof(a), sizeof(a) + 20);

	len += record(buf + len, RECORD_CHUNK, 0, b, sizeof(b), sizeof(b) + 20);
	stream_input(f->rx.st, buf, len, T0);
	assert_int_equal(stream_counters(f->rx.st)->drop_decode, 0);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 1);
	assert_int_equal(stream_reasm_counters(f->rx.st)->lost_conflict, 1);
}

/* Neither a long run of good frames nor a flood of halves takes more memory than at its start. */
static void memory_does_not_grow(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[64];
	size_t before = 0;

	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t head[] = { LE32(i), LE32(0), LE32(65000) };
		size_t len = record(buf, RECORD_CHUNK, 0, head, sizeof(head), sizeof(head) + 10);

		stream_input(f->rx.st, buf, len, T0 + i);
		put(&f->tx, i, 60);
		wire_clear(&f->tx);
		if (i == 100)
			before = mallinfo2().uordblks + mallinfo2().hblkhd;
	}
	stream_flush(f->tx.st);
	wire_clear(&f->tx);
	assert_true(mallinfo2().uordblks + mallinfo2().hblkhd <= before);
	assert_true(stream_counters(f->rx.st)->drop_reasm > 19000);
	stream_tick(f->rx.st, T0 + 20000 + REASM_IDLE_US);
	assert_int_equal(stream_counters(f->rx.st)->drop_reasm, 20000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, ends_setup, ends_teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_size_through_every_room),
		TEST(largest_frames),
		TEST(packed_in_order),
		TEST(packing_is_exact),
		cmocka_unit_test(loss_copies_and_order),
		TEST(timeouts),
		TEST(what_runs_the_clock),
		TEST(reset_drops_halves),
		TEST(every_small_room),
		TEST(flapping_room_and_failing_sends),
		TEST(room_is_clamped_to_the_buffer),
		TEST(failed_send_loses_all_of_its_frames),
		TEST(not_a_frame),
		TEST(checksum_hint_crosses),
		TEST(hostile_records),
		TEST(cut_datagrams),
		TEST(contradiction_is_a_reassembly_loss),
		TEST(memory_does_not_grow),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
