/*
 * The record stream with what is larger than a frame: runs of datagrams, super-frames
 * that are cut or cross in chunks, and streams that share a train.
 */
#include "tests/unit/stream_ends.h"

#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/headers.h"
#include "l2tund/session/record.h"

/* An IPv4 TCP super-frame, or a UDP one, with `payload` bytes. */
static size_t make_super(uint8_t *frame, bool tcp, size_t payload)
{
	size_t l4 = tcp ? 20 : 8, len = 34 + l4 + payload;
	struct prng p = { payload };

	memset(frame, 0, 34 + l4);
	memcpy(frame, "\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0\x45", 15);
	put_be16(frame + 16, (uint16_t)(len - 14));
	frame[22] = 64;
	frame[23] = tcp ? 6 : 17;
	memcpy(frame + 26, "\x0a\0\0\1\x0a\0\0\2", 8);
	uint16_t sum = (uint16_t)~csum_fold(csum_add(0, frame + 14, 20));
	memcpy(frame + 24, &sum, sizeof(sum));
	if (tcp)
		memcpy(frame + 46, "\x50\x10", 2);
	else
		put_be16(frame + 38, (uint16_t)(8 + payload));
	prng_fill(&p, frame + 34 + l4, payload);
	return len;
}

static const struct vnet tcp_super = {
	.csum = true, .csum_start = 34, .csum_offset = 16, .gso = VNET_GSO_TCP4, .gso_size = 1448
};

static size_t got; /* payload bytes that came in pieces */

static void piece_arrives(struct end *e, uint16_t id, const struct vnet *v, const uint8_t *frame,
			  size_t len)
{
	static uint8_t super[FRAME_MAX];

	(void)id;
	make_super(super, true, 60000);
	assert_true(e->stayed && v->csum && !v->gso);
	assert_int_equal(v->csum_start, 34);
	assert_memory_equal(frame + 54, super + 54 + got, len - 54);
	got += len - 54;
}

/* Pieces that are smaller than a datagram share it. */
static unsigned datagrams_for(size_t payload, size_t room)
{
	size_t around = RECORD_HDR_BYTES + RECORD_CSUM_BYTES + 54;
	size_t step = MIN(1448, room - around), left = 0;
	unsigned n = 0;

	for (; payload > 0; payload -= MIN(step, payload)) {
		size_t need = around + MIN(step, payload);

		if (need > left) {
			n++;
			left = room;
		}
		left -= need;
	}
	return n;
}

/* In whatever parts it stands, and however far the room is below its segments. */
static void super_frames_become_pieces(void **state)
{
	struct fixture *f = *state;
	static uint8_t super[FRAME_MAX];
	size_t len = make_super(super, true, 60000);

	f->rx.on_frame = piece_arrives;
	for (f->tx.room = 600; f->tx.room < 9000; f->tx.room += 417) {
		size_t first = 54 + f->tx.room % 1000;
		struct iovec iov[] = { { super, first },
				       { super + first, 20001 },
				       { super + first + 20001, len - first - 20001 } };
		uint64_t before = stream_counters(f->tx.st)->tx_frames;

		got = 0;
		f->tx.n_sent = 0;
		assert_int_equal(put(&f->tx, 0, 60), 0);
		stream_flush(f->tx.st);
		f->rx.on_frame = NULL;
		assert_int_equal(
			stream_put(f->tx.st, SEGMENT, &tcp_super, &(struct parts){ iov, 3, len }),
			0);
		stream_flush(f->tx.st);
		assert_int_equal(stream_counters(f->tx.st)->tx_frames, before + 2);
		assert_in_range(f->tx.n_sent, 2, f->tx.room < 1448 ? 4 : 3);
		assert_int_equal(f->tx.n_wire, 1 + datagrams_for(60000, f->tx.room));
		cross(f, 0, 1);
		f->rx.on_frame = piece_arrives;
		cross(f, 1, f->tx.n_wire);
		assert_int_equal(got, 60000);
		wire_clear(&f->tx);
	}
}

/* What cannot be cut crosses whole, with what the kernel said of it. */
static void super_frames_in_chunks(void **state)
{
	struct fixture *f = *state;
	static uint8_t super[FRAME_MAX];
	const struct vnet v = { .csum = true,
				.csum_start = 34,
				.csum_offset = 6,
				.gso = VNET_GSO_UDP,
				.gso_size = 2000 };
	size_t len = make_super(super, false, 60000);

	assert_int_equal(stream_put_frame(f->tx.st, SEGMENT, &v, super, len), 0);
	stream_flush(f->tx.st);
	assert_int_equal(f->tx.n_sent, 1);
	cross(f, 0, f->tx.n_wire);
	assert_int_equal(f->rx.n_frames, 1);
	assert_false(f->rx.stayed);
	assert_true(f->rx.last_vnet.csum);
	assert_int_equal(f->rx.last_vnet.gso, v.gso);
	assert_int_equal(f->rx.last_vnet.gso_size, v.gso_size);
	assert_false(f->rx.last_vnet.ecn);
	assert_int_equal(f->rx.last_len, len);
	assert_memory_equal(f->rx.last, super, len);
	/* One whose headers contradict what is said of it, too. */
	make_super(super, true, 60000);
	super[14] = 0x65;
	assert_int_equal(stream_put_frame(f->tx.st, SEGMENT,
					  &(struct vnet){ .csum = true,
							  .csum_start = 34,
							  .csum_offset = 16,
							  .gso = VNET_GSO_TCP4,
							  .ecn = true,
							  .gso_size = 1448 },
					  super, len),
			 0);
	stream_flush(f->tx.st);
	wire_clear(&f->tx);
	assert_int_equal(stream_counters(f->tx.st)->tx_chunked, 2);
}

/* Equal ones leave together, a smaller one ends the run, a larger one begins another. */
static void runs_of_datagrams(void **state)
{
	struct fixture *f = *state;
	static const size_t lens[] = { 800, 800, 800, 790, 800, 810, 810, 20 };

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		assert_int_equal(put(&f->tx, (uint32_t)i, lens[i]), 0);
	assert_int_equal(f->tx.n_sent, 2); /* 800 800 800 790 | 800 | */
	stream_flush(f->tx.st);		   /* 810 816+26 */
	assert_int_equal(f->tx.n_wire, 7);
	assert_int_equal(f->tx.n_sent, 4);
	cross(f, 0, 7);
	assert_int_equal(f->rx.n_frames, 8);
	wire_clear(&f->tx);

	f->tx.room = 600;
	for (uint32_t i = 0; i < 130; i++)
		assert_int_equal(put(&f->tx, i, 500), 0);
	stream_flush(f->tx.st);
	assert_int_equal(f->tx.n_sent, 4 + 3);
	cross(f, 0, f->tx.n_wire);
	assert_int_equal(f->rx.n_frames, 138);
}

static void without_packing(void **state)
{
	struct fixture *f = *state;
	static const struct stream_options alone = { .pack = false };

	stream_free(f->tx.st);
	f->tx.st = stream_new(&end_ops, &f->tx, f->tx.train, &alone);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(put(&f->tx, i, 60), 0);
	stream_flush(f->tx.st);
	assert_int_equal(f->tx.n_sent, 1);
	assert_int_equal(f->tx.n_wire, 10);
	cross(f, 0, 10);
	assert_int_equal(f->rx.n_frames, 10);
}

/* The train carries one stream at a time; whoever comes next sends the first one's away. */
static void two_streams_on_a_train(void **state)
{
	struct fixture *f = *state;
	struct stream *other = stream_new(&end_ops, &f->rx, f->tx.train, &packing);
	static uint8_t frame[60];

	f->rx.room = 1440;
	put(&f->tx, 1, 60);
	assert_int_equal(f->tx.n_sent, 0);
	assert_int_equal(stream_put_frame(other, SEGMENT, &no_vnet, frame, sizeof(frame)), 0);
	assert_int_equal(f->tx.n_sent, 1);
	stream_flush(f->tx.st); /* has nothing there, and leaves the other's alone */
	assert_int_equal(f->rx.n_sent, 0);
	stream_flush(other);
	assert_int_equal(f->rx.n_sent, 1);
	assert_null(f->tx.train->user);
	wire_clear(&f->rx);
	stream_free(other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, ends_setup, ends_teardown)
	const struct CMUnitTest tests[] = {
		TEST(super_frames_become_pieces), TEST(super_frames_in_chunks),
		TEST(runs_of_datagrams),	  TEST(without_packing),
		TEST(two_streams_on_a_train),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
