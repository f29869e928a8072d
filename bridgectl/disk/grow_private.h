/* What grow.c and grow_steps.c share. */
#ifndef BRIDGECTL_DISK_GROW_PRIVATE_H
#define BRIDGECTL_DISK_GROW_PRIVATE_H

#include "bridgectl/disk/grow.h"
#include "common/util.h"

/* One sentence into `err` (GROW_ERRLEN); gives `r` back. */
int grow_fail(char *err, int r, const char *fmt, ...) _printf_(3, 4);

bool grow_is_ext(const struct grow *g);
bool grow_is_swap(const struct grow *g);
/* Whether e2fsprogs cannot be given the path itself. */
bool grow_needs_loop(const struct grow *g);
/* First byte of the content, and how many it may have in the end. */
uint64_t grow_start(const struct grow *g);
uint64_t grow_content_bytes(const struct grow *g);

#endif
