/*
 * Follows the bridges' forwarding tables. What moves is a trigger, never a verdict: probes
 * decide. Both ways of misleading us are bounded: bursts have a distance, and reading a
 * table anew waits longer each time it is needed again.
 */
#include "l2tund/fdb_watch.h"

#include "common/log.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/tunnel.h"

#define BURST_APART_US (2 * US_PER_S) /* a burst takes one */
#define READ_WAIT_US US_PER_S
#define READ_WAIT_MAX_US (60 * US_PER_S)

/* triggers */

static void suspect(struct fdb_mirror *m)
{
	uint64_t now_us = daemon_now_us(m->bridge->daemon);

	if (m->burst_us && now_us - m->burst_us < BURST_APART_US)
		return;
	m->burst_us = now_us;
	m->bursts++;
	guard_burst(&m->bridge->guard);
}

static bool is_tunnel_port(const struct daemon *d, int ifindex)
{
	const struct tunnel *t;

	TAILQ_FOREACH(t, &d->tunnels, link) {
		if (t->port.tap && t->port.ifindex == ifindex)
			return true;
	}
	return false;
}

/* Between two tunnels says nothing to probes, which do not go through tunnels. */
static void moved(struct fdb_mirror *m, int from, int to)
{
	const struct daemon *d = m->bridge->daemon;

	if (is_tunnel_port(d, from) == is_tunnel_port(d, to))
		return;
	m->moves++;
	suspect(m);
}

/* reading */

/* The first time at once; when it is needed again and again, seldom. */
static void read_later(struct daemon *d)
{
	struct fdb_watch *w = &d->fdb_watch;
	uint64_t now_us = daemon_now_us(d);

	if (w->pending || w->blind)
		return;
	if (!w->read_us || now_us - w->read_us >= READ_WAIT_MAX_US)
		w->wait_us = 0;
	w->pending = true;
	d->os->timer_set(d->os, w->timer, now_us + w->wait_us);
	w->wait_us = MIN(MAX(2 * w->wait_us, READ_WAIT_US), READ_WAIT_MAX_US);
}

static void mirror_put(struct fdb_mirror *m, const struct os_fdb_entry *e, int *ret_from)
{
	switch (fdb_put(&m->fdb, e->mac, e->vlan, e->ifindex, e->local, ret_from)) {
	case FDB_FULL:
		m->full = true;
		m->whole = false;
		break;
	case FDB_MOVED:
		moved(m, *ret_from, e->ifindex);
		break;
	default:
		break;
	}
}

static void on_read(void *arg, const struct os_fdb_entry *e)
{
	int from;

	mirror_put(arg, e, &from);
}

static void mirror_read(struct fdb_mirror *m)
{
	struct os *os = m->bridge->daemon->os;

	m->full = false;
	fdb_begin(&m->fdb);
	if (os->fdb_dump(os, m->ifindex, on_read, m) == 0) {
		fdb_end(&m->fdb);
		m->whole = !m->full;
	}
	if (!m->whole)
		read_later(m->bridge->daemon);
}

static void on_timer(void *arg)
{
	struct daemon *d = arg;
	struct bridge *b;

	d->fdb_watch.pending = false;
	d->fdb_watch.read_us = daemon_now_us(d);
	if (d->fdb_watch.blind)
		return;
	TAILQ_FOREACH(b, &d->bridges, link) {
		if (b->mirror.ifindex && !b->mirror.whole)
			mirror_read(&b->mirror);
	}
}

/* changes */

static struct fdb_mirror *mirror_of(struct daemon *d, int ifindex)
{
	struct bridge *b;

	TAILQ_FOREACH(b, &d->bridges, link) {
		if (b->mirror.ifindex == ifindex)
			return &b->mirror;
	}
	return NULL;
}

static void on_entry(void *arg, int bridge, const struct os_fdb_entry *e, bool gone)
{
	struct daemon *d = arg;
	struct fdb_mirror *m = mirror_of(d, bridge);
	int from;

	if (!m)
		return;
	if (gone)
		fdb_drop(&m->fdb, e->mac, e->vlan);
	else
		mirror_put(m, e, &from);
	if (m->full)
		read_later(d);
}

/* More than we can follow is a sign of a loop itself. */
static void on_lost(void *arg)
{
	struct daemon *d = arg;
	struct bridge *b;

	d->fdb_watch.blind = true;
	d->fdb_watch.losses++;
	TAILQ_FOREACH(b, &d->bridges, link) {
		b->mirror.whole = false;
		if (b->mirror.ifindex)
			suspect(&b->mirror);
	}
}

static void on_again(void *arg)
{
	struct daemon *d = arg;

	d->fdb_watch.blind = false;
	read_later(d);
}

static const struct os_fdb_ops watch_ops = {
	.entry = on_entry,
	.lost = on_lost,
	.again = on_again,
};

/* following the bridge */

static bool bridge_learns(const struct bridge *b)
{
	struct os *os = b->daemon->os;
	const struct os_link *l = os->link_by_index(os, b->ifindex);

	if (!l || !l->ageing_ms)
		return false;
	for (l = os->link_next(os, NULL); l; l = os->link_next(os, l)) {
		if (l->master == b->ifindex && l->learning_off)
			return false;
	}
	return true;
}

void fdb_mirror_sync(struct fdb_mirror *m)
{
	struct bridge *b = m->bridge;

	m->learns = b->ifindex && bridge_learns(b);
	if (m->ifindex == b->ifindex)
		return;
	fdb_clear(&m->fdb);
	m->ifindex = b->ifindex;
	m->whole = false;
	if (m->ifindex && b->daemon->fdb_watch.timer && !b->daemon->fdb_watch.blind)
		mirror_read(m);
}

void fdb_mirror_init(struct fdb_mirror *m, struct bridge *b)
{
	uint64_t seed;

	*m = (struct fdb_mirror){ .bridge = b };
	b->daemon->os->random(b->daemon->os, &seed, sizeof(seed));
	fdb_init(&m->fdb, seed);
}

void fdb_mirror_fini(struct fdb_mirror *m)
{
	fdb_fini(&m->fdb);
}

/* start and end */

int fdb_watch_start(struct daemon *d)
{
	struct fdb_watch *w = &d->fdb_watch;
	int r = d->os->timer_new(d->os, on_timer, d, &w->timer);

	if (r < 0)
		return r;
	r = d->os->fdb_watch(d->os, &watch_ops, d);
	if (r == 0)
		return 0;
	log_warn(LOG_KERNEL,
		 "forwarding tables cannot be watched: %s; floods of unicast frames are not "
		 "policed, and addresses that move start no probes",
		 strerror(-r));
	d->os->timer_free(d->os, w->timer);
	w->timer = NULL;
	return 0;
}

void fdb_watch_stop(struct daemon *d)
{
	d->os->fdb_watch(d->os, NULL, NULL);
	if (d->fdb_watch.timer)
		d->os->timer_free(d->os, d->fdb_watch.timer);
	d->fdb_watch.timer = NULL;
}
