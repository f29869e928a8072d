/*
 * The life of the whole process, started as an init script does: what the command leaves behind
 * for whoever started it, what a second one does to the first, who may steer it, how it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "l2tund/kernel/loop.h"
#include "l2tund/run.h"
#include "tests/unit/kernel_support.h"

#define UNPRIVILEGED "nobody"

struct run_dir {
	char top[32];
	char conf[64], pid_file[64], control[64];
};

static int setup(void **state)
{
	struct run_dir *d = calloc(1, sizeof(*d));

	strcpy(d->top, "/tmp/l2tund-run-XXXXXX");
	assert_non_null(mkdtemp(d->top));
	assert_int_equal(chmod(d->top, 0755), 0);
	snprintf(d->conf, sizeof(d->conf), "%s/conf", d->top);
	snprintf(d->pid_file, sizeof(d->pid_file), "%s/pid", d->top);
	snprintf(d->control, sizeof(d->control), "%s/sock", d->top);
	sh("head -c 32 /dev/urandom | base64 >%s/key && chmod 600 %s/key", d->top, d->top);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct run_dir *d = *state;

	/* What a failed test has left. */
	sh("test ! -e %s || kill -9 $(cat %s)", d->pid_file, d->pid_file);
	sh("rm -r %s", d->top);
	free(d);
	return 0;
}

static void configure(const struct run_dir *d, const char *more)
{
	sh("echo 'node { private-key = \"%s/key\" control = \"%s\" state-dir = \"%s/state\" "
	   "listen = {\"127.0.0.1:4655\"} %s }' >%s && chmod 600 %s",
	   d->top, d->control, d->top, more, d->conf, d->conf);
}

/* Runs the command with its output in a pipe; its status, and what it printed until all closed. */
static int command(const struct run_dir *d, char *out, size_t size)
{
	char program[] = "l2tund", c[] = "-c", p_option[] = "-p";
	char conf[sizeof(d->conf)], pid_file[sizeof(d->pid_file)];
	char *argv[] = { program, c, conf, p_option, pid_file, NULL };
	struct pollfd p = { .events = POLLIN };
	int fds[2], status;
	size_t len = 0;
	ssize_t n = 1;

	strcpy(conf, d->conf);
	strcpy(pid_file, d->pid_file);
	fflush(NULL);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		_exit(run_main(5, argv));
	}
	close(fds[1]);
	p.fd = fds[0];
	while (n > 0) {
		if (poll(&p, 1, WAIT_US / 1000) == 0)
			fail_msg("somebody keeps the output open: %.*s", (int)len, out);
		n = read(fds[0], out + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	out[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static int pid_of(const struct run_dir *d)
{
	FILE *f = fopen(d->pid_file, "re");
	int pid = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	assert_int_equal(kill(pid, 0), 0);
	return pid;
}

static int start(const struct run_dir *d)
{
	char out[4096];

	if (command(d, out, sizeof(out)) != 0)
		fail_msg("%s", out);
	return pid_of(d);
}

static bool is_alive(int pid)
{
	char path[32], line[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	char *got = fgets(line, sizeof(line), f);
	fclose(f);
	return got && !strstr(line, ") Z");
}

static void stop(int pid)
{
	uint64_t until_us = loop_now_us() + WAIT_US;

	assert_int_equal(kill(pid, SIGTERM), 0);
	while (is_alive(pid)) {
		assert_true(loop_now_us() < until_us);
		poll(NULL, 0, 1);
	}
}

/* Its lookout, the only child. */
static int child_of(int pid)
{
	char path[64];
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	fclose(f);
	return child;
}

static void ends_as_it_began(void **state)
{
	const struct run_dir *d = *state;

	configure(d, "");
	int pid = start(d); /* whose output was closed by everybody */
	int lookout = child_of(pid);
	stop(pid);
	assert_false(is_alive(lookout));
	assert_int_equal(access(d->pid_file, F_OK), -1);
	assert_int_equal(access(d->control, F_OK), -1);
}

static void second_one_disturbs_nothing(void **state)
{
	const struct run_dir *d = *state;
	char out[4096], want[64];

	configure(d, "");
	int pid = start(d);
	assert_int_equal(command(d, out, sizeof(out)), 1);
	snprintf(want, sizeof(want), "(pid %d)", pid);
	if (!strstr(out, want))
		fail_msg("no `%s` in: %s", want, out);
	assert_int_equal(pid_of(d), pid);
	assert_int_equal(access(d->control, F_OK), 0);
	stop(pid);
}

/* `pkill -HUP l2tund` means the daemon, and finds both. */
static void lookout_outlives_signals_for_the_daemon(void **state)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGUSR2 };
	const struct run_dir *d = *state;

	configure(d, "");
	int pid = start(d);
	int lookout = child_of(pid);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(kill(lookout, signals[i]), 0);
	poll(NULL, 0, 20); /* time to die in */
	assert_true(is_alive(lookout));
	stop(pid);
}

static void become(const char *name)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw || setgroups(0, NULL) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		_exit(100);
}

/* One request as that user; 0 when `want` is in the reply. */
static int ask_as(const struct run_dir *d, const char *user, const char *want)
{
	static const char request[] =
		"{\"id\":1,\"method\":\"tunnel.up\",\"params\":{\"name\":\"x\"}}\n";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char reply[512] = "";
	int status;

	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		become(user);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		snprintf(a.sun_path, sizeof(a.sun_path), "%s", d->control);
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			_exit(101);
		if (write(fd, request, strlen(request)) < 0 ||
		    read(fd, reply, sizeof(reply) - 1) <= 0)
			_exit(102);
		_exit(strstr(reply, want) ? 0 : 103);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void its_own_user_may_steer_it(void **state)
{
	const struct run_dir *d = *state;
	const struct passwd *pw = getpwnam(UNPRIVILEGED);
	const struct group *gr = pw ? getgrgid(pw->pw_gid) : NULL;
	char more[128];

	if (!gr)
		skip();
	/* The key must be its user's. */
	sh("chown %s %s/key", UNPRIVILEGED, d->top);
	snprintf(more, sizeof(more), "user = \"%s\" control-group = \"%s\"", UNPRIVILEGED,
		 gr->gr_name);
	configure(d, more);
	int pid = start(d);
	assert_int_equal(ask_as(d, UNPRIVILEGED, "not-found"), 0);
	stop(pid);
	snprintf(more, sizeof(more), "control-group = \"%s\"", gr->gr_name);
	configure(d, more);
	sh("chown root %s/key", d->top);
	pid = start(d);
	assert_int_equal(ask_as(d, UNPRIVILEGED, "not-permitted"), 0);
	assert_int_equal(ask_as(d, "root", "not-found"), 0);
	stop(pid);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ends_as_it_began),
		TEST(second_one_disturbs_nothing),
		TEST(lookout_outlives_signals_for_the_daemon),
		TEST(its_own_user_may_steer_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	need_tap();
	sh("ip link set lo up");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
