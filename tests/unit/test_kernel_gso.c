/*
 * Super-frames between a TAP and its bridge on the running kernel: a guest behind a veth, whose
 * frames carry virtio headers (PACKET_VNET_HDR, packet(7)), sends and receives them whole.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/support/packet.h"
#include "tests/unit/kernel_support.h"

#define MTU 1500
#define PAYLOAD_MAX 65000
#define FRAMES_MAX 512

/* br0 with a TAP and a guest: what we hear of it. */
struct net {
	struct kernel *k;
	struct os_tap *tap;
	struct offloads offloads;
	int guest; /* packet socket at the guest's end of the veth */
	unsigned n, drained, at_drained;
	struct {
		struct vnet vnet;
		size_t len;
		uint8_t *copy;
		const uint8_t *at;
	} heard[FRAMES_MAX];
};

static void net_frame(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct net *n = arg;

	(void)lane;
	/* IPv6 of the guest's own kernel, if any. */
	if (len < 60 || memcmp(frame, "\x02\0\0\0\0\1", 6))
		return;
	assert_in_range(n->n, 0, FRAMES_MAX - 1);
	n->heard[n->n].vnet = *v;
	n->heard[n->n].len = len;
	n->heard[n->n].copy = malloc(len);
	n->heard[n->n].at = frame;
	assert_non_null(n->heard[n->n].copy);
	memcpy(n->heard[n->n].copy, frame, len);
	n->n++;
}

/* All of a batch stands where it was. */
static void net_drained(void *arg, unsigned lane)
{
	struct net *n = arg;

	(void)lane;
	n->drained++;
	for (; n->at_drained < n->n; n->at_drained++)
		assert_memory_equal(n->heard[n->at_drained].at, n->heard[n->at_drained].copy,
				    n->heard[n->at_drained].len);
}

static void net_lost(void *arg, int err)
{
	(void)arg;
	fail_msg("lost: %d", err);
}

static const struct os_tap_ops net_ops = {
	.frame = net_frame,
	.drained = net_drained,
	.lost = net_lost,
};

static int guest_socket(const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(name) };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static bool port_forwards(void *arg)
{
	json_t *root, *v = ip_link("l2t-s", "linkinfo.info_slave_data.state", &root);
	bool is = v && strcmp(json_string_value(v), "forwarding") == 0;

	(void)arg;
	json_decref(root);
	usleep(is ? 0 : 1000);
	return is;
}

static void net_init(struct net *n, struct kernel *k, unsigned offload)
{
	struct os_tap_params p = {
		.name = "l2t-s", .mac = { 0xfe, 1, 2, 3, 4, 5 }, .mtu = MTU, .offload = offload
	};

	memset(n, 0, sizeof(*n));
	n->k = k;
	sh("ip link add g0 type veth peer name g1 && ip link add br0 type bridge forward_delay 0 "
	   "&&"
	   " ip link set g0 up master br0 && ip link set g1 up && ip link set br0 up");
	assert_true(kernel_wait_link(k, "br0", true));
	assert_int_equal(k->os->tap_open(k->os, &p, &net_ops, n, &n->tap), 0);
	k->os->tap_offloads(k->os, n->tap, &n->offloads);
	assert_int_equal(k->os->link_set_master(k->os, k->os->tap_ifindex(k->os, n->tap),
						kernel_link(k, "br0")->index),
			 0);
	assert_int_equal(k->os->tap_carrier(k->os, n->tap, true), 0);
	for (unsigned i = 0; i < 3000 && !port_forwards(NULL); i++)
		continue;
	n->guest = guest_socket("g1");
	kernel_settle(k);
}

static void net_forget(struct net *n)
{
	for (unsigned i = 0; i < n->n; i++)
		free(n->heard[i].copy);
	n->n = n->at_drained = 0;
}

static void net_fini(struct net *n)
{
	net_forget(n);
	close(n->guest);
	n->k->os->tap_close(n->k->os, n->tap);
	sh("ip link del br0 && ip link del g0");
	assert_true(kernel_wait_link(n->k, "g0", false));
	assert_true(kernel_wait_link(n->k, "l2t-s", false));
}

/* A frame of `k` with `len` bytes of payload in segments of `size`; its length. */
static size_t super_new(const struct packet *k, size_t len, uint16_t size, uint8_t *frame,
			struct vnet *ret)
{
	static uint8_t payload[PAYLOAD_MAX];
	size_t total;

	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 13 + i / 251);
	total = packet_build(k, payload, len, frame);
	/* To and from addresses that the bridge knows nothing of. */
	memcpy(frame, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
	packet_unfinish(k, frame, total, ret);
	ret->gso = k->tcp ? (k->ipv6 ? VNET_GSO_TCP6 : VNET_GSO_TCP4) : VNET_GSO_UDP;
	ret->gso_size = size;
	return total;
}

static bool guest_send(struct net *n, const struct vnet *v, const uint8_t *frame, size_t len)
{
	uint8_t hdr[VNET_HDR_BYTES];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { (void *)(uintptr_t)frame, len } };

	vnet_format(v, hdr);
	return writev(n->guest, iov, 2) == (ssize_t)(sizeof(hdr) + len);
}

static bool heard_enough(void *arg)
{
	struct net *n = arg;
	size_t payload = 0;

	for (unsigned i = 0; i < n->n; i++)
		payload += n->heard[i].len - 54;
	return payload > 39000 && n->at_drained == n->n;
}

static const struct packet tcp4 = { .tcp = true, .df = true, .flags = 0x10, .seq = 1000 };
static const struct packet tcp6 = { .tcp = true, .ipv6 = true, .flags = 0x10, .seq = 1000 };
static const struct packet udp4 = { .df = true };

static void check_whole(struct net *n, const struct packet *k, uint8_t *frame)
{
	struct vnet v;
	size_t len = super_new(k, 40000, 1400, frame, &v);

	assert_true(guest_send(n, &v, frame, len));
	assert_true(kernel_wait(n->k, heard_enough, n));
	assert_int_equal(n->n, 1);
	assert_int_equal(n->heard[0].len, len);
	assert_memory_equal(n->heard[0].copy, frame, len);
	assert_int_equal(n->heard[0].vnet.gso, v.gso);
	assert_int_equal(n->heard[0].vnet.gso_size, v.gso_size);
	assert_true(n->heard[0].vnet.csum);
	assert_int_equal(n->heard[0].vnet.csum_start, v.csum_start);
	net_forget(n);
}

/* What a guest sends whole we read whole, and several of them in one batch or more. */
static void test_super_read(void **state)
{
	static uint8_t frame[PACKET_MAX];
	struct net n;
	struct vnet v;
	size_t len;

	net_init(&n, *state, OFFLOAD_ALL);
	assert_true(offload_on(n.offloads.active, OFFLOAD_TSO));
	check_whole(&n, &tcp4, frame);
	check_whole(&n, &tcp6, frame);
	if (offload_on(n.offloads.active, OFFLOAD_USO))
		check_whole(&n, &udp4, frame);
	len = super_new(&tcp4, PAYLOAD_MAX, 1448, frame, &v);
	for (unsigned i = 0; i < 20; i++)
		assert_true(guest_send(&n, &v, frame, len));
	while (n.n < 20)
		loop_run_once(n.k->loop);
	for (unsigned i = 0; i < 20; i++)
		assert_memory_equal(n.heard[i].copy, frame, len);
	assert_in_range(n.drained, 10, 30);
	net_fini(&n);
}

/* Without the offloads the kernel cuts, and finishes what it had left to the device. */
static void check_cut(struct net *n, const struct packet *k, bool csum)
{
	static uint8_t frame[PACKET_MAX], again[2048];
	struct vnet v;
	size_t len = super_new(k, 40000, 1400, frame, &v);

	assert_true(guest_send(n, &v, frame, len));
	assert_true(kernel_wait(n->k, heard_enough, n));
	assert_int_equal(n->n, (40000 + 1399) / 1400);
	for (unsigned i = 0; i < n->n; i++) {
		assert_int_equal(n->heard[i].vnet.gso, VNET_GSO_NONE);
		assert_true(n->heard[i].len <= MTU + 14);
		assert_true(csum || !n->heard[i].vnet.csum);
		if (i + 1 == n->n || csum)
			continue;
		/* The plain sums of the test agree with the kernel's. */
		memcpy(again, n->heard[i].copy, n->heard[i].len);
		packet_unfinish(k, again, n->heard[i].len, &v);
		packet_finish(again, n->heard[i].len, &v);
		assert_memory_equal(again, n->heard[i].copy, n->heard[i].len);
	}
	net_forget(n);
}

static void test_super_off(void **state)
{
	struct net n;

	net_init(&n, *state, 1U << OFFLOAD_CHECKSUM);
	assert_int_equal(n.offloads.active, 1U << OFFLOAD_CHECKSUM);
	assert_string_equal(n.offloads.why[OFFLOAD_TSO], "");
	check_cut(&n, &tcp4, true);
	net_fini(&n);
	net_init(&n, *state, 0);
	check_cut(&n, &tcp4, false);
	check_cut(&n, &tcp6, false);
	check_cut(&n, &udp4, false);
	net_fini(&n);
	net_init(&n, *state, OFFLOAD_ALL & ~(1U << OFFLOAD_CHECKSUM));
	assert_int_equal(n.offloads.active, 1U << OFFLOAD_JOIN);
	assert_non_null(strstr(n.offloads.why[OFFLOAD_TSO], "checksum"));
	check_cut(&n, &tcp4, false);
	net_fini(&n);
}

/* The next frame that came out of the bridge to the guest. */
static size_t guest_recv(struct net *n, struct vnet *ret, uint8_t *buf)
{
	struct sockaddr_ll from;
	uint8_t hdr[VNET_HDR_BYTES];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { buf, PACKET_MAX } };
	struct msghdr m = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = iov, .msg_iovlen = 2
	};
	struct pollfd p = { .fd = n->guest, .events = POLLIN };

	while (poll(&p, 1, (int)(WAIT_US / 1000)) > 0) {
		m.msg_namelen = sizeof(from);
		ssize_t len = recvmsg(n->guest, &m, 0);
		if (len < VNET_HDR_BYTES + 60 || memcmp(buf, "\x02\0\0\0\0\1", 6) ||
		    from.sll_pkttype == PACKET_OUTGOING)
			continue;
		len -= VNET_HDR_BYTES;
		assert_int_equal(vnet_parse(hdr, (size_t)len, ret), 0);
		return (size_t)len;
	}
	fail_msg("nothing came");
	return 0;
}

/* In parts, as they were received: the first with the headers, of whatever sizes. */
static int write_parts(struct net *n, const struct vnet *v, uint8_t *frame, size_t len, size_t part)
{
	struct iovec iov[64];
	unsigned parts = 0;

	for (size_t at = 0; at < len; at += iov[parts++].iov_len)
		iov[parts] = (struct iovec){ frame + at, MIN(part, len - at) };
	return n->k->os->tap_write(n->k->os, n->tap, 0, v, iov, parts);
}

static void check_written(struct net *n, const struct packet *k, size_t payload, size_t part)
{
	static uint8_t frame[PACKET_MAX], got[PACKET_MAX];
	struct vnet v, w;
	size_t len = super_new(k, payload, 1400, frame, &v);

	assert_int_equal(write_parts(n, &v, frame, len, part), 0);
	assert_int_equal(guest_recv(n, &w, got), len);
	assert_memory_equal(got, frame, len);
	assert_int_equal(w.gso, v.gso);
	assert_int_equal(w.gso_size, v.gso_size);
	assert_true(w.csum);
}

static void test_super_write(void **state)
{
	static uint8_t frame[PACKET_MAX];
	struct net n;
	struct vnet v;
	size_t len;

	net_init(&n, *state, OFFLOAD_ALL);
	assert_true(offload_on(n.offloads.active, OFFLOAD_JOIN));
	check_written(&n, &tcp4, 40000, 1500);
	check_written(&n, &tcp4, PAYLOAD_MAX, 1448);
	check_written(&n, &tcp6, 40000, 1500);
	if (offload_on(n.offloads.active, OFFLOAD_USO))
		check_written(&n, &udp4, 40000, 1400 + 42);
	/* One header that the kernel does not like says nothing about others. */
	len = super_new(&tcp4, 4000, 1400, frame, &v);
	frame[12] = 0x12;
	v.gso_size = 0;
	write_parts(&n, &v, frame, len, len);
	check_written(&n, &tcp4, 40000, 1500);
	net_fini(&n);
	/* Switched off: refused before the kernel sees it. */
	net_init(&n, *state, OFFLOAD_ALL & ~(1U << OFFLOAD_JOIN | 1U << OFFLOAD_USO));
	len = super_new(&tcp4, 4000, 1400, frame, &v);
	assert_int_equal(write_parts(&n, &v, frame, len, len), -EOPNOTSUPP);
	len = super_new(&udp4, 4000, 1400, frame, &v);
	assert_int_equal(write_parts(&n, &v, frame, len, len), -EOPNOTSUPP);
	net_fini(&n);
}

static void test_queue_length(void **state)
{
	struct net n;

	net_init(&n, *state, OFFLOAD_ALL);
	assert_link_int("l2t-s", "txqlen", 1000);
	/* What was asked of the kernel at the beginning reached nobody. */
	sh("ip -j -s link show dev l2t-s | grep -q '\"rx\":{\"bytes\":0,'");
	net_fini(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_super_read),
		cmocka_unit_test(test_super_off),
		cmocka_unit_test(test_super_write),
		cmocka_unit_test(test_queue_length),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	need_tap();
	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
