/*
 * Who uses a file or block device, as far as /proc and /sys tell. O_EXCL alone does not do: QEMU
 * and Xen's blkback open devices without it, and a file has nothing like it. A disk counts as
 * used when one of its partitions is, and the other way round.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "bridgectl/disk/target_private.h"
#include "common/util.h"

const char *target_sys = "/sys";

static void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* --- Small files ---------------------------------------------------------------------------- */

static int read_line(int folder, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static int read_path(char *buf, size_t size, const char *fmt, ...) _printf_(3, 4);

static int read_path(char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return read_line(AT_FDCWD, path, buf, size);
}

static DIR *open_folder(const char *fmt, ...) _printf_(1, 2);

static DIR *open_folder(const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return opendir(path);
}

/* "." and ".." out. */
static struct dirent *next_entry(DIR *d)
{
	struct dirent *e;

	do
		e = readdir(d);
	while (e && e->d_name[0] == '.');
	return e;
}

/* --- What shares its bytes -------------------------------------------------------------------- */

static void add_kin(struct place *p, const char *text)
{
	unsigned major, minor;

	if (p->n_kin < PLACE_KIN_MAX && sscanf(text, "%u:%u", &major, &minor) == 2)
		p->kin[p->n_kin++] = makedev(major, minor);
}

static void find_kin(struct place *p)
{
	unsigned ma = major(p->dev), mi = minor(p->dev);
	_cleanup_closedir_ DIR *d = open_folder("%s/dev/block/%u:%u", target_sys, ma, mi);
	struct dirent *e;
	char text[64], name[NAME_MAX + 16];

	if (read_path(text, sizeof(text), "%s/dev/block/%u:%u/partition", target_sys, ma, mi) ==
		    0 &&
	    read_path(text, sizeof(text), "%s/dev/block/%u:%u/../dev", target_sys, ma, mi) == 0) {
		add_kin(p, text);
		return;
	}
	while (d && (e = next_entry(d))) {
		snprintf(name, sizeof(name), "%s/partition", e->d_name);
		if (read_line(dirfd(d), name, text, sizeof(text)) < 0)
			continue;
		snprintf(name, sizeof(name), "%s/dev", e->d_name);
		if (read_line(dirfd(d), name, text, sizeof(text)) == 0)
			add_kin(p, text);
	}
}

void place_from_stat(const struct stat *st, struct place *ret)
{
	*ret = (struct place){ .block = S_ISBLK(st->st_mode) };
	ret->dev = ret->block ? st->st_rdev : st->st_dev;
	ret->inode = ret->block ? 0 : st->st_ino;
	if (!ret->block)
		return;
	ret->kin[ret->n_kin++] = ret->dev;
	find_kin(ret);
}

static bool is_device(const struct place *p, dev_t dev)
{
	for (unsigned i = 0; i < p->n_kin; i++)
		if (p->kin[i] == dev)
			return true;
	return false;
}

bool place_is(const struct place *p, const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return is_device(p, st->st_rdev);
	return !p->block && st->st_dev == p->dev && st->st_ino == p->inode;
}

static bool is_at(const struct place *p, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && place_is(p, &st);
}

/* --- The questions: true and a phrase when somebody uses it ---------------------------------- */

/* proc(5): octal escapes for blank, tab, newline, backslash. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; to++) {
		unsigned c;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1 && c) {
			*to = (char)c;
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = '\0';
}

/* btrfs has a device number of its own: the source's name counts as well. */
static bool is_mounted(const struct place *p, char *buf, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	while (p->block && f && getline(&line, &room, f) > 0) {
		char where[PATH_MAX], from[PATH_MAX];
		char *rest = strstr(line, " - ");
		unsigned major, minor;

		if (!rest || sscanf(line, "%*d %*d %u:%u %*s %4095s", &major, &minor, where) != 3 ||
		    sscanf(rest, " - %*s %4095s", from) != 1)
			continue;
		unescape(where);
		unescape(from);
		if (!is_device(p, makedev(major, minor)) && !(from[0] == '/' && is_at(p, from)))
			continue;
		snprintf(buf, size, "mounted on %s", where);
		return true;
	}
	return false;
}

static bool is_swap(const struct place *p, char *buf, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/swaps", "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		if (line[0] != '/' || !is_at(p, line))
			continue;
		snprintf(buf, size, "swapped to (%s)", line);
		return true;
	}
	return false;
}

/* The name of a dm device says more than "dm-7". */
static bool is_held(const struct place *p, char *buf, size_t size)
{
	for (unsigned i = 0; i < p->n_kin; i++) {
		_cleanup_closedir_ DIR *d = open_folder("%s/dev/block/%u:%u/holders", target_sys,
							major(p->kin[i]), minor(p->kin[i]));
		struct dirent *e = d ? next_entry(d) : NULL;
		char name[256];

		if (!e)
			continue;
		if (read_path(name, sizeof(name), "%s/block/%s/dm/name", target_sys, e->d_name) < 0)
			snprintf(name, sizeof(name), "%s", e->d_name);
		snprintf(buf, size, "used by %s", name);
		return true;
	}
	return false;
}

/* By number when the device can be asked: the name may be one of another mount namespace. */
static bool loop_is_on(const struct place *p, const char *loop)
{
	char path[PATH_MAX];
	struct loop_info64 info;
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "/dev/%s", loop);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0) {
		if (p->block)
			return is_device(p, (dev_t)info.lo_rdevice) && info.lo_rdevice;
		return info.lo_device == p->dev && info.lo_inode == p->inode;
	}
	return read_path(path, sizeof(path), "%s/block/%s/loop/backing_file", target_sys, loop) ==
		       0 &&
	       is_at(p, path);
}

static bool is_looped(const struct place *p, char *buf, size_t size)
{
	_cleanup_closedir_ DIR *d = open_folder("%s/block", target_sys);
	struct dirent *e;
	char file[16];

	while (d && (e = next_entry(d))) {
		if (strncmp(e->d_name, "loop", 4) ||
		    read_path(file, sizeof(file), "%s/block/%s/loop/backing_file", target_sys,
			      e->d_name) < 0 ||
		    !loop_is_on(p, e->d_name))
			continue;
		snprintf(buf, size, "used by %s", e->d_name);
		return true;
	}
	return false;
}

/* drivers/block/xen-blkback/xenbus.c: "major:minor" in hexadecimal. vbd-DOMID-VDEV. */
static bool is_xen_guests(const struct place *p, char *buf, size_t size)
{
	_cleanup_closedir_ DIR *d = open_folder("%s/bus/xen-backend/devices", target_sys);
	struct dirent *e;

	while (d && (e = next_entry(d))) {
		char name[NAME_MAX + 32], text[64];
		unsigned major, minor;
		int domid;

		snprintf(name, sizeof(name), "%s/physical_device", e->d_name);
		if (sscanf(e->d_name, "vbd-%d-", &domid) != 1 ||
		    read_line(dirfd(d), name, text, sizeof(text)) < 0 ||
		    sscanf(text, "%x:%x", &major, &minor) != 2 ||
		    !is_device(p, makedev(major, minor)))
			continue;
		snprintf(buf, size, "a disk of the running Xen domain %d", domid);
		return true;
	}
	return false;
}

/* statx() with what is known already: a dead file server must not hold us up. */
static bool is_opened(const struct place *p, int folder, const char *name)
{
	struct statx x;
	struct stat st;

	if (statx(folder, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &x) <
	    0)
		return false;
	st.st_mode = x.stx_mode;
	st.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor);
	st.st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor);
	st.st_ino = x.stx_ino;
	return place_is(p, &st);
}

/* proc(5), fdinfo: "flags:" in octal. */
static bool is_for_writing(const char *pid, const char *fd)
{
	char path[PATH_MAX], line[128];
	_cleanup_fclose_ FILE *f = NULL;
	unsigned flags;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			return (flags & O_ACCMODE) != O_RDONLY;
	return false;
}

static bool has_open(const struct place *p, const char *pid)
{
	_cleanup_closedir_ DIR *d = open_folder("/proc/%s/fd", pid);
	struct dirent *e;

	while (d && (e = next_entry(d)))
		if (is_opened(p, dirfd(d), e->d_name) && is_for_writing(pid, e->d_name))
			return true;
	return false;
}

static bool is_written(const struct place *p, char *buf, size_t size)
{
	_cleanup_closedir_ DIR *d = opendir("/proc");
	struct dirent *e;
	char name[64];

	while (d && (e = next_entry(d))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9' || atoi(e->d_name) == getpid() ||
		    !has_open(p, e->d_name))
			continue;
		if (read_path(name, sizeof(name), "/proc/%s/comm", e->d_name) < 0)
			snprintf(name, sizeof(name), "a program");
		snprintf(buf, size, "open for writing in %s (process %s)", name, e->d_name);
		return true;
	}
	return false;
}

int place_user(const struct place *p, char *buf, size_t size)
{
	static bool (*const questions[])(const struct place *p, char *buf, size_t size) = {
		is_mounted, is_swap, is_held, is_looped, is_xen_guests, is_written,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(questions); i++)
		if (questions[i](p, buf, size))
			return 1;
	snprintf(buf, size, "%s", "");
	return 0;
}

/* A loop device over a file, or over a device, writes to that. */
bool place_reaches(const struct place *p, const struct stat *st)
{
	struct place other;
	char name[32];

	if (place_is(p, st))
		return true;
	place_from_stat(st, &other);
	for (unsigned i = 0; i < p->n_kin; i++) {
		snprintf(name, sizeof(name), "loop%u", minor(p->kin[i]));
		if (major(p->kin[i]) == 7 && loop_is_on(&other, name))
			return true;
	}
	for (unsigned i = 0; i < other.n_kin; i++) {
		snprintf(name, sizeof(name), "loop%u", minor(other.kin[i]));
		if (major(other.kin[i]) == 7 && loop_is_on(p, name))
			return true;
	}
	return false;
}
