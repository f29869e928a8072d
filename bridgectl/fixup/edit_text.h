/* Texts that grow, and words of lines, for edit*.c and udiff.c. */
#ifndef BRIDGECTL_FIXUP_EDIT_TEXT_H
#define BRIDGECTL_FIXUP_EDIT_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/util.h"

#define EDIT_WORD_MAX 512 /* of what is quoted or compared */

/* Always ended with a NUL, and without one inside. */
struct text {
	char *s;
	size_t len, size;
};

void text_add(struct text *t, const char *s, size_t len);
void text_str(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...) _printf_(2, 3);
/* What it holds, never NULL, to be freed; the text is empty then. */
char *text_steal(struct text *t, size_t *ret_len);
void text_fini(struct text *t);

/* A part of a line that somebody else owns. */
struct word {
	const char *s;
	size_t len;
};

/* The next word at *s that blanks end, *s behind it; false: no more. */
bool word_next(const char **s, struct word *ret);
bool word_is(const struct word *w, const char *s);
bool word_begins(const struct word *w, const char *s);
/* With one of the `n` of a list. */
bool word_begins_any(const struct word *w, const char *const list[], unsigned n);
/* The n-th word of a line, from 0; an empty one if there are fewer. */
struct word word_at(const char *line, unsigned n);
/* Into `buf` of EDIT_WORD_MAX, cut to it; returned. */
const char *word_text(const struct word *w, char *buf);

#endif
