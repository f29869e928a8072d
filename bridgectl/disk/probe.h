/*
 * What a volume is: its size and what libblkid and the swap header say of it. Read only, and
 * only the beginning and the end: it may be in use by the guest at this moment.
 */
#ifndef BRIDGECTL_DISK_PROBE_H
#define BRIDGECTL_DISK_PROBE_H

#include <stdint.h>

#include "bridgectl/disk/plan.h"

/* Two or more signatures, and libblkid will not say which one counts. */
#define PROBE_AMBIGUOUS "ambiguous"

/*
 * A plan_probe_fn; `arg` is not used. An absolute path of a block device or regular file. 0;
 * -ENOENT, -EACCES; -ENODEV: neither, a directory or a socket; -ENODATA: it is empty;
 * -EMEDIUMTYPE: a DRBD device that is secondary here; -EIO and others: cannot be read.
 */
int probe_source(void *arg, const char *path, struct plan_source *ret, char *err);

/* What libblkid says of a file system, of swap and the like; "": nothing. Printable. */
struct probe_content {
	char type[16], uuid[64], label[64]; /* the type may be PROBE_AMBIGUOUS */
};

/*
 * Of the `bytes` from `start` on of `fd`. It opens no other file, so it may run where there is
 * none. 0 or negative errno.
 */
int probe_content(int fd, uint64_t start, uint64_t bytes, struct probe_content *ret);

/*
 * The format of images whose head is on `fd`, as "qcow2"; NULL: of none that is known, so it is raw
 * or cannot be read.
 */
const char *probe_image(int fd);

/* Bytes of an open block device or regular file. 0 or negative errno, -ENODEV: another thing. */
int probe_size(int fd, uint64_t *ret_bytes);

#endif
