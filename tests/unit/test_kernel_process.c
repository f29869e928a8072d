/*
 * What a daemon does to its own process: privileges, state directory, service manager,
 * background. Each in a child, so that the test program itself stays as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "l2tund/kernel/background.h"
#include "l2tund/kernel/lookout.h"
#include "l2tund/kernel/notify.h"
#include "l2tund/kernel/privileges.h"
#include "l2tund/kernel/statefile.h"
#include "tests/unit/kernel_support.h"

#define THE_TWO ((UINT64_C(1) << CAP_NET_ADMIN) | (UINT64_C(1) << CAP_NET_RAW))

/* Runs `fn` in a child; its exit status. */
static int in_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* privileges */

/* "CapEff:" of /proc/self/status as a number; `base` 16 for the sets, 10 for the rest. */
static uint64_t status_field(const char *name, int base)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t v = UINT64_MAX;

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) == 0)
			v = strtoull(line + strlen(name), NULL, base);
	}
	if (f)
		fclose(f);
	return v;
}

/* 0 when this process has exactly the two capabilities and can gain nothing. */
static int check_the_two(bool bounding)
{
	if (status_field("CapEff:", 16) != THE_TWO || status_field("CapPrm:", 16) != THE_TWO)
		return 10;
	if (status_field("CapAmb:", 16) != 0)
		return 11;
	if (bounding && status_field("CapBnd:", 16) != 0)
		return 12;
	if (status_field("NoNewPrivs:", 10) != 1)
		return 13;
	return 0;
}

/* What an executed program has. */
static uint64_t caps_of_child(void)
{
	FILE *f = popen("sed -n 's/^CapEff://p' /proc/self/status", "re");
	char line[64] = "";

	if (!f || !fgets(line, sizeof(line), f))
		return UINT64_MAX;
	pclose(f);
	return strtoull(line, NULL, 16);
}

/* Some machines let only root open it; udev gives it to everybody. Only for this process, then. */
static void let_all_open_tun(void)
{
	char node[64];

	snprintf(node, sizeof(node), "/tmp/l2-tun-%d", getpid());
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return;
	if (mknod(node, S_IFCHR | 0600, makedev(10, 200)) < 0)
		return;
	if (chmod(node, 0666) == 0 && mount(node, "/dev/net/tun", NULL, MS_BIND, NULL) < 0)
		perror("bind mount");
	unlink(node);
}

/* Opens a TAP and a packet socket, as the daemon will. */
static int use_them(void)
{
	struct kernel k;
	struct test_tap t;
	struct os_packet *p;
	static const struct os_packet_ops none = { 0 };
	int r;

	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return 0;
	kernel_init(&k);
	r = test_tap_open(&k, &t, "l2t-priv", 1400);
	if (r < 0) {
		fprintf(stderr, "TAP: %s\n", strerror(-r));
		return 21;
	}
	r = k.os->packet_open(k.os, t.index, 0x88b5, &none, NULL, &p);
	if (r < 0)
		return 22;
	k.os->packet_close(k.os, p);
	r = system("test ! -e /proc/sys/net/ipv6/conf/l2t-priv ||"
		   " grep -qx 1 /proc/sys/net/ipv6/conf/l2t-priv/disable_ipv6");
	test_tap_close(&k, &t);
	kernel_fini(&k);
	return r == 0 ? 0 : 23;
}

static int drop_and_stay(void *arg)
{
	char err[128];
	int r;

	(void)arg;
	if (privileges_drop(NULL, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	r = check_the_two(true);
	return r ? r : use_them();
}

static int drop_to_nobody(void *arg)
{
	const struct passwd *pw = getpwnam("nobody");
	char err[128];
	int r;

	(void)arg;
	let_all_open_tun();
	if (privileges_drop("nobody", err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	if (getuid() != pw->pw_uid || geteuid() != pw->pw_uid || getegid() != pw->pw_gid)
		return 2;
	if (getgroups(0, NULL) != 0)
		return 3;
	if (setuid(0) == 0)
		return 4;
	r = check_the_two(true);
	if (r == 0)
		r = use_them();
	if (r)
		return r;
	if (access("/dev/net/tun", W_OK) < 0)
		fprintf(stderr, "not tried: a TAP without root\n");
	/* Hooks get nothing; a daemon that replaces itself gets the two. */
	if (caps_of_child() != 0)
		return 5;
	if (privileges_keep_over_exec() < 0 || caps_of_child() != THE_TWO)
		return 6;
	return 0;
}

/* As systemd starts it with User= and AmbientCapabilities=: no root at all. */
static int drop_as_service(void *arg)
{
	char err[128];

	if (drop_to_nobody(arg) != 0)
		return 1;
	/* Now unprivileged, with the two ambient: once more, by both ways. */
	if (privileges_drop("nobody", err, sizeof(err)) < 0 || check_the_two(true))
		return 30;
	if (privileges_drop(NULL, err, sizeof(err)) < 0 || check_the_two(true))
		return 31;
	/* But it cannot become somebody else. */
	if (privileges_drop("root", err, sizeof(err)) == 0)
		return 32;
	return 0;
}

static int drop_without(void *arg)
{
	char err[128] = "";
	const struct passwd *pw = getpwnam("nobody");

	(void)arg;
	if (setgroups(0, NULL) < 0 || setuid(pw->pw_uid) < 0)
		return 1;
	if (privileges_drop(NULL, err, sizeof(err)) != -EPERM)
		return 2;
	return strstr(err, "CAP_NET_ADMIN") ? 0 : 3;
}

static int drop_to_unknown(void *arg)
{
	char err[128] = "";

	(void)arg;
	if (privileges_drop("no-such-user", err, sizeof(err)) != -ENOENT)
		return 1;
	return strstr(err, "no-such-user") ? 0 : 2;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	close(fd);
	return n < 0 ? -1 : 0;
}

/* Root of a user namespace, like `unshare -mrn`. */
static int drop_in_userns(void *arg)
{
	char map[32];
	unsigned uid = geteuid();

	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
	    write_text("/proc/self/uid_map", map) < 0 ||
	    write_text("/proc/self/setgroups", "deny") < 0 ||
	    write_text("/proc/self/gid_map", map) < 0)
		return 77;
	return drop_and_stay(arg);
}

static int become_nobody(void *arg)
{
	const struct passwd *pw = getpwnam("nobody");

	(void)arg;
	return !pw || setgroups(0, NULL) < 0 || setuid(pw->pw_uid) < 0;
}

/* Root of a user namespace in which there is nobody else does not do. */
static void need_root(void)
{
	if (geteuid() != 0 || in_child(become_nobody, NULL) != 0)
		skip();
}

static void test_drop_stay_root(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(drop_and_stay, NULL), 0);
}

static void test_drop_to_user(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(drop_to_nobody, NULL), 0);
}

static void test_drop_as_service(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(drop_as_service, NULL), 0);
}

static void test_drop_refusals(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(drop_without, NULL), 0);
	assert_int_equal(in_child(drop_to_unknown, NULL), 0);
}

static void test_drop_in_userns(void **state)
{
	int r = in_child(drop_in_userns, NULL);

	(void)state;
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

/* state directory */

struct dir {
	char top[32], state[48];
};

static int setup_dir(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	strcpy(d->top, "/tmp/l2-state-XXXXXX");
	assert_non_null(mkdtemp(d->top));
	snprintf(d->state, sizeof(d->state), "%s/l2tund", d->top);
	*state = d;
	return 0;
}

static int teardown_dir(void **state)
{
	struct dir *d = *state;

	sh("rm -rf %s", d->top);
	free(d);
	return 0;
}

static void test_incarnation(void **state)
{
	struct dir *d = *state;
	uint64_t v = 0, wall = 1700000000;

	assert_int_equal(state_incarnation(d->state, wall, &v), -ENOENT);
	assert_int_equal(v, 0);
	assert_int_equal(mkdir(d->state, 0700), 0);
	assert_int_equal(state_incarnation(d->state, wall, &v), 0);
	assert_int_equal(v, wall);
	assert_int_equal(state_incarnation(d->state, wall, &v), 0);
	assert_int_equal(v, wall + 1);
	/* A clock that went back does not take it back; one that went on does take it on. */
	assert_int_equal(state_incarnation(d->state, 5, &v), 0);
	assert_int_equal(v, wall + 2);
	assert_int_equal(state_incarnation(d->state, wall + 100, &v), 0);
	assert_int_equal(v, wall + 100);
	sh("test \"$(cat %s/incarnation)\" = 1700000100 && test ! -e %s/incarnation.new", d->state,
	   d->state);
	/* Damaged: said, and left as it is. */
	static const char *const bad[] = { "",		 "x",
					   "-5",	 "18446744073709551615",
					   "12 monkeys", "99999999999999999999999" };
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		sh("printf '%%s' '%s' >%s/incarnation", bad[i], d->state);
		assert_int_equal(state_incarnation(d->state, wall, &v), -EBADMSG);
	}
	assert_int_equal(v, wall + 100);
	sh("rm %s/incarnation && mkdir %s/incarnation.new", d->state, d->state);
	assert_int_equal(state_incarnation(d->state, wall, &v), -EISDIR);
	assert_int_equal(v, wall + 100);
}

static int lock_in_child(void *arg)
{
	struct dir *d = arg;
	pid_t holder = 0;
	int fd;

	if (state_lock(d->state, &fd, &holder) != -EBUSY)
		return 1;
	return holder == getppid() ? 0 : 2;
}

static void test_lock(void **state)
{
	struct dir *d = *state;
	pid_t holder = 0;
	int fd = -1;

	assert_int_equal(state_lock(d->state, &fd, &holder), 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	sh("test \"$(cat %s/lock)\" = %d", d->state, getpid());
	assert_int_equal(in_child(lock_in_child, d), 0);
	close(fd);
	/* A stale file with a longer number in it does not matter. */
	sh("echo 1234567890 >%s/lock", d->state);
	assert_int_equal(state_lock(d->state, &fd, &holder), 0);
	sh("test \"$(cat %s/lock)\" = %d", d->state, getpid());
	close(fd);
	snprintf(d->state, sizeof(d->state), "%s/a/b", d->top);
	assert_int_equal(state_lock(d->state, &fd, &holder), -ENOENT);
}

/* lookout */

/* One that hangs costs a tenth of a second, once: frames and hellos wait meanwhile. */
static void test_lookout_silent(void **state)
{
	struct lookout l;
	char buf[64];
	int status, r;

	(void)state;
	assert_int_equal(lookout_start(&l), 0);
	r = lookout_ask(&l, "l2t-none", buf, sizeof(buf));
	assert_true(r == -ENOENT || r == -EACCES);
	assert_int_equal(kill(l.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(l.pid, &status, WUNTRACED), l.pid);
	uint64_t before_us = loop_now_us();
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(lookout_ask(&l, "l2t-none", buf, sizeof(buf)), -ETIMEDOUT);
	assert_in_range(loop_now_us() - before_us, 100 * US_PER_MS, 350 * US_PER_MS);
	assert_int_equal(kill(l.pid, SIGCONT), 0);
	lookout_stop(&l);
}

/* service manager */

static int manager_socket(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, name, len);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	return fd;
}

static const char *manager_read(int fd)
{
	static char buf[512];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, 0) > 0 ? recv(fd, buf, sizeof(buf) - 1, 0) : 0;

	buf[n] = '\0';
	return buf;
}

static void check_notify(const char *name)
{
	unsigned long long before, told;
	struct timespec ts;
	int fd = manager_socket(name);

	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_ready(), 0);
	assert_string_equal(manager_read(fd), "READY=1");
	assert_int_equal(notify_status("%d tunnels\nup", 3), 0);
	assert_string_equal(manager_read(fd), "STATUS=3 tunnels up");
	clock_gettime(CLOCK_MONOTONIC, &ts);
	before = (unsigned long long)ts.tv_sec * US_PER_S + (unsigned long long)ts.tv_nsec / 1000;
	assert_int_equal(notify_reloading(), 0);
	assert_int_equal(sscanf(manager_read(fd), "RELOADING=1\nMONOTONIC_USEC=%llu", &told), 1);
	assert_in_range(told - before, 0, US_PER_S);
	assert_int_equal(notify_stopping(), 0);
	assert_string_equal(manager_read(fd), "STOPPING=1");
	close(fd);
	assert_true(notify_ready() < 0);
}

static void test_notify(void **state)
{
	struct dir *d = *state;
	char name[64];

	snprintf(name, sizeof(name), "%s/notify", d->top);
	check_notify(name);
	snprintf(name, sizeof(name), "@l2-notify-%d", getpid());
	check_notify(name);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
}

/* background */

struct daemon_script {
	const char *dir;
	int report; /* -1: dies without a word */
};

/* What `l2tund` without -f does; the exit status is what the init script sees. */
static int start_daemon(void *arg)
{
	const struct daemon_script *s = arg;
	struct background b;
	char path[64];
	int status = 99;
	int r = background_start(&b, &status);

	if (r == 1)
		return status;
	if (r < 0)
		return 98;
	snprintf(path, sizeof(path), "%s/pid", s->dir);
	if (s->report == 0 && (getsid(0) == getpid() || getpgrp() == getpid()))
		_exit(1); /* a session leader could get a terminal */
	if (s->report == 0 && background_pidfile(path) < 0)
		_exit(1);
	if (s->report >= 0)
		background_report(&b, s->report);
	if (s->report == 0) {
		char null[32] = "";

		/* Only now may the starter be gone, and our streams are nobody's. */
		if (readlink("/proc/self/fd/2", null, sizeof(null) - 1) < 0 ||
		    strcmp(null, "/dev/null"))
			unlink(path);
		for (;;)
			pause();
	}
	_exit(0);
}

static void test_background(void **state)
{
	struct dir *d = *state;
	struct daemon_script s = { .dir = d->top };
	char path[64];
	int pid = 0;
	FILE *f;

	s.report = 3;
	assert_int_equal(in_child(start_daemon, &s), 3);
	s.report = -1;
	assert_int_equal(in_child(start_daemon, &s), EXIT_FAILURE);
	s.report = 0;
	assert_int_equal(in_child(start_daemon, &s), 0);
	snprintf(path, sizeof(path), "%s/pid", d->top);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	assert_int_equal(kill(pid, 0), 0);
	sh("test -e %s && test \"$(readlink /proc/%d/fd/0)\" = /dev/null", path, pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_stay_root),
		cmocka_unit_test(test_drop_to_user),
		cmocka_unit_test(test_drop_as_service),
		cmocka_unit_test(test_drop_refusals),
		cmocka_unit_test(test_drop_in_userns),
		cmocka_unit_test_setup_teardown(test_incarnation, setup_dir, teardown_dir),
		cmocka_unit_test_setup_teardown(test_lock, setup_dir, teardown_dir),
		cmocka_unit_test(test_lookout_silent),
		cmocka_unit_test_setup_teardown(test_notify, setup_dir, teardown_dir),
		cmocka_unit_test_setup_teardown(test_background, setup_dir, teardown_dir),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
