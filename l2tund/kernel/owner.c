/*
 * Who holds a TUN/TAP device: the kernel says so in /proc/PID/fdinfo/N of its descriptors
 * ("iff:\tNAME", tun_chr_show_fdinfo). Names are those of the holder's network namespace, so only
 * processes of ours are looked at. Needs the right to look into others (ptrace(2)),
 * which the daemon leaves to its lookout. Reading /proc takes milliseconds on a busy host, so one
 * reading lists all devices.
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

static bool fdinfo_name(const char *info, char ret[IFNAMSIZ])
{
	const char *p = strstr(info, "iff:");

	if (!p)
		return false;
	p += strlen("iff:");
	p += strspn(p, " \t");
	size_t len = strcspn(p, "\n");
	if (len == 0 || len >= IFNAMSIZ)
		return false;
	memcpy(ret, p, len);
	ret[len] = '\0';
	return true;
}

/* Adds what this process holds; -EACCES: we may not know. */
static int process_list(int proc, const char *owner, struct owners *o)
{
	_cleanup_(cleanup_dir) DIR *fds = open_dir(proc, "fd");
	char path[32 + sizeof(((struct dirent *)0)->d_name)], info[512];
	const struct dirent *e;

	if (!fds)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while ((e = readdir(fds)) && o->n < OWNERS_MAX) {
		if (!isdigit((unsigned char)e->d_name[0]) || !is_tun(dirfd(fds), e->d_name))
			continue;
		snprintf(path, sizeof(path), "fdinfo/%s", e->d_name);
		read_small(proc, path, info, sizeof(info));
		if (!fdinfo_name(info, o->at[o->n].name))
			continue;
		snprintf(o->at[o->n].owner, sizeof(o->at[o->n].owner), "%s", owner);
		o->n++;
	}
	return 0;
}

static bool same_netns(int proc, const struct stat *own)
{
	struct stat st;

	return fstatat(proc, "ns/net", &st, 0) == 0 && st.st_ino == own->st_ino &&
	       st.st_dev == own->st_dev;
}

static void check_process(DIR *all, const char *pid, const struct stat *own, struct owners *o)
{
	_cleanup_close_ int proc = openat(dirfd(all), pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char comm[32], owner[OWNER_TEXT];

	if (proc < 0)
		return;
	read_small(proc, "comm", comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(owner, sizeof(owner), "%s pid %.16s", comm, pid);

	unsigned before = o->n;
	if (process_list(proc, owner, o) == -EACCES)
		o->missing = -EACCES;
	if (o->n > before && !same_netns(proc, own))
		o->n = before;
}

int owners_read(struct owners *o)
{
	_cleanup_(cleanup_dir) DIR *all = open_dir(AT_FDCWD, "/proc");
	const struct dirent *e;
	struct stat own;

	o->n = 0;
	o->missing = -ENOENT;
	if (!all || stat("/proc/self/ns/net", &own) < 0)
		return -errno;
	while ((e = readdir(all)) && o->n < OWNERS_MAX) {
		if (isdigit((unsigned char)e->d_name[0]))
			check_process(all, e->d_name, &own, o);
	}
	return 0;
}

int owners_find(const struct owners *o, const char *name, char *buf, size_t size)
{
	for (unsigned i = 0; i < o->n; i++) {
		if (strcmp(o->at[i].name, name) == 0) {
			snprintf(buf, size, "%s", o->at[i].owner);
			return 0;
		}
	}
	return o->missing;
}

int tap_owner(struct os *os, const char *name, char *buf, size_t size)
{
	struct lookout *l = os_linux(os)->lookout;
	struct owners o;

	if (l)
		return lookout_ask(l, name, buf, size);
	int r = owners_read(&o);
	return r < 0 ? r : owners_find(&o, name, buf, size);
}
