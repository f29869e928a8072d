/*
 * Cutting: every piece, its checksum finished as the kernel would, is byte for byte the frame that
 * a sender without offloads makes of that slice; what is not surely understood is refused.
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
#include "tests/support/packet.h"
#include "tests/support/prng.h"

#define ROUNDS 4000
#define PARTS_MAX 8

static uint8_t payload[PACKET_MAX], frame[PACKET_MAX], want[PACKET_MAX], got[PACKET_MAX];

/* Each part in memory of its own size, so that a sanitizer sees every step aside. */
struct split {
	struct iovec iov[PARTS_MAX];
	struct parts parts;
};

static void split_free(struct split *s)
{
	for (unsigned i = 0; i < s->parts.n; i++)
		free(s->iov[i].iov_base);
}

static void split_add(struct split *s, const uint8_t *from, size_t len)
{
	struct iovec *v = &s->iov[s->parts.n++];

	v->iov_base = malloc(len ? len : 1);
	assert_non_null(v->iov_base);
	memcpy(v->iov_base, from, len);
	v->iov_len = len;
	s->parts.len += len;
}

static void split_random(struct split *s, struct prng *p, size_t header, size_t len)
{
	size_t n = header + (prng_next(p) & 1 ? prng_below(p, len - header + 1) : 0);

	*s = (struct split){ .parts.iov = s->iov };
	split_add(s, frame, n);
	while (n < len && s->parts.n < PARTS_MAX - 1) {
		size_t more = prng_below(p, len - n + 1);

		split_add(s, frame + n, more);
		n += more;
	}
	split_add(s, frame + n, len - n);
}

static void set_gso(const struct packet *k, size_t gso_size, struct vnet *v)
{
	v->gso = !k->tcp ? VNET_GSO_UDP : k->ipv6 ? VNET_GSO_TCP6 : VNET_GSO_TCP4;
	v->gso_size = (uint16_t)gso_size;
	v->ecn = k->tcp && k->flags & 0x80;
}

/* The frame of the slice from `at`. */
static size_t build_piece(struct packet k, unsigned index, size_t at, size_t size, size_t len)
{
	k.seq += (uint32_t)at;
	k.id = (uint16_t)(k.id + index);
	if (index)
		k.flags &= 0x7f;
	if (at + size < len)
		k.flags &= 0xf6;
	return packet_build(&k, payload + at, size, want);
}

static void check_pieces(struct cut *c, const struct packet *k, size_t len, size_t step)
{
	unsigned index = 0;
	struct vnet v;

	for (size_t at = 0; at < len; at += step, index++) {
		size_t size = MIN(step, len - at);
		size_t bytes = build_piece(*k, index, at, size, len);
		uint8_t *buf = malloc(bytes);

		assert_non_null(buf);
		assert_int_equal(cut_size(c), bytes);
		cut_next(c, buf, &v);
		assert_true(v.csum && !v.gso && vnet_valid(&v, bytes));
		packet_finish(buf, bytes, &v);
		assert_memory_equal(buf, want, bytes);
		free(buf);
	}
	assert_int_equal(cut_size(c), 0);
}

static void any_frame(void **state)
{
	struct prng p = { 0x636f7570 };
	unsigned done = 0;

	(void)state;
	prng_fill(&p, payload, sizeof(payload));
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct packet k = packet_random(&p);
		size_t header = packet_header(&k), max = i & 7 ? 6000 : 65300;
		size_t len = 1 + prng_below(&p, max), gso = 1 + prng_below(&p, 3000);
		size_t room = header + 1 + prng_below(&p, 2000);
		size_t step = MIN(gso, room - header);
		size_t bytes = packet_build(&k, payload, len, frame);
		struct split s;
		struct vnet v;
		struct cut c;

		packet_unfinish(&k, frame, bytes, &v);
		set_gso(&k, gso, &v);
		split_random(&s, &p, header, bytes);
		int r = cut_init(&c, &v, &s.parts, room);
		if ((!k.tcp && gso > room - header) || len > step * CUT_PIECES_MAX) {
			assert_int_equal(r, -EOPNOTSUPP);
		} else {
			assert_int_equal(r, 0);
			check_pieces(&c, &k, len, step);
			done++;
		}
		split_free(&s);
	}
	assert_true(done > ROUNDS / 2);
}

/* What a guest without offloads sends: with its checksum unfinished, vouched for, or complete. */
static void plain_segments(void **state)
{
	struct prng p = { 0x706c6169 };

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct packet k = packet_random(&p);
		size_t header, bytes, room, len = 1 + prng_below(&p, 9000);
		struct vnet v = { 0 };
		struct split s;
		struct cut c;

		k.tcp = true;
		k.flags |= 0x10;
		header = packet_header(&k);
		bytes = packet_build(&k, payload, len, frame);
		room = header + 100 + prng_below(&p, 1400);
		if (i % 3 == 0)
			packet_unfinish(&k, frame, bytes, &v);
		v.verified = i % 3 == 1;
		split_random(&s, &p, header, bytes);
		assert_int_equal(cut_init(&c, &v, &s.parts, room), 0);
		check_pieces(&c, &k, len, room - header);
		split_free(&s);

		if (i % 3 != 2)
			continue;
		frame[header + prng_below(&p, len)] ^= (uint8_t)(1 << prng_below(&p, 8));
		split_random(&s, &p, header, bytes);
		assert_int_equal(cut_init(&c, &v, &s.parts, room), -EOPNOTSUPP);
		split_free(&s);
	}
}

static int try_cut(const struct vnet *v, size_t len, size_t room)
{
	struct iovec iov = { frame, len };
	struct parts parts = { &iov, 1, len };
	struct cut c;

	return cut_init(&c, v, &parts, room);
}

static size_t typical(struct packet k, struct vnet *ret)
{
	size_t bytes = packet_build(&k, payload, 5000, frame);

	packet_unfinish(&k, frame, bytes, ret);
	set_gso(&k, 1000, ret);
	return bytes;
}

static void room_for_little(void **state)
{
	struct packet k = { .tcp = true, .flags = 0x10 };
	struct vnet v;
	size_t len = typical(k, &v);

	(void)state;
	assert_int_equal(try_cut(&v, len, 0), -EMSGSIZE);
	assert_int_equal(try_cut(&v, len, 54), -EMSGSIZE);
	assert_int_equal(try_cut(&v, len, 55), -EOPNOTSUPP); /* 5000 pieces */
	assert_int_equal(try_cut(&v, len, 57), 0);
	k.tcp = false;
	len = typical(k, &v);
	assert_int_equal(try_cut(&v, len, 1041), -EOPNOTSUPP);
	assert_int_equal(try_cut(&v, len, 1042), 0);
}

/* Each row spoils one byte of a frame that can be cut. */
static void not_understood(void **state)
{
	static const struct {
		bool ipv6, tcp;
		unsigned at, xor;
	} rows[] = {
		{ false, true, 12, 0x08 },   /* not IP */
		{ false, true, 14, 0x20 },   /* version */
		{ false, true, 14, 0x01 },   /* header length */
		{ false, true, 17, 0x01 },   /* total length */
		{ false, true, 20, 0x20 },   /* more fragments */
		{ false, true, 21, 0x01 },   /* a later fragment */
		{ false, true, 23, 17 ^ 6 }, /* UDP */
		{ false, true, 24, 0x01 },   /* header checksum */
		{ false, true, 46, 0x10 },   /* data offset too small */
		{ false, true, 47, 0x02 },   /* SYN */
		{ false, true, 47, 0x04 },   /* RST */
		{ false, true, 47, 0x20 },   /* URG */
		{ false, false, 39, 0x01 },  /* UDP length */
		{ true, true, 12, 0x01 },    /* not IP */
		{ true, true, 14, 0x20 },    /* version */
		{ true, true, 19, 0x01 },    /* payload length */
		{ true, true, 20, 44 ^ 6 },  /* fragment header */
		{ true, true, 20, 50 ^ 6 },  /* ESP */
		{ true, true, 20, 59 ^ 6 },  /* none */
		{ true, true, 67, 0x02 },    /* SYN */
		{ true, false, 59, 0x01 },   /* UDP length */
	};
	struct vnet v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct packet k = { .ipv6 = rows[i].ipv6, .tcp = rows[i].tcp, .flags = 0x10 };
		size_t len = typical(k, &v);

		assert_int_equal(try_cut(&v, len, 1500), 0);
		frame[rows[i].at] ^= (uint8_t)rows[i].xor ;
		if (!rows[i].ipv6 && rows[i].at < 34 && rows[i].at != 24) {
			uint8_t *ip = frame + 14;
			struct vnet header = { .csum = true, .csum_start = 14, .csum_offset = 10 };

			put_be16(ip + 10, 0);
			packet_finish(frame, 34, &header);
		}
		assert_int_equal(try_cut(&v, len, 1500), -EOPNOTSUPP);
	}
}

static void vnet_must_agree(void **state)
{
	struct packet k = { .tcp = true, .flags = 0x10, .tcp_words = 5 };
	struct vnet good, v[7];
	size_t len = typical(k, &good);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = good;
	v[0].gso = VNET_GSO_TCP6;
	v[1].gso = VNET_GSO_UDP;
	v[2].csum_start++;
	v[3].csum_offset = 6;
	v[4].csum = false;
	v[5].gso_size = 0;
	v[6].gso = 3;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		assert_int_equal(try_cut(&v[i], len, 1500), -EOPNOTSUPP);
	assert_int_equal(try_cut(&good, len, 1500), 0);
	assert_int_equal(try_cut(&good, len + 1, 1500), -EOPNOTSUPP); /* padded */
	frame[54] = 19; /* an MD5 signature of 18 bytes */
	frame[55] = 18;
	assert_int_equal(try_cut(&good, len, 1500), -EOPNOTSUPP);
	frame[54] = 5; /* selective acknowledgment of as many */
	assert_int_equal(try_cut(&good, len, 1500), 0);
}

/* Nothing is read outside whatever the bytes are, and pieces are never larger than the room. */
static void hostile(void **state)
{
	struct prng p = { 0x686f7374 };

	(void)state;
	for (unsigned i = 0; i < 5 * ROUNDS; i++) {
		struct packet k = packet_random(&p);
		size_t len = packet_build(&k, payload, prng_below(&p, 3000), frame);
		struct split s = { .parts.iov = s.iov };
		struct vnet v;
		struct cut c;

		packet_unfinish(&k, frame, len, &v);
		set_gso(&k, prng_below(&p, 1500), &v);
		for (uint64_t n = prng_below(&p, 4); n; n--)
			frame[prng_below(&p, packet_header(&k))] = (uint8_t)prng_next(&p);
		if (i & 1)
			len = prng_below(&p, len + 1);
		v.gso = i & 2 ? v.gso : (uint8_t)prng_below(&p, 6);
		split_add(&s, frame, i & 4 ? len : prng_below(&p, len + 1));
		split_add(&s, frame + s.parts.len, len - s.parts.len);
		if (cut_init(&c, &v, &s.parts, 1400) == 0)
			for (size_t size; (size = cut_size(&c)) != 0;) {
				assert_in_range(size, 1, 1400);
				cut_next(&c, got, &v);
			}
		split_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_frame),	   cmocka_unit_test(plain_segments),
		cmocka_unit_test(room_for_little), cmocka_unit_test(not_understood),
		cmocka_unit_test(vnet_must_agree), cmocka_unit_test(hostile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
