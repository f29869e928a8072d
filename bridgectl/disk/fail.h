/* What went wrong, in one sentence: the last argument of nearly everything here is its room. */
#ifndef BRIDGECTL_DISK_FAIL_H
#define BRIDGECTL_DISK_FAIL_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/util.h"

static inline int disk_fail(char *err, size_t size, int r, const char *fmt, ...) _printf_(4, 5);

/* Into `err` of `size` bytes. Returns `r`, or -EIO when a library had no errno for us. */
static inline int disk_fail(char *err, size_t size, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return r < 0 ? r : -EIO;
}

#endif
