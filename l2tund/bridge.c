/*
 * Bridges, reconciled by name: somebody's `ifdown br-sv && ifup br-sv` deletes a bridge
 * and makes another one with the same name, and the tunnels have to be in the new one.
 *
 * Uplinks are attached only to a bridge that carries our mark (its alias): whoever made
 * another one decides what is in it.
 */
#include "l2tund/bridge.h"

#include <stdio.h>

#include "common/log.h"
#include "l2tund/daemon.h"

#define BRIDGE_MARK "l2tund"

struct bridge *bridge_new(struct daemon *d, const struct config_bridge *cfg)
{
	struct bridge *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->daemon = d;
	b->cfg = cfg;
	snprintf(b->name, sizeof(b->name), "%s", cfg->name);
	guard_init(&b->guard, b);
	fdb_mirror_init(&b->mirror, b);
	TAILQ_INSERT_TAIL(&d->bridges, b, link);
	return b;
}

void bridge_free(struct bridge *b)
{
	guard_fini(&b->guard);
	fdb_mirror_fini(&b->mirror);
	TAILQ_REMOVE(&b->daemon->bridges, b, link);
	free(b);
}

const struct os_link *bridge_link(const struct bridge *b)
{
	struct os *os = b->daemon->os;
	const struct os_link *l = os->link_by_name(os, b->name);

	return l && l->kind == OS_LINK_BRIDGE ? l : NULL;
}

/* Says a new trouble once; an empty text clears it. */
static void bridge_note(struct bridge *b, const char *text)
{
	if (strcmp(b->detail, text) == 0)
		return;
	snprintf(b->detail, sizeof(b->detail), "%s", text);
	if (*text)
		log_warn(LOG_CORE, "bridge %s: %s", b->name, text);
}

static void bridge_create(struct bridge *b)
{
	struct os *os = b->daemon->os;
	char text[sizeof(b->detail)];
	int r = os->bridge_add(os, b->name, b->cfg->stp, b->cfg->forward_delay_s);

	b->created = r == 0;
	if (r == 0)
		return;
	snprintf(text, sizeof(text), "cannot be created: %s", strerror(-r));
	bridge_note(b, text);
}

/* Trouble is left in `text`, of the size of a bridge's detail. */
static void bridge_attach_uplink(struct bridge *b, const char *port, char *text)
{
	struct os *os = b->daemon->os;
	const struct os_link *l = os->link_by_name(os, port);
	int r;

	if (!l) {
		snprintf(text, sizeof(b->detail),
			 "port %s does not exist; it is attached as soon as it is there", port);
		return;
	}
	if (l->master == b->ifindex)
		return;
	if (l->master) {
		snprintf(text, sizeof(b->detail),
			 "port %s belongs to another bridge; take it out there first", port);
		return;
	}
	r = os->link_set_master(os, l->index, b->ifindex);
	if (r < 0) {
		snprintf(text, sizeof(b->detail), "port %s cannot be attached: %s", port,
			 strerror(-r));
		return;
	}
	log_notice(LOG_CORE, "bridge %s: attached uplink %s", b->name, port);
}

const char *bridge_filter_name(enum os_filter f)
{
	static const char *const names[OS_FILTERS] = { "iptables", "ip6tables", "arptables" };

	return names[f];
}

unsigned bridge_filtered(const struct bridge *b)
{
	struct os *os = b->daemon->os;

	return b->ifindex ? os->bridge_filters(os, NULL) | os->bridge_filters(os, b->name) : 0;
}

/* Whoever set it may need it: it is said, once for all bridges, and left as it is. */
static void bridge_tell_filtered(const struct bridge *b)
{
	unsigned set = bridge_filtered(b);
	char names[64] = "", sets[160] = "";
	size_t n = 0, m = 0;

	if (!set || b->daemon->filters_told)
		return;
	b->daemon->filters_told = true;
	for (unsigned i = 0; i < OS_FILTERS; i++) {
		const char *name = bridge_filter_name((enum os_filter)i);

		if (!(set >> i & 1))
			continue;
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "", name);
		m += (size_t)snprintf(sets + m, sizeof(sets) - m, " net.bridge.bridge-nf-call-%s=0",
				      name);
	}
	log_warn(LOG_KERNEL,
		 "bridge %s: its frames also go through %s (br_netfilter), which costs time for "
		 "each of them, and rules made for this host may drop them; unless you want that: "
		 "`sysctl%s`",
		 b->name, names, sets);
}

static void bridge_adopt(struct bridge *b, const struct os_link *l)
{
	bool fresh = b->ifindex != l->index;

	b->ifindex = l->index;
	b->mtu = l->mtu;
	b->stp = l->stp;
	memcpy(b->mac, l->mac, sizeof(b->mac));
	if (!fresh)
		return;
	events_change(b->daemon->events, "bridge", b->name, "absent", "present", "",
		      b->created ? "made by l2tund" : "");
	b->created = false;
	bridge_tell_filtered(b);
	if (b->stp)
		log_warn(LOG_CORE,
			 "bridge %s: spanning tree is on; it lets a tunnel's frames pass only "
			 "twice its forward delay after the tunnel has come up",
			 b->name);
}

static void bridge_lost(struct bridge *b)
{
	const struct os_link *l = b->daemon->os->link_by_name(b->daemon->os, b->name);

	if (b->ifindex)
		events_change(b->daemon->events, "bridge", b->name, "present", "absent", "", "");
	b->ifindex = 0;
	if (l)
		bridge_note(b, "an interface of this name exists but is not a bridge; rename or "
			       "delete it");
	else if (b->cfg->create)
		bridge_create(b);
	else
		bridge_note(b, "");
}

static void bridge_sync_uplinks(struct bridge *b, const struct os_link *l, char *text)
{
	if (!b->cfg->create || strcmp(l->alias, BRIDGE_MARK) != 0)
		return;
	for (unsigned i = 0; i < b->cfg->n_ports; i++)
		bridge_attach_uplink(b, b->cfg->ports[i], text);
}

static void bridge_sync_link(struct bridge *b)
{
	const struct os_link *l = bridge_link(b);
	char text[sizeof(b->detail)] = "";

	if (!l) {
		bridge_lost(b);
		l = bridge_link(b);
	}
	if (!l)
		return;
	bridge_adopt(b, l);
	if (!l->up)
		snprintf(text, sizeof(text),
			 "is switched off, so no frame passes it; `ip link set %s up`", b->name);
	bridge_sync_uplinks(b, l, text);
	bridge_note(b, text);
}

void bridge_sync(struct bridge *b)
{
	bridge_sync_link(b);
	guard_sync(&b->guard);
	fdb_mirror_sync(&b->mirror);
}
