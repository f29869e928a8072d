/*
 * The parser of Xen configuration files: statements.
 *
 * Nothing of a file is ever run. Every statement ends with the parser behind its end, so that an
 * error in one says nothing about the next; a line that begins with `key =` always begins a
 * statement when the one before is broken.
 */
#include "bridgectl/domain/xl_parse.h"

#include <stdarg.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xl_parse_private.h"

/* --- Tokens --- */

bool xl_is(const struct xl_token *t, const char *punct)
{
	return t->type == XL_PUNCT && !strcmp(t->text, punct);
}

static unsigned skip_newlines(const struct xl_parser *p, unsigned pos)
{
	while (p->brackets && p->tokens[pos].type == XL_NEWLINE)
		pos++;
	return pos;
}

const struct xl_token *xl_peek(struct xl_parser *p)
{
	p->pos = skip_newlines(p, p->pos);
	return &p->tokens[p->pos];
}

const struct xl_token *xl_peek2(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p);

	return t->type == XL_END ? t : &p->tokens[skip_newlines(p, p->pos + 1)];
}

const struct xl_token *xl_take(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p);

	p->pos += t->type != XL_END;
	return t;
}

bool xl_at(struct xl_parser *p, const char *punct)
{
	return xl_is(xl_peek(p), punct);
}

bool xl_at_end(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p);

	return t->type == XL_END || t->type == XL_NEWLINE || xl_is(t, ";");
}

void xl_fail(struct xl_parser *p, const struct xl_token *t, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (p->failed)
		return;
	p->failed = true;
	if (t->told)
		return;
	va_start(ap, fmt);
	text = mem_vprintf(fmt, ap);
	va_end(ap);
	report_error(&p->file->report, t->line, t->column, "%s", text);
}

/* --- Assignments --- */

struct xl_assign *xl_file_get(const struct xl_file *file, const char *key)
{
	for (unsigned i = file->n; i-- > 0;)
		if (!strcmp(file->assigns[i].key, key))
			return &file->assigns[i];
	return NULL;
}

struct xl_value *xl_variable(struct xl_parser *p, const char *name)
{
	struct xl_assign *a = xl_file_get(p->file, name);

	if (!a)
		return NULL;
	a->used = true;
	return xl_value_copy(a->value);
}

void xl_assign(struct xl_parser *p, const struct xl_token *key, struct xl_value *value)
{
	struct xl_assign *old = xl_file_get(p->file, key->text), *a;
	bool used = false;

	if (p->file->n >= XL_ASSIGNS_MAX) {
		xl_fail(p, key, "more than %d assignments: this is no configuration file",
			XL_ASSIGNS_MAX);
		xl_value_free(value);
		return;
	}
	if (old) {
		old->superseded = true;
		used = old->used;
	}
	a = mem_push(p->file->assigns, p->file->n);
	a->key = mem_strdup(key->text);
	a->value = value;
	a->line = key->line;
	a->column = key->column;
	a->used = used;
}

/* --- Statements --- */

void xl_skip_statement(struct xl_parser *p)
{
	unsigned open = 0;

	for (;; p->pos++) {
		const struct xl_token *t = &p->tokens[p->pos];

		if (xl_is(t, "(") || xl_is(t, "[") || xl_is(t, "{"))
			open++;
		if (open && (xl_is(t, ")") || xl_is(t, "]") || xl_is(t, "}")))
			open--;
		if (t->type == XL_END)
			return;
		if (!open && (t->type == XL_NEWLINE || xl_is(t, ";")))
			break;
		if (open && t->type == XL_NEWLINE && t[1].type == XL_NAME && t[1].column == 1 &&
		    (xl_is(&t[2], "=") || xl_is(&t[2], "+=")))
			break;
	}
	p->pos++;
}

/* key = value, key += value, a = b = value. */
static void assignment(struct xl_parser *p)
{
	const struct xl_token *key = xl_take(p), *op = xl_take(p);
	const struct xl_assign *old;
	bool chained = xl_is(op, "=") && xl_peek(p)->type == XL_NAME && xl_is(xl_peek2(p), "=");
	struct xl_value *v;

	if (chained && ++p->depth > XL_DEPTH_MAX) {
		xl_fail(p, key, "more than %d assignments in one", XL_DEPTH_MAX);
		return;
	}
	if (chained) {
		assignment(p);
		/* What it was set to; NULL when that went wrong. */
		v = p->failed ? NULL : xl_value_copy(p->file->assigns[p->file->n - 1].value);
	} else {
		v = xl_expression(p);
	}
	if (!p->failed && !xl_at_end(p))
		xl_fail(p, xl_peek(p), "\"%s\" is not expected here, behind the value of %s",
			xl_peek(p)->text, key->text);
	if (p->failed) {
		xl_value_free(v);
		return;
	}
	old = xl_file_get(p->file, key->text);
	if (xl_is(op, "+=") && old)
		v = xl_operate(p, op, xl_value_copy(old->value), v);
	else if (old && old->value->kind != XL_UNKNOWN)
		report_warning(&p->file->report, key->line, key->column,
			       "%s was set on line %u already; this one counts", key->text,
			       old->line);
	xl_assign(p, key, v);
}

/* list.append(value), the one method that files use. */
static bool append(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p);
	static const struct xl_token plus = { .text = (char *)"+" };
	const struct xl_assign *old;
	struct xl_value *item;

	if (!xl_is(&t[1], ".") || t[2].type != XL_NAME || strcmp(t[2].text, "append") != 0 ||
	    !xl_is(&t[3], "("))
		return false;
	old = xl_file_get(p->file, t->text);
	if (!old || old->value->kind != XL_LIST)
		return false;
	p->pos += 3;
	item = xl_expression(p);
	if (!p->failed && xl_at_end(p)) {
		struct xl_value *list = xl_value_new(XL_LIST, NULL, t->line, t->column);

		xl_list_add(list, item);
		xl_assign(p, t, xl_operate(p, &plus, xl_value_copy(old->value), list));
		return true;
	}
	xl_value_free(item);
	return true;
}

/* A line that is no assignment. */
static void other(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p), *behind = xl_peek2(p);
	unsigned from = p->pos;

	if (xl_skip_python(p))
		return;
	/* A text alone: how Python writes long comments. */
	if (t->type == XL_QUOTED) {
		xl_value_free(xl_expression(p));
		if (!p->failed && xl_at_end(p))
			return;
	}
	if (t->type != XL_NAME) {
		xl_fail(p, t, "\"%s\" begins no statement; a line is key = value", t->text);
		return;
	}
	if (behind->type != XL_PUNCT || !strchr(".([,-*/", behind->text[0])) {
		xl_fail(p, t, "no = behind \"%s\"; a line is key = value", t->text);
		return;
	}
	if (append(p))
		return;
	report_warning(&p->file->report, t->line, t->column,
		       "this is Python code, which is not run");
	xl_skip_statement(p);
	xl_taint(p, from, p->pos, true, "this code");
}

static void statement(struct xl_parser *p)
{
	const struct xl_token *t = xl_peek(p), *behind = xl_peek2(p);

	if (t->type == XL_NAME && (xl_is(behind, "=") || xl_is(behind, "+=")))
		assignment(p);
	else
		other(p);
}

static void parse_tokens(struct xl_parser *p)
{
	while (xl_peek(p)->type != XL_END) {
		unsigned from = p->pos;

		p->failed = false;
		p->brackets = p->depth = 0;
		if (!xl_at_end(p))
			statement(p);
		p->brackets = 0;
		if (p->failed)
			p->pos = from;
		/* What Python skipped ends at the beginning of a line. */
		if (p->failed || xl_at_end(p))
			xl_skip_statement(p);
	}
}

void xl_parse(const char *text, size_t len, struct xl_file *ret)
{
	struct xl_parser p = { .file = ret };
	struct xl_tokens tokens;

	*ret = (struct xl_file){ 0 };
	xl_scan(text, len, &ret->report, &tokens);
	p.tokens = tokens.v;
	parse_tokens(&p);
	xl_tokens_fini(&tokens);
}

void xl_file_fini(struct xl_file *file)
{
	for (unsigned i = 0; i < file->n; i++) {
		free(file->assigns[i].key);
		xl_value_free(file->assigns[i].value);
	}
	free(file->assigns);
	report_fini(&file->report);
	*file = (struct xl_file){ 0 };
}
