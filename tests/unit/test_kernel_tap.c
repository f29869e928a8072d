/*
 * TAP devices on the running kernel: what a port is like from birth to death, and that
 * `ip` and `bridge` see the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "l2tund/port.h"
#include "tests/unit/kernel_support.h"

struct port_wait {
	const char *name, *state;
};

static bool port_state_is(void *arg)
{
	const struct port_wait *w = arg;
	json_t *root, *v = ip_link(w->name, "linkinfo.info_slave_data.state", &root);
	bool is = v && strcmp(json_string_value(v), w->state) == 0;

	json_decref(root);
	if (!is)
		usleep(1000);
	return is;
}

static void wait_port_state(const char *name, const char *state)
{
	struct port_wait w = { name, state };

	for (unsigned i = 0; i < 3000 && !port_state_is(&w); i++)
		continue;
	assert_true(port_state_is(&w));
}

static void test_born_dead(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;
	json_t *root, *v;

	assert_int_equal(test_tap_open(k, &t, "l2t-a", 1400), 0);
	const struct os_link *l = kernel_link(k, "l2t-a");
	assert_non_null(l);
	assert_int_equal(l->index, t.index);
	assert_int_equal(l->kind, OS_LINK_TUN);
	assert_true(l->up);
	assert_false(l->carrier);
	assert_int_equal(l->mtu, 1400);
	assert_memory_equal(l->mac, ((uint8_t[]){ 0xfe, 1, 2, 3, 4, 5 }), 6);
	assert_link_text("l2t-a", "address", "fe:01:02:03:04:05");
	assert_link_int("l2t-a", "mtu", 1400);
	assert_link_int("l2t-a", "linkinfo.info_data.persist", 0);
	v = ip_link("l2t-a", "inet6_addr_gen_mode", &root);
	if (v)
		assert_string_equal(json_string_value(v), "none");
	json_decref(root);
	sh("! ip link show dev l2t-a | grep -q LOWER_UP");
	sh("f=/proc/sys/net/ipv6/conf/l2t-a/disable_ipv6; test ! -e $f || grep -qx 1 $f");
	test_tap_close(k, &t);
	assert_true(kernel_wait_link(k, "l2t-a", false));
	assert_int_equal(if_nametoindex("l2t-a"), 0);
}

static void test_port_follows_carrier(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;

	sh("ip link add br0 type bridge forward_delay 0 && ip link set br0 up");
	assert_true(kernel_wait_link(k, "br0", true));
	assert_int_equal(test_tap_open(k, &t, "l2t-b", 1500), 0);
	int br = kernel_link(k, "br0")->index;
	assert_int_equal(k->os->link_set_master(k->os, t.index, br), 0);
	assert_int_equal(kernel_link(k, "l2t-b")->master, br);
	assert_link_text("l2t-b", "master", "br0");
	assert_link_text("l2t-b", "linkinfo.info_slave_data.state", "disabled");
	/* It stays so whatever others do to port and bridge. */
	sh("for l in l2t-b br0; do ip link set $l down && ip link set $l up || exit 1; done");
	assert_link_text("l2t-b", "linkinfo.info_slave_data.state", "disabled");
	assert_int_equal(k->os->tap_carrier(k->os, t.tap, true), 0);
	wait_port_state("l2t-b", "forwarding");
	assert_int_equal(k->os->tap_carrier(k->os, t.tap, false), 0);
	wait_port_state("l2t-b", "disabled");
	test_tap_close(k, &t);
	assert_true(kernel_wait_link(k, "l2t-b", false));
	sh("ip link del br0");
}

static void test_attach_leaves_the_bridge(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;
	struct os_link before;

	sh("ip link add v0 mtu 1400 type veth peer name v1 && ip link add br0 type bridge &&"
	   " ip link set v0 up master br0 && ip link set br0 up");
	assert_true(kernel_wait_link(k, "br0", true));
	kernel_settle(k);
	before = *kernel_link(k, "br0");
	assert_int_equal(before.mtu, 1400);
	assert_int_equal(test_tap_open(k, &t, "l2t-c", before.mtu), 0);
	assert_int_equal(k->os->link_set_master(k->os, t.index, before.index), 0);
	assert_memory_equal(kernel_link(k, "br0")->mac, before.mac, 6);
	assert_int_equal(kernel_link(k, "br0")->mtu, before.mtu);
	kernel_settle(k);
	kernel_compare_links(k);
	/* And that the test would see it: another MTU does move the bridge's. */
	assert_int_equal(k->os->link_set_mtu(k->os, t.index, 1300), 0);
	assert_int_equal(kernel_link(k, "br0")->mtu, 1300);
	test_tap_close(k, &t);
	sh("ip link del br0 && ip link del v0");
	assert_true(kernel_wait_link(k, "v0", false));
}

static void test_exists(void **state)
{
	struct kernel *k = *state;
	struct test_tap t, second;

	sh("ip tuntap add dev l2t-d mode tap");
	assert_int_equal(test_tap_open(k, &t, "l2t-d", 1500), -EEXIST);
	sh("ip link del l2t-d && ip link add l2t-d type veth peer name l2t-e");
	assert_int_equal(test_tap_open(k, &t, "l2t-d", 1500), -EEXIST);
	sh("ip link del l2t-d");
	assert_int_equal(test_tap_open(k, &t, "l2t-d", 1500), 0);
	assert_int_equal(test_tap_open(k, &second, "l2t-d", 1500), -EEXIST);
	test_tap_close(k, &t);
	assert_int_equal(test_tap_open(k, &t, "l2t-d", 1500), 0);
	test_tap_close(k, &t);
	/* A failure half way leaves nothing behind. */
	assert_true(test_tap_open(k, &t, "l2t-d", 10) < 0);
	assert_int_equal(if_nametoindex("l2t-d"), 0);
}

static bool is_lost(void *arg)
{
	return ((struct test_tap *)arg)->lost > 0;
}

static void test_lost(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;

	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(test_tap_open(k, &t, "l2t-f", 1500), 0);
		t.close_in_lost = round;
		sh("ip link del l2t-f");
		assert_true(kernel_wait(k, is_lost, &t));
		assert_true(t.lost_err < 0);
		assert_true(kernel_wait_link(k, "l2t-f", false));
		kernel_settle(k);
		assert_int_equal(t.lost, 1);
		if (!round) {
			uint8_t frame[60] = { 0 };
			const struct vnet none = { 0 };

			assert_true(k->os->tap_write(k->os, t.tap, 0, &none,
						     &(struct iovec){ frame, 60 }, 1) < 0);
			assert_true(k->os->tap_carrier(k->os, t.tap, true) < 0);
		}
		assert_int_equal(t.tap == NULL, round);
		test_tap_close(k, &t);
	}
}

/* frames */

struct heard {
	unsigned n;
	uint8_t frame[2048];
	size_t len;
};

static void heard_frame(void *arg, const uint8_t *frame, size_t len)
{
	struct heard *h = arg;

	h->n++;
	h->len = MIN(len, sizeof(h->frame));
	memcpy(h->frame, frame, h->len);
}

static const struct os_packet_ops heard_ops = { .frame = heard_frame };

static bool heard_any(void *arg)
{
	return ((struct heard *)arg)->n > 0;
}

static bool tap_has_frames(void *arg)
{
	struct test_tap *t = arg;

	return t->frames >= 3 && t->drained;
}

static void frame_init(uint8_t *frame, size_t len)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)i;
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x02\0\0\0\0\x07\x88\xb5", 8);
}

static void test_frames(void **state)
{
	struct kernel *k = *state;
	const struct vnet none = { 0 };
	struct os_packet *p;
	struct heard h = { 0 };
	struct test_tap t;
	uint8_t frame[300];

	frame_init(frame, sizeof(frame));
	assert_int_equal(test_tap_open(k, &t, "l2t-g", 1500), 0);
	assert_int_equal(k->os->packet_open(k->os, t.index, 0x88b5, &heard_ops, &h, &p), 0);
	assert_int_equal(k->os->tap_carrier(k->os, t.tap, true), 0);
	kernel_settle(k);
	assert_int_equal(k->os->tap_write(k->os, t.tap, 0, &none,
					  &(struct iovec){ frame, sizeof(frame) }, 1),
			 0);
	assert_true(kernel_wait(k, heard_any, &h));
	assert_int_equal(h.len, sizeof(frame));
	assert_memory_equal(h.frame, frame, sizeof(frame));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(k->os->packet_send(k->os, p, frame, sizeof(frame)), 0);
	assert_true(kernel_wait(k, tap_has_frames, &t));
	assert_int_equal(t.last_len, sizeof(frame));
	assert_memory_equal(t.last, frame, sizeof(frame));
	assert_false(t.last_vnet.csum);
	assert_int_equal(h.n, 1); /* what was sent is not heard */
	t.close_in_frame = true;
	assert_int_equal(k->os->packet_send(k->os, p, frame, sizeof(frame)), 0);
	assert_true(kernel_wait_link(k, "l2t-g", false));
	assert_null(t.tap);
	k->os->packet_close(k->os, p);
}

/* A port without carrier lets nothing into its bridge; writing to it is no error. */
static void test_no_carrier_no_frames(void **state)
{
	struct kernel *k = *state;
	const struct vnet none = { 0 };
	struct os_packet *p;
	struct heard h = { 0 };
	struct test_tap t;
	uint8_t frame[100];

	frame_init(frame, sizeof(frame));
	sh("ip link add br0 type bridge forward_delay 0 && ip link set br0 up");
	assert_true(kernel_wait_link(k, "br0", true));
	assert_int_equal(test_tap_open(k, &t, "l2t-k", 1500), 0);
	assert_int_equal(k->os->link_set_master(k->os, t.index, kernel_link(k, "br0")->index), 0);
	assert_int_equal(
		k->os->packet_open(k->os, kernel_link(k, "br0")->index, 0, &heard_ops, &h, &p), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(k->os->tap_write(k->os, t.tap, 0, &none,
						  &(struct iovec){ frame, sizeof(frame) }, 1),
				 0);
	kernel_settle(k);
	assert_int_equal(h.n, 0);
	assert_int_equal(k->os->tap_carrier(k->os, t.tap, true), 0);
	wait_port_state("l2t-k", "forwarding");
	assert_int_equal(k->os->tap_write(k->os, t.tap, 0, &none,
					  &(struct iovec){ frame, sizeof(frame) }, 1),
			 0);
	assert_true(kernel_wait(k, heard_any, &h));
	k->os->packet_close(k->os, p);
	test_tap_close(k, &t);
	sh("ip link del br0");
}

/* A checksum that the kernel left to the device arrives as a hint, with the right place. */
static void test_checksum_hint(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;

	assert_int_equal(test_tap_open(k, &t, "l2t-h", 1500), 0);
	assert_int_equal(k->os->tap_carrier(k->os, t.tap, true), 0);
	sh("ip addr add 192.0.2.1/24 dev l2t-h && ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02"
	   " dev l2t-h nud permanent");
	sh("bash -c 'for i in 1 2 3; do echo hello >/dev/udp/192.0.2.2/9; done'");
	assert_true(kernel_wait(k, tap_has_frames, &t));
	assert_int_equal(t.last[14] >> 4, 4);
	assert_true(t.last_vnet.csum);
	assert_int_equal(t.last_vnet.csum_start, 14 + 20);
	assert_int_equal(t.last_vnet.csum_offset, 6);
	assert_true(t.last_len >= 14 + 20 + 8 + 6);
	test_tap_close(k, &t);
	assert_true(kernel_wait_link(k, "l2t-h", false));
}

static void test_owner(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;
	char owner[64], want[64], comm[32] = "";
	FILE *f = fopen("/proc/self/comm", "re");

	assert_non_null(f);
	assert_non_null(fgets(comm, sizeof(comm), f));
	fclose(f);
	comm[strcspn(comm, "\n")] = '\0';
	assert_int_equal(test_tap_open(k, &t, "l2t-i", 1500), 0);
	assert_int_equal(k->os->tap_owner(k->os, "l2t-i", owner, sizeof(owner)), 0);
	snprintf(want, sizeof(want), "%s pid %d", comm, getpid());
	assert_string_equal(owner, want);
	int r = k->os->tap_owner(k->os, "l2t-", owner, sizeof(owner));
	assert_true(r == -ENOENT || r == -EACCES);
	test_tap_close(k, &t);
}

/* A process in a network namespace of its own, to move things to. */
static pid_t other_netns(void)
{
	int fds[2];
	char byte;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) == 0 && write(fds[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void ignore_lost(void *arg, int err)
{
	(void)arg;
	(void)err;
}

static void ignore_frame(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len)
{
	(void)lane;
	(void)arg;
	(void)v;
	(void)frame;
	(void)len;
}

static void ignore_drained(void *arg, unsigned lane)
{
	(void)lane;
	(void)arg;
}

/* The device lives on where we cannot see it, and its owner gets no event: a new one is made. */
static void test_moved_away(void **state)
{
	static const struct os_tap_ops ops = { .lost = ignore_lost };
	struct kernel *k = *state;
	struct os *os = k->os;
	struct port p;
	pid_t pid = other_netns();

	assert_int_equal(os->bridge_add(os, "br-k", false, 0), 0);
	port_init(&p, os, "l2t-k", true, &ops, NULL);
	assert_true(port_sync(&p, os->link_by_name(os, "br-k"), US_PER_S));
	int first = p.ifindex;
	sh("ip link set l2t-k netns %d", (int)pid);
	assert_true(kernel_wait_link(k, "l2t-k", false));
	assert_false(port_sync(&p, os->link_by_name(os, "br-k"), 2 * US_PER_S));
	assert_null(p.tap);
	assert_true(port_sync(&p, os->link_by_name(os, "br-k"), p.retry_us));
	assert_int_not_equal(p.ifindex, first);
	assert_int_equal(os->link_by_index(os, p.ifindex)->master,
			 os->link_by_name(os, "br-k")->index);
	port_fini(&p);
	sh("ip link del br-k");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A port of a mesh against the kernel and against somebody with bridge(8). */
static void test_isolated(void **state)
{
	static const struct os_tap_ops ops = {
		.frame = ignore_frame,
		.drained = ignore_drained,
		.lost = ignore_lost,
	};
	struct kernel *k = *state;
	struct os *os = k->os;
	struct port p;

	assert_int_equal(os->bridge_add(os, "br-m", false, 0), 0);
	port_init(&p, os, "l2t-m", true, &ops, NULL);
	assert_true(port_sync(&p, os->link_by_name(os, "br-m"), US_PER_S));
	assert_link_int("l2t-m", "linkinfo.info_slave_data.isolated", 1);
	assert_link_text("l2t-m", "linkinfo.info_slave_data.state", "disabled");
	assert_int_equal(port_set_carrier(&p, true, US_PER_S), 0);
	wait_port_state("l2t-m", "forwarding");
	/* What came of the carrier's own events must not look like somebody's hand. */
	kernel_settle(k);
	assert_true(port_sync(&p, os->link_by_name(os, "br-m"), US_PER_S));
	assert_true(p.carrier);

	sh("bridge link set dev l2t-m isolated off");
	kernel_settle(k);
	assert_false(port_sync(&p, os->link_by_name(os, "br-m"), 2 * US_PER_S));
	assert_link_int("l2t-m", "linkinfo.info_slave_data.isolated", 1);
	sh("! ip link show dev l2t-m | grep -q LOWER_UP");
	kernel_settle(k);
	assert_true(port_sync(&p, os->link_by_name(os, "br-m"), 2 * US_PER_S));
	assert_int_equal(port_set_carrier(&p, true, 2 * US_PER_S), 0);
	/* It forgets that when it leaves the bridge. */
	sh("ip link set l2t-m nomaster && ip link set l2t-m master br-m");
	assert_link_int("l2t-m", "linkinfo.info_slave_data.isolated", 0);
	kernel_settle(k);
	assert_false(port_sync(&p, os->link_by_name(os, "br-m"), 3 * US_PER_S));
	assert_link_int("l2t-m", "linkinfo.info_slave_data.isolated", 1);
	port_fini(&p);
	sh("ip link del br-m");
}

static void test_no_leak(void **state)
{
	struct kernel *k = *state;
	struct test_tap t;
	unsigned before = count_fds();

	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(test_tap_open(k, &t, "l2t-j", 1500), 0);
		test_tap_close(k, &t);
		if (i % 50 == 0)
			kernel_settle(k);
	}
	assert_true(kernel_wait_link(k, "l2t-j", false));
	assert_int_equal(count_fds(), before);
	kernel_settle(k);
	kernel_compare_links(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_born_dead),
		cmocka_unit_test(test_port_follows_carrier),
		cmocka_unit_test(test_attach_leaves_the_bridge),
		cmocka_unit_test(test_exists),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_no_carrier_no_frames),
		cmocka_unit_test(test_checksum_hint),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_moved_away),
		cmocka_unit_test(test_isolated),
		cmocka_unit_test(test_no_leak),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	need_tap();
	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
