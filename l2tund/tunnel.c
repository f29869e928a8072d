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
#include "l2tund/peer.h"

#define HANDSHAKE_PATIENCE_US (5 * US_PER_S) /* then a peer that does not answer is unreachable */
#define FAR_LOOKED_AT 8u		     /* for a hint: it is looked for again and again */

/* frames */

static void tap_frame(void *arg, const struct vnet *v, const uint8_t *frame, size_t len)
{
	struct tunnel *t = arg;
	struct os *os = t->daemon->os;

	if (!gate_passes(&t->gate, session_lease_us(t->peer->session), os->now_us(os))) {
		t->counters.drop_gate++;
		return;
	}
	if (stream_put(t->peer->stream, t->far_id, v, frame, len) < 0) {
		t->counters.drop_queue++;
		return;
	}
	t->counters.tx_frames++;
	t->counters.tx_bytes += len;
}

static void tap_drained(void *arg)
{
	struct tunnel *t = arg;

	stream_flush(t->peer->stream);
}

static void tap_lost(void *arg, int err)
{
	struct tunnel *t = arg;
	struct os *os = t->daemon->os;

	(void)err;
	t->gate.open = false;
	port_lost(&t->port, os->now_us(os));
	daemon_reconcile(t->daemon);
}

static const struct os_tap_ops tap_ops = {
	.frame = tap_frame,
	.drained = tap_drained,
	.lost = tap_lost,
};

void tunnel_deliver(struct tunnel *t, const struct vnet *v, const uint8_t *frame, size_t len,
		    uint64_t now_us)
{
	struct os *os = t->daemon->os;

	if (!gate_passes(&t->gate, session_lease_us(t->peer->session), now_us)) {
		t->counters.drop_gate++;
		return;
	}
	if (os->tap_write(os, t->port.tap, v, frame, len) < 0) {
		t->counters.drop_queue++;
		return;
	}
	t->counters.rx_frames++;
	t->counters.rx_bytes += len;
}

/* the gate */

static void tunnel_gate(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
			const char *detail)
{
	struct daemon *d = arg;
	struct tunnel *t = topo_edge_user(e);
	uint64_t now_us = d->os->now_us(d->os);

	t->gate_reason = reason;
	snprintf(t->gate_detail, sizeof(t->gate_detail), "%s", detail);
	if (!open)
		t->gate.open = false;
	int r = port_set_carrier(&t->port, open, now_us);
	if (r < 0) /* the topology is told by the next reconciliation: not from in here */
		daemon_reconcile_soon(d);
	t->gate.open = open && r == 0;
	session_set_open(t->peer->session, t->id, t->gate.open, now_us);
}

const struct topo_ops tunnel_topo_ops = { .gate = tunnel_gate };

/* facts */

static bool tunnel_fits(const struct tunnel *t, const struct segment *far)
{
	return strcmp(far->bridge, t->cfg->remote_bridge) == 0 &&
	       strcmp(far->want, t->bridge->name) == 0;
}

/* The peer's end that names our bridge and is named by us; NULL: it has none. */
static const struct segment *tunnel_far(const struct tunnel *t)
{
	unsigned n;
	const struct segment *segs = session_far_segments(t->peer->session, &n);

	for (unsigned i = 0; i < n; i++) {
		if (tunnel_fits(t, &segs[i]))
			return &segs[i];
	}
	return NULL;
}

static bool tunnel_live(const struct tunnel *t, const struct segment *far)
{
	return !t->admin_down && !t->daemon->stopping && t->port_ready && far && far->usable &&
	       session_state(t->peer->session) == SESSION_UP;
}

static void tunnel_sync_edge(struct tunnel *t)
{
	const struct segment *far = tunnel_far(t);
	struct session_info info;
	struct topo_ends ends = { 0 };

	if (!tunnel_live(t, far)) {
		if (t->edge_up)
			topo_edge_down(t->edge);
		t->edge_up = false;
		return;
	}
	session_get_info(t->peer->session, &info);
	snprintf(ends.local_bridge, sizeof(ends.local_bridge), "%s", t->bridge->name);
	snprintf(ends.far_bridge, sizeof(ends.far_bridge), "%s", far->bridge);
	memcpy(ends.far_node, info.far_id, sizeof(ends.far_node));
	ends.priority = MAX(t->cfg->priority, far->priority);
	ends.generation = info.generation;
	t->far_id = far->id;
	t->edge_up = true;
	topo_edge_up(t->edge, &ends);
	topo_edge_far(t->edge, session_far_open(t->peer->session, far->id));
}

static void tunnel_sync_port(struct tunnel *t)
{
	bool was = t->port_ready;

	if (t->admin_down || t->daemon->stopping) {
		port_fini(&t->port);
		t->port_ready = false;
	} else {
		t->port_ready = port_sync(&t->port, bridge_link(t->bridge),
					  t->daemon->os->now_us(t->daemon->os));
	}
	if (was != t->port_ready)
		peer_announce(t->peer);
	topo_edge_ready(t->edge, t->port_ready);
}

/* the state */

struct verdict {
	enum tunnel_state state;
	enum tunnel_reason reason;
	char detail[sizeof(((struct tunnel *)0)->detail)];
};

static bool _printf_(4, 5) verdict_set(struct verdict *v, enum tunnel_state state,
				       enum tunnel_reason reason, const char *fmt, ...)
{
	va_list ap;

	v->state = state;
	v->reason = reason;
	va_start(ap, fmt);
	vsnprintf(v->detail, sizeof(v->detail), fmt, ap);
	va_end(ap);
	return true;
}

static bool judge_bridge(const struct tunnel *t, struct verdict *v)
{
	const struct bridge *b = t->bridge;

	if (b->ifindex)
		return false;
	if (*b->detail)
		return verdict_set(v, TUNNEL_DOWN, REASON_NO_BRIDGE, "bridge %s: %s", b->name,
				   b->detail);
	return verdict_set(v, TUNNEL_DOWN, REASON_NO_BRIDGE,
			   "bridge %s does not exist; create it or set create = yes (%s:%u)",
			   b->name, b->cfg->src.file, b->cfg->src.line);
}

static bool judge_local(const struct tunnel *t, struct verdict *v)
{
	if (t->daemon->stopping)
		return verdict_set(v, TUNNEL_DOWN, REASON_ADMIN, "l2tund ends");
	if (t->admin_down)
		return verdict_set(v, TUNNEL_DOWN, REASON_ADMIN,
				   "switched off; `bridgectl tunnel up %s`", t->name);
	if (judge_bridge(t, v))
		return true;
	if (t->port.latched)
		return verdict_set(v, TUNNEL_LATCHED, REASON_PORT, "%s: %s", t->port.name,
				   t->port.detail);
	if (!t->port_ready)
		return verdict_set(v, TUNNEL_DOWN, REASON_PORT, "%s: %s", t->port.name,
				   t->port.detail);
	return false;
}

static bool judge_session(const struct tunnel *t, struct verdict *v)
{
	struct session_info info;
	uint64_t now_us = t->daemon->os->now_us(t->daemon->os);

	session_get_info(t->peer->session, &info);
	if (info.state == SESSION_UP)
		return false;
	if (!t->peer->cfg->host && info.state == SESSION_DOWN)
		return verdict_set(v, TUNNEL_DOWN, REASON_NO_PEER, "peer %s: %s", t->peer->name,
				   info.detail);
	if (!*info.detail)
		return verdict_set(v, TUNNEL_HANDSHAKE, REASON_NONE, "calling peer %s",
				   t->peer->name);
	if (info.state == SESSION_HANDSHAKE && now_us - info.since_us < HANDSHAKE_PATIENCE_US)
		return verdict_set(v, TUNNEL_HANDSHAKE, REASON_NONE, "peer %s: %s", t->peer->name,
				   info.detail);
	return verdict_set(v, TUNNEL_DOWN, REASON_UNREACHABLE, "peer %s: %s", t->peer->name,
			   info.detail);
}

/* An end of the peer that no tunnel of ours fits: it may be the one that is meant. */
static const struct segment *tunnel_far_unmatched(const struct tunnel *t)
{
	unsigned n;
	const struct segment *segs = session_far_segments(t->peer->session, &n);
	const struct tunnel *o;

	for (unsigned i = 0; i < MIN(n, FAR_LOOKED_AT); i++) {
		TAILQ_FOREACH(o, &t->daemon->tunnels, link) {
			if (o->peer == t->peer && tunnel_fits(o, &segs[i]))
				break;
		}
		if (!o)
			return &segs[i];
	}
	return NULL;
}

static bool judge_no_far(const struct tunnel *t, struct verdict *v)
{
	const struct segment *other = tunnel_far_unmatched(t);

	if (other)
		return verdict_set(v, TUNNEL_DOWN, REASON_REMOTE,
				   "peer %s has no tunnel from its %s to our %s, but one from its "
				   "%s to our %s; make bridge and remote-bridge fit at both ends",
				   t->peer->name, t->cfg->remote_bridge, t->bridge->name,
				   other->bridge, other->want);
	return verdict_set(v, TUNNEL_DOWN, REASON_REMOTE,
			   "peer %s has no tunnel from its %s to our %s; configure it there",
			   t->peer->name, t->cfg->remote_bridge, t->bridge->name);
}

static bool judge_far(const struct tunnel *t, struct verdict *v)
{
	const struct segment *far = tunnel_far(t);
	struct session_info info;
	unsigned n;

	if (far && far->usable)
		return false;
	session_far_segments(t->peer->session, &n);
	session_get_info(t->peer->session, &info);
	/* No list and an empty list look the same: after a while it is an empty one. */
	if (n == 0 && t->daemon->os->now_us(t->daemon->os) - info.since_us < HANDSHAKE_PATIENCE_US)
		return verdict_set(v, TUNNEL_HANDSHAKE, REASON_REMOTE,
				   "peer %s has told of no tunnels with us yet", t->peer->name);
	if (!far)
		return judge_no_far(t, v);
	return verdict_set(v, TUNNEL_DOWN, REASON_REMOTE,
			   "the other end is not ready: its bridge %s is missing or its tunnel is "
			   "switched off; see `bridgectl status` there",
			   far->bridge);
}

/* Frames pass, but not all that a guest may send. */
static bool judge_forwarding(const struct tunnel *t, const struct segment *far, struct verdict *v)
{
	if (far->mtu == t->bridge->mtu)
		return verdict_set(v, TUNNEL_FORWARDING, REASON_NONE, "%s", "");
	return verdict_set(
		v, TUNNEL_FORWARDING, REASON_NONE,
		"bridge %s has MTU %u here, %s has %u there: frames that are larger than "
		"the smaller one are lost",
		t->bridge->name, t->bridge->mtu, far->bridge, far->mtu);
}

static bool judge_gate(const struct tunnel *t, struct verdict *v)
{
	const struct segment *far = tunnel_far(t);
	bool starting = t->state < TUNNEL_STANDBY;

	/* Half a round trip or two at every start: not worth a standby of its own. */
	if (!t->gate.open)
		return verdict_set(v,
				   starting && t->gate_reason == REASON_REMOTE ? TUNNEL_PREPARE :
										 TUNNEL_STANDBY,
				   t->gate_reason, "%s", t->gate_detail);
	if (far && session_far_open(t->peer->session, far->id))
		return judge_forwarding(t, far, v);
	if (starting)
		return verdict_set(v, TUNNEL_PREPARE, REASON_REMOTE, "%s",
				   "waiting for the other end to open its gate");
	return verdict_set(v, TUNNEL_STANDBY, REASON_REMOTE, "%s",
			   "the other end's gate is closed");
}

static void tunnel_settle(struct tunnel *t)
{
	struct verdict v = { 0 };
	enum tunnel_state from = t->state;

	(void)(judge_local(t, &v) || judge_session(t, &v) || judge_far(t, &v) || judge_gate(t, &v));
	bool changed = v.state != t->state || v.reason != t->reason;

	t->state = v.state;
	t->reason = v.reason;
	snprintf(t->detail, sizeof(t->detail), "%s", v.detail);
	if (!changed)
		return;
	t->since_us = t->daemon->os->now_us(t->daemon->os);
	events_change(t->daemon->events, "tunnel", t->name, tunnel_state_name(from),
		      tunnel_state_name(t->state), tunnel_reason_name(t->reason), t->detail);
}

void tunnel_sync(struct tunnel *t)
{
	tunnel_sync_port(t);
	tunnel_sync_edge(t);
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
	t->since_us = d->os->now_us(d->os);
	snprintf(t->name, sizeof(t->name), "%s", cfg->name);
	snprintf(tap, sizeof(tap), TAP_PREFIX "%.*s", (int)(sizeof(tap) - sizeof(TAP_PREFIX)),
		 cfg->name);
	port_init(&t->port, d->os, tap, &tap_ops, t);
	t->edge = topo_edge_add(d->topo, t->name, t);
	if (!t->edge) {
		free(t);
		return NULL;
	}
	if (peer_join(t->peer, t) < 0) {
		log_err(LOG_CORE,
			"tunnel %s: peer %s has %d tunnels already, the most that are possible",
			t->name, t->peer->name, SESSION_SEGMENTS_MAX);
		topo_edge_remove(t->edge);
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
	topo_edge_remove(t->edge);
	peer_leave(t->peer, t);
	free(t);
}

void tunnel_update(struct tunnel *t, const struct config_tunnel *cfg)
{
	if (t->cfg->priority != cfg->priority)
		peer_announce(t->peer);
	t->cfg = cfg;
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

void tunnel_describe(const struct tunnel *t, struct segment *ret)
{
	*ret = (struct segment){
		.id = t->id,
		.mtu = (uint16_t)MIN(t->bridge->mtu, UINT16_MAX),
		.priority = t->cfg->priority,
		.mesh = t->cfg->mesh,
		.usable = t->port_ready,
	};
	snprintf(ret->bridge, sizeof(ret->bridge), "%s", t->bridge->name);
	snprintf(ret->want, sizeof(ret->want), "%s", t->cfg->remote_bridge);
	memcpy(ret->mac, t->bridge->mac, sizeof(ret->mac));
}
