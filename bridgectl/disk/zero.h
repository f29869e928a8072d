/* Zeros on a target, by the fastest way that it has. */
#ifndef BRIDGECTL_DISK_ZERO_H
#define BRIDGECTL_DISK_ZERO_H

#include <stdint.h>

#include "bridgectl/disk/target.h"

/* Called after each step with how many bytes it was; nonzero stops. */
typedef int (*zero_step_fn)(void *arg, uint64_t bytes);

/*
 * Makes `bytes` from `start` on read as zeros: holes in a file, BLKZEROOUT on a device, else
 * written ones. Does not sync. 0, what `step` stopped with, or negative errno. `step` may be NULL.
 */
int zero_range(const struct target *t, uint64_t start, uint64_t bytes, zero_step_fn step,
	       void *arg);

#endif
