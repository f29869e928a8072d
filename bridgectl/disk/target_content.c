/*
 * What is on a disk already: what libblkid knows (file systems, RAID, LVM, partition tables), else
 * anything but zeros in the first MiB. Only reads.
 */
#include "bridgectl/disk/target.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>

#include "common/util.h"

#define LOOK_BYTES (1U << 20)
#define LOOK_STEP 65536U

static void cleanup_probe(blkid_probe *pr)
{
	if (*pr)
		blkid_free_probe(*pr);
}

static const char *value(blkid_probe pr, const char *name)
{
	const char *v = NULL;

	return blkid_probe_lookup_value(pr, name, &v, NULL) == 0 && v ? v : "";
}

static void describe(blkid_probe pr, char *buf, size_t size)
{
	const char *type = value(pr, "TYPE"), *label = value(pr, "LABEL");

	if (!*type)
		snprintf(buf, size, "a partition table (%s)", value(pr, "PTTYPE"));
	else if (*label)
		snprintf(buf, size, "%s with label \"%s\"", type, label);
	else
		snprintf(buf, size, "%s", type);
}

/* 1: something known, 0: nothing, -errno. */
static int look_for_signatures(int fd, char *buf, size_t size)
{
	_cleanup_(cleanup_probe) blkid_probe pr = blkid_new_probe();

	if (!pr)
		return -ENOMEM;
	errno = 0;
	if (blkid_probe_set_device(pr, fd, 0, 0) < 0)
		return errno ? -errno : -EIO;
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
	blkid_probe_enable_partitions(pr, 1);
	switch (blkid_do_safeprobe(pr)) {
	case 0:
		describe(pr, buf, size);
		return 1;
	case 1:
		return 0;
	case -2:
		snprintf(buf, size, "several signatures at once");
		return 1;
	default:
		return errno ? -errno : -EIO;
	}
}

static int look_for_bytes(int fd, uint64_t bytes, char *buf, size_t size)
{
	_cleanup_free_ unsigned char *step = malloc(LOOK_STEP);
	uint64_t end = MIN(bytes, (uint64_t)LOOK_BYTES);

	if (!step)
		return -ENOMEM;
	for (uint64_t at = 0; at < end;) {
		ssize_t n = pread(fd, step, (size_t)MIN(end - at, (uint64_t)LOOK_STEP), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		if (step[0] || memcmp(step, step + 1, (size_t)n - 1)) {
			snprintf(buf, size, "data in its first MiB");
			return 1;
		}
		at += (uint64_t)n;
	}
	return 0;
}

int target_content(int fd, uint64_t bytes, char *buf, size_t size)
{
	int r;

	if (!bytes)
		return 0;
	r = look_for_signatures(fd, buf, size);
	return r ? r : look_for_bytes(fd, bytes, buf, size);
}
