/*
 * Between the pure session and the rest of the daemon: sends what it wants sent,
 * looks up what it wants looked up, and passes on what it tells, each to the tunnels
 * concerned.
 */
#include "l2tund/peer.h"

#include <errno.h>
#include <stdio.h>

#include "common/log.h"
#include "l2tund/daemon.h"
#include "l2tund/tunnel_frames.h"
#include "l2tund/worker.h"

#define HELLO_US (500 * US_PER_MS)
#define DEAD_US (2 * US_PER_S)
#define FAST_HELLO_US (100 * US_PER_MS)
#define FAST_DEAD_US (400 * US_PER_MS)

/* session -> wire */

/* The socket that a path belongs to; before the first answer, any of its family. */
static struct os_udp *path_socket(struct daemon *d, const struct path *path)
{
	const struct config_node *node = &d->config->node;

	if (addr_is_set(&path->local) && path->socket < node->n_listen)
		return d->sockets[path->socket];
	for (unsigned i = 0; i < node->n_listen; i++) {
		if (d->sockets[i] && node->listen[i].sa.sa_family == path->remote.sa.sa_family)
			return d->sockets[i];
	}
	return NULL;
}

static int path_send(struct daemon *d, unsigned lane, const struct path *path, const void *buf,
		     size_t len, size_t size)
{
	struct os_udp *u = path_socket(d, path);

	return u ? d->os->udp_send(d->os, u, lane, path, buf, len, size) : -EAFNOSUPPORT;
}

static int ops_send(void *arg, const struct path *path, const void *dgram, size_t len)
{
	return path_send(arg, 0, path, dgram, len, len);
}

static void ops_random(void *arg, void *buf, size_t len)
{
	struct daemon *d = arg;

	d->os->random(d->os, buf, len);
}

/* session <-> names */

static void peer_resolved(void *arg, const struct addr *addrs, unsigned n, const char *error)
{
	struct peer *p = arg;
	struct daemon *d = p->daemon;
	char text[160] = "";

	p->query = NULL;
	if (n == 0) {
		snprintf(text, sizeof(text), "cannot resolve %.80s: %s", p->cfg->host, error);
		log_info(LOG_SESSION, "peer %s: %s", p->name, text);
	}
	session_set_addresses(p->session, addrs, n, text, daemon_now_us(d));
	daemon_kick(d);
}

static void ops_resolve(void *arg, struct session *s)
{
	struct daemon *d = arg;
	struct peer *p = session_user(s);

	if (!p->cfg->host || p->query)
		return;
	int r = d->os->resolve(d->os, p->cfg->host, p->cfg->port, peer_resolved, p, &p->query);
	if (r < 0)
		log_warn(LOG_SESSION, "peer %s: cannot look up %s: %s", p->name, p->cfg->host,
			 strerror(-r));
}

/* session -> tunnels */

const char *peer_state_name(enum session_state s)
{
	static const char *const words[] = {
		[SESSION_DOWN] = "down",
		[SESSION_HANDSHAKE] = "handshake",
		[SESSION_UP] = "up",
	};
	return words[s];
}

static void peer_tell(struct peer *p)
{
	enum session_state now = session_state(p->session);
	struct session_info info;

	if (now == p->told)
		return;
	session_get_info(p->session, &info);
	events_change(p->daemon->events, "peer", p->name, peer_state_name(p->told),
		      peer_state_name(now), "", info.detail);
	p->told = now;
	p->mark_us = daemon_now_us(p->daemon);
}

static void peer_tell_moved(struct peer *p)
{
	struct session_info info;
	char to[ADDR_STRLEN];

	session_get_info(p->session, &info);
	log_notice(LOG_SESSION, "peer %s: now at %s", p->name, addr_format(&info.path.remote, to));
}

static void peer_sync_tunnels(struct peer *p)
{
	struct tunnel *t;

	TAILQ_FOREACH(t, &p->daemon->tunnels, link) {
		if (t->peer == p)
			tunnel_sync(t);
	}
}

/* Before the tunnels: what they tell of themselves goes out over it. */
static void peer_sync_adj(struct peer *p)
{
	struct session_info info;

	session_get_info(p->session, &info);
	if (info.state == SESSION_UP)
		topo_adj_up(p->adj, info.far_id, info.generation, info.rtt_us);
	else
		topo_adj_down(p->adj);
}

static void ops_event(void *arg, struct session *s, enum session_event ev)
{
	struct peer *p = session_user(s);
	struct session_info info;

	(void)arg;
	p->daemon->session_news = true;
	switch (ev) {
	case SESSION_EV_DOWN:
		stream_reset(peer_stream(p));
		/* fall through */
	case SESSION_EV_UP:
	case SESSION_EV_SEGMENTS:
	case SESSION_EV_FAR:
		peer_tell(p);
		peer_sync_adj(p);
		peer_sync_tunnels(p);
		break;
	case SESSION_EV_NOTE:
		session_get_info(s, &info);
		if (*info.detail)
			log_info(LOG_SESSION, "peer %s: %s", p->name, info.detail);
		peer_tell(p);
		peer_sync_tunnels(p);
		break;
	case SESSION_EV_MOVED:
		peer_tell_moved(p);
		break;
	case SESSION_EV_MTU:
		session_get_info(s, &info);
		log_info(LOG_SESSION, "peer %s: path MTU is %u", p->name, info.path_mtu);
		break;
	}
}

static void ops_records(void *arg, struct session *s, uint8_t *records, size_t len, uint64_t now_us)
{
	(void)arg;
	peer_input(session_user(s), 0, records, len, now_us);
}

static void ops_topology(void *arg, struct session *s, const uint8_t *msg, size_t len,
			 uint64_t now_us)
{
	struct peer *p = session_user(s);

	(void)arg;
	topo_adj_input(p->adj, msg, len, now_us); /* it counts what is malformed */
}

const struct sessions_ops peer_sessions_ops = {
	.send = ops_send,
	.random = ops_random,
	.event = ops_event,
	.records = ops_records,
	.resolve = ops_resolve,
	.topology = ops_topology,
};

/* stream <-> session, stream -> tunnel */

void peer_input(struct peer *p, unsigned lane, uint8_t *records, size_t len, uint64_t now_us)
{
	stream_input(p->lane[lane].stream, records, len, now_us);
}

static size_t stream_room(void *arg)
{
	const struct peer_lane *l = arg;

	return session_room(l->peer->session);
}

static int stream_seal(void *arg, uint8_t *dgram, size_t len)
{
	const struct peer_lane *l = arg;
	const struct path *path;

	return session_seal(l->peer->session, l->worker->lane, dgram, len, worker_now_us(l->worker),
			    &path);
}

static void peer_too_big(void *arg, void *data, size_t len)
{
	struct peer *p = arg;

	(void)len;
	session_too_big(p->session, *(const size_t *)data, daemon_now_us(p->daemon));
}

/* The frames have passed their gates when the batch began; we may have been stopped since. */
static int stream_send(void *arg, const uint8_t *buf, size_t len, size_t size)
{
	const struct peer_lane *l = arg;
	struct peer *p = l->peer;
	struct daemon *d = p->daemon;
	size_t most = MIN(len, size);

	if (daemon_now_us(d) >= session_lease_us(p->session))
		return -ETIME;
	int r = path_send(d, l->worker->lane, session_path(p->session), buf, len, size);
	if (r == -EMSGSIZE)
		worker_tell(l->worker, peer_too_big, p, &most, sizeof(most));
	return r;
}

static struct tunnel *peer_find_segment(struct peer *p, uint16_t id)
{
	struct tunnel *t = p->by_slot[id % SESSION_SEGMENTS_MAX];

	return t && t->id == id ? t : NULL;
}

static void stream_deliver(void *arg, uint16_t id, const struct vnet *v, uint8_t *frame, size_t len,
			   bool stays)
{
	const struct peer_lane *l = arg;
	struct tunnel *t = peer_find_segment(l->peer, id);

	if (t)
		tunnel_deliver(l->worker, t, v, frame, len, stays);
}

static const struct stream_ops peer_stream_ops = {
	.room = stream_room,
	.seal = stream_seal,
	.send = stream_send,
	.deliver = stream_deliver,
};

/* the object */

static bool peer_has_fast_tunnel(const struct peer *p)
{
	const struct tunnel *t;

	TAILQ_FOREACH(t, &p->daemon->tunnels, link) {
		if (t->peer == p && t->cfg->profile == PROFILE_FAST)
			return true;
	}
	return false;
}

static struct session_params peer_session_params(const struct peer *p)
{
	bool fast = peer_has_fast_tunnel(p);

	return (struct session_params){
		.public_key = p->cfg->public_key,
		.psk = p->cfg->psk,
		.modes = p->cfg->modes,
		.has_host = p->cfg->host != NULL,
		.hello_us = fast ? FAST_HELLO_US : HELLO_US,
		.dead_us = fast ? FAST_DEAD_US : DEAD_US,
	};
}

static int peer_new_lanes(struct peer *p)
{
	struct daemon *d = p->daemon;
	struct stream_options options = {
		.pack = offload_on(d->config->node.offload, OFFLOAD_PACK),
		.chunks = &p->chunks,
	};

	chunks_init(&p->chunks, d->os->lanes > 1);
	p->lane = calloc(d->os->lanes, sizeof(*p->lane));
	for (unsigned i = 0; p->lane && i < d->os->lanes; i++) {
		struct peer_lane *l = &p->lane[i];

		l->peer = p;
		l->worker = d->worker[i];
		l->stream = stream_new(&peer_stream_ops, l, &l->worker->train, &options);
		if (!l->stream)
			return -ENOMEM;
	}
	return p->lane ? 0 : -ENOMEM;
}

static void peer_free_lanes(struct peer *p)
{
	for (unsigned i = 0; p->lane && i < p->daemon->os->lanes; i++)
		stream_free(p->lane[i].stream);
	free(p->lane);
	chunks_fini(&p->chunks);
}

void peer_counters(const struct peer *p, struct stream_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < p->daemon->os->lanes; i++) {
		const struct stream_counters *c = stream_counters(p->lane[i].stream);

		for (unsigned k = 0; k < DROPS; k++)
			ret->drop[k] += c->drop[k];
		ret->drop_decode += c->drop_decode;
		ret->drop_reasm = c->drop_reasm;
		ret->tx_frames += c->tx_frames;
		ret->tx_chunked += c->tx_chunked;
		ret->rx_frames += c->rx_frames;
		ret->rx_chunked += c->rx_chunked;
	}
}

struct peer *peer_new(struct daemon *d, const struct config_peer *cfg)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->daemon = d;
	p->cfg = cfg;
	p->mark_us = daemon_now_us(d);
	snprintf(p->name, sizeof(p->name), "%s", cfg->name);
	p->adj = topo_adj_add(d->topo, p);
	if (peer_new_lanes(p) < 0 || !p->adj)
		goto fail;
	struct session_params params = peer_session_params(p);
	/* In the list before the session lives: its callbacks may look the peer up. */
	TAILQ_INSERT_TAIL(&d->peers, p, link);
	p->session = session_add(d->sessions, &params, p, p->mark_us);
	key_wipe(&params.psk);
	if (p->session)
		return p;
	TAILQ_REMOVE(&d->peers, p, link);
fail:
	if (p->adj)
		topo_adj_remove(p->adj);
	peer_free_lanes(p);
	free(p);
	return NULL;
}

static void peer_cancel_query(struct peer *p)
{
	if (p->query)
		p->daemon->os->resolve_cancel(p->daemon->os, p->query);
	p->query = NULL;
}

void peer_free(struct peer *p)
{
	worker_flush(p->daemon->worker[0]);
	p->daemon->os->lane_forget(p->daemon->os, p);
	peer_cancel_query(p);
	TAILQ_REMOVE(&p->daemon->peers, p, link);
	session_remove(p->session);
	topo_adj_remove(p->adj);
	peer_free_lanes(p);
	free(p);
}

void peer_update_timers(struct peer *p)
{
	struct session_params params = peer_session_params(p);

	session_update(p->session, &params, daemon_now_us(p->daemon));
	key_wipe(&params.psk);
}

void peer_update(struct peer *p, const struct config_peer *cfg)
{
	const char *old = p->cfg->host;
	bool moved = (old != NULL) != (cfg->host != NULL) ||
		     (old && (strcmp(old, cfg->host) != 0 || p->cfg->port != cfg->port));

	p->cfg = cfg;
	peer_update_timers(p);
	if (!moved)
		return;
	peer_cancel_query(p);
	session_set_addresses(p->session, NULL, 0, "", daemon_now_us(p->daemon));
	ops_resolve(p->daemon, p->session);
}

int peer_join(struct peer *p, struct tunnel *t)
{
	for (unsigned i = 0; i < SESSION_SEGMENTS_MAX; i++) {
		uint16_t id = p->next_id++;

		if (p->by_slot[id % SESSION_SEGMENTS_MAX])
			continue;
		t->id = id;
		p->by_slot[id % SESSION_SEGMENTS_MAX] = t;
		peer_announce(p);
		return 0;
	}
	return -E2BIG;
}

void peer_leave(struct peer *p, struct tunnel *t)
{
	worker_flush(p->daemon->worker[0]);
	p->by_slot[t->id % SESSION_SEGMENTS_MAX] = NULL;
	peer_announce(p);
}

void peer_announce(struct peer *p)
{
	p->segments_dirty = true;
	p->daemon->segments_dirty = true;
}

bool peer_flush_segments(struct peer *p)
{
	struct segment segs[SESSION_SEGMENTS_MAX];
	uint64_t now_us = daemon_now_us(p->daemon);
	unsigned n = 0;

	if (!p->segments_dirty)
		return false;
	p->segments_dirty = false;
	for (unsigned i = 0; i < SESSION_SEGMENTS_MAX; i++) {
		if (p->by_slot[i])
			tunnel_describe(p->by_slot[i], &segs[n++]);
	}
	session_set_segments(p->session, segs, n, now_us);
	/* A gate may have opened before the session had heard of its segment. */
	for (unsigned i = 0; i < SESSION_SEGMENTS_MAX; i++) {
		if (p->by_slot[i])
			session_set_open(p->session, p->by_slot[i]->id, p->by_slot[i]->gate.open,
					 now_us);
	}
	return true;
}
