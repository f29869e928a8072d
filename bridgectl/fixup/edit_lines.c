/*
 * A file line by line. What is not changed stays to the byte: "\r\n" stays "\r\n", and a last line
 * without an end has none afterwards either.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_line.h"

/* Lines that end in "\n", with the ends that this file has. */
static void add_lines(struct text *out, const struct text *lines, const char *eol)
{
	const char *s = lines->s;

	for (const char *end; s && (end = strchr(s, '\n')); s = end + 1) {
		text_add(out, s, (size_t)(end - s));
		text_str(out, eol);
	}
}

static void run_line(struct line *l, line_fn fn, const char *eol, struct text *out)
{
	fn(l);
	add_lines(out, &l->before, eol);
	if (!l->drop) {
		if (l->changed)
			text_add(out, l->out.s ? l->out.s : "", l->out.len);
		else
			text_add(out, l->s, l->len);
		text_str(out, eol);
	}
	add_lines(out, &l->after, eol);
	text_fini(&l->out);
	text_fini(&l->before);
	text_fini(&l->after);
}

bool plan_lines(struct plan *p, const char *path, const char *why, line_fn fn, void *arg)
{
	size_t len, end_len;
	_cleanup_free_ char *text = plan_text(p, path, &len);
	const char *eol = "\n";
	struct text out = { 0 };
	char *new;
	unsigned number = 0;
	bool open;

	if (!text)
		return false;
	open = len > 0 && text[len - 1] != '\n';
	for (char *s = text, *next; *s; s = next) {
		char *end = strchrnul(s, '\n');
		struct line l = { .plan = p, .path = path, .s = s, .arg = arg };

		next = *end ? end + 1 : end;
		if (*end)
			eol = end > s && end[-1] == '\r' ? "\r\n" : "\n";
		l.len = (size_t)(end - s) - (*end && eol[0] == '\r');
		s[l.len] = '\0';
		l.number = ++number;
		run_line(&l, fn, eol, &out);
	}
	end_len = strlen(eol);
	if (open && out.len >= end_len)
		out.s[out.len -= end_len] = '\0';
	new = text_steal(&out, &len);
	plan_set(p, path, new, len, why);
	return true;
}

void line_set(struct line *l, const char *s, size_t len)
{
	struct text out = { 0 };

	text_add(&out, s, len); /* s may be in l->out */
	text_fini(&l->out);
	l->out = out;
	l->changed = true;
}

void line_splice(struct line *l, const struct word *old, const char *new, size_t new_len)
{
	struct text out = { 0 };
	size_t at = (size_t)(old->s - l->s);

	text_add(&out, l->s, at);
	text_add(&out, new, new_len);
	text_add(&out, old->s + old->len, l->len - at - old->len);
	text_fini(&l->out);
	l->out = out;
	l->changed = true;
}

void line_note(struct line *l, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	edit_note(l->plan, "%s, line %u: %s", l->path, l->number, s);
}

void plan_append(struct plan *p, const char *path, const char *line, const char *why)
{
	size_t len;
	_cleanup_free_ char *text = plan_text(p, path, &len);
	const char *first = text ? strchr(text, '\n') : NULL;
	const char *eol = first && first > text && first[-1] == '\r' ? "\r\n" : "\n";
	struct text out = { 0 };
	char *new;
	bool open;

	if (!text)
		return;
	open = len > 0 && text[len - 1] != '\n';
	text_add(&out, text, len);
	text_printf(&out, "%s%s%s", open ? eol : "", line, open ? "" : eol);
	new = text_steal(&out, &len);
	plan_set(p, path, new, len, why);
}

bool line_assigns(const char *line, const char *key, struct word *ret_value)
{
	const char *s = line + strspn(line, " \t");
	size_t len = strlen(key);

	if (strncmp(s, "export ", 7) == 0)
		s += 7 + strspn(s + 7, " \t");
	if (strncmp(s, key, len) != 0)
		return false;
	s += len;
	s += *s == '+';
	if (*s++ != '=')
		return false;
	if (*s == '"' || *s == '\'' || *s == '(') {
		const char *end = strchr(s + 1, *s == '(' ? ')' : *s);

		/* Pieces put together, escaped quotes: not for us. */
		if (!end || end[-1] == '\\' || !strchr(" \t;#", end[1]))
			return false;
		*ret_value = (struct word){ s + 1, (size_t)(end - s) - 1 };
		return true;
	}
	len = strcspn(s, " \t#;");
	if (strcspn(s, "\"'\\") < len)
		return false;
	*ret_value = (struct word){ s, len };
	return true;
}

void line_assign(struct line *l, const struct word *value, const char *new, size_t len)
{
	struct text out = { 0 };

	if (value->s > l->s && strchr("\"'(", value->s[-1])) {
		line_splice(l, value, new, len);
		return;
	}
	text_printf(&out, "\"%.*s\"", (int)len, new);
	line_splice(l, value, out.s, out.len);
	text_fini(&out);
}
