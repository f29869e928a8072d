/*
 * The watch of forwarding tables on the running kernel: addresses that are learnt, move, are
 * flushed and set by hand; what is kept out; and losses, after which again() is told once.
 * The mirror that a watcher keeps must be what a dump says.
 */
#include <errno.h>
#include <stdio.h>

#include "l2tund/topology/fdb.h"
#include "tests/unit/kernel_support.h"

#define SEED UINT64_C(0x0123456789abcdef)
#define MANY 40000 /* more than is read in a second */

struct watch {
	struct kernel *k;
	struct fdb fdb;
	int bridge;
	enum fdb_change last;
	int from;
	unsigned learnt, moved, gone, full, foreign, lost, again;
	bool blind;
};

static void on_entry(void *arg, int bridge, const struct os_fdb_entry *e, bool gone)
{
	struct watch *w = arg;

	assert_false(w->blind);
	if (bridge != w->bridge) {
		w->foreign++;
		return;
	}
	w->last = gone ? fdb_drop(&w->fdb, e->mac, e->vlan) :
			 fdb_put(&w->fdb, e->mac, e->vlan, e->ifindex, e->local, &w->from);
	w->learnt += w->last == FDB_LEARNT;
	w->moved += w->last == FDB_MOVED;
	w->gone += w->last == FDB_GONE;
	w->full += w->last == FDB_FULL;
}

static void on_read(void *arg, const struct os_fdb_entry *e)
{
	struct watch *w = arg;
	int from;

	fdb_put(&w->fdb, e->mac, e->vlan, e->ifindex, e->local, &from);
}

static void mirror_read(struct watch *w)
{
	fdb_begin(&w->fdb);
	assert_int_equal(w->k->os->fdb_dump(w->k->os, w->bridge, on_read, w), 0);
	fdb_end(&w->fdb);
}

static void on_lost(void *arg)
{
	struct watch *w = arg;

	assert_false(w->blind);
	w->blind = true;
	w->lost++;
}

static void on_again(void *arg)
{
	struct watch *w = arg;

	assert_true(w->blind);
	w->blind = false;
	w->again++;
	mirror_read(w);
}

static const struct os_fdb_ops ops = { .entry = on_entry, .lost = on_lost, .again = on_again };

static int index_of(struct kernel *k, const char *name)
{
	const struct os_link *l = k->os->link_by_name(k->os, name);

	assert_non_null(l);
	return l->index;
}

/* br0 with v0 and w0 in it, br1 with x0; their other ends are v1, w1 and x1. */
static void build(struct kernel *k, struct watch *w)
{
	sh("ip link add br0 type bridge forward_delay 0 mcast_snooping 0 && ip link set br0 up &&"
	   " ip link add br1 type bridge forward_delay 0 && ip link set br1 up");
	for (const char *p = "vwx"; *p; p++)
		sh("ip link add %c0 type veth peer name %c1 && sysctl -qw"
		   " net.ipv6.conf.%c1.disable_ipv6=1 && ip link set %c0 up master br%d &&"
		   " ip link set %c1 up",
		   *p, *p, *p, *p, *p == 'x', *p);
	assert_true(kernel_wait_link(k, "x1", true));
	kernel_settle(k);
	*w = (struct watch){ .k = k, .bridge = index_of(k, "br0") };
	fdb_init(&w->fdb, SEED);
	assert_int_equal(k->os->fdb_watch(k->os, &ops, w), 0);
	mirror_read(w);
}

struct tally {
	struct watch *w;
	unsigned n;
};

static void in_mirror(void *arg, const struct os_fdb_entry *e)
{
	struct tally *t = arg;

	t->n++;
	assert_true(fdb_knows(&t->w->fdb, e->mac, e->ifindex));
}

static void compare(struct watch *w)
{
	struct tally t = { .w = w };

	assert_int_equal(w->k->os->fdb_dump(w->k->os, w->bridge, in_mirror, &t), 0);
	assert_int_equal(t.n, w->fdb.n);
}

static void demolish(struct kernel *k, struct watch *w)
{
	kernel_settle(k);
	compare(w);
	assert_int_equal(k->os->fdb_watch(k->os, NULL, NULL), 0);
	sh("for l in br0 br1 v0 w0 x0; do ip link del $l; done");
	kernel_settle(k);
	fdb_fini(&w->fdb);
}

/* A broadcast from this address enters by the end `name` of a veth pair. */
static void show_up(struct kernel *k, const char *name, unsigned number)
{
	static const struct os_packet_ops none = { 0 };
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xaa, 0, 0, 0, 0, 0x88, 0xb6 };
	struct os_packet *p;

	frame[10] = (uint8_t)(number >> 8);
	frame[11] = (uint8_t)number;
	assert_int_equal(k->os->packet_open(k->os, index_of(k, name), 0x1234, &none, NULL, &p), 0);
	assert_int_equal(k->os->packet_send(k->os, p, frame, sizeof(frame)), 0);
	k->os->packet_close(k->os, p);
}

static void test_learn_move_flush(void **state)
{
	static const uint8_t mac[6] = { 2, 0xaa, 0, 0, 0, 1 };
	struct kernel *k = *state;
	struct watch w;

	build(k, &w);
	show_up(k, "v1", 1);
	kernel_settle(k);
	assert_int_equal(w.learnt, 1);
	assert_true(fdb_knows(&w.fdb, mac, index_of(k, "v0")));
	show_up(k, "v1", 1);
	kernel_settle(k);
	assert_int_equal(w.learnt + w.moved + w.gone, 1);
	show_up(k, "w1", 1);
	kernel_settle(k);
	assert_int_equal(w.moved, 1);
	assert_int_equal(w.from, index_of(k, "v0"));
	assert_true(fdb_knows(&w.fdb, mac, index_of(k, "w0")));
	assert_false(fdb_knows(&w.fdb, mac, index_of(k, "v0")));
	compare(&w);
	show_up(k, "w1", 2);
	kernel_settle(k);
	assert_int_equal(k->os->port_flush(k->os, index_of(k, "w0")), 0);
	kernel_settle(k);
	assert_int_equal(w.gone, 2);
	assert_false(fdb_knows(&w.fdb, mac, 0));
	compare(&w);
	/* A port without carrier forgets by itself. */
	show_up(k, "v1", 3);
	kernel_settle(k);
	assert_int_equal(w.learnt, 3);
	sh("ip link set v1 down");
	kernel_settle(k);
	for (unsigned i = 0; i < 20 && w.gone < 3; i++)
		kernel_settle(k);
	assert_int_equal(w.gone, 3);
	assert_int_equal(w.lost, 0);
	demolish(k, &w);
}

static void test_by_hand(void **state)
{
	static const uint8_t mac[6] = { 2, 0xbb, 0, 0, 0, 1 };
	struct kernel *k = *state;
	struct watch w;

	build(k, &w);
	sh("bridge fdb add 02:bb:00:00:00:01 dev v0 master static");
	kernel_settle(k);
	assert_true(fdb_knows(&w.fdb, mac, index_of(k, "v0")));
	sh("bridge fdb del 02:bb:00:00:00:01 dev v0 master");
	kernel_settle(k);
	assert_false(fdb_knows(&w.fdb, mac, 0));
	/* A port's new address is the bridge's own. */
	sh("ip link set v0 address 02:bb:00:00:00:01");
	kernel_settle(k);
	assert_true(fdb_knows(&w.fdb, mac, 0));
	sh("ip link set w0 nomaster");
	kernel_settle(k);
	compare(&w);
	demolish(k, &w);
}

/* Other bridges are told apart; IP neighbours and address filters of devices are not told. */
static void test_what_is_kept_out(void **state)
{
	struct kernel *k = *state;
	struct watch w;

	build(k, &w);
	show_up(k, "x1", 9);
	kernel_settle(k);
	assert_int_equal(w.foreign, 1);
	assert_int_equal(w.learnt, 0);
	sh("ip addr add 192.0.2.1/24 dev br0 && ip neigh add 192.0.2.9 lladdr 02:cc:00:00:00:01"
	   " dev br0 && bridge fdb add 02:cc:00:00:00:02 dev v1 self");
	kernel_settle(k);
	assert_int_equal(w.foreign + w.learnt, 1);
	demolish(k, &w);
}

static bool again_told(void *arg)
{
	const struct watch *w = arg;

	return w->again > 0 && !w->blind;
}

static void test_overrun(void **state)
{
	static const uint8_t mac[6] = { 2, 0xdd, 0, 0, 0, 200 };
	struct kernel *k = *state;
	struct watch w;

	build(k, &w);
	assert_int_equal(rtnl_set_fdb_buffer(os_linux(k->os)->rtnl, 1), 0);
	sh("for i in $(seq 1 200); do printf 'fdb add 02:dd:00:00:00:%%02x dev v0 master static\\n'"
	   " $i; done | bridge -batch -");
	assert_true(kernel_wait(k, again_told, &w));
	assert_int_equal(w.lost, w.again);
	assert_true(fdb_knows(&w.fdb, mac, index_of(k, "v0")));
	kernel_settle(k);
	compare(&w);
	/* And it goes on. */
	sh("bridge fdb del 02:dd:00:00:00:c8 dev v0 master");
	kernel_settle(k);
	assert_false(fdb_knows(&w.fdb, mac, 0));
	demolish(k, &w);
}

/* A guest with as many addresses as it likes: what we read of it is bounded. */
static void test_too_many(void **state)
{
	static const struct os_packet_ops none = { 0 };
	struct kernel *k = *state;
	struct os_packet *p;
	struct watch w;
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xee, 0, 0, 0, 0, 0x88, 0xb6 };

	build(k, &w);
	assert_int_equal(k->os->packet_open(k->os, index_of(k, "v1"), 0x1234, &none, NULL, &p), 0);
	uint64_t start_us = loop_now_us();
	for (unsigned i = 0; i < MANY && !w.lost; i++) {
		frame[8] = (uint8_t)(i >> 16);
		frame[9] = (uint8_t)(i >> 8);
		frame[10] = (uint8_t)i;
		k->os->packet_send(k->os, p, frame, sizeof(frame));
		if (i % 64 == 0)
			loop_run_once(k->loop);
	}
	k->os->packet_close(k->os, p);
	uint64_t took_us = loop_now_us() - start_us;
	if (!w.lost && took_us > US_PER_S) {
		print_message("# too slow a machine: %u ms\n", (unsigned)(took_us / US_PER_MS));
		sh("ip link set v0 nomaster");
		demolish(k, &w);
		return;
	}
	assert_int_equal(w.lost, 1);
	assert_true(kernel_wait(k, again_told, &w));
	sh("ip link set v0 nomaster");
	kernel_settle(k);
	for (unsigned i = 0; i < 100 && w.blind; i++)
		kernel_settle(k);
	demolish(k, &w);
}

/* What the table of links says of a bridge that learns nothing. */
static void test_attributes(void **state)
{
	struct kernel *k = *state;
	struct watch w;

	build(k, &w);
	assert_int_equal(kernel_link(k, "br0")->ageing_ms, 300000);
	assert_false(kernel_link(k, "v0")->learning_off);
	sh("ip link set br0 type bridge ageing_time 0 && bridge link set dev v0 learning off");
	kernel_settle(k);
	assert_int_equal(kernel_link(k, "br0")->ageing_ms, 0);
	assert_true(kernel_link(k, "v0")->learning_off);
	assert_false(kernel_link(k, "w0")->learning_off);
	sh("bridge link set dev v0 learning on && ip link set br0 type bridge ageing_time 1234");
	kernel_settle(k);
	assert_int_equal(kernel_link(k, "br0")->ageing_ms, 12340);
	assert_false(kernel_link(k, "v0")->learning_off);
	sh("bridge link set dev v0 learning off && ip link set v0 nomaster");
	kernel_settle(k);
	assert_false(kernel_link(k, "v0")->learning_off);
	demolish(k, &w);
}

struct stale {
	bool seen, stale;
};

static void stale_entry(void *arg, const struct os_fdb_entry *e)
{
	static const uint8_t mac[6] = { 2, 0xaa, 0, 0, 0, 1 };
	struct stale *s = arg;

	if (memcmp(e->mac, mac, sizeof(mac)) != 0)
		return;
	s->seen = true;
	s->stale = e->stale;
}

/* With an ageing time of nothing whatever was learnt is older than it. */
static void test_stale(void **state)
{
	struct kernel *k = *state;
	struct watch w;
	struct stale s = { 0 };

	build(k, &w);
	show_up(k, "v1", 1);
	kernel_settle(k);
	assert_int_equal(k->os->fdb_dump(k->os, w.bridge, stale_entry, &s), 0);
	assert_true(s.seen && !s.stale);
	sh("ip link set br0 type bridge ageing_time 0");
	s = (struct stale){ 0 };
	assert_int_equal(k->os->fdb_dump(k->os, w.bridge, stale_entry, &s), 0);
	assert_true(!s.seen || s.stale);
	demolish(k, &w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learn_move_flush),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_what_is_kept_out),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_stale),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
