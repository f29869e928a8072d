/* What read() and write() leave to their callers. */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads until the end of the file or until `buf` is full, over short reads and signals. The number
 * of bytes, or a negative errno; then what `buf` holds is not said. `size` itself may mean that
 * there is more: give one byte more than you take.
 */
ssize_t io_read_all(int fd, void *buf, size_t size);

#endif
