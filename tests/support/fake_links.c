/*
 * The fake kernel's interfaces and bridges. The rules, seen on Linux 6.18:
 *
 * - A bridge's MAC is the lowest of its ports' (zero without ports) until somebody sets it.
 * - Its MTU is the least of its ports' (1500 without ports) until somebody changes it.
 * - A port with carrier forwards at once when it joins; one whose carrier comes, a few ms later;
 *   one whose carrier goes, only when the link watch gets there, up to half a second later.
 * - Port attributes live as long as the membership.
 */
#include <errno.h>

#include "tests/support/fake_private.h"

#define MTU_MIN 68
#define MTU_MAX 65535
#define WATCH_US 200 /* from a change to its event being read */

static const uint8_t zero_mac[6];

/* ---- finding ---- */

struct fake_link *link_find(struct fake_host *h, int ifindex)
{
	struct fake_link *l;

	TAILQ_FOREACH(l, &h->links, link)
		if (l->pub.index == ifindex)
			return l;
	return NULL;
}

struct fake_link *link_find_name(struct fake_host *h, const char *name)
{
	struct fake_link *l;

	TAILQ_FOREACH(l, &h->links, link)
		if (strcmp(l->pub.name, name) == 0)
			return l;
	return NULL;
}

void links_changed(struct fake_host *h)
{
	if (h->watch_fn && !h->watch_ev.queued)
		event_at(h->net, &h->watch_ev, h->net->now_us + WATCH_US);
}

/* ---- bridges follow their ports ---- */

static void bridge_follow_mac(struct fake_host *h, struct fake_link *br)
{
	const uint8_t *least = zero_mac;
	const struct fake_link *l;

	if (br->mac_set)
		return;
	TAILQ_FOREACH(l, &h->links, link)
		if (l->pub.master == br->pub.index &&
		    (least == zero_mac || memcmp(l->pub.mac, least, 6) < 0))
			least = l->pub.mac;
	memcpy(br->pub.mac, least, 6);
}

static void bridge_follow_mtu(struct fake_host *h, struct fake_link *br)
{
	unsigned least = 0;
	const struct fake_link *l;

	if (br->mtu_set)
		return;
	TAILQ_FOREACH(l, &h->links, link)
		if (l->pub.master == br->pub.index && (!least || l->pub.mtu < least))
			least = l->pub.mtu;
	br->pub.mtu = least ? least : 1500;
}

static void bridge_follow_carrier(struct fake_host *h, struct fake_link *br)
{
	const struct fake_link *l;
	bool carrier = false;

	TAILQ_FOREACH(l, &h->links, link)
		carrier |= l->pub.master == br->pub.index && l->pub.carrier;
	br->pub.carrier = br->pub.up && carrier;
}

static void bridge_follow(struct fake_host *h, int ifindex)
{
	struct fake_link *br = link_find(h, ifindex);

	if (!br)
		return;
	bridge_follow_mac(h, br);
	bridge_follow_mtu(h, br);
	bridge_follow_carrier(h, br);
}

/* ---- port states ---- */

static bool port_may_forward(struct fake_host *h, const struct fake_link *l)
{
	const struct fake_link *br = l->pub.master ? link_find(h, l->pub.master) : NULL;

	return br && br->pub.up && l->pub.carrier;
}

static void port_set(struct fake_link *l, bool forwarding)
{
	l->forwarding = forwarding;
	if (!forwarding)
		fdb_forget_port(l->host, l);
}

static void port_settle(struct fake_event *ev)
{
	struct fake_link *l = container_of(ev, struct fake_link, state_ev);

	port_set(l, !l->forwarding);
}

/* Takes the port where it belongs, `delay_us` from now. */
static void port_follow(struct fake_host *h, struct fake_link *l, uint64_t delay_us)
{
	bool may = port_may_forward(h, l);

	if (may && link_find(h, l->pub.master)->pub.stp)
		delay_us += 2 * link_find(h, l->pub.master)->forward_delay_s * US_PER_S;
	event_cancel(h->net, &l->state_ev);
	if (may == l->forwarding)
		return;
	if (delay_us == 0)
		port_set(l, may);
	else
		event_at(h->net, &l->state_ev, h->net->now_us + delay_us);
}

void link_update_carrier(struct fake_host *h, struct fake_link *l)
{
	bool carrier = l->pub.up && l->carrier_wanted;
	/* Going down is seen at once, a lost carrier is not. */
	uint64_t delay_us = carrier ? FAKE_CARRIER_ON_US : l->pub.up ? FAKE_CARRIER_OFF_US : 0;

	if (l->pub.kind == OS_LINK_BRIDGE || carrier == l->pub.carrier)
		return;
	l->pub.carrier = carrier;
	port_follow(h, l, delay_us);
	bridge_follow(h, l->pub.master);
	links_changed(h);
}

/* ---- links ---- */

struct fake_link *link_new(struct fake_host *h, const char *name, enum os_link_kind kind)
{
	struct fake_link *l = calloc(1, sizeof(*l));

	fake_must(l && strlen(name) < IFNAMSIZ, "a link cannot be made");
	l->pub.index = h->next_ifindex++;
	snprintf(l->pub.name, sizeof(l->pub.name), "%s", name);
	l->host = h;
	l->pub.kind = kind;
	l->pub.mtu = 1500;
	l->pub.up = true;
	prng_fill(&h->prng, l->pub.mac, 6);
	l->pub.mac[0] = (l->pub.mac[0] & 0xfc) | 0x02;
	l->state_ev = (struct fake_event){ .fn = port_settle };
	queue_init(&l->out);
	TAILQ_INSERT_TAIL(&h->links, l, link);
	links_changed(h);
	return l;
}

static int link_join(struct fake_host *h, struct fake_link *l, int master)
{
	int old = l->pub.master;

	if (old == master)
		return 0;
	fdb_forget_port(h, l);
	l->pub.master = master;
	l->pub.isolated = false;
	l->pub.learning_off = false;
	l->forwarding = false;
	port_follow(h, l, 0);
	bridge_follow(h, old);
	bridge_follow(h, master);
	links_changed(h);
	return 0;
}

static int set_master(struct fake_host *h, struct fake_link *l, int master)
{
	const struct fake_link *br = link_find(h, master);

	if (master && !br)
		return -EINVAL;
	if (master && br->pub.kind != OS_LINK_BRIDGE)
		return -EOPNOTSUPP;
	if (master && l->pub.kind == OS_LINK_BRIDGE)
		return -ELOOP;
	return link_join(h, l, master);
}

void link_delete(struct fake_host *h, struct fake_link *l)
{
	int index = l->pub.index;
	struct fake_link *port;

	if (l->pub.kind == OS_LINK_BRIDGE)
		TAILQ_FOREACH(port, &h->links, link)
			if (port->pub.master == index)
				link_join(h, port, 0);
	link_join(h, l, 0);
	if (l->tap)
		tap_orphan(l->tap);
	event_cancel(h->net, &l->state_ev);
	TAILQ_REMOVE(&h->links, l, link);
	TAILQ_INSERT_TAIL(&h->gone, l, link);
	links_changed(h);
}

static int set_mtu(struct fake_host *h, struct fake_link *l, unsigned mtu)
{
	if (mtu < MTU_MIN || mtu > MTU_MAX || (l->pub.kind == OS_LINK_TUN && mtu > MTU_MAX - 14))
		return -EINVAL;
	if (mtu == l->pub.mtu)
		return 0;
	l->pub.mtu = mtu;
	l->mtu_set = true;
	bridge_follow(h, l->pub.master);
	links_changed(h);
	return 0;
}

static int set_mac(struct fake_host *h, struct fake_link *l, const uint8_t mac[6])
{
	if (mac[0] & 1 || memcmp(mac, zero_mac, 6) == 0)
		return -EADDRNOTAVAIL;
	memcpy(l->pub.mac, mac, 6);
	l->mac_set = true;
	bridge_follow(h, l->pub.master);
	links_changed(h);
	return 0;
}

static int set_up(struct fake_host *h, struct fake_link *l, bool up)
{
	struct fake_link *port;

	if (l->pub.up == up)
		return 0;
	l->pub.up = up;
	link_update_carrier(h, l);
	if (l->pub.kind == OS_LINK_BRIDGE) {
		TAILQ_FOREACH(port, &h->links, link)
			if (port->pub.master == l->pub.index)
				port_follow(h, port, 0);
		bridge_follow_carrier(h, l);
	}
	links_changed(h);
	return 0;
}

/* ---- what struct os offers ---- */

static void watch_fire(struct fake_event *ev)
{
	struct fake_host *h = container_of(ev, struct fake_host, watch_ev);

	h->watch_fn(h->watch_arg);
}

static int links_watch(struct os *os, void (*fn)(void *arg), void *arg)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_LINKS_WATCH);

	if (r < 0)
		return r;
	h->watch_fn = fn;
	h->watch_arg = arg;
	if (!fn)
		event_cancel(h->net, &h->watch_ev);
	return 0;
}

static const struct os_link *link_by_name(struct os *os, const char *name)
{
	const struct fake_link *l = link_find_name(host_of(os), name);

	return l ? &l->pub : NULL;
}

static const struct os_link *link_by_index(struct os *os, int index)
{
	const struct fake_link *l = link_find(host_of(os), index);

	return l ? &l->pub : NULL;
}

/* By index, so that `prev` may be deleted meanwhile; links are in the order of their indexes. */
static const struct os_link *link_next(struct os *os, const struct os_link *prev)
{
	const struct fake_link *l;

	TAILQ_FOREACH(l, &host_of(os)->links, link)
		if (!prev || l->pub.index > prev->index)
			return &l->pub;
	return NULL;
}

/* The link to change, or NULL with the reason. */
static struct fake_link *change(struct os *os, enum fake_op op, int index, int *ret_err)
{
	struct fake_link *l = link_find(host_of(os), index);
	int r = fault_check(host_of(os), op);

	if (r < 0 || !l) {
		*ret_err = r < 0 ? r : -ENODEV;
		return NULL;
	}
	return l;
}

static int os_set_mtu(struct os *os, int index, unsigned mtu)
{
	int r;
	struct fake_link *l = change(os, FAKE_LINK_SET_MTU, index, &r);

	return l ? set_mtu(host_of(os), l, mtu) : r;
}

static int os_set_mac(struct os *os, int index, const uint8_t mac[6])
{
	int r;
	struct fake_link *l = change(os, FAKE_LINK_SET_MAC, index, &r);

	return l ? set_mac(host_of(os), l, mac) : r;
}

static int os_set_up(struct os *os, int index, bool up)
{
	int r;
	struct fake_link *l = change(os, FAKE_LINK_SET_UP, index, &r);

	return l ? set_up(host_of(os), l, up) : r;
}

static int os_set_master(struct os *os, int index, int master)
{
	int r;
	struct fake_link *l = change(os, FAKE_LINK_SET_MASTER, index, &r);

	return l ? set_master(host_of(os), l, master) : r;
}

static int set_isolated(struct fake_host *h, struct fake_link *l, bool on)
{
	if (!l->pub.master)
		return -EOPNOTSUPP;
	l->pub.isolated = on;
	links_changed(h);
	return 0;
}

static int port_set_isolated(struct os *os, int index, bool on)
{
	int r;
	struct fake_link *l = change(os, FAKE_PORT_SET_ISOLATED, index, &r);

	return l ? set_isolated(host_of(os), l, on) : r;
}

static int port_flush(struct os *os, int index)
{
	int r;
	struct fake_link *l = change(os, FAKE_PORT_FLUSH, index, &r);

	if (!l)
		return r;
	if (!l->pub.master)
		return -EOPNOTSUPP;
	l->flushes++;
	fdb_forget_port(host_of(os), l);
	return 0;
}

static int bridge_add(struct os *os, const char *name, bool stp, unsigned forward_delay_s)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_BRIDGE_ADD);

	if (r < 0)
		return r;
	if (strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	if (link_find_name(h, name))
		return -EEXIST;
	struct fake_link *l = link_new(h, name, OS_LINK_BRIDGE);
	l->mac_set = true;
	l->pub.stp = stp;
	l->forward_delay_s = forward_delay_s;
	snprintf(l->pub.alias, sizeof(l->pub.alias), "l2tund");
	return 0;
}

static int tap_owner(struct os *os, const char *name, char *buf, size_t size)
{
	const struct fake_link *l = link_find_name(host_of(os), name);

	if (!l || !*l->owner)
		return -ENOENT;
	snprintf(buf, size, "%s", l->owner);
	return 0;
}

/* ---- what others on the host do ---- */

int fake_link_add(struct fake_host *h, const char *name, enum os_link_kind kind)
{
	fake_must(!link_find_name(h, name), "a link of this name exists");
	struct fake_link *l = link_new(h, name, kind);

	l->carrier_wanted = kind != OS_LINK_BRIDGE;
	link_update_carrier(h, l);
	return l->pub.index;
}

int fake_link_del(struct fake_host *h, const char *name)
{
	struct fake_link *l = link_find_name(h, name);

	if (!l)
		return -ENODEV;
	link_delete(h, l);
	return 0;
}

int fake_link_leave(struct fake_host *h, const char *name)
{
	struct fake_link *l = link_find_name(h, name);

	if (!l)
		return -ENODEV;
	if (l->tap)
		tap_leave(l->tap);
	l->tap = NULL;
	link_delete(h, l);
	return 0;
}

int fake_link_master(struct fake_host *h, const char *name, const char *master)
{
	struct fake_link *l = link_find_name(h, name);
	const struct fake_link *br = master ? link_find_name(h, master) : NULL;

	if (!l || (master && !br))
		return -ENODEV;
	return set_master(h, l, br ? br->pub.index : 0);
}

int fake_link_isolated(struct fake_host *h, const char *name, bool on)
{
	struct fake_link *l = link_find_name(h, name);

	if (!l)
		return -ENODEV;
	return set_isolated(h, l, on);
}

int fake_link_mtu(struct fake_host *h, const char *name, unsigned mtu)
{
	struct fake_link *l = link_find_name(h, name);

	return l ? set_mtu(h, l, mtu) : -ENODEV;
}

int fake_link_mac(struct fake_host *h, const char *name, const uint8_t mac[6])
{
	struct fake_link *l = link_find_name(h, name);

	return l ? set_mac(h, l, mac) : -ENODEV;
}

int fake_link_up(struct fake_host *h, const char *name, bool up)
{
	struct fake_link *l = link_find_name(h, name);

	return l ? set_up(h, l, up) : -ENODEV;
}

int fake_link_carrier(struct fake_host *h, const char *name, bool on)
{
	struct fake_link *l = link_find_name(h, name);

	if (!l)
		return -ENODEV;
	l->carrier_wanted = on;
	link_update_carrier(h, l);
	return 0;
}

void fake_link_owner(struct fake_host *h, const char *name, const char *owner)
{
	struct fake_link *l = link_find_name(h, name);

	fake_must(l, "no such link");
	snprintf(l->owner, sizeof(l->owner), "%s", owner);
}

const struct os_link *fake_link(struct fake_host *h, const char *name)
{
	return link_by_name(&h->os, name);
}

void fake_link_learning(struct fake_host *h, const char *name, bool on)
{
	struct fake_link *l = link_find_name(h, name);

	fake_must(l, "no such link");
	l->pub.learning_off = !on;
	links_changed(h);
}

void fake_bridge_ageing(struct fake_host *h, const char *name, unsigned ms)
{
	struct fake_link *l = link_find_name(h, name);

	fake_must(l, "no such link");
	l->pub.ageing_ms = ms;
	links_changed(h);
}

void fake_bridge_pvid(struct fake_host *h, const char *name, uint16_t vlan)
{
	struct fake_link *l = link_find_name(h, name);

	fake_must(l, "no such link");
	l->pub.pvid = vlan;
	links_changed(h);
}

void fake_bridge_filters(struct fake_host *h, const char *name, unsigned set)
{
	struct fake_link *l = name ? link_find_name(h, name) : NULL;

	fake_must(l || !name, "no such link");
	*(l ? &l->filters : &h->filters) = set;
}

static unsigned bridge_filters(struct os *os, const char *bridge)
{
	struct fake_host *h = host_of(os);
	const struct fake_link *l = bridge ? link_find_name(h, bridge) : NULL;

	return bridge ? (l ? l->filters : 0) : h->filters;
}

bool fake_port_forwards(struct fake_host *h, const char *name)
{
	const struct fake_link *l = link_find_name(h, name);

	return l && l->forwarding;
}

unsigned fake_port_flushes(struct fake_host *h, const char *name)
{
	const struct fake_link *l = link_find_name(h, name);

	return l ? l->flushes : 0;
}

/* ---- */

void links_init(struct fake_host *h)
{
	TAILQ_INIT(&h->links);
	TAILQ_INIT(&h->gone);
	h->next_ifindex = 2; /* 1 is lo */
	h->watch_ev = (struct fake_event){ .host = h, .fn = watch_fire };
	h->os.links_watch = links_watch;
	h->os.link_by_name = link_by_name;
	h->os.link_by_index = link_by_index;
	h->os.link_next = link_next;
	h->os.link_set_mtu = os_set_mtu;
	h->os.link_set_mac = os_set_mac;
	h->os.link_set_up = os_set_up;
	h->os.link_set_master = os_set_master;
	h->os.port_set_isolated = port_set_isolated;
	h->os.port_flush = port_flush;
	h->os.bridge_add = bridge_add;
	h->os.tap_owner = tap_owner;
	h->os.bridge_filters = bridge_filters;
}

void links_bury(struct fake_host *h)
{
	struct fake_link *l;

	while ((l = TAILQ_FIRST(&h->gone))) {
		TAILQ_REMOVE(&h->gone, l, link);
		queue_fini(&l->out);
		free(l);
	}
}

void links_fini(struct fake_host *h)
{
	struct fake_link *l;

	event_cancel(h->net, &h->watch_ev);
	h->watch_fn = NULL;
	while ((l = TAILQ_FIRST(&h->links)))
		link_delete(h, l);
	links_bury(h);
}
