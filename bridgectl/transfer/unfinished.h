/*
 * Whether a disk is the target of a copy that was broken off: what boots from it is half a guest.
 */
#ifndef BRIDGECTL_TRANSFER_UNFINISHED_H
#define BRIDGECTL_TRANSFER_UNFINISHED_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Where a target's host keeps what is done. `given`, or the usual folder. False: too long. */
bool unfinished_dir(const char *given, char *buf, size_t size);

/*
 * Looks for the map of a copy into `path`, or into a part of it; a copy that is complete has none.
 * `dir` NULL: the usual folder. True: `ret_map` is the file's path. What cannot be read is none.
 */
bool unfinished_copy(const char *dir, const char *path, char ret_map[PATH_MAX]);

#endif
