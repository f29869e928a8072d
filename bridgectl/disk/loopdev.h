/*
 * A part of a file or device as a block device of its own: what is in it can neither see nor write
 * anything else. For programs that take no offset.
 */
#ifndef BRIDGECTL_DISK_LOOPDEV_H
#define BRIDGECTL_DISK_LOOPDEV_H

#include <stdbool.h>
#include <stdint.h>

#define LOOPDEV_PATHLEN 32

/*
 * A loop device (loop(4)) over `bytes` from `start` on of what `fd` has open for writing. Its
 * descriptor; closing that frees the device. Its name goes to `path` (LOOPDEV_PATHLEN). Or
 * negative errno: -EACCES and -EPERM: for root only, -ENOENT: none on this host.
 */
int loopdev_open(int fd, uint64_t start, uint64_t bytes, char *path);

/*
 * The same for mount(2), with its size from the first moment on (LOOP_CONFIGURE, Linux 5.8), so
 * that whenever the process dies, the device goes. Read-only: `fd` may be open for reading only.
 * -ENOTTY or -EINVAL: an older kernel.
 */
int loopdev_open_whole(int fd, uint64_t start, uint64_t bytes, bool readonly, char *path);

/* Whether there could be one: 0 or negative errno as above. */
int loopdev_possible(void);

#endif
