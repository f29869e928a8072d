/*
 * What is in a Xen configuration file and only Python could run: it is skipped, and every name that
 * it sets is from there on not known.
 *
 * xm ran its files as Python. Nothing here does, so what follows from such code has to be said,
 * never guessed.
 */
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xl_parse_private.h"

static const struct {
	const char *word;
	bool body;  /* indented lines behind it belong to it */
	bool sets;  /* it may set variables of the file */
	bool quiet; /* goes with another one, of which a warning told */
} statements[] = {
	{ "assert", false, false, false }, { "class", true, false, false },
	{ "def", true, false, false },	   { "del", false, true, false },
	{ "elif", true, true, true },	   { "else", true, true, true },
	{ "except", true, true, true },	   { "exec", false, true, false },
	{ "finally", true, true, true },   { "for", true, true, false },
	{ "from", false, false, false },   { "global", false, false, false },
	{ "if", true, true, false },	   { "import", false, false, false },
	{ "pass", false, false, true },	   { "print", false, false, false },
	{ "raise", false, false, false },  { "return", false, false, false },
	{ "try", true, true, false },	   { "while", true, true, false },
	{ "with", true, true, false },
};

/* Lines further to the right than `column`. */
static void skip_body(struct xl_parser *p, unsigned column)
{
	for (;;) {
		unsigned pos = p->pos;

		while (p->tokens[pos].type == XL_NEWLINE)
			pos++;
		if (p->tokens[pos].type == XL_END || p->tokens[pos].column <= column)
			return;
		p->pos = pos;
		xl_skip_statement(p);
	}
}

/* The whole line: `if x: a = 1; b = 2`. */
static void skip_line(struct xl_parser *p)
{
	do
		xl_skip_statement(p);
	while (p->tokens[p->pos].type != XL_END && p->pos &&
	       p->tokens[p->pos - 1].type != XL_NEWLINE);
}

bool xl_skip_python(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p);
	unsigned from = p->pos, i = 0;
	char why[64];

	if (xl_is(t, "@")) {
		skip_line(p);
		return true;
	}
	while (i < ARRAY_SIZE(statements) &&
	       (t->type != XL_NAME || strcmp(t->text, statements[i].word) != 0))
		i++;
	if (i == ARRAY_SIZE(statements))
		return false;
	if (statements[i].body)
		skip_line(p);
	else
		xl_skip_statement(p);
	if (statements[i].body)
		skip_body(p, t->column);
	if (!statements[i].quiet)
		report_warning(&p->file->report, t->line, t->column,
			       "`%s` is Python code, which is not run", t->text);
	snprintf(why, sizeof(why), "`%s` on line %u", t->text, t->line);
	xl_taint(p, from, p->pos, statements[i].sets, why);
	return true;
}

/* Whether token `t`, a name, is set there. */
static bool is_set(const struct xl_token *t, const struct xl_token *before, unsigned open)
{
	static const char *const methods[] = { "append", "extend", "insert",  "remove",
					       "pop",	 "sort",   "reverse", "update" };

	if (before && xl_is(before, "."))
		return false;
	if (!open && t[1].type == XL_PUNCT && strchr("=+-*/", t[1].text[0]) &&
	    (xl_is(&t[1], "=") || t[1].text[1] == '='))
		return strcmp(t[1].text, "==") != 0;
	if (!xl_is(&t[1], ".") || t[2].type != XL_NAME)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(methods); i++)
		if (!strcmp(t[2].text, methods[i]))
			return true;
	return false;
}

void xl_taint(struct xl_parser *p, unsigned from, unsigned end, bool sets, const char *why)
{
	unsigned open = 0;

	for (unsigned i = from; i < end; i++) {
		const struct xl_token *t = &p->tokens[i];
		struct xl_assign *a;

		if (xl_is(t, "(") || xl_is(t, "[") || xl_is(t, "{"))
			open++;
		if (open && (xl_is(t, ")") || xl_is(t, "]") || xl_is(t, "}")))
			open--;
		if (t->type != XL_NAME)
			continue;
		a = xl_file_get(p->file, t->text);
		if (sets && is_set(t, i ? t - 1 : NULL, open))
			xl_assign(p, t, xl_value_new(XL_UNKNOWN, why, t->line, t->column));
		else if (a)
			a->used = true;
	}
}
