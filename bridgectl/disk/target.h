/*
 * Places that may be written to. One question is asked before anything is written anywhere: is
 * this really free? Not mounted, not swap, no holder (LVM, md, dm, loop, Xen), not open for writing
 * in another program, not another transfer's, not the source itself, large enough, nothing on it
 * (unless told), and no file by mistake under /dev. And one lock is held from the answer until the
 * work is done: flock() for ourselves and udev, and on bytes 100 to 299 the one that QEMU has.
 */
#ifndef BRIDGECTL_DISK_TARGET_H
#define BRIDGECTL_DISK_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TARGET_ERRLEN 512

enum target_kind { TARGET_FILE, TARGET_BLOCK };

struct target_want {
	uint64_t bytes;	      /* at least so large; 0: any size */
	bool overwrite;	      /* what is on it may go */
	const char *not_this; /* a path that must not be the same file or device, or NULL */
};

/* Owned by whoever got it; target_close() gives the lock back. */
struct target {
	int fd; /* O_RDWR | O_CLOEXEC, O_EXCL for block devices */
	enum target_kind kind;
	uint64_t bytes;
	dev_t dev;	 /* of the device, or of the file system that has the file */
	ino_t inode;	 /* 0 for devices */
	char path[4096]; /* resolved */
};

/*
 * Opens and locks an existing file or block device. 0, or negative errno and one sentence in
 * `err` (TARGET_ERRLEN): -EBUSY in use (by what), -ENOSPC too small, -EEXIST not empty,
 * -EINVAL not a place for a disk (a typo under /dev, a directory), -EXDEV the source itself,
 * -EROFS read-only.
 */
int target_open(const char *path, const struct target_want *w, struct target *ret, char *err);

/*
 * Makes a new file of so many bytes, all holes, 0600, and opens and locks it as above. -EEXIST: it
 * is there already; -ENOSPC: the file system has less free space than that, or takes no file so
 * large; -EINVAL under /dev. Without `sparse_ok` the free space must suffice.
 */
int target_create(const char *path, uint64_t bytes, bool sparse_ok, struct target *ret, char *err);

/* One more open file, without the lock, of the place that `locked_fd` has locked. As above. */
int target_reopen(int locked_fd, const char *path, struct target *ret, char *err);

void target_close(struct target *t);

/* One that stays as it is: O_RDONLY, no lock, and whoever uses it may go on. */
int source_open(const char *path, struct target *ret, char *err);

/*
 * Who uses it, as a phrase ("mounted on /mnt", "used by loop3", "open for writing in qemu-kvm
 * (process 812)"), in `buf`. 1: somebody, 0: nobody that can be seen, or negative errno. Files of
 * other users' processes are seen by root only.
 */
int target_user(const char *path, char *buf, size_t size);

/* What is on it: 1 and a phrase ("ext4 with label \"root\""), 0: nothing was found, or errno. */
int target_content(int fd, uint64_t bytes, char *buf, size_t size);

/*
 * libblkid's TYPE of what begins at byte `start` of `fd` and has `bytes`: "ext4", "swap", "" when
 * it knows nothing there; "several" when it knows too much. 0 or negative errno.
 */
int target_type(int fd, uint64_t start, uint64_t bytes, char *buf, size_t size);

#endif
