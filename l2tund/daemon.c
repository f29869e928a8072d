/*
 * Puts the parts together and keeps them going. Everything that happens comes in
 * through a callback of struct os; what it changes is settled by daemon_reconcile()
 * (kernel objects) or daemon_kick() (sessions) before the loop sleeps again.
 */
#include "l2tund/daemon.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/log.h"
#include "l2tund/bridge.h"
#include "l2tund/methods.h"
#include "l2tund/peer.h"
#include "l2tund/topology/view.h"
#include "l2tund/topology_json.h"
#include "l2tund/tunnel.h"
#include "l2tund/worker.h"

#define STALE_CALLS 3
#define STALE_TELL_US (300 * US_PER_S)

/* sessions */

/* True when there was something, which the next tick sends. */
static bool peers_flush_segments(struct daemon *d)
{
	struct peer *p;
	bool any = false;

	if (!d->segments_dirty)
		return false;
	d->segments_dirty = false;
	TAILQ_FOREACH(p, &d->peers, link)
		any |= peer_flush_segments(p);
	return any;
}

static void tunnels_settle(struct daemon *d)
{
	struct tunnel *t;

	if (!d->unsettled)
		return;
	d->unsettled = false;
	TAILQ_FOREACH(t, &d->tunnels, link) {
		if (t->unsettled)
			tunnel_settle(t);
	}
}

/*
 * A new member's probes can be proven from now on, and ours by it. A wire that joins the two has to
 * be found before anything opens.
 */
static void members_heed(struct daemon *d)
{
	uint32_t joined = topo_joined(d->topo);
	struct bridge *b;

	if (joined == d->joined)
		return;
	d->joined = joined;
	TAILQ_FOREACH(b, &d->bridges, link)
		guard_burst(&b->guard);
}

/* A path that another node has found may be what blocks a tunnel of ours. */
static void foreign_heed(struct daemon *d)
{
	uint64_t foreign_us = topo_foreign_us(d->topo);

	if (foreign_us == d->foreign_us)
		return;
	d->foreign_us = foreign_us;
	daemon_reconcile_soon(d);
}

void daemon_kick(struct daemon *d)
{
	uint64_t now_us = daemon_now_us(d);
	uint64_t topo_us = topo_tick(d->topo, now_us);

	members_heed(d);
	foreign_heed(d);
	tunnels_settle(d);
	topo_us = MIN(topo_us, topology_watch(d));
	peers_flush_segments(d);
	d->session_news = false;
	d->heard = false;
	uint64_t next_us = MIN(topo_us, sessions_tick(d->sessions, now_us));

	/* The tick's events may have made lists dirty, and are news for the topology. */
	if (peers_flush_segments(d) || d->session_news)
		next_us = now_us;
	d->os->timer_set(d->os, d->session_timer, next_us);
}

static void on_session_timer(void *arg)
{
	daemon_kick(arg);
}

/* Anything but plain data, in the main thread: it has to know the time, and a kick follows. */
static void heed_datagram(struct daemon *d, const struct path *from, uint8_t *buf, size_t len)
{
	d->heard = true;
	sessions_input(d->sessions, from, buf, len, daemon_now_us(d));
}

/* A datagram that a lane has left to us; behind its path. */
static void on_posted_datagram(void *arg, void *data, size_t len)
{
	struct path from;

	memcpy(&from, data, sizeof(from));
	heed_datagram(arg, &from, (uint8_t *)data + sizeof(from), len - sizeof(from));
}

static void on_datagram(void *arg, unsigned lane, const struct path *from, uint8_t *buf, size_t len)
{
	struct daemon *d = arg;
	uint64_t now_us = worker_now_us(d->worker[lane]);
	struct session *s;
	int n = sessions_data_input(d->sessions, lane, from, buf, len, now_us, &s);
	const struct iovec all[] = { { (void *)(uintptr_t)from, sizeof(*from) }, { buf, len } };

	if (n >= 0)
		peer_input(session_user(s), lane, buf + SESSION_HEADROOM, (size_t)n, now_us);
	else if (n == -EAGAIN && lane)
		worker_post(d->worker[lane], on_posted_datagram, d, all, 2);
	else if (n == -EAGAIN)
		heed_datagram(d, from, buf, len);
}

/*
 * Somebody goes on calling under the key of a peer that has started anew since. One or two are
 * packets that were late; more are another daemon, which hears nothing and cannot know why.
 */
static void heed_stale_calls(struct daemon *d)
{
	uint64_t n = sessions_counters(d->sessions)->stale_initiations, suppressed;

	if (n < d->stale_told + STALE_CALLS ||
	    !log_limit_pass(&d->stale_limit, daemon_now_us(d), STALE_TELL_US, &suppressed))
		return;
	d->stale_told = n;
	events_change(d->events, "topology", d->config->node.name, "", "alarm", "",
		      "identity: calls under the key of a peer that was started later are refused: "
		      "an old daemon still runs somewhere, or its key was copied; stop it, or give "
		      "it a key of its own");
}

static void on_drained(void *arg, unsigned lane)
{
	struct daemon *d = arg;

	worker_flush(d->worker[lane]);
	/* Data makes no work for sessions and topology, and must not wait for theirs. */
	if (lane || !d->heard)
		return;
	heed_stale_calls(arg);
	daemon_kick(arg);
}

/* What lanes tell may concern sessions, whose data they leave to us until the next tick. */
static void on_posted(void *arg)
{
	struct daemon *d = arg;

	d->heard = true;
	on_drained(d, 0);
}

static const struct os_udp_ops udp_ops = { .datagram = on_datagram, .drained = on_drained };

/* reconciliation */

static uint64_t tunnels_next_retry(const struct daemon *d, uint64_t next_us)
{
	const struct tunnel *t;

	TAILQ_FOREACH(t, &d->tunnels, link) {
		next_us = MIN(next_us, tunnel_wake_us(t));
	}
	return next_us;
}

/* A bridge that was made anew, or has another MAC or MTU, is news for the peers. */
static void bridges_sync(struct daemon *d)
{
	struct bridge *b;
	struct tunnel *t;

	TAILQ_FOREACH(b, &d->bridges, link) {
		uint8_t mac[sizeof(b->mac)];
		unsigned mtu = b->mtu;

		memcpy(mac, b->mac, sizeof(mac));
		bridge_sync(b);
		if (mtu == b->mtu && memcmp(mac, b->mac, sizeof(mac)) == 0)
			continue;
		TAILQ_FOREACH(t, &d->tunnels, link) {
			if (t->bridge == b)
				peer_announce(t->peer);
		}
	}
}

void daemon_reconcile(struct daemon *d)
{
	struct tunnel *t;
	struct peer *p;
	uint64_t now_us = daemon_now_us(d);

	worker_flush(d->worker[0]); /* what is held belongs to ports that may go now */
	d->reconcile_again = false;
	if (!d->stopping)
		bridges_sync(d);
	TAILQ_FOREACH(p, &d->peers, link)
		stream_tick(peer_stream(p), now_us);
	TAILQ_FOREACH(t, &d->tunnels, link)
		tunnel_sync(t);
	uint64_t next_us = tunnels_next_retry(d, now_us + RECONCILE_US);
	d->os->timer_set(d->os, d->reconcile_timer, d->reconcile_again ? now_us : next_us);
	daemon_kick(d);
}

void daemon_reconcile_soon(struct daemon *d)
{
	d->reconcile_again = true;
	d->os->timer_set(d->os, d->reconcile_timer, daemon_now_us(d));
}

static void on_reconcile_timer(void *arg)
{
	daemon_reconcile(arg);
}

static void on_guard_timer(void *arg)
{
	guard_run(arg);
	daemon_kick(arg);
}

static void on_links(void *arg)
{
	daemon_reconcile(arg);
}

/* control socket */

struct control_conn {
	struct daemon *daemon;
	struct os_conn *conn;
	struct ctl_client *client;
};

static void *conn_accepted(void *arg, struct os_conn *c, const struct os_cred *cred)
{
	struct daemon *d = arg;
	struct control_conn *cc = calloc(1, sizeof(*cc));

	if (!cc)
		return NULL;
	cc->daemon = d;
	cc->conn = c;
	cc->client = ctl_client_new(d->control, cc, cred->uid, cred->pid);
	if (cc->client)
		return cc;
	free(cc);
	return NULL;
}

static void conn_input(void *conn, const char *data, size_t len)
{
	struct control_conn *cc = conn;
	struct daemon *d = cc->daemon;

	ctl_client_input(cc->client, data, len);
	daemon_kick(d);
}

static void conn_closed(void *conn)
{
	struct control_conn *cc = conn;

	ctl_client_gone(cc->client);
	free(cc);
}

static const struct os_conn_ops conn_ops = {
	.accepted = conn_accepted,
	.input = conn_input,
	.closed = conn_closed,
};

static int io_send(void *conn, const char *data, size_t len)
{
	struct control_conn *cc = conn;

	return cc->daemon->os->conn_send(cc->daemon->os, cc->conn, data, len);
}

static void io_close(void *conn)
{
	struct control_conn *cc = conn;

	cc->daemon->os->conn_close(cc->daemon->os, cc->conn);
	free(cc);
}

static const struct ctl_io control_io = { .send = io_send, .close = io_close };

static void on_event(void *arg, const json_t *event)
{
	struct daemon *d = arg;

	if (d->control)
		ctl_server_event(d->control, event);
}

/* start */

static int _printf_(3, 4) start_fail(char *err, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, DAEMON_ERRLEN, fmt, ap);
	va_end(ap);
	return r;
}

/* One address family may be switched off in the kernel; all of them may not. */
static int start_workers(struct daemon *d, char *err)
{
	d->worker = calloc(d->os->lanes, sizeof(struct worker *));
	for (unsigned i = 0; d->worker && i < d->os->lanes; i++) {
		d->worker[i] = worker_new(d, i);
		if (!d->worker[i])
			return start_fail(err, -ENOMEM, "out of memory");
	}
	d->os->lane_posted(d->os, on_posted, d);
	return d->worker ? 0 : start_fail(err, -ENOMEM, "out of memory");
}

static int start_sockets(struct daemon *d, char *err)
{
	const struct config_node *node = &d->config->node;
	unsigned opened = 0;
	char text[ADDR_STRLEN];

	d->sockets = calloc(node->n_listen, sizeof(*d->sockets));
	if (!d->sockets)
		return start_fail(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < node->n_listen; i++) {
		int r = d->os->udp_open(d->os, &node->listen[i], i, node->offload, &udp_ops, d,
					&d->sockets[i]);

		addr_format(&node->listen[i], text);
		if (r == 0)
			opened++;
		else if (r == -EAFNOSUPPORT)
			log_warn(LOG_KERNEL,
				 "listen %s: this kernel has no such address family; going on "
				 "without it",
				 text);
		else if (r == -EADDRINUSE)
			return start_fail(
				err, r,
				"listen %s: another program has this UDP port; `ss -ulpn` "
				"shows which",
				text);
		else if (r == -EADDRNOTAVAIL)
			return start_fail(err, r,
					  "listen %s: no interface of this host has this address; "
					  "correct it, or listen at 0.0.0.0 or [::]",
					  text);
		else
			return start_fail(err, r, "listen %s: %s", text, strerror(-r));
	}
	return opened ? 0 : start_fail(err, -EAFNOSUPPORT, "no listen address can be used");
}

static int start_sessions(struct daemon *d, char *err)
{
	struct sessions_params p = {
		.private_key = d->config->node.private_key,
		.incarnation = d->params.incarnation,
		.aes_mbps = d->params.aes_mbps,
		.chacha_mbps = d->params.chacha_mbps,
		.lanes = d->os->lanes,
	};

	snprintf(p.node_name, sizeof(p.node_name), "%s", d->config->node.name);
	d->sessions = sessions_new(&p, &peer_sessions_ops, d);
	key_wipe(&p.private_key);
	if (!d->sessions)
		return start_fail(err, -EINVAL, "%s: the private key cannot be used",
				  d->config->node.private_key_path);
	struct topo_params topo = { .incarnation = d->params.incarnation };
	memcpy(topo.node_id, sessions_node_id(d->sessions), sizeof(topo.node_id));
	snprintf(topo.name, sizeof(topo.name), "%s", d->config->node.name);
	d->topo = topo_new(&topo, &tunnel_topo_ops, d);
	return d->topo ? 0 : start_fail(err, -ENOMEM, "out of memory");
}

static int start_control(struct daemon *d, char *err)
{
	const struct config_node *node = &d->config->node;
	size_t n;
	const struct ctl_method *rows = methods_rows(&n);

	d->control = ctl_server_new(rows, n, d, &control_io, d->params.uid);
	if (!d->control)
		return start_fail(err, -ENOMEM, "out of memory");
	int r = d->os->listen(d->os, node->control, node->control_group, &conn_ops, d,
			      &d->listener);
	if (r == -EADDRINUSE)
		return start_fail(
			err, r,
			"control socket %s: another l2tund answers there; stop it first, or "
			"give this one a control socket of its own",
			node->control);
	if (r < 0)
		return start_fail(err, r, "control socket %s: %s", node->control, strerror(-r));
	return 0;
}

static int start_objects(struct daemon *d, char *err)
{
	const struct config *c = d->config;

	for (unsigned i = 0; i < c->n_bridges; i++) {
		if (!bridge_new(d, &c->bridges[i]))
			return start_fail(err, -ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < c->n_peers; i++) {
		if (!peer_new(d, &c->peers[i]))
			return start_fail(
				err, -EINVAL, "peer %s (%s:%u): the public key cannot be used",
				c->peers[i].name, c->peers[i].src.file, c->peers[i].src.line);
	}
	for (unsigned i = 0; i < c->n_tunnels; i++) {
		if (!tunnel_new(d, &c->tunnels[i]))
			return start_fail(err, -ENOMEM, "tunnel %s cannot be started",
					  c->tunnels[i].name);
	}
	struct peer *p;
	TAILQ_FOREACH(p, &d->peers, link)
		peer_update_timers(p);
	return 0;
}

static int start_timers(struct daemon *d, char *err)
{
	int r = d->os->timer_new(d->os, on_session_timer, d, &d->session_timer);

	if (r == 0)
		r = d->os->timer_new(d->os, on_reconcile_timer, d, &d->reconcile_timer);
	if (r == 0)
		r = d->os->timer_new(d->os, on_guard_timer, d, &d->guard_timer);
	return r == 0 ? 0 : start_fail(err, r, "timers: %s", strerror(-r));
}

static int start_links(struct daemon *d, char *err)
{
	int r = d->os->links_watch(d->os, on_links, d);

	if (r == 0)
		r = fdb_watch_start(d);
	return r == 0 ? 0 : start_fail(err, r, "rtnetlink: %s", strerror(-r));
}

int daemon_new(struct config *config, struct os *os, const struct daemon_params *p,
	       struct daemon **ret, char *err)
{
	static int (*const steps[])(struct daemon * d, char *err) = {
		start_workers, start_timers, start_sockets, start_sessions,
		start_control, start_links,  start_objects,
	};
	struct daemon *d = calloc(1, sizeof(*d));

	if (!d) {
		config_free(config);
		return start_fail(err, -ENOMEM, "out of memory");
	}
	d->config = config;
	d->os = os;
	d->params = *p;
	d->start_us = os->now_us(os);
	TAILQ_INIT(&d->bridges);
	TAILQ_INIT(&d->peers);
	TAILQ_INIT(&d->tunnels);
	d->events = events_new(on_event, d);
	int r = d->events ? 0 : start_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](d, err);
	if (r < 0) {
		daemon_free(d);
		return r;
	}
	guard_run(d);
	daemon_reconcile(d);
	*ret = d;
	return 0;
}

/* end */

void daemon_stop(struct daemon *d)
{
	struct tunnel *t;
	struct peer *p;

	d->stopping = true;
	/* Closes every gate and every TAP. The peers hear one thing only: the farewell. */
	TAILQ_FOREACH(t, &d->tunnels, link)
		tunnel_sync(t);
	TAILQ_FOREACH(p, &d->peers, link)
		session_close(p->session, daemon_now_us(d));
}

static void free_sockets(struct daemon *d)
{
	for (unsigned i = 0; d->sockets && i < d->config->node.n_listen; i++) {
		if (d->sockets[i])
			d->os->udp_close(d->os, d->sockets[i]);
	}
	free(d->sockets);
}

static void free_workers(struct daemon *d)
{
	for (unsigned i = 0; d->worker && i < d->os->lanes; i++)
		worker_free(d->worker[i]);
	free(d->worker);
}

static void free_objects(struct daemon *d)
{
	struct tunnel *t;
	struct peer *p;
	struct bridge *b;

	while ((t = TAILQ_FIRST(&d->tunnels)))
		tunnel_free(t);
	while ((p = TAILQ_FIRST(&d->peers)))
		peer_free(p);
	while ((b = TAILQ_FIRST(&d->bridges)))
		bridge_free(b);
}

void daemon_free(struct daemon *d)
{
	if (!d)
		return;
	d->os->lane_posted(d->os, NULL, NULL);
	d->os->lane_forget(d->os, d);
	d->os->links_watch(d->os, NULL, NULL);
	fdb_watch_stop(d);
	if (d->listener)
		d->os->listener_close(d->os, d->listener);
	if (d->control)
		ctl_server_free(d->control);
	d->control = NULL;
	free_objects(d);
	free_workers(d);
	topo_free(d->topo);
	if (d->sessions)
		sessions_free(d->sessions);
	free_sockets(d);
	if (d->session_timer)
		d->os->timer_free(d->os, d->session_timer);
	if (d->reconcile_timer)
		d->os->timer_free(d->os, d->reconcile_timer);
	if (d->guard_timer)
		d->os->timer_free(d->os, d->guard_timer);
	events_free(d->events);
	config_free(d->config);
	free(d);
}

/* look-up */

struct tunnel *daemon_find_tunnel(struct daemon *d, const char *name)
{
	struct tunnel *t;

	TAILQ_FOREACH(t, &d->tunnels, link) {
		if (strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

struct peer *daemon_find_peer(struct daemon *d, const char *name)
{
	struct peer *p;

	TAILQ_FOREACH(p, &d->peers, link) {
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

struct peer *daemon_find_node(const struct daemon *d, const uint8_t node[NODE_ID_BYTES])
{
	struct peer *p, *found = NULL;

	TAILQ_FOREACH(p, &d->peers, link) {
		if (memcmp(session_far_id(p->session), node, NODE_ID_BYTES) != 0)
			continue;
		if (session_state(p->session) == SESSION_UP)
			return p;
		if (!found)
			found = p;
	}
	return found;
}

struct bridge *daemon_find_bridge(struct daemon *d, const char *name)
{
	struct bridge *b;

	TAILQ_FOREACH(b, &d->bridges, link) {
		if (strcmp(b->name, name) == 0)
			return b;
	}
	return NULL;
}

struct tunnel *daemon_find_tap(struct daemon *d, const char *ifname)
{
	struct tunnel *t;

	TAILQ_FOREACH(t, &d->tunnels, link) {
		if (strcmp(t->port.name, ifname) == 0)
			return t;
	}
	return NULL;
}
