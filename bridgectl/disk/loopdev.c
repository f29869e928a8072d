/*
 * Loop devices by ioctl. Between asking for a free one and taking it another program may be
 * faster: then the next one is asked for.
 */
#include "bridgectl/disk/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "common/util.h"

#define TRIES 64

int loopdev_possible(void)
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	return control < 0 ? -errno : 0;
}

/* One that nobody has so far, opened. */
static int open_free(int control, int flags, char *path)
{
	int n = ioctl(control, LOOP_CTL_GET_FREE), loop;

	if (n < 0)
		return -errno;
	snprintf(path, LOOPDEV_PATHLEN, "/dev/loop%d", n);
	loop = open(path, flags | O_CLOEXEC);
	return loop < 0 ? -errno : loop;
}

/* The descriptor of one that has our file, -EBUSY: somebody was faster. */
static int take(int control, int fd, char *path)
{
	int loop = open_free(control, O_RDWR, path), r;

	if (loop < 0 || ioctl(loop, LOOP_SET_FD, fd) == 0)
		return loop;
	r = -errno;
	close(loop);
	return r;
}

static int set_up(int loop, uint64_t start, uint64_t bytes)
{
	struct loop_info64 info = { .lo_offset = start,
				    .lo_sizelimit = bytes,
				    .lo_flags = LO_FLAGS_AUTOCLEAR };
	uint64_t size;

	/* EAGAIN: somebody, udev mostly, has just read a page of it (loop_set_status()). */
	for (unsigned i = 0; ioctl(loop, LOOP_SET_STATUS64, &info) < 0; i++)
		if (errno != EAGAIN || i == TRIES)
			return -errno;
	if (ioctl(loop, BLKGETSIZE64, &size) < 0)
		return -errno;
	return size == bytes ? 0 : -ERANGE;
}

int loopdev_open(int fd, uint64_t start, uint64_t bytes, char *path)
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int loop = -EBUSY, r;

	if (control < 0)
		return -errno;
	for (unsigned i = 0; loop == -EBUSY && i < TRIES; i++)
		loop = take(control, fd, path);
	if (loop < 0)
		return loop;
	r = set_up(loop, start, bytes);
	if (r == 0)
		return loop;
	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	return r;
}

static int take_whole(int control, const struct loop_config *c, bool readonly, char *path)
{
	int loop = open_free(control, readonly ? O_RDONLY : O_RDWR, path), r;

	if (loop < 0 || ioctl(loop, LOOP_CONFIGURE, c) == 0)
		return loop;
	r = -errno;
	close(loop);
	return r;
}

int loopdev_open_whole(int fd, uint64_t start, uint64_t bytes, bool readonly, char *path)
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config c = {
		.fd = (uint32_t)fd,
		.info = { .lo_offset = start,
			  .lo_sizelimit = bytes,
			  .lo_flags = LO_FLAGS_AUTOCLEAR | (readonly ? LO_FLAGS_READ_ONLY : 0U) },
	};
	int loop = -EBUSY;

	if (control < 0)
		return -errno;
	for (unsigned i = 0; loop == -EBUSY && i < TRIES; i++)
		loop = take_whole(control, &c, readonly, path);
	return loop;
}
