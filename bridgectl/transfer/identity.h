/*
 * What tells one disk from another: host, path, size, and the inode of a file or the number and
 * LVM's UUID of a device. When one of these differs at resume, it is another transfer.
 */
#ifndef BRIDGECTL_TRANSFER_IDENTITY_H
#define BRIDGECTL_TRANSFER_IDENTITY_H

#include <stdint.h>

#include "bridgectl/disk/target.h"
#include "bridgectl/transfer/map.h"

#define IDENTITY_HOST_LEN 65

/* This host's name, "?" when it has none. */
void identity_host(char buf[IDENTITY_HOST_LEN]);

/*
 * Into `buf` of MAP_IDENTITY_LEN, printable ASCII. *ret_disk is how many bytes of it say which
 * disk it is, by whatever path; what comes after that is the path and the window. -ENAMETOOLONG.
 */
int identity_make(const struct target *t, uint64_t offset, uint64_t length, char *buf,
		  size_t *ret_disk);

#endif
