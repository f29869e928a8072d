/*
 * Own datagrams in frames: what is one, what is none, and every length that a frame may be cut
 * to. Frames stand at the end of memory of their own, so that the sanitizer sees a step too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/recursion.h"

#define FRAME_MAX 128

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
	size_t ip, udp; /* where they begin */
};

static void add(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void add16(struct frame *f, unsigned v)
{
	const uint8_t bytes[] = { (uint8_t)(v >> 8), (uint8_t)v };

	add(f, bytes, sizeof(bytes));
}

static void add_ethernet(struct frame *f, unsigned tags, unsigned type)
{
	static const uint8_t macs[12] = { 2, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2 };

	*f = (struct frame){ 0 };
	add(f, macs, sizeof(macs));
	for (unsigned i = 0; i < tags; i++) {
		add16(f, i + 1 < tags ? 0x88a8 : 0x8100);
		add16(f, 7 + i);
	}
	add16(f, type);
	f->ip = f->len;
}

static void add_udp(struct frame *f, const struct addr *from, const struct addr *to)
{
	f->udp = f->len;
	add16(f, addr_port(from));
	add16(f, addr_port(to));
	add16(f, 8);
	add16(f, 0);
}

static void frame4(struct frame *f, unsigned tags, unsigned options, const struct addr *from,
		   const struct addr *to)
{
	const uint8_t head[12] = { (uint8_t)(0x45 + options), 0, 0, 28, 0, 0, 0x40, 0, 64, 17 };
	const uint8_t zero[40] = { 0 };

	add_ethernet(f, tags, 0x0800);
	add(f, head, sizeof(head));
	add(f, &from->in.sin_addr, 4);
	add(f, &to->in.sin_addr, 4);
	add(f, zero, (size_t)options * 4);
	add_udp(f, from, to);
}

static void frame6(struct frame *f, unsigned tags, const struct addr *from, const struct addr *to)
{
	const uint8_t head[8] = { 0x60, 0, 0, 0, 0, 8, 17, 64 };

	add_ethernet(f, tags, 0x86dd);
	add(f, head, sizeof(head));
	add(f, &from->in6.sin6_addr, 16);
	add(f, &to->in6.sin6_addr, 16);
	add_udp(f, from, to);
}

/* On memory that ends where the frame does. */
static bool own(const struct frame *f, size_t len, const struct addr *local,
		const struct addr *remote)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	memcpy(p, f->bytes, len);
	bool r = recursion_is_own(p, len, local, remote);
	free(p);
	return r;
}

/* It is one down to the ports; shorter, with other addresses or ports, it is none. */
static void check(const struct frame *f, const struct addr *from, const struct addr *to)
{
	struct addr other = *to, unset = { 0 };

	for (size_t len = 0; len <= f->len; len++)
		assert_int_equal(own(f, len, from, to), len >= f->udp + 4);
	assert_true(own(f, f->len, &unset, to));
	assert_false(own(f, f->len, to, from));
	addr_set_port(&other, 1);
	assert_false(own(f, f->len, from, &other));
	other = *from;
	addr_set_port(&other, 1);
	assert_false(own(f, f->len, &other, to));
	/* Any bit of type, protocol, addresses and ports makes it another. */
	for (size_t bit = f->ip * 8 - 16; bit < (f->udp + 4) * 8; bit++) {
		struct frame turned = *f;
		size_t at = bit / 8 - f->ip;
		bool v4 = turned.bytes[f->ip - 2] == 0x08;
		bool matters = bit / 8 < f->ip || bit / 8 >= f->udp ||
			       (v4 ? at == 9 || (at >= 12 && at < 20) : at == 6 || at >= 8);

		turned.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (matters)
			assert_false(own(&turned, turned.len, from, to));
		else
			own(&turned, turned.len, from, to);
	}
}

static void test_ipv4(void **state)
{
	struct addr from = addr("192.0.2.1:4655"), to = addr("192.0.2.2:4656");
	struct frame f;

	(void)state;
	for (unsigned tags = 0; tags <= 2; tags++) {
		for (unsigned options = 0; options <= 10; options += 5) {
			frame4(&f, tags, options, &from, &to);
			check(&f, &from, &to);
		}
	}
	frame4(&f, 3, 0, &from, &to);
	assert_false(own(&f, f.len, &from, &to));
}

static void test_ipv6(void **state)
{
	struct addr from = addr("[2001:db8::1]:4655"), to = addr("[2001:db8::2]:4656");
	struct addr v4 = addr("192.0.2.2:4656");
	struct frame f;

	(void)state;
	for (unsigned tags = 0; tags <= 2; tags++) {
		frame6(&f, tags, &from, &to);
		check(&f, &from, &to);
		assert_false(own(&f, f.len, &v4, &v4));
	}
}

static void test_odd_ipv4_headers(void **state)
{
	struct addr from = addr("192.0.2.1:4655"), to = addr("192.0.2.2:4656");
	struct addr v6 = addr("[2001:db8::2]:4656");
	struct frame f;

	(void)state;
	frame4(&f, 0, 0, &from, &to);
	assert_false(own(&f, f.len, &v6, &v6));
	/* A later piece: what stands there is no UDP header. */
	f.bytes[f.ip + 7] = 1;
	assert_false(own(&f, f.len, &from, &to));
	f.bytes[f.ip + 7] = 0;
	for (unsigned ihl = 0; ihl < 16; ihl++) {
		f.bytes[f.ip] = (uint8_t)(0x40 + ihl);
		assert_int_equal(own(&f, f.len, &from, &to), ihl == 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_odd_ipv4_headers),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
