/*
 * Lanes: threads that move frames while the main thread does all the rest. Lane 0 is the main
 * thread, lanes 1 to n have a thread each, which waits for descriptors and calls their
 * functions.
 *
 * There is one lock, and it is for everything: a lane shares it during each call of such a
 * function, the main thread has it alone whenever it is not waiting for events. So the world
 * stands still for a lane as long as it looks at it, and lanes stand still while the world
 * changes. What a lane may not do itself it posts to the main thread.
 */
#ifndef L2TUND_KERNEL_LANES_H
#define L2TUND_KERNEL_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "l2tund/kernel/loop.h"

#define LANES_MAILBOX_BYTES ((size_t)256 * 1024) /* what may wait for the main thread */
#define LANES_RESERVE_BYTES ((size_t)32 * 1024)	 /* of that, for small posts only */
#define LANES_POST_SMALL 512

struct lanes;
struct lane_fd;

/*
 * Lanes 1 to `n`; their threads are not there before lanes_start(). From now on the main
 * thread, which is the caller, holds the lock, but for when `l` waits for events.
 */
int lanes_new(struct loop *l, unsigned n, struct lanes **ret);
/* When this process has become what it is to be: privileges and the like are those of a thread. */
int lanes_start(struct lanes *l);
/* Ends the threads, what is posted is lost. Not inside the loop; descriptors are freed before. */
void lanes_free(struct lanes *l);

/*
 * Level-triggered, for reading; errors and hang-ups come as that. `fn` does a bounded piece of work
 * and changes nothing that other lanes look at. The descriptor stays the caller's: lane_fd_free()
 * before close().
 */
int lane_fd_new(struct lanes *l, unsigned lane, int fd, void (*fn)(void *arg, unsigned lane),
		void *arg, struct lane_fd **ret);
/* From `fn`: no more calls, until it is freed. */
void lane_fd_silence(struct lane_fd *f);
/* By the main thread; NULL is fine. `fn` is not called any more. */
void lane_fd_free(struct lane_fd *f);

/*
 * From any lane: the main thread is to call `fn` with a copy of the parts, one behind the
 * other, aligned for anything. In order for each lane. False: too much is waiting; it is lost,
 * and counted. What has at most LANES_POST_SMALL bytes still has room when datagrams have none.
 */
bool lanes_post(struct lanes *l, void (*fn)(void *arg, void *data, size_t len), void *arg,
		const struct iovec *iov, unsigned n);
/* `fn` is called in the main thread when posts have been worked off. */
void lanes_on_posts(struct lanes *l, void (*fn)(void *arg), void *arg);
/* `arg` is about to go: posts with it are dropped. By the main thread. */
void lanes_forget(struct lanes *l, const void *arg);
/* How many posts were lost. */
uint64_t lanes_lost(const struct lanes *l);

#endif
