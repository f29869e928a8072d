/*
 * The fake kernel's heart: one list of events in order of time for all hosts, and what needs
 * nothing else: clock, randomness, timers, injected faults, queues.
 *
 * Callbacks of a host run only from here, one at a time, so "from the loop, never from inside
 * a call" holds by construction. Events of the same instant run in the order in which they
 * were made. A stalled host's events are put off to the end of its stall, in order.
 */
#include <assert.h>
#include <errno.h>

#include "tests/support/fake_private.h"

#define START_US (3600 * US_PER_S)
#define WALL_START_S UINT64_C(1760000000)
#define EVENTS_PER_INSTANT 1000000

struct os_timer {
	struct fake_host *host;
	struct fake_event ev;
	void (*fn)(void *arg);
	void *arg;
};

void fake_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake kernel: %s\n", what);
	abort();
}

/* ---- events ---- */

void event_cancel(struct fake_net *net, struct fake_event *ev)
{
	if (ev->queued)
		TAILQ_REMOVE(&net->events, ev, link);
	ev->queued = false;
}

void event_at(struct fake_net *net, struct fake_event *ev, uint64_t at_us)
{
	struct fake_event *before;

	event_cancel(net, ev);
	ev->at_us = MAX(at_us, net->now_us);
	ev->queued = true;
	TAILQ_FOREACH_REVERSE(before, &net->events, fake_events, link)
	if (before->at_us <= ev->at_us)
		break;
	if (before)
		TAILQ_INSERT_AFTER(&net->events, before, ev, link);
	else
		TAILQ_INSERT_HEAD(&net->events, ev, link);
}

void event_soon(struct fake_net *net, struct fake_event *ev)
{
	if (!ev->queued)
		event_at(net, ev, net->now_us);
}

/* Runs the next event if it is due by `deadline_us`. */
static bool run_one(struct fake_net *net, uint64_t deadline_us)
{
	struct fake_event *ev = TAILQ_FIRST(&net->events);

	if (!ev || ev->at_us > deadline_us)
		return false;
	net->now_us = ev->at_us;
	if (ev->host && net->now_us < ev->host->stalled_until_us) {
		event_at(net, ev, ev->host->stalled_until_us);
		return true;
	}
	event_cancel(net, ev);
	if (ev->host)
		links_bury(ev->host);
	ev->fn(ev);
	return true;
}

uint64_t fake_now(const struct fake_net *net)
{
	return net->now_us;
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

bool fake_run_while(struct fake_net *net, bool (*cond)(void *arg), void *arg, uint64_t limit_us)
{
	uint64_t deadline_us = net->now_us + limit_us;
	uint64_t instant_us = net->now_us;
	unsigned n = 0;

	while (cond(arg)) {
		if (!run_one(net, deadline_us)) {
			net->now_us = deadline_us;
			return !cond(arg);
		}
		if (net->now_us != instant_us)
			n = 0;
		instant_us = net->now_us;
		fake_must(++n < EVENTS_PER_INSTANT,
			  "the clock stands still: somebody works without end");
	}
	return true;
}

void fake_run_until(struct fake_net *net, uint64_t deadline_us)
{
	if (deadline_us > net->now_us)
		fake_run_while(net, always, NULL, deadline_us - net->now_us);
}

void fake_run_for(struct fake_net *net, uint64_t us)
{
	fake_run_until(net, net->now_us + us);
}

/* ---- clock, randomness, timers ---- */

static uint64_t now_us(struct os *os)
{
	return host_of(os)->net->now_us + host_of(os)->clock_us;
}

static uint64_t wall_s(struct os *os)
{
	return WALL_START_S + host_of(os)->net->now_us / US_PER_S;
}

static void random_bytes(struct os *os, void *buf, size_t len)
{
	prng_fill(&host_of(os)->prng, buf, len);
}

static void timer_fire(struct fake_event *ev)
{
	struct os_timer *t = container_of(ev, struct os_timer, ev);

	t->fn(t->arg); /* may free it */
}

static int timer_new(struct os *os, void (*fn)(void *arg), void *arg, struct os_timer **ret)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_TIMER_NEW);

	if (r < 0)
		return r;
	struct os_timer *t = calloc(1, sizeof(*t));
	fake_must(t, "no memory");
	*t = (struct os_timer){
		.host = h, .ev = { .host = h, .fn = timer_fire }, .fn = fn, .arg = arg
	};
	h->open++;
	*ret = t;
	return 0;
}

static void timer_set(struct os *os, struct os_timer *t, uint64_t deadline_us)
{
	struct fake_host *h = host_of(os);

	if (deadline_us == NEVER)
		event_cancel(h->net, &t->ev);
	else
		event_at(h->net, &t->ev, deadline_us > h->clock_us ? deadline_us - h->clock_us : 0);
}

static void timer_free(struct os *os, struct os_timer *t)
{
	event_cancel(host_of(os)->net, &t->ev);
	host_of(os)->open--;
	free(t);
}

/* ---- faults ---- */

void fake_fail(struct fake_host *h, enum fake_op op, unsigned skip, unsigned times, int err)
{
	assert(err < 0);
	h->faults[op].skip = skip;
	h->faults[op].times = times;
	h->faults[op].err = err;
}

unsigned fake_calls(const struct fake_host *h, enum fake_op op)
{
	return h->faults[op].calls;
}

void fake_offload_refuse(struct fake_host *h, enum offload o, const char *why)
{
	h->refused[o] = why;
}

void offloads_tell(const struct fake_host *h, unsigned wanted, struct offloads *ret)
{
	ret->active |= wanted;
	for (unsigned o = 0; o < OFFLOADS; o++) {
		if (h->refused[o])
			offload_refuse(ret, (enum offload)o, "%s", h->refused[o]);
	}
}

int fault_check(struct fake_host *h, enum fake_op op)
{
	struct fake_fault *f = &h->faults[op];

	f->calls++;
	if (f->times == 0)
		return 0;
	if (f->skip > 0) {
		f->skip--;
		return 0;
	}
	f->times--;
	return f->err;
}

/* ---- queues ---- */

struct fake_buf *buf_new(const void *bytes, size_t len)
{
	struct fake_buf *b = calloc(1, sizeof(*b) + len);

	fake_must(b, "no memory");
	b->len = len;
	memcpy(b->bytes, bytes, len);
	return b;
}

void queue_init(struct fake_queue *q)
{
	*q = (struct fake_queue){ .n = 0 };
	TAILQ_INIT(&q->bufs);
}

void queue_put(struct fake_queue *q, struct fake_buf *b)
{
	TAILQ_INSERT_TAIL(&q->bufs, b, link);
	q->n++;
}

struct fake_buf *queue_take(struct fake_queue *q)
{
	struct fake_buf *b = TAILQ_FIRST(&q->bufs);

	if (!b)
		return NULL;
	TAILQ_REMOVE(&q->bufs, b, link);
	q->n--;
	return b;
}

void queue_fini(struct fake_queue *q)
{
	struct fake_buf *b;

	while ((b = queue_take(q)))
		free(b);
	free(q->last);
	q->last = NULL;
}

bool queue_show(struct fake_queue *q, struct fake_frame *ret)
{
	free(q->last);
	q->last = queue_take(q);
	if (!q->last)
		return false;
	*ret = (struct fake_frame){ q->last->vnet, q->last->len, q->last->bytes };
	return true;
}

/* ---- hosts ---- */

struct fake_net *fake_net_new(uint64_t seed)
{
	struct fake_net *net = calloc(1, sizeof(*net));

	fake_must(net, "no memory");
	net->now_us = START_US;
	net->prng.state = seed;
	TAILQ_INIT(&net->events);
	for (unsigned i = 0; i < FAKE_HOSTS; i++)
		for (unsigned k = 0; k < FAKE_HOSTS; k++)
			net->paths[i][k].delay_us = 500;
	return net;
}

void fake_net_free(struct fake_net *net)
{
	for (unsigned i = 0; i < net->n_hosts; i++) {
		struct fake_host *h = net->hosts[i];

		conn_fini(h);
		frames_fini(h);
		links_fini(h);
		fdb_fini_host(h);
		udp_fini(h);
		lanes_fini(h);
	}
	struct fake_event *ev;
	while ((ev = TAILQ_FIRST(&net->events))) {
		event_cancel(net, ev);
		if (ev->discard)
			ev->discard(ev);
	}
	for (unsigned i = 0; i < net->n_hosts; i++)
		free(net->hosts[i]);
	free(net);
}

struct fake_host *fake_host_new(struct fake_net *net, const char *name)
{
	struct fake_host *h = calloc(1, sizeof(*h));

	fake_must(h && net->n_hosts < FAKE_HOSTS, "too many hosts");
	h->net = net;
	h->name = name;
	h->number = net->n_hosts;
	h->prng.state = prng_next(&net->prng);
	h->clock_us = prng_below(&net->prng, 1000000) * US_PER_S;
	h->os.priv = h;
	h->os.now_us = now_us;
	h->os.wall_s = wall_s;
	h->os.random = random_bytes;
	h->os.timer_new = timer_new;
	h->os.timer_set = timer_set;
	h->os.timer_free = timer_free;
	udp_init(h);
	links_init(h);
	fdb_init_host(h);
	frames_init(h);
	conn_init(h);
	lanes_init(h);
	net->hosts[net->n_hosts++] = h;
	return h;
}

struct os *fake_host_os(struct fake_host *h)
{
	return &h->os;
}

unsigned fake_host_open(const struct fake_host *h)
{
	return h->open;
}

void fake_host_stall(struct fake_host *h, uint64_t for_us)
{
	h->stalled_until_us = h->net->now_us + for_us;
}
