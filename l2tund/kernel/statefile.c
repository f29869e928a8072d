/*
 * DIR/incarnation holds one decimal number and is replaced as a whole: written under another
 * name, synced, renamed, and the directory synced. An incarnation that was ever used must
 * not come back, so a number that cannot be stored is not used.
 *
 * DIR/lock holds the pid of whoever has it locked (flock(2)); the lock goes with its holder,
 * the file stays.
 */
#include "l2tund/kernel/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/util.h"

#define NUMBER_BYTES 24 /* 20 digits, newline, NUL */

static int path_join(const char *dir, const char *name, char *ret)
{
	return snprintf(ret, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* -ENOENT: no such file; -EBADMSG: no number in it. */
static int read_number(int fd, uint64_t *ret)
{
	char text[NUMBER_BYTES];
	unsigned long long v;
	char *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || text[0] < '0' || text[0] > '9' || (*end && *end != '\n'))
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int read_file(const char *path, uint64_t *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : read_number(fd, ret);
}

static int write_number(int fd, uint64_t v)
{
	char text[NUMBER_BYTES];
	int len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)v);
	ssize_t n = write(fd, text, (size_t)len);

	if (n < 0)
		return -errno;
	if (n < len)
		return -ENOSPC;
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *path, uint64_t v)
{
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	return fd < 0 ? -errno : write_number(fd, v);
}

static int sync_dir(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* EINVAL: a file system that has nothing to sync. */
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

static int store(const char *dir, const char *path, uint64_t v)
{
	char temp[PATH_MAX];
	int r = path_join(dir, "incarnation.new", temp);

	if (r < 0)
		return r;
	r = write_file(temp, v);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temp);
		return r;
	}
	return sync_dir(dir);
}

int state_incarnation(const char *dir, uint64_t wall_s, uint64_t *ret)
{
	char path[PATH_MAX];
	uint64_t stored = 0, fresh;
	int r = path_join(dir, "incarnation", path);

	if (r < 0)
		return r;
	r = read_file(path, &stored);
	if (r < 0 && r != -ENOENT)
		return r;
	if (stored == UINT64_MAX)
		return -EBADMSG;
	fresh = MAX(stored + 1, wall_s);
	r = store(dir, path, fresh);
	if (r == 0)
		*ret = fresh;
	return r;
}

int state_lock(const char *dir, int *ret_fd, pid_t *ret_holder)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	uint64_t holder = 0;
	int r = path_join(dir, "lock", path);

	if (r < 0)
		return r;
	if (mkdir(dir, 0750) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		read_number(fd, &holder);
		*ret_holder = holder <= INT_MAX ? (pid_t)holder : 0;
		return -EBUSY;
	}
	if (ftruncate(fd, 0) < 0)
		return -errno;
	r = write_number(fd, (uint64_t)getpid());
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}
