/*
 * The loop on libevent. Two things are not left to it:
 *
 * - Timers. libevent counts CLOCK_MONOTONIC, which stands still while the machine sleeps; leases
 *   must run out meanwhile. Here one timerfd on CLOCK_BOOTTIME serves a list sorted by
 *   deadline. It is armed for the first deadline or earlier: moving a deadline back costs
 *   no system call, only one idle wake-up.
 * - The moment of an answer. evdns answers names from the hosts file inside the call; ours
 *   always come from the loop.
 *
 * A resolver is one reading of resolv.conf and hosts. When a file changes the next query makes
 * a new resolver, and the old one goes with its last query.
 */
#include "l2tund/kernel/loop.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

#include "common/log.h"
#include "common/util.h"

#define QUERY_TIMEOUT_US (10 * US_PER_S)
#define FIRST_TURNS 4	/* of those who are first, before all others get one */
#define DRAIN_ROUNDS 16 /* turns given to cancelled queries when the loop ends */

/* libevent's priorities; those who do not say get the middle one, which is REST. */
enum { PRIORITY_FIRST, PRIORITY_REST, PRIORITIES };

struct loop_timer {
	TAILQ_ENTRY(loop_timer) link; /* in loop->timers while armed */
	struct loop *loop;
	uint64_t deadline_us; /* NEVER: not armed */
	void (*fn)(void *arg);
	void *arg;
};

struct loop_fd {
	struct loop *loop;
	struct event *read, *write;
	unsigned want;
	bool first;
	bool waits; /* for one turn, like all others */
	void (*fn)(void *arg, unsigned what);
	void *arg;
};

struct loop_signal {
	struct loop *loop;
	struct event *event;
	void (*fn)(void *arg, int signo);
	void *arg;
};

/* What tells one version of a file from the next; all zero: missing. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

/* Owned by its queries' calls and, while it is the newest, by the loop; freed by the reaper. */
struct resolver {
	SLIST_ENTRY(resolver) link; /* in loop->retired */
	struct evdns_base *dns;
	unsigned refs;
	struct stamp resolv_conf, hosts;
};

/* What evdns holds of us; outlives a cancelled query until evdns lets go. */
struct dns_call {
	struct loop *loop;
	struct resolver *resolver;
	struct loop_query *query; /* NULL: cancelled */
};

/* Owned by the loop's list, freed before its callback runs. */
struct loop_query {
	TAILQ_ENTRY(loop_query) link;
	struct loop *loop;
	uint16_t port;
	void (*fn)(void *arg, const struct addr *addrs, unsigned n, const char *error);
	void *arg;

	struct loop_timer *timer; /* for the answer, or for giving up */
	struct evdns_getaddrinfo_request *request;
	struct dns_call *call;
	struct addr addrs[LOOP_ADDRS_MAX];
	unsigned n;
	char error[96];
};

struct loop {
	struct event_base *base;
	bool running;
	void (*begin)(void *arg); /* around each callback, or NULL */
	void (*end)(void *arg);
	void *turn_arg;
	unsigned firsts;  /* turns in a row of those who are first */
	bool timers_wait; /* for one turn, like all others */
	char *resolv_conf;
	char *hosts;

	int timer_fd;
	struct event *timer_event;
	uint64_t armed_us;  /* when the timerfd fires */
	uint64_t firing_us; /* while callbacks of timers run: up to which deadline; else 0 */
	TAILQ_HEAD(timer_list, loop_timer) timers;

	struct resolver *resolver;	/* the newest reading, or NULL before the first query */
	SLIST_HEAD(, resolver) retired; /* without users; not freed inside a callback of evdns */
	struct loop_timer *reaper;
	unsigned calls;
	TAILQ_HEAD(, loop_query) queries;
};

uint64_t loop_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

static void turn_begin(struct loop *l)
{
	if (l->begin && l->running)
		l->begin(l->turn_arg);
}

static void turn_end(struct loop *l)
{
	if (l->end && l->running)
		l->end(l->turn_arg);
}

/*
 * Counts a turn of somebody who is served first, or not. True: he stands in line the next time,
 * once, behind all who are waiting. If he were always ready, there would be nobody else,
 * and for that a stranger's datagrams do.
 */
static bool count_turn(struct loop *l, bool first)
{
	l->firsts = first ? l->firsts + 1 : 0;
	return l->firsts >= FIRST_TURNS;
}

/* timers */

static void timer_arm(struct loop *l)
{
	struct loop_timer *first = TAILQ_FIRST(&l->timers);
	struct itimerspec its = { 0 };

	if (!first || first->deadline_us >= l->armed_us)
		return;
	its.it_value.tv_sec = (time_t)(first->deadline_us / US_PER_S);
	its.it_value.tv_nsec = (long)(first->deadline_us % US_PER_S * 1000);
	if (!first->deadline_us)
		its.it_value.tv_nsec = 1; /* zero would disarm */
	l->armed_us = first->deadline_us;
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void timer_unlink(struct loop_timer *t)
{
	if (t->deadline_us != NEVER)
		TAILQ_REMOVE(&t->loop->timers, t, link);
	t->deadline_us = NEVER;
}

void loop_timer_set(struct loop_timer *t, uint64_t deadline_us)
{
	struct loop_timer *after;

	timer_unlink(t);
	if (deadline_us == NEVER)
		return;
	/* Set to the past by a timer's callback: behind all that are due, in the next turn. */
	if (t->loop->firing_us)
		deadline_us = MAX(deadline_us, t->loop->firing_us + 1);
	t->deadline_us = deadline_us;
	TAILQ_FOREACH_REVERSE(after, &t->loop->timers, timer_list, link)
	{
		if (after->deadline_us <= deadline_us)
			break;
	}
	if (after)
		TAILQ_INSERT_AFTER(&t->loop->timers, after, t, link);
	else
		TAILQ_INSERT_HEAD(&t->loop->timers, t, link);
	timer_arm(t->loop);
}

int loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg, struct loop_timer **ret)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->deadline_us = NEVER;
	*ret = t;
	return 0;
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	timer_unlink(t);
	free(t);
}

static void timers_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct loop_timer *t;
	uint64_t expirations;

	(void)what;
	if (read(fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN)
		return;
	l->timers_wait = count_turn(l, !l->timers_wait);
	event_priority_set(l->timer_event, l->timers_wait ? PRIORITY_REST : PRIORITY_FIRST);
	l->armed_us = NEVER;
	l->firing_us = loop_now_us();
	while ((t = TAILQ_FIRST(&l->timers)) && t->deadline_us <= l->firing_us) {
		timer_unlink(t);
		turn_begin(l);
		t->fn(t->arg);
		turn_end(l);
	}
	l->firing_us = 0;
	timer_arm(l);
}

static void resolvers_reap(void *arg);

static int timers_init(struct loop *l)
{
	l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd < 0)
		return -errno;
	l->timer_event = event_new(l->base, l->timer_fd, EV_READ | EV_PERSIST, timers_fired, l);
	if (!l->timer_event || event_priority_set(l->timer_event, PRIORITY_FIRST) < 0 ||
	    event_add(l->timer_event, NULL) < 0)
		return -ENOMEM;
	return loop_timer_new(l, resolvers_reap, l, &l->reaper);
}

/* descriptors and signals */

static void fd_set_priority(struct loop_fd *f)
{
	event_priority_set(f->read, f->first && !f->waits ? PRIORITY_FIRST : PRIORITY_REST);
}

static void fd_count_turn(struct loop_fd *f)
{
	bool waits = count_turn(f->loop, f->first && !f->waits);

	if (waits == f->waits)
		return;
	f->waits = waits;
	fd_set_priority(f);
}

static void fd_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *f = arg;
	struct loop *l = f->loop; /* `f` may be freed */

	(void)fd;
	fd_count_turn(f);
	turn_begin(l);
	f->fn(f->arg, what & EV_WRITE ? LOOP_WRITE : LOOP_READ);
	turn_end(l);
}

int loop_fd_want(struct loop_fd *f, unsigned what)
{
	unsigned change = f->want ^ what;
	int r = 0;

	if (change & LOOP_READ)
		r = what & LOOP_READ ? event_add(f->read, NULL) : event_del(f->read);
	if (r == 0 && change & LOOP_WRITE)
		r = what & LOOP_WRITE ? event_add(f->write, NULL) : event_del(f->write);
	if (r < 0)
		return -EIO;
	f->want = what;
	return 0;
}

int loop_fd_new(struct loop *l, int fd, void (*fn)(void *arg, unsigned what), void *arg,
		struct loop_fd **ret)
{
	struct loop_fd *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->loop = l;
	f->fn = fn;
	f->arg = arg;
	f->read = event_new(l->base, fd, EV_READ | EV_PERSIST, fd_fired, f);
	f->write = event_new(l->base, fd, EV_WRITE | EV_PERSIST, fd_fired, f);
	if (!f->read || !f->write || loop_fd_want(f, LOOP_READ) < 0) {
		loop_fd_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void loop_fd_first(struct loop_fd *f, bool first)
{
	f->first = first;
	fd_set_priority(f);
}

void loop_fd_free(struct loop_fd *f)
{
	if (!f)
		return;
	if (f->read)
		event_free(f->read);
	if (f->write)
		event_free(f->write);
	free(f);
}

static void signal_fired(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *s = arg;
	struct loop *l = s->loop;

	(void)what;
	turn_begin(l);
	s->fn(s->arg, (int)signo);
	turn_end(l);
}

int loop_signal_new(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg,
		    struct loop_signal **ret)
{
	struct loop_signal *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->event = evsignal_new(l->base, signo, signal_fired, s);
	if (!s->event || event_add(s->event, NULL) < 0) {
		loop_signal_free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void loop_signal_free(struct loop_signal *s)
{
	if (!s)
		return;
	if (s->event)
		event_free(s->event);
	free(s);
}

/* names */

static struct stamp stamp_of(const char *path)
{
	struct stamp s = { 0 };
	struct stat st;

	if (stat(path, &st) == 0) {
		s.dev = st.st_dev;
		s.ino = st.st_ino;
		s.size = st.st_size;
		s.mtime = st.st_mtim;
	}
	return s;
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static void resolvers_reap(void *arg)
{
	struct loop *l = arg;
	struct resolver *r;

	while ((r = SLIST_FIRST(&l->retired))) {
		SLIST_REMOVE_HEAD(&l->retired, link);
		evdns_base_free(r->dns, 1);
		free(r);
	}
}

static void resolver_unref(struct loop *l, struct resolver *r)
{
	if (!r || --r->refs)
		return;
	SLIST_INSERT_HEAD(&l->retired, r, link);
	loop_timer_set(l->reaper, 0);
}

static struct resolver *resolver_new(struct loop *l)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->dns = evdns_base_new(l->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!r->dns) {
		free(r);
		return NULL;
	}
	r->refs = 1;
	r->resolv_conf = stamp_of(l->resolv_conf);
	r->hosts = stamp_of(l->hosts);
	/* Ours first, so that `options` in resolv.conf have the last word. */
	evdns_base_set_option(r->dns, "timeout", "2");
	evdns_base_set_option(r->dns, "attempts", "3");
	evdns_base_set_option(r->dns, "getaddrinfo-allow-skew", "1");
	/*
	 * Peers prove who they are: guarding against forged answers is not worth the servers
	 * that it breaks.
	 */
	evdns_base_set_option(r->dns, "randomize-case", "0");
	if (evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE,
					 l->resolv_conf))
		log_info(LOG_KERNEL, "%s: no name server in it, trying 127.0.0.1", l->resolv_conf);
	if (evdns_base_load_hosts(r->dns, l->hosts) < 0)
		log_info(LOG_KERNEL, "%s: cannot be read", l->hosts);
	return r;
}

/* The files as they are now, or the last reading when there is no memory for a new one. */
static struct resolver *loop_resolver(struct loop *l)
{
	struct stamp resolv_conf = stamp_of(l->resolv_conf), hosts = stamp_of(l->hosts);
	struct resolver *r = l->resolver;

	if (r && stamp_equal(&r->resolv_conf, &resolv_conf) && stamp_equal(&r->hosts, &hosts))
		return r;
	r = resolver_new(l);
	if (!r)
		return l->resolver;
	resolver_unref(l, l->resolver);
	l->resolver = r;
	return r;
}

static void query_fail(struct loop_query *q, const char *error)
{
	q->n = 0;
	snprintf(q->error, sizeof(q->error), "%s", error);
}

static void query_take(struct loop_query *q, const struct evutil_addrinfo *list)
{
	for (const struct evutil_addrinfo *ai = list; ai && q->n < LOOP_ADDRS_MAX;
	     ai = ai->ai_next) {
		struct addr *a = &q->addrs[q->n];

		if (addr_from_sockaddr(ai->ai_addr, (socklen_t)ai->ai_addrlen, a) < 0)
			continue;
		addr_set_port(a, q->port);
		q->n++;
	}
	if (!q->n)
		query_fail(q, "no address");
}

static void query_answered(int result, struct evutil_addrinfo *list, void *arg)
{
	struct dns_call *call = arg;
	struct loop_query *q = call->query;

	if (q) {
		if (result)
			query_fail(q, evutil_gai_strerror(result));
		else
			query_take(q, list);
		q->request = NULL;
		q->call = NULL;
		loop_timer_set(q->timer, 0);
	}
	if (list)
		evutil_freeaddrinfo(list);
	call->loop->calls--;
	resolver_unref(call->loop, call->resolver);
	free(call);
}

static void query_free(struct loop_query *q)
{
	if (q->call)
		q->call->query = NULL;
	if (q->request)
		evdns_getaddrinfo_cancel(q->request);
	TAILQ_REMOVE(&q->loop->queries, q, link);
	loop_timer_free(q->timer);
	free(q);
}

static void query_due(void *arg)
{
	struct loop_query *q = arg;

	if (q->request)
		query_fail(q, "no answer from the name servers");
	struct loop_query answer = *q;
	query_free(q);
	answer.fn(answer.arg, answer.n ? answer.addrs : NULL, answer.n,
		  answer.n ? NULL : answer.error);
}

/* A port of 0 is written behind a literal only so that addr_parse() takes it. */
static bool query_literal(struct loop_query *q, const char *host)
{
	char text[ADDR_HOST_STRLEN + 8];

	snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:0" : "%s:0", host);
	if (addr_parse(text, &q->addrs[0]) < 0)
		return false;
	addr_set_port(&q->addrs[0], q->port);
	q->n = 1;
	return true;
}

static void query_ask(struct loop_query *q, const char *host)
{
	const struct evutil_addrinfo hints = {
		.ai_family = PF_UNSPEC,
		.ai_socktype = SOCK_DGRAM,
		.ai_protocol = IPPROTO_UDP,
	};
	struct resolver *r = loop_resolver(q->loop);
	struct dns_call *call = calloc(1, sizeof(*call));
	struct evdns_getaddrinfo_request *request;

	if (!r || !call) {
		query_fail(q, "out of memory");
		loop_timer_set(q->timer, 0);
		free(call);
		return;
	}
	r->refs++;
	call->loop = q->loop;
	call->resolver = r;
	call->query = q;
	q->call = call;
	q->loop->calls++;
	loop_timer_set(q->timer, loop_now_us() + QUERY_TIMEOUT_US);
	/* When it answers at once (hosts file, bad name) it gives NULL and `call` is gone. */
	request = evdns_getaddrinfo(r->dns, host, NULL, &hints, query_answered, call);
	if (q->call)
		q->request = request;
}

int loop_resolve(struct loop *l, const char *host, uint16_t port,
		 void (*fn)(void *arg, const struct addr *addrs, unsigned n, const char *error),
		 void *arg, struct loop_query **ret)
{
	struct loop_query *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->loop = l;
	q->port = port;
	q->fn = fn;
	q->arg = arg;
	if (loop_timer_new(l, query_due, q, &q->timer) < 0) {
		free(q);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&l->queries, q, link);
	if (query_literal(q, host))
		loop_timer_set(q->timer, 0);
	else
		query_ask(q, host);
	*ret = q;
	return 0;
}

void loop_resolve_cancel(struct loop_query *q)
{
	if (q)
		query_free(q);
}

/* evdns frees what a cancelled query used when the loop turns once more. */
static void resolver_fini(struct loop *l)
{
	struct loop_query *q;

	while ((q = TAILQ_FIRST(&l->queries)))
		query_free(q);
	for (unsigned i = 0; l->calls && i < DRAIN_ROUNDS; i++)
		event_base_loop(l->base, EVLOOP_NONBLOCK);
	if (l->resolver)
		resolver_unref(l, l->resolver);
	resolvers_reap(l);
	/* The same for what evdns itself deferred while it was freed. */
	event_base_loop(l->base, EVLOOP_NONBLOCK);
}

/* the loop */

static void dns_log(int is_warning, const char *text)
{
	(void)is_warning;
	log_debug(LOG_KERNEL, "name look-up: %s", text);
}

static struct event_base *base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (!cfg)
		return NULL;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	event_config_set_max_dispatch_interval(cfg, NULL, 1, PRIORITY_REST);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (base && event_base_priority_init(base, PRIORITIES) < 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

int loop_new(const struct loop_params *p, struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	evdns_set_log_fn(dns_log);
	TAILQ_INIT(&l->queries);
	SLIST_INIT(&l->retired);
	TAILQ_INIT(&l->timers);
	l->timer_fd = -1;
	l->armed_us = NEVER;
	l->base = base_new();
	l->resolv_conf = strdup(p && p->resolv_conf ? p->resolv_conf : "/etc/resolv.conf");
	l->hosts = strdup(p && p->hosts ? p->hosts : "/etc/hosts");
	r = l->base && l->resolv_conf && l->hosts ? timers_init(l) : -ENOMEM;
	if (r < 0) {
		loop_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->timer_event)
		event_free(l->timer_event);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	l->timer_fd = -1;
	if (l->base) {
		resolver_fini(l);
		event_base_free(l->base);
	}
	loop_timer_free(l->reaper);
	free(l->resolv_conf);
	free(l->hosts);
	free(l);
}

void loop_set_turn(struct loop *l, void (*begin)(void *arg), void (*end)(void *arg), void *arg)
{
	l->begin = begin;
	l->end = end;
	l->turn_arg = arg;
}

static int run(struct loop *l, int flags)
{
	int r;

	l->running = true;
	turn_end(l);
	r = event_base_loop(l->base, flags | EVLOOP_NO_EXIT_ON_EMPTY);
	turn_begin(l);
	l->running = false;
	return r < 0 ? -EIO : 0;
}

int loop_run(struct loop *l)
{
	return run(l, 0);
}

int loop_run_once(struct loop *l)
{
	return run(l, EVLOOP_ONCE);
}

void loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}
