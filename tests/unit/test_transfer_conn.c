/*
 * Data connections, plain and TLS, over TCP and Unix sockets: bytes arrive, in both directions and
 * with new keys on the way; strangers, damage, cut networks and aborts end in the right errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bridgectl/transfer/conn.h"
#include "bridgectl/transfer/conn_io.h"
#include "common/util.h"
#include "tests/support/prng.h"

static const uint8_t key[CONN_KEY_BYTES] = "a key of thirty-two bytes, so so";
static const uint8_t other_key[CONN_KEY_BYTES] = "a key of thirty-two bytes, but..";

/* --- Pairs -------------------------------------------------------------------------------- */

struct end {
	int fd;
	const uint8_t *key;
	bool server;
	unsigned timeout_ms;
	struct conn *conn;
	char err[CONN_ERRLEN];
};

struct pair {
	struct end a, b; /* b is the server */
};

static void *open_end(void *arg)
{
	struct end *e = arg;

	e->conn = conn_new_within(e->fd, e->key, e->server, e->timeout_ms, e->err);
	return NULL;
}

static void tcp_pair(int fds[2])
{
	char err[CONN_ERRLEN], address[32];
	uint16_t port;
	int l = -1;

	assert_int_equal(conn_listen("127.0.0.1:0", 4, &l, err), 0);
	assert_int_equal(conn_local_port(l, &port), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	assert_int_equal(conn_connect(address, 5000, &fds[0], err), 0);
	assert_int_equal(conn_accept(l, 5000, &fds[1], err), 0);
	close(l);
}

/* Over given sockets; whether it became two connections. */
static bool pair_on(struct pair *p, const int fds[2], const uint8_t *ka, const uint8_t *kb,
		    unsigned timeout_ms)
{
	pthread_t t;

	memset(p, 0, sizeof(*p));
	p->a = (struct end){ .fd = fds[0], .key = ka, .timeout_ms = timeout_ms };
	p->b = (struct end){ .fd = fds[1], .key = kb, .server = true, .timeout_ms = timeout_ms };
	assert_int_equal(pthread_create(&t, NULL, open_end, &p->b), 0);
	open_end(&p->a);
	pthread_join(t, NULL);
	return p->a.conn && p->b.conn;
}

static void pair_open(struct pair *p, bool tcp, const uint8_t *k, unsigned timeout_ms)
{
	int fds[2];

	if (tcp)
		tcp_pair(fds);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	if (!pair_on(p, fds, k, k, timeout_ms))
		fail_msg("%s / %s", p->a.err, p->b.err);
}

static void pair_close(struct pair *p)
{
	conn_free(p->a.conn, false);
	conn_free(p->b.conn, false);
}

/* --- Bytes -------------------------------------------------------------------------------- */

struct stream {
	struct conn *conn;
	uint64_t seed, bytes;
	int result;
};

#define PIECE (5u << 20)

/* Pieces of all sizes, in up to 40 parts. */
static void *send_stream(void *arg)
{
	struct stream *s = arg;
	struct prng p = { s->seed }, sizes = { s->seed + 1 };
	uint8_t *buf = malloc(PIECE);

	for (uint64_t done = 0; done < s->bytes && s->result == 0;) {
		struct iovec iov[40];
		unsigned n = 1 + (unsigned)prng_below(&sizes, 40);
		size_t len = prng_below(&sizes, 4) ? prng_below(&sizes, 3000) :
						     prng_below(&sizes, PIECE);

		len = (size_t)MIN((uint64_t)len, s->bytes - done);
		len -= len % 8 && done + len < s->bytes ? len % 8 : 0;
		prng_fill(&p, buf, len);
		for (unsigned i = 0; i < n; i++) {
			size_t from = len * i / n, to = len * (i + 1) / n;

			iov[i] = (struct iovec){ buf + from, to - from };
		}
		s->result = conn_write(s->conn, iov, n);
		done += len;
	}
	if (s->result == 0)
		s->result = conn_flush(s->conn);
	free(buf);
	return NULL;
}

static void receive_stream(struct stream *s)
{
	struct prng p = { s->seed }, sizes = { s->seed + 2 };
	uint8_t *buf = malloc(PIECE), *want = malloc(PIECE);

	for (uint64_t done = 0; done < s->bytes && s->result == 0;) {
		size_t len = prng_below(&sizes, 4) ? prng_below(&sizes, 400) * 8 :
						     prng_below(&sizes, PIECE / 8) * 8;

		len = (size_t)MIN((uint64_t)len, s->bytes - done);
		s->result = conn_read(s->conn, buf, len);
		prng_fill(&p, want, len);
		if (s->result == 0)
			assert_memory_equal(buf, want, len);
		done += len;
	}
	free(buf);
	free(want);
}

static void one_way(struct conn *from, struct conn *to, uint64_t bytes)
{
	struct stream s = { from, bytes, bytes, 0 }, r = { to, bytes, bytes, 0 };
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, send_stream, &s), 0);
	receive_stream(&r);
	pthread_join(t, NULL);
	assert_int_equal(s.result, 0);
	assert_int_equal(r.result, 0);
}

static void both_ways(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pair p;
		uint64_t before;

		pair_open(&p, i & 1, i & 2 ? key : NULL, 30000);
		assert_true(i & 2 ? strncmp(conn_cipher(p.a.conn), "TLS_", 4) == 0 :
				    strcmp(conn_cipher(p.a.conn), "plain") == 0);
		before = conn_sent_bytes(p.a.conn);
		one_way(p.a.conn, p.b.conn, 40 << 20);
		assert_true(conn_sent_bytes(p.a.conn) - before >= 40 << 20);
		assert_true(conn_sent_bytes(p.a.conn) - before < 41 << 20);
		one_way(p.b.conn, p.a.conn, 1000);
		one_way(p.b.conn, p.a.conn, 8 << 20);
		one_way(p.a.conn, p.b.conn, 13);
		pair_close(&p);
	}
}

static void new_keys_on_the_way(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, true, key, 30000);
	conn_set_rekey(p.a.conn, 100000);
	conn_set_rekey(p.b.conn, 70000);
	one_way(p.a.conn, p.b.conn, 20 << 20);
	one_way(p.b.conn, p.a.conn, 20 << 20);
	one_way(p.a.conn, p.b.conn, 1 << 20);
	pair_close(&p);
}

/* Kept back until flush, and together in one. */
static void flush_sends(void **state)
{
	struct iovec iov = { (void *)"hello", 5 };
	struct pair p;
	char buf[10];

	(void)state;
	pair_open(&p, true, key, 30000);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(conn_write(p.a.conn, &iov, 1), 0);
	assert_int_equal(conn_flush(p.a.conn), 0);
	assert_int_equal(conn_read(p.b.conn, buf, 10), 0);
	assert_memory_equal(buf, "hellohello", 10);
	pair_close(&p);
}

static void orderly_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct iovec iov = { (void *)"last words", 10 };
		struct pair p;
		char buf[10];

		pair_open(&p, true, i ? key : NULL, 30000);
		assert_int_equal(conn_write(p.a.conn, &iov, 1), 0);
		conn_free(p.a.conn, true); /* flushes */
		assert_int_equal(conn_read(p.b.conn, buf, 10), 0);
		assert_memory_equal(buf, "last words", 10);
		assert_int_equal(conn_read(p.b.conn, buf, 1), -ECONNRESET);
		assert_int_equal(conn_read(p.b.conn, buf, 1), -ECONNRESET);
		conn_free(p.b.conn, true);
	}
}

/* Writing to somebody who is gone is an error, and no signal. */
static void gone(void **state)
{
	static uint8_t buf[1 << 20];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct iovec iov = { buf, sizeof(buf) };
		struct pair p;
		int r = 0;

		pair_open(&p, i & 1, i & 2 ? key : NULL, 30000);
		conn_free(p.b.conn, false);
		for (unsigned n = 0; n < 1000 && r == 0; n++)
			r = conn_write(p.a.conn, &iov, 1);
		assert_int_equal(r, -ECONNRESET);
		assert_int_equal(conn_write(p.a.conn, &iov, 1), -ECONNRESET);
		assert_int_equal(conn_flush(p.a.conn), -ECONNRESET);
		conn_free(p.a.conn, true);
	}
}

/* --- Strangers ---------------------------------------------------------------------------- */

static void wrong_key(void **state)
{
	struct pair p;
	int fds[2];

	(void)state;
	tcp_pair(fds);
	assert_false(pair_on(&p, fds, key, other_key, 5000));
	assert_null(p.a.conn);
	assert_null(p.b.conn);
	assert_true(p.a.err[0] && p.b.err[0]);
}

static void *shout(void *arg)
{
	int fd = *(int *)arg;
	struct prng p = { 4 };
	uint8_t buf[4096];

	prng_fill(&p, buf, sizeof(buf));
	while (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void noise(void **state)
{
	char err[CONN_ERRLEN];
	pthread_t t;
	int fds[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		tcp_pair(fds);
		assert_int_equal(pthread_create(&t, NULL, shout, &fds[0]), 0);
		assert_null(conn_new(fds[1], key, i, err));
		pthread_join(t, NULL);
		close(fds[0]);
	}
}

/* Silent, or a byte now and then: the handshake ends when its time is over. */
static void *drip(void *arg)
{
	/* the beginning of a record that would be long enough */
	static const uint8_t record[] = { 22, 3, 1, 64, 0 };
	struct timespec t = { 0, 20 * 1000 * 1000 };
	int fd = *(int *)arg;

	for (unsigned i = 0; send(fd, i < 5 ? record + i : record, 1, MSG_NOSIGNAL) > 0; i++)
		nanosleep(&t, NULL);
	return NULL;
}

static void slow_handshakes(void **state)
{
	char err[CONN_ERRLEN];
	pthread_t t;
	int fds[2];

	(void)state;
	tcp_pair(fds);
	assert_null(conn_new_within(fds[1], key, true, 200, err));
	assert_non_null(strstr(err, "timed out"));
	close(fds[0]);
	tcp_pair(fds);
	assert_int_equal(pthread_create(&t, NULL, drip, &fds[0]), 0);
	assert_null(conn_new_within(fds[1], key, true, 300, err));
	assert_non_null(strstr(err, "timed out"));
	pthread_join(t, NULL);
	close(fds[0]);
}

/* One of OpenSSL's own programs. */
static pid_t openssl(const char *const *argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR), never[2];

		if (pipe(never) == 0) /* at the end of its input it would hang up */
			dup2(never[0], 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp("openssl", (char *const *)argv);
		_exit(127);
	}
	return pid;
}

static bool ran_well(pid_t pid)
{
	int status = 0;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static char work[] = "/tmp/conn-test-XXXXXX";

static const char *in_work(const char *name)
{
	static char path[8][64];
	static unsigned n;

	n = (n + 1) % 8;
	snprintf(path[n], sizeof(path[n]), "%s/%s", work, name);
	return path[n];
}

/* A server with a certificate and without our key: OpenSSL's client would take it. */
static void server_with_certificate(void **state)
{
	const char *const make[] = { "openssl",
				     "req",
				     "-x509",
				     "-newkey",
				     "ec",
				     "-pkeyopt",
				     "ec_paramgen_curve:P-256",
				     "-nodes",
				     "-subj",
				     "/CN=x",
				     "-keyout",
				     in_work("key.pem"),
				     "-out",
				     in_work("cert.pem"),
				     NULL };
	const char *const serve[] = { "openssl",  "s_server",
				      "-unix",	  in_work("server"),
				      "-cert",	  in_work("cert.pem"),
				      "-key",	  in_work("key.pem"),
				      "-naccept", "1",
				      NULL };
	char err[CONN_ERRLEN] = "";
	int fd = -1, r = -1;
	struct conn *c;
	pid_t pid;

	(void)state;
	if (!ran_well(openssl(make)))
		skip();
	pid = openssl(serve);
	for (unsigned i = 0; i < 500 && r < 0; i++) {
		poll(NULL, 0, 10);
		r = conn_connect(in_work("server"), 1000, &fd, err);
	}
	if (r < 0) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
		fail_msg("%s", err);
	}
	c = conn_new(fd, key, false, err);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	assert_null(c);
	if (!strstr(err, "certificate")) /* that is: it does not trust it */
		fail_msg("%s", err);
}

/* OpenSSL's client: with the key it is let in, otherwise not. */
static void *accept_one(void *arg)
{
	struct end *e = arg;
	int fd;

	if (conn_accept(e->fd, 5000, &fd, e->err) == 0)
		e->conn = conn_new(fd, e->key, true, e->err);
	return NULL;
}

static void clients(void **state)
{
	static const struct {
		const char *version, *identity, *psk;
		bool ok;
	} cases[] = {
		{ "-tls1_3", "l2tund-disk",
		  "61206b6579206f66207468697274792d74776f2062797465732c20736f20736f", true },
		{ "-tls1_3", "somebody",
		  "61206b6579206f66207468697274792d74776f2062797465732c20736f20736f", false },
		{ "-tls1_3", "l2tund-disk", "61206b65", false },
		{ "-tls1_2", "l2tund-disk",
		  "61206b6579206f66207468697274792d74776f2062797465732c20736f20736f", false },
	};
	struct end e = { .key = key, .server = true };
	char err[CONN_ERRLEN];
	struct stat st;

	(void)state;
	assert_int_equal(conn_listen(in_work("ours"), 4, &e.fd, err), 0);
	assert_int_equal(stat(in_work("ours"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const argv[] = { "openssl",
					     "s_client",
					     "-unix",
					     in_work("ours"),
					     cases[i].version,
					     "-psk_identity",
					     cases[i].identity,
					     "-psk",
					     cases[i].psk,
					     "-quiet",
					     NULL };
		pthread_t t;
		pid_t pid;

		e.conn = NULL;
		assert_int_equal(pthread_create(&t, NULL, accept_one, &e), 0);
		pid = openssl(argv);
		pthread_join(t, NULL);
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
		if (!e.conn && strstr(e.err, "nobody connected"))
			skip(); /* no openssl(1) */
		if (!!e.conn != cases[i].ok)
			fail_msg("case %u: %s", i, e.err);
		conn_free(e.conn, false);
	}
	close(e.fd);
}

/* --- In between --------------------------------------------------------------------------- */

struct relay {
	int from, to;
	uint64_t flip; /* the byte that changes */
};

static void *relay(void *arg)
{
	struct relay *r = arg;
	uint8_t buf[4096];
	ssize_t n;

	while ((n = recv(r->from, buf, sizeof(buf), 0)) > 0) {
		if (r->flip < (uint64_t)n)
			buf[r->flip] ^= 4;
		r->flip -= (uint64_t)n; /* never again */
		if (send(r->to, buf, (size_t)n, MSG_NOSIGNAL) < 0)
			break;
	}
	shutdown(r->to, SHUT_RDWR);
	shutdown(r->from, SHUT_RDWR);
	return NULL;
}

static void damage(void **state)
{
	struct stream s = { .seed = 1, .bytes = 1 << 20 };
	struct relay there, back;
	uint8_t *buf = malloc(1 << 20);
	pthread_t t[3];
	int a[2], b[2], fds[2];
	struct pair p;

	(void)state;
	socketpair(AF_UNIX, SOCK_STREAM, 0, a);
	socketpair(AF_UNIX, SOCK_STREAM, 0, b);
	there = (struct relay){ a[1], b[1], 100000 };
	back = (struct relay){ b[1], a[1], UINT64_MAX };
	pthread_create(&t[0], NULL, relay, &there);
	pthread_create(&t[1], NULL, relay, &back);
	fds[0] = a[0];
	fds[1] = b[0];
	assert_true(pair_on(&p, fds, key, key, 30000));
	s.conn = p.a.conn;
	pthread_create(&t[2], NULL, send_stream, &s);
	assert_int_equal(conn_read(p.b.conn, buf, 1 << 20), -EBADMSG);
	assert_int_equal(conn_read(p.b.conn, buf, 1), -EBADMSG);
	conn_free(p.b.conn, false);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	conn_free(p.a.conn, false);
	close(a[1]);
	close(b[1]);
	free(buf);
}

static void *read_one(void *arg)
{
	struct stream *s = arg;
	char c;

	s->result = conn_read(s->conn, &c, 1);
	return NULL;
}

static void aborts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct stream s = { .seed = 1, .bytes = 1 << 30 };
		struct pair p;
		pthread_t t;

		pair_open(&p, i & 1, i & 2 ? key : NULL, 30000);
		s.conn = p.a.conn;
		pthread_create(&t, NULL, i & 4 ? send_stream : read_one, &s);
		poll(NULL, 0, 30); /* so that it mostly blocks */
		conn_abort(p.a.conn);
		pthread_join(t, NULL);
		assert_int_equal(s.result, -ECONNABORTED);
		pair_close(&p);
	}
}

/* --- The network -------------------------------------------------------------------------- */

static void set_lo(bool up)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = up ? IFF_UP : 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		_exit(77);
	close(fd);
}

/* In a network of its own, since it will be cut. */
static int cut_network(bool writer)
{
	struct stream s = { .seed = 1, .bytes = 1 << 30 };
	struct pair p;

	if (unshare(CLONE_NEWNET) < 0)
		return 77;
	set_lo(true);
	pair_open(&p, true, writer ? NULL : key, 600);
	one_way(p.a.conn, p.b.conn, 100000);
	set_lo(false);
	s.conn = p.a.conn;
	if (writer)
		send_stream(&s);
	else
		read_one(&s);
	return s.result == -ETIMEDOUT ? 0 : 1;
}

static void in_child(int (*fn)(bool), bool arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(60);
		_exit(fn(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void cut_while_writing(void **state)
{
	(void)state;
	in_child(cut_network, true);
}

static void cut_while_reading(void **state)
{
	(void)state;
	in_child(cut_network, false);
}

/* Somebody who takes nothing for much longer than the timeout is slow, not gone. */
static void slow_reader(void **state)
{
	struct stream s = { .seed = 1, .bytes = 20 << 20 }, r = { .seed = 1, .bytes = 20 << 20 };
	struct pair p;
	pthread_t t;

	(void)state;
	pair_open(&p, true, key, 200);
	s.conn = p.a.conn;
	r.conn = p.b.conn;
	pthread_create(&t, NULL, send_stream, &s);
	poll(NULL, 0, 1500);
	receive_stream(&r);
	pthread_join(t, NULL);
	assert_int_equal(s.result, 0);
	assert_int_equal(r.result, 0);
	pair_close(&p);
}

static void addresses(void **state)
{
	static const char *const bad[] = { "", "nonsense:1", "[::1", "1.2.3.4:99999",
					   "example.com:1" };
	char err[CONN_ERRLEN], address[64], path[200];
	uint16_t port;
	int fd, l, c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(conn_listen(bad[i], 1, &fd, err), -EINVAL);
		assert_int_equal(conn_connect(bad[i], 100, &fd, err), -EINVAL);
	}
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[199] = '\0';
	assert_int_equal(conn_listen(path, 1, &fd, err), -ENAMETOOLONG);
	assert_int_equal(conn_connect(in_work("nobody"), 100, &fd, err), -ENOENT);
	assert_non_null(strstr(err, "nobody"));

	assert_int_equal(conn_listen("127.0.0.1:0", 1, &l, err), 0);
	assert_int_equal(conn_accept(l, 20, &fd, err), -ETIMEDOUT);
	assert_int_equal(conn_local_port(l, &port), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	assert_int_equal(conn_listen(address, 1, &fd, err), -EADDRINUSE);
	close(l);
	assert_int_equal(conn_connect(address, 1000, &fd, err), -ECONNREFUSED);
	assert_non_null(strstr(err, address));
	/* both families on one socket */
	if (conn_listen("[::]:0", 1, &l, err) == 0) {
		assert_int_equal(conn_local_port(l, &port), 0);
		snprintf(address, sizeof(address), "127.0.0.1:%u", port);
		assert_int_equal(conn_connect(address, 1000, &c, err), 0);
		assert_int_equal(conn_accept(l, 1000, &fd, err), 0);
		close(c);
		close(fd);
		close(l);
	}
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(work) ? 0 : -1;
}

static int cleanup(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", work);
	return system(cmd) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(new_keys_on_the_way),
		cmocka_unit_test(flush_sends),
		cmocka_unit_test(orderly_end),
		cmocka_unit_test(gone),
		cmocka_unit_test(wrong_key),
		cmocka_unit_test(noise),
		cmocka_unit_test(slow_handshakes),
		cmocka_unit_test(server_with_certificate),
		cmocka_unit_test(clients),
		cmocka_unit_test(damage),
		cmocka_unit_test(aborts),
		cmocka_unit_test(cut_while_writing),
		cmocka_unit_test(cut_while_reading),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, setup, cleanup);
}
