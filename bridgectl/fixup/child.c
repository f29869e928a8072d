/*
 * How the process is made, and how its answer is read. The order in the child matters: the empty
 * folder and the network need privileges, so they come before the user changes; the filter comes
 * last. Whatever of it fails for root ends the child before it has seen a byte of the guest.
 *
 * A frame: one byte kind, four bytes length (little endian), the bytes. Kind 0 is the last one:
 * four bytes errno, then a sentence.
 */
#include "bridgectl/fixup/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "common/io.h"
#include "common/util.h"

#define HEAD 5U
#define END 0
#define NOBODY 65534U /* where there is no user of this name */
#define FILES_MAX 128 /* open at a time, of those who may open any */

#define fail(err, r, ...) disk_fail(err, CHILD_ERRLEN, r, __VA_ARGS__)

struct child_out {
	int fd;
	struct child_filters *filters;
};

/* --- In the child --- */

int child_send(struct child_out *out, uint8_t kind, const void *bytes, size_t len)
{
	unsigned char head[HEAD] = { kind };
	int r;

	if (len > CHILD_FRAME_MAX)
		return -EMSGSIZE;
	put_le32(head + 1, (uint32_t)len);
	r = io_write_all(out->fd, head, HEAD);
	return r < 0 ? r : io_write_all(out->fd, bytes, len);
}

int child_strict(struct child_out *out)
{
	return child_filters_strict(out->filters);
}

static _Noreturn void end(struct child_out *out, int result, const char *err)
{
	unsigned char last[4 + CHILD_ERRLEN];
	size_t len = strnlen(err, CHILD_ERRLEN - 1);

	put_le32(last, (uint32_t)-result);
	memcpy(last + 4, err, len);
	child_send(out, END, last, 4 + len);
	_exit(0);
}

struct user {
	uid_t uid;
	gid_t gid;
};

static int limit(int what, rlim_t most)
{
	struct rlimit l = { most, most };

	return setrlimit((__rlimit_resource_t)what, &l) < 0 ? -errno : 0;
}

/*
 * What we have mapped already counts as well: threads of libraries map a lot that they never use.
 */
static uint64_t mapped(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages;

	if (!f || fscanf(f, "%llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int set_limits(const struct child_job *j, uint64_t memory)
{
	int r = limit(RLIMIT_CORE, 0);

#if defined(__SANITIZE_ADDRESS__)
	memory = RLIM_INFINITY;
#endif
	if (r == 0 && memory != RLIM_INFINITY)
		r = limit(RLIMIT_AS, memory);
	if (r == 0)
		r = limit(RLIMIT_CPU, (rlim_t)j->timeout_ms / 1000 + 1);
	if (r == 0 && j->rights != CHILD_WRITES)
		r = limit(RLIMIT_FSIZE, 0);
	return r == 0 ? limit(RLIMIT_NOFILE, j->rights ? FILES_MAX : 0) : r;
}

static bool is_kept(const struct child_job *j, int fd, int out)
{
	for (unsigned i = 0; i < j->n_fds; i++)
		if (j->fds[i] == fd)
			return true;
	return fd <= STDERR_FILENO || fd == out;
}

/* close_range(2) is younger than what we run on; without it there is a limit to go by. */
static void close_from(int first)
{
	struct rlimit l;
	long last = 65536;

	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
		last = (long)l.rlim_cur;
	for (long fd = first; fd < last; fd++)
		close((int)fd);
}

static int close_others(const struct child_job *j, int out)
{
	int null = open("/dev/null", O_RDWR), highest = out;

	if (null < 0)
		return -errno;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
#if !defined(__SANITIZE_ADDRESS__)
	dup2(null, STDERR_FILENO);
#endif
	for (unsigned i = 0; i < j->n_fds; i++)
		highest = MAX(highest, j->fds[i]);
	for (int fd = STDERR_FILENO + 1; fd <= highest; fd++)
		if (!is_kept(j, fd, out))
			close(fd);
	close_from(highest + 1);
	return 0;
}

/* A folder that is gone: nothing is in it, and nothing can be made in it. */
static int leave_files(void)
{
	char dir[] = "/tmp/bridgectl-empty-XXXXXX";

	if (!mkdtemp(dir))
		return -errno;
	if (chdir(dir) < 0 || rmdir(dir) < 0 || chroot(".") < 0)
		return -errno;
	return 0;
}

static int drop_privileges(enum child_rights rights, const struct user *u)
{
	int r = child_caps_begin(rights);

	if (r < 0 || rights == CHILD_WRITES)
		return r < 0 ? r : child_caps_end(rights);
	if (setgroups(0, NULL) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		return -errno;
	r = child_caps_end(rights);
	return r == 0 && setuid(0) == 0 ? -EPERM : r;
}

static int set_filters(const struct child_job *j, struct child_out *out)
{
	if (j->rights == CHILD_WRITES)
		return 0;
	return child_filters_probing(out->filters);
}

static int confine(const struct child_job *j, struct child_out *out, const struct user *u,
		   char *err)
{
	uint64_t memory = mapped() + CHILD_MEMORY;
	bool root = geteuid() == 0;
	int r = close_others(j, out->fd);

	umask(0777);
	if (r == 0 && (root || j->enter))
		r = j->enter ? j->enter(j->arg, err) : leave_files();
	if (r == 0 && root && unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
		r = errno == EPERM || errno == EINVAL ? 0 : -errno;
	if (r == 0 && root)
		r = drop_privileges(j->rights, u);
	/* Another user's process has lost it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (r == 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
		r = -errno;
	out->filters = child_filters_new(j->rights);
	if (r == 0 && !out->filters)
		r = -ENOMEM;
	if (r == 0)
		r = set_limits(j, memory);
	return r == 0 ? set_filters(j, out) : r;
}

static _Noreturn void child(const struct child_job *j, int fd, const struct user *u, pid_t parent)
{
	struct child_out out = { .fd = fd };
	char err[CHILD_ERRLEN] = "";
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	for (int s = 1; s < NSIG; s++)
		signal(s, s == SIGPIPE ? SIG_IGN : SIG_DFL);
	r = confine(j, &out, u, err);
	if (r < 0 && !*err)
		snprintf(err, sizeof(err),
			 "the process that reads the guest cannot be confined: %s", strerror(-r));
	else if (r == 0)
		r = j->fn(j->arg, &out, err);
	end(&out, r, err);
}

/* --- In the parent --- */

struct answer {
	const struct child_job *j;
	int fd;
	unsigned char *buf; /* HEAD + CHILD_FRAME_MAX */
	size_t have;
	uint64_t total;
	bool ended;
	int result; /* of the child, once it has ended */
	char *err;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int nonsense(struct answer *a)
{
	return fail(a->err, -EPROTO,
		    "the process that reads the guest answered nonsense: is the guest's file "
		    "system damaged?");
}

static int take_end(struct answer *a, const unsigned char *bytes, size_t len)
{
	uint32_t error;

	if (len < 4 || len >= 4 + CHILD_ERRLEN)
		return nonsense(a);
	error = get_le32(bytes);
	if (error > 4095 || (error && len == 4))
		return nonsense(a);
	a->ended = true;
	a->result = -(int)error;
	if (error)
		snprintf(a->err, CHILD_ERRLEN, "%.*s", (int)(len - 4), (const char *)bytes + 4);
	return 0;
}

/* The frames that are whole. 0 or negative errno with its sentence. */
static int take_frames(struct answer *a)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && !a->ended && a->have - at >= HEAD) {
		const unsigned char *p = a->buf + at;
		size_t len = get_le32(p + 1);

		if (len > CHILD_FRAME_MAX)
			return nonsense(a);
		if (a->have - at - HEAD < len)
			break;
		if (*p == END)
			r = take_end(a, p + HEAD, len);
		else
			r = a->j->frame(a->j->ctx, *p, p + HEAD, len, a->err);
		at += HEAD + len;
	}
	memmove(a->buf, a->buf + at, a->have - at);
	a->have -= at;
	return r;
}

/* 1: there is more; 0: that was the end of the stream. */
static int read_some(struct answer *a)
{
	ssize_t n = read(a->fd, a->buf + a->have, HEAD + CHILD_FRAME_MAX - a->have);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	a->have += (size_t)n;
	a->total += (uint64_t)n;
	if (a->total > CHILD_ANSWER_MAX)
		return nonsense(a);
	return n > 0;
}

static int read_answer(struct answer *a)
{
	int64_t deadline = now_ms() + a->j->timeout_ms;
	int r = 1;

	while (r > 0 && !a->ended) {
		struct pollfd p = { .fd = a->fd, .events = POLLIN };
		int64_t left = deadline - now_ms();

		if (left <= 0)
			return fail(a->err, -ETIMEDOUT,
				    "the guest was not read within %d seconds: is its file system "
				    "damaged?",
				    a->j->timeout_ms / 1000);
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		r = read_some(a);
		if (r > 0) {
			int taken = take_frames(a);

			r = taken < 0 ? taken : r;
		}
	}
	return r < 0 ? r : 0;
}

/* What a child that did not say goodbye died of. */
static int explain(int status, char *err)
{
	static const struct {
		int sig;
		const char *why;
	} signals[] = {
		{ SIGSYS, "it tried something that it may not do" },
		{ SIGXCPU, "it took too much time" },
		{ SIGKILL, "it was killed" },
	};
	const char *why = "it crashed";

	if (WIFEXITED(status))
		why = "it needed more memory than it may have";
	for (unsigned i = 0; WIFSIGNALED(status) && i < ARRAY_SIZE(signals); i++)
		if (WTERMSIG(status) == signals[i].sig)
			why = signals[i].why;
	return fail(err, -EPROTO,
		    "the process that reads the guest has died, %s: is the guest's file system "
		    "damaged?",
		    why);
}

static struct user find_nobody(void)
{
	const struct passwd *p = getpwnam("nobody");
	struct user u = { NOBODY, NOBODY };

	if (p && p->pw_uid && p->pw_gid)
		u = (struct user){ p->pw_uid, p->pw_gid };
	return u;
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int child_run(const struct child_job *j, char *err)
{
	struct answer a = { .j = j, .err = err };
	struct user u = find_nobody();
	_cleanup_free_ unsigned char *buf = mem_must(malloc(HEAD + CHILD_FRAME_MAX));
	int fds[2], status, r;
	pid_t self = getpid(), pid;

	a.buf = buf;
	json_object_seed(0);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(err, -errno, "no pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(fds[0]);
		close(fds[1]);
		return fail(err, r, "no process: %s", strerror(-r));
	}
	if (pid == 0)
		child(j, fds[1], &u, self);
	close(fds[1]);
	a.fd = fds[0];
	r = read_answer(&a);
	close(fds[0]);
	if (r < 0 || a.ended)
		kill(pid, SIGKILL);
	status = wait_for(pid);
	if (r == 0)
		r = a.ended ? a.result : explain(status, err);
	return r;
}
