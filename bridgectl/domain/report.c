/*
 * Messages about a file, and the line that each is about.
 *
 * A hostile file can make very many: beyond REPORT_MAX they are counted only, but an error is
 * never lost from the count that decides, and is kept rather than what is none.
 */
#include "bridgectl/domain/report.h"

#include <stdarg.h>
#include <stdbool.h>

#include "bridgectl/domain/mem.h"

#define QUOTE_COLUMNS 100
#define QUOTE_BEFORE 70

const char *report_severity_name(enum report_severity severity)
{
	static const char *const names[] = {
		[REPORT_NOTE] = "note",
		[REPORT_WARNING] = "warning",
		[REPORT_ERROR] = "error",
	};

	return names[severity];
}

/* Of a character of UTF-8. */
static bool is_inside(char c)
{
	return (c & 0xc0) == 0x80;
}

/* A key that is asked for twice is wrong once. */
static bool is_there(const struct report *r, const struct report_item *item)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->items[i].line == item->line && r->items[i].column == item->column &&
		    !strcmp(r->items[i].text, item->text))
			return true;
	return false;
}

/* For an error: the newest of what is none goes. */
static bool make_room(struct report *r, const struct report_item *item)
{
	unsigned i = r->n;

	while (i > 0 && r->items[i - 1].severity >= item->severity)
		i--;
	if (!i)
		return false;
	free(r->items[i - 1].text);
	memmove(&r->items[i - 1], &r->items[i], (r->n - i) * sizeof(r->items[0]));
	r->n--;
	return true;
}

void report_add(struct report *r, enum report_severity severity, unsigned line, unsigned column,
		const char *fmt, ...)
{
	struct report_item item = { severity, line, column, NULL };
	va_list ap;

	va_start(ap, fmt);
	item.text = mem_vprintf(fmt, ap);
	va_end(ap);
	mem_cut(item.text, REPORT_TEXT_MAX); /* it may quote very much of the file */
	if (is_there(r, &item)) {
		free(item.text);
		return;
	}
	r->n_errors += severity == REPORT_ERROR;
	r->n_dropped += r->n >= REPORT_MAX;
	if (r->n >= REPORT_MAX && !make_room(r, &item))
		free(item.text);
	else
		*mem_push(r->items, r->n) = item;
}

void report_fini(struct report *r)
{
	for (unsigned i = 0; i < r->n; i++)
		free(r->items[i].text);
	free(r->items);
	*r = (struct report){ 0 };
}

/* `n` characters on from `s`, not beyond `end`. */
static const char *characters_on(const char *s, const char *end, unsigned n)
{
	while (s < end && n) {
		s++;
		/* At most three bytes: the file may be no UTF-8. */
		for (unsigned i = 0; i < 3 && s < end && is_inside(*s); i++)
			s++;
		n--;
	}
	return s;
}

char *report_quote(const char *text, size_t len, unsigned line, unsigned column,
		   unsigned *ret_caret)
{
	const char *s = text, *end = text + len, *stop;
	unsigned skip, caret = column ? column - 1 : 0;
	char *quote;

	for (unsigned i = 1; i < line; i++) {
		s = memchr(s, '\n', (size_t)(end - s));
		if (!s)
			return NULL;
		s++;
	}
	stop = memchr(s, '\n', (size_t)(end - s));
	if (!line || s == end)
		return NULL;
	if (!stop)
		stop = end;
	skip = caret > QUOTE_BEFORE ? caret - QUOTE_BEFORE : 0;
	s = characters_on(s, stop, skip);
	stop = characters_on(s, stop, QUOTE_COLUMNS);
	while (stop > s && (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	quote = mem_strndup(s, (size_t)(stop - s));
	for (char *p = quote; p < quote + (stop - s); p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	*ret_caret = caret - skip;
	return quote;
}
