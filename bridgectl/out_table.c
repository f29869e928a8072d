/*
 * Aligned tables. Columns that may go are left out, the least wanted first, until
 * the rest fits the terminal; what is written into a pipe is always complete.
 */
#include <err.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bridgectl/out.h"

#define INDENT 2
#define GAP 2

struct cell {
	char *text;
	enum style style;
};

/* Owned by the command that fills it, freed by table_end(). */
struct table {
	struct out *out;
	const struct column *columns;
	unsigned n_columns;
	struct cell *cells; /* row after row */
	unsigned n_cells;
	unsigned size;
	unsigned width[TABLE_COLUMNS_MAX];
	bool hidden[TABLE_COLUMNS_MAX];
};

struct table *table_new(struct out *o, const struct column *columns, unsigned n)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t || n > TABLE_COLUMNS_MAX)
		errx(1, "out of memory");
	t->out = o;
	t->columns = columns;
	t->n_columns = n;
	for (unsigned i = 0; i < n; i++)
		t->width[i] = out_columns(columns[i].title);
	return t;
}

void table_cell(struct table *t, enum style style, const char *fmt, ...)
{
	unsigned column = t->n_cells % t->n_columns;
	_cleanup_free_ char *raw = NULL;
	va_list ap;
	int r;

	if (t->n_cells == t->size) {
		t->size = t->size ? t->size * 2 : 64;
		t->cells = reallocarray(t->cells, t->size, sizeof(*t->cells));
	}
	va_start(ap, fmt);
	r = vasprintf(&raw, fmt, ap);
	va_end(ap);
	if (r < 0 || !t->cells)
		errx(1, "out of memory");
	t->cells[t->n_cells].text = out_clean(raw[0] ? raw : "-");
	t->cells[t->n_cells].style = style;
	t->width[column] = MAX(t->width[column], out_columns(t->cells[t->n_cells].text));
	t->n_cells++;
}

static unsigned total_width(const struct table *t)
{
	unsigned w = INDENT;

	for (unsigned i = 0; i < t->n_columns; i++)
		if (!t->hidden[i])
			w += t->width[i] + (w > INDENT ? GAP : 0);
	return w;
}

/* False: no column may go any more. */
static bool hide_one(struct table *t)
{
	unsigned best = t->n_columns;

	for (unsigned i = 0; i < t->n_columns; i++)
		if (!t->hidden[i] && t->columns[i].drop &&
		    (best == t->n_columns || t->columns[i].drop > t->columns[best].drop))
			best = i;
	if (best == t->n_columns)
		return false;
	t->hidden[best] = true;
	return true;
}

static unsigned last_shown(const struct table *t)
{
	unsigned last = 0;

	for (unsigned i = 0; i < t->n_columns; i++)
		if (!t->hidden[i])
			last = i;
	return last;
}

static void write_cell(const struct table *t, unsigned column, enum style style, const char *text)
{
	unsigned pad = t->width[column] - out_columns(text);
	bool right = t->columns[column].right;
	bool last = column == last_shown(t);

	if (right)
		fprintf(t->out->f, "%*s", (int)pad, "");
	out_text(t->out, style, "%s", text);
	if (!last)
		fprintf(t->out->f, "%*s", (int)(right ? GAP : pad + GAP), "");
	else
		fputc('\n', t->out->f);
}

void table_end(struct table *t)
{
	while (t->out->width && total_width(t) > t->out->width && hide_one(t))
		;
	for (unsigned i = 0; i < t->n_columns + t->n_cells; i++) {
		unsigned column = i % t->n_columns;
		const struct cell *c = i < t->n_columns ? NULL : &t->cells[i - t->n_columns];

		if (t->hidden[column])
			continue;
		if (!column)
			fprintf(t->out->f, "%*s", INDENT, "");
		write_cell(t, column, c ? c->style : STYLE_DIM,
			   c ? c->text : t->columns[column].title);
	}
	for (unsigned i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}
