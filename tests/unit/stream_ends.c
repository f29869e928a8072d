/*
 * The ends of test_stream*.c: room, sealing and sending as the test wants them. Sealing is a
 * mask over the records, so that what is sent unsealed, or sealed twice, is seen.
 */
#include "tests/unit/stream_ends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

static size_t end_room(void *arg)
{
	struct end *e = arg;

	return e->flap ? prng_below(e->flap, e->room) : e->room;
}

#define SEAL 0x5a
#define SEALED (SESSION_HEADROOM + SESSION_TAILROOM)

static void scramble(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= SEAL;
}

/* Sealing writes over all of it. */
static int end_seal(void *arg, uint8_t *dgram, size_t len)
{
	struct end *e = arg;

	assert_in_range(len, 1, SESSION_DGRAM_MAX - SEALED);
	if (e->fail && prng_below(e->fail, 1000) < e->seal_fail_permille)
		return -ENOKEY;
	memset(dgram, 0xee, SESSION_HEADROOM);
	scramble(dgram + SESSION_HEADROOM, len);
	memset(dgram + SESSION_HEADROOM + len, 0xee, SESSION_TAILROOM);
	return (int)(len + SEALED);
}

static void wire_add(struct end *e, const uint8_t *sealed, size_t len)
{
	assert_true(e->n_wire < WIRE_MAX);
	struct dgram *d = &e->wire[e->n_wire++];
	assert_in_range(len, SEALED + 1, SESSION_DGRAM_MAX);
	d->len = len - SEALED;
	d->bytes = malloc(d->len);
	memcpy(d->bytes, sealed + SESSION_HEADROOM, d->len);
	scramble(d->bytes, d->len);
}

static int end_send(void *arg, const uint8_t *buf, size_t len, size_t size)
{
	struct end *e = arg;

	e->n_sent++;
	assert_in_range(len, size, MAX((size_t)TRAIN_BYTES, size));
	assert_in_range((len + size - 1) / size, 1, TRAIN_DATAGRAMS);
	if (e->fail && prng_below(e->fail, 1000) < e->fail_permille)
		return -ENOBUFS;
	for (; len > 0; buf += MIN(size, len), len -= MIN(size, len))
		wire_add(e, buf, MIN(size, len));
	return 0;
}

static void end_deliver(void *arg, uint16_t id, const struct vnet *v, uint8_t *frame, size_t len,
			bool stays)
{
	struct end *e = arg;

	e->stayed = stays;

	assert_in_range(len, FRAME_MIN, FRAME_MAX);
	assert_true(vnet_valid(v, len));
	e->n_frames++;
	e->last_id = id;
	e->last_vnet = *v;
	e->last_len = len;
	memcpy(e->last, frame, len);
	if (e->on_frame)
		e->on_frame(e, id, v, frame, len);
}

const struct stream_ops end_ops = { end_room, end_seal, end_send, end_deliver };
const struct stream_options packing = { .pack = true };

void wire_clear(struct end *e)
{
	for (unsigned i = 0; i < e->n_wire; i++)
		free(e->wire[i].bytes);
	e->n_wire = 0;
}

int ends_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->tx.room = 1440;
	f->tx.train = calloc(1, sizeof(*f->tx.train));
	f->rx.train = calloc(1, sizeof(*f->rx.train));
	f->tx.st = stream_new(&end_ops, &f->tx, f->tx.train, &packing);
	f->rx.st = stream_new(&end_ops, &f->rx, f->rx.train, &packing);
	*state = f;
	return f->tx.st && f->rx.st ? 0 : -1;
}

int ends_teardown(void **state)
{
	struct fixture *f = *state;

	stream_flush(f->tx.st);
	wire_clear(&f->tx);
	stream_free(f->tx.st);
	stream_free(f->rx.st);
	free(f->tx.train);
	free(f->rx.train);
	free(f);
	return 0;
}

/* A frame's content follows from its number and length; tagged ones carry an 802.1Q tag. */
void make_frame(uint8_t *frame, uint32_t number, size_t len)
{
	struct prng p = { number * UINT64_C(1000003) + len };

	prng_fill(&p, frame, len);
	put_le32(frame, number);
	if (number % 3 == 0) {
		frame[12] = 0x81;
		frame[13] = 0x00;
	}
}

const struct vnet no_vnet = { 0 };

int put(struct end *e, uint32_t number, size_t len)
{
	static uint8_t frame[FRAME_MAX + 1];

	make_frame(frame, number, len);
	return stream_put_frame(e->st, SEGMENT, &no_vnet, frame, len);
}

void send_one(struct fixture *f, uint32_t number, size_t len)
{
	assert_int_equal(put(&f->tx, number, len), 0);
	stream_flush(f->tx.st);
}

void cross(struct fixture *f, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		stream_input(f->rx.st, f->tx.wire[i].bytes, f->tx.wire[i].len, T0);
}

void assert_last_is(const struct end *e, uint32_t number, size_t len)
{
	static uint8_t frame[FRAME_MAX];

	make_frame(frame, number, len);
	assert_int_equal(e->last_id, SEGMENT);
	assert_int_equal(e->last_len, len);
	assert_memory_equal(e->last, frame, len);
}
