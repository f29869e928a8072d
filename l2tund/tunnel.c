/*
 * A tunnel's state follows from facts, it is never set by hand: tunnel_sync() looks at
 * bridge, port, session, far segment and the topology's decision, in that order, and the
 * first one that stands in the way names the state and its reason.
 *
 * The gate has two halves here: the data path's flag, which acts at once and alone
 * suffices, and the TAP's carrier. Closing goes flag first, opening goes flag last.
 */
#include "l2tund/tunnel.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/log.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/guard.h"
#include "l2tund/peer.h"
#include "l2tund/topology/lsa.h"
#include "l2tund/tunnel_frames.h"
#include "l2tund/verdict.h"

/* The other end's port forwards some milliseconds after its carrier has come. */
#define ANNOUNCE_AFTER_US (50 * US_PER_MS)
/* A path that became known about when a block began is taken for its cause. */
#define FOREIGN_BEFORE_US US_PER_S
#define FOREIGN_AFTER_US (3 * US_PER_S)

/* the gate */

static void tunnel_gate(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
			const char *detail)
{
	struct daemon *d = arg;
	struct tunnel *t = topo_edge_user(e);
	uint64_t now_us = daemon_now_us(d);

	/* Evidence may be ahead of the topology, which then offers another tunnel of the bundle. */
	open = open && t->block.reason == REASON_NONE;
	t->gate_reason = reason;
	snprintf(t->gate_detail, sizeof(t->gate_detail), "%s", detail);
	if (!open)
		t->gate.open = false;
	int r = port_set_carrier(&t->port, open, now_us);
	if (r < 0) /* the topology is told by the next reconciliation: not from in here */
		daemon_reconcile_soon(d);
	t->gate.open = open && r == 0;
	if (t->gate.open)
		tunnel_frames_open(t, now_us);
	session_set_open(t->peer->session, t->id, t->gate.open, now_us);
	t->unsettled = d->unsettled = true;
}

static int tunnel_topo_send(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	const struct peer *p = topo_adj_user(a);

	return session_send_topology(p->session, msg, len, daemon_now_us(arg));
}

static void tunnel_topo_alarm(void *arg, const char *text)
{
	const struct daemon *d = arg;

	events_change(d->events, "topology", d->config->node.name, "", "alarm", "", text);
}

const struct topo_ops tunnel_topo_ops = {
	.gate = tunnel_gate,
	.send = tunnel_topo_send,
	.alarm = tunnel_topo_alarm,
};

/* facts */

bool tunnel_fits(const struct tunnel *t, const struct segment *far)
{
	return strcmp(far->bridge, t->cfg->remote_bridge) == 0 &&
	       strcmp(far->want, t->bridge->name) == 0;
}

const struct segment *tunnel_far(const struct tunnel *t)
{
	unsigned n;
	const struct segment *segs = session_far_segments(t->peer->session, &n);

	for (unsigned i = 0; i < n; i++) {
		if (tunnel_fits(t, &segs[i]))
			return &segs[i];
	}
	return NULL;
}

bool tunnel_same_mode(const struct tunnel *t, const struct segment *far)
{
	return far->mesh == t->cfg->mesh;
}

/* Nothing at this end stands in the way. */
static bool tunnel_usable(const struct tunnel *t)
{
	return t->port_ready && t->bridge->guard.packet && t->block.reason == REASON_NONE;
}

/* Both ends know of each other. */
static bool tunnel_joined(const struct tunnel *t, const struct segment *far)
{
	return !t->admin_down && !t->daemon->stopping && far && tunnel_same_mode(t, far) &&
	       session_state(t->peer->session) == SESSION_UP;
}

/* Time alone proves nothing: a stalled process has not listened. */
static void tunnel_sync_prepared(struct tunnel *t)
{
	uint64_t now_us = daemon_now_us(t->daemon);
	uint32_t probes = t->bridge->guard.seq - t->prepare_seq;

	if (t->prepared_us && now_us >= t->prepared_us && !t->prepared &&
	    probes < GUARD_PREPARE_PROBES)
		t->prepared_us = now_us + (GUARD_PREPARE_PROBES - probes) * PROBE_BURST_US;
	/* Kept: had every asker his own look at the clock, the moment could fall between two. */
	t->prepared = t->prepared_us && now_us >= t->prepared_us;
}

struct topo_segment tunnel_near_segment(const struct tunnel *t)
{
	return segment_of(sessions_node_id(t->daemon->sessions), t->bridge->name);
}

struct topo_segment tunnel_far_segment(const struct tunnel *t)
{
	return segment_of(session_far_id(t->peer->session), t->cfg->remote_bridge);
}

static struct topo_ends tunnel_ends(const struct tunnel *t, const struct segment *far)
{
	struct topo_ends ends = {
		.far = tunnel_far_segment(t),
		.generation = session_generation(t->peer->session),
		.priority = MAX(t->cfg->priority, far->priority),
		.mesh = t->cfg->mesh,
		.preempt = t->cfg->preempt,
	};

	snprintf(ends.local_bridge, sizeof(ends.local_bridge), "%s", t->bridge->name);
	return ends;
}

static void tunnel_sync_edge(struct tunnel *t)
{
	const struct segment *far = tunnel_far(t);
	uint64_t now_us = daemon_now_us(t->daemon);

	t->edge_up = tunnel_joined(t, far);
	if (!t->edge_up || !tunnel_usable(t) || !far->usable) {
		t->prepared_us = 0;
	} else if (!t->prepared_us) {
		t->prepared_us = now_us + GUARD_PREPARE_US;
		t->prepare_seq = t->bridge->guard.seq;
		guard_burst(&t->bridge->guard);
		daemon_reconcile_soon(t->daemon); /* so that its timer knows of that moment */
	}
	if (!t->edge_up) {
		topo_edge_down(t->edge, now_us);
		return;
	}
	struct topo_ends ends = tunnel_ends(t, far);
	t->far_id = far->id;
	topo_edge_up(t->edge, &ends, now_us);
}

static void tunnel_sync_port(struct tunnel *t)
{
	if (t->admin_down || t->daemon->stopping) {
		port_fini(&t->port);
		t->port_ready = false;
	} else {
		t->port_ready =
			port_sync(&t->port, bridge_link(t->bridge), daemon_now_us(t->daemon));
	}
}

void tunnel_heed_foreign(struct tunnel *t)
{
	struct topo_segment far = tunnel_far_segment(t);
	const struct guard_heard *h = guard_find(&t->bridge->guard, far.node, far.bridge);

	if (!h)
		return;
	bool begins = block_evidence(&t->block, REASON_FOREIGN, t->gate.open,
				     guard_heard_until_us(h), daemon_now_us(t->daemon));
	if (begins || t->block.reason == REASON_FOREIGN)
		snprintf(t->block_detail, sizeof(t->block_detail),
			 "%s and %s's %s are joined already, by something behind port %s%s%s%s: "
			 "remove one of the two ways",
			 t->bridge->name, t->peer->name, h->bridge,
			 *h->via ? h->via : "(not known yet)", *h->owner ? " (" : "", h->owner,
			 *h->owner ? ")" : "");
	t->culprit_known = h->traced ? 2 : *h->via != '\0';
	if (begins)
		t->gate.open = false;
}

/*
 * Everybody on a loop cuts at the same moment, and one cut would do. When the path that made the
 * loop is known, too, the tree takes care of it, and nobody has to stay away for long.
 */
static void tunnel_account_block(struct tunnel *t)
{
	uint64_t foreign_us = topo_foreign_us(t->daemon->topo);

	if (t->block.reason != REASON_STORM && t->block.reason != REASON_WATCHDOG)
		return;
	if (foreign_us && foreign_us + FOREIGN_BEFORE_US >= t->block.since_us &&
	    foreign_us <= t->block.since_us + FOREIGN_AFTER_US)
		block_account(&t->block, daemon_now_us(t->daemon));
}

static void tunnel_sync_block(struct tunnel *t)
{
	uint64_t now_us = daemon_now_us(t->daemon);

	tunnel_heed_foreign(t);
	/* Also when it is over, or forgotten, by now: it opens by way of PREPARE only. */
	if (t->block.reason != REASON_NONE || (topo_edge_open(t->edge) && !t->gate.open)) {
		topo_edge_ready(t->edge, false, now_us);
		t->prepared_us = 0;
	}
	/* Who cannot be heard may still be looked for through the bridge. */
	if (t->block.reason == REASON_RECURSION && session_state(t->peer->session) != SESSION_UP)
		block_evidence(&t->block, REASON_RECURSION, false, now_us + US_PER_S, now_us);
	tunnel_account_block(t);
	block_stands(&t->block, now_us);
	if (!tunnel_usable(t))
		topo_edge_ready(t->edge, false, now_us);
	if (tunnel_usable(t) != t->told_usable)
		peer_announce(t->peer);
	t->told_usable = tunnel_usable(t);
}

/* Between the same two bridges: a loop through the one is a loop through the other. */
static bool tunnel_beside(const struct tunnel *t, const struct tunnel *o)
{
	return o != t && o->bridge == t->bridge &&
	       strcmp(o->cfg->remote_bridge, t->cfg->remote_bridge) == 0 &&
	       memcmp(&o->peer->cfg->public_key, &t->peer->cfg->public_key, sizeof(struct key)) ==
		       0;
}

/* `o` must not take over from `t` what made a loop; it has done nothing wrong itself. */
static void tunnel_block_beside(struct tunnel *o, const struct tunnel *t)
{
	bool begins = block_evidence(&o->block, t->block.reason, false, t->block.hold_until_us,
				     daemon_now_us(t->daemon));

	o->gate.open = false;
	o->block.latched |= t->block.latched;
	if (begins)
		snprintf(o->block_detail, sizeof(o->block_detail), "as tunnel %s: %.180s", t->name,
			 t->block_detail);
}

void tunnel_block(struct tunnel *t, enum tunnel_reason reason, const char *fmt, ...)
{
	uint64_t now_us = daemon_now_us(t->daemon);
	bool begins = block_evidence(&t->block, reason, true, now_us, now_us);
	va_list ap;

	/* This alone cuts; the rest follows when nobody is in the middle of a frame. */
	t->gate.open = false;
	if (!begins)
		return;
	va_start(ap, fmt);
	vsnprintf(t->block_detail, sizeof(t->block_detail), fmt, ap);
	va_end(ap);
	struct tunnel *o;
	TAILQ_FOREACH(o, &t->daemon->tunnels, link) {
		/* Another way to the peer need not lead over the bridge. */
		if (reason != REASON_RECURSION && tunnel_beside(t, o))
			tunnel_block_beside(o, t);
	}
	daemon_reconcile_soon(t->daemon);
}

uint64_t tunnel_wake_us(const struct tunnel *t)
{
	uint64_t next_us = block_until_us(&t->block);

	if (t->port.retry_us)
		next_us = MIN(next_us, t->port.retry_us);
	if (t->prepared_us && !t->prepared)
		next_us = MIN(next_us, t->prepared_us);
	return next_us;
}

/* the state */

/* Cutting comes before looking for the culprit: the log shall name it when it is found. */
static bool tunnel_names_more(const struct tunnel *t)
{
	return t->state == TUNNEL_BLOCKED && t->reason == REASON_FOREIGN &&
	       t->culprit_known > t->culprit_told;
}

static void tunnel_tell(struct tunnel *t, enum tunnel_state from)
{
	t->culprit_told = t->culprit_known;
	events_change(t->daemon->events, "tunnel", t->name, tunnel_state_name(from),
		      tunnel_state_name(t->state), tunnel_reason_name(t->reason), t->detail);
}

void tunnel_settle(struct tunnel *t)
{
	struct verdict v = { 0 };
	enum tunnel_state from = t->state;

	t->unsettled = false;
	verdict_of(t, &v);
	bool changed = v.state != t->state || v.reason != t->reason;

	t->state = v.state;
	t->reason = v.reason;
	snprintf(t->detail, sizeof(t->detail), "%s", v.detail);
	if (changed || tunnel_names_more(t))
		tunnel_tell(t, from);
	if (!changed)
		return;
	t->since_us = daemon_now_us(t->daemon);
	if (t->state == TUNNEL_FORWARDING) {
		t->announce_us = t->since_us + ANNOUNCE_AFTER_US;
		guard_burst(&t->bridge->guard);
	}
}

/* Breaks first: what must not forward is told before anything that may. */
void tunnel_sync(struct tunnel *t)
{
	tunnel_sync_port(t);
	tunnel_sync_block(t);
	tunnel_sync_edge(t);
	tunnel_sync_prepared(t);
	uint64_t now_us = daemon_now_us(t->daemon);
	topo_edge_ready(t->edge, tunnel_usable(t) && t->prepared, now_us);
	tunnel_settle(t);
}

/* the object */

struct tunnel *tunnel_new(struct daemon *d, const struct config_tunnel *cfg)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	char tap[IFNAMSIZ];

	if (!t)
		return NULL;
	t->daemon = d;
	t->cfg = cfg;
	t->peer = daemon_find_peer(d, cfg->peer->name);
	t->bridge = daemon_find_bridge(d, cfg->bridge->name);
	t->state = TUNNEL_DOWN;
	t->serial = d->next_serial++;
	d->os->random(d->os, &t->block.spread, sizeof(t->block.spread));
	if (tunnel_frames_init(t) < 0) {
		free(t);
		return NULL;
	}
	t->since_us = daemon_now_us(d);
	snprintf(t->name, sizeof(t->name), "%s", cfg->name);
	snprintf(tap, sizeof(tap), TAP_PREFIX "%.*s", (int)(sizeof(tap) - sizeof(TAP_PREFIX)),
		 cfg->name);
	port_init(&t->port, d->os, tap, cfg->mesh, &tunnel_tap_ops, t);
	t->port.offload = d->config->node.offload;
	t->edge = topo_edge_add(d->topo, t->name, t);
	if (!t->edge) {
		tunnel_frames_fini(t);
		free(t);
		return NULL;
	}
	if (peer_join(t->peer, t) < 0) {
		log_err(LOG_CORE,
			"tunnel %s: peer %s has %d tunnels already, the most that are possible",
			t->name, t->peer->name, SESSION_SEGMENTS_MAX);
		topo_edge_remove(t->edge, daemon_now_us(t->daemon));
		tunnel_frames_fini(t);
		free(t);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&d->tunnels, t, link);
	return t;
}

void tunnel_free(struct tunnel *t)
{
	t->gate.open = false;
	port_fini(&t->port);
	TAILQ_REMOVE(&t->daemon->tunnels, t, link);
	topo_edge_remove(t->edge, daemon_now_us(t->daemon));
	peer_leave(t->peer, t);
	tunnel_frames_fini(t);
	free(t);
}

void tunnel_update(struct tunnel *t, const struct config_tunnel *cfg)
{
	if (t->cfg->priority != cfg->priority)
		peer_announce(t->peer);
	t->cfg = cfg;
	tunnel_frames_update(t);
}

void tunnel_set_admin(struct tunnel *t, bool up)
{
	if (up)
		port_clear(&t->port);
	if (t->admin_down == up)
		peer_announce(t->peer);
	t->admin_down = !up;
	tunnel_sync(t);
}

void tunnel_clear(struct tunnel *t)
{
	struct tunnel *o;

	block_clear(&t->block);
	TAILQ_FOREACH(o, &t->daemon->tunnels, link) {
		if (tunnel_beside(t, o))
			block_clear(&o->block);
	}
	guard_clear(&t->bridge->guard);
	port_clear(&t->port);
	daemon_reconcile(t->daemon);
}

void tunnel_describe(const struct tunnel *t, struct segment *ret)
{
	*ret = (struct segment){
		.id = t->id,
		.mtu = (uint16_t)MIN(t->bridge->mtu, UINT16_MAX),
		.priority = t->cfg->priority,
		.mesh = t->cfg->mesh,
		.usable = tunnel_usable(t),
	};
	snprintf(ret->bridge, sizeof(ret->bridge), "%s", t->bridge->name);
	snprintf(ret->want, sizeof(ret->want), "%s", t->cfg->remote_bridge);
	memcpy(ret->mac, t->bridge->mac, sizeof(ret->mac));
}
