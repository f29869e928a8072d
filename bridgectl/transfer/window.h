/*
 * A window of a disk: the whole of a device or image, or one partition of it. All reading and
 * writing of guests' data goes through here, so this is the one place where "never a byte beyond
 * the target partition" is kept: an access outside is -ERANGE and touches nothing.
 *
 * Direct I/O where the file allows it, since a Xen back end writes past the page cache; else,
 * and for ends that are no multiple of the block size, through the cache, written out and dropped.
 * Thread safe: any number of threads may read and write different places.
 */
#ifndef BRIDGECTL_TRANSFER_WINDOW_H
#define BRIDGECTL_TRANSFER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WINDOW_ALIGN 4096 /* of buffers and of all but the last access */

struct window {
	int fd;	       /* not owned: of a struct target, or any file */
	int direct_fd; /* the same with O_DIRECT, owned; -1: not possible */
	uint64_t offset, length;
	unsigned unit;	    /* of direct I/O: 512 or 4096 bytes */
	bool block;	    /* a device */
	bool fresh;	    /* the caller's: all was zeros; window_zero() writes all the same */
	_Atomic int failed; /* the first error of a flush; final, since the kernel forgets it */
};

/* `length` 0: up to the end. -ERANGE: not inside the file of `size` bytes. `fd` must stay open. */
int window_init(struct window *w, int fd, uint64_t size, uint64_t offset, uint64_t length);
void window_fini(struct window *w);

/* A buffer for it, aligned, to be freed; NULL: no memory. */
void *window_buffer(size_t bytes);

/* All of it or an error: 0, -ERANGE, -EIO (with what the kernel said), … */
int window_read(const struct window *w, uint64_t offset, void *buf, size_t len);
int window_write(struct window *w, uint64_t offset, const void *buf, size_t len);
/* Reads as zeros afterwards: BLKZEROOUT, fallocate(2) or written. */
int window_zero(struct window *w, uint64_t offset, uint64_t len);
/* Reads what is on the disk, not what the cache remembers of the last write. */
int window_reread(const struct window *w, uint64_t offset, void *buf, size_t len);
/*
 * All that was written before is on the disk when it returns 0. After an error it never returns 0
 * again: nobody can tell what was lost.
 */
int window_flush(struct window *w);

#endif
