/*
 * Probes on the wire side of the daemon. What a probe is stands in topology/probe.c, what
 * follows from one in tunnel.c; here they are sent, heard, proven, and traced to a port.
 *
 * Only what a peer's key proves is ever acted on. A probe that nobody's key fits is counted and
 * told: somebody else runs l2tund in this broadcast domain.
 */
#include "l2tund/guard.h"

#include <stdio.h>

#include "common/log.h"
#include "l2tund/announce.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/topology/lsa.h"
#include "l2tund/tunnel.h"
#include "l2tund/worker.h"

#define KEY_LIFE_US (60 * US_PER_S)
#define KEY_SETTLE_US (5 * US_PER_S) /* all members have it by then */
#define TRACE_RETRY_US (200 * US_PER_MS)
#define TRACE_AGAIN_US (10 * US_PER_S)
#define STRANGER_LOG_US (300 * US_PER_S)
#define HEED_RATE 2000	     /* probes per second: a dozen segments in burst, and 1 % of a core */
#define WATCHDOG_US US_PER_S /* the second line behind the L-probes: half as often */
#define WATCHDOG_SHIFT 16    /* a W-probe's seq: number of its tunnel above, counter below */

/* keys */

static void keys_renew(struct daemon *d, uint64_t now_us)
{
	struct guard_keys *k = &d->keys;

	if (k->made_us && now_us - k->made_us < KEY_LIFE_US)
		return;
	memcpy(k->before, k->now, sizeof(k->before));
	d->os->random(d->os, k->now, sizeof(k->now));
	if (!k->made_us)
		memcpy(k->before, k->now, sizeof(k->before));
	k->made_us = now_us;
	topo_set_probe_key(d->topo, k->now, now_us);
}

/*
 * Until all members have the newer one, both in turn: who has just started knows no other.
 * Each key signs every other of the broadcast probes too, whose numbers are multiples of four.
 */
static const uint8_t *keys_to_sign(const struct daemon *d, uint32_t seq, uint64_t now_us)
{
	bool settled = now_us - d->keys.made_us >= KEY_SETTLE_US;

	return settled || (seq ^ seq >> 2) & 1 ? d->keys.now : d->keys.before;
}

/* sending */

static int probe_make(struct daemon *d, enum probe_kind kind, const struct bridge *b, uint32_t seq,
		      uint64_t now_us, uint8_t frame[PROBE_FRAME_BYTES])
{
	struct probe_body body = {
		.kind = kind,
		.incarnation = d->params.incarnation,
		.seq = seq,
		.time_us = now_us,
	};

	memcpy(body.node, sessions_node_id(d->sessions), sizeof(body.node));
	snprintf(body.bridge, sizeof(body.bridge), "%s", b->name);
	return probe_build(&body, keys_to_sign(d, seq, now_us), frame);
}

static void send_l_probe(struct guard *g, uint64_t now_us)
{
	struct daemon *d = g->bridge->daemon;
	uint8_t frame[PROBE_FRAME_BYTES];

	if (probe_make(d, PROBE_L, g->bridge, g->seq++, now_us, frame) == 0)
		d->os->packet_send(d->os, g->packet, frame, sizeof(frame));
}

static void send_w_probe(struct tunnel *t, uint64_t now_us)
{
	struct daemon *d = t->daemon;
	uint8_t frame[PROBE_FRAME_BYTES];
	uint32_t seq = (uint32_t)t->serial << WATCHDOG_SHIFT | (t->w_seq++ & 0xffff);

	if (probe_make(d, PROBE_W, t->bridge, seq, now_us, frame) < 0)
		return;
	stream_put_frame(peer_stream(t->peer), t->far_id, &(struct vnet){ 0 }, frame,
			 sizeof(frame));
}

void guard_burst(struct guard *g)
{
	struct daemon *d = g->bridge->daemon;

	if (!g->packet)
		return;
	probe_burst(&g->schedule, daemon_now_us(d));
	d->os->timer_set(d->os, d->guard_timer, daemon_now_us(d));
}

/* hearing */

static struct guard_heard *heard_find(struct guard *g, const uint8_t node[TOPO_NODE_ID_BYTES],
				      const char *bridge)
{
	for (unsigned i = 0; i < g->n_heard; i++) {
		if (memcmp(g->heard[i].node, node, sizeof(g->heard[i].node)) == 0 &&
		    strcmp(g->heard[i].bridge, bridge) == 0)
			return &g->heard[i];
	}
	return NULL;
}

/* The topology gets the whole list; it knows what is new in it. True: that closed a loop. */
static bool heard_tell(struct guard *g)
{
	struct topo_segment segs[GUARD_HEARD_MAX];
	struct daemon *d = g->bridge->daemon;

	g->heard_changed = false;
	for (unsigned i = 0; i < g->n_heard; i++)
		segs[i] = segment_of(g->heard[i].node, g->heard[i].bridge);
	return topo_set_foreign(d->topo, g->bridge->name, segs, g->n_heard, daemon_now_us(d));
}

/*
 * A path that comes and goes must not take tunnels of other nodes up and down with it, at the
 * price of a loop each time: what closed one is believed for a hold-down, longer each time.
 */
static void heard_damp(struct guard *g, struct guard_heard *h, uint64_t now_us)
{
	block_stands(&g->damp, now_us);
	block_evidence(&g->damp, REASON_FOREIGN, true, now_us, now_us);
	h->hold_us = g->damp.hold_until_us;
}

static void heard_expire(struct guard *g, uint64_t now_us)
{
	for (unsigned i = 0; i < g->n_heard;) {
		if (now_us < guard_heard_until_us(&g->heard[i])) {
			i++;
		} else {
			g->heard[i] = g->heard[--g->n_heard];
			g->heard_changed = true;
		}
	}
}

const struct guard_heard *guard_find(struct guard *g, const uint8_t node[TOPO_NODE_ID_BYTES],
				     const char *bridge)
{
	heard_expire(g, daemon_now_us(g->bridge->daemon));
	return heard_find(g, node, bridge);
}

const struct guard_heard *guard_list(struct guard *g, unsigned *ret_n)
{
	heard_expire(g, daemon_now_us(g->bridge->daemon));
	*ret_n = g->n_heard;
	return g->heard;
}

void guard_clear(struct guard *g)
{
	block_clear(&g->damp);
	for (unsigned i = 0; i < g->n_heard; i++)
		g->heard[i].hold_us = 0;
	heard_expire(g, daemon_now_us(g->bridge->daemon));
	if (g->heard_changed)
		heard_tell(g);
}

/* The bridge has learnt the probe's source at the port where it came in. */
struct via {
	uint8_t mac[6];
	int ifindex;
};

static void via_entry(void *arg, const struct os_fdb_entry *e)
{
	struct via *v = arg;

	if (!e->local && memcmp(e->mac, v->mac, sizeof(v->mac)) == 0)
		v->ifindex = e->ifindex;
}

static void heard_trace(struct guard *g, struct guard_heard *h, const uint8_t *frame)
{
	struct os *os = g->bridge->daemon->os;
	struct via v = { 0 };

	memcpy(v.mac, frame + 6, sizeof(v.mac));
	os->fdb_dump(os, g->ifindex, via_entry, &v);
	const struct os_link *l = v.ifindex ? os->link_by_index(os, v.ifindex) : NULL;

	h->via[0] = h->owner[0] = '\0';
	h->traced = false;
	/* A tunnel carries W-probes of the same address; the next L-probe moves it back. */
	if (!l || daemon_find_tap(g->bridge->daemon, l->name))
		return;
	memcpy(h->via, l->name, sizeof(h->via));
	/* The answer may be a second old, older than the program: "nobody" is asked again, too. */
	h->traced = l->kind != OS_LINK_TUN ||
		    os->tap_owner(os, h->via, h->owner, sizeof(h->owner)) == 0;
}

/* When there are too many, the one that was silent longest makes room: a new one must be heard. */
static struct guard_heard *heard_add(struct guard *g, const struct probe_body *body,
				     uint64_t now_us)
{
	struct guard_heard *h = &g->heard[0];

	if (g->n_heard < GUARD_HEARD_MAX)
		h = &g->heard[g->n_heard++];
	else
		for (unsigned i = 1; i < g->n_heard; i++)
			h = g->heard[i].last_us < h->last_us ? &g->heard[i] : h;
	*h = (struct guard_heard){ .first_us = now_us, .last_us = now_us };
	memcpy(h->node, body->node, sizeof(h->node));
	memcpy(h->bridge, body->bridge, sizeof(h->bridge));
	return h;
}

/* Every tunnel that it concerns, before the topology may open one in another's place. */
static void heard_cut(struct guard *g)
{
	struct tunnel *t;

	TAILQ_FOREACH(t, &g->bridge->daemon->tunnels, link) {
		if (t->bridge == g->bridge)
			tunnel_heed_foreign(t);
	}
}

static void heard_take(struct guard *g, const struct probe_body *body, const uint8_t *frame)
{
	uint64_t now_us = daemon_now_us(g->bridge->daemon);
	struct guard_heard *h;

	heard_expire(g, now_us);
	h = heard_find(g, body->node, body->bridge);
	if (h) {
		h->last_us = now_us;
	} else {
		heard_add(g, body, now_us);
		/*
		 * Cut first, then ask who it was: looking into /proc takes its time. What is
		 * told comes last, so that the log names the port and its owner.
		 */
		heard_cut(g);
		bool loop = heard_tell(g);
		h = heard_find(g, body->node, body->bridge);
		if (h && loop)
			heard_damp(g, h, now_us);
	}
	/* Anew from time to time: the path may have moved. In a loop thousands of probes ask. */
	if (!h ||
	    (h->traced_us && now_us - h->traced_us < (h->traced ? TRACE_AGAIN_US : TRACE_RETRY_US)))
		return;
	h->traced_us = now_us;
	heard_trace(g, h, frame);
	heard_cut(g); /* once more, for the words */
	daemon_reconcile_soon(g->bridge->daemon);
}

static bool probe_proven(struct daemon *d, const struct probe_body *body, const uint8_t *frame,
			 size_t len)
{
	const uint8_t(*keys)[TOPO_KEY_BYTES];
	unsigned n = topo_probe_keys(d->topo, body->node, &keys);

	for (unsigned i = 0; i < n; i++) {
		if (probe_verify(frame, len, keys[i]))
			return true;
	}
	return false;
}

static void heard_stranger(struct guard *g)
{
	struct daemon *d = g->bridge->daemon;
	uint64_t suppressed;

	d->probes_unknown++;
	if (log_limit_pass(&d->probes_limit, daemon_now_us(d), STRANGER_LOG_US, &suppressed))
		log_info(LOG_TOPOLOGY,
			 "bridge %s: probes of an l2tund that is not our peer are heard; it is in "
			 "the same broadcast domain",
			 g->bridge->name);
}

static bool own_proven(const struct daemon *d, const uint8_t *frame, size_t len)
{
	return probe_verify(frame, len, d->keys.now) || probe_verify(frame, len, d->keys.before);
}

/* Another bridge of this host, or this one's reflection by a switch, which says nothing. */
static void heard_own(struct guard *g, const struct probe_body *body, const uint8_t *frame,
		      size_t len)
{
	struct daemon *d = g->bridge->daemon;

	if (strcmp(body->bridge, g->bridge->name) != 0 && own_proven(d, frame, len))
		heard_take(g, body, frame);
}

static void on_frame(void *arg, const uint8_t *frame, size_t len)
{
	struct guard *g = arg;
	struct daemon *d = g->bridge->daemon;
	struct probe_body body;

	if (!probe_is(frame, len) || !policer_pass(&g->heed, daemon_now_us(d)) ||
	    probe_parse(frame, len, &body) < 0)
		return;
	bool own = memcmp(body.node, sessions_node_id(d->sessions), sizeof(body.node)) == 0;

	if (body.kind == PROBE_W) {
		if (own)
			guard_watchdog(d, g, NULL, frame, len);
	} else if (own) {
		heard_own(g, &body, frame, len);
	} else if (probe_proven(d, &body, frame, len)) {
		heard_take(g, &body, frame);
	} else {
		heard_stranger(g);
	}
}

static const struct os_packet_ops packet_ops = { .frame = on_frame };

static struct tunnel *tunnel_by_serial(struct daemon *d, uint32_t serial)
{
	struct tunnel *t;

	TAILQ_FOREACH(t, &d->tunnels, link) {
		if (t->serial == serial)
			return t;
	}
	return NULL;
}

bool guard_is_own(const struct daemon *d, const uint8_t *frame, size_t len)
{
	struct probe_body body;

	return probe_parse(frame, len, &body) == 0 && body.kind == PROBE_W &&
	       memcmp(body.node, sessions_node_id(d->sessions), sizeof(body.node)) == 0;
}

bool guard_watchdog(struct daemon *d, struct guard *g, struct tunnel *through, const uint8_t *frame,
		    size_t len)
{
	struct probe_body body;

	if (!guard_is_own(d, frame, len) || probe_parse(frame, len, &body) < 0 ||
	    !own_proven(d, frame, len))
		return false;
	/* At another bridge of this host: a way round by the peer, but not a loop. */
	if (strcmp(body.bridge, g->bridge->name) != 0)
		return false;
	struct tunnel *sender = tunnel_by_serial(d, body.seq >> WATCHDOG_SHIFT);
	struct tunnel *t = through ? through : sender;
	if (!t)
		return false;
	/* Back by the way it went: something at the far end reflects. That loop is not ours. */
	if (through == sender)
		return true;
	/* The tunnel by which it left is closed by now, so that loop is cut: one is enough. */
	if (sender && !sender->gate.open)
		return true;
	tunnel_block(t, REASON_WATCHDOG,
		     "a watchdog frame that left through tunnel %s came back %s %s",
		     sender ? sender->name : "?", through ? "through tunnel" : "on bridge",
		     through ? through->name : g->bridge->name);
	return true;
}

/* following the bridge */

/*
 * FNV-1a over the bridge and the ports that are not ours: another set or another carrier is another
 * number.
 */
static uint64_t ports_fingerprint(struct daemon *d, int bridge)
{
	struct os *os = d->os;
	uint64_t hash = UINT64_C(14695981039346656037);

	for (const struct os_link *l = os->link_next(os, NULL); l; l = os->link_next(os, l)) {
		bool itself = l->index == bridge && l->up; /* its ports forward from then on */

		if (!itself && (l->master != bridge || daemon_find_tap(d, l->name)))
			continue;
		hash = (hash ^ (uint64_t)l->index) * UINT64_C(1099511628211);
		hash = (hash ^ l->carrier) * UINT64_C(1099511628211);
	}
	return hash;
}

static void guard_close(struct guard *g)
{
	struct os *os = g->bridge->daemon->os;

	if (g->packet)
		os->packet_close(os, g->packet);
	g->packet = NULL;
	g->ifindex = 0;
	g->n_heard = 0;
	g->ports = 0;
	heard_tell(g);
}

static void guard_open(struct guard *g, int ifindex)
{
	struct os *os = g->bridge->daemon->os;
	int r = os->packet_open(os, ifindex, PROBE_ETHERTYPE, &packet_ops, g, &g->packet);

	if (r < 0) {
		g->packet = NULL;
		if (r != g->err)
			log_warn(LOG_TOPOLOGY,
				 "bridge %s: cannot listen for probes, so its tunnels stay closed: "
				 "%s",
				 g->bridge->name, strerror(-r));
		g->err = r;
		return;
	}
	g->err = 0;
	g->ifindex = ifindex;
}

void guard_init(struct guard *g, struct bridge *b)
{
	*g = (struct guard){ .bridge = b };
	policer_init(&g->heed, HEED_RATE, daemon_now_us(b->daemon));
}

void guard_fini(struct guard *g)
{
	guard_close(g);
}

void guard_sync(struct guard *g)
{
	struct bridge *b = g->bridge;

	if (g->ifindex != b->ifindex)
		guard_close(g);
	if (!g->packet && b->ifindex)
		guard_open(g, b->ifindex);
	if (!g->packet)
		return;
	uint64_t ports = ports_fingerprint(b->daemon, b->ifindex);
	if (ports == g->ports)
		return;
	g->ports = ports;
	guard_burst(g);
	for (unsigned i = 0; i < g->n_heard; i++) /* the way they come may be another now */
		g->heard[i].traced_us = 0;
}

/* the timer */

/* Whatever is steady falls into step, so that a hundred bridges and tunnels cost one wake-up. */
static uint64_t in_step(uint64_t next_us, uint64_t now_us)
{
	uint64_t step_us = next_us / PROBE_STEADY_US * PROBE_STEADY_US;
	bool steady = next_us - now_us >= PROBE_STEADY_US;

	return steady && step_us >= now_us + PROBE_BURST_US ? step_us : next_us;
}

static uint64_t run_bridge(struct guard *g, uint64_t now_us)
{
	if (!g->packet)
		return NEVER;
	if (probe_due(&g->schedule, now_us)) {
		send_l_probe(g, now_us);
		g->schedule.next_us = in_step(g->schedule.next_us, now_us);
	}
	heard_expire(g, now_us);
	if (g->heard_changed) {
		heard_tell(g);
		daemon_reconcile_soon(g->bridge->daemon);
	}
	return g->schedule.next_us;
}

static uint64_t run_tunnel(struct tunnel *t, uint64_t now_us)
{
	/* Evidence closes the gate before the state follows; when it opens there is a burst. */
	if (t->state != TUNNEL_FORWARDING || !t->gate.open)
		return NEVER;
	if (now_us >= t->w_next_us) {
		t->w_next_us = in_step(now_us + WATCHDOG_US, now_us);
		send_w_probe(t, now_us);
	}
	if (t->announce_us && now_us >= t->announce_us) {
		t->announce_us = 0;
		announce_tunnel(t);
	}
	return t->announce_us ? MIN(t->announce_us, t->w_next_us) : t->w_next_us;
}

void guard_run(struct daemon *d)
{
	uint64_t now_us = daemon_now_us(d), next_us = NEVER;
	struct bridge *b;
	struct tunnel *t;

	keys_renew(d, now_us);
	TAILQ_FOREACH(b, &d->bridges, link)
		next_us = MIN(next_us, run_bridge(&b->guard, now_us));
	TAILQ_FOREACH(t, &d->tunnels, link)
		next_us = MIN(next_us, run_tunnel(t, now_us));
	worker_flush(d->worker[0]);
	d->os->timer_set(d->os, d->guard_timer, next_us);
}
