/*
 * Expressions of Xen configuration files: strings, numbers, lists, and what can be computed from
 * them and from what stands before.
 *
 * Every function returns a value. Where only Python knows it, that is XL_UNKNOWN with the reason;
 * xl_fail() is for what neither xl nor Python would read.
 */
#include <errno.h>
#include <stdarg.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xl_parse_private.h"

#define PAID_MAX ((size_t)16 * 1024 * 1024)

static struct xl_value *unknown(const struct xl_token *t, const char *fmt, ...) _printf_(2, 3);

static struct xl_value *unknown(const struct xl_token *t, const char *fmt, ...)
{
	struct xl_value *v = xl_value_new(XL_UNKNOWN, NULL, t->line, t->column);
	va_list ap;

	va_start(ap, fmt);
	v->text = mem_vprintf(fmt, ap);
	va_end(ap);
	return v;
}

/* A file of a megabyte can double a list until no memory is left. */
static bool pay(struct xl_parser *p, const struct xl_token *t, size_t n)
{
	p->paid += n;
	if (p->paid <= PAID_MAX)
		return true;
	xl_fail(p, t, "the values up to here are too large: this is no configuration file");
	return false;
}

struct xl_value *xl_operate(struct xl_parser *p, const struct xl_token *op, struct xl_value *a,
			    struct xl_value *b)
{
	struct xl_value *v = NULL;

	if (a->kind == XL_UNKNOWN || b->kind == XL_UNKNOWN) {
		v = xl_value_copy(a->kind == XL_UNKNOWN ? a : b);
	} else if (pay(p, op, xl_value_size(a) + xl_value_size(b))) {
		const char sign[2] = { op->text[0], '\0' }; /* of +=, too */

		v = xl_value_operate(sign, a, b);
	}
	if (!v)
		v = unknown(op, "the result of %s", op->text);
	xl_value_free(a);
	xl_value_free(b);
	return v;
}

/* "a" 'b': one string, as in Python. In a list that is nearly always a forgotten comma. */
static struct xl_value *strings(struct xl_parser *p)
{
	const struct xl_token *t = xl_take(p);
	struct xl_value *v = xl_value_new(XL_STRING, t->text, t->line, t->column);
	bool computed = t->computed;

	pay(p, t, sizeof(*v) + strlen(t->text));
	while (xl_peek(p)->type == XL_QUOTED && !p->failed) {
		const struct xl_token *more = xl_take(p);
		static const struct xl_token plus = { .text = (char *)"+" };

		if (p->brackets)
			report_warning(&p->file->report, more->line, more->column,
				       "no comma before this string, so it is one with the string "
				       "before it");
		computed |= more->computed;
		v = xl_operate(p, &plus, v, xl_value_new(XL_STRING, more->text, 0, 0));
	}
	if (computed) {
		xl_value_free(v);
		v = unknown(t, "a string with code in it");
	}
	return v;
}

static struct xl_value *number(struct xl_parser *p)
{
	const struct xl_token *t = xl_take(p);
	struct xl_value *v = xl_value_new(XL_INT, t->text, t->line, t->column);
	size_t len = strlen(t->text);
	char *end;

	errno = 0;
	v->number = strtoll(t->text, &end, 0);
	/* Python 2 writes 5L. */
	if (len > 1 && end == t->text + len - 1 && *end == 'L')
		end++;
	if (errno || *end) {
		v->kind = XL_STRING; /* 1.5: weights of xm */
		strtod(t->text, &end);
		if (*end)
			xl_fail(p, t, "%s is no number; a text stands in quotes", t->text);
	}
	return v;
}

/* The file ends within brackets, or a line begins that can only be an assignment. */
static bool never_closed(struct xl_parser *p, const struct xl_token *open)
{
	const struct xl_token *t = xl_peek(p);

	if (t->type != XL_END &&
	    (t->type != XL_NAME || !t->first || t->column != 1 || !xl_is(xl_peek2(p), "=")))
		return false;
	xl_fail(p, open, "this %s is never closed", open->text);
	return true;
}

/* After an opening bracket, up to the closing one. */
static struct xl_value *items(struct xl_parser *p, const struct xl_token *open, const char *close,
			      bool *ret_comma)
{
	struct xl_value *list = xl_value_new(XL_LIST, NULL, open->line, open->column);

	p->brackets++;
	*ret_comma = false;
	while (!xl_at(p, close) && !p->failed) {
		if (never_closed(p, open))
			break;
		p->depth++;
		xl_list_add(list, xl_expression(p));
		p->depth--;
		if (p->failed || xl_at(p, close))
			break;
		if (!xl_at(p, ",")) {
			p->brackets--;
			return list; /* the caller sees what it is */
		}
		xl_take(p);
		*ret_comma = true;
	}
	p->brackets--;
	return list;
}

/* What is behind a value that Python would go on with: a call, a method, an index, an operator. */
static bool goes_on(const struct xl_token *t)
{
	static const char *const words[] = { "if", "else", "for", "and", "or", "not", "in", "is" };
	static const char *const signs[] = { ".",  "(",	 "[",  "==", "!=", "<", ">",
					     "<=", ">=", "**", "&",  "|",  "^", "~" };

	for (unsigned i = 0; i < ARRAY_SIZE(words) && t->type == XL_NAME; i++)
		if (!strcmp(t->text, words[i]))
			return true;
	for (unsigned i = 0; i < ARRAY_SIZE(signs); i++)
		if (xl_is(t, signs[i]))
			return true;
	return false;
}

/* Up to the comma, bracket or end that closes the expression at hand. */
static void skip_expression(struct xl_parser *p)
{
	unsigned open = 0, brackets = p->brackets;
	const struct xl_token *t;

	for (;;) {
		t = xl_peek(p);
		if (t->type == XL_END || (!p->brackets && xl_at_end(p)))
			break;
		if (xl_is(t, "(") || xl_is(t, "[") || xl_is(t, "{"))
			open++;
		if (!open && (xl_is(t, ",") || xl_is(t, ")") || xl_is(t, "]") || xl_is(t, "}")))
			break;
		if (xl_is(t, ")") || xl_is(t, "]") || xl_is(t, "}"))
			open--;
		p->brackets = brackets + open;
		if (t->type == XL_NAME) {
			struct xl_assign *a = xl_file_get(p->file, t->text);

			if (a)
				a->used = true;
		}
		p->pos++;
	}
	p->brackets = brackets;
}

static struct xl_value *bracketed(struct xl_parser *p)
{
	const struct xl_token *open = xl_take(p);
	bool list = xl_is(open, "["), comma;
	const char *close = list ? "]" : ")";
	struct xl_value *v = items(p, open, close, &comma), *only;

	if (p->failed)
		return v;
	if (!xl_at(p, close)) {
		p->brackets++;
		if (!never_closed(p, open) && !goes_on(xl_peek(p)))
			xl_fail(p, xl_peek(p), "a comma or a %s is missing before this", close);
		skip_expression(p);
		p->brackets--;
		xl_value_free(v);
		v = unknown(open, "an expression");
		if (!xl_at(p, close))
			return v;
	}
	xl_take(p);
	if (list || comma || v->kind != XL_LIST || v->n != 1)
		return v;
	only = v->items[0];
	v->n = 0;
	xl_value_free(v);
	return only;
}

static struct xl_value *name(struct xl_parser *p)
{
	static const struct {
		const char *word;
		enum xl_kind kind;
		int number;
	} constants[] = {
		{ "True", XL_BOOL, 1 },
		{ "False", XL_BOOL, 0 },
		{ "None", XL_NONE, 0 },
	};
	const struct xl_token *t = xl_take(p);
	struct xl_value *v;

	for (unsigned i = 0; i < ARRAY_SIZE(constants); i++) {
		if (strcmp(t->text, constants[i].word))
			continue;
		v = xl_value_new(constants[i].kind, t->text, t->line, t->column);
		v->number = constants[i].number;
		return v;
	}
	v = xl_variable(p, t->text);
	if (v && pay(p, t, xl_value_size(v))) {
		v->line = t->line;
		v->column = t->column;
		return v;
	}
	xl_value_free(v);
	return unknown(t, xl_at(p, "(") ? "%s()" : "the variable %s", t->text);
}

static struct xl_value *atom(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p);

	if (t->type == XL_QUOTED)
		return strings(p);
	if (t->type == XL_NUMBER)
		return number(p);
	if (t->type == XL_NAME)
		return name(p);
	if ((xl_at(p, "[") || xl_at(p, "(")) && p->depth < XL_DEPTH_MAX)
		return bracketed(p);
	if (xl_at(p, "[") || xl_at(p, "("))
		xl_fail(p, t, "more than %d brackets in each other", XL_DEPTH_MAX);
	else if (xl_at(p, "{"))
		skip_expression(p);
	else if (t->type == XL_END || t->type == XL_NEWLINE)
		xl_fail(p, t, "a value is missing here");
	else
		xl_fail(p, t, "a value is missing before this; texts stand in quotes");
	return unknown(t, "an expression");
}

static struct xl_value *negated(struct xl_value *v)
{
	struct xl_value *n;

	if ((v->kind != XL_INT && v->kind != XL_BOOL) || v->number == INT64_MIN)
		return v;
	n = xl_value_int(-v->number, v->line, v->column);
	xl_value_free(v);
	return n;
}

static struct xl_value *factor(struct xl_parser *p)
{
	unsigned minus = 0, signs = 0;
	struct xl_value *v;

	for (; xl_at(p, "-") || xl_at(p, "+"); signs++)
		minus += xl_is(xl_take(p), "-");
	v = atom(p);
	if (signs && v->kind != XL_INT && v->kind != XL_BOOL && v->kind != XL_UNKNOWN)
		xl_fail(p, xl_peek(p), "a sign before what is no number");
	if (minus % 2)
		v = negated(v);
	if (goes_on(xl_peek(p))) {
		const struct xl_token *t = xl_peek(p);

		skip_expression(p);
		if (v->kind != XL_UNKNOWN) {
			xl_value_free(v);
			v = unknown(t, "an expression with %s", t->text);
		}
	}
	return v;
}

static struct xl_value *product(struct xl_parser *p)
{
	struct xl_value *v = factor(p);

	while (!p->failed && (xl_at(p, "*") || xl_at(p, "/") || xl_at(p, "//") || xl_at(p, "%"))) {
		const struct xl_token *op = xl_take(p);

		v = xl_operate(p, op, v, factor(p));
	}
	return v;
}

static struct xl_value *sum(struct xl_parser *p)
{
	struct xl_value *v = product(p);

	while (!p->failed && (xl_at(p, "+") || xl_at(p, "-"))) {
		const struct xl_token *op = xl_take(p);

		v = xl_operate(p, op, v, product(p));
	}
	return v;
}

struct xl_value *xl_expression(struct xl_parser *p)
{
	struct xl_value *v = sum(p), *list;

	if (p->brackets || !xl_at(p, ","))
		return v;
	list = xl_value_new(XL_LIST, NULL, v->line, v->column);
	xl_list_add(list, v);
	while (xl_at(p, ",") && !p->failed) {
		xl_take(p);
		if (!xl_at_end(p))
			xl_list_add(list, sum(p));
	}
	return list;
}
