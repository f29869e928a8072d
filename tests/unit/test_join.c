/*
 * Joining: what comes out, cut again, is what went in, flow by flow, in order, whatever is lost,
 * repeated, exchanged or damaged on the way; and what belongs together is joined.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/cut.h"
#include "l2tund/datapath/join.h"
#include "tests/support/packet.h"
#include "tests/support/prng.h"

#define FLOWS 6
#define FRAMES_MAX 400
#define FRAME_BYTES 1600
#define SLOTS 4

struct kept {
	uint8_t *buf;
	size_t len;
};

/* What went in and what came out of one flow, all with finished checksums. */
struct record {
	struct kept in[FRAMES_MAX], out[FRAMES_MAX];
	unsigned n_in, n_out;
};

struct world {
	struct join *j;
	struct record flows[FLOWS];
	uint8_t *frames[FRAMES_MAX]; /* given to join_put() */
	unsigned n_frames;
	unsigned supers, joined; /* super-frames out, and frames in them */
	bool raw;		 /* keep nothing, just count */
	struct vnet last;	 /* of what came out */
	size_t last_len;
	unsigned last_n, outs;
};

static uint8_t payload[PACKET_MAX];

static void keep(struct kept *list, unsigned *n, const uint8_t *buf, size_t len,
		 const struct vnet *v)
{
	struct kept *k = &list[(*n)++];

	assert_in_range(*n, 1, FRAMES_MAX);
	k->buf = malloc(len);
	assert_non_null(k->buf);
	memcpy(k->buf, buf, len);
	k->len = len;
	packet_finish(k->buf, len, v);
}

/* The owner is a flow here. */
static void out(void *arg, void *owner, const struct vnet *v, const struct iovec *iov, unsigned n,
		size_t len)
{
	struct parts parts = { iov, n, len };
	struct record *r = owner;
	struct world *w = arg;
	uint8_t buf[FRAME_BYTES];
	struct vnet piece;
	struct cut c;

	w->outs++;
	w->last = *v;
	w->last_len = len;
	w->last_n = n;
	assert_true(vnet_valid(v, len));
	w->supers += n > 1;
	w->joined += n > 1 ? n : 0;
	if (w->raw)
		return;
	if (n == 1) {
		keep(r->out, &r->n_out, iov[0].iov_base, len, v);
		return;
	}
	assert_in_range(len, 1, 65535 + 14);
	assert_int_equal(cut_init(&c, v, &parts, sizeof(buf)), 0);
	for (size_t size; (size = cut_size(&c)) != 0; n--) {
		cut_next(&c, buf, &piece);
		keep(r->out, &r->n_out, buf, size, &piece);
	}
	assert_int_equal(n, 0); /* as many pieces as went in */
}

static void world_init(struct world *w, unsigned slots)
{
	*w = (struct world){ .j = join_new(slots, JOIN_TCP | JOIN_UDP, out, w) };
	assert_non_null(w->j);
}

static void flush(struct world *w)
{
	join_flush(w->j);
	while (w->n_frames)
		free(w->frames[--w->n_frames]);
}

static void world_fini(struct world *w)
{
	flush(w);
	join_free(w->j);
	for (unsigned f = 0; f < FLOWS; f++) {
		for (unsigned i = 0; i < w->flows[f].n_in; i++)
			free(w->flows[f].in[i].buf);
		for (unsigned i = 0; i < w->flows[f].n_out; i++)
			free(w->flows[f].out[i].buf);
	}
}

/* In memory of its own size. */
static void put(struct world *w, unsigned flow, const struct vnet *v, const uint8_t *buf,
		size_t len)
{
	uint8_t *own = malloc(len);

	assert_non_null(own);
	memcpy(own, buf, len);
	w->frames[w->n_frames++] = own;
	if (!w->raw)
		keep(w->flows[flow].in, &w->flows[flow].n_in, buf, len, v);
	join_put(w->j, &w->flows[flow], v, own, len);
}

/* An atomic datagram's ID means nothing: such frames may get another one. */
static void forget_id(struct kept *k)
{
	size_t l3 = 14;

	while (get_be16(k->buf + l3 - 2) == 0x8100 || get_be16(k->buf + l3 - 2) == 0x88a8)
		l3 += 4;
	if (get_be16(k->buf + l3 - 2) == 0x0800 && k->buf[l3 + 6] & 0x40) {
		memset(k->buf + l3 + 4, 0, 2);
		memset(k->buf + l3 + 10, 0, 2);
	}
}

static void check_record(struct record *r)
{
	assert_int_equal(r->n_in, r->n_out);
	for (unsigned i = 0; i < r->n_in; i++) {
		assert_int_equal(r->in[i].len, r->out[i].len);
		forget_id(&r->in[i]);
		forget_id(&r->out[i]);
		assert_memory_equal(r->in[i].buf, r->out[i].buf, r->in[i].len);
	}
}

static void advance(struct packet *k, size_t len)
{
	k->seq += (uint32_t)len;
	k->id++;
}

/* What happens to a stream of segments on its way. */
struct trouble {
	unsigned odds; /* one in so many frames suffers, 0: none */
	bool damage;
};

static size_t spoil(struct prng *p, struct packet *k, size_t len)
{
	switch (prng_below(p, 10)) {
	case 0:
		k->flags ^= (uint8_t)(k->tcp ? 1 << prng_below(p, 8) : 0);
		return len;
	case 1:
		k->seq += (uint32_t)prng_below(p, 3) - 1;
		return len;
	case 2:
		k->id += (uint16_t)prng_below(p, 3);
		return len;
	case 3:
		k->tos ^= 2;
		return len;
	case 4:
		k->tags = (uint8_t)prng_below(p, 3);
		return len;
	case 5:
		k->tcp_words = (uint8_t)(k->tcp ? prng_below(p, 11) : 0);
		return len;
	case 6:
		k->seq -= (uint32_t)len; /* again */
		return len;
	case 7:
		return 0;
	case 8: {
		uint8_t *fields[] = {
			&k->vlan, &k->ttl, &k->ack, &k->window, &k->urgent, &k->option
		};

		(*fields[prng_below(p, ARRAY_SIZE(fields))])++;
		return len;
	}
	default:
		return 1 + prng_below(p, 1400);
	}
}

static void send_one(struct world *w, struct prng *p, unsigned flow, struct packet *k, size_t len,
		     const struct trouble *t)
{
	bool suffers = t->odds && prng_below(p, t->odds) == 0;
	uint8_t buf[FRAME_BYTES];
	struct vnet v = { 0 };
	struct packet now;
	size_t bytes;

	now = *k;
	if (suffers)
		len = spoil(p, &now, len);
	bytes = packet_build(&now, payload + prng_below(p, 30000), len, buf);
	switch (prng_below(p, 3)) {
	case 0:
		packet_unfinish(&now, buf, bytes, &v);
		break;
	case 1:
		v.verified = true;
		break;
	default:
		break;
	}
	if (suffers && t->damage && !v.verified) {
		/* Behind the ports: else it would be of another flow, which may overtake. */
		size_t l4 = now.tcp ? 20 + 4 * (size_t)now.tcp_words : 8;
		size_t from = packet_header(&now) - l4 + 4;

		buf[from + prng_below(p, bytes - from)] ^= (uint8_t)(1 << prng_below(p, 8));
	}
	if (v.csum && suffers && prng_below(p, 4) == 0)
		v.csum_start--;
	put(w, flow, &v, buf, bytes);
	advance(k, len);
	if (suffers && prng_below(p, 4) == 0)
		advance(k, len); /* one is lost */
}

static void run_flows(struct prng *p, const struct trouble *t, unsigned *ret_joined)
{
	struct packet k[FLOWS];
	size_t len[FLOWS];
	struct world w;

	world_init(&w, SLOTS);
	for (unsigned f = 0; f < FLOWS; f++) {
		k[f] = packet_random(p);
		k[f].flow = (uint16_t)f;
		k[f].flags &= 0x50; /* ACK and ECE */
		len[f] = 1 + prng_below(p, 1400);
	}
	for (unsigned i = 0; i < 300; i++) {
		unsigned f = (unsigned)prng_below(p, prng_next(p) & 1 ? FLOWS : 2);

		for (uint64_t n = 1 + prng_below(p, 12); n && w.n_frames < 300; n--)
			send_one(&w, p, f, &k[f], len[f], t);
		if (w.n_frames >= 300)
			break;
	}
	*ret_joined += w.joined;
	flush(&w);
	for (unsigned f = 0; f < FLOWS; f++)
		check_record(&w.flows[f]);
	world_fini(&w);
}

static void in_order(void **state)
{
	struct prng p = { 0x6a6f696e };
	unsigned joined = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		run_flows(&p, &(struct trouble){ 0 }, &joined);
	assert_true(joined > 5000);
}

static void in_trouble(void **state)
{
	struct prng p = { 0x74726f75 };
	unsigned joined = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		run_flows(&p, &(struct trouble){ .odds = 2 + i % 10, .damage = i & 1 }, &joined);
	assert_true(joined > 10000);
}

/* The frames of a super-frame, cut, become the same super-frame. */
static void there_and_back(void **state)
{
	static uint8_t frame[PACKET_MAX], want[PACKET_MAX], piece[FRAME_BYTES];
	struct prng p = { 0x6261636b };
	struct world w;

	(void)state;
	world_init(&w, SLOTS);
	w.raw = true;
	for (unsigned i = 0; i < 3000; i++) {
		struct packet k = packet_random(&p);
		size_t header, len, bytes, gso = 1 + prng_below(&p, 1400);
		struct iovec iov = { frame, 0 };
		struct vnet v, part;
		struct cut c;

		k.ip_words = k.ext = 0;
		k.flags &= 0x7f;
		header = packet_header(&k);
		len = gso + 1 + prng_below(&p, MIN(gso * (JOIN_PIECES - 1), 65000 - gso));
		bytes = packet_build(&k, payload, len, frame);
		packet_unfinish(&k, frame, bytes, &v);
		v.gso = !k.tcp ? VNET_GSO_UDP : k.ipv6 ? VNET_GSO_TCP6 : VNET_GSO_TCP4;
		v.gso_size = (uint16_t)gso;
		memcpy(want, frame, bytes);
		iov.iov_len = bytes;
		assert_int_equal(cut_init(&c, &v, &(struct parts){ &iov, 1, bytes }, header + gso),
				 0);
		w.outs = 0;
		for (size_t size; (size = cut_size(&c)) != 0;) {
			cut_next(&c, piece, &part);
			put(&w, 0, &part, piece, size);
		}
		flush(&w);
		assert_int_equal(w.outs, 1);
		assert_int_equal(w.last_len, bytes);
		assert_int_equal(w.last_n, (len + gso - 1) / gso);
		assert_memory_equal(&w.last, &v, sizeof(v));
	}
	world_fini(&w);
}

static unsigned send_row(struct world *w, struct packet k, const size_t *lens, unsigned n)
{
	unsigned before = w->outs;
	uint8_t buf[FRAME_BYTES];

	for (unsigned i = 0; i < n; i++) {
		size_t bytes = packet_build(&k, payload, lens[i], buf);

		put(w, 0, &(struct vnet){ .verified = true }, buf, bytes);
		advance(&k, lens[i]);
	}
	return w->outs - before;
}

static void what_ends_a_super_frame(void **state)
{
	struct packet k = { .tcp = true, .flags = 0x10 };
	struct world w;
	size_t full[70];

	(void)state;
	world_init(&w, SLOTS);
	w.raw = true;
	for (unsigned i = 0; i < ARRAY_SIZE(full); i++)
		full[i] = 1000;
	assert_int_equal(send_row(&w, k, (size_t[]){ 1000, 1000, 999 }, 3), 1);
	assert_int_equal(w.last_n, 3);
	assert_int_equal(send_row(&w, k, (size_t[]){ 1000, 1000, 1001 }, 3), 1);
	assert_int_equal(w.last_n, 2);
	flush(&w);
	assert_int_equal(send_row(&w, k, full, 64), 1);
	assert_int_equal(w.last_n, JOIN_PIECES);
	for (unsigned i = 0; i < ARRAY_SIZE(full); i++)
		full[i] = 1400; /* 46 of them are as many as fit */
	assert_int_equal(send_row(&w, k, full, 60), 1);
	assert_int_equal(w.last_n, 46);
	flush(&w);
	k.flags = 0x18; /* PSH: alone, and at once */
	assert_int_equal(send_row(&w, k, full, 1), 1);
	assert_int_equal(w.last_n, 1);
	world_fini(&w);
}

/* Twice the same in a row, so that nothing but itself is in the way; returns frames in one. */
static unsigned send_two(struct world *w, struct packet k, bool no_sum, size_t padding)
{
	uint8_t buf[FRAME_BYTES] = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		size_t bytes = packet_build(&k, payload, 100, buf);

		if (no_sum)
			put_be16(buf + packet_header(&k) - 2, 0);
		put(w, 0, &(struct vnet){ .verified = true }, buf, bytes + padding);
		advance(&k, 100);
	}
	flush(w);
	return w->last_n;
}

static void what_is_not_joined(void **state)
{
	static const uint8_t flags[] = { 0x11, 0x12, 0x14, 0x18, 0x30, 0x90 };
	struct packet tcp = { .tcp = true, .flags = 0x10, .tcp_words = 1 }, k;
	struct packet udp = { .tcp = false };
	struct world w;

	(void)state;
	world_init(&w, SLOTS);
	w.raw = true;
	assert_int_equal(send_two(&w, tcp, false, 0), 2);
	assert_int_equal(send_two(&w, udp, false, 0), 2);
	assert_int_equal(send_two(&w, udp, true, 0), 1);
	assert_int_equal(send_two(&w, udp, false, 1), 1);
	assert_int_equal(send_two(&w, tcp, false, 6), 1);
	for (size_t i = 0; i < sizeof(flags); i++) { /* FIN, SYN, RST, PSH, URG, CWR */
		k = tcp;
		k.flags = flags[i];
		assert_int_equal(send_two(&w, k, false, 0), 1);
	}
	k = tcp;
	k.ip_words = 1;
	assert_int_equal(send_two(&w, k, false, 0), 1);
	k = tcp;
	k.ipv6 = true;
	assert_int_equal(send_two(&w, k, false, 0), 2);
	k.ext = 1;
	assert_int_equal(send_two(&w, k, false, 0), 1);
	world_fini(&w);
}

/* Slots are few: the flow that began first makes room; a super-frame of a guest passes. */
static void few_slots(void **state)
{
	struct packet k = { .tcp = true, .flags = 0x10 };
	uint8_t buf[8000];
	struct world w;
	struct vnet v;

	(void)state;
	world_init(&w, 2);
	w.raw = true;
	for (k.flow = 0; k.flow < 5; k.flow++)
		assert_int_equal(send_row(&w, k, (size_t[]){ 1000, 1000 }, 2), k.flow >= 2);
	assert_int_equal(w.last_n, 2);
	k.flow = 4;
	k.seq = 2000;
	size_t len = packet_build(&k, payload, 5000, buf);
	packet_unfinish(&k, buf, len, &v);
	v.gso = VNET_GSO_TCP4;
	v.gso_size = 1000;
	w.outs = 0;
	put(&w, 0, &v, buf, len);
	assert_int_equal(w.outs, 2); /* its own flow, and it */
	assert_int_equal(w.last_len, len);
	flush(&w);
	assert_int_equal(w.outs, 3);
	world_fini(&w);

	world_init(&w, 0);
	w.raw = true;
	assert_int_equal(send_row(&w, k, (size_t[]){ 1000, 1000 }, 2), 2);
	world_fini(&w);
}

/* A fragment of the same hosts has no ports to tell its flow by. */
static void fragments_do_not_overtake(void **state)
{
	struct packet k = { .tcp = false };
	uint8_t buf[FRAME_BYTES];
	struct world w;

	(void)state;
	world_init(&w, 2);
	w.raw = true;
	assert_int_equal(send_row(&w, k, (size_t[]){ 1000, 1000 }, 2), 0);
	size_t len = packet_build(&k, payload, 1000, buf);
	buf[20] |= 0x20;
	put(&w, 0, &(struct vnet){ 0 }, buf, len);
	assert_int_equal(w.outs, 2);
	assert_int_equal(w.last_n, 1);

	assert_int_equal(send_row(&w, k, (size_t[]){ 1000, 1000 }, 2), 0);
	buf[0] ^= 2; /* another host: whatever order */
	put(&w, 0, &(struct vnet){ 0 }, buf, len);
	assert_int_equal(w.outs, 3);
	put(&w, 0, &(struct vnet){ 0 }, buf, 5); /* not even a frame */
	assert_int_equal(w.outs, 4);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(in_trouble),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(what_ends_a_super_frame),
		cmocka_unit_test(what_is_not_joined),
		cmocka_unit_test(few_slots),
		cmocka_unit_test(fragments_do_not_overtake),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
