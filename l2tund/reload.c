/*
 * A reload compares by name. What is gone is taken down first, what is new is
 * brought up last, and what stays is pointed at its new settings. Settings that were fixed at
 * start (sockets, keys of this node, users) are named, not applied.
 */
#include "l2tund/reload.h"

#include <errno.h>

#include "common/jsonline.h"
#include "common/log.h"
#include "common/offload.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/tunnel.h"

/* What a reload does is told to its caller and logged. */
#define say(list, ...)                                                  \
	do {                                                            \
		const char *_said = jsonline_append(list, __VA_ARGS__); \
		log_notice(LOG_CONFIG, "reload: %s", _said);            \
	} while (0)

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool key_equal(const struct key *a, const struct key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool listen_equal(const struct config_node *a, const struct config_node *b)
{
	if (a->n_listen != b->n_listen)
		return false;
	for (unsigned i = 0; i < a->n_listen; i++) {
		if (!addr_equal(&a->listen[i], &b->listen[i]))
			return false;
	}
	return true;
}

/* Sockets and devices are opened with them, and workers run on them. */
static void offload_compare(unsigned a, unsigned b, json_t *restart)
{
	for (unsigned o = 0; o < OFFLOADS; o++) {
		if (offload_on(a ^ b, (enum offload)o))
			say(restart, "offload.%s: needs a restart", offload_name((enum offload)o));
	}
}

/* Node: nothing of it can change while we run, so the old node stays in force. */
static void node_compare(const struct config_node *a, const struct config_node *b, json_t *restart)
{
	const struct {
		const char *key;
		bool same;
	} rows[] = {
		{ "name", strcmp(a->name, b->name) == 0 },
		{ "private-key", key_equal(&a->private_key, &b->private_key) },
		{ "listen", listen_equal(a, b) },
		{ "control", text_equal(a->control, b->control) },
		{ "control-group", text_equal(a->control_group, b->control_group) },
		{ "state-dir", text_equal(a->state_dir, b->state_dir) },
		{ "metrics", text_equal(a->metrics, b->metrics) },
		{ "workers", a->workers == b->workers },
		{ "user", text_equal(a->user, b->user) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].same)
			say(restart, "node.%s: needs a restart", rows[i].key);
	}
	offload_compare(a->offload, b->offload, restart);
}

/*
 * The running node's settings move into the new configuration, so that status tells
 * what is in force; its own go with the old one.
 */
static void node_keep(struct config *old, struct config *new)
{
	struct config_node node = old->node;

	old->node = new->node;
	new->node = node;
}

/* Whether the tunnel can live on under its new settings. */
static bool tunnel_same(const struct config_tunnel *a, const struct config_tunnel *b)
{
	return strcmp(a->peer->name, b->peer->name) == 0 &&
	       key_equal(&a->peer->public_key, &b->peer->public_key) &&
	       strcmp(a->bridge->name, b->bridge->name) == 0 &&
	       strcmp(a->remote_bridge, b->remote_bridge) == 0 && a->mesh == b->mesh;
}

static bool peer_same(const struct config_peer *a, const struct config_peer *b)
{
	return key_equal(&a->psk, &b->psk) && text_equal(a->host, b->host) && a->port == b->port &&
	       a->modes == b->modes;
}

static void drop_tunnels(struct daemon *d, const struct config *new, json_t *changed)
{
	struct tunnel *t, *next;

	for (t = TAILQ_FIRST(&d->tunnels); t; t = next) {
		const struct config_tunnel *cfg = config_find_tunnel(new, t->name);

		next = TAILQ_NEXT(t, link);
		if (cfg && tunnel_same(t->cfg, cfg))
			continue;
		say(changed, "tunnel %s %s", t->name, cfg ? "is made anew" : "removed");
		tunnel_free(t);
	}
}

static void drop_peers(struct daemon *d, const struct config *new, json_t *changed)
{
	struct peer *p, *next;

	for (p = TAILQ_FIRST(&d->peers); p; p = next) {
		const struct config_peer *cfg = config_find_peer(new, p->name);

		next = TAILQ_NEXT(p, link);
		if (cfg && key_equal(&p->cfg->public_key, &cfg->public_key))
			continue;
		say(changed, "peer %s %s", p->name, cfg ? "has another key" : "removed");
		session_close(p->session, daemon_now_us(d));
		peer_free(p);
	}
}

static void drop_bridges(struct daemon *d, const struct config *new, json_t *changed)
{
	struct bridge *b, *next;

	for (b = TAILQ_FIRST(&d->bridges); b; b = next) {
		next = TAILQ_NEXT(b, link);
		if (config_find_bridge(new, b->name))
			continue;
		say(changed, "bridge %s: no longer ours to watch; it stays as it is", b->name);
		bridge_free(b);
	}
}

static bool bridge_same(const struct config_bridge *a, const struct config_bridge *b)
{
	if (a->create != b->create || a->stp != b->stp ||
	    a->forward_delay_s != b->forward_delay_s || a->n_ports != b->n_ports)
		return false;
	for (unsigned i = 0; i < a->n_ports; i++) {
		if (strcmp(a->ports[i], b->ports[i]) != 0)
			return false;
	}
	return true;
}

static void update_bridges(struct daemon *d, const struct config *new, json_t *changed)
{
	for (unsigned i = 0; i < new->n_bridges; i++) {
		struct bridge *b = daemon_find_bridge(d, new->bridges[i].name);

		if (b) {
			if (!bridge_same(b->cfg, &new->bridges[i]))
				say(changed, "bridge %s changed", b->name);
			b->cfg = &new->bridges[i];
			continue;
		}
		if (bridge_new(d, &new->bridges[i]))
			say(changed, "bridge %s added", new->bridges[i].name);
	}
}

static void update_peers(struct daemon *d, const struct config *new, json_t *changed)
{
	for (unsigned i = 0; i < new->n_peers; i++) {
		const struct config_peer *cfg = &new->peers[i];
		struct peer *p = daemon_find_peer(d, cfg->name);

		if (!p) {
			if (peer_new(d, cfg))
				say(changed, "peer %s added", cfg->name);
			continue;
		}
		if (!peer_same(p->cfg, cfg))
			say(changed, "peer %s changed", p->name);
		peer_update(p, cfg);
	}
}

static void update_tunnels(struct daemon *d, const struct config *new, json_t *changed)
{
	for (unsigned i = 0; i < new->n_tunnels; i++) {
		const struct config_tunnel *cfg = &new->tunnels[i];
		struct tunnel *t = daemon_find_tunnel(d, cfg->name);

		if (!t) {
			if (tunnel_new(d, cfg))
				say(changed, "tunnel %s added", cfg->name);
			continue;
		}
		if (t->cfg->priority != cfg->priority || t->cfg->profile != cfg->profile ||
		    t->cfg->policer != cfg->policer || t->cfg->preempt != cfg->preempt)
			say(changed, "tunnel %s changed", t->name);
		tunnel_update(t, cfg);
	}
}

static void reload_apply(struct daemon *d, struct config *new, json_t *changed)
{
	struct config *old = d->config;
	struct peer *p;

	drop_tunnels(d, new, changed);
	drop_peers(d, new, changed);
	drop_bridges(d, new, changed);
	node_keep(old, new);
	d->config = new;
	update_bridges(d, new, changed);
	update_peers(d, new, changed);
	update_tunnels(d, new, changed);
	TAILQ_FOREACH(p, &d->peers, link)
		peer_update_timers(p);
	config_free(old);
	daemon_reconcile(d);
}

int reload_run(struct daemon *d, struct config_report *report, json_t **ret_changed,
	       json_t **ret_restart)
{
	struct config *new;
	int r = config_load(d->config->path, &new, report);

	if (r < 0) {
		for (unsigned i = 0; i < report->n; i++)
			log_err(LOG_CONFIG, "%s", report->lines[i]);
		log_err(LOG_CONFIG, "reload: errors found: %u; the old configuration keeps running",
			report->n_errors);
		return r;
	}
	for (unsigned i = 0; i < report->n; i++)
		log_warn(LOG_CONFIG, "%s", report->lines[i]);
	*ret_changed = json_array();
	*ret_restart = json_array();
	node_compare(&d->config->node, &new->node, *ret_restart);
	reload_apply(d, new, *ret_changed);
	if (!json_array_size(*ret_changed) && !json_array_size(*ret_restart))
		log_notice(LOG_CONFIG, "reload: nothing has changed");
	return 0;
}
