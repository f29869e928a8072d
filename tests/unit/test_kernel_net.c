/*
 * UDP sockets and packet sockets on the running kernel: which address answers leave from, what is
 * too large, what ICMP errors do, and that VLAN tags survive.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>

#include "tests/unit/kernel_support.h"

/* One socket with what it has heard. */
struct end {
	struct os *os;
	struct os_udp *udp;
	struct addr addr;
	unsigned n, drained;
	struct path from;
	size_t len;
	uint8_t last[SESSION_DGRAM_MAX];
	bool close_in_datagram;
};

static void end_datagram(void *arg, unsigned lane, const struct path *from, uint8_t *buf,
			 size_t len)
{
	struct end *e = arg;

	(void)lane;
	e->n++;
	e->from = *from;
	e->len = len;
	memcpy(e->last, buf, len);
	memset(buf, 0, len);
	if (e->close_in_datagram) {
		e->os->udp_close(e->os, e->udp);
		e->udp = NULL;
	}
}

static void end_drained(void *arg, unsigned lane)
{
	struct end *e = arg;

	(void)lane;
	e->drained++;
}

static const struct os_udp_ops end_ops = { .datagram = end_datagram, .drained = end_drained };

static void end_open(struct kernel *k, struct end *e, const char *listen, unsigned socket)
{
	memset(e, 0, sizeof(*e));
	e->os = k->os;
	assert_int_equal(addr_parse(listen, &e->addr), 0);
	assert_int_equal(
		k->os->udp_open(k->os, &e->addr, socket, OFFLOAD_ALL, &end_ops, e, &e->udp), 0);
	addr_set_port(&e->addr, udp_port(e->udp));
}

static bool end_heard(void *arg)
{
	struct end *e = arg;

	return e->n > 0 && e->drained > 0;
}

static void assert_addr(const struct addr *a, const char *host, uint16_t port)
{
	char got[ADDR_STRLEN], want[ADDR_STRLEN];

	snprintf(want, sizeof(want), "%s:%u", host, port);
	assert_string_equal(addr_format(a, got), want);
}

/* `called` is one of several addresses of the server, which listens on all. */
static void check_answer(struct kernel *k, const char *any, const char *called, const char *client)
{
	struct end server, caller;
	struct path to = { 0 };
	char text[64];

	snprintf(text, sizeof(text), "%s:0", any);
	end_open(k, &server, text, 3);
	snprintf(text, sizeof(text), "%s:0", client);
	end_open(k, &caller, text, 1);
	snprintf(text, sizeof(text), "%s:%u", called, udp_port(server.udp));
	assert_int_equal(addr_parse(text, &to.remote), 0);
	assert_int_equal(k->os->udp_send(k->os, caller.udp, 0, &to, "hello", 5, 5), 0);
	assert_true(kernel_wait(k, end_heard, &server));
	assert_int_equal(server.len, 5);
	assert_memory_equal(server.last, "hello", 5);
	assert_int_equal(server.from.socket, 3);
	assert_addr(&server.from.remote, client, udp_port(caller.udp));
	assert_addr(&server.from.local, called, udp_port(server.udp));
	assert_int_equal(k->os->udp_send(k->os, server.udp, 0, &server.from, "yes", 3, 3), 0);
	assert_true(kernel_wait(k, end_heard, &caller));
	assert_addr(&caller.from.remote, called, udp_port(server.udp));
	assert_int_equal(caller.from.socket, 1);
	/* An address that went away is not insisted on. */
	snprintf(text, sizeof(text), "%s:1", *called == '[' ? "[2001:db8::99]" : "192.0.2.99");
	assert_int_equal(addr_parse(text, &server.from.local), 0);
	caller.n = 0;
	assert_int_equal(k->os->udp_send(k->os, server.udp, 0, &server.from, "still", 5, 5), 0);
	assert_true(kernel_wait(k, end_heard, &caller));
	assert_int_equal(caller.len, 5);
	k->os->udp_close(k->os, server.udp);
	k->os->udp_close(k->os, caller.udp);
}

static void test_answers_leave_from_the_called_address(void **state)
{
	struct kernel *k = *state;

	sh("ip addr add 127.0.0.5/8 dev lo; ip addr add 192.0.2.7/24 dev lo");
	check_answer(k, "0.0.0.0", "127.0.0.5", "127.0.0.1");
	check_answer(k, "0.0.0.0", "192.0.2.7", "127.0.0.1");
	check_answer(k, "127.0.0.5", "127.0.0.5", "127.0.0.1");
	if (system("ip addr add 2001:db8::7/128 dev lo nodad &&"
		   " ip addr add 2001:db8::8/128 dev lo nodad"))
		skip();
	/* The kernel makes an address its own a moment after it was added. */
	sh("for i in $(seq 500); do ip -6 route get 2001:db8::7 | grep -q ^local &&"
	   " ip -6 route get 2001:db8::8 | grep -q ^local && exit 0; done; exit 1");
	check_answer(k, "[::]", "[2001:db8::7]", "[::1]");
	check_answer(k, "[::]", "[2001:db8::8]", "[2001:db8::7]");
}

static void test_both_families_one_port(void **state)
{
	struct kernel *k = *state;
	struct end v4, v6;
	struct os_udp *twice;
	char text[64];

	if (access("/proc/sys/net/ipv6", F_OK) < 0)
		skip();
	end_open(k, &v4, "0.0.0.0:0", 0);
	snprintf(text, sizeof(text), "[::]:%u", udp_port(v4.udp));
	end_open(k, &v6, text, 1);
	/* A second daemon does not get it. */
	assert_int_equal(k->os->udp_open(k->os, &v4.addr, 0, OFFLOAD_ALL, &end_ops, NULL, &twice),
			 -EADDRINUSE);
	assert_int_equal(
		k->os->udp_send(k->os, v4.udp, 0, &(struct path){ .remote = v6.addr }, "x", 1, 1),
		-EAFNOSUPPORT);
	k->os->udp_close(k->os, v4.udp);
	k->os->udp_close(k->os, v6.udp);
}

static void check_too_big(struct kernel *k, const char *from, const char *to, size_t fits)
{
	static const uint8_t zeros[SESSION_DGRAM_MAX];
	struct path path = { 0 };
	struct end e;

	end_open(k, &e, from, 0);
	assert_int_equal(addr_parse(to, &path.remote), 0);
	assert_int_equal(k->os->udp_send(k->os, e.udp, 0, &path, zeros, fits, fits), 0);
	assert_int_equal(k->os->udp_send(k->os, e.udp, 0, &path, zeros, fits + 1, fits + 1),
			 -EMSGSIZE);
	k->os->udp_close(k->os, e.udp);
}

static void test_too_big(void **state)
{
	struct kernel *k = *state;

	sh("ip link add v0 mtu 1400 type veth peer name v1 mtu 1400 && ip link set v0 up &&"
	   " ip link set v1 up && ip addr add 198.51.100.1/24 dev v0 &&"
	   " ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent");
	check_too_big(k, "0.0.0.0:0", "198.51.100.2:9", 1400 - 28);
	if (system("ip addr add 2001:db8:1::1/64 dev v0 nodad && ip neigh add 2001:db8:1::2"
		   " lladdr 02:00:00:00:00:02 dev v0 nud permanent") == 0)
		check_too_big(k, "[::]:0", "[2001:db8:1::2]:9", 1400 - 48);
	sh("ip link del v0");
}

static bool heard_all(void *arg)
{
	return ((struct end *)arg)->n >= 200;
}

/* Refusals of one peer (ICMP) do not disturb the others; a burst comes in turns, all of it. */
static void test_refused_and_burst(void **state)
{
	struct kernel *k = *state;
	struct end a, b, gone;
	struct path to_b = { 0 }, to_gone = { 0 };

	end_open(k, &a, "127.0.0.1:0", 0);
	end_open(k, &b, "127.0.0.1:0", 0);
	end_open(k, &gone, "127.0.0.1:0", 0);
	to_b.remote = b.addr;
	to_gone.remote = gone.addr;
	k->os->udp_close(k->os, gone.udp);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(k->os->udp_send(k->os, a.udp, 0, &to_gone, "x", 1, 1), 0);
		assert_int_equal(k->os->udp_send(k->os, a.udp, 0, &to_b, "y", 1, 1), 0);
	}
	assert_true(kernel_wait(k, heard_all, &b));
	assert_int_equal(b.n, 200);
	assert_in_range(b.drained, 4, 200);
	assert_int_equal(a.n, 0);
	/* Closed inside its own callback, with more waiting behind. */
	b.close_in_datagram = true;
	b.n = b.drained = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(k->os->udp_send(k->os, a.udp, 0, &to_b, "z", 1, 1), 0);
	kernel_settle(k);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.drained, 0);
	assert_null(b.udp);
	k->os->udp_close(k->os, a.udp);
}

static void test_sizes(void **state)
{
	static uint8_t out[SESSION_DGRAM_MAX + 1];
	struct kernel *k = *state;
	struct end a, b;
	struct path to = { 0 };

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	end_open(k, &a, "127.0.0.1:0", 0);
	end_open(k, &b, "127.0.0.1:0", 0);
	to.remote = b.addr;
	/* One byte more than we take is nobody's datagram. */
	assert_int_equal(k->os->udp_send(k->os, a.udp, 0, &to, out, sizeof(out), sizeof(out)), 0);
	assert_int_equal(
		k->os->udp_send(k->os, a.udp, 0, &to, out, SESSION_DGRAM_MAX, SESSION_DGRAM_MAX),
		0);
	assert_true(kernel_wait(k, end_heard, &b));
	assert_int_equal(b.n, 1);
	assert_int_equal(b.len, SESSION_DGRAM_MAX);
	assert_memory_equal(b.last, out, SESSION_DGRAM_MAX);
	k->os->udp_close(k->os, a.udp);
	k->os->udp_close(k->os, b.udp);
}

static void test_no_such_address(void **state)
{
	struct kernel *k = *state;
	struct os_udp *u;
	struct addr a;

	assert_int_equal(addr_parse("203.0.113.9:4655", &a), 0);
	assert_int_equal(k->os->udp_open(k->os, &a, 0, OFFLOAD_ALL, &end_ops, NULL, &u),
			 -EADDRNOTAVAIL);
}

/* packet sockets */

struct heard {
	struct os *os;
	struct os_packet *p;
	unsigned n;
	size_t len;
	uint8_t frame[256];
	bool close_in_frame;
};

static void heard_frame(void *arg, const uint8_t *frame, size_t len)
{
	struct heard *h = arg;

	h->n++;
	h->len = MIN(len, sizeof(h->frame));
	memcpy(h->frame, frame, h->len);
	if (h->close_in_frame) {
		h->os->packet_close(h->os, h->p);
		h->p = NULL;
	}
}

static const struct os_packet_ops heard_ops = { .frame = heard_frame };

static bool heard_any(void *arg)
{
	return ((struct heard *)arg)->n > 0;
}

static void heard_open(struct kernel *k, struct heard *h, const char *link, uint16_t ethertype)
{
	memset(h, 0, sizeof(*h));
	h->os = k->os;
	assert_int_equal(k->os->packet_open(k->os, k->os->link_by_name(k->os, link)->index,
					    ethertype, &heard_ops, h, &h->p),
			 0);
}

static void test_packet(void **state)
{
	struct kernel *k = *state;
	static const uint8_t plain[64] = { 3, 0x4c, 0x32, 0x54, 0x55, 0x4e, 2, 0,
					   0, 0,    0,	  1,	0x88, 0xb5, 42 };
	static const uint8_t tagged[68] = { 3, 0x4c, 0x32, 0x54, 0x55, 0x4e, 2,	   0,	 0, 0,
					    0, 1,    0x81, 0,	 0x60, 7,    0x88, 0xb5, 43 };
	static const uint8_t other[64] = { 3, 0x4c, 0x32, 0x54, 0x55, 0x4e, 2,
					   0, 0,    0,	  0,	1,    0x88, 0xb6 };
	struct heard all, ours, sender;
	struct os_packet *p;

	sh("ip link add v0 type veth peer name v1 && ip link add br0 type bridge forward_delay 0 &&"
	   " ip link set br0 up && ip link set v0 up master br0 && ip link set v1 up");
	assert_true(kernel_wait_link(k, "br0", true));
	kernel_settle(k);
	heard_open(k, &all, "br0", 0);
	heard_open(k, &ours, "br0", 0x88b5);
	heard_open(k, &sender, "v1", 0x88b5);
	assert_int_equal(k->os->packet_send(k->os, sender.p, plain, sizeof(plain)), 0);
	assert_true(kernel_wait(k, heard_any, &ours));
	assert_true(kernel_wait(k, heard_any, &all));
	assert_int_equal(ours.len, sizeof(plain));
	assert_memory_equal(ours.frame, plain, sizeof(plain));
	all.n = ours.n = 0;
	assert_int_equal(k->os->packet_send(k->os, sender.p, tagged, sizeof(tagged)), 0);
	assert_true(kernel_wait(k, heard_any, &ours));
	assert_int_equal(ours.len, sizeof(tagged));
	assert_memory_equal(ours.frame, tagged, sizeof(tagged));
	assert_true(kernel_wait(k, heard_any, &all));
	/* Multicasts of the hosts' own IPv6 may be heard by this one as well. */
	if (all.n == 1)
		assert_memory_equal(all.frame, tagged, sizeof(tagged));
	ours.n = 0;
	assert_int_equal(k->os->packet_send(k->os, sender.p, other, sizeof(other)), 0);
	kernel_settle(k);
	assert_int_equal(ours.n, 0);
	/* From the bridge it goes out of the port; others on the bridge hear it, its sender not. */
	all.n = 0;
	assert_int_equal(k->os->packet_send(k->os, ours.p, plain, sizeof(plain)), 0);
	assert_true(kernel_wait(k, heard_any, &sender));
	assert_true(kernel_wait(k, heard_any, &all));
	if (all.n == 1)
		assert_memory_equal(all.frame, plain, sizeof(plain));
	assert_int_equal(ours.n, 0);
	ours.close_in_frame = true;
	assert_int_equal(k->os->packet_send(k->os, sender.p, plain, sizeof(plain)), 0);
	assert_true(kernel_wait(k, heard_any, &ours));
	assert_null(ours.p);
	assert_int_equal(k->os->packet_open(k->os, 9999, 0, &heard_ops, NULL, &p), -ENODEV);
	assert_int_equal(k->os->packet_open(k->os, 0, 0, &heard_ops, NULL, &p), -ENODEV);
	sh("ip link del br0");
	kernel_settle(k);
	assert_true(k->os->packet_send(k->os, all.p, plain, sizeof(plain)) < 0);
	k->os->packet_close(k->os, all.p);
	k->os->packet_close(k->os, sender.p);
	sh("ip link del v0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_leave_from_the_called_address),
		cmocka_unit_test(test_both_families_one_port),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_refused_and_burst),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_such_address),
		cmocka_unit_test(test_packet),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
