/*
 * One datagram with a device name in, one with an error and a text out, over a
 * socket pair. The child keeps that socket and two capabilities that only read, and
 * ends when the other side is closed.
 */
#include "l2tund/kernel/lookout.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

#define ASK_TIMEOUT_MS 100
#define SILENCE_US (10 * US_PER_S)
#define FOUND_AGE_US US_PER_S
#define MISSING_AGE_US (100 * US_PER_MS)

struct answer {
	int error;
	char text[OWNER_TEXT];
};

/* ptrace(2) access checks, and folders in /proc of other users' processes. */
static void keep_reading_rights(void)
{
	static const unsigned wanted[] = { CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH };
	bool held[ARRAY_SIZE(wanted)];

	capng_get_caps_process();
	bool bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		held[i] = capng_have_capability(CAPNG_PERMITTED, wanted[i]);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (held[i])
			capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
				     wanted[i]);
	}
	if (capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0)
		_exit(1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* The devices as they were at most `age_us` ago. */
static int look(struct owners *o, uint64_t *read_us, uint64_t age_us)
{
	uint64_t now_us = loop_now_us();

	if (*read_us && now_us - *read_us < age_us)
		return 0;
	int r = owners_read(o);
	*read_us = r < 0 ? 0 : now_us;
	return r;
}

/*
 * Whoever asks for one device mostly asks for all, one by one, while frames wait. One that is
 * not on the list may be newer.
 */
static void serve_one(int fd, const char *name)
{
	static struct owners owners;
	static uint64_t read_us;
	struct answer a = { 0 };

	a.error = look(&owners, &read_us, FOUND_AGE_US);
	if (!a.error)
		a.error = owners_find(&owners, name, a.text, sizeof(a.text));
	if (a.error && look(&owners, &read_us, MISSING_AGE_US) == 0)
		a.error = owners_find(&owners, name, a.text, sizeof(a.text));
	send(fd, &a, sizeof(a), MSG_NOSIGNAL);
}

static void __attribute__((noreturn)) serve(int fd)
{
	char name[IFNAMSIZ];
	ssize_t n;

	prctl(PR_SET_NAME, "l2tund-lookout");
	keep_reading_rights();
	while ((n = recv(fd, name, sizeof(name), 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n == sizeof(name) && memchr(name, '\0', sizeof(name)))
			serve_one(fd, name);
	}
	_exit(0);
}

/* Those that mean the daemon: Ctrl-C goes to the whole group, `pkill -HUP l2tund` to both. */
static void ignore_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
}

/*
 * Whatever the parent has open is not for this one. Nor is the terminal or pipe of whoever started
 * us: he would wait for its end, which the daemon lets him see when it goes to the background.
 */
static void close_all_but(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; null >= 0 && i <= STDERR_FILENO; i++)
		dup2(null, i);
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
}

int lookout_start(struct lookout *ret)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		ignore_signals();
		close_all_but(fds[1]);
		serve(fds[1]);
	}
	int r = pid < 0 ? -errno : 0;
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	*ret = (struct lookout){ .fd = fds[0], .pid = pid };
	return 0;
}

void lookout_stop(struct lookout *l)
{
	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* An answer that came too late for its question must not be taken for the next one's. */
static void drop_old_answers(int fd)
{
	struct answer a;

	while (recv(fd, &a, sizeof(a), MSG_DONTWAIT) > 0)
		continue;
}

int lookout_ask(struct lookout *l, const char *name, char *buf, size_t size)
{
	char question[IFNAMSIZ] = "";
	struct pollfd p = { .fd = l->fd, .events = POLLIN };
	struct answer a;

	if (loop_now_us() < l->silent_us)
		return -ETIMEDOUT;
	snprintf(question, sizeof(question), "%s", name);
	drop_old_answers(l->fd);
	if (send(l->fd, question, sizeof(question), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	if (poll(&p, 1, ASK_TIMEOUT_MS) <= 0) {
		l->silent_us = loop_now_us() + SILENCE_US;
		return -ETIMEDOUT;
	}
	if (recv(l->fd, &a, sizeof(a), MSG_DONTWAIT) != sizeof(a))
		return -EIO;
	if (a.error == 0)
		snprintf(buf, size, "%.*s", (int)sizeof(a.text) - 1, a.text);
	return a.error;
}
