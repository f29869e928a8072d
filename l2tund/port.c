/*
 * The order in which a TAP becomes a port is what keeps the bridge as it was: our MAC starts
 * with fe:ff so that it hardly ever is the lowest, a bridge whose MAC would follow it
 * nevertheless gets the one it has set explicitly, and the MTU is set before enslaving. The
 * carrier stays off all the way, so no frame passes meanwhile.
 *
 * When others take the port out or delete the TAP we put it back after a while, each time
 * later, and stop after the fifth time: two programs fighting for a port is worse than no port.
 *
 * In a mesh the port is isolated: no frame passes from one tunnel to the next, which is all that
 * keeps a mesh from being a loop. So it gets its carrier only when that was read back, and
 * loses it when somebody switches the isolation off, until it is on again.
 */
#include "l2tund/port.h"

#include <errno.h>
#include <stdio.h>

#include "common/log.h"
#include "common/names.h"

#define PORT_RETRY_US (5 * US_PER_S)		 /* after an error of the kernel */
#define PORT_REATTACH_US (2 * US_PER_S)		 /* after a removal, times their number */
#define PORT_REMOVALS_WINDOW_US (600 * US_PER_S) /* removals older than this do not count */

void port_init(struct port *p, struct os *os, const char *name, bool isolated,
	       const struct os_tap_ops *ops, void *arg)
{
	*p = (struct port){ .os = os, .isolated = isolated, .ops = ops, .arg = arg };
	snprintf(p->name, sizeof(p->name), "%s", name);
	os->random(os, p->mac, sizeof(p->mac));
	/* Above the fe:54:00 of libvirt's guests: a bridge takes the lowest MAC of its ports. */
	p->mac[0] = 0xfe;
	p->mac[1] = 0xff;
}

static void port_close(struct port *p)
{
	if (p->tap)
		p->os->tap_close(p->os, p->tap);
	p->tap = NULL;
	p->ifindex = 0;
	p->bridge = 0;
	p->isolation_set = false;
	p->carrier = false;
}

void port_fini(struct port *p)
{
	port_close(p);
	/* Nothing is tried any more: a time left behind would wake the daemon without end. */
	p->retry_us = 0;
}

/* One more time that others had their hands on it. True: that was the last one. */
static bool port_count_removal(struct port *p, uint64_t now_us)
{
	if (p->removed_us + PORT_REMOVALS_WINDOW_US < now_us)
		p->removals = 0;
	p->removed_us = now_us;
	p->removals++;
	return p->removals >= PORT_REMOVALS_MAX;
}

static void port_latch(struct port *p, const char *what)
{
	p->latched = true;
	p->retry_us = 0;
	snprintf(p->detail, sizeof(p->detail),
		 "%s %u times by another program; stop that one, then `bridgectl tunnel up %s`",
		 what, p->removals, p->name + strlen(TAP_PREFIX));
}

/* Later each time, then never: until somebody says `bridgectl tunnel up`. */
static bool port_removed(struct port *p, const char *what, uint64_t now_us)
{
	port_set_carrier(p, false, now_us);
	p->bridge = 0;
	if (port_count_removal(p, now_us)) {
		port_latch(p, what);
	} else {
		p->retry_us = now_us + p->removals * PORT_REATTACH_US;
		snprintf(p->detail, sizeof(p->detail), "%s by another program; put back in %u s",
			 what, (unsigned)(p->removals * (PORT_REATTACH_US / US_PER_S)));
	}
	return false;
}

void port_lost(struct port *p, uint64_t now_us)
{
	port_close(p);
	port_removed(p, "its TAP was deleted or moved away", now_us);
}

static bool port_taken_out(struct port *p, uint64_t now_us)
{
	p->taken_out = true;
	return port_removed(p, "taken out of its bridge", now_us);
}

/*
 * The bridge has come, gone, or is another one of the same name. What failed on the old one
 * says nothing of this one. And a bridge that is deleted lets its ports go first: what looked like
 * somebody's hand on our port was that.
 */
static void port_new_bridge(struct port *p, int index)
{
	if (p->taken_out) {
		p->removals--;
		p->latched = false;
	}
	p->taken_out = false;
	p->retry_us = 0;
	p->seen = index;
}

/* A device was deleted a moment ago, and a call noticed before the event came. */
static bool error_is_vanished(int err)
{
	return err == -ENODEV || err == -EBADFD;
}

/*
 * What failed goes to the log once and to the detail always. `what` says it all when `err` is 0.
 * The log is for another trouble while the tunnel stays down: its first one is told as an event.
 */
static bool port_fail(struct port *p, uint64_t now_us, const char *what, int err)
{
	char text[sizeof(p->detail)];

	snprintf(text, sizeof(text), "%s%s%s", what, err ? ": " : "", err ? strerror(-err) : "");
	if (*p->detail && strcmp(text, p->detail) != 0 && !error_is_vanished(err))
		log_warn(LOG_KERNEL, "%s: %s", p->name, text);
	snprintf(p->detail, sizeof(p->detail), "%s", text);
	p->retry_us = now_us + PORT_RETRY_US;
	return false;
}

static bool port_is_ours(const char *name)
{
	return strncmp(name, TAP_PREFIX, strlen(TAP_PREFIX)) == 0;
}

/* The least MTU among the bridge's ports that are not tunnels; 0: it has none. */
static unsigned ports_least_mtu(struct os *os, int bridge)
{
	unsigned least = 0;

	for (const struct os_link *l = os->link_next(os, NULL); l; l = os->link_next(os, l)) {
		if (l->master != bridge || port_is_ours(l->name))
			continue;
		if (!least || l->mtu < least)
			least = l->mtu;
	}
	return least;
}

/*
 * A bridge takes the least MTU of its ports. When all others are above the bridge's, it
 * may be ours that holds it down (an uplink was raised to 9000): then we follow the others.
 */
static unsigned port_wanted_mtu(struct os *os, const struct os_link *bridge)
{
	unsigned others = ports_least_mtu(os, bridge->index);

	return others ? MAX(bridge->mtu, others) : bridge->mtu;
}

static void port_owner(struct port *p, char *buf, size_t size)
{
	int r = p->os->tap_owner(p->os, p->name, buf, size);

	if (r == -ENOENT)
		snprintf(buf, size, "nobody; `ip link del %s` frees it", p->name);
	else if (r < 0)
		snprintf(buf, size, "somebody");
}

static bool port_open(struct port *p, const struct os_link *bridge, uint64_t now_us)
{
	struct os_tap_params params = {
		.mtu = port_wanted_mtu(p->os, bridge),
		.offload = p->offload,
	};
	char owner[64], what[128];
	int r;

	snprintf(params.name, sizeof(params.name), "%s", p->name);
	memcpy(params.mac, p->mac, sizeof(params.mac));
	r = p->os->tap_open(p->os, &params, p->ops, p->arg, &p->tap);
	if (r == -EEXIST || r == -EBUSY) {
		port_owner(p, owner, sizeof(owner));
		snprintf(what, sizeof(what), "the device exists already, held by %s", owner);
		return port_fail(p, now_us, what, 0);
	}
	if (r == -ENOENT || r == -ENXIO)
		return port_fail(
			p, now_us,
			"cannot make the TAP device: there is no /dev/net/tun; `modprobe tun`", 0);
	if (r < 0)
		return port_fail(p, now_us, "cannot make the TAP device", r);
	p->ifindex = p->os->tap_ifindex(p->os, p->tap);
	return true;
}

/*
 * Where the kernel would give the bridge our MAC (it has no port of others, or only ports of
 * Xen, fe:ff:ff:ff:ff:ff) the bridge is told to keep the one it has.
 */
static int port_hold_bridge_mac(struct port *p, const struct os_link *bridge)
{
	uint8_t mac[sizeof(bridge->mac)];

	memcpy(mac, bridge->mac, sizeof(mac));
	if (ports_least_mtu(p->os, bridge->index) && memcmp(mac, p->mac, sizeof(mac)) < 0)
		return 0;
	return p->os->link_set_mac(p->os, bridge->index, mac);
}

static bool port_set_mtu(struct port *p, unsigned mtu, uint64_t now_us)
{
	int r = p->os->link_set_mtu(p->os, p->ifindex, mtu);

	if (r < 0)
		return port_fail(p, now_us, "cannot set the MTU", r);
	p->mtu = mtu;
	return true;
}

static bool port_attach(struct port *p, const struct os_link *bridge, uint64_t now_us)
{
	int index = bridge->index, r;

	if (!port_set_mtu(p, port_wanted_mtu(p->os, bridge), now_us))
		return false;
	r = port_hold_bridge_mac(p, bridge);
	if (r < 0)
		return port_fail(p, now_us, "cannot hold the bridge's MAC", r);
	r = p->os->link_set_master(p->os, p->ifindex, index);
	if (r < 0)
		return port_fail(p, now_us, "cannot be attached to the bridge", r);
	p->bridge = index;
	p->isolation_set = false; /* the kernel forgot it */
	return true;
}

/*
 * Whether what p->note tells may be put back once more, while the port goes on: at once, then
 * later each time, and after the fifth time not for a while.
 */
static bool port_fights(struct port *p, struct port_fight *f, uint64_t now_us)
{
	uint64_t pause_us = f->times < PORT_REMOVALS_MAX ? f->times * PORT_REATTACH_US :
							   PORT_REMOVALS_WINDOW_US;

	if (f->times && now_us < f->last_us + pause_us)
		return false;
	if (f->last_us + PORT_REMOVALS_WINDOW_US <= now_us)
		f->times = 0;
	f->times++;
	f->last_us = now_us;
	log_warn(LOG_KERNEL, "%s: %s: that is put back%s", p->name, p->note,
		 f->times == PORT_REMOVALS_MAX ? " for the last time, for a while" : "");
	p->note = NULL;
	return true;
}

static bool port_isolate(struct port *p, uint64_t now_us)
{
	int r = p->os->port_set_isolated(p->os, p->ifindex, p->isolated);

	if (r < 0)
		return port_fail(p, now_us,
				 p->isolated ? "cannot be isolated from the other tunnels" :
					       "cannot be joined with the other tunnels",
				 r);
	p->isolation_set = true;
	return true;
}

/* Frames may have passed between tunnels: nothing passes here until all has been looked at anew. */
static bool port_opened(struct port *p, uint64_t now_us)
{
	static const char what[] = "its isolation was switched off";

	port_set_carrier(p, false, now_us);
	log_warn(LOG_KERNEL, "%s: %s by another program: it is closed until that is on again",
		 p->name, what);
	if (!port_isolate(p, now_us))
		return false;
	p->refused = false;
	if (port_count_removal(p, now_us)) {
		port_latch(p, what);
	} else {
		p->retry_us = now_us + (p->removals - 1) * PORT_REATTACH_US;
		snprintf(p->detail, sizeof(p->detail), "%s by another program", what);
	}
	return false;
}

/* Is it isolated from the bridge's other tunnels, or not, as it should be? */
static bool port_check_isolation(struct port *p, uint64_t now_us)
{
	const struct os_link *l = p->os->link_by_index(p->os, p->ifindex);

	if (!l || l->isolated == p->isolated) {
		p->isolation_set = true;
		return true;
	}
	if (!p->isolation_set)
		return port_isolate(p, now_us);
	if (p->isolated)
		return port_opened(p, now_us);
	/* Nothing goes round, but frames do not get from one tunnel to the other. */
	p->note = "another program has isolated it, so nothing passes from it to other tunnels in "
		  "its bridge";
	if (!port_fights(p, &p->isolation_fight, now_us))
		return true;
	return port_isolate(p, now_us);
}

/* It follows its bridge at once; against somebody who changes the port itself it fights. */
static bool port_check_mtu(struct port *p, const struct os_link *bridge, uint64_t now_us)
{
	const struct os_link *l = p->os->link_by_index(p->os, p->ifindex);
	unsigned mtu = port_wanted_mtu(p->os, bridge);

	if (!l || l->mtu == mtu) {
		p->mtu = mtu;
		return true;
	}
	if (p->mtu == mtu) {
		p->note = "another program has changed its MTU";
		if (!port_fights(p, &p->mtu_fight, now_us))
			return true;
	}
	return port_set_mtu(p, mtu, now_us);
}

/* What others may have changed on a port that is in its place. */
static bool port_repair(struct port *p, const struct os_link *bridge, uint64_t now_us)
{
	const struct os_link *l;
	int r = 0;

	if (!port_check_mtu(p, bridge, now_us))
		return false;
	l = p->os->link_by_index(p->os, p->ifindex);
	if (l && !l->up)
		r = p->os->link_set_up(p->os, p->ifindex, true);
	if (r < 0)
		return port_fail(p, now_us, "cannot be set up", r);
	return true;
}

bool port_sync(struct port *p, const struct os_link *bridge, uint64_t now_us)
{
	int index = bridge ? bridge->index : 0;

	if (index != p->seen)
		port_new_bridge(p, index);
	if (p->latched || now_us < p->retry_us)
		return false;
	p->retry_us = 0;
	p->note = NULL;
	if (!bridge) {
		p->bridge = 0;
		snprintf(p->detail, sizeof(p->detail), "its bridge is missing");
		return false;
	}
	if (!p->tap && !port_open(p, bridge, now_us))
		return false;
	const struct os_link *l = p->os->link_by_index(p->os, p->ifindex);
	if (!l) { /* moved to another namespace, or its own event has yet to come */
		port_lost(p, now_us);
		return false;
	}
	if (l->master != index && p->bridge == index)
		return port_taken_out(p, now_us);
	/* Each step may have moved the table: the bridge is looked up again. */
	bridge = p->os->link_by_index(p->os, index);
	if (bridge && l->master != index && !port_attach(p, bridge, now_us))
		return false;
	p->bridge = index;
	bridge = p->os->link_by_index(p->os, index);
	if (!bridge || !port_repair(p, bridge, now_us) || !port_check_isolation(p, now_us))
		return false;
	/* Its tunnel counts on a carrier that it did not get: it has to hear of that once. */
	if (p->refused) {
		port_fail(p, now_us, "was not isolated from the other tunnels", 0);
		p->retry_us = now_us;
		p->refused = false;
		return false;
	}
	p->taken_out = false;
	p->detail[0] = '\0';
	return true;
}

/* Never a carrier for a port of a mesh that is not isolated, whatever was thought before. */
static bool port_may_open(const struct port *p)
{
	const struct os_link *l = p->os->link_by_index(p->os, p->ifindex);

	return !p->isolated || (l && l->isolated);
}

int port_set_carrier(struct port *p, bool on, uint64_t now_us)
{
	int r;

	if (p->carrier == on)
		return 0;
	if (!p->tap)
		return -ENODEV;
	if (on && !port_may_open(p)) {
		p->refused = true;
		return -EAGAIN;
	}
	r = p->os->tap_carrier(p->os, p->tap, on);
	if (r == 0) {
		p->carrier = on;
		return 0;
	}
	/* A port whose carrier does not obey is no gate: without the TAP nothing can pass. */
	if (!error_is_vanished(r))
		port_close(p);
	p->carrier = false;
	port_fail(p, now_us, "cannot set the carrier", r);
	return r;
}

void port_clear(struct port *p)
{
	p->removals = 0;
	p->mtu_fight.times = 0;
	p->isolation_fight.times = 0;
	p->retry_us = 0;
	p->latched = false;
	p->taken_out = false;
	p->detail[0] = '\0';
}
