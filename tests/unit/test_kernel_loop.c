/*
 * The loop: timers on the boot clock, signals, and look-ups against a name server and
 * files of our own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/unit/kernel_support.h"

/* A loop with a name server on 127.0.0.1 that knows a few names. */
struct names {
	struct loop *loop;
	char dir[32], resolv[64], hosts[64];
	int dns;
	unsigned port;
	struct loop_fd *dns_fd;
	bool silent;
	unsigned asked;
	/* the last answer */
	bool done;
	unsigned n;
	struct addr addrs[LOOP_ADDRS_MAX];
	char error[96];
	struct loop_query *other; /* cancelled when an answer comes */
};

static void write_file(const char *path, const char *fmt, ...) _printf_(2, 3);

static void write_file(const char *path, const char *fmt, ...)
{
	FILE *f = fopen(path, "we");
	va_list ap;

	assert_non_null(f);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
}

static bool question_is(const uint8_t *q, const char *label)
{
	return q[0] == strlen(label) && memcmp(q + 1, label, q[0]) == 0;
}

/* RFC 1035 section 4: the question again, and one record or NXDOMAIN. */
static void dns_answer(struct names *t, const uint8_t *in, size_t len, const struct sockaddr *to,
		       socklen_t tolen)
{
	static const uint8_t v4[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 33 };
	static const uint8_t v6[28] = { 0xc0, 12,   0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 1,
					0xd,  0xb8, 0, 0,  0, 0, 0, 0, 0, 0,  0, 0,  0,	   0x33 };
	uint8_t out[512];
	size_t end = 12;
	bool six;

	while (end < len && in[end])
		end += in[end] + 1u;
	end += 5;
	assert_true(end <= len && end + sizeof(v6) <= sizeof(out));
	six = in[end - 3] == 28;
	memcpy(out, in, end);
	out[2] = 0x81;
	out[3] = 0x80;
	memset(out + 6, 0, 6);
	if (!question_is(in + 12, "peer")) {
		out[3] |= 3;
	} else {
		out[7] = 1;
		memcpy(out + end, six ? v6 : v4, six ? sizeof(v6) : sizeof(v4));
		end += six ? sizeof(v6) : sizeof(v4);
	}
	assert_int_equal(sendto(t->dns, out, end, 0, to, tolen), end);
}

static void dns_ready(void *arg, unsigned what)
{
	struct names *t = arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t in[512];
	ssize_t n = recvfrom(t->dns, in, sizeof(in), 0, (struct sockaddr *)&from, &len);

	(void)what;
	assert_true(n > 12);
	t->asked++;
	if (!t->silent)
		dns_answer(t, in, (size_t)n, (struct sockaddr *)&from, len);
}

static void dns_init(struct names *t)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	t->dns = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(t->dns, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(t->dns, (struct sockaddr *)&a, &len), 0);
	t->port = ntohs(a.sin_port);
	assert_int_equal(loop_fd_new(t->loop, t->dns, dns_ready, t, &t->dns_fd), 0);
}

static int setup(void **state)
{
	struct names *t = calloc(1, sizeof(*t));

	strcpy(t->dir, "/tmp/l2-loop-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->resolv, sizeof(t->resolv), "%s/resolv.conf", t->dir);
	snprintf(t->hosts, sizeof(t->hosts), "%s/hosts", t->dir);
	const struct loop_params p = { .resolv_conf = t->resolv, .hosts = t->hosts };
	assert_int_equal(loop_new(&p, &t->loop), 0);
	dns_init(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct names *t = *state;

	loop_fd_free(t->dns_fd);
	close(t->dns);
	loop_free(t->loop);
	unlink(t->resolv);
	unlink(t->hosts);
	assert_int_equal(rmdir(t->dir), 0);
	free(t);
	return 0;
}

/* names */

static void answered(void *arg, const struct addr *addrs, unsigned n, const char *error)
{
	struct names *t = arg;

	assert_false(t->done);
	assert_int_equal(error == NULL, n > 0);
	assert_in_range(n, 0, LOOP_ADDRS_MAX);
	t->done = true;
	t->n = n;
	memcpy(t->addrs, addrs ? addrs : t->addrs, n * sizeof(*addrs));
	snprintf(t->error, sizeof(t->error), "%s", error ? error : "");
	if (t->other)
		loop_resolve_cancel(t->other);
	t->other = NULL;
}

static void ask(struct names *t, const char *host)
{
	struct loop_query *q;

	t->done = false;
	assert_int_equal(loop_resolve(t->loop, host, 4655, answered, t, &q), 0);
	assert_false(t->done); /* never from inside the call */
	while (!t->done)
		loop_run_once(t->loop);
}

static void assert_has(const struct names *t, const char *text)
{
	char got[ADDR_STRLEN];

	for (unsigned i = 0; i < t->n; i++) {
		if (strcmp(addr_format(&t->addrs[i], got), text) == 0)
			return;
	}
	fail_msg("%s is not among %u addresses (%s)", text, t->n, t->error);
}

static void test_literals(void **state)
{
	struct names *t = *state;

	ask(t, "192.0.2.1");
	assert_int_equal(t->n, 1);
	assert_has(t, "192.0.2.1:4655");
	ask(t, "2001:db8::5");
	assert_int_equal(t->n, 1);
	assert_has(t, "[2001:db8::5]:4655");
	ask(t, "::ffff:192.0.2.9");
	assert_has(t, "192.0.2.9:4655");
	assert_int_equal(t->asked, 0);
}

static void test_hosts_file(void **state)
{
	struct names *t = *state;

	/* No files at all: only that name fails. */
	write_file(t->resolv, "nameserver 127.0.0.1:%u\n", t->port);
	ask(t, "alpha");
	assert_int_equal(t->n, 0);
	write_file(t->hosts, "192.0.2.10 alpha alpha.example\n2001:db8::10 alpha\n");
	ask(t, "alpha");
	assert_int_equal(t->n, 2);
	assert_has(t, "192.0.2.10:4655");
	assert_has(t, "[2001:db8::10]:4655");
	ask(t, "alpha.example");
	assert_int_equal(t->n, 1);
	/* A change is seen at the next query. */
	write_file(t->hosts, "192.0.2.123 alpha\n");
	ask(t, "alpha");
	assert_int_equal(t->n, 1);
	assert_has(t, "192.0.2.123:4655");
}

static void test_name_server(void **state)
{
	struct names *t = *state;

	write_file(t->resolv, "nameserver 127.0.0.1:%u\noptions timeout:1\n", t->port);
	ask(t, "peer.example.net");
	assert_int_equal(t->n, 2);
	assert_has(t, "192.0.2.33:4655");
	assert_has(t, "[2001:db8::33]:4655");
	assert_int_equal(t->asked, 2);
	ask(t, "nobody.example.net");
	assert_int_equal(t->n, 0);
	assert_true(strlen(t->error) > 0);
	/* The hosts file comes first. */
	write_file(t->hosts, "192.0.2.77 peer.example.net\n");
	t->asked = 0;
	ask(t, "peer.example.net");
	assert_has(t, "192.0.2.77:4655");
	assert_int_equal(t->asked, 0);
}

static void test_name_server_comes_later(void **state)
{
	struct names *t = *state;

	/* Nobody answers there. */
	write_file(t->resolv, "nameserver 127.0.0.1:9\noptions timeout:1 attempts:1\n");
	ask(t, "peer.example.net");
	assert_int_equal(t->n, 0);
	write_file(t->resolv, "search example.net\nnameserver 127.0.0.1:%u\n", t->port);
	ask(t, "peer");
	assert_has(t, "192.0.2.33:4655");
	assert_int_equal(unlink(t->resolv), 0);
	t->asked = 0;
	write_file(t->resolv, "nameserver 127.0.0.1:%u\n", t->port);
	ask(t, "peer.example.net");
	assert_true(t->asked > 0);
}

static void test_cancel(void **state)
{
	struct names *t = *state;
	struct loop_query *q[10];

	t->silent = true;
	write_file(t->resolv, "nameserver 127.0.0.1:%u\n", t->port);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		assert_int_equal(loop_resolve(t->loop, "peer.example.net", 1, answered, t, &q[i]),
				 0);
	loop_resolve_cancel(q[0]);
	while (!t->asked)
		loop_run_once(t->loop);
	for (unsigned i = 1; i < 5; i++)
		loop_resolve_cancel(q[i]);
	assert_false(t->done);
	/* The files are read again while the rest waits; one is cancelled in a callback. */
	write_file(t->hosts, "192.0.2.10 alpha\n");
	t->other = q[5];
	ask(t, "alpha");
	assert_null(t->other);
	/* A literal cancelled before its turn. */
	t->done = false;
	assert_int_equal(loop_resolve(t->loop, "192.0.2.1", 1, answered, t, &q[0]), 0);
	loop_resolve_cancel(q[0]);
	ask(t, "alpha");
	/* The others end with the loop. */
}

static void test_no_answer(void **state)
{
	struct names *t = *state;
	uint64_t start = loop_now_us();

	t->silent = true;
	write_file(t->resolv, "nameserver 127.0.0.1:%u\noptions timeout:1 attempts:1\n", t->port);
	ask(t, "peer.example.net");
	assert_int_equal(t->n, 0);
	assert_true(strlen(t->error) > 0);
	assert_true(loop_now_us() - start < 15 * US_PER_S);
	/* And it recovers. */
	t->silent = false;
	ask(t, "peer.example.net");
	assert_has(t, "192.0.2.33:4655");
}

/* timers */

struct tick {
	struct loop *loop;
	struct loop_timer *timer, *victim;
	uint64_t at_us, again_us;
	unsigned n, order;
	unsigned *next;
	bool free_self;
};

static void ticked(void *arg)
{
	struct tick *k = arg;

	k->n++;
	k->at_us = loop_now_us();
	if (k->next)
		k->order = (*k->next)++;
	if (k->victim)
		loop_timer_free(k->victim);
	k->victim = NULL;
	if (k->free_self)
		loop_timer_free(k->timer);
	else if (k->again_us)
		loop_timer_set(k->timer, k->again_us == 1 ? 0 : k->at_us + k->again_us);
}

static void tick_new(struct names *t, struct tick *k)
{
	*k = (struct tick){ .loop = t->loop };
	assert_int_equal(loop_timer_new(t->loop, ticked, k, &k->timer), 0);
}

static void test_timers(void **state)
{
	struct names *t = *state;
	struct tick k[4];
	unsigned next = 0;
	uint64_t now = loop_now_us();

	for (unsigned i = 0; i < 4; i++) {
		tick_new(t, &k[i]);
		k[i].next = &next;
	}
	loop_timer_set(k[0].timer, now + 30000);
	loop_timer_set(k[1].timer, now + 10000);
	loop_timer_set(k[2].timer, now + 20000);
	loop_timer_set(k[3].timer, now + 5000);
	/* Moved back and disarmed. */
	loop_timer_set(k[1].timer, now + 40000);
	loop_timer_set(k[3].timer, NEVER);
	while (next < 3)
		loop_run_once(t->loop);
	assert_int_equal(k[2].order, 0);
	assert_int_equal(k[0].order, 1);
	assert_int_equal(k[1].order, 2);
	assert_true(k[1].at_us >= now + 40000);
	assert_true(k[2].at_us >= now + 20000);
	assert_true(k[2].at_us < now + 20000 + US_PER_S);
	assert_int_equal(k[3].n, 0);
	for (unsigned i = 0; i < 4; i++)
		loop_timer_free(k[i].timer);
}

/* One that is always due does not keep the others, or descriptors, from their turn. */
static void test_timer_always_due(void **state)
{
	struct names *t = *state;
	struct tick busy, one;
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)t->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint8_t query[17] = { [4] = 0, [5] = 1, [14] = 1, [16] = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	tick_new(t, &busy);
	tick_new(t, &one);
	busy.again_us = 1;
	loop_timer_set(busy.timer, 0);
	loop_timer_set(one.timer, loop_now_us() + 2000);
	t->silent = true;
	assert_int_equal(sendto(fd, query, sizeof(query), 0, (struct sockaddr *)&a, sizeof(a)), 17);
	for (unsigned i = 0; i < 1000000 && (!one.n || !t->asked); i++)
		loop_run_once(t->loop);
	assert_int_equal(one.n, 1);
	assert_int_equal(t->asked, 1);
	assert_true(busy.n > 2);
	close(fd);
	loop_timer_free(busy.timer);
	loop_timer_free(one.timer);
}

static void test_timers_freed_in_callbacks(void **state)
{
	struct names *t = *state;
	struct tick a, b, c;

	tick_new(t, &a);
	tick_new(t, &b);
	tick_new(t, &c);
	a.free_self = true;
	a.victim = b.timer; /* which is due as well */
	loop_timer_set(a.timer, 0);
	loop_timer_set(b.timer, 0);
	loop_timer_set(c.timer, 1);
	while (!c.n)
		loop_run_once(t->loop);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 0);
	loop_timer_free(c.timer);
}

/* Stopped over the deadline: it comes at once when we go on. */
static void test_stopped_meanwhile(void **state)
{
	struct names *t = *state;
	struct tick k;
	uint64_t deadline, resumed;
	pid_t helper;

	tick_new(t, &k);
	deadline = loop_now_us() + 100 * US_PER_MS;
	loop_timer_set(k.timer, deadline);
	helper = fork();
	if (helper == 0) {
		kill(getppid(), SIGSTOP);
		usleep(400000);
		kill(getppid(), SIGCONT);
		_exit(0);
	}
	while (!k.n)
		loop_run_once(t->loop);
	resumed = k.at_us;
	assert_true(resumed >= deadline);
	if (resumed < deadline + 200 * US_PER_MS)
		skip(); /* the helper came too late to stop us in time */
	assert_true(resumed < deadline + 5 * US_PER_S);
	loop_timer_free(k.timer);
}

static void test_clock(void **state)
{
	struct timespec ts;
	uint64_t us;

	(void)state;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	us = (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
	assert_in_range(loop_now_us() - us, 0, US_PER_S);
}

/* signals */

static void signalled(void *arg, int signo)
{
	struct names *t = arg;

	t->asked = (unsigned)signo;
	loop_stop(t->loop);
}

static void test_signal(void **state)
{
	struct names *t = *state;
	struct loop_signal *s;

	assert_int_equal(loop_signal_new(t->loop, SIGHUP, signalled, t, &s), 0);
	raise(SIGHUP);
	assert_int_equal(loop_run(t->loop), 0);
	assert_int_equal(t->asked, SIGHUP);
	loop_signal_free(s);
}

/* What is first is served between any two of the rest, and steps back when told. */

#define PIPES 5

struct turns {
	struct pipe_end {
		struct turns *all;
		int fds[2];
		struct loop_fd *fd;
		bool first;
	} ends[PIPES];
	unsigned n;
	bool served_first[2 * PIPES];
	bool steps_back;
};

static void pipe_ready(void *arg, unsigned what)
{
	struct pipe_end *e = arg;
	struct turns *t = e->all;
	char c;

	(void)what;
	assert_in_range(t->n, 0, 2 * PIPES - 1);
	t->served_first[t->n++] = e->first;
	assert_int_equal(read(e->fds[0], &c, 1), 1);
	/* Each of the rest makes work for the first. */
	if (!e->first && t->steps_back)
		return;
	if (!e->first)
		assert_int_equal(write(t->ends[0].fds[1], "x", 1), 1);
	else if (t->steps_back)
		loop_fd_first(e->fd, false);
}

static void turns_run(struct names *x, struct turns *t, bool steps_back)
{
	memset(t, 0, sizeof(*t));
	t->steps_back = steps_back;
	for (unsigned i = 0; i < PIPES; i++) {
		struct pipe_end *e = &t->ends[i];

		e->all = t;
		e->first = i == 0;
		assert_int_equal(pipe(e->fds), 0);
		assert_int_equal(loop_fd_new(x->loop, e->fds[0], pipe_ready, e, &e->fd), 0);
		for (unsigned j = 0; j < (steps_back && e->first ? 3 : 1); j++)
			assert_int_equal(write(e->fds[1], "x", 1), 1);
	}
	loop_fd_first(t->ends[0].fd, true);
	for (unsigned i = 0; i < 2 * PIPES && t->n < (steps_back ? PIPES + 2 : 2 * PIPES - 1); i++)
		loop_run_once(x->loop);
	for (unsigned i = 0; i < PIPES; i++) {
		loop_fd_free(t->ends[i].fd);
		close(t->ends[i].fds[0]);
		close(t->ends[i].fds[1]);
	}
}

static void test_first(void **state)
{
	struct turns t;

	turns_run(*state, &t, false);
	assert_int_equal(t.n, 2 * PIPES - 1);
	for (unsigned i = 0; i < t.n; i++)
		assert_int_equal(t.served_first[i], i % 2 == 0);
	turns_run(*state, &t, true);
	assert_int_equal(t.n, PIPES + 2);
	assert_true(t.served_first[0]);
	/* Its second time comes when the others have had their turn, or some of them. */
	assert_false(t.served_first[1]);
}

/* Who is first and always ready leaves turns to the rest; so do two of them. */

struct greedy {
	struct loop *loop;
	struct loop_fd *fd[3];
	unsigned first, rest;
};

static void greedy_count(struct greedy *g, unsigned *n)
{
	++*n;
	if (g->first + g->rest == 1000)
		loop_stop(g->loop);
}

static void greedy_first(void *arg, unsigned what)
{
	struct greedy *g = arg;

	(void)what;
	greedy_count(g, &g->first);
}

static void greedy_rest(void *arg, unsigned what)
{
	struct greedy *g = arg;

	(void)what;
	greedy_count(g, &g->rest);
}

static void test_first_is_not_the_only_one(void **state)
{
	struct names *x = *state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1); /* never read */
	for (unsigned n = 1; n <= 2; n++) {
		struct greedy g = { .loop = x->loop };
		int copy[3];

		for (unsigned i = 0; i < 3; i++) {
			copy[i] = dup(fds[0]);
			assert_int_equal(loop_fd_new(x->loop, copy[i],
						     i < n ? greedy_first : greedy_rest, &g,
						     &g.fd[i]),
					 0);
			if (i < n)
				loop_fd_first(g.fd[i], true);
		}
		assert_int_equal(loop_run(x->loop), 0);
		assert_in_range(g.rest, 50, 500);
		for (unsigned i = 0; i < 3; i++) {
			loop_fd_free(g.fd[i]);
			close(copy[i]);
		}
	}
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(test_literals),
		T(test_hosts_file),
		T(test_name_server),
		T(test_name_server_comes_later),
		T(test_cancel),
		T(test_no_answer),
		T(test_timers),
		T(test_timer_always_due),
		T(test_timers_freed_in_callbacks),
		T(test_stopped_meanwhile),
		T(test_clock),
		T(test_signal),
		T(test_first),
		T(test_first_is_not_the_only_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
