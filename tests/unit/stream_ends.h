/*
 * Two record streams, joined by a wire that the test holds in its hands: what leaves lies there,
 * unsealed, datagram by datagram.
 */
#ifndef TESTS_UNIT_STREAM_ENDS_H
#define TESTS_UNIT_STREAM_ENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/datapath/stream.h"
#include "l2tund/datapath/train.h"
#include "l2tund/session/session.h"
#include "tests/support/prng.h"
#include <cmocka.h>

#define T0 UINT64_C(5000000)
#define WIRE_MAX 20000
#define SEGMENT 258

struct dgram {
	size_t len;
	uint8_t *bytes;
};

/* A stream and what its session would do. */
struct end {
	struct stream *st;
	struct train *train;
	unsigned n_sent; /* calls */
	size_t room;
	struct prng *flap; /* when set, the room changes at every look */
	unsigned fail_permille, seal_fail_permille;
	struct prng *fail;
	struct dgram wire[WIRE_MAX];
	unsigned n_wire;
	/* What was delivered. */
	void (*on_frame)(struct end *e, uint16_t id, const struct vnet *v, const uint8_t *frame,
			 size_t len);
	unsigned n_frames;
	bool stayed;
	uint16_t last_id;
	struct vnet last_vnet;
	uint8_t last[FRAME_MAX];
	size_t last_len;
};

struct fixture {
	struct end tx, rx;
};

extern const struct stream_ops end_ops;
extern const struct stream_options packing;
extern const struct vnet no_vnet;

/* A struct fixture in *state. */
int ends_setup(void **state);
int ends_teardown(void **state);

/* Content follows from number and length. */
void make_frame(uint8_t *frame, uint32_t number, size_t len);
/* Puts such a frame; what stream_put() says. */
int put(struct end *e, uint32_t number, size_t len);
/* And flushes. */
void send_one(struct fixture *f, uint32_t number, size_t len);
/* Those datagrams on the wire go from tx to rx. */
void cross(struct fixture *f, unsigned from, unsigned to);
void wire_clear(struct end *e);
/* The last frame that was delivered is this one. */
void assert_last_is(const struct end *e, uint32_t number, size_t len);

#endif
