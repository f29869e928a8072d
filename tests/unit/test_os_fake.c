/*
 * The fake kernel's own rules: what the tests of the daemon take for granted must hold. Those
 * on bridges, carriers and TAPs were seen on the real kernel first. The underlay has a test
 * of its own.
 */
#include <errno.h>

#include "tests/support/packet.h"
#include "tests/unit/fake_pair.h"

#define MS US_PER_MS

/* ---- time ---- */

struct ticker {
	struct os *os;
	struct os_timer *t;
	uint64_t fired_us;
	unsigned n, limit;
	uint64_t every_us;
	bool free_inside;
};

static void tick(void *arg)
{
	struct ticker *t = arg;

	t->fired_us = t->os->now_us(t->os);
	t->n++;
	if (t->free_inside)
		t->os->timer_free(t->os, t->t);
	else if (t->n < t->limit)
		t->os->timer_set(t->os, t->t, t->fired_us + t->every_us);
}

static void timers(void **state)
{
	struct fake_pair *w = *state;
	struct ticker t = { .os = w->os, .limit = 3, .every_us = 10 };
	uint64_t start = w->os->now_us(w->os);

	assert_int_equal(w->os->timer_new(w->os, tick, &t, &t.t), 0);
	w->os->timer_set(w->os, t.t, start + 100);
	assert_int_equal(t.n, 0); /* never inside the call */
	fake_run_for(w->net, 99);
	assert_int_equal(t.n, 0);
	fake_run_for(w->net, 1);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.fired_us, start + 100);
	fake_run_for(w->net, 1000);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.fired_us, start + 120);
	assert_int_equal(w->os->now_us(w->os), start + 1100);

	t.limit = 0;
	w->os->timer_set(w->os, t.t, 0); /* long past: soon, not now */
	assert_int_equal(t.n, 3);
	fake_run_for(w->net, 0);
	fake_run_for(w->net, 1);
	assert_int_equal(t.n, 4);
	w->os->timer_set(w->os, t.t, start + 5000);
	w->os->timer_set(w->os, t.t, NEVER);
	fake_run_for(w->net, 10000);
	assert_int_equal(t.n, 4);
	t.free_inside = true;
	w->os->timer_set(w->os, t.t, start);
	fake_run_for(w->net, 1);
	assert_int_equal(t.n, 5);
}

static void clocks_differ_and_agree_on_speed(void **state)
{
	struct fake_pair *w = *state;
	uint64_t a = w->os->now_us(w->os), b = w->os_b->now_us(w->os_b);
	uint64_t wall = w->os->wall_s(w->os);

	assert_int_not_equal(a, b);
	fake_run_for(w->net, 3 * US_PER_S);
	assert_int_equal(w->os->now_us(w->os), a + 3 * US_PER_S);
	assert_int_equal(w->os_b->now_us(w->os_b), b + 3 * US_PER_S);
	assert_int_equal(w->os->wall_s(w->os), wall + 3);
}

static bool less_than_two(void *arg)
{
	return ((struct ticker *)arg)->n < 2;
}

static void run_while(void **state)
{
	struct fake_pair *w = *state;
	struct ticker t = { .os = w->os, .limit = 10, .every_us = 10 * MS };
	uint64_t start = fake_now(w->net);

	w->os->timer_new(w->os, tick, &t, &t.t);
	w->os->timer_set(w->os, t.t, w->os->now_us(w->os) + 10 * MS);
	assert_false(fake_run_while(w->net, less_than_two, &t, 15 * MS));
	assert_int_equal(fake_now(w->net), start + 15 * MS);
	assert_true(fake_run_while(w->net, less_than_two, &t, US_PER_S));
	assert_int_equal(fake_now(w->net), start + 20 * MS);
	w->os->timer_free(w->os, t.t);
}

static void random_repeats(void **state)
{
	struct fake_pair *w = *state;
	uint64_t x[2], y[2], z;
	struct fake_net *other = fake_net_new(1);
	struct os *os = fake_host_os(fake_host_new(other, "a"));

	w->os->random(w->os, x, sizeof(x));
	os->random(os, y, sizeof(y));
	w->os_b->random(w->os_b, &z, sizeof(z));
	assert_memory_equal(x, y, sizeof(x));
	assert_int_not_equal(x[0], x[1]);
	assert_int_not_equal(x[0], z);
	fake_net_free(other);
}

/* ---- links ---- */

static const uint8_t low_mac[6] = { 0x02, 0, 0, 0, 0, 1 };
static const uint8_t high_mac[6] = { 0xfe, 0, 0, 0, 0, 1 };

static void bridge_follows_its_ports(void **state)
{
	struct fake_pair *w = *state;
	static const uint8_t zero[6], own[6] = { 0x06, 1, 2, 3, 4, 5 };

	fake_link_add(w->a, "br0", OS_LINK_BRIDGE);
	fake_link_add(w->a, "p1", OS_LINK_VETH);
	fake_link_add(w->a, "p2", OS_LINK_VETH);
	fake_link_mac(w->a, "p1", high_mac);
	fake_link_mac(w->a, "p2", low_mac);
	fake_link_mtu(w->a, "p1", 9000);
	fake_link_mtu(w->a, "p2", 1400);
	const struct os_link *br = fake_link(w->a, "br0");

	assert_false(br->carrier);
	assert_int_equal(fake_link_master(w->a, "p1", "br0"), 0);
	assert_memory_equal(br->mac, high_mac, 6);
	assert_int_equal(br->mtu, 9000);
	assert_true(br->carrier);
	fake_link_master(w->a, "p2", "br0");
	assert_memory_equal(br->mac, low_mac, 6);
	assert_int_equal(br->mtu, 1400);
	fake_link_master(w->a, "p2", NULL);
	assert_memory_equal(br->mac, high_mac, 6);
	assert_int_equal(br->mtu, 9000);
	fake_link_master(w->a, "p1", NULL);
	assert_memory_equal(br->mac, zero, 6);
	assert_int_equal(br->mtu, 1500);

	/* Set by somebody: it stays. Set to the same, the MAC counts as set, the MTU does not. */
	assert_int_equal(fake_link_mtu(w->a, "br0", 1500), 0);
	assert_int_equal(fake_link_mac(w->a, "br0", own), 0);
	fake_link_master(w->a, "p2", "br0");
	assert_memory_equal(br->mac, own, 6);
	assert_int_equal(br->mtu, 1400);
	assert_int_equal(fake_link_mtu(w->a, "br0", 2000), 0);
	fake_link_mtu(w->a, "p2", 1300);
	assert_int_equal(br->mtu, 2000);
}

static void links_refuse(void **state)
{
	struct fake_pair *w = *state;
	static const uint8_t group[6] = { 0x03 }, zero[6];
	int br = fake_link_add(w->a, "br0", OS_LINK_BRIDGE);
	int br1 = fake_link_add(w->a, "br1", OS_LINK_BRIDGE);
	int p = fake_link_add(w->a, "p", OS_LINK_VETH);
	struct os *os = w->os;

	assert_int_equal(os->link_set_master(os, br1, br), -ELOOP);
	assert_int_equal(os->link_set_master(os, br, p), -EOPNOTSUPP);
	assert_int_equal(os->link_set_master(os, p, 99), -EINVAL);
	assert_int_equal(os->link_set_master(os, 99, br), -ENODEV);
	assert_int_equal(os->link_set_mtu(os, p, 67), -EINVAL);
	assert_int_equal(os->link_set_mtu(os, 99, 1500), -ENODEV);
	assert_int_equal(os->link_set_mac(os, p, group), -EADDRNOTAVAIL);
	assert_int_equal(os->link_set_mac(os, p, zero), -EADDRNOTAVAIL);
	assert_int_equal(os->port_set_isolated(os, p, true), -EOPNOTSUPP);
	assert_int_equal(os->port_flush(os, p), -EOPNOTSUPP);
	assert_int_equal(os->bridge_add(os, "br0", false, 0), -EEXIST);
	assert_int_equal(os->fdb_dump(os, 99, NULL, NULL), -ENODEV);
}

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

static void table_and_watch(void **state)
{
	struct fake_pair *w = *state;
	struct os *os = w->os;
	unsigned calls = 0;
	int br = fake_link_add(w->a, "br0", OS_LINK_BRIDGE);
	int p = fake_link_add(w->a, "p", OS_LINK_VETH);

	assert_int_equal(os->links_watch(os, count_call, &calls), 0);
	assert_int_equal(os->link_set_master(os, p, br), 0);
	assert_int_equal(os->link_by_name(os, "p")->master, br); /* at once */
	assert_int_equal(os->port_set_isolated(os, p, true), 0);
	assert_int_equal(calls, 0);
	fake_run_for(w->net, MS);
	assert_int_equal(calls, 1); /* one batch */
	assert_int_equal(os->port_flush(os, p), 0);
	assert_int_equal(fake_port_flushes(w->a, "p"), 1);

	assert_true(os->link_by_index(os, p)->isolated);
	os->link_set_master(os, p, 0);
	os->link_set_master(os, p, br);
	assert_false(os->link_by_index(os, p)->isolated); /* a new membership */

	const struct os_link *l = os->link_next(os, NULL);
	assert_int_equal(l->index, br);
	l = os->link_next(os, l);
	assert_int_equal(l->index, p);
	assert_null(os->link_next(os, l));

	/* A deleted bridge lets its ports go; what was looked up stays until the loop runs. */
	l = os->link_by_name(os, "br0");
	assert_int_equal(fake_link_del(w->a, "br0"), 0);
	assert_string_equal(l->name, "br0");
	assert_null(os->link_by_name(os, "br0"));
	assert_int_equal(os->link_by_index(os, p)->master, 0);
	fake_run_for(w->net, MS);
	assert_int_equal(calls, 2);
	assert_int_equal(os->links_watch(os, NULL, NULL), 0);
	fake_link_del(w->a, "p");
	fake_run_for(w->net, MS);
	assert_int_equal(calls, 2);
}

static void bridge_of_ours(void **state)
{
	struct fake_pair *w = *state;
	struct os *os = w->os;
	uint8_t mac[6];

	assert_int_equal(os->bridge_add(os, "br-sv", true, 2), 0);
	const struct os_link *br = os->link_by_name(os, "br-sv");
	assert_true(br->up);
	assert_true(br->stp);
	assert_string_equal(br->alias, "l2tund");
	assert_int_equal(br->mac[0] & 3, 2);
	memcpy(mac, br->mac, 6);
	fake_link_add(w->a, "p", OS_LINK_VETH);
	fake_link_mac(w->a, "p", low_mac);
	fake_link_master(w->a, "p", "br-sv");
	assert_memory_equal(br->mac, mac, 6);
	/* With spanning tree a port listens and learns first. */
	fake_run_for(w->net, 4 * US_PER_S - 1);
	assert_false(fake_port_forwards(w->a, "p"));
	fake_run_for(w->net, 1);
	assert_true(fake_port_forwards(w->a, "p"));
}

static void owners(void **state)
{
	struct fake_pair *w = *state;
	char buf[64];

	fake_link_add(w->a, "tap3", OS_LINK_TUN);
	assert_int_equal(w->os->tap_owner(w->os, "tap3", buf, sizeof(buf)), -ENOENT);
	fake_link_owner(w->a, "tap3", "vtund pid 812");
	assert_int_equal(w->os->tap_owner(w->os, "tap3", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "vtund pid 812");
}

/* ---- TAPs ---- */

struct tap {
	struct os *os;
	struct os_tap *t;
	unsigned n, drained, lost;
	struct vnet vnet;
	size_t len;
	uint8_t bytes[2048];
	bool close_inside;
};

static void tap_frame(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct tap *t = arg;

	(void)lane;
	t->n++;
	t->vnet = *v;
	t->len = len;
	memcpy(t->bytes, frame, MIN(len, sizeof(t->bytes)));
	if (t->close_inside)
		t->os->tap_close(t->os, t->t);
}

static void tap_drained(void *arg, unsigned lane)
{
	(void)lane;
	((struct tap *)arg)->drained++;
}

static void tap_lost(void *arg, int err)
{
	struct tap *t = arg;

	assert_int_equal(err, -EBADFD);
	t->lost++;
}

static const struct os_tap_ops tap_ops = { tap_frame, tap_drained, tap_lost };

/* A TAP in br0, where guest `g` is. */
static void tap_open(struct fake_pair *w, struct tap *t)
{
	struct os_tap_params p = {
		.name = "l2t-x", .mac = { 0xfe, 9 }, .mtu = 1500, .offload = OFFLOAD_ALL
	};

	*t = (struct tap){ .os = w->os };
	fake_link_add(w->a, "br0", OS_LINK_BRIDGE);
	fake_link_add(w->a, "g", OS_LINK_VETH);
	fake_link_master(w->a, "g", "br0");
	assert_int_equal(w->os->tap_open(w->os, &p, &tap_ops, t, &t->t), 0);
	int index = w->os->tap_ifindex(w->os, t->t);
	assert_int_equal(fake_link(w->a, "l2t-x")->index, index);
	assert_int_equal(w->os->link_set_master(w->os, index, fake_link(w->a, "br0")->index), 0);
}

static uint8_t frame[100] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0x88, 0xb5, 42
};
static const struct vnet hint = { .csum = true, .csum_start = 34, .csum_offset = 16 };

static int tap_write(struct tap *t)
{
	return t->os->tap_write(t->os, t->t, 0, &hint, &(struct iovec){ frame, sizeof(frame) }, 1);
}

static void tap_carrier_gates(void **state)
{
	struct fake_pair *w = *state;
	struct tap t;
	struct fake_frame f;

	tap_open(w, &t);
	assert_false(fake_link(w->a, "l2t-x")->carrier);
	assert_true(fake_link(w->a, "l2t-x")->up);
	assert_memory_equal(fake_link(w->a, "l2t-x")->mac, ((uint8_t[]){ 0xfe, 9, 0, 0, 0, 0 }), 6);
	/* Without carrier: writing succeeds, nothing comes of it. */
	assert_int_equal(tap_write(&t), 0);
	assert_int_equal(fake_tap_dropped(w->a, "l2t-x"), 1);
	assert_false(fake_recv(w->a, "g", &f));
	assert_int_equal(fake_send(w->a, "l2t-x", NULL, frame, sizeof(frame)), -ENETDOWN);

	/* With it, after a moment. */
	assert_int_equal(w->os->tap_carrier(w->os, t.t, true), 0);
	assert_true(fake_link(w->a, "l2t-x")->carrier);
	assert_false(fake_port_forwards(w->a, "l2t-x"));
	fake_run_for(w->net, 5 * MS);
	assert_true(fake_port_forwards(w->a, "l2t-x"));
	assert_int_equal(tap_write(&t), 0);
	assert_true(fake_recv(w->a, "l2t-x", &f));
	assert_true(fake_recv(w->a, "g", &f));
	assert_int_equal(f.len, sizeof(frame));
	assert_memory_equal(f.bytes, frame, f.len);
	assert_true(f.vnet.csum && f.vnet.csum_start == 34 && f.vnet.csum_offset == 16);
	assert_false(fake_recv(w->a, "g", &f));

	/* Off: writes are dropped at once, but the port goes on sending us frames for a while. */
	w->os->tap_carrier(w->os, t.t, false);
	tap_write(&t);
	assert_int_equal(fake_tap_dropped(w->a, "l2t-x"), 2);
	assert_int_equal(fake_send(w->a, "g", NULL, frame, sizeof(frame)), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1);
	fake_run_for(w->net, 100 * MS);
	assert_int_equal(fake_send(w->a, "g", NULL, frame, sizeof(frame)), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1);
	w->os->tap_close(w->os, t.t);
	assert_null(fake_link(w->a, "l2t-x"));
}

static void tap_reads(void **state)
{
	struct fake_pair *w = *state;
	struct tap t;
	static uint8_t big[2000];

	tap_open(w, &t);
	w->os->tap_carrier(w->os, t.t, true);
	fake_run_for(w->net, 5 * MS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fake_send(w->a, "g", &hint, frame, sizeof(frame)), 0);
	assert_int_equal(t.n, 0);
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.drained, 1);
	assert_memory_equal(t.bytes, frame, sizeof(frame));
	assert_int_equal(t.vnet.csum_start, 34);

	/* The MTU of the port counts without header and tag. */
	fake_send(w->a, "l2t-x", NULL, big, 1514);
	fake_send(w->a, "l2t-x", NULL, big, 1515);
	big[12] = 0x81;
	fake_send(w->a, "l2t-x", NULL, big, 1518);
	fake_send(w->a, "l2t-x", NULL, big, 1519);
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 5);
	/* What nobody reads is dropped behind the transmit queue's length. */
	for (int i = 0; i < 1100; i++)
		fake_send(w->a, "l2t-x", NULL, frame, sizeof(frame));
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1005);
	t.close_inside = true;
	fake_send(w->a, "l2t-x", NULL, frame, sizeof(frame));
	fake_send(w->a, "l2t-x", NULL, frame, sizeof(frame));
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1006);
}

static void tap_errors(void **state)
{
	struct fake_pair *w = *state;
	struct tap t;
	struct os_tap *other;
	struct os_tap_params p = { .name = "l2t-x", .mtu = 1500 };
	struct os *os = w->os;

	tap_open(w, &t);
	assert_int_equal(os->tap_open(os, &p, &tap_ops, &t, &other), -EBUSY);
	snprintf(p.name, sizeof(p.name), "br0");
	assert_int_equal(os->tap_open(os, &p, &tap_ops, &t, &other), -EEXIST);
	snprintf(p.name, sizeof(p.name), "l2t-y");
	p.mtu = 67;
	assert_int_equal(os->tap_open(os, &p, &tap_ops, &t, &other), -EINVAL);
	assert_int_equal(os->tap_write(os, t.t, 0, &hint, &(struct iovec){ frame, 51 }, 1),
			 -EINVAL);
	assert_int_equal(os->tap_write(os, t.t, 0, &hint, &(struct iovec){ frame, 13 }, 1),
			 -EINVAL);
	fake_link_up(w->a, "l2t-x", false);
	assert_int_equal(tap_write(&t), -EIO);

	fake_link_del(w->a, "l2t-x");
	assert_int_equal(t.lost, 0);
	assert_int_equal(tap_write(&t), -EBADFD);
	assert_int_equal(os->tap_carrier(os, t.t, true), -EBADFD);
	fake_run_for(w->net, MS);
	assert_int_equal(t.lost, 1);
	fake_run_for(w->net, MS);
	assert_int_equal(t.lost, 1);
	os->tap_close(os, t.t);
}

static void isolated_ports(void **state)
{
	struct fake_pair *w = *state;
	struct tap t;
	struct fake_frame f;
	int g2 = fake_link_add(w->a, "g2", OS_LINK_VETH);

	tap_open(w, &t);
	fake_link_master(w->a, "g2", "br0");
	w->os->port_set_isolated(w->os, g2, true);
	w->os->port_set_isolated(w->os, fake_link(w->a, "l2t-x")->index, true);
	w->os->tap_carrier(w->os, t.t, true);
	fake_run_for(w->net, 5 * MS);
	tap_write(&t);
	assert_true(fake_recv(w->a, "g", &f));
	assert_false(fake_recv(w->a, "g2", &f));
	w->os->tap_close(w->os, t.t);
}

/* Super-frames cross the bridge whole; a TAP that does not take them gets what they consist of. */

static uint8_t super[PACKET_MAX];

static size_t super_frame(struct vnet *ret)
{
	static const struct packet k = { .tcp = true, .flags = 0x10, .seq = 1 };
	static uint8_t payload[40000];
	size_t len = packet_build(&k, payload, sizeof(payload), super);

	packet_unfinish(&k, super, len, ret);
	ret->gso = VNET_GSO_TCP4;
	ret->gso_size = 1400;
	return len;
}

static void super_frames(void **state)
{
	struct fake_pair *w = *state;
	struct iovec parts[2];
	struct fake_frame f;
	struct vnet v;
	struct tap t;
	size_t len = super_frame(&v);

	tap_open(w, &t);
	w->os->tap_carrier(w->os, t.t, true);
	fake_run_for(w->net, 5 * MS);
	assert_int_equal(fake_send(w->a, "g", &v, super, len), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.len, len);
	assert_int_equal(t.vnet.gso, VNET_GSO_TCP4);

	parts[0] = (struct iovec){ super, 1000 };
	parts[1] = (struct iovec){ super + 1000, len - 1000 };
	assert_int_equal(w->os->tap_write(w->os, t.t, 0, &v, parts, 2), 0);
	assert_true(fake_recv(w->a, "g", &f));
	assert_int_equal(f.len, len);
	assert_memory_equal(f.bytes, super, len);
	assert_int_equal(f.vnet.gso_size, 1400);

	fake_offload_refuse(w->a, OFFLOAD_JOIN, "this kernel does not");
	assert_int_equal(w->os->tap_write(w->os, t.t, 0, &v, parts, 2), -EOPNOTSUPP);
	fake_offload_refuse(w->a, OFFLOAD_TSO, "this kernel does not");
	fake_send(w->a, "g", &v, super, len);
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1 + (40000 + 1399) / 1400);
	assert_int_equal(t.vnet.gso, VNET_GSO_NONE);
	assert_true(t.vnet.csum);
	fake_offload_refuse(w->a, OFFLOAD_CHECKSUM, "this kernel does not");
	fake_send(w->a, "g", &v, super, len);
	fake_run_for(w->net, MS);
	assert_false(t.vnet.csum);
	w->os->tap_close(w->os, t.t);
}

/* ---- packet sockets ---- */

static void packet_frame(void *arg, const uint8_t *bytes, size_t len)
{
	struct tap *t = arg;

	t->n++;
	t->len = len;
	assert_memory_equal(bytes, frame, len);
}

static void packets(void **state)
{
	struct fake_pair *w = *state;
	struct tap t, heard = { .os = w->os };
	static const struct os_packet_ops ops = { packet_frame };
	struct os_packet *p, *q;
	struct fake_frame f;
	int ifindex;

	tap_open(w, &t);
	int br = fake_link(w->a, "br0")->index;
	assert_int_equal(w->os->packet_open(w->os, 99, 0x88b5, &ops, &heard, &p), -ENODEV);
	assert_int_equal(w->os->packet_open(w->os, br, 0x88b5, &ops, &heard, &p), 0);
	assert_int_equal(w->os->packet_open(w->os, br, 0x88b6, &ops, &heard, &q), 0);
	w->os->tap_carrier(w->os, t.t, true);
	fake_run_for(w->net, 5 * MS);

	/* On the bridge device it leaves by all forwarding ports, ours too. */
	assert_int_equal(w->os->packet_send(w->os, p, frame, sizeof(frame)), 0);
	assert_true(fake_packet_sent(w->a, &ifindex, &f));
	assert_int_equal(ifindex, br);
	assert_true(fake_recv(w->a, "g", &f));
	fake_run_for(w->net, MS);
	assert_int_equal(t.n, 1);
	assert_int_equal(heard.n, 0); /* not what we sent ourselves */

	fake_send(w->a, "g", NULL, frame, sizeof(frame));
	fake_packet_heard(w->a, "br0", frame, sizeof(frame));
	fake_run_for(w->net, MS);
	assert_int_equal(heard.n, 2); /* the right ethertype only */
	fake_link_del(w->a, "br0");
	assert_int_equal(w->os->packet_send(w->os, p, frame, sizeof(frame)), -ENXIO);
	w->os->packet_close(w->os, p);
	w->os->packet_close(w->os, q);
	w->os->tap_close(w->os, t.t);
}

/* ---- control ---- */

struct server {
	struct os *os;
	struct os_conn *c;
	bool turn_away, hang_up;
	unsigned accepted, closed;
	uid_t uid;
	char got[256];
};

static void *server_accepted(void *arg, struct os_conn *c, const struct os_cred *cred)
{
	struct server *s = arg;

	s->accepted++;
	s->c = c;
	s->uid = cred->uid;
	if (s->turn_away) {
		s->os->conn_send(s->os, c, "no\n", 3);
		return NULL;
	}
	return s;
}

static void server_input(void *conn, const char *data, size_t len)
{
	struct server *s = conn;

	strncat(s->got, data, len);
	s->os->conn_send(s->os, s->c, "ok\nhalf", 7);
	if (s->hang_up)
		s->os->conn_close(s->os, s->c);
}

static void server_closed(void *conn)
{
	((struct server *)conn)->closed++;
}

static const struct os_conn_ops server_ops = { server_accepted, server_input, server_closed };

static void control(void **state)
{
	struct fake_pair *w = *state;
	struct server s = { .os = w->os };
	struct os_listener *l, *other;

	assert_null(fake_connect(w->a, "/run/x", 0));
	assert_int_equal(w->os->listen(w->os, "/run/x", NULL, &server_ops, &s, &l), 0);
	assert_int_equal(w->os->listen(w->os, "/run/x", NULL, &server_ops, &s, &other),
			 -EADDRINUSE);
	struct fake_client *c = fake_connect(w->a, "/run/x", 1000);
	fake_client_send(c, "hel");
	fake_client_send(c, "lo\n");
	assert_int_equal(s.accepted, 0);
	fake_run_for(w->net, MS);
	assert_int_equal(s.uid, 1000);
	assert_string_equal(s.got, "hello\n");
	assert_string_equal(fake_client_line(c), "ok");
	assert_string_equal(fake_client_line(c), "halfok");
	assert_null(fake_client_line(c)); /* no whole line */
	assert_false(fake_client_closed(c));
	fake_client_free(c);
	assert_int_equal(s.closed, 0);
	fake_run_for(w->net, MS);
	assert_int_equal(s.closed, 1);

	s.hang_up = true; /* by the daemon: no `closed` */
	c = fake_connect(w->a, "/run/x", 0);
	fake_client_send(c, "x");
	fake_run_for(w->net, MS);
	assert_false(fake_client_closed(c));
	assert_string_equal(fake_client_line(c), "ok");
	assert_null(fake_client_line(c));
	fake_client_free(c);
	assert_int_equal(s.closed, 1);

	s.turn_away = true;
	c = fake_connect(w->a, "/run/x", 0);
	fake_run_for(w->net, MS);
	assert_string_equal(fake_client_line(c), "no");
	assert_true(fake_client_closed(c));
	fake_client_free(c);
	w->os->listener_close(w->os, l);
	assert_null(fake_connect(w->a, "/run/x", 0));
}

static void control_queue_is_bounded(void **state)
{
	struct fake_pair *w = *state;
	struct server s = { .os = w->os };
	struct os_listener *l;
	static char big[OS_CONN_QUEUE_BYTES];

	w->os->listen(w->os, "/run/x", NULL, &server_ops, &s, &l);
	struct fake_client *c = fake_connect(w->a, "/run/x", 0);
	fake_run_for(w->net, MS);
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\n';
	assert_int_equal(w->os->conn_send(w->os, s.c, big, sizeof(big)), 0);
	assert_int_equal(w->os->conn_send(w->os, s.c, "y", 1), -ENOBUFS);
	assert_int_equal(strlen(fake_client_line(c)), sizeof(big) - 1);
	assert_int_equal(w->os->conn_send(w->os, s.c, "y\n", 2), 0);
	assert_string_equal(fake_client_line(c), "y");
	w->os->conn_close(w->os, s.c);
	fake_client_free(c);
	w->os->listener_close(w->os, l);
}

/* ---- faults ---- */

static void faults(void **state)
{
	struct fake_pair *w = *state;
	struct os *os = w->os;
	int p = fake_link_add(w->a, "p", OS_LINK_VETH);

	fake_fail(w->a, FAKE_LINK_SET_MTU, 1, 2, -ENOBUFS);
	assert_int_equal(os->link_set_mtu(os, p, 1000), 0);
	assert_int_equal(os->link_set_mtu(os, p, 1001), -ENOBUFS);
	assert_int_equal(os->link_set_mtu(os, p, 1002), -ENOBUFS);
	assert_int_equal(fake_link(w->a, "p")->mtu, 1000);
	assert_int_equal(os->link_set_mtu(os, p, 1003), 0);
	assert_int_equal(fake_calls(w->a, FAKE_LINK_SET_MTU), 4);
	assert_int_equal(fake_calls(w->a, FAKE_LINK_SET_UP), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_pair_setup, fake_pair_teardown)
	const struct CMUnitTest tests[] = {
		TEST(timers),
		TEST(clocks_differ_and_agree_on_speed),
		TEST(run_while),
		TEST(random_repeats),
		TEST(bridge_follows_its_ports),
		TEST(links_refuse),
		TEST(table_and_watch),
		TEST(bridge_of_ours),
		TEST(owners),
		TEST(tap_carrier_gates),
		TEST(tap_reads),
		TEST(tap_errors),
		TEST(isolated_ports),
		TEST(super_frames),
		TEST(packets),
		TEST(control),
		TEST(control_queue_is_bounded),
		TEST(faults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
