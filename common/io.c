/*
 * Reading to the end, not to st_size: files in /proc and files that grow are read right too, and
 * a limit is the size of the caller's buffer. For blocking descriptors.
 */
#include "common/io.h"

#include <errno.h>
#include <unistd.h>

ssize_t io_read_all(int fd, void *buf, size_t size)
{
	char *p = buf;
	size_t n = 0;

	while (n < size) {
		ssize_t r = read(fd, p + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	return (ssize_t)n;
}
