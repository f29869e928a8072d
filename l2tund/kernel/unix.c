/*
 * The control socket: a Unix stream socket (unix(7)) and its connections. Bytes only; what
 * they mean is control/'s.
 *
 * A socket file is replaced only when connect() says that nobody listens.
 *
 * A connection that was closed while bytes wait is still here until they have left or
 * FLUSH_TIMEOUT_US has passed; its owner does not know it any more.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

#define ACCEPTS_PER_TURN 16
#define BACKLOG 64
#define ACCEPT_PAUSE_US US_PER_S /* when there are no descriptors left */
#define FLUSH_TIMEOUT_US (5 * US_PER_S)
#define READ_BYTES 16384

/* Owned by the daemon. */
struct os_listener {
	struct os_linux *ol;
	int fd;
	struct loop_fd *event;
	struct loop_timer *resume;
	struct sockaddr_un addr;
	dev_t dev; /* of the file, so that only our own is removed */
	ino_t ino;
	const struct os_conn_ops *ops;
	void *arg;
	bool busy; /* accepting: closed now, freed at the end of it */
	bool closed;
};

/* Owned by os_linux's list; `user` NULL: only flushing. */
struct os_conn {
	LIST_ENTRY(os_conn) link;
	struct os_linux *ol;
	int fd;
	struct loop_fd *event;
	struct loop_timer *give_up;
	const struct os_conn_ops *ops;
	void *user;
	char *queue; /* bytes [sent, sent + queued) wait */
	size_t size, sent, queued;
	bool closing; /* its owner is done with it */
	bool busy;    /* inside one of its callbacks: freed at the end of it */
	bool dead;
};

/* connections */

static void conn_free(struct os_conn *c)
{
	if (!c->dead) {
		LIST_REMOVE(c, link);
		loop_fd_free(c->event);
		loop_timer_free(c->give_up);
		close(c->fd);
		c->dead = true;
	}
	if (c->busy)
		return;
	free(c->queue);
	free(c);
}

/* Waits for what there is to wait for. */
static void conn_want(struct os_conn *c)
{
	unsigned want = 0;

	if (!c->closing)
		want |= LOOP_READ;
	if (c->queued)
		want |= LOOP_WRITE;
	loop_fd_want(c->event, want);
}

static int conn_flush(struct os_conn *c)
{
	while (c->queued) {
		ssize_t n = send(c->fd, c->queue + c->sent, c->queued, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		c->sent += (size_t)n;
		c->queued -= (size_t)n;
	}
	/* A client that once asked for much need not keep the memory. */
	free(c->queue);
	c->queue = NULL;
	c->size = c->sent = 0;
	return 0;
}

static void conn_expired(void *arg)
{
	conn_free(arg);
}

/* No owner from here on: what is queued may leave, then it ends. */
static void conn_linger(struct os_conn *c)
{
	c->closing = true;
	c->user = NULL;
	if (!c->queued || loop_timer_new(c->ol->loop, conn_expired, c, &c->give_up) < 0) {
		conn_free(c);
		return;
	}
	loop_timer_set(c->give_up, loop_now_us() + FLUSH_TIMEOUT_US);
	conn_want(c);
}

/* The other side is gone, wholly (err) or as far as it sends. */
static void conn_ended(struct os_conn *c, int err)
{
	const struct os_conn_ops *ops = c->ops;
	void *user = c->user;

	if (err)
		c->queued = 0;
	conn_linger(c);
	ops->closed(user);
}

static void conn_read(struct os_conn *c)
{
	char buf[READ_BYTES];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0)
		c->ops->input(c->user, buf, (size_t)n);
	else if (n == 0)
		conn_ended(c, 0);
	else if (errno != EAGAIN && errno != EINTR)
		conn_ended(c, -errno);
}

static void conn_write(struct os_conn *c)
{
	int r = conn_flush(c);

	if (c->closing && (r < 0 || !c->queued))
		conn_free(c);
	else if (r < 0)
		conn_ended(c, r);
	else
		conn_want(c);
}

static void conn_ready(void *arg, unsigned what)
{
	struct os_conn *c = arg;

	c->busy = true;
	if (what & LOOP_WRITE)
		conn_write(c);
	else if (!c->closing)
		conn_read(c);
	c->busy = false;
	if (c->dead)
		conn_free(c);
}

static int queue_put(struct os_conn *c, const char *data, size_t len)
{
	size_t need = c->queued + len;
	char *bigger;

	if (c->sent) {
		memmove(c->queue, c->queue + c->sent, c->queued);
		c->sent = 0;
	}
	if (need > c->size) {
		size_t size = MIN(MAX(need, 2 * c->size), (size_t)OS_CONN_QUEUE_BYTES);

		bigger = realloc(c->queue, size);
		if (!bigger)
			return -ENOBUFS;
		c->queue = bigger;
		c->size = size;
	}
	memcpy(c->queue + c->queued, data, len);
	c->queued = need;
	return 0;
}

int unix_conn_send(struct os *os, struct os_conn *c, const char *data, size_t len)
{
	ssize_t n = 0;
	int r;

	(void)os;
	if (len > OS_CONN_QUEUE_BYTES - c->queued)
		return -ENOBUFS;
	if (!c->queued) {
		n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno; /* and reading will say that it has ended */
		n = MAX(n, 0);
	}
	r = (size_t)n < len ? queue_put(c, data + n, len - (size_t)n) : 0;
	if (c->event)
		conn_want(c);
	return r;
}

void unix_conn_close(struct os *os, struct os_conn *c)
{
	(void)os;
	if (c && !c->closing)
		conn_linger(c);
}

void unix_drop_all(struct os_linux *ol)
{
	struct os_conn *c;

	while ((c = LIST_FIRST(&ol->conns)))
		conn_free(c);
}

/* accepting */

static int get_cred(int fd, struct os_cred *ret)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) < 0)
		return -errno;
	*ret = (struct os_cred){ .pid = u.pid, .uid = u.uid, .gid = u.gid };
	return 0;
}

static void conn_accept(struct os_listener *l, int fd)
{
	struct os_conn *c = calloc(1, sizeof(*c));
	struct os_cred cred;

	if (!c || get_cred(fd, &cred) < 0 ||
	    loop_fd_new(l->ol->loop, fd, conn_ready, c, &c->event) < 0) {
		close(fd);
		free(c);
		return;
	}
	c->ol = l->ol;
	c->fd = fd;
	c->ops = l->ops;
	LIST_INSERT_HEAD(&l->ol->conns, c, link);
	c->busy = true;
	c->user = l->ops->accepted(l->arg, c, &cred);
	/* Turned away: what was said to it still leaves. */
	if (!c->user && !c->closing)
		conn_linger(c);
	c->busy = false;
	if (c->dead)
		conn_free(c);
}

static void listener_resume(void *arg)
{
	struct os_listener *l = arg;

	loop_fd_want(l->event, LOOP_READ);
}

static void listener_ready(void *arg, unsigned what)
{
	struct os_listener *l = arg;

	(void)what;
	l->busy = true;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN && !l->closed; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			conn_accept(l, fd);
			continue;
		}
		/* The client stays in the queue: asking again at once would spin. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_warn(LOG_CONTROL, "%s: accept: %s", l->addr.sun_path, strerror(errno));
			loop_fd_want(l->event, 0);
			loop_timer_set(l->resume, loop_now_us() + ACCEPT_PAUSE_US);
		}
		break;
	}
	l->busy = false;
	if (l->closed)
		free(l);
}

/* listening */

static int addr_of(const char *path, struct sockaddr_un *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path) >=
	    (int)sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	return 0;
}

/* 0: nobody listens there, whatever stands there may go. */
static int check_stale(const struct sockaddr_un *addr)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Only sockets are replaced, never a file that somebody has put there. */
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return errno == ECONNREFUSED || errno == ENOENT ? 0 :
		       errno == EAGAIN				? -EADDRINUSE :
								  -errno;
	return -EADDRINUSE;
}

static int set_access(const char *path, const char *group)
{
	const struct group *gr = NULL;

	if (group) {
		gr = getgrnam(group);
		if (!gr)
			return -EINVAL;
		if (chown(path, (uid_t)-1, gr->gr_gid) < 0)
			return -errno;
	}
	return chmod(path, 0660) < 0 ? -errno : 0;
}

/* Connecting is refused until listen(): nobody comes in before owner and mode are right. */
static int listen_at(int fd, const struct sockaddr_un *addr, const char *group)
{
	mode_t mask;
	int r;

	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return -errno;
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	r = set_access(addr->sun_path, group);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		unlink(addr->sun_path);
	return r;
}

static int listener_open(struct os_listener *l, const char *path, const char *group)
{
	struct stat st;
	int r = addr_of(path, &l->addr);

	if (r == 0)
		r = check_stale(&l->addr);
	if (r < 0)
		return r;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	r = listen_at(l->fd, &l->addr, group);
	if (r == 0 && stat(path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	return r;
}

int unix_listen(struct os *os, const char *path, const char *group, const struct os_conn_ops *ops,
		void *arg, struct os_listener **ret)
{
	struct os_listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->ol = os_linux(os);
	l->fd = -1;
	l->ops = ops;
	l->arg = arg;
	r = loop_timer_new(l->ol->loop, listener_resume, l, &l->resume);
	if (r == 0)
		r = listener_open(l, path, group);
	if (r == 0)
		r = loop_fd_new(l->ol->loop, l->fd, listener_ready, l, &l->event);
	if (r < 0) {
		unix_listener_close(os, l);
		return r;
	}
	*ret = l;
	return 0;
}

void unix_listener_close(struct os *os, struct os_listener *l)
{
	struct stat st;

	(void)os;
	if (!l)
		return;
	/* A file that another daemon has put there since is not ours to remove. */
	if (l->ino && stat(l->addr.sun_path, &st) == 0 && st.st_ino == l->ino &&
	    st.st_dev == l->dev)
		unlink(l->addr.sun_path);
	loop_fd_free(l->event);
	loop_timer_free(l->resume);
	if (l->fd >= 0)
		close(l->fd);
	l->closed = true;
	if (!l->busy)
		free(l);
}
