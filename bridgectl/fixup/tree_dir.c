/*
 * A folder as a tree. The kernel itself sees to it that no path leaves the folder: openat2(2)
 * with the folder as root, no symbolic links (tree.c follows them), no other file system below.
 * Nothing but regular files is ever opened for reading or writing: a FIFO would wait, a device do
 * something.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/tree.h"
#include "common/io.h"
#include "common/util.h"

#define SELINUX "security.selinux"
#define LABEL_MAX 1024

struct tree_dir {
	struct tree tree;
	int fd;
};

static int fd_of(const struct tree *t)
{
	return container_of(t, const struct tree_dir, tree)->fd;
}

/* Descriptor or negative errno. The last part may be a link with O_PATH | O_NOFOLLOW only. */
static int open_in(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV |
			   RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int open_node(struct tree *t, const char *path, struct stat *ret)
{
	int fd = open_in(fd_of(t), path, O_PATH | O_NOFOLLOW, 0);

	if (fd >= 0 && fstat(fd, ret) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* A regular file, opened as `flags` say, and the same that it was when it was looked at. */
static int open_regular(struct tree *t, const char *path, int flags, struct stat *ret)
{
	_cleanup_close_ int node = open_node(t, path, ret);
	struct stat now;
	int fd;

	if (node < 0)
		return node;
	if (!S_ISREG(ret->st_mode))
		return S_ISDIR(ret->st_mode) ? -EISDIR : -EINVAL;
	fd = open_in(fd_of(t), path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (fd >= 0 && (fstat(fd, &now) < 0 || now.st_ino != ret->st_ino)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static enum tree_kind kind_of(mode_t mode)
{
	if (S_ISREG(mode))
		return TREE_FILE;
	if (S_ISDIR(mode))
		return TREE_DIR;
	return S_ISLNK(mode) ? TREE_LINK : TREE_OTHER;
}

static int dir_stat(struct tree *t, const char *path, struct tree_stat *ret)
{
	struct stat st;
	_cleanup_close_ int fd = open_node(t, path, &st);

	if (fd < 0)
		return fd;
	*ret = (struct tree_stat){
		.kind = kind_of(st.st_mode),
		.size = (uint64_t)st.st_size,
		.mode = st.st_mode & 07777,
		.uid = st.st_uid,
		.gid = st.st_gid,
	};
	return 0;
}

static int dir_link(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	struct stat st;
	_cleanup_close_ int fd = open_node(t, path, &st);
	char text[TREE_PATH_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	if (!S_ISLNK(st.st_mode))
		return -EINVAL;
	n = readlinkat(fd, "", text, sizeof(text));
	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof(text))
		return -ENAMETOOLONG;
	memcpy(ret, text, (size_t)n);
	ret[n] = '\0';
	return 0;
}

/* `size` bytes or fewer, where the file ends earlier; the number of bytes, or negative errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = read(fd, buf + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int dir_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len)
{
	struct stat st;
	_cleanup_close_ int fd = open_regular(t, path, O_RDONLY, &st);
	_cleanup_free_ char *buf = NULL;
	ssize_t n;

	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	n = read_all(fd, buf, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	*ret_len = (size_t)n;
	*ret = steal(buf);
	return 0;
}

static int dir_list(struct tree *t, const char *path, tree_name_fn fn, void *arg)
{
	int fd = open_in(fd_of(t), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), r;
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	for (errno = 0; (e = readdir(d)); errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!fn(arg, e->d_name))
			break;
	}
	r = e ? 0 : -errno;
	closedir(d);
	return r;
}

static int dir_write(struct tree *t, const char *path, const char *data, size_t len)
{
	struct stat st;
	_cleanup_close_ int fd = -1;
	int r;

	if (t->why_readonly)
		return -EROFS;
	fd = open_regular(t, path, O_WRONLY, &st);
	if (fd < 0)
		return fd;
	r = io_write_all(fd, data, len);
	if (r == 0 && ftruncate(fd, (off_t)len) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

/* The directory that `path` is in, opened; *ret_name is its last part. */
static int open_parent(struct tree *t, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = NULL;

	if (!slash || !slash[1])
		return -EINVAL;
	parent = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
	*ret_name = slash + 1;
	return open_in(fd_of(t), parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

/* Where this host's kernel has no SELinux, nobody else gives a new file its folder's label. */
static void copy_label(struct tree *t, const char *path, int fd)
{
	const char *name;
	_cleanup_close_ int parent = open_parent(t, path, &name);
	char label[LABEL_MAX];
	ssize_t n;

	if (parent < 0 || fgetxattr(fd, SELINUX, label, sizeof(label)) >= 0)
		return;
	n = fgetxattr(parent, SELINUX, label, sizeof(label));
	if (n > 0)
		fsetxattr(fd, SELINUX, label, (size_t)n, 0);
}

static int dir_create(struct tree *t, const char *path, uint32_t mode, const char *data, size_t len)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (t->why_readonly)
		return -EROFS;
	fd = open_in(fd_of(t), path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	r = geteuid() == 0 && fchown(fd, 0, 0) < 0 ? -errno : 0;
	if (r == 0 && fchmod(fd, mode & 07777) < 0)
		r = -errno;
	if (r == 0 && geteuid() == 0)
		copy_label(t, path, fd);
	if (r == 0)
		r = io_write_all(fd, data, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

static int dir_remove(struct tree *t, const char *path)
{
	const char *name = NULL;
	_cleanup_close_ int parent = -1;
	struct tree_stat st;
	int r;

	if (t->why_readonly)
		return -EROFS;
	r = dir_stat(t, path, &st);
	if (r < 0)
		return r;
	if (st.kind != TREE_FILE && st.kind != TREE_LINK)
		return st.kind == TREE_DIR ? -EISDIR : -EINVAL;
	parent = open_parent(t, path, &name);
	if (parent < 0)
		return parent;
	if (unlinkat(parent, name, 0) < 0 || fsync(parent) < 0)
		return -errno;
	return 0;
}

static void dir_free(struct tree *t)
{
	struct tree_dir *d = container_of(t, struct tree_dir, tree);

	close(d->fd);
	free(d);
}

static const struct tree_ops dir_ops = {
	.stat = dir_stat,
	.link = dir_link,
	.read = dir_read,
	.list = dir_list,
	.write = dir_write,
	.create = dir_create,
	.remove = dir_remove,
	.free = dir_free,
};

/* `fd` is the tree's from here on, also after an error. */
static int dir_new(int fd, bool readonly, struct tree **ret)
{
	struct tree_dir *d;
	int probe = open_in(fd, "/", O_PATH, 0);

	if (probe < 0) {
		close(fd);
		return probe;
	}
	close(probe);
	d = mem_new(sizeof(*d));
	d->tree.ops = &dir_ops;
	d->tree.why_readonly = readonly ? "it was opened for reading only" : NULL;
	d->fd = fd;
	*ret = &d->tree;
	return 0;
}

int tree_dir_open(const char *folder, bool readonly, struct tree **ret)
{
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : dir_new(fd, readonly, ret);
}

int tree_dir_at(int base, const char *path, bool readonly, struct tree **ret)
{
	int fd = open_in(base, path, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : dir_new(fd, readonly, ret);
}
