/*
 * The directory of sockets of what runs. It is its owner's alone. A socket whose process is gone
 * refuses connections; whoever finds one removes it, with the directory locked, so that none that
 * is just being made is taken for one.
 */
#include "bridgectl/transfer/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/util.h"

int rundir_path(const char *given, char *buf, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (given)
		n = snprintf(buf, size, "%s", given);
	else if (geteuid() == 0)
		n = snprintf(buf, size, "/run/bridgectl");
	else if (xdg && *xdg == '/')
		n = snprintf(buf, size, "%s/bridgectl", xdg);
	else
		return -ENOENT;
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int rundir_make(const char *dir, char *err)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		snprintf(err, RUNDIR_ERRLEN, "cannot make %s: %s", dir, strerror(errno));
		return -errno;
	}
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077)) {
		snprintf(err, RUNDIR_ERRLEN, "%s is not a directory of this user alone (mode 0700)",
			 dir);
		return -EPERM;
	}
	return 0;
}

int rundir_lock(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int connect_to(const struct sockaddr_un *a, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int rundir_connect(const struct sockaddr_un *a, int type)
{
	int fd = connect_to(a, type);

	if (fd != -ECONNREFUSED)
		return fd;
	unlink(a->sun_path);
	return -ENOENT;
}
