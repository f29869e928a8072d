/*
 * The table of links against `ip`, under changes of ours, changes of others, and events that were
 * lost; bridges that we make; forwarding tables against `bridge fdb`.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>

#include "tests/unit/kernel_support.h"

static int index_of(struct kernel *k, const char *name)
{
	const struct os_link *l = kernel_link(k, name);

	assert_non_null(l);
	return l->index;
}

/* br0 with v0 and w0 in it, v1 and w1 outside. */
static void build(struct kernel *k)
{
	sh("ip link add br0 type bridge forward_delay 0 && ip link set br0 up &&"
	   " ip link add v0 type veth peer name v1 && ip link add w0 type veth peer name w1 &&"
	   " ip link set v0 up master br0 && ip link set w0 up master br0 &&"
	   " ip link set v1 up && ip link set w1 up");
	assert_true(kernel_wait_link(k, "w1", true));
	kernel_settle(k);
}

static void demolish(struct kernel *k)
{
	sh("for l in br0 br1 v0 w0 v1 w1; do ip link del $l 2>/dev/null || :; done");
	kernel_settle(k);
	kernel_compare_links(k);
}

static void test_events(void **state)
{
	struct kernel *k = *state;

	build(k);
	kernel_compare_links(k);
	assert_int_equal(kernel_link(k, "v0")->master, index_of(k, "br0"));
	assert_true(kernel_link(k, "v0")->carrier);
	static const char *const steps[] = {
		"ip link set v0 nomaster",
		"ip link set v0 master br0",
		"ip link set v1 down",
		"ip link set v1 up",
		"ip link set v0 mtu 1300",
		"ip link set br0 address 02:11:22:33:44:55",
		"ip link set w0 down && ip link set w0 name x0 && ip link set x0 up",
		"ip link set x0 down && ip link set x0 name w0 && ip link set w0 up",
		"ip link set br0 alias hello && ip link set br0 type bridge stp_state 1",
		"bridge link set dev v0 isolated on",
		"bridge link set dev v0 isolated off",
		"bridge link set dev v0 isolated on && ip link set v0 nomaster",
		("ip link set v0 master br0 && ip link add br1 type bridge && "
		 "ip link set v0 master br1"),
		"ip link del br0 && ip link add br0 type bridge && ip link set w0 master br0",
		"ip link del v0",
	};
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		unsigned before = k->notified;

		sh("%s", steps[i]);
		kernel_settle(k);
		assert_true(k->notified > before);
		kernel_compare_links(k);
	}
	assert_int_equal(rtnl_resyncs(os_linux(k->os)->rtnl), 0);
	demolish(k);
}

static void test_bridge_deleted_and_made_again(void **state)
{
	struct kernel *k = *state;
	int before;

	build(k);
	before = index_of(k, "br0");
	sh("ip link del br0 && ip link add br0 type bridge");
	kernel_settle(k);
	assert_int_not_equal(index_of(k, "br0"), before);
	assert_null(k->os->link_by_index(k->os, before));
	assert_int_equal(kernel_link(k, "v0")->master, 0);
	demolish(k);
}

/* What a bridge says about a port that left is not the end of the link. */
static void test_leaving_is_not_deletion(void **state)
{
	struct kernel *k = *state;
	const struct os_link *v0;

	build(k);
	v0 = kernel_link(k, "v0");
	sh("ip link set v0 nomaster");
	kernel_settle(k);
	assert_ptr_equal(kernel_link(k, "v0"), v0);
	assert_int_equal(v0->master, 0);
	sh("ip link set v0 master br0 && ip link del br0");
	kernel_settle(k);
	assert_ptr_equal(kernel_link(k, "v0"), v0);
	assert_int_equal(v0->master, 0);
	demolish(k);
}

static void test_stp_and_alias(void **state)
{
	struct kernel *k = *state;

	build(k);
	assert_false(kernel_link(k, "br0")->stp);
	sh("ip link set br0 type bridge stp_state 1 && ip link set br0 alias 'a b'");
	kernel_settle(k);
	assert_true(kernel_link(k, "br0")->stp);
	assert_string_equal(kernel_link(k, "br0")->alias, "a b");
	demolish(k);
}

static void test_one_call_per_turn(void **state)
{
	struct kernel *k = *state;
	unsigned before = k->notified;

	sh("for i in $(seq 20); do ip link add d$i type veth peer name e$i; done");
	kernel_settle(k);
	/* Some hundred messages, all of which waited. */
	assert_in_range(k->notified - before, 1, 4);
	assert_non_null(kernel_link(k, "e20"));
	sh("for i in $(seq 20); do ip link del d$i; done");
	kernel_settle(k);
	kernel_compare_links(k);
}

/* Changes of ours show before the call returns, although older events still wait. */
static void test_changes_are_read_back(void **state)
{
	struct kernel *k = *state;
	const uint8_t mac[6] = { 2, 9, 8, 7, 6, 5 };
	struct os *os = k->os;
	int v0, br0;

	build(k);
	v0 = index_of(k, "v0");
	br0 = index_of(k, "br0");
	for (unsigned i = 0; i < 20; i++) {
		sh("ip link set v0 nomaster && ip link set v0 mtu 1400 && ip link set v0 master br0"
		   " && ip link set v0 mtu 1450");
		assert_int_equal(os->link_set_master(os, v0, 0), 0);
		assert_int_equal(os->link_by_index(os, v0)->master, 0);
		assert_int_equal(os->link_set_mtu(os, v0, 1280 + i), 0);
		assert_int_equal(os->link_by_index(os, v0)->mtu, 1280 + i);
		assert_int_equal(os->link_set_master(os, v0, br0), 0);
		kernel_compare_links(k);
	}
	assert_int_equal(os->link_set_mac(os, v0, mac), 0);
	assert_memory_equal(os->link_by_index(os, v0)->mac, mac, 6);
	assert_link_text("v0", "address", "02:09:08:07:06:05");
	assert_int_equal(os->link_set_up(os, v0, false), 0);
	assert_false(os->link_by_index(os, v0)->up);
	assert_int_equal(os->link_set_up(os, v0, true), 0);
	assert_true(os->link_by_index(os, v0)->up);
	kernel_settle(k);
	kernel_compare_links(k);
	demolish(k);
}

static void test_errors_are_errno(void **state)
{
	struct kernel *k = *state;
	struct os *os = k->os;

	build(k);
	assert_int_equal(os->link_set_mtu(os, 9999, 1500), -ENODEV);
	assert_int_equal(os->link_set_up(os, 9999, true), -ENODEV);
	assert_int_equal(os->link_set_mtu(os, index_of(k, "v0"), 1), -EINVAL);
	assert_int_equal(os->link_set_master(os, index_of(k, "v0"), index_of(k, "v1")),
			 -EOPNOTSUPP);
	assert_int_equal(os->link_set_master(os, index_of(k, "br0"), index_of(k, "br0")), -ELOOP);
	assert_true(os->port_set_isolated(os, index_of(k, "v1"), true) < 0);
	assert_true(os->port_flush(os, index_of(k, "v1")) < 0);
	assert_int_equal(os->bridge_add(os, "v0", false, 0), -EEXIST);
	assert_int_equal(os->bridge_add(os, "a-name-that-is-too-long", false, 0), -EINVAL);
	assert_int_equal(os->bridge_add(os, "br1", true, 31), -EINVAL);
	assert_null(kernel_link(k, "br1"));
	demolish(k);
}

/* What was found before a change may be looked at until the loop runs. */
static void test_pointers_stay(void **state)
{
	struct kernel *k = *state;
	const struct os_link *v0, *w0;

	build(k);
	v0 = kernel_link(k, "v0");
	w0 = kernel_link(k, "w0");
	sh("ip link del v0 && for i in $(seq 30); do ip link add d$i type bridge; done");
	assert_int_equal(k->os->link_set_mtu(k->os, w0->index, 1400), 0);
	assert_string_equal(v0->name, "v0"); /* the sanitizer looks too */
	assert_null(kernel_link(k, "v0"));
	assert_non_null(kernel_link(k, "d30"));
	assert_ptr_equal(kernel_link(k, "w0"), w0);
	sh("for i in $(seq 30); do ip link del d$i; done");
	demolish(k);
}

static void test_isolated(void **state)
{
	struct kernel *k = *state;
	struct os *os = k->os;
	int v0;

	build(k);
	v0 = index_of(k, "v0");
	assert_int_equal(os->port_set_isolated(os, v0, true), 0);
	assert_true(os->link_by_index(os, v0)->isolated);
	assert_link_int("v0", "linkinfo.info_slave_data.isolated", 1);
	assert_link_int("w0", "linkinfo.info_slave_data.isolated", 0);
	kernel_settle(k);
	assert_true(os->link_by_index(os, v0)->isolated);
	assert_int_equal(os->port_set_isolated(os, v0, false), 0);
	assert_false(os->link_by_index(os, v0)->isolated);
	assert_link_int("v0", "linkinfo.info_slave_data.isolated", 0);
	demolish(k);
}

static void test_bridge_add(void **state)
{
	struct kernel *k = *state;
	struct os *os = k->os;
	uint8_t mac[6];

	assert_int_equal(os->bridge_add(os, "br0", false, 0), 0);
	assert_int_equal(os->bridge_add(os, "br1", true, 4), 0);
	const struct os_link *l = kernel_link(k, "br0");
	assert_non_null(l);
	assert_int_equal(l->kind, OS_LINK_BRIDGE);
	assert_true(l->up);
	assert_false(l->stp);
	assert_int_equal(l->mac[0], 2);
	assert_string_equal(l->alias, "l2tund");
	assert_link_int("br0", "linkinfo.info_data.stp_state", 0);
	assert_link_int("br0", "linkinfo.info_data.forward_delay", 0);
	assert_link_text("br0", "ifalias", "l2tund");
	assert_true(kernel_link(k, "br1")->stp);
	assert_link_int("br1", "linkinfo.info_data.stp_state", 1);
	assert_link_int("br1", "linkinfo.info_data.forward_delay", 400);
	assert_memory_not_equal(l->mac, kernel_link(k, "br1")->mac, 6);
	/* Its MAC is not moved by a port with a lower one. */
	memcpy(mac, l->mac, sizeof(mac));
	sh("ip link add v0 address 00:00:00:00:00:01 type veth peer name v1 &&"
	   " ip link set v0 up master br0");
	kernel_settle(k);
	assert_memory_equal(kernel_link(k, "br0")->mac, mac, sizeof(mac));
	/* Its own MAC set once more holds that of a bridge that others made. */
	sh("ip link add br2 type bridge");
	kernel_settle(k);
	memcpy(mac, kernel_link(k, "br2")->mac, sizeof(mac));
	assert_int_equal(os->link_set_mac(os, index_of(k, "br2"), mac), 0);
	sh("ip link set v0 master br2");
	kernel_settle(k);
	assert_memory_equal(kernel_link(k, "br2")->mac, mac, sizeof(mac));
	kernel_compare_links(k);
	sh("ip link del br2");
	demolish(k);
}

static bool resynced(void *arg)
{
	struct kernel *k = arg;

	return rtnl_resyncs(os_linux(k->os)->rtnl) > 0;
}

static void test_overrun(void **state)
{
	struct kernel own, *k = &own;

	(void)state;
	kernel_init(k);
	build(k);
	assert_int_equal(rtnl_set_event_buffer(os_linux(k->os)->rtnl, 1), 0);
	sh("ip link del v0; for i in $(seq 40); do ip link add d$i type veth peer name e$i &&"
	   " ip link set d$i up; done; ip link set w0 mtu 1333");
	assert_true(kernel_wait(k, resynced, k));
	kernel_settle(k);
	kernel_compare_links(k);
	assert_non_null(kernel_link(k, "e40"));
	assert_null(kernel_link(k, "v0"));
	assert_int_equal(kernel_link(k, "w0")->mtu, 1333);
	assert_true(k->notified > 0);
	/* And the same when a change of ours is what meets the overrun. */
	unsigned before = rtnl_resyncs(os_linux(k->os)->rtnl);
	sh("for i in $(seq 40); do ip link del d$i; done");
	assert_int_equal(k->os->link_set_mtu(k->os, index_of(k, "w0"), 1350), 0);
	assert_true(rtnl_resyncs(os_linux(k->os)->rtnl) > before);
	assert_null(kernel_link(k, "e40"));
	kernel_compare_links(k);
	demolish(k);
	kernel_fini(k);
}

/* forwarding tables */

struct fdb {
	struct kernel *k;
	unsigned n;
	bool found; /* 02:aa:00:00:00:01 */
	struct os_fdb_entry entry;
	json_t *want;
};

static bool same_entry(struct fdb *f, const struct os_fdb_entry *e, json_t *v)
{
	const struct os_link *l = f->k->os->link_by_index(f->k->os, e->ifindex);
	const char *state = json_string_value(json_object_get(v, "state"));
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", e->mac[0], e->mac[1], e->mac[2],
		 e->mac[3], e->mac[4], e->mac[5]);
	return l && !strcmp(mac, json_string_value(json_object_get(v, "mac"))) &&
	       !strcmp(l->name, json_string_value(json_object_get(v, "ifname"))) &&
	       e->vlan == json_integer_value(json_object_get(v, "vlan")) &&
	       e->local == (state && !strcmp(state, "permanent"));
}

static void fdb_entry(void *arg, const struct os_fdb_entry *e)
{
	static const uint8_t learned[6] = { 2, 0xaa, 0, 0, 0, 1 };
	struct fdb *f = arg;
	json_t *v;
	size_t i;
	bool found = false;

	f->n++;
	if (memcmp(e->mac, learned, 6) == 0) {
		f->found = true;
		f->entry = *e;
	}
	json_array_foreach(f->want, i, v)
		found = found || same_entry(f, e, v);
	assert_true(found);
}

static bool fdb_learned(void *arg)
{
	struct fdb *f = arg;
	json_t *v, *all;
	size_t i;

	f->n = 0;
	f->found = false;
	json_decref(f->want);
	f->want = json_array();
	all = sh_json("bridge -j fdb show br br0");
	/* Those of the bridge's table; `self` alone are address filters of devices. */
	json_array_foreach(all, i, v) {
		if (json_object_get(v, "master"))
			json_array_append(f->want, v);
	}
	json_decref(all);
	assert_int_equal(f->k->os->fdb_dump(f->k->os, index_of(f->k, "br0"), fdb_entry, f), 0);
	return f->found && f->n == json_array_size(f->want);
}

static void test_fdb(void **state)
{
	struct kernel *k = *state;
	struct os *os = k->os;
	struct fdb f = { .k = k };
	struct os_packet *p;
	static const struct os_packet_ops none = { 0 };
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xaa, 0, 0, 0, 1, 0x88, 0xb5 };

	build(k);
	sh("ip link add br1 type bridge && ip link set br1 up");
	kernel_settle(k);
	/* Another ethertype: this socket is only for sending. */
	assert_int_equal(os->packet_open(os, index_of(k, "v1"), 0x1234, &none, NULL, &p), 0);
	for (unsigned i = 0; i < 100 && !fdb_learned(&f); i++) {
		assert_int_equal(os->packet_send(os, p, frame, sizeof(frame)), 0);
		kernel_settle(k);
	}
	assert_true(f.found);
	assert_int_equal(f.entry.ifindex, index_of(k, "v0"));
	assert_false(f.entry.local);
	assert_true(f.entry.age_ms < 60000);
	assert_int_equal(f.n, json_array_size(f.want));
	assert_int_equal(os->port_flush(os, index_of(k, "w0")), 0);
	assert_true(fdb_learned(&f));
	assert_int_equal(os->port_flush(os, index_of(k, "v0")), 0);
	assert_false(fdb_learned(&f));
	assert_int_equal(f.n, json_array_size(f.want));
	assert_true(f.n > 0);
	assert_int_equal(os->fdb_dump(os, 9999, fdb_entry, &f), -ENODEV);
	json_decref(f.want);
	os->packet_close(os, p);
	demolish(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_bridge_deleted_and_made_again),
		cmocka_unit_test(test_leaving_is_not_deletion),
		cmocka_unit_test(test_stp_and_alias),
		cmocka_unit_test(test_one_call_per_turn),
		cmocka_unit_test(test_changes_are_read_back),
		cmocka_unit_test(test_errors_are_errno),
		cmocka_unit_test(test_pointers_stay),
		cmocka_unit_test(test_isolated),
		cmocka_unit_test(test_bridge_add),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_fdb),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
