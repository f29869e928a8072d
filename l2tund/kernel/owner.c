/*
 * Who holds a TUN/TAP device: the kernel says so in /proc/PID/fdinfo/N of its descriptors
 * ("iff:\tNAME", tun_chr_show_fdinfo). Names are those of the holder's network namespace, so only
 * processes of ours are looked at. Needs the right to look into others (ptrace(2)),
 * which the daemon leaves to its lookout.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/util.h"
#include "l2tund/kernel/lookout.h"
#include "l2tund/kernel/os_linux.h"

#define TUN_MAJOR 10 /* Documentation/admin-guide/devices.txt: /dev/net/tun */
#define TUN_MINOR 200

static void cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}

/* Up to `size` - 1 bytes of a small file; "" when it cannot be read. */
static void read_small(int at, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : 0;

	buf[n > 0 ? n : 0] = '\0';
}

static bool is_tun(int fds, const char *number)
{
	struct stat st;

	return fstatat(fds, number, &st, 0) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(TUN_MAJOR, TUN_MINOR);
}

static bool fdinfo_names(const char *info, const char *name)
{
	const char *p = strstr(info, "iff:");
	size_t len = strlen(name);

	if (!p)
		return false;
	p += strlen("iff:");
	p += strspn(p, " \t");
	return strncmp(p, name, len) == 0 && (p[len] == '\n' || p[len] == '\0');
}

/* 1: this process holds it; 0: it does not; -EACCES: we may not know. */
static int process_holds(int proc, const char *name)
{
	_cleanup_(cleanup_dir) DIR *fds = open_dir(proc, "fd");
	char path[32 + sizeof(((struct dirent *)0)->d_name)], info[512];
	const struct dirent *e;

	if (!fds)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while ((e = readdir(fds))) {
		if (!isdigit((unsigned char)e->d_name[0]) || !is_tun(dirfd(fds), e->d_name))
			continue;
		snprintf(path, sizeof(path), "fdinfo/%s", e->d_name);
		read_small(proc, path, info, sizeof(info));
		if (fdinfo_names(info, name))
			return 1;
	}
	return 0;
}

static bool same_netns(int proc, const struct stat *own)
{
	struct stat st;

	return fstatat(proc, "ns/net", &st, 0) == 0 && st.st_ino == own->st_ino &&
	       st.st_dev == own->st_dev;
}

static int check_process(DIR *all, const char *pid, const char *name, const struct stat *own,
			 char *buf, size_t size)
{
	_cleanup_close_ int proc = openat(dirfd(all), pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char comm[32];
	int r;

	if (proc < 0)
		return 0;
	r = process_holds(proc, name);
	if (r <= 0 || !same_netns(proc, own))
		return MIN(r, 0);
	read_small(proc, "comm", comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(buf, size, "%s pid %s", comm, pid);
	return 1;
}

int owner_scan(const char *name, char *buf, size_t size)
{
	_cleanup_(cleanup_dir) DIR *all = open_dir(AT_FDCWD, "/proc");
	const struct dirent *e;
	struct stat own;
	int hidden = -ENOENT;

	if (!all || stat("/proc/self/ns/net", &own) < 0)
		return -errno;
	while ((e = readdir(all))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		int r = check_process(all, e->d_name, name, &own, buf, size);
		if (r > 0)
			return 0;
		if (r == -EACCES)
			hidden = r;
	}
	return hidden;
}

int tap_owner(struct os *os, const char *name, char *buf, size_t size)
{
	const struct lookout *l = os_linux(os)->lookout;

	return l ? lookout_ask(l, name, buf, size) : owner_scan(name, buf, size);
}
