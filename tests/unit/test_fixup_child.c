/*
 * The process that reads guests: what it can do, that everything else ends it, and that an answer
 * which is none is told as one sentence. Jobs here are as hostile as a guest's bytes could make
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgectl/fixup/child.h"
#include "common/util.h"

#define KIND 7

struct got {
	char text[4096];
	size_t len;
	int refuse; /* errno for the first frame */
};

static int take(void *ctx, uint8_t kind, const unsigned char *bytes, size_t len, char *err)
{
	struct got *g = ctx;

	assert_int_equal(kind, KIND);
	if (g->refuse) {
		snprintf(err, CHILD_ERRLEN, "refused");
		return -g->refuse;
	}
	if (g->len + len < sizeof(g->text)) {
		memcpy(g->text + g->len, bytes, len);
		g->len += len;
	}
	return 0;
}

typedef int job_fn(void *arg, struct child_out *out, char *err);

static int run(job_fn *fn, void *arg, struct got *g, char *err)
{
	struct child_job j = { .fn = fn, .arg = arg, .timeout_ms = 20000, .frame = take, .ctx = g };

	err[0] = '\0';
	return child_run(&j, err);
}

static int job_answer(void *arg, struct child_out *out, char *err)
{
	(void)err;
	if (child_strict(out) < 0)
		return -EPERM;
	child_send(out, KIND, arg, strlen(arg));
	return child_send(out, KIND, "!", 1);
}

static void test_answer(void **state)
{
	char err[CHILD_ERRLEN], text[] = "all is well";
	struct got g = { .len = 0 };

	(void)state;
	assert_int_equal(run(job_answer, text, &g, err), 0);
	assert_string_equal(g.text, "all is well!");
	g = (struct got){ .refuse = ENOSPC };
	assert_int_equal(run(job_answer, text, &g, err), -ENOSPC);
	assert_string_equal(err, "refused");
}

static int job_fails(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)out;
	snprintf(err, CHILD_ERRLEN, "no such thing");
	return -ENOENT;
}

static void test_failure(void **state)
{
	char err[CHILD_ERRLEN];
	struct got g = { .len = 0 };

	(void)state;
	assert_int_equal(run(job_fails, NULL, &g, err), -ENOENT);
	assert_string_equal(err, "no such thing");
}

/* --- What it may not do --- */

static int do_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int do_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int do_fork(void)
{
	return fork();
}

static int do_exec(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int do_kill(void)
{
	return kill(getppid(), SIGTERM);
}

static int do_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int do_ptrace(void)
{
	return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static int do_limit(void)
{
	struct rlimit l = { 1, 1 };

	return setrlimit(RLIMIT_NOFILE, &l);
}

static int do_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 8, NULL);
}

static int do_keys(void)
{
	return (int)syscall(SYS_add_key, "user", "x", "y", 1, -3);
}

static int do_process_memory(void)
{
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static int do_memfd(void)
{
	return (int)syscall(SYS_memfd_create, "x", 0);
}

static int do_namespace(void)
{
	return (int)syscall(SYS_unshare, 0x10000000);
}

static int do_ioctl(void)
{
	return (int)syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static int do_tear(void)
{
	return (int)syscall(SYS_fallocate, 3, 3, 0, 4096);
}

#if defined(__x86_64__) && !defined(__ILP32__)
/* The same numbers mean other calls there. */
static int do_x32(void)
{
	return (int)syscall(0x40000000 | SYS_open, "/etc/passwd", O_RDONLY);
}

static int do_i386(void)
{
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(4), "b"(1), "c"(0), "d"(0) : "memory");
	return r;
}
#endif

static const struct deed {
	const char *name;
	int (*fn)(void);
	const char *said; /* NULL: that it may not do this */
} deeds[] = {
	{ "open", do_open, NULL },
	{ "socket", do_socket, NULL },
	{ "fork", do_fork, NULL },
	{ "exec", do_exec, NULL },
	{ "kill", do_kill, NULL },
	{ "executable memory", do_code, NULL },
	{ "ptrace", do_ptrace, NULL },
	{ "limit", do_limit, NULL },
	{ "io_uring", do_ring, NULL },
	{ "keys", do_keys, NULL },
	{ "another's memory", do_process_memory, NULL },
	{ "memfd", do_memfd, NULL },
	{ "namespace", do_namespace, NULL },
	{ "ioctl", do_ioctl, NULL },
	{ "fallocate", do_tear, NULL },
#if defined(__x86_64__) && !defined(__ILP32__)
	{ "x32", do_x32, NULL },
	{ "i386", do_i386, "has died" /* a kernel may not know it at all */ },
#endif
};

static int job_deed(void *arg, struct child_out *out, char *err)
{
	const struct deed *d = arg;

	if (child_strict(out) < 0)
		return -EPERM;
	d->fn();
	snprintf(err, CHILD_ERRLEN, "still alive");
	return -EEXIST;
}

static void test_deed(void **state)
{
	char err[CHILD_ERRLEN];
	const struct deed *d = *state;
	struct got g = { .len = 0 };
	int r = run(job_deed, *state, &g, err);

	if (r != -EPROTO || !strstr(err, d->said ? d->said : "may not do"))
		fail_msg("%d: %s", r, err);
}

/* Before the strict filter: files cannot be opened, nothing else is allowed either. */
static int job_probing(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)out, (void)err;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return -EEXIST;
	socket(AF_INET, SOCK_DGRAM, 0);
	return -EEXIST;
}

static void test_probing(void **state)
{
	char err[CHILD_ERRLEN];
	struct got g = { .len = 0 };

	(void)state;
	assert_int_equal(run(job_probing, NULL, &g, err), -EPROTO);
	assert_non_null(strstr(err, "may not do"));
}

/* Nothing that we have open is there, but what it was given. */
static int job_files(void *arg, struct child_out *out, char *err)
{
	const int *fds = arg;
	char byte;

	(void)out;
	if (pread(fds[0], &byte, 1, 0) != 1 || byte != 'g')
		snprintf(err, CHILD_ERRLEN, "cannot read what it was given");
	else if (pread(fds[1], &byte, 1, 0) >= 0 || errno != EBADF)
		snprintf(err, CHILD_ERRLEN, "has what it was not given");
	else if (write(fds[0], "x", 1) >= 0)
		snprintf(err, CHILD_ERRLEN, "can write");
	else
		return 0;
	return -EEXIST;
}

static int temp_file(const char *text, int flags)
{
	char path[] = "/tmp/l2t-child-XXXXXX";
	int fd = mkstemp(path), again;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	again = open(path, flags | O_CLOEXEC);
	assert_true(again >= 0);
	unlink(path);
	close(fd);
	return again;
}

static void test_files(void **state)
{
	int fds[2] = { temp_file("given", O_RDONLY), temp_file("secret", O_RDWR) };
	char err[CHILD_ERRLEN] = "";
	struct got g = { .len = 0 };
	struct child_job j = { .fn = job_files,
			       .arg = fds,
			       .fds = fds,
			       .n_fds = 1,
			       .timeout_ms = 20000,
			       .frame = take,
			       .ctx = &g };

	(void)state;
	if (child_run(&j, err) != 0)
		fail_msg("%s", err);
	close(fds[0]);
	close(fds[1]);
}

/* --- What goes wrong in it --- */

static int job_crash(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)err;
	child_strict(out);
	__builtin_trap();
}

static int job_exit(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)out, (void)err;
	_exit(0);
}

static int job_hang(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)out, (void)err;
	for (volatile unsigned long i = 0; i + 1; i++)
		;
	return 0;
}

static int job_flood(void *arg, struct child_out *out, char *err)
{
	static const unsigned char zeros[1 << 20];

	(void)arg, (void)err;
	while (child_send(out, KIND, zeros, sizeof(zeros)) == 0)
		;
	return -EPIPE;
}

static int job_memory(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)out, (void)err;
	free(malloc(CHILD_MEMORY / 2));
	return malloc(CHILD_MEMORY) ? -EEXIST : 0;
}

/* Bytes that are no frames, straight into the pipe. */
static int job_garbage(void *arg, struct child_out *out, char *err)
{
	static const unsigned char frame[] = { KIND, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3 };

	(void)arg, (void)err;
	for (int fd = 3; fd < 64; fd++)
		if (write(fd, frame, sizeof(frame)) > 0)
			break;
	(void)out;
	return 0;
}

static int job_half(void *arg, struct child_out *out, char *err)
{
	static const unsigned char frame[] = { KIND, 100, 0, 0, 0, 1, 2, 3 };

	(void)arg, (void)err, (void)out;
	for (int fd = 3; fd < 64; fd++)
		if (write(fd, frame, sizeof(frame)) > 0)
			break;
	_exit(0);
}

static int job_long_error(void *arg, struct child_out *out, char *err)
{
	(void)arg, (void)out;
	memset(err, 'x', CHILD_ERRLEN);
	return -ENOENT;
}

static void test_wrong(void **state)
{
	static const struct {
		job_fn *fn;
		int r;
		const char *said;
	} cases[] = {
		{ job_crash, -EPROTO, "it crashed" }, { job_exit, -EPROTO, "memory" },
		{ job_garbage, -EPROTO, "nonsense" }, { job_half, -EPROTO, "has died" },
		{ job_long_error, -ENOENT, "xxx" },   { job_flood, -EPROTO, "nonsense" },
	};
	char err[CHILD_ERRLEN];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct got g = { .len = 0 };
		int r = run(cases[i].fn, NULL, &g, err);

		if (r != cases[i].r || !strstr(err, cases[i].said))
			fail_msg("%u: %d: %s", i, r, err);
	}
}

static void test_hang(void **state)
{
	char err[CHILD_ERRLEN] = "";
	struct got g = { .len = 0 };
	struct child_job j = { .fn = job_hang, .timeout_ms = 300, .frame = take, .ctx = &g };

	(void)state;
	assert_int_equal(child_run(&j, err), -ETIMEDOUT);
	assert_non_null(strstr(err, "not read within"));
}

/* The only child of a process, or 0. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	FILE *f;
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	return child;
}

/* Its first filter comes when all privileges are gone. */
static bool is_confined(pid_t pid)
{
	char path[64], line[128];
	bool yes = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = pid ? fopen(path, "re") : NULL;
	while (f && fgets(line, sizeof(line), f))
		yes = yes || strcmp(line, "Seccomp:\t2\n") == 0;
	if (f)
		fclose(f);
	return yes;
}

/* True once it is so; within ten seconds. */
static bool ended(pid_t pid)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	return false;
}

/* Whoever began it is killed: it does not live on. */
static void test_orphan(void **state)
{
	pid_t parent, pid = 0;

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	parent = fork();
	if (parent == 0) {
		char err[CHILD_ERRLEN] = "";
		struct got g = { .len = 0 };

		run(job_hang, NULL, &g, err);
		_exit(0);
	}
	for (unsigned i = 0; i < 1000 && !is_confined(pid); i++) {
		usleep(10000);
		pid = child_of(parent);
	}
	assert_true(is_confined(pid));
	kill(parent, SIGKILL);
	assert_true(ended(parent));
	if (!ended(pid)) {
		kill(pid, SIGKILL);
		fail_msg("it lives on");
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* Not under AddressSanitizer, which maps terabytes: there is no such limit then. */
__attribute__((unused)) static void test_memory(void **state)
{
	char err[CHILD_ERRLEN];
	struct got g = { .len = 0 };

	(void)state;
	assert_int_equal(run(job_memory, NULL, &g, err), 0);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(deeds) + 8] = {
		cmocka_unit_test(test_answer),	cmocka_unit_test(test_failure),
		cmocka_unit_test(test_probing), cmocka_unit_test(test_files),
		cmocka_unit_test(test_wrong),	cmocka_unit_test(test_hang),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_memory),
#endif
		cmocka_unit_test(test_orphan),
	};

	for (unsigned i = 0; i < ARRAY_SIZE(deeds); i++)
		tests[8 + i] = (struct CMUnitTest){ deeds[i].name, test_deed, NULL, NULL,
						    (void *)(uintptr_t)&deeds[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
