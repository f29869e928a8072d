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

/* As blkid_do_safeprobe(): 0 found, 1 nothing, -2 too much; or -errno, which is below -2. */
static int probe(blkid_probe pr, int fd, uint64_t start, uint64_t bytes, bool tables)
{
	int r;

	errno = 0;
	if (blkid_probe_set_device(pr, fd, (blkid_loff_t)start, (blkid_loff_t)bytes) < 0)
		return errno > 2 ? -errno : -EIO;
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
	blkid_probe_enable_partitions(pr, tables);
	r = blkid_do_safeprobe(pr);
	if (r == -1)
		return errno > 2 ? -errno : -EIO;
	return r;
}

/* 1: something known, 0: nothing, -errno. */
static int look_for_signatures(int fd, char *buf, size_t size)
{
	_cleanup_(cleanup_probe) blkid_probe pr = blkid_new_probe();
	int r = pr ? probe(pr, fd, 0, 0, true) : -ENOMEM;

	if (r == 0)
		describe(pr, buf, size);
	if (r == -2)
		snprintf(buf, size, "several signatures at once");
	return r == 0 || r == -2 ? 1 : r == 1 ? 0 : r;
}

int target_type(int fd, uint64_t start, uint64_t bytes, char *buf, size_t size)
{
	_cleanup_(cleanup_probe) blkid_probe pr = blkid_new_probe();
	int r = pr ? probe(pr, fd, start, bytes, false) : -ENOMEM;

	if (r < -2)
		return r;
	snprintf(buf, size, "%s", r == 0 ? value(pr, "TYPE") : r == 1 ? "" : "several");
	return 0;
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
