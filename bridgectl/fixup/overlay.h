/*
 * A part of a disk with changes that are in memory only: the disk is open for reading, what is
 * written stays here until somebody asks for it. So nothing that goes wrong in a file system's
 * code can reach the disk.
 */
#ifndef BRIDGECTL_FIXUP_OVERLAY_H
#define BRIDGECTL_FIXUP_OVERLAY_H

#include <stddef.h>
#include <stdint.h>

#define OVERLAY_CHUNK 1024U	   /* changes are kept in pieces so large */
#define OVERLAY_MAX (64U << 20)	   /* bytes of them */
#define OVERLAY_RUN_MAX (1U << 20) /* bytes of one piece that overlay_each() tells */

struct overlay;

/* `bytes` from `start` on of `fd`, which stays the caller's. Free it with overlay_free(). */
struct overlay *overlay_new(int fd, uint64_t start, uint64_t bytes);
void overlay_free(struct overlay *o);
uint64_t overlay_bytes(const struct overlay *o);

/* 0; -ERANGE: not inside; -EIO and others: the disk cannot be read. */
int overlay_read(struct overlay *o, uint64_t offset, void *buf, size_t len);
/* 0; -ERANGE; -ENOSPC: too many changes; or as above. */
int overlay_write(struct overlay *o, uint64_t offset, const void *buf, size_t len);

/* One run of bytes that differ from the disk's; `offset` is the disk's. Nonzero ends it. */
typedef int (*overlay_fn)(void *arg, uint64_t offset, const void *bytes, size_t len);

/* What was changed, in order, without what is as it was. 0, or what `fn` said, or errno. */
int overlay_each(struct overlay *o, overlay_fn fn, void *arg);

#endif
