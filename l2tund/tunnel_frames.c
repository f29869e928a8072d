/*
 * Frames through one tunnel end: from the TAP to the session's stream, and back. In either
 * direction the gate comes first, then the storm guards, which look at flooded frames only.
 * Then a frame may be held until the end of its batch, to be joined with others of its flow; the
 * gate is asked again when it leaves, and the lease held against the clock.
 * Lanes do all of this side by side. What one of them finds out it may not act upon: it closes the
 * gate, and tells the main thread.
 */
#include "l2tund/tunnel_frames.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/datapath/headers.h"
#include "l2tund/guard.h"
#include "l2tund/peer.h"
#include "l2tund/topology/recursion.h"
#include "l2tund/worker.h"

/* What is left of the wanted switches: the kernel may refuse some, now or later. */
static void tunnel_frames_probe(struct tunnel *t)
{
	struct os *os = t->daemon->os;
	struct offloads active = { .active = t->daemon->config->node.offload };

	if (t->port.tap)
		os->tap_offloads(os, t->port.tap, &active);
	t->offload = active.active;
}

static struct tunnel_counters *counters(const struct worker *w, const struct tunnel *t)
{
	return &t->counters[w->lane];
}

/* `n` frames. */
static bool tunnel_passes(struct worker *w, struct tunnel *t, unsigned n, uint64_t now_us)
{
	if (gate_passes(&t->gate, session_lease_us(t->peer->session), now_us))
		return true;
	counters(w, t)->drop_gate += n;
	return false;
}

/* What a lane tells of a loop. */
struct evidence {
	enum tunnel_reason reason;
	char text[256];
};

static void evidence_heed(void *arg, void *data, size_t len)
{
	const struct evidence *e = data;

	(void)len;
	tunnel_block(arg, e->reason, "%s", e->text);
}

/* This alone cuts; who else is concerned, and what follows, is for the main thread. */
static _printf_(4, 5) void tunnel_evidence(struct worker *w, struct tunnel *t,
					   enum tunnel_reason reason, const char *fmt, ...)
{
	struct evidence e = { .reason = reason };
	va_list ap;

	t->gate.open = false;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	worker_tell(w, evidence_heed, t, &e, sizeof(e));
}

/* Whose frame it is, and which way it went, leads to the loop or to the program. */
static void storm_block(struct worker *w, struct tunnel *t, const uint8_t *frame, bool out)
{
	const uint8_t *to = frame, *from = frame + 6, *type = frame + 12;

	tunnel_evidence(
		w, t, REASON_STORM,
		"the same flooded frame came %d times within %u ms, %s%s (from %02x:%02x:%02x:"
		"%02x:%02x:%02x to %02x:%02x:%02x:%02x:%02x:%02x, type 0x%02x%02x)",
		STORM_REPEATS, (unsigned)(STORM_WINDOW_US / US_PER_MS),
		out ? "out of our bridge " : "by way of peer ",
		out ? t->bridge->name : t->peer->name, from[0], from[1], from[2], from[3], from[4],
		from[5], to[0], to[1], to[2], to[3], to[4], to[5], type[0], type[1]);
}

/* How many frames it is, or will be. */
static uint64_t frames_of(const struct vnet *v, size_t len)
{
	return v->gso ? (len - v->csum_start + v->gso_size - 1) / v->gso_size : 1;
}

/*
 * What the bridge floods multiplies in a loop: broadcast, multicast, and unicast to an address
 * that it does not know. `port` as for fdb_mirror_floods().
 */
static bool flood_passes(struct worker *w, struct tunnel *t, struct policer *p, int port,
			 const struct vnet *v, const uint8_t *frame, size_t len, uint64_t now_us)
{
	struct tunnel_floods *f = &t->floods;
	bool several = w->daemon->os->lanes > 1, storm, passes;

	if (several)
		pthread_mutex_lock(&f->lock);
	storm = recirculation_storm(&f->recirculation, frame, len, now_us);
	passes = !storm && policer_pass_many(p, frames_of(v, len), now_us);
	if (several)
		pthread_mutex_unlock(&f->lock);
	if (storm)
		storm_block(w, t, frame, port != 0);
	else if (!passes)
		counters(w, t)->drop_policer++;
	return passes;
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
static bool own_stays(struct worker *w, struct tunnel *t, const uint8_t *frame, size_t len)
{
	const struct path *path = session_path(t->peer->session);
	char to[ADDR_STRLEN];

	if (!recursion_is_own(frame, len, &path->local, &path->remote))
		return false;
	counters(w, t)->drop_gate++;
	if (fdb_mirror_knows(&t->bridge->mirror, frame, t->port.ifindex))
		tunnel_evidence(
			w, t, REASON_RECURSION,
			"the tunnel's own packets to %s would travel through bridge %s and so "
			"through the tunnel itself: give that address a route that does not "
			"lead over %s",
			addr_format(&path->remote, to), t->bridge->name, t->bridge->name);
	return true;
}

void tunnel_out(void *arg, void *owner, const struct vnet *v, const struct iovec *iov, unsigned n,
		size_t len)
{
	struct worker *w = arg;
	struct tunnel *t = owner;
	struct parts parts = { iov, n, len };

	if (!tunnel_passes(w, t, n, worker_now_us(w)))
		return;
	int r = stream_put(t->peer->lane[w->lane].stream, t->far_id, v, &parts);
	if (r < 0) {
		counters(w, t)->drop[drop_reason(r)] += n;
		return;
	}
	counters(w, t)->tx_frames += n;
	counters(w, t)->tx_bytes += len;
}

static void tap_frame(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct tunnel *t = arg;
	struct worker *w = t->daemon->worker[lane];
	uint64_t now_us = worker_now_us(w);

	if (!tunnel_passes(w, t, 1, now_us) || probe_stays(frame, len) ||
	    own_stays(w, t, frame, len))
		return;
	if (fdb_mirror_floods(&t->bridge->mirror, frame, t->port.ifindex) &&
	    !flood_passes(w, t, &t->floods.tx, t->port.ifindex, v, frame, len, now_us))
		return;
	if (offload_on(t->offload, OFFLOAD_COALESCE))
		join_put(w->out_join, t, v, frame, len);
	else
		tunnel_out(w, t, v, &(struct iovec){ frame, len }, 1, len);
}

static void tap_drained(void *arg, unsigned lane)
{
	struct tunnel *t = arg;

	worker_flush(t->daemon->worker[lane]);
}

static void tap_lost(void *arg, int err)
{
	struct tunnel *t = arg;
	struct os *os = t->daemon->os;

	(void)err;
	worker_flush(t->daemon->worker[0]);
	t->gate.open = false;
	port_lost(&t->port, os->now_us(os));
	daemon_reconcile(t->daemon);
}

const struct os_tap_ops tunnel_tap_ops = {
	.frame = tap_frame,
	.drained = tap_drained,
	.lost = tap_lost,
};

/* The kernel takes no such super-frame: in pieces, each as large as the bridge may have. */
static int write_pieces(struct worker *w, struct tunnel *t, const struct vnet *v,
			const struct parts *p)
{
	struct os *os = t->daemon->os;
	uint8_t buf[SESSION_DGRAM_MAX];
	struct cut c;
	struct vnet piece;
	size_t len;
	int r = cut_init(&c, v, p, sizeof(buf));

	while (r == 0 && (len = cut_size(&c)) > 0) {
		cut_next(&c, buf, &piece);
		r = os->tap_write(os, t->port.tap, w->lane, &piece, &(struct iovec){ buf, len }, 1);
	}
	return r;
}

/* Whether super-frames like this one are written, as far as we know. */
static bool takes(const struct tunnel *t, const struct vnet *v)
{
	return offload_on(t->offload, OFFLOAD_JOIN) &&
	       (v->gso != VNET_GSO_UDP || offload_on(t->offload, OFFLOAD_USO));
}

static void offload_changed(void *arg, void *data, size_t len)
{
	(void)data;
	(void)len;
	tunnel_frames_probe(arg);
}

void tunnel_in(void *arg, void *owner, const struct vnet *v, const struct iovec *iov, unsigned n,
	       size_t len)
{
	struct worker *w = arg;
	struct tunnel *t = owner;
	struct os *os = t->daemon->os;

	if (!tunnel_passes(w, t, n, daemon_now_us(w->daemon)))
		return;
	int r = os->tap_write(os, t->port.tap, w->lane, v, iov, n);
	if (r == -EOPNOTSUPP && v->gso) {
		if (takes(t, v)) /* it is news; the peer may send such without end */
			worker_tell(w, offload_changed, t, NULL, 0);
		r = write_pieces(w, t, v, &(struct parts){ iov, n, len });
	}
	if (r < 0) {
		counters(w, t)->drop[DROP_TAP] += n;
		return;
	}
	counters(w, t)->rx_frames += n;
	counters(w, t)->rx_bytes += len;
}

/* Where the kernel takes no UDP super-frames, joining would be in vain. */
static bool may_join(const struct tunnel *t, const struct vnet *v)
{
	if (!offload_on(t->offload, OFFLOAD_JOIN))
		return false;
	return offload_on(t->offload, OFFLOAD_USO) || v->csum_offset != UDP_CSUM;
}

/* A lane has left to us what may be a watchdog frame of our own. */
static void watchdog_deliver(void *arg, void *data, size_t len)
{
	struct tunnel *t = arg;

	tunnel_deliver(t->daemon->worker[0], t, &(struct vnet){ 0 }, data, len, false);
}

/* True: it has found its end. */
static bool watchdog_ends(struct worker *w, struct tunnel *t, uint8_t *frame, size_t len)
{
	if (!probe_is(frame, len) || !guard_is_own(t->daemon, frame, len))
		return false;
	if (!w->lane)
		return guard_watchdog(t->daemon, &t->bridge->guard, t, frame, len);
	worker_tell(w, watchdog_deliver, t, frame, MIN(len, PROBE_FRAME_BYTES));
	return true;
}

void tunnel_deliver(struct worker *w, struct tunnel *t, const struct vnet *v, uint8_t *frame,
		    size_t len, bool stays)
{
	uint64_t now_us = worker_now_us(w);

	if (!tunnel_passes(w, t, 1, now_us) || probe_stays(frame, len) ||
	    watchdog_ends(w, t, frame, len))
		return;
	bool floods = fdb_mirror_floods(&t->bridge->mirror, frame, 0);
	if (floods && !flood_passes(w, t, &t->floods.rx, 0, v, frame, len, now_us))
		return;
	if (stays && !floods && may_join(t, v)) {
		join_put(w->in_join, t, v, frame, len);
		return;
	}
	if (!stays) /* no frame of a flow overtakes another */
		join_flush(w->in_join);
	tunnel_in(w, t, v, &(struct iovec){ frame, len }, 1, len);
}

int tunnel_frames_init(struct tunnel *t)
{
	struct os *os = t->daemon->os;
	size_t size = os->lanes * sizeof(*t->counters);
	uint64_t seed, now_us = os->now_us(os);

	t->counters = aligned_alloc(64, size);
	if (!t->counters)
		return -ENOMEM;
	memset(t->counters, 0, size);
	os->random(os, &seed, sizeof(seed));
	pthread_mutex_init(&t->floods.lock, NULL);
	recirculation_init(&t->floods.recirculation, seed);
	policer_init(&t->floods.tx, t->cfg->policer, now_us);
	policer_init(&t->floods.rx, t->cfg->policer, now_us);
	return 0;
}

void tunnel_frames_fini(struct tunnel *t)
{
	t->daemon->os->lane_forget(t->daemon->os, t);
	pthread_mutex_destroy(&t->floods.lock);
	free(t->counters);
}

void tunnel_counters(const struct tunnel *t, struct tunnel_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < t->daemon->os->lanes; i++) {
		const struct tunnel_counters *c = &t->counters[i];

		ret->rx_frames += c->rx_frames;
		ret->rx_bytes += c->rx_bytes;
		ret->tx_frames += c->tx_frames;
		ret->tx_bytes += c->tx_bytes;
		ret->drop_gate += c->drop_gate;
		ret->drop_policer += c->drop_policer;
		for (unsigned k = 0; k < DROPS; k++)
			ret->drop[k] += c->drop[k];
	}
}

void tunnel_frames_open(struct tunnel *t, uint64_t now_us)
{
	tunnel_frames_probe(t);
	policer_open(&t->floods.tx, now_us);
	policer_open(&t->floods.rx, now_us);
}

/* Credit and early rate go on. */
void tunnel_frames_update(struct tunnel *t)
{
	t->floods.tx.rate = t->cfg->policer;
	t->floods.rx.rate = t->cfg->policer;
}
