/*
 * Moderation, as network cards have it for interrupts. When frames come so fast that each would
 * wake us, which costs sender and receiver more than the frame itself, they are let gather for
 * a moment. A frame after a silence is fetched at once.
 */
#ifndef L2TUND_KERNEL_PACE_H
#define L2TUND_KERNEL_PACE_H

#include <stdbool.h>
#include <time.h>

#include "l2tund/kernel/loop.h"

#define PACE_SILENCE_US 20 /* frames that come sooner one after the other are many */
#define PACE_PAUSE_NS (50 * 1000)

/* Of one descriptor. */
struct pace {
	uint64_t empty_us; /* when nothing was left in it; 0: something was */
};

/* Before it is read. */
static inline void pace_begin(const struct pace *p)
{
	if (p->empty_us && loop_now_us() - p->empty_us < PACE_SILENCE_US)
		nanosleep(&(struct timespec){ .tv_nsec = PACE_PAUSE_NS }, NULL);
}

/* After what was read has been worked off; `empty`: it was all that there was, and little. */
static inline void pace_end(struct pace *p, bool empty)
{
	p->empty_us = empty ? loop_now_us() : 0;
}

#endif
