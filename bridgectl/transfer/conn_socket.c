/* Sockets for data connections, TCP or Unix, until a struct conn takes them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridgectl/transfer/conn.h"
#include "common/addr.h"
#include "common/util.h"

struct place {
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct addr addr;
	};
	socklen_t len;
};

static int place_parse(const char *address, struct place *ret)
{
	struct place p = { .len = 0 };
	size_t n = strlen(address);

	if (address[0] == '/') {
		if (n >= sizeof(p.un.sun_path))
			return -ENAMETOOLONG;
		p.un.sun_family = AF_UNIX;
		memcpy(p.un.sun_path, address, n + 1);
		p.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	} else {
		if (addr_parse(address, &p.addr) < 0)
			return -EINVAL;
		p.len = addr_len(&p.addr);
	}
	*ret = p;
	return 0;
}

static int failed(const char *what, const char *address, int error, char *err)
{
	snprintf(err, CONN_ERRLEN, "%s %s: %s", what, address, strerror(error));
	return -error;
}

static int bind_and_listen(int fd, const struct place *p, unsigned backlog)
{
	static const int yes = 1, no = 0;

	if (p->sa.sa_family == AF_UNIX) {
		/* What bind(2) makes gets the mode of the socket: nobody else connects. */
		if (fchmod(fd, 0600) < 0)
			return -errno;
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	}
	if (bind(fd, &p->sa, p->len) < 0 || listen(fd, (int)backlog) < 0)
		return -errno;
	return 0;
}

int conn_listen(const char *address, unsigned backlog, int *ret_fd, char *err)
{
	struct place p;
	int fd, r = place_parse(address, &p);

	if (r < 0)
		return failed("listen on", address, -r, err);
	fd = socket(p.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed("listen on", address, errno, err);
	r = bind_and_listen(fd, &p, backlog);
	if (r < 0) {
		close(fd);
		return failed("listen on", address, -r, err);
	}
	*ret_fd = fd;
	return 0;
}

int conn_local_port(int fd, uint16_t *ret_port)
{
	struct place p = { .len = sizeof(p.addr) };

	if (getsockname(fd, &p.sa, &p.len) < 0)
		return -errno;
	if (p.sa.sa_family != AF_INET && p.sa.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	*ret_port = addr_port(&p.addr);
	return 0;
}

/* 1: ready, 0: time is over, or negative errno. Signals do not make it longer by much. */
static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&pfd, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int conn_accept(int fd, int timeout_ms, int *ret_fd, char *err)
{
	int r, new;

	for (;;) {
		r = wait_for(fd, POLLIN, timeout_ms);
		if (r <= 0)
			break;
		new = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (new >= 0) {
			*ret_fd = new;
			return 0;
		}
		r = -errno;
		/* Whoever was there is gone again. */
		if (r != -EAGAIN && r != -EINTR && r != -ECONNABORTED)
			break;
	}
	if (r == 0) {
		snprintf(err, CONN_ERRLEN, "nobody connected within %d s", timeout_ms / 1000);
		return -ETIMEDOUT;
	}
	snprintf(err, CONN_ERRLEN, "accept a connection: %s", strerror(-r));
	return r;
}

static int connect_within(int fd, const struct place *p, int timeout_ms)
{
	socklen_t len = sizeof(int);
	int r, e = 0;

	if (connect(fd, &p->sa, p->len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	r = wait_for(fd, POLLOUT, timeout_ms);
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		return -errno;
	return -e;
}

int conn_connect(const char *address, int timeout_ms, int *ret_fd, char *err)
{
	struct place p;
	int fd, flags, r = place_parse(address, &p);

	if (r < 0)
		return failed("connect to", address, -r, err);
	fd = socket(p.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed("connect to", address, errno, err);
	r = connect_within(fd, &p, timeout_ms);
	if (r == 0) {
		flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
			r = -errno;
	}
	if (r < 0) {
		close(fd);
		return failed("connect to", address, -r, err);
	}
	*ret_fd = fd;
	return 0;
}
