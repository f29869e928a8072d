/*
 * One thread for each who shares. Either it listens: it answers newcomers with the open file, and
 * claims of bytes with yes or no. Or it has a connection to the one that listens, and when that
 * ends, listens itself or finds who was faster. Who had a claim before says it anew first;
 * for a moment nobody else gets one.
 *
 * The open file is passed on for its lock alone. Everybody writes through another one: an error of
 * writing back is told once per open file, and must reach the one whose data it was.
 */
#include "bridgectl/transfer/share.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bridgectl/transfer/rundir.h"
#include "common/clock.h"

#define MEMBERS_MAX 32
#define ANSWER_S 5
#define TRY_MS 100
#define TRIES 50
#define REJOIN_MS 1000

enum answer { ANSWER_YES, ANSWER_TAKEN, ANSWER_LATER };

struct claim {
	uint64_t start, end;
	uint64_t again; /* it was granted by one who is gone */
};

struct member {
	int fd; /* -1: free */
	uint64_t start, end;
};

struct share {
	struct sockaddr_un address;
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int lock_fd;	     /* the open file that has the lock */
	int wake;	     /* ends the thread */
	int first;	     /* a connection to the one that listens; -1: that is us */
	int listener;	     /* -1: not us */
	uint64_t start, end; /* our own bytes */
	struct member members[MEMBERS_MAX];
	uint64_t rejoin_until_ms;
	pthread_t thread;
	bool has_thread;
};

/* --- Messages --- */

static void limit_waiting(int fd)
{
	struct timeval t = { .tv_sec = ANSWER_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int send_fd(int to, int fd)
{
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -EIO;
}

static int receive_fd(int from)
{
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;
	int fd;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1)
		return -EIO;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EIO;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* 0; -EBUSY: somebody has some of it; -EIO: the one that listens is gone. */
static int ask(int first, const struct claim *c)
{
	for (unsigned i = 0; i < TRIES; i++) {
		char answer;

		if (send(first, c, sizeof(*c), MSG_NOSIGNAL) != sizeof(*c) ||
		    recv(first, &answer, 1, 0) != 1)
			return -EIO;
		if (answer != ANSWER_LATER)
			return answer == ANSWER_YES ? 0 : -EBUSY;
		poll(NULL, 0, TRY_MS);
	}
	return -EBUSY;
}

/* --- The one that listens --- */

static bool overlap(uint64_t a_start, uint64_t a_end, uint64_t b_start, uint64_t b_end)
{
	return a_start < b_end && b_start < a_end;
}

static bool is_free(const struct share *s, const struct claim *c, const struct member *but)
{
	if (overlap(c->start, c->end, s->start, s->end))
		return false;
	for (unsigned i = 0; i < MEMBERS_MAX; i++) {
		const struct member *m = &s->members[i];

		if (m != but && m->fd >= 0 && overlap(c->start, c->end, m->start, m->end))
			return false;
	}
	return true;
}

static enum answer decide(struct share *s, struct member *m, const struct claim *c)
{
	if (!c->again && clock_ms() < s->rejoin_until_ms)
		return ANSWER_LATER;
	if (c->start >= c->end || !is_free(s, c, m))
		return ANSWER_TAKEN;
	m->start = c->start;
	m->end = c->end;
	return ANSWER_YES;
}

static bool is_same_user(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static void take_newcomer(struct share *s)
{
	_cleanup_close_ int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || !is_same_user(fd))
		return;
	for (unsigned i = 0; i < MEMBERS_MAX; i++)
		if (s->members[i].fd < 0) {
			if (send_fd(fd, s->lock_fd) == 0) {
				s->members[i] = (struct member){ .fd = fd };
				fd = -1;
			}
			return;
		}
}

static void hear_member(struct share *s, struct member *m)
{
	struct claim c;
	ssize_t n = recv(m->fd, &c, sizeof(c), MSG_DONTWAIT);
	char answer;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(c)) {
		answer = (char)decide(s, m, &c);
		if (send(m->fd, &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
			return;
	}
	close(m->fd);
	m->fd = -1;
}

static int listen_here(struct share *s)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&s->address, sizeof(s->address)) == 0 &&
	    listen(fd, MEMBERS_MAX) == 0) {
		s->listener = fd;
		return 0;
	}
	r = -errno;
	cleanup_close(&fd);
	return r;
}

/* --- The thread --- */

/* With the directory locked. What is -1 afterwards is not so; neither: it must be tried again. */
static void find_place(struct share *s)
{
	struct claim c = { s->start, s->end, 1 };
	int fd = rundir_connect(&s->address, SOCK_SEQPACKET), passed;

	if (fd == -ENOENT && listen_here(s) == 0)
		s->rejoin_until_ms = clock_ms() + REJOIN_MS;
	if (fd < 0)
		return;
	limit_waiting(fd);
	passed = receive_fd(fd);
	cleanup_close(&passed);
	if (passed >= 0 && ask(fd, &c) == 0)
		s->first = fd;
	else
		close(fd);
}

static void take_over(struct share *s)
{
	_cleanup_close_ int lock = -1;

	cleanup_close(&s->first);
	s->first = -1;
	lock = rundir_lock(s->dir);
	if (lock >= 0)
		find_place(s);
}

static void serve(struct share *s, const struct pollfd *p, const struct member *const *whose,
		  unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!p[i].revents)
			continue;
		if (whose[i])
			hear_member(s, &s->members[whose[i] - s->members]);
		else if (p[i].fd == s->listener)
			take_newcomer(s);
		else if (p[i].fd == s->first)
			take_over(s);
	}
}

static void *run(void *arg)
{
	struct share *s = arg;

	for (;;) {
		struct pollfd p[MEMBERS_MAX + 2];
		const struct member *whose[MEMBERS_MAX + 2] = { 0 };
		bool placed = s->first >= 0 || s->listener >= 0;
		unsigned n = 1;

		p[0] = (struct pollfd){ .fd = s->wake, .events = POLLIN };
		if (placed)
			p[n++] = (struct pollfd){ .fd = s->first >= 0 ? s->first : s->listener,
						  .events = POLLIN };
		for (unsigned i = 0; i < MEMBERS_MAX; i++)
			if (s->members[i].fd >= 0) {
				whose[n] = &s->members[i];
				p[n++] =
					(struct pollfd){ .fd = s->members[i].fd, .events = POLLIN };
			}
		if (poll(p, n, placed ? -1 : TRY_MS) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents)
			return NULL;
		if (placed)
			serve(s, p + 1, whose + 1, n - 1);
		else
			take_over(s);
	}
}

/* --- Opening --- */

static void share_free(struct share *s)
{
	for (unsigned i = 0; i < MEMBERS_MAX; i++)
		cleanup_close(&s->members[i].fd);
	cleanup_close(&s->first);
	cleanup_close(&s->listener);
	cleanup_close(&s->wake);
	cleanup_close(&s->lock_fd);
	free(s);
}

static bool find_dir(struct share *s, const char *given)
{
	char run[sizeof(s->dir)], err[RUNDIR_ERRLEN];
	int n;

	if (rundir_path(given, run, sizeof(run)) < 0 || rundir_make(run, err) < 0)
		return false;
	n = snprintf(s->dir, sizeof(s->dir), "%s/targets", run);
	return n > 0 && (size_t)n < sizeof(s->dir) && rundir_make(s->dir, err) == 0;
}

static bool find_address(struct share *s, const char *path)
{
	struct stat st;
	bool block;
	dev_t dev;
	int n;

	if (stat(path, &st) < 0)
		return false;
	block = S_ISBLK(st.st_mode);
	dev = block ? st.st_rdev : st.st_dev;
	s->address.sun_family = AF_UNIX;
	n = snprintf(s->address.sun_path, sizeof(s->address.sun_path), "%s/%u-%u-%ju", s->dir,
		     major(dev), minor(dev), block ? (uintmax_t)0 : (uintmax_t)st.st_ino);
	return n > 0 && (size_t)n < sizeof(s->address.sun_path);
}

static struct share *share_new(const char *dir, const char *path)
{
	struct share *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->lock_fd = s->first = s->listener = -1;
	for (unsigned i = 0; i < MEMBERS_MAX; i++)
		s->members[i].fd = -1;
	s->wake = eventfd(0, EFD_CLOEXEC);
	if (s->wake >= 0 && find_dir(s, dir) && find_address(s, path))
		return s;
	share_free(s);
	return NULL;
}

/* The first one opens and locks it, the others get that. */
static int open_locked(struct share *s, const char *path, const struct target_want *w, char *err)
{
	struct target t;
	int r;

	s->first = rundir_connect(&s->address, SOCK_SEQPACKET);
	if (s->first >= 0) {
		limit_waiting(s->first);
		s->lock_fd = receive_fd(s->first);
		return s->lock_fd < 0 ? -EAGAIN : 0;
	}
	r = target_open(path, w, &t, err);
	if (r < 0)
		return r;
	s->lock_fd = t.fd;
	return listen_here(s);
}

static int open_once(struct share *s, const char *path, const struct target_want *w,
		     struct target *t, char *err)
{
	_cleanup_close_ int lock = rundir_lock(s->dir);
	bool others = access(s->address.sun_path, F_OK) == 0;
	int r = lock < 0 ? lock : open_locked(s, path, w, err);

	if (r == 0)
		return target_reopen(s->lock_fd, path, t, err);
	cleanup_close(&s->first);
	cleanup_close(&s->lock_fd);
	s->first = s->lock_fd = -1;
	/* One of those who share it has ended, and the others have not found together yet. */
	return r == -EBUSY && others ? -EAGAIN : r;
}

int share_open(const char *dir, const char *path, const struct target_want *w, struct share **ret,
	       struct target *t, char *err)
{
	struct share *s = share_new(dir, path);
	int r;

	*ret = NULL;
	err[0] = '\0';
	if (!s)
		return target_open(path, w, t, err);
	for (unsigned i = 0; (r = open_once(s, path, w, t, err)) == -EAGAIN && i < TRIES; i++)
		poll(NULL, 0, TRY_MS);
	if (r < 0) {
		share_free(s);
		if (!err[0])
			snprintf(err, TARGET_ERRLEN, "%s cannot be shared: %s", path, strerror(-r));
		return r == -EAGAIN ? -EBUSY : r;
	}
	*ret = s;
	return 0;
}

int share_claim(struct share *s, uint64_t offset, uint64_t length)
{
	struct claim c = { offset, offset + length, 0 };
	int r;

	if (!s)
		return 0;
	r = s->first >= 0 ? ask(s->first, &c) : 0;
	if (r < 0)
		return r;
	s->start = c.start;
	s->end = c.end;
	s->has_thread = pthread_create(&s->thread, NULL, run, s) == 0;
	return s->has_thread ? 0 : -EAGAIN;
}

void share_close(struct share *s)
{
	_cleanup_close_ int lock = -1;

	if (!s)
		return;
	if (s->has_thread && eventfd_write(s->wake, 1) == 0)
		pthread_join(s->thread, NULL);
	lock = rundir_lock(s->dir);
	if (s->listener >= 0)
		unlink(s->address.sun_path);
	share_free(s);
}
