/* JSON lines: a byte stream cut into lines of bounded length, and one line into a JSON value. */
#ifndef COMMON_JSONLINE_H
#define COMMON_JSONLINE_H

#include <jansson.h>
#include <stddef.h>

#include "common/util.h"

/* Embedded by whoever reads a stream. `max` counts the bytes of a line without its newline. */
struct jsonline {
	size_t max;
	char *buf; /* the line so far, owned */
	size_t len;
	size_t size;
	size_t taken; /* the first bytes of `buf` were handed out by the last call */
};

void jsonline_init(struct jsonline *j, size_t max);
void jsonline_fini(struct jsonline *j);

/*
 * Takes bytes from *data up to the end of one line. 1: *ret_line is the line, with a
 * NUL instead of its newline (a line may hold NULs itself: trust *ret_len), valid until the next
 * call. 0: all bytes are taken and the line goes on. -EMSGSIZE: longer than `max`, the
 * stream cannot be used any more. -ENOMEM. *data and *len move past what was taken.
 */
int jsonline_take(struct jsonline *j, const char **data, size_t *len, char **ret_line,
		  size_t *ret_len);

#define JSONLINE_ERRLEN 192
#define JSONLINE_TEXTLEN 512

/*
 * One JSON object from a line (RFC 8259, UTF-8, no key twice, no NUL in strings, at
 * most CONTROL_DEPTH_MAX deep). A new reference, or NULL and what is wrong in `err`
 * (JSONLINE_ERRLEN; may repeat bytes of the line).
 */
json_t *jsonline_parse(const char *line, size_t len, char *err);

/*
 * A string as JSON whatever its bytes: what is not UTF-8 (an interface's name may be anything)
 * becomes `?`. A new reference, NULL only without memory.
 */
json_t *jsonline_text(const char *text);

/*
 * Appends a text made by `fmt` to an array, as jsonline_text(); what is longer than
 * JSONLINE_TEXTLEN - 1 bytes is cut. The text as it stands there, valid as long as the
 * array; "" without memory.
 */
const char *jsonline_append(json_t *list, const char *fmt, ...) _printf_(2, 3);

/* The value as one line with its newline, to be freed; NULL: no memory. */
char *jsonline_dump(const json_t *value, size_t *ret_len);

#endif
