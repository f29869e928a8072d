/* Allocation for programs that end when there is no memory, as bridgectl does. */
#ifndef BRIDGECTL_DOMAIN_MEM_H
#define BRIDGECTL_DOMAIN_MEM_H

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

static inline void *mem_must(void *p)
{
	if (!p)
		errx(1, "out of memory");
	return p;
}

/* Zeroed. */
static inline void *mem_new(size_t size)
{
	return mem_must(calloc(1, size));
}

/* A string of `len` bytes, ended. */
static inline char *mem_strndup(const char *s, size_t len)
{
	char *p = mem_must(malloc(len + 1));

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

static inline char *mem_strdup(const char *s)
{
	return mem_strndup(s, strlen(s));
}

/* NULL stays NULL. */
static inline char *mem_strdup_or_null(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

static inline char *mem_vprintf(const char *fmt, va_list ap) _printf_(1, 0);
static inline char *mem_printf(const char *fmt, ...) _printf_(1, 2);

/* A new string, as vasprintf(3) makes it. */
static inline char *mem_vprintf(const char *fmt, va_list ap)
{
	char *s;

	return mem_must(vasprintf(&s, fmt, ap) < 0 ? NULL : s);
}

static inline char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	return s;
}

/* Cuts to `max` bytes, of which the last three are then "...", between characters of UTF-8. */
static inline void mem_cut(char *s, size_t max)
{
	size_t n = max - 3;

	if (strlen(s) <= max)
		return;
	for (unsigned i = 0; i < 3 && (s[n] & 0xc0) == 0x80; i++)
		n--;
	memcpy(s + n, "...", 4);
}

/*
 * Room for one more element of `size` behind `n` others, zeroed; the array doubles whenever `n` is
 * a power of two, so it needs no capacity of its own.
 */
static inline void *mem_more(void *array, size_t n, size_t size)
{
	if ((n & (n - 1)) == 0)
		array = mem_must(reallocarray(array, n ? n * 2 : 1, size));
	memset((char *)array + n * size, 0, size);
	return array;
}

/* The new last element of `array`, whose count is `n`. */
#define mem_push(array, n)                                          \
	({                                                          \
		(array) = mem_more((array), (n), sizeof(*(array))); \
		&(array)[(n)++];                                    \
	})

#endif
