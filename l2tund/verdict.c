/*
 * Why a tunnel is as it is, judged from outside in: this host, the session, evidence of a loop, the
 * other end, the gates. The order is what makes a state true: nothing behind the first
 * obstacle matters.
 */
#include "l2tund/verdict.h"

#include <stdarg.h>
#include <stdio.h>

#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"

#define HANDSHAKE_PATIENCE_US (5 * US_PER_S) /* then a peer that does not answer is unreachable */
#define FAR_LOOKED_AT 8u		     /* for a hint: it is looked for again and again */

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
	if (!t->bridge->guard.packet)
		return verdict_set(
			v, TUNNEL_DOWN, REASON_PORT,
			"cannot listen for probes on %s, so it stays closed; the log says why",
			t->bridge->name);
	return false;
}

static bool judge_session(const struct tunnel *t, struct verdict *v)
{
	struct session_info info;
	uint64_t now_us = daemon_now_us(t->daemon);

	session_get_info(t->peer->session, &info);
	/* A tunnel that carried itself has no session either: the cause is worth more. */
	if (info.state == SESSION_UP || t->block.reason == REASON_RECURSION)
		return false;
	if (!t->peer->cfg->host && info.state == SESSION_DOWN)
		return verdict_set(v, TUNNEL_DOWN, REASON_NO_PEER, "peer %s: %s", t->peer->name,
				   info.detail);
	if (!*info.detail)
		return verdict_set(v, TUNNEL_HANDSHAKE, REASON_NONE, "calling peer %s",
				   t->peer->name);
	if (info.called_us && now_us - info.called_us < HANDSHAKE_PATIENCE_US &&
	    now_us - info.since_us >= HANDSHAKE_PATIENCE_US)
		return verdict_set(
			v, TUNNEL_DOWN, REASON_ONE_WAY,
			"peer %s calls us and does not hear our answers: packets pass in "
			"one direction only, or its preshared key is another one",
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

static bool judge_mode(const struct tunnel *t, struct verdict *v)
{
	const struct segment *far = tunnel_far(t);

	if (!far || tunnel_same_mode(t, far))
		return false;
	return verdict_set(
		v, TUNNEL_DOWN, REASON_REMOTE,
		"mode is %s here and %s at peer %s: both ends need the same; change mode "
		"of all tunnels in bridge %s there or of those in %s here (%s:%u)",
		t->cfg->mesh ? "mesh" : "tree", far->mesh ? "mesh" : "tree", t->peer->name,
		far->bridge, t->bridge->name, t->cfg->src.file, t->cfg->src.line);
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
	if (n == 0 && daemon_now_us(t->daemon) - info.since_us < HANDSHAKE_PATIENCE_US)
		return verdict_set(v, TUNNEL_HANDSHAKE, REASON_REMOTE,
				   "peer %s has told of no tunnels with us yet", t->peer->name);
	if (!far)
		return judge_no_far(t, v);
	return verdict_set(v, TUNNEL_DOWN, REASON_REMOTE,
			   "the other end is not ready: its bridge %s is missing, or its tunnel is "
			   "switched off or blocked; see `bridgectl status` there",
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
	bool starting = t->state < TUNNEL_STANDBY &&
			daemon_now_us(t->daemon) - t->since_us < HANDSHAKE_PATIENCE_US;

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

/* Something in this broadcast domain makes a loop with us. */
static bool judge_block(const struct tunnel *t, struct verdict *v)
{
	const struct block *b = &t->block;

	if (b->latched)
		return verdict_set(
			v, TUNNEL_LATCHED, b->reason,
			"%s; blocked %d times in half an hour: find the loop, then `bridgectl "
			"tunnel clear %s`",
			t->block_detail, BLOCK_LATCH, t->name);
	if (b->reason == REASON_NONE)
		return false;
	return verdict_set(v, TUNNEL_BLOCKED, b->reason, "%s", t->block_detail);
}

/* Listening for a foreign path before anything may pass. */
static bool judge_prepare(const struct tunnel *t, struct verdict *v)
{
	if (t->prepared)
		return false;
	return verdict_set(v, TUNNEL_PREPARE, REASON_NONE, "%s",
			   "listening whether the two bridges are joined already");
}

void verdict_of(const struct tunnel *t, struct verdict *ret)
{
	static bool (*const judges[])(const struct tunnel *t, struct verdict *v) = {
		judge_local, judge_session, judge_block, judge_mode,
		judge_far,   judge_prepare, judge_gate,
	};

	for (size_t i = 0; i < ARRAY_SIZE(judges); i++) {
		if (judges[i](t, ret))
			return;
	}
}
