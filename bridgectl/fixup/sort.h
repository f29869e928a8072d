/*
 * Sorting without a system call. qsort(3) of the GNU C library asks how much memory the machine
 * has once an array is larger than a kilobyte, and where a guest is read that is the end of the
 * process (child_seccomp.c).
 */
#ifndef BRIDGECTL_FIXUP_SORT_H
#define BRIDGECTL_FIXUP_SORT_H

#include <stddef.h>

/* As qsort(3): in place, never quadratic; elements that are equal may change places. */
void sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));

#endif
