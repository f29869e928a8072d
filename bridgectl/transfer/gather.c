/*
 * Calling and being called. One thread accepts; each caller is a guest with a thread of its own
 * until its greeting is right, its number is taken, or its time is over. The listening
 * socket is closed as soon as all numbers are taken.
 *
 * A guest's socket has a second descriptor here: shutting that down wakes the guest's thread from
 * whatever it waits for, also in the middle of a TLS handshake.
 */
#include "bridgectl/transfer/gather.h"

#include "common/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define GUESTS_MAX 32 /* strangers among them: the next one waits in the kernel's queue */
#define GUEST_MS 10000
#define CROWD_MS 1000 /* the same when others wait for a place */
#define POLL_MS 200
#define CALL_MS 15000

struct guest {
	struct gather *gather;
	pthread_t thread;
	bool used, done; /* done: under the lock */
	int fd;		 /* of the thread */
	int spare;	 /* the same socket, ours */
	uint64_t since_ms;
};

struct gather {
	const struct wire_setup *setup;
	unsigned n;
	int fd;
	uint64_t until_ms;
	pthread_t thread;
	int wake;			 /* an eventfd */
	struct guest guests[GUESTS_MAX]; /* of the accepting thread but for `done` */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct gathered got; /* a wire without conn: not there yet */
	bool stop, over;
	struct fail last; /* what went wrong with the last guest */
};

void gathered_free(struct gathered *g, bool orderly)
{
	for (unsigned i = 0; i < WIRE_CONNECTIONS_MAX; i++)
		conn_free(g->wires[i].conn, orderly);
	*g = (struct gathered){ 0 };
}

void gathered_abort(struct gathered *g)
{
	for (unsigned i = 0; i < WIRE_CONNECTIONS_MAX; i++)
		if (g->wires[i].conn)
			conn_abort(g->wires[i].conn);
}

static struct conn *new_conn(int fd, const struct wire_setup *s, bool server, char *err)
{
	return conn_new_within(fd, s->tls ? s->key : NULL, server,
			       s->timeout_ms ? s->timeout_ms : CONN_TIMEOUT_MS, err);
}

/* --- Calling --- */

static int call_once(struct wire *ret, const char *address, unsigned number,
		     const struct wire_setup *s, struct fail *f)
{
	char err[CONN_ERRLEN] = "";
	struct conn *c;
	int fd = -1, r;

	r = conn_connect(address, CALL_MS, &fd, err);
	if (r < 0)
		return fail_set(f, FAIL_CONNECTION, "%s", err);
	c = new_conn(fd, s, false, err);
	if (!c)
		return fail_set(f, FAIL_CONNECTION, "%s", err);
	if (s->local && s->role == WIRE_TARGET) {
		r = wire_hear(ret, c, s, f);
		if (r == 0)
			r = wire_answer(ret, s, f);
	} else {
		r = wire_greet(ret, c, s, number, f);
	}
	if (r < 0) {
		conn_free(c, false);
		*ret = (struct wire){ 0 };
	}
	return r;
}

int gather_call(struct gathered *ret, const char *address, unsigned n, const struct wire_setup *s,
		struct fail *f)
{
	struct gathered g = { .n = n };

	for (unsigned i = 0; i < n; i++) {
		int r = call_once(&g.wires[i], address, i, s, f);

		if (r < 0) {
			gathered_free(&g, false);
			return r;
		}
	}
	*ret = g;
	return 0;
}

/* --- Being called --- */

/* True: this number is the guest's now. */
static bool claim(struct gather *g, const struct wire *w, struct fail *f)
{
	bool taken = true;

	pthread_mutex_lock(&g->lock);
	if (w->number < g->n && !g->got.wires[w->number].digest) {
		g->got.wires[w->number].digest = w->digest;
		taken = false;
	}
	pthread_mutex_unlock(&g->lock);
	if (taken)
		fail_set(f, FAIL_PROTOCOL, "a data connection was called for twice");
	return !taken;
}

/* Whoever waits for the next call is not needed any more. */
static void wake(struct gather *g)
{
	eventfd_write(g->wake, 1);
}

/*
 * The greeting went well, or not: then somebody else may have the number. He is done in the same
 * breath, or the last one could be hurried out with the strangers.
 */
static void claimed(struct guest *guest, const struct wire *w, bool well)
{
	struct gather *g = guest->gather;

	pthread_mutex_lock(&g->lock);
	if (well) {
		g->got.wires[w->number] = *w;
		g->got.n++;
		guest->done = true;
		if (g->got.n == g->n)
			wake(g);
	} else {
		g->got.wires[w->number].digest = NULL;
	}
	pthread_mutex_unlock(&g->lock);
}

/* The source behind a Unix socket, called by who joins it with the target: it speaks first. */
static bool greet_joined(struct guest *guest, struct conn *c, struct fail *f)
{
	struct gather *g = guest->gather;
	struct wire w = { .digest = &g->setup->digest };
	bool well;

	while (!claim(g, &w, f))
		if (++w.number >= g->n)
			return false;
	well = wire_greet(&w, c, g->setup, w.number, f) == 0;
	claimed(guest, &w, well);
	return well;
}

static bool greet_guest(struct guest *guest, struct conn *c, struct fail *f)
{
	struct gather *g = guest->gather;
	struct wire w;
	bool well;

	if (g->setup->local && g->setup->role == WIRE_SOURCE)
		return greet_joined(guest, c, f);
	if (wire_hear(&w, c, g->setup, f) < 0 || !claim(g, &w, f))
		return false;
	well = wire_answer(&w, g->setup, f) == 0;
	claimed(guest, &w, well);
	return well;
}

static void *guest_main(void *arg)
{
	struct guest *guest = arg;
	struct gather *g = guest->gather;
	struct fail f = { 0 };
	char err[CONN_ERRLEN] = "";
	struct conn *c = new_conn(guest->fd, g->setup, true, err);
	bool well = false;

	if (!c)
		fail_set(&f, FAIL_CONNECTION, "%s", err);
	else
		well = greet_guest(guest, c, &f);
	if (!well)
		conn_free(c, false);
	pthread_mutex_lock(&g->lock);
	if (!well)
		g->last = f;
	guest->done = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static void seat_guest(struct gather *g, int fd)
{
	for (struct guest *guest = g->guests; guest < g->guests + GUESTS_MAX; guest++) {
		if (guest->used)
			continue;
		*guest = (struct guest){ .gather = g,
					 .fd = fd,
					 .spare = fcntl(fd, F_DUPFD_CLOEXEC, 0),
					 .since_ms = clock_ms() };
		if (guest->spare < 0)
			break;
		guest->used = pthread_create(&guest->thread, NULL, guest_main, guest) == 0;
		if (guest->used)
			return;
		close(guest->spare);
		break;
	}
	close(fd);
}

/* Those that are done go; those that take longer, or all, are hurried. How many remain. */
static unsigned see_off(struct gather *g, bool all, unsigned patience_ms)
{
	unsigned left = 0;

	for (struct guest *guest = g->guests; guest < g->guests + GUESTS_MAX; guest++) {
		bool done;

		if (!guest->used)
			continue;
		pthread_mutex_lock(&g->lock);
		done = guest->done;
		pthread_mutex_unlock(&g->lock);
		if (!done && (all || clock_ms() - guest->since_ms > patience_ms))
			shutdown(guest->spare, SHUT_RDWR);
		if (!done && !all) {
			left++;
			continue;
		}
		pthread_join(guest->thread, NULL);
		close(guest->spare);
		guest->used = false;
	}
	return left;
}

static bool is_over(struct gather *g)
{
	bool over;

	pthread_mutex_lock(&g->lock);
	over = g->stop || g->got.n == g->n || clock_ms() >= g->until_ms;
	pthread_mutex_unlock(&g->lock);
	return over;
}

static void take_call(struct gather *g)
{
	struct timespec nap = { 0, 10000000 };
	char err[CONN_ERRLEN];
	int fd;

	if (conn_accept(g->fd, 0, &fd, err) == 0)
		seat_guest(g, fd);
	else /* he is gone, or there are no descriptors left */
		nanosleep(&nap, NULL);
}

static void *gather_main(void *arg)
{
	struct gather *g = arg;

	while (!is_over(g)) {
		bool room = see_off(g, false, GUEST_MS) < GUESTS_MAX ||
			    see_off(g, false, CROWD_MS) < GUESTS_MAX;
		struct pollfd fds[2] = { { .fd = g->wake, .events = POLLIN },
					 { .fd = room ? g->fd : -1, .events = POLLIN } };

		if (poll(fds, 2, POLL_MS) > 0 && fds[1].revents)
			take_call(g);
	}
	close(g->fd);
	see_off(g, true, 0);
	pthread_mutex_lock(&g->lock);
	g->over = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

struct gather *gather_listen(int fd, unsigned n, const struct wire_setup *s, int limit_ms)
{
	struct gather *g = calloc(1, sizeof(*g));

	if (!g) {
		close(fd);
		return NULL;
	}
	g->setup = s;
	g->n = n;
	g->fd = fd;
	g->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g->until_ms = clock_ms() + (uint64_t)limit_ms;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	if (g->wake >= 0 && pthread_create(&g->thread, NULL, gather_main, g) == 0)
		return g;
	if (g->wake >= 0)
		close(g->wake);
	close(fd);
	free(g);
	return NULL;
}

int gather_wait(struct gather *g, struct gathered *ret, struct fail *f)
{
	int r = 0;

	pthread_mutex_lock(&g->lock);
	while (!g->over)
		pthread_cond_wait(&g->changed, &g->lock);
	if (g->got.n == g->n) {
		*ret = g->got;
		g->got = (struct gathered){ 0 };
	} else if (g->stop) {
		r = fail_set(f, FAIL_STOPPED, "stopped");
	} else {
		r = fail_set(f, FAIL_CONNECTION, "%u of %u data connections came%s%s", g->got.n,
			     g->n, g->last.code ? "; the last one that did not: " : "",
			     g->last.code ? g->last.text : "");
	}
	pthread_mutex_unlock(&g->lock);
	return r;
}

void gather_stop(struct gather *g)
{
	pthread_mutex_lock(&g->lock);
	g->stop = true;
	wake(g);
	pthread_mutex_unlock(&g->lock);
}

void gather_free(struct gather *g)
{
	if (!g)
		return;
	gather_stop(g);
	pthread_join(g->thread, NULL);
	gathered_free(&g->got, false);
	close(g->wake);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
