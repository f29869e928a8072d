/* What there is to say about a file: messages with a severity and a place in it. */
#ifndef BRIDGECTL_DOMAIN_REPORT_H
#define BRIDGECTL_DOMAIN_REPORT_H

#include "common/util.h"

enum report_severity {
	REPORT_NOTE,	/* for who wants to know more */
	REPORT_WARNING, /* it was read, but perhaps not as it was meant */
	REPORT_ERROR,
};

/* So many are kept; the rest is counted. */
#define REPORT_MAX 200
/* Bytes of one text. */
#define REPORT_TEXT_MAX 600

struct report_item {
	enum report_severity severity;
	unsigned line, column; /* from 1, in characters; line 0: the whole file */
	char *text;	       /* without place, one sentence, unfiltered: it may quote the file */
};

struct report {
	struct report_item *items; /* as they were found */
	unsigned n, n_errors, n_dropped;
};

/* In JSON and before a text: "note", "warning", "error". */
const char *report_severity_name(enum report_severity severity);

/* The same at the same place is added once. */
void report_add(struct report *r, enum report_severity severity, unsigned line, unsigned column,
		const char *fmt, ...) _printf_(5, 6);
#define report_error(r, line, column, ...) report_add(r, REPORT_ERROR, line, column, __VA_ARGS__)
#define report_warning(r, line, column, ...) \
	report_add(r, REPORT_WARNING, line, column, __VA_ARGS__)
#define report_note(r, line, column, ...) report_add(r, REPORT_NOTE, line, column, __VA_ARGS__)

void report_fini(struct report *r);

/*
 * The part of line `line` of `text` around a column, fit to be shown: at most 100 characters,
 * control characters as spaces. *ret_caret is how many characters stand before the column in it.
 * A new string, NULL when there is no such line.
 */
char *report_quote(const char *text, size_t len, unsigned line, unsigned column,
		   unsigned *ret_caret);

#endif
