/*
 * Opening a place that will be written to. The order matters: first it is opened (O_EXCL makes the
 * kernel say no when a device is mounted or has a holder) and locked, then everybody else who may
 * use it is looked for, then what it is and holds. So nothing can change between question and
 * use that minds any of these locks.
 */
#include "bridgectl/disk/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/probe.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/disk/target_private.h"
#include "common/util.h"

/* QEMU's block/file-posix.c: RAW_LOCK_PERM_BASE 100, RAW_LOCK_SHARED_BASE 200, a byte for each. */
#define QEMU_LOCK_FIRST 100
#define QEMU_LOCK_BYTES 200
/* udev takes a shared flock() while it looks at a device, which is soon over. */
#define LOCK_TRIES 40
#define LOCK_WAIT_MS 50

#define fail(err, r, ...) disk_fail(err, TARGET_ERRLEN, r, __VA_ARGS__)

static bool below_dev(const char *path)
{
	return !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9);
}

/* Without the file's own name, which need not be there: its folder must. */
static int resolve_new(const char *path, char resolved[PATH_MAX], char *err)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return fail(err, -EINVAL, "%s is a folder", path);
	if (!realpath(folder, resolved))
		return fail(err, -errno, "%s: %s", folder, strerror(errno));
	if (strlen(resolved) + strlen(name) + 2 > PATH_MAX)
		return fail(err, -ENAMETOOLONG, "%s is too long a path", path);
	if (strcmp(resolved, "/"))
		strcat(resolved, "/");
	strcat(resolved, name);
	return 0;
}

static int resolve(const char *path, char resolved[PATH_MAX], char *err)
{
	int r;

	if (realpath(path, resolved))
		return 0;
	r = -errno;
	if (below_dev(path))
		return fail(err, -EINVAL, "%s: there is no such device", path);
	return fail(err, r, "%s: %s", path, strerror(-r));
}

static int kind_of(const char *path, const struct stat *st, enum target_kind *ret, char *err)
{
	if (S_ISBLK(st->st_mode)) {
		*ret = TARGET_BLOCK;
		return 0;
	}
	if (S_ISDIR(st->st_mode))
		return fail(err, -EINVAL, "%s is a folder", path);
	if (!S_ISREG(st->st_mode))
		return fail(err, -EINVAL, "%s is neither a file nor a block device", path);
	if (below_dev(path))
		return fail(err, -EINVAL,
			    "%s is a file and no device: somebody has mistyped a name", path);
	*ret = TARGET_FILE;
	return 0;
}

static int check_not_source(const char *path, const struct stat *st, const char *not_this,
			    char *err)
{
	struct stat source;
	struct place p;

	if (!not_this || stat(not_this, &source) < 0)
		return 0;
	place_from_stat(st, &p);
	if (!place_reaches(&p, &source))
		return 0;
	return fail(err, -EXDEV, "%s is the source itself (%s), or shares its bytes with it", path,
		    not_this);
}

/* Opens without waiting and without making anything, then fills in what it is. */
static int open_place(const char *path, int flags, const char *not_this, struct target *t,
		      struct stat *ret_st, char *err)
{
	char resolved[PATH_MAX];
	struct stat st;
	int r = resolve(path, resolved, err);

	if (r < 0)
		return r;
	if (stat(resolved, &st) < 0)
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	r = kind_of(resolved, &st, &t->kind, err);
	if (!r)
		r = check_not_source(path, &st, not_this, err);
	if (r < 0)
		return r;
	if ((flags & O_ACCMODE) == O_RDWR && t->kind == TARGET_BLOCK)
		flags |= O_EXCL;
	t->fd = open(resolved, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (t->fd < 0)
		return -errno;
	if (fstat(t->fd, ret_st) < 0 || ret_st->st_dev != st.st_dev || ret_st->st_ino != st.st_ino)
		return fail(err, -ESTALE, "%s has just become something else", path);
	r = probe_size(t->fd, &t->bytes);
	if (r < 0)
		return fail(err, r, "%s: its size cannot be read: %s", path, strerror(-r));
	t->dev = t->kind == TARGET_BLOCK ? ret_st->st_rdev : ret_st->st_dev;
	t->inode = t->kind == TARGET_BLOCK ? 0 : ret_st->st_ino;
	snprintf(t->path, sizeof(t->path), "%s", resolved);
	return 0;
}

/* EBUSY: by whom. */
static int say_why_not_open(const char *path, int r, char *err)
{
	char who[256];

	if (r == -EBUSY || r == -ETXTBSY)
		return fail(err, -EBUSY, "%s is in use: %s", path,
			    target_user(path, who, sizeof(who)) > 0 ?
				    who :
				    "the kernel has claimed it, as for a mount in a container; "
				    "lsblk and fuser -v may tell more");
	if (r == -EROFS)
		return fail(err, r, "%s is read-only", path);
	return fail(err, r, "%s: %s", path, strerror(-r));
}

static int lock_ours(int fd)
{
	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (i == LOCK_TRIES)
			return -EBUSY;
		poll(NULL, 0, LOCK_WAIT_MS);
	}
	return 0;
}

/* Every lock of a QEMU that has it open, even for reading, is in the way of this one. */
static int lock_against_qemu(int fd)
{
	struct flock l = { .l_type = F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = QEMU_LOCK_FIRST,
			   .l_len = QEMU_LOCK_BYTES };

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static int lock_place(const struct target *t, char *err)
{
	char who[256];
	int r = lock_against_qemu(t->fd);

	if (r == 0)
		r = lock_ours(t->fd);
	if (r == -EBUSY)
		return fail(err, r, "%s is in use: %s", t->path,
			    target_user(t->path, who, sizeof(who)) > 0 ? who :
									 "a program has locked it");
	if (r < 0)
		return fail(err, r, "%s cannot be locked: %s", t->path, strerror(-r));
	return 0;
}

static int check_users(const struct target *t, const struct place *p, char *err)
{
	char who[256];
	int r = place_user(p, who, sizeof(who));

	if (r > 0)
		return fail(err, -EBUSY, "%s is in use: %s", t->path, who);
	if (r < 0)
		return fail(err, r, "%s: cannot see who uses it: %s", t->path, strerror(-r));
	return 0;
}

static int check_writable(const struct target *t, char *err)
{
	int ro = 0;

	if (t->kind == TARGET_BLOCK && ioctl(t->fd, BLKROGET, &ro) == 0 && ro)
		return fail(err, -EROFS, "%s is read-only", t->path);
	return 0;
}

static int check_room(const struct target *t, uint64_t bytes, char *err)
{
	char more[SIZE_STRLEN];

	if (t->bytes >= bytes)
		return 0;
	return fail(err, -ENOSPC, "%s is too small: it has %ju bytes, %ju are needed, %s more",
		    t->path, (uintmax_t)t->bytes, (uintmax_t)bytes,
		    size_format(bytes - t->bytes, more));
}

static int check_empty(const struct target *t, char *err)
{
	char what[256];
	int r = target_content(t->fd, t->bytes, what, sizeof(what));

	if (r > 0)
		return fail(err, -EEXIST, "%s is not empty: it has %s", t->path, what);
	if (r < 0)
		return fail(err, r, "%s cannot be read: %s", t->path, strerror(-r));
	return 0;
}

static int check_place(const struct target *t, const struct stat *st, const struct target_want *w,
		       char *err)
{
	struct place p;
	int r;

	place_from_stat(st, &p);
	r = check_writable(t, err);
	if (!r)
		r = lock_place(t, err);
	if (!r)
		r = check_users(t, &p, err);
	if (!r)
		r = check_room(t, w->bytes, err);
	if (!r && !w->overwrite)
		r = check_empty(t, err);
	return r;
}

int target_open(const char *path, const struct target_want *w, struct target *ret, char *err)
{
	struct target t = { .fd = -1 };
	struct stat st;
	int r;

	err[0] = '\0';
	r = open_place(path, O_RDWR, w->not_this, &t, &st, err);
	if (r < 0 && !err[0])
		r = say_why_not_open(path, r, err);
	if (!r)
		r = check_place(&t, &st, w, err);
	if (r < 0) {
		target_close(&t);
		return r;
	}
	*ret = t;
	return 0;
}

static int check_free_space(int fd, const char *path, uint64_t bytes, char *err)
{
	struct statvfs fs;
	uint64_t room;

	if (fstatvfs(fd, &fs) < 0)
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= bytes)
		return 0;
	return fail(err, -ENOSPC, "%s: its file system has %ju bytes free, %ju are needed", path,
		    (uintmax_t)room, (uintmax_t)bytes);
}

static int open_new(const char *path, int *ret_fd, char *err)
{
	int r;

	*ret_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*ret_fd >= 0)
		return 0;
	r = -errno;
	if (r == -EEXIST)
		return fail(err, r, "%s exists already", path);
	return fail(err, r, "%s cannot be made: %s", path, strerror(-r));
}

static int set_up_new(struct target *t, uint64_t bytes, bool sparse_ok, char *err)
{
	struct stat st;
	int r = 0;

	if (!sparse_ok)
		r = check_free_space(t->fd, t->path, bytes, err);
	if (r < 0)
		return r;
	if (bytes > INT64_MAX || ftruncate(t->fd, (off_t)bytes) < 0)
		return fail(err, errno == EFBIG ? -ENOSPC : -errno,
			    "%s: its file system takes no file of %ju bytes", t->path,
			    (uintmax_t)bytes);
	if (fstat(t->fd, &st) < 0)
		return fail(err, -errno, "%s: %s", t->path, strerror(errno));
	t->kind = TARGET_FILE;
	t->bytes = bytes;
	t->dev = st.st_dev;
	t->inode = st.st_ino;
	return lock_place(t, err);
}

int target_create(const char *path, uint64_t bytes, bool sparse_ok, struct target *ret, char *err)
{
	struct target t = { .fd = -1 };
	int r;

	err[0] = '\0';
	r = resolve_new(path, t.path, err);
	if (r < 0)
		return r;
	if (below_dev(t.path))
		return fail(err, -EINVAL, "%s: there is no such device, and no file is made there",
			    path);
	r = open_new(t.path, &t.fd, err);
	if (r < 0)
		return r;
	r = set_up_new(&t, bytes, sparse_ok, err);
	if (r < 0) {
		unlink(t.path);
		target_close(&t);
		return r;
	}
	*ret = t;
	return 0;
}

int target_reopen(int locked_fd, const char *path, struct target *ret, char *err)
{
	struct target t = { .fd = -1 };
	struct stat st, locked;
	char self[32];
	int r;

	err[0] = '\0';
	r = open_place(path, O_RDONLY, NULL, &t, &st, err);
	if (r == 0 && (fstat(locked_fd, &locked) < 0 || locked.st_dev != st.st_dev ||
		       locked.st_ino != st.st_ino))
		r = fail(err, -ESTALE, "%s has just become something else", path);
	target_close(&t);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", locked_fd);
	if (r == 0)
		t.fd = open(self, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (r == 0 && t.fd < 0)
		r = -errno;
	if (r < 0)
		return err[0] ? r : fail(err, r, "%s: %s", path, strerror(-r));
	*ret = t;
	return 0;
}

void target_close(struct target *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

int source_open(const char *path, struct target *ret, char *err)
{
	struct target t = { .fd = -1 };
	struct stat st;
	int r;

	err[0] = '\0';
	r = open_place(path, O_RDONLY, NULL, &t, &st, err);
	if (r < 0) {
		if (!err[0])
			fail(err, r, "%s: %s", path, strerror(-r));
		target_close(&t);
		return r;
	}
	*ret = t;
	return 0;
}

int target_user(const char *path, char *buf, size_t size)
{
	struct place p;
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	place_from_stat(&st, &p);
	return place_user(&p, buf, size);
}
