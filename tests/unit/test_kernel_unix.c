/* The control socket on the running kernel: who comes, stale files, full queues, ends. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/kernel_support.h"

#define CLIENTS 8

/* The server's side of one test. */
struct server {
	struct kernel k;
	char dir[32], path[64];
	struct os_listener *l;
	unsigned accepted, closed;
	struct os_conn *conns[CLIENTS];
	struct os_cred cred;
	char input[4096];
	size_t len;
	bool refuse, close_in_input, close_in_accept;
};

static void *srv_accepted(void *arg, struct os_conn *c, const struct os_cred *cred)
{
	struct server *s = arg;

	s->cred = *cred;
	if (s->refuse) {
		s->k.os->conn_send(s->k.os, c, "no\n", 3);
		s->accepted++;
		return NULL;
	}
	assert_true(s->accepted < CLIENTS);
	s->conns[s->accepted++] = c;
	if (s->close_in_accept)
		s->k.os->conn_close(s->k.os, c);
	return s;
}

static void srv_input(void *conn, const char *data, size_t len)
{
	struct server *s = conn;

	assert_true(s->len + len <= sizeof(s->input));
	memcpy(s->input + s->len, data, len);
	s->len += len;
	if (s->close_in_input) {
		s->k.os->conn_send(s->k.os, s->conns[0], "bye\n", 4);
		s->k.os->conn_close(s->k.os, s->conns[0]);
	}
}

static void srv_closed(void *conn)
{
	struct server *s = conn;

	s->closed++;
}

static const struct os_conn_ops srv_ops = {
	.accepted = srv_accepted,
	.input = srv_input,
	.closed = srv_closed,
};

static int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));

	kernel_init(&s->k);
	strcpy(s->dir, "/tmp/l2-unix-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/control.sock", s->dir);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;

	s->k.os->listener_close(s->k.os, s->l);
	kernel_fini(&s->k);
	unlink(s->path);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

static int server_listen(struct server *s, const char *group)
{
	return s->k.os->listen(s->k.os, s->path, group, &srv_ops, s, &s->l);
}

static int client_connect(const struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->path);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool srv_has_accepted(void *arg)
{
	return ((struct server *)arg)->accepted > 0;
}

static bool srv_has_closed(void *arg)
{
	return ((struct server *)arg)->closed > 0;
}

static bool srv_has_input(void *arg)
{
	return ((struct server *)arg)->len > 0;
}

/* A listening server and its first client. */
static int join(struct server *s)
{
	int fd;

	assert_int_equal(server_listen(s, NULL), 0);
	fd = client_connect(s);
	assert_true(fd >= 0);
	assert_true(kernel_wait(&s->k, srv_has_accepted, s));
	return fd;
}

/* The client's end: whether it can be read, after the loop had its turns. */
struct readable {
	int fd;
};

static bool is_readable(void *arg)
{
	struct pollfd p = { .fd = ((struct readable *)arg)->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void expect(struct server *s, int fd, const char *want)
{
	struct readable r = { fd };
	char buf[64];
	ssize_t n;

	assert_true(kernel_wait(&s->k, is_readable, &r));
	n = read(fd, buf, sizeof(buf));
	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, strlen(want));
}

static void test_talk(void **state)
{
	struct server *s = *state;
	struct stat st;
	int fd = join(s);

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(s->cred.pid, getpid());
	assert_int_equal(s->cred.uid, geteuid());
	assert_int_equal(s->cred.gid, getegid());
	assert_int_equal(write(fd, "status\n", 7), 7);
	assert_true(kernel_wait(&s->k, srv_has_input, s));
	assert_int_equal(s->len, 7);
	assert_memory_equal(s->input, "status\n", 7);
	assert_int_equal(s->k.os->conn_send(s->k.os, s->conns[0], "fine\n", 5), 0);
	expect(s, fd, "fine\n");
	close(fd);
	assert_true(kernel_wait(&s->k, srv_has_closed, s));
	kernel_settle(&s->k);
	assert_int_equal(s->closed, 1);
}

static void test_turned_away_with_words(void **state)
{
	struct server *s = *state;
	int fd;

	s->refuse = true;
	fd = join(s);
	expect(s, fd, "no\n");
	expect(s, fd, "");
	assert_int_equal(s->closed, 0);
	close(fd);
}

static void test_closed_in_callbacks(void **state)
{
	struct server *s = *state;
	int fd;

	s->close_in_input = true;
	fd = join(s);
	assert_int_equal(write(fd, "x", 1), 1);
	expect(s, fd, "bye\n");
	expect(s, fd, "");
	close(fd);
	s->close_in_accept = true;
	s->accepted = 0;
	fd = client_connect(s);
	assert_true(kernel_wait(&s->k, srv_has_accepted, s));
	expect(s, fd, "");
	close(fd);
	kernel_settle(&s->k);
	assert_int_equal(s->closed, 0);
}

static void test_group(void **state)
{
	struct server *s = *state;
	const struct group *gr = getgrgid(getegid());
	struct stat st;

	assert_int_equal(server_listen(s, "no-such-group-here"), -EINVAL);
	assert_int_equal(access(s->path, F_OK), -1);
	if (geteuid() == 0 && getgrnam("daemon") && setegid(0) == 0)
		gr = getgrnam("daemon");
	if (!gr || server_listen(s, gr->gr_name) == -EPERM)
		skip();
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_gid, gr->gr_gid);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void test_stale_file(void **state)
{
	struct server *s = *state, other = { 0 };
	int fd = join(s), file;
	struct stat st;

	/* One that lives is left alone. */
	assert_int_equal(s->k.os->listen(s->k.os, s->path, NULL, &srv_ops, &other, &other.l),
			 -EADDRINUSE);
	close(fd);
	assert_true(kernel_wait(&s->k, srv_has_closed, s));
	/* A daemon that died leaves its file. */
	char keep[80];
	snprintf(keep, sizeof(keep), "%s.keep", s->path);
	assert_int_equal(link(s->path, keep), 0);
	s->k.os->listener_close(s->k.os, s->l);
	s->l = NULL;
	assert_int_equal(access(s->path, F_OK), -1);
	assert_int_equal(rename(keep, s->path), 0);
	assert_int_equal(server_listen(s, NULL), 0);
	fd = client_connect(s);
	assert_true(fd >= 0);
	close(fd);
	/* The file of a later daemon is not removed by the earlier one. */
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(s->k.os->listen(s->k.os, s->path, NULL, &srv_ops, &other, &other.l), 0);
	s->k.os->listener_close(s->k.os, s->l);
	s->l = NULL;
	assert_int_equal(stat(s->path, &st), 0);
	s->k.os->listener_close(s->k.os, other.l);
	assert_int_equal(access(s->path, F_OK), -1);
	/* What is not a socket is not ours to replace. */
	file = open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	close(file);
	assert_int_equal(server_listen(s, NULL), -EEXIST);
	assert_int_equal(access(s->path, F_OK), 0);
}

static void test_queue(void **state)
{
	struct server *s = *state;
	struct os *os = s->k.os;
	static char chunk[10000], in[65536];
	size_t sent = 0, got = 0, byte = 0;
	int fd = join(s), r;

	/* More than socket and queue hold: refused whole, and what was taken arrives whole. */
	for (;;) {
		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = (char)((sent + i) % 251);
		r = os->conn_send(os, s->conns[0], chunk, sizeof(chunk));
		if (r < 0)
			break;
		sent += sizeof(chunk);
		assert_true(sent < 4 * OS_CONN_QUEUE_BYTES);
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(sent >= OS_CONN_QUEUE_BYTES - sizeof(chunk));
	os->conn_close(os, s->conns[0]);
	struct readable w = { fd };
	for (;;) {
		assert_true(kernel_wait(&s->k, is_readable, &w));
		ssize_t n = read(fd, in, sizeof(in));
		assert_true(n >= 0);
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++, byte++)
			assert_int_equal((unsigned char)in[i], byte % 251);
		got += (size_t)n;
	}
	assert_int_equal(got, sent);
	assert_int_equal(s->closed, 0);
	close(fd);
}

/* `echo ... | socat`: the client ends its side first and still gets what was asked for. */
static void test_half_closed(void **state)
{
	struct server *s = *state;
	static char big[300000];
	int fd = join(s);
	size_t got = 0;

	assert_int_equal(s->k.os->conn_send(s->k.os, s->conns[0], big, sizeof(big)), 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(kernel_wait(&s->k, srv_has_closed, s));
	struct readable w = { fd };
	for (;;) {
		static char in[65536];

		assert_true(kernel_wait(&s->k, is_readable, &w));
		ssize_t n = read(fd, in, sizeof(in));
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	assert_int_equal(got, sizeof(big));
	assert_int_equal(s->closed, 1);
	close(fd);
}

static void test_client_dies_with_a_full_queue(void **state)
{
	struct server *s = *state;
	static char big[500000];
	unsigned before;
	int fd = join(s);

	before = count_fds();
	assert_int_equal(s->k.os->conn_send(s->k.os, s->conns[0], big, sizeof(big)), 0);
	close(fd);
	assert_true(kernel_wait(&s->k, srv_has_closed, s));
	kernel_settle(&s->k);
	assert_int_equal(s->closed, 1);
	assert_int_equal(count_fds(), before - 2);
}

/* At the end of the daemon nothing is waited for. */
static void test_left_open(void **state)
{
	struct server *s = *state;
	static char big[500000];
	int fd = join(s);

	assert_int_equal(s->k.os->conn_send(s->k.os, s->conns[0], big, sizeof(big)), 0);
	s->k.os->conn_close(s->k.os, s->conns[0]);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(test_talk),
		T(test_turned_away_with_words),
		T(test_closed_in_callbacks),
		T(test_group),
		T(test_stale_file),
		T(test_queue),
		T(test_half_closed),
		T(test_client_dies_with_a_full_queue),
		T(test_left_open),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
