/*
 * Transfers into different partitions of one disk at the same time. The lock on a disk belongs to
 * an open file; whoever has it gives that open file to the others over a Unix socket, and watches
 * that nobody's part overlaps another's. When it ends, one of the others takes its place, so the
 * disk is locked without a gap until the last one ends.
 */
#ifndef BRIDGECTL_TRANSFER_SHARE_H
#define BRIDGECTL_TRANSFER_SHARE_H

#include "bridgectl/disk/target.h"

struct share;

/*
 * As target_open(), for a part of the place: `t` gets an open file of its own, the lock is kept
 * here. Free it with share_close(), after the target. `dir`: the directory of sockets, NULL: the
 * usual one; where none can be made nothing is shared, and *ret is NULL. 0, or negative errno and
 * `err` (TARGET_ERRLEN).
 */
int share_open(const char *dir, const char *path, const struct target_want *w, struct share **ret,
	       struct target *t, char *err);
/* Before the first byte is written. -EBUSY: another has some of these bytes. NULL is fine. */
int share_claim(struct share *s, uint64_t offset, uint64_t length);
void share_close(struct share *s);

#endif
