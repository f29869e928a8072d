/* What read(), write() and stat() leave to their callers. */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stat;

/*
 * Reads until the end of the file or until `buf` is full, over short reads and signals. The number
 * of bytes, or a negative errno; then what `buf` holds is not said. `size` itself may mean that
 * there is more: give one byte more than you take.
 */
ssize_t io_read_all(int fd, void *buf, size_t size);

/* All of it, or an error: 0 or negative errno. */
int io_write_all(int fd, const void *buf, size_t len);

/* All of it at this place, or an error: 0 or negative errno, -EIO where the file ends before. */
int io_pread_all(int fd, void *buf, size_t len, uint64_t offset);
int io_pwrite_all(int fd, const void *buf, size_t len, uint64_t offset);

/* Two names of one file, or two nodes of one block device. */
bool io_is_same(const struct stat *a, const struct stat *b);

#endif
