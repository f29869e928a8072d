/*
 * One child, three pipes, one poll loop. The child is in a process group of its own, so
 * that what it has started dies with it; the terminal would stop one that asks there.
 * SIGPIPE is blocked while we write: a child that does not read is its own affair, and a handler
 * would be the whole process's.
 */
#include "common/proc.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"

#define GROW_BYTES 16384
#define END_LOOK_MS 5

enum { IN, OUT, ERR, PIPES };

struct proc {
	pid_t pid;
	int fd[PIPES]; /* our ends; -1: closed */
	const char *in;
	size_t in_len;
	size_t out_size, err_len;
	size_t out_max;
	bool asks;
	int64_t deadline_ms;
	struct proc_result *ret;
};

extern char **environ;

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_ends(int fd[PIPES])
{
	for (unsigned i = 0; i < PIPES; i++)
		close_end(&fd[i]);
}

/* Ours are not to block; the child's are the other ends. */
static int make_pipes(int ours[PIPES], int theirs[PIPES])
{
	for (unsigned i = 0; i < PIPES; i++) {
		int fd[2];

		if (pipe2(fd, O_CLOEXEC) < 0)
			return -errno;
		ours[i] = fd[i == IN];
		theirs[i] = fd[i != IN];
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

/* The usual mask and the usual reaction to SIGPIPE, whatever ours are. */
static int set_attributes(posix_spawnattr_t *attr, const sigset_t *mask, bool asks)
{
	sigset_t usual;
	int r = posix_spawnattr_setflags(attr,
					 (short)((asks ? 0 : POSIX_SPAWN_SETPGROUP) |
						 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));

	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	if (!r)
		r = posix_spawnattr_setpgroup(attr, 0);
	if (!r)
		r = posix_spawnattr_setsigmask(attr, mask);
	return r ? r : posix_spawnattr_setsigdefault(attr, &usual);
}

static int spawn(struct proc *p, const char *const argv[], const int theirs[PIPES],
		 const sigset_t *mask)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	r = set_attributes(&attr, mask, p->asks);
	for (int i = 0; i < PIPES && !r; i++)
		r = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
	if (!r)
		r = posix_spawnp(&p->pid, argv[0], &actions, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static void feed(struct proc *p)
{
	ssize_t n = p->in_len ? write(p->fd[IN], p->in, p->in_len) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		p->in += n;
		p->in_len -= (size_t)n;
	}
	if (n < 0 || !p->in_len)
		close_end(&p->fd[IN]);
}

static int read_out(struct proc *p)
{
	struct proc_result *r = p->ret;
	ssize_t n;

	if (p->out_size - r->out_len < GROW_BYTES) {
		size_t size = MAX(p->out_size * 2, (size_t)4 * GROW_BYTES);
		char *bigger = realloc(r->out, size + 1);

		if (!bigger)
			return -ENOMEM;
		r->out = bigger;
		p->out_size = size;
	}
	n = read(p->fd[OUT], r->out + r->out_len, p->out_size - r->out_len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		close_end(&p->fd[OUT]);
	r->out_len += (size_t)n;
	return r->out_len > p->out_max ? -EMSGSIZE : 0;
}

/* All of it is read, so that the child does not wait for us; the beginning is kept. */
static int read_err(struct proc *p)
{
	char buf[1024];
	ssize_t n = read(p->fd[ERR], buf, sizeof(buf));
	size_t room = sizeof(p->ret->err) - 1 - p->err_len;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		close_end(&p->fd[ERR]);
	memcpy(p->ret->err + p->err_len, buf, MIN((size_t)n, room));
	p->err_len += MIN((size_t)n, room);
	return 0;
}

static int talk(struct proc *p)
{
	while (p->fd[IN] >= 0 || p->fd[OUT] >= 0 || p->fd[ERR] >= 0) {
		struct pollfd fds[PIPES] = { { p->fd[IN], POLLOUT, 0 },
					     { p->fd[OUT], POLLIN, 0 },
					     { p->fd[ERR], POLLIN, 0 } };
		int64_t left = p->deadline_ms - (int64_t)clock_ms();
		int r = left > 0 ? poll(fds, PIPES, (int)left) : 0;

		if (r < 0 && errno != EINTR)
			return -errno;
		if (!r)
			return -ETIMEDOUT;
		if (r < 0)
			continue;
		r = 0;
		if (fds[IN].revents)
			feed(p);
		if (fds[OUT].revents)
			r = read_out(p);
		if (!r && fds[ERR].revents)
			r = read_err(p);
		if (r < 0)
			return r;
	}
	return 0;
}

/* It has closed its pipes, which is mostly its end, but need not be. */
static int wait_end(struct proc *p)
{
	int status;

	for (;;) {
		pid_t pid = waitpid(p->pid, &status, WNOHANG);

		if (pid < 0 && errno != EINTR)
			return -errno;
		if (pid > 0)
			break;
		if ((int64_t)clock_ms() >= p->deadline_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, END_LOOK_MS);
	}
	p->ret->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

static void kill_group(const struct proc *p)
{
	kill(p->asks ? p->pid : -p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static int run(struct proc *p, const char *const argv[], const sigset_t *mask)
{
	int theirs[PIPES] = { -1, -1, -1 };
	int r = make_pipes(p->fd, theirs);

	if (!r)
		r = spawn(p, argv, theirs, mask);
	close_ends(theirs);
	if (!r) {
		r = talk(p);
		if (!r)
			r = wait_end(p);
		if (r < 0)
			kill_group(p);
	}
	close_ends(p->fd);
	return r;
}

/* One that came of our writing, not one that was there before. */
static void forget_sigpipe(const sigset_t *only)
{
	static const struct timespec at_once;

	while (sigtimedwait(only, NULL, &at_once) < 0 && errno == EINTR)
		continue;
}

int proc_run(const char *const argv[], const struct proc_limits *l, const char *in, size_t in_len,
	     struct proc_result *ret)
{
	struct proc p = { .fd = { -1, -1, -1 },
			  .in = in,
			  .in_len = in ? in_len : 0,
			  .out_max = l->out_bytes,
			  .asks = l->asks,
			  .deadline_ms = (int64_t)clock_ms() + l->timeout_ms,
			  .ret = ret };
	sigset_t only, before, pending;
	int r;

	*ret = (struct proc_result){ 0 };
	sigemptyset(&only);
	sigaddset(&only, SIGPIPE);
	sigpending(&pending);
	sigprocmask(SIG_BLOCK, &only, &before);
	r = run(&p, argv, &before);
	if (!sigismember(&pending, SIGPIPE))
		forget_sigpipe(&only);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		proc_result_fini(ret);
	else if (ret->out)
		ret->out[ret->out_len] = '\0';
	return r;
}

void proc_result_fini(struct proc_result *r)
{
	free(r->out);
	r->out = NULL;
	r->out_len = 0;
}
