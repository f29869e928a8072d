/* What killed processes have left: folders named after them, "bridgectl-PID-…". */
#ifndef BRIDGECTL_TRANSFER_LEFTOVER_H
#define BRIDGECTL_TRANSFER_LEFTOVER_H

#include <stddef.h>

/* "bridgectl-PID-" of this process, to be followed by what tells its folders apart. */
void leftover_prefix(char *buf, size_t size);

/*
 * Removes from `dir` the folders of processes that are gone, with the one file `inside` that such
 * a folder may have (NULL: none). What is not ours to remove, or has more in it, stays.
 */
void leftover_sweep(const char *dir, const char *inside);

#endif
