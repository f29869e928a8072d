/*
 * Zeros. BLKZEROOUT goes in steps: one ioctl over a whole disk could neither be stopped nor show
 * how far it is. A file gets holes, which cost no room.
 */
#include "bridgectl/disk/zero.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "common/util.h"

#define STEP_BYTES (UINT64_C(64) << 20)
#define PAGE_BYTES UINT64_C(4096)
#define WRITE_BYTES (1U << 20)

static int write_zeros(int fd, uint64_t start, uint64_t bytes)
{
	static const char zeros[WRITE_BYTES];

	while (bytes) {
		ssize_t n =
			pwrite(fd, zeros, (size_t)MIN(bytes, (uint64_t)WRITE_BYTES), (off_t)start);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		start += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

static int zero_step(const struct target *t, uint64_t start, uint64_t bytes)
{
	uint64_t range[2] = { start, bytes };
	int r;

	if (t->kind == TARGET_BLOCK)
		r = ioctl(t->fd, BLKZEROOUT, range);
	else
		r = fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
			      (off_t)bytes);
	if (r == 0)
		return 0;
	/* EINVAL: not in whole sectors of this device. */
	if (errno != EOPNOTSUPP && errno != ENOTTY && errno != EINVAL && errno != ENOSYS)
		return -errno;
	return write_zeros(t->fd, start, bytes);
}

/* Whole pages as far as possible: BLKZEROOUT takes whole sectors only. */
static uint64_t next_step(uint64_t start, uint64_t bytes)
{
	if (start % PAGE_BYTES)
		return MIN(bytes, PAGE_BYTES - start % PAGE_BYTES);
	if (bytes < PAGE_BYTES)
		return bytes;
	return MIN(bytes / PAGE_BYTES * PAGE_BYTES, STEP_BYTES);
}

int zero_range(const struct target *t, uint64_t start, uint64_t bytes, zero_step_fn step, void *arg)
{
	if (start > t->bytes || bytes > t->bytes - start)
		return -ERANGE;
	while (bytes) {
		uint64_t n = next_step(start, bytes);
		int r = zero_step(t, start, n);

		if (!r && step)
			r = step(arg, n);
		if (r)
			return r;
		start += n;
		bytes -= n;
	}
	return 0;
}
