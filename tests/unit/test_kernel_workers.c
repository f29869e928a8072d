/*
 * What lanes have of the running kernel: a queue of a TAP each, of which all are born without
 * carrier and lost together, and a socket each, to which data comes by the sender's lane.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>

#include "l2tund/kernel/os_linux.h"
#include "l2tund/session/dgram.h"
#include "tests/unit/kernel_support.h"

#define WORKERS 3
#define FLOWS 60

/* What came, by lane. The loop's thread looks at it only while no lane is at work. */
struct counts {
	struct os *os;
	unsigned n[1 + WORKERS], lost, told;
	unsigned wrong;
};

static int setup(void **state)
{
	struct kernel *k;

	kernel_setup(state);
	k = *state;
	assert_int_equal(os_linux_lanes(k->os, WORKERS), 0);
	assert_int_equal(os_linux_start(k->os), 0);
	assert_int_equal(k->os->lanes, 1 + WORKERS);
	return 0;
}

static unsigned total(const struct counts *c)
{
	unsigned sum = 0;

	for (unsigned i = 0; i <= WORKERS; i++)
		sum += c->n[i];
	return sum;
}

static bool all_came(void *arg)
{
	return total(arg) >= FLOWS;
}

/* TAP */

static void count_frame(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct counts *c = arg;

	(void)v;
	if (len == 100 && frame[12] == 0x08 && frame[13] == 0x00)
		__atomic_add_fetch(&c->n[lane], 1, __ATOMIC_RELAXED);
}

static void count_drained(void *arg, unsigned lane)
{
	(void)arg;
	(void)lane;
}

static void count_lost(void *arg, int err)
{
	struct counts *c = arg;

	c->lost++;
	c->wrong += err >= 0;
}

static const struct os_tap_ops tap_ops = {
	.frame = count_frame,
	.drained = count_drained,
	.lost = count_lost,
};

static int open_tap(struct kernel *k, struct counts *c, const char *name, struct os_tap **ret)
{
	struct os_tap_params p = { .mac = { 0xfe, 1, 2, 3, 4, 5 }, .mtu = 1500 };

	*c = (struct counts){ 0 };
	p.offload = OFFLOAD_ALL;
	snprintf(p.name, sizeof(p.name), "%s", name);
	return k->os->tap_open(k->os, &p, &tap_ops, c, ret);
}

static unsigned heard;

static void heard_frame(void *arg, const uint8_t *frame, size_t len)
{
	(void)arg;
	heard += len == 100 && frame[12] == 0x88 && frame[13] == 0xb5;
}

static const struct os_packet_ops heard_ops = { .frame = heard_frame };

static bool heard_all(void *arg)
{
	return heard == *(const unsigned *)arg;
}

static void write_by_all(struct kernel *k, struct os_tap *t)
{
	uint8_t frame[100] = "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x07\x88\xb5";
	const struct vnet none = { 0 };

	for (unsigned lane = 0; lane <= WORKERS; lane++)
		assert_int_equal(k->os->tap_write(k->os, t, lane, &none,
						  &(struct iovec){ frame, sizeof(frame) }, 1),
				 0);
}

static bool is_disabled(const char *name)
{
	json_t *root, *v = ip_link(name, "linkinfo.info_slave_data.state", &root);
	bool is = v && strcmp(json_string_value(v), "disabled") == 0;

	json_decref(root);
	return is;
}

static void wait_disabled(const char *name, bool disabled)
{
	for (unsigned i = 0; i < 3000 && is_disabled(name) != disabled; i++)
		usleep(1000);
	assert_int_equal(is_disabled(name), disabled);
}

/* No queue brings the carrier, and without it none of them lets anything in. */
static void test_born_dead(void **state)
{
	struct kernel *k = *state;
	struct os_packet *p;
	struct counts c;
	struct os_tap *t;
	unsigned want = 0;

	sh("ip link add br0 type bridge forward_delay 0 && ip link set br0 up");
	assert_true(kernel_wait_link(k, "br0", true));
	assert_int_equal(open_tap(k, &c, "l2t-a", &t), 0);
	assert_false(kernel_link(k, "l2t-a")->carrier);
	assert_link_int("l2t-a", "linkinfo.info_data.persist", 0);
	assert_link_int("l2t-a", "linkinfo.info_data.numqueues", WORKERS);
	int br = kernel_link(k, "br0")->index;
	assert_int_equal(k->os->link_set_master(k->os, k->os->tap_ifindex(k->os, t), br), 0);
	assert_int_equal(k->os->packet_open(k->os, br, 0, &heard_ops, NULL, &p), 0);
	sh("for l in l2t-a br0; do ip link set $l down && ip link set $l up || exit 1; done");
	assert_true(is_disabled("l2t-a"));
	heard = 0;
	write_by_all(k, t);
	kernel_settle(k);
	assert_int_equal(heard, 0);
	assert_int_equal(k->os->tap_carrier(k->os, t, true), 0);
	wait_disabled("l2t-a", false);
	want = 1 + WORKERS;
	write_by_all(k, t);
	assert_true(kernel_wait(k, heard_all, &want));
	assert_int_equal(k->os->tap_carrier(k->os, t, false), 0);
	wait_disabled("l2t-a", true);
	write_by_all(k, t);
	kernel_settle(k);
	assert_int_equal(heard, want);
	k->os->packet_close(k->os, p);
	k->os->tap_close(k->os, t);
	assert_true(kernel_wait_link(k, "l2t-a", false));
	sh("ip link del br0");
}

/* An IPv4 frame of its own flow: the kernel spreads them over the queues. */
static void flow_frame(uint8_t frame[100], unsigned flow)
{
	memset(frame, 0, 100);
	memcpy(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x07\x08\x00\x45\0\0\x56", 18);
	memcpy(frame + 22, "\x40\x11\0\0\x0a\0\0\1\x0a\0\0\2", 12);
	frame[34] = 0x10;
	frame[35] = (uint8_t)flow;
	frame[37] = 9;
	frame[39] = 66;
}

static void test_frames(void **state)
{
	struct kernel *k = *state;
	struct os_packet *p;
	struct counts c;
	struct os_tap *t;
	uint8_t frame[100];

	assert_int_equal(open_tap(k, &c, "l2t-b", &t), 0);
	assert_int_equal(k->os->tap_carrier(k->os, t, true), 0);
	assert_int_equal(k->os->packet_open(k->os, k->os->tap_ifindex(k->os, t), 0x0800, &heard_ops,
					    NULL, &p),
			 0);
	kernel_settle(k);
	for (unsigned i = 0; i < FLOWS; i++) {
		flow_frame(frame, i);
		assert_int_equal(k->os->packet_send(k->os, p, frame, sizeof(frame)), 0);
	}
	assert_true(kernel_wait(k, all_came, &c));
	assert_int_equal(total(&c), FLOWS);
	assert_int_equal(c.n[0], 0);
	for (unsigned i = 1; i <= WORKERS; i++)
		assert_true(c.n[i] > 0);
	k->os->packet_close(k->os, p);
	k->os->tap_close(k->os, t);
	assert_true(kernel_wait_link(k, "l2t-b", false));
}

static bool is_lost(void *arg)
{
	return ((struct counts *)arg)->lost > 0;
}

/* Every lane sees it go. They are silent then, and it is closed before the others' news count. */
static void test_lost(void **state)
{
	struct kernel *k = *state;
	struct counts c;
	struct os_tap *t;

	assert_int_equal(open_tap(k, &c, "l2t-c", &t), 0);
	sh("ip link del l2t-c");
	assert_true(kernel_wait(k, is_lost, &c));
	assert_int_equal(c.wrong, 0);
	k->os->tap_close(k->os, t);
	unsigned lost = c.lost;
	kernel_settle(k);
	assert_int_equal(c.lost, lost);
}

static void test_exists(void **state)
{
	struct kernel *k = *state;
	struct counts c, d;
	struct os_tap *t, *u;

	assert_int_equal(open_tap(k, &c, "l2t-d", &t), 0);
	assert_int_equal(open_tap(k, &d, "l2t-d", &u), -EEXIST);
	k->os->tap_close(k->os, t);
	sh("ip tuntap add dev l2t-d mode tap multi_queue");
	assert_int_equal(open_tap(k, &c, "l2t-d", &t), -EEXIST);
	sh("ip link del l2t-d");
	kernel_settle(k);
}

/* UDP */

static void count_datagram(void *arg, unsigned lane, const struct path *from, uint8_t *buf,
			   size_t len)
{
	struct counts *c = arg;
	bool data = buf[0] == DGRAM_DATA || buf[0] == DGRAM_PLAIN;
	unsigned want = data ? 1 + buf[1] % WORKERS : 0;

	(void)from;
	if (len < 16 || lane != want)
		__atomic_add_fetch(&c->wrong, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&c->n[lane], 1, __ATOMIC_RELAXED);
}

static void count_told(void *arg, void *data, size_t len)
{
	struct counts *c = arg;

	c->told += len == 1 && *(uint8_t *)data == 7;
}

/* A lane may post from drained(), too. */
static void tell_drained(void *arg, unsigned lane)
{
	struct counts *c = arg;
	uint8_t seven = 7;

	if (lane)
		c->os->lane_post(c->os, count_told, c, &(struct iovec){ &seven, 1 }, 1);
}

static const struct os_udp_ops udp_ops = { .datagram = count_datagram, .drained = tell_drained };

static void test_sorted(void **state)
{
	static const uint8_t types[] = { DGRAM_DATA, DGRAM_PLAIN, DGRAM_CONTROL, DGRAM_INIT };
	struct kernel *k = *state;
	struct addr listen, to;
	struct counts c = { .os = k->os };
	struct os_udp *u;
	uint8_t buf[16] = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(addr_parse("127.0.0.1:0", &listen), 0);
	assert_int_equal(k->os->udp_open(k->os, &listen, 0, 0, &udp_ops, &c, &u), 0);
	to = listen;
	addr_set_port(&to, udp_port(u));
	for (unsigned i = 0; i < FLOWS; i++) {
		buf[0] = types[i % 4];
		buf[1] = (uint8_t)(i / 4);
		assert_int_equal(sendto(fd, buf, sizeof(buf), 0, &to.sa, addr_len(&to)), 16);
	}
	assert_true(kernel_wait(k, all_came, &c));
	kernel_settle(k);
	assert_int_equal(total(&c), FLOWS);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.n[0], FLOWS / 2);
	for (unsigned i = 1; i <= WORKERS; i++)
		assert_int_equal(c.n[i], FLOWS / 2 / WORKERS);
	assert_true(c.told > 0);
	k->os->udp_close(k->os, u);
	close(fd);
}

/* Whichever lane sends, it comes from the one port. */
static void test_one_port(void **state)
{
	struct kernel *k = *state;
	struct addr listen, from;
	struct path path = { 0 };
	struct counts c = { .os = k->os };
	struct os_udp *u;
	socklen_t len = sizeof(path.remote);
	uint8_t buf[16] = { DGRAM_DATA };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(addr_parse("127.0.0.1:0", &listen), 0);
	assert_int_equal(bind(fd, &listen.sa, addr_len(&listen)), 0);
	assert_int_equal(getsockname(fd, &path.remote.sa, &len), 0);
	assert_int_equal(k->os->udp_open(k->os, &listen, 0, 0, &udp_ops, &c, &u), 0);
	for (unsigned lane = 0; lane <= WORKERS; lane++) {
		assert_int_equal(k->os->udp_send(k->os, u, lane, &path, buf, 16, 16), 0);
		len = sizeof(from);
		assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0, &from.sa, &len), 16);
		assert_int_equal(addr_port(&from), udp_port(u));
	}
	k->os->udp_close(k->os, u);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_born_dead), cmocka_unit_test(test_frames),
		cmocka_unit_test(test_lost),	  cmocka_unit_test(test_exists),
		cmocka_unit_test(test_sorted),	  cmocka_unit_test(test_one_port),
	};

	netns_enter();
	need_tap();
	return cmocka_run_group_tests(tests, setup, kernel_teardown);
}
