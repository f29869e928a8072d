/*
 * All that bridgectl writes. One writer knows where it writes to and in which form; every
 * piece of text passes a filter that lets no control character through, because names
 * and sentences may come from a peer.
 */
#ifndef BRIDGECTL_OUT_H
#define BRIDGECTL_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/util.h"

enum style {
	STYLE_NONE,
	STYLE_BOLD,
	STYLE_DIM,
	STYLE_GOOD, /* green */
	STYLE_WARN, /* yellow */
	STYLE_BAD,  /* red */
};

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct out {
	FILE *f;
	bool json;
	bool quiet;
	bool color;
	bool utf8;	/* the locale's characters: lines may be drawn with what ASCII lacks */
	unsigned width; /* columns of the terminal; 0: not a terminal, any width */
};

/* Looks whether `f` is a terminal, how wide, and at NO_COLOR and the locale. */
void out_init(struct out *o, FILE *f, enum color_when when);

/* Text without a newline; a control character in it is shown as \xNN or \uNNNN. */
void out_text(struct out *o, enum style style, const char *fmt, ...) _printf_(3, 4);
/* The same with a newline. An empty format is an empty line. */
void out_line(struct out *o, enum style style, const char *fmt, ...) _printf_(3, 4);
/* Bold capitals over a part of a screen. */
void out_heading(struct out *o, const char *text);
/* Wraps at the terminal's width; each line begins with `indent` spaces. */
void out_wrapped(struct out *o, unsigned indent, const char *text);

/* Indented, ASCII only, in the daemon's order of keys. `line`: on one line. */
void out_json(struct out *o, const json_t *value, bool line);

/*
 * The filter by itself: a new string without control, format-changing or invalid characters.
 * Never NULL (an allocation failure ends the program).
 */
char *out_clean(const char *s);
/* Columns that clean UTF-8 takes, one per character. */
unsigned out_columns(const char *s);

/* --- Units (out_units.c): into `buf` of UNIT_LEN, which they return --- */

#define UNIT_LEN 32

const char *unit_bytes(double v, char *buf);	      /* "1.5 MiB" */
const char *unit_count(double v, char *buf);	      /* "12.3k" */
const char *unit_duration_s(double s, char *buf);     /* "3 d 4 h" */
const char *unit_rtt_us(double us, char *buf);	      /* "0.42 ms" */
const char *unit_percent(double fraction, char *buf); /* "1.2 %" of 0.012 */

/* --- Tables (out_table.c) --- */

#define TABLE_COLUMNS_MAX 16

struct column {
	const char *title;
	bool right; /* numbers */
	/* 0: always shown; else, on a narrow terminal, the greatest value goes first. */
	unsigned drop;
};

struct table;

/* `columns` must outlive it. */
struct table *table_new(struct out *o, const struct column *columns, unsigned n);
/* Row by row, cell by cell; after the last column comes the next row. */
void table_cell(struct table *t, enum style style, const char *fmt, ...) _printf_(3, 4);
/* Writes title line and rows, indented by two, and frees the table. */
void table_end(struct table *t);

#endif
