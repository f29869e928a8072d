/*
 * Reads the daemon's objects and writes JSON; changes nothing. One function per
 * object of the contract, so that a key is found by its object.
 */
#include "l2tund/status.h"

#include <stdio.h>

#include "build-config.h"
#include "common/addr.h"
#include "common/jsonline.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/status_datapath.h"
#include "l2tund/topology/view.h"
#include "l2tund/topology_json.h"
#include "l2tund/tunnel.h"
#include "l2tund/worker.h"

#define MAC_STRLEN 18

static const char *mac_format(const uint8_t mac[6], char buf[MAC_STRLEN])
{
	snprintf(buf, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	return buf;
}

static json_t *seconds_since(const struct daemon *d, uint64_t then_us)
{
	return json_integer((json_int_t)((daemon_now_us(d) - then_us) / US_PER_S));
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Node */

static json_t *node_listen(const struct daemon *d)
{
	json_t *list = json_array();
	char text[ADDR_STRLEN];

	for (unsigned i = 0; i < d->config->node.n_listen; i++) {
		if (d->sockets[i])
			json_array_append_new(
				list, json_string(addr_format(&d->config->node.listen[i], text)));
	}
	return list;
}

static json_t *node_counters(const struct daemon *d)
{
	const struct sessions_counters *c = sessions_counters(d->sessions);

	uint64_t lost = 0;

	for (unsigned i = 0; i < d->os->lanes; i++)
		lost += d->worker[i]->lost;
	return json_pack("{s:o s:o s:o s:o s:o s:o s:o s:o s:o}", "bad_header",
			 number(c->bad_header), "bad_mac", number(c->bad_mac), "unknown_index",
			 number(c->unknown_index), "unknown_key", number(c->unknown_key),
			 "rate_limited", number(c->rate_limited), "cookies_sent",
			 number(c->cookies_sent), "replayed_initiations",
			 number(c->replayed_initiations), "probes_unknown",
			 number(d->probes_unknown), "workers_lost", number(lost));
}

static json_t *status_node(const struct daemon *d)
{
	const uint8_t *id = sessions_node_id(d->sessions);
	char hex[NODE_HEXLEN], key[KEY_STRLEN];

	return json_pack("{s:s s:s s:s s:s s:o s:o s:o s:i s:o}", "name", d->config->node.name,
			 "id", node_id_format(id, hex), "public_key",
			 key_format(&d->config->node.public_key, key), "version", PACKAGE_VERSION,
			 "incarnation", number(d->params.incarnation), "uptime_s",
			 seconds_since(d, d->start_us), "listen", node_listen(d), "workers",
			 (int)MAX(d->os->lanes - 1, 1u), "counters", node_counters(d));
}

/* Bridges */

/* Hypervisors name their guests' interfaces; everything else on a TAP is somebody's tunnel. */
static bool name_is_guest(const char *name)
{
	static const char *const prefixes[] = { "vif", "vnet", "veth" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

static bool owner_is_hypervisor(const char *owner)
{
	return strstr(owner, "qemu") || strncmp(owner, "kvm", 3) == 0;
}

struct port_view {
	const char *kind;
	const char *tunnel;
	char owner[64];
};

static void port_look(struct daemon *d, const struct os_link *l, struct port_view *ret)
{
	const struct tunnel *t = daemon_find_tap(d, l->name);

	*ret = (struct port_view){ .kind = "uplink", .tunnel = t ? t->name : "" };
	if (t) {
		ret->kind = "tunnel";
		return;
	}
	if (l->kind == OS_LINK_TUN) {
		if (d->os->tap_owner(d->os, l->name, ret->owner, sizeof(ret->owner)) < 0)
			ret->owner[0] = '\0';
		ret->kind = owner_is_hypervisor(ret->owner) || name_is_guest(l->name) ?
				    "guest" :
				    "foreign-tap";
	} else if (l->kind == OS_LINK_VETH || name_is_guest(l->name)) {
		ret->kind = "guest";
	}
}

static json_t *bridge_ports(const struct bridge *b)
{
	struct os *os = b->daemon->os;
	json_t *list = json_array();
	struct port_view v;

	for (const struct os_link *l = os->link_next(os, NULL); l; l = os->link_next(os, l)) {
		if (!b->ifindex || l->master != b->ifindex)
			continue;
		port_look(b->daemon, l, &v);
		json_array_append_new(list, json_pack("{s:o s:s s:o s:b s:b}", "name",
						      jsonline_text(l->name), "kind", v.kind,
						      "owner", jsonline_text(v.owner), "up", l->up,
						      "carrier", l->carrier));
	}
	return list;
}

/* Who a node is: the peer's name for itself or ours for it, or its number. */
static void node_name(const struct daemon *d, const uint8_t node[NODE_ID_BYTES], char *buf,
		      size_t size)
{
	const struct peer *p = daemon_find_node(d, node);
	const char *name = topo_node_name(d->topo, node); /* also of nodes that are no peers */
	char hex[NODE_HEXLEN];

	if (*name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%s", p ? p->name : node_id_format(node, hex));
}

/* Segments that this bridge is joined with by paths that are not ours. */
static json_t *bridge_foreign(struct bridge *b)
{
	json_t *list = json_array();
	unsigned n;
	const struct guard_heard *h = guard_list(&b->guard, &n);
	uint64_t now_us = daemon_now_us(b->daemon);

	for (unsigned i = 0; i < n; i++) {
		char name[NAME_MAX_LEN + 1];

		node_name(b->daemon, h[i].node, name, sizeof(name));
		json_array_append_new(
			list, json_pack("{s:s s:s s:o s:o s:o s:o}", "node", name, "bridge",
					h[i].bridge, "via", jsonline_text(h[i].via), "owner",
					jsonline_text(h[i].owner), "age_ms",
					number((now_us - h[i].last_us) / US_PER_MS), "since_s",
					seconds_since(b->daemon, h[i].first_us)));
	}
	return list;
}

/* What the daemon makes of the forwarding table. */
static json_t *bridge_learnt(const struct bridge *b)
{
	const struct fdb_mirror *m = &b->mirror;

	return json_pack("{s:i s:b s:o s:o}", "addresses", (int)m->fdb.n, "reliable",
			 fdb_mirror_reliable(m), "moves", number(m->moves), "bursts",
			 number(m->bursts));
}

static json_t *bridge_filters(const struct bridge *b)
{
	unsigned set = bridge_filtered(b);
	json_t *list = json_array();

	for (unsigned i = 0; i < OS_FILTERS; i++) {
		if (set >> i & 1)
			json_array_append_new(list,
					      json_string(bridge_filter_name((enum os_filter)i)));
	}
	return list;
}

json_t *status_bridge(struct bridge *b)
{
	char mac[MAC_STRLEN];

	return json_pack("{s:s s:b s:s s:i s:b s:o s:o s:o s:o s:o}", "name", b->name, "present",
			 b->ifindex != 0, "mac", b->ifindex ? mac_format(b->mac, mac) : "", "mtu",
			 b->ifindex ? (int)b->mtu : 0, "stp", b->ifindex && b->stp, "detail",
			 jsonline_text(b->detail), "ports", bridge_ports(b), "foreign",
			 bridge_foreign(b), "learnt", bridge_learnt(b), "filters",
			 bridge_filters(b));
}

/* Finding a port's owner is work: each port is looked at once, however many addresses it has. */
#define FDB_PORTS_MAX 256
#define FDB_ENTRIES_MAX 4000 /* what fits one reply */

struct fdb_view {
	struct daemon *daemon;
	json_t *entries;
	bool truncated;
	unsigned n;
	struct {
		int ifindex;
		struct port_view view;
	} ports[FDB_PORTS_MAX];
};

static const struct port_view *fdb_port(struct fdb_view *f, const struct os_link *l)
{
	static const struct port_view bridge = { .kind = "bridge", .tunnel = "" };

	if (!l || l->kind == OS_LINK_BRIDGE)
		return &bridge;
	for (unsigned i = 0; i < f->n; i++) {
		if (f->ports[i].ifindex == l->index)
			return &f->ports[i].view;
	}
	if (f->n == FDB_PORTS_MAX)
		return &bridge;
	f->ports[f->n].ifindex = l->index;
	port_look(f->daemon, l, &f->ports[f->n].view);
	return &f->ports[f->n++].view;
}

static void fdb_add(void *arg, const struct os_fdb_entry *e)
{
	struct fdb_view *f = arg;
	const struct os_link *l = f->daemon->os->link_by_index(f->daemon->os, e->ifindex);
	char mac[MAC_STRLEN];

	if (json_array_size(f->entries) >= FDB_ENTRIES_MAX) {
		f->truncated = true;
		return;
	}
	const struct port_view *v = fdb_port(f, l);
	json_array_append_new(f->entries,
			      json_pack("{s:s s:i s:o s:s s:s s:b s:i}", "mac",
					mac_format(e->mac, mac), "vlan", e->vlan, "port",
					jsonline_text(l ? l->name : "?"), "kind", v->kind, "tunnel",
					v->tunnel, "local", e->local, "age_ms", (int)e->age_ms));
}

json_t *status_fdb(const struct bridge *b)
{
	struct fdb_view *f = calloc(1, sizeof(*f));
	json_t *o = NULL;

	if (!f)
		return NULL;
	f->daemon = b->daemon;
	f->entries = json_array();
	if (b->ifindex)
		b->daemon->os->fdb_dump(b->daemon->os, b->ifindex, fdb_add, f);
	o = json_pack("{s:s s:o s:b}", "name", b->name, "entries", f->entries, "truncated",
		      f->truncated);
	free(f);
	return o;
}

/* Peers */

static json_t *peer_drops(const struct peer *p, const struct session_info *i)
{
	struct stream_counters c;

	peer_counters(p, &c);
	return json_pack("{s:o s:o s:o s:o s:o}", "replay", number(i->drop_replay), "auth",
			 number(i->drop_auth), "decode", number(i->drop_decode + c.drop_decode),
			 "queue", number(drop_sum(c.drop)), "reassembly", number(c.drop_reasm));
}

json_t *status_peer(const struct peer *p)
{
	char key[KEY_STRLEN], endpoint[ADDR_STRLEN], address[ADDR_HOST_STRLEN + 8] = "";
	struct session_info i;

	session_get_info(p->session, &i);
	if (p->cfg->host)
		snprintf(address, sizeof(address), strchr(p->cfg->host, ':') ? "[%s]:%u" : "%s:%u",
			 p->cfg->host, p->cfg->port);
	json_t *o = json_pack(
		"{s:s s:s s:s s:s s:s s:o s:s s:s s:s}", "name", p->name, "public_key",
		key_format(&p->cfg->public_key, key), "address", address, "endpoint",
		addr_is_set(&i.path.remote) ? addr_format(&i.path.remote, endpoint) : "", "state",
		peer_state_name(i.state), "detail", jsonline_text(i.detail), "name_far", i.far_name,
		"data_mode", i.handshake_us ? data_mode_name(i.mode) : "", "cipher",
		i.handshake_us ? i.cipher : "");
	if (!o)
		return NULL;
	json_object_update_new(
		o,
		json_pack("{s:i s:f s:f s:i s:o s:o s:o s:o s:o s:o}", "rtt_us", (int)i.rtt_us,
			  "loss_rx", i.loss_rx_permille / 1000.0, "loss_tx",
			  i.loss_tx_permille / 1000.0, "path_mtu", (int)i.path_mtu, "rx_bytes",
			  number(i.rx_bytes), "tx_bytes", number(i.tx_bytes), "rx_datagrams",
			  number(i.rx_datagrams), "tx_datagrams", number(i.tx_datagrams), "since_s",
			  seconds_since(p->daemon, i.since_us), "drops", peer_drops(p, &i)));
	return o;
}

/* Tunnels */

static bool tunnel_remote_open(const struct tunnel *t)
{
	return t->edge_up && session_far_open(t->peer->session, t->far_id);
}

/* Session losses are counted per peer; a tunnel shows its share as that of its session. */
static json_t *tunnel_drops(const struct tunnel *t, const struct tunnel_counters *c)
{
	struct stream_counters s;
	struct session_info i;

	session_get_info(t->peer->session, &i);
	peer_counters(t->peer, &s);
	return json_pack("{s:o s:o s:o s:o s:o}", "gate", number(c->drop_gate), "policer",
			 number(c->drop_policer), "queue", number(drop_sum(c->drop)), "decode",
			 number(s.drop_decode), "replay", number(i.drop_replay));
}

json_t *status_tunnel(const struct tunnel *t)
{
	struct tunnel_counters c;

	tunnel_counters(t, &c);
	json_t *o = json_pack(
		"{s:s s:s s:s s:s s:s s:s s:s s:o s:s s:i s:b s:b s:b}", "name", t->name, "peer",
		t->peer->name, "bridge", t->bridge->name, "remote_bridge", t->cfg->remote_bridge,
		"tap", t->port.name, "state", tunnel_state_name(t->state), "reason",
		tunnel_reason_name(t->reason), "detail", jsonline_text(t->detail), "mode",
		t->cfg->mesh ? "mesh" : "tree", "priority", t->cfg->priority, "admin_up",
		!t->admin_down, "local_open", t->gate.open, "remote_open", tunnel_remote_open(t));
	if (!o)
		return NULL;
	json_object_update_new(o, json_pack("{s:o s:o s:o s:o s:o s:o}", "since_s",
					    seconds_since(t->daemon, t->since_us), "rx_frames",
					    number(c.rx_frames), "tx_frames", number(c.tx_frames),
					    "rx_bytes", number(c.rx_bytes), "tx_bytes",
					    number(c.tx_bytes), "drops", tunnel_drops(t, &c)));
	return o;
}

json_t *status_tunnel_full(const struct tunnel *t)
{
	json_t *o = status_tunnel(t);

	if (o)
		json_object_update_new(o, json_pack("{s:o s:o}", "offloads", status_offloads(t),
						    "drops_by_reason", status_drops(t)));
	return o;
}

json_t *status_json(struct daemon *d)
{
	json_t *bridges = json_array(), *peers = json_array(), *tunnels = json_array();
	struct bridge *b;
	const struct peer *p;
	const struct tunnel *t;

	TAILQ_FOREACH(b, &d->bridges, link)
		json_array_append_new(bridges, status_bridge(b));
	TAILQ_FOREACH(p, &d->peers, link)
		json_array_append_new(peers, status_peer(p));
	TAILQ_FOREACH(t, &d->tunnels, link)
		json_array_append_new(tunnels, status_tunnel(t));
	return json_pack("{s:o s:o s:o s:o s:o}", "node", status_node(d), "bridges", bridges,
			 "peers", peers, "tunnels", tunnels, "topology", topology_summary_json(d));
}
