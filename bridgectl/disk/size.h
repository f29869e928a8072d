/* Sizes as administrators type them, "10G", "512M", and as tools take them back. */
#ifndef BRIDGECTL_DISK_SIZE_H
#define BRIDGECTL_DISK_SIZE_H

#include <stdint.h>

#define SIZE_STRLEN 32

/*
 * "10G", "10GiB", "512M", "4096K", "2048s" (sectors of 512 bytes) or bytes, "10737418240" or
 * "10737418240B". Powers of 1024 always, as lvcreate's small letters mean it and `parted`'s GB
 * does not. 0, or -EINVAL: no such size ("10GB" would mean two things), -ERANGE: too large.
 */
int size_parse(const char *text, uint64_t *ret_bytes);

/* The shortest that says it exactly: "10G", "1536M", "1000001s", "77". `buf`: SIZE_STRLEN. */
const char *size_format(uint64_t bytes, char *buf);

#endif
