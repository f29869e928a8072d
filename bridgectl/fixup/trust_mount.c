/*
 * Mounting for one process. Nothing of it can outlast the process: the namespace is its own, and a
 * loop device goes when nobody uses it. Its root directory is a small tmpfs, with "N" and, for
 * btrfs, "N.top", which has all subvolumes.
 *
 * A read-only mount of XFS replays its log all the same; only a read-only device keeps it from
 * that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/loopdev.h"
#include "bridgectl/fixup/trust.h"
#include "common/util.h"

#define PLACE "/tmp" /* any folder that every host has; hidden from us alone */
#define NAME_LEN 48
#define SAFE (MS_NODEV | MS_NOSUID | MS_NOEXEC)

#define fail(err, r, ...) disk_fail(err, TRUST_ERRLEN, r, __VA_ARGS__)

static int empty_root(char *err)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("bridgectl", PLACE, "tmpfs", SAFE, "size=64k,mode=0755") < 0)
		return fail(err, -errno, "no place to mount the guest's file systems: %s",
			    strerror(errno));
	return 0;
}

/* What mount(2) meant. */
static int explain(const struct trust_mount *m, int r, char *err)
{
	const char *type = m->btrfs ? "btrfs" : "XFS";

	switch (r) {
	case -ENODEV:
		return fail(err, -EOPNOTSUPP, "this host's kernel has no %s: %s", type,
			    "load its module, or do it on a host that has it");
	case -EROFS: /* XFS: the log is dirty and the device read-only */
		return fail(err, -EUCLEAN,
			    "the guest's %s is unclean, its log has to be replayed: start the "
			    "guest once and shut it down",
			    type);
	case -EEXIST:
		return fail(err, -EBUSY,
			    "the guest's %s has the UUID of one that is mounted on this host: "
			    "unmount that first",
			    type);
	case -EIO: /* btrfs' log tree, the same */
		return fail(err, -EUCLEAN,
			    "the guest's %s is unclean or damaged (this host's kernel log says "
			    "more): start the guest once and shut it down",
			    type);
	case -EUCLEAN:
	case -EINVAL:
		return fail(err, -EUCLEAN,
			    "the guest's %s is damaged, or of a kind that this host's kernel does "
			    "not know (its log says more)",
			    type);
	}
	return fail(err, r, "the guest's %s cannot be mounted: %s", type, strerror(-r));
}

/*
 * btrfs finds its devices by UUID, and takes another one of the same, as the copy's source, for
 * ours; one of several devices would bring in what is none of the guest's.
 */
static int is_ours(const char *folder, const char *device, char *err)
{
	struct btrfs_ioctl_fs_info_args fs = { 0 };
	struct btrfs_ioctl_dev_info_args dev = { 0 };
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, BTRFS_IOC_FS_INFO, &fs) < 0)
		return fail(err, -errno, "the guest's btrfs cannot be read: %s", strerror(errno));
	dev.devid = fs.max_id;
	if (fs.num_devices != 1 || ioctl(fd, BTRFS_IOC_DEV_INFO, &dev) < 0)
		return fail(err, -EOPNOTSUPP,
			    "the guest's btrfs is on several devices, which is not supported: "
			    "prepare the guest while it still runs on Xen (bridgectl domain "
			    "prepare)");
	if (strcmp((const char *)dev.path, device) != 0)
		return fail(err, -EBUSY,
			    "the guest's btrfs has the UUID of one that is mounted on this host: "
			    "unmount that first");
	return 0;
}

static int mount_at(const struct trust_mount *m, const char *device, const char *folder,
		    unsigned long flags, const char *data, char *err)
{
	if (mkdir(folder, 0755) < 0)
		return fail(err, -errno, "%s: %s", folder, strerror(errno));
	if (mount(device, folder, m->btrfs ? "btrfs" : "xfs", flags, data) < 0)
		return explain(m, -errno, err);
	return m->btrfs ? is_ours(folder, device, err) : 0;
}

static int mount_one(const struct trust_mount *m, unsigned i, int fd, enum trust_how how, char *err)
{
	unsigned long flags = SAFE | MS_NOATIME | (how == TRUST_WRITE ? 0 : MS_RDONLY);
	char device[LOOPDEV_PATHLEN], folder[NAME_LEN];
	_cleanup_close_ int loop =
		loopdev_open_whole(fd, m->start, m->bytes, how == TRUST_READ, device);
	int r;

	if (loop < 0)
		return fail(err, loop, "no loop device for the guest's file system: %s",
			    loop == -ENOENT ? "this host has none" : strerror(-loop));
	snprintf(folder, sizeof(folder), PLACE "/%u", i);
	r = mount_at(m, device, folder, flags, m->btrfs ? "nodiscard" : "nouuid", err);
	if (r < 0 || !m->btrfs)
		return r;
	snprintf(folder, sizeof(folder), PLACE "/%u.top", i);
	return mount_at(m, device, folder, flags, "nodiscard,subvolid=5", err);
}

int trust_enter(const struct trust_mount *m, unsigned n, const int *fds, enum trust_how how,
		char *err)
{
	mode_t mask = umask(022);
	int r = empty_root(err);

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = mount_one(&m[i], i, fds[m[i].disk], how, err);
	umask(mask);
	if (r == 0 && (chdir(PLACE) < 0 || chroot(".") < 0 || chdir("/") < 0 ||
		       mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | SAFE, NULL) < 0))
		r = fail(err, -errno, "the host's files cannot be left: %s", strerror(errno));
	return r;
}

/* openat2() and no other call: a filter may be in force. */
static int open_folder(unsigned i, bool top)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC };
	char name[NAME_LEN];
	long fd;

	snprintf(name, sizeof(name), "/%u%s", i, top ? ".top" : "");
	fd = syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int trust_open(unsigned i, const char *subvol, struct tree **ret)
{
	_cleanup_close_ int fd = open_folder(i, subvol != NULL);

	return fd < 0 ? fd : tree_dir_at(fd, subvol ? subvol : "/", false, ret);
}

int trust_leave(unsigned n)
{
	int r = 0;

	for (unsigned i = 0; i < 2 * n; i++) {
		char name[NAME_LEN];

		snprintf(name, sizeof(name), "/%u%s", i / 2, i % 2 ? ".top" : "");
		if (umount2(name, 0) < 0 && errno != ENOENT && r == 0)
			r = -errno;
	}
	return r;
}
