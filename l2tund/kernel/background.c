/*
 * daemon(7), "SysV daemons": fork, a session of its own, fork again so that it never gets a
 * controlling terminal. The pipe carries one byte, the exit status of the command; its end
 * without a byte is the daemon's death.
 */
#include "l2tund/kernel/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>

#include "common/util.h"

static int wait_report(int fd, pid_t child)
{
	uint8_t status;
	ssize_t n;

	do {
		n = read(fd, &status, sizeof(status));
	} while (n < 0 && errno == EINTR);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	return n == 1 ? status : EXIT_FAILURE;
}

/* In the first child: the second one goes on, this one has done its part. */
static int detach(void)
{
	pid_t pid;

	if (setsid() < 0)
		return -errno;
	pid = fork();
	if (pid > 0)
		_exit(0);
	if (pid < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

int background_start(struct background *b, int *ret_status)
{
	int fds[2];
	pid_t pid;

	b->fd = -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (pid == 0) {
		close(fds[0]);
		b->fd = fds[1];
		return detach();
	}
	close(fds[1]);
	*ret_status = wait_report(fds[0], pid);
	close(fds[0]);
	return 1;
}

static void silence(void)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i <= 2 && fd >= 0; i++)
		dup2(fd, i);
	if (fd <= 2)
		fd = -1; /* it became one of them */
}

void background_report(struct background *b, int status)
{
	uint8_t byte = (uint8_t)status;

	if (b->fd < 0)
		return;
	if (status == 0)
		silence();
	/* If nobody reads any more, nobody waits. */
	while (write(b->fd, &byte, sizeof(byte)) < 0 && errno == EINTR)
		continue;
	close(b->fd);
	b->fd = -1;
}

int background_pidfile(const char *path)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		return -errno;
	return write(fd, text, (size_t)len) == len ? 0 : -EIO;
}
