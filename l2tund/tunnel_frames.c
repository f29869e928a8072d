/*
 * Frames through one tunnel end: from the TAP to the session's stream, and back. In either
 * direction the gate comes first, then the storm guards, which look at flooded frames only.
 */
#include "l2tund/tunnel_frames.h"

#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/guard.h"
#include "l2tund/peer.h"
#include "l2tund/topology/recursion.h"

static bool tunnel_passes(struct tunnel *t, uint64_t now_us)
{
	if (gate_passes(&t->gate, session_lease_us(t->peer->session), now_us))
		return true;
	t->counters.drop_gate++;
	return false;
}

/* Whose frame it is, and which way it went, leads to the loop or to the program. */
static void storm_block(struct tunnel *t, const uint8_t *frame, bool out)
{
	const uint8_t *to = frame, *from = frame + 6, *type = frame + 12;

	tunnel_block(t, REASON_STORM,
		     "the same flooded frame came %d times within %u ms, %s%s (from %02x:%02x:%02x:"
		     "%02x:%02x:%02x to %02x:%02x:%02x:%02x:%02x:%02x, type 0x%02x%02x)",
		     STORM_REPEATS, (unsigned)(STORM_WINDOW_US / US_PER_MS),
		     out ? "out of our bridge " : "by way of peer ",
		     out ? t->bridge->name : t->peer->name, from[0], from[1], from[2], from[3],
		     from[4], from[5], to[0], to[1], to[2], to[3], to[4], to[5], type[0], type[1]);
}

/*
 * What the bridge floods multiplies in a loop: broadcast, multicast, and unicast to an address
 * that it does not know. `port` as for fdb_mirror_floods().
 */
static bool flood_passes(struct tunnel *t, struct policer *p, int port, const uint8_t *frame,
			 size_t len, uint64_t now_us)
{
	if (!fdb_mirror_floods(&t->bridge->mirror, frame, port))
		return true;
	if (recirculation_storm(&t->recirculation, frame, len, now_us)) {
		storm_block(t, frame, port != 0);
		return false;
	}
	if (policer_pass(p, now_us))
		return true;
	t->counters.drop_policer++;
	return false;
}

/* An L-probe that went through us would prove a path that is ours. */
static bool probe_stays(const uint8_t *frame, size_t len)
{
	struct probe_body body;

	return probe_is(frame, len) && (probe_parse(frame, len, &body) < 0 || body.kind == PROBE_L);
}

/*
 * A datagram of the session that carries us: never goes round. When the bridge knows that its
 * way leads through our port, the peer cannot be reached but through ourselves. One that is
 * only flooded has its way elsewhere, or will have: a host may well reach the peer through
 * the uplink of the very bridge that the tunnel joins.
 */
static bool own_stays(struct tunnel *t, const uint8_t *frame, size_t len)
{
	const struct path *path = session_path(t->peer->session);
	char to[ADDR_STRLEN];

	if (!recursion_is_own(frame, len, &path->local, &path->remote))
		return false;
	t->counters.drop_gate++;
	if (fdb_mirror_knows(&t->bridge->mirror, frame, t->port.ifindex))
		tunnel_block(t, REASON_RECURSION,
			     "the tunnel's own packets to %s would travel through bridge %s and so "
			     "through the tunnel itself: give that address a route that does not "
			     "lead over %s",
			     addr_format(&path->remote, to), t->bridge->name, t->bridge->name);
	return true;
}

static void tap_frame(void *arg, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct tunnel *t = arg;
	uint64_t now_us = daemon_now_us(t->daemon);

	if (!tunnel_passes(t, now_us) || probe_stays(frame, len) || own_stays(t, frame, len) ||
	    !flood_passes(t, &t->policer_tx, t->port.ifindex, frame, len, now_us))
		return;
	int r = stream_put(t->peer->stream, t->far_id, v, frame, len);
	if (r < 0) {
		t->counters.drop[drop_reason(r)]++;
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

const struct os_tap_ops tunnel_tap_ops = {
	.frame = tap_frame,
	.drained = tap_drained,
	.lost = tap_lost,
};

void tunnel_deliver(struct tunnel *t, const struct vnet *v, const uint8_t *frame, size_t len,
		    uint64_t now_us)
{
	struct os *os = t->daemon->os;

	if (!tunnel_passes(t, now_us) || probe_stays(frame, len) ||
	    (probe_is(frame, len) && guard_watchdog(t->daemon, &t->bridge->guard, t, frame, len)) ||
	    !flood_passes(t, &t->policer_rx, 0, frame, len, now_us))
		return;
	struct iovec whole = { (void *)(uintptr_t)frame, len };
	if (os->tap_write(os, t->port.tap, v, &whole, 1) < 0) {
		t->counters.drop[DROP_TAP]++;
		return;
	}
	t->counters.rx_frames++;
	t->counters.rx_bytes += len;
}

void tunnel_frames_init(struct tunnel *t)
{
	struct os *os = t->daemon->os;
	uint64_t seed, now_us = os->now_us(os);

	os->random(os, &seed, sizeof(seed));
	recirculation_init(&t->recirculation, seed);
	policer_init(&t->policer_tx, t->cfg->policer, now_us);
	policer_init(&t->policer_rx, t->cfg->policer, now_us);
}

void tunnel_frames_open(struct tunnel *t, uint64_t now_us)
{
	policer_open(&t->policer_tx, now_us);
	policer_open(&t->policer_rx, now_us);
}

/* Credit and early rate go on. */
void tunnel_frames_update(struct tunnel *t)
{
	t->policer_tx.rate = t->cfg->policer;
	t->policer_rx.rate = t->cfg->policer;
}
