/* What outlives a run: the incarnation number and the lock that keeps a second daemon out. */
#ifndef L2TUND_KERNEL_STATEFILE_H
#define L2TUND_KERNEL_STATEFILE_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Makes `dir` when only it is missing, and holds DIR/lock until *ret_fd is closed.
 * -EBUSY: somebody else holds it, *ret_holder is his pid (0: not known).
 */
int state_lock(const char *dir, int *ret_fd, pid_t *ret_holder);

/*
 * The number of this run: one more than the stored one, and at least `wall_s`, so that it
 * grows even when the state was lost. Stored safely before it returns. -EBADMSG: the
 * file is damaged and has to be removed, which is safe when the clock is right.
 */
int state_incarnation(const char *dir, uint64_t wall_s, uint64_t *ret);

#endif
