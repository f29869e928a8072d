/*
 * Values and what can be computed from them without running anything.
 *
 * A result never grows beyond what its operands and the file can pay for: the parser asks
 * xl_value_size() before it copies, and widths in % are bounded.
 */
#include "bridgectl/domain/xl_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

#define WIDTH_MAX 64

struct xl_value *xl_value_new(enum xl_kind kind, const char *text, unsigned line, unsigned column)
{
	struct xl_value *v = mem_new(sizeof(*v));

	v->kind = kind;
	v->text = mem_strdup_or_null(text);
	v->line = line;
	v->column = column;
	return v;
}

struct xl_value *xl_value_int(int64_t number, unsigned line, unsigned column)
{
	struct xl_value *v;
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	v = xl_value_new(XL_INT, text, line, column);
	v->number = number;
	return v;
}

void xl_list_add(struct xl_value *list, struct xl_value *item)
{
	*mem_push(list->items, list->n) = item;
}

struct xl_value *xl_value_copy(const struct xl_value *v)
{
	struct xl_value *copy = xl_value_new(v->kind, v->text, v->line, v->column);

	copy->number = v->number;
	for (unsigned i = 0; i < v->n; i++)
		xl_list_add(copy, xl_value_copy(v->items[i]));
	return copy;
}

void xl_value_free(struct xl_value *v)
{
	if (!v)
		return;
	for (unsigned i = 0; i < v->n; i++)
		xl_value_free(v->items[i]);
	free(v->items);
	free(v->text);
	free(v);
}

size_t xl_value_size(const struct xl_value *v)
{
	size_t n = sizeof(*v) + (v->text ? strlen(v->text) : 0);

	for (unsigned i = 0; i < v->n; i++)
		n += xl_value_size(v->items[i]);
	return n;
}

bool xl_value_number(const struct xl_value *v, int64_t *ret)
{
	const char *s = v->text;
	char *end;
	int64_t n;

	if (v->kind == XL_INT || v->kind == XL_BOOL) {
		*ret = v->number;
		return true;
	}
	if (v->kind != XL_STRING)
		return false;
	while (*s == ' ' || *s == '\t')
		s++;
	errno = 0;
	n = strtoll(s, &end, 0);
	while (end > s && (*end == ' ' || *end == '\t'))
		end++;
	if (errno || end == s || *end)
		return false;
	*ret = n;
	return true;
}

const char *xl_kind_name(enum xl_kind kind)
{
	static const char *const names[] = {
		[XL_STRING] = "a string",    [XL_INT] = "a number",
		[XL_BOOL] = "True or False", [XL_NONE] = "None",
		[XL_LIST] = "a list",	     [XL_UNKNOWN] = "computed by Python",
	};

	return names[kind];
}

static bool is_number(const struct xl_value *v)
{
	return v->kind == XL_INT || v->kind == XL_BOOL;
}

/* Rounds down, as Python does. False: division by zero, or the result has no room. */
static bool divide(int64_t a, int64_t b, int64_t *ret, int64_t *ret_rest)
{
	if (!b || (a == INT64_MIN && b == -1))
		return false;
	*ret = a / b;
	*ret_rest = a % b;
	if (*ret_rest && (a < 0) != (b < 0)) {
		*ret -= 1;
		*ret_rest += b;
	}
	return true;
}

static bool arithmetic(char op, int64_t a, int64_t b, int64_t *ret)
{
	int64_t rest;

	switch (op) {
	case '+':
		return !__builtin_add_overflow(a, b, ret);
	case '-':
		return !__builtin_sub_overflow(a, b, ret);
	case '*':
		return !__builtin_mul_overflow(a, b, ret);
	case '/':
		return divide(a, b, ret, &rest);
	case '%':
		return divide(a, b, &rest, ret);
	default:
		return false;
	}
}

/* --- "..." % ... --- */

struct text {
	char *s;
	size_t n;
};

static void put(struct text *t, const char *s, size_t n)
{
	t->s = mem_must(realloc(t->s, t->n + n + 1));
	memcpy(t->s + t->n, s, n);
	t->n += n;
	t->s[t->n] = '\0';
}

static const struct xl_value *operand(const struct xl_value *b, unsigned i)
{
	if (b->kind == XL_LIST)
		return i < b->n ? b->items[i] : NULL;
	return i ? NULL : b;
}

/* One conversion, of flags and width "spec". False: not understood. */
static bool convert(struct text *t, char conversion, bool zero, unsigned width,
		    const struct xl_value *v)
{
	char number[WIDTH_MAX + 32];
	size_t len;

	if (strchr("di", conversion) && is_number(v)) {
		int n = snprintf(number, sizeof(number), zero ? "%0*" PRId64 : "%*" PRId64,
				 (int)width, v->number);

		put(t, number, (size_t)n);
		return true;
	}
	if (conversion != 's' || (v->kind != XL_STRING && v->kind != XL_INT))
		return false;
	len = strlen(v->text);
	for (; len < width; width--)
		put(t, " ", 1);
	put(t, v->text, len);
	return true;
}

static bool format(struct text *t, const char *f, const struct xl_value *b)
{
	unsigned i = 0;

	for (; *f; f++) {
		const struct xl_value *v;
		unsigned width = 0;
		bool zero = false;

		if (*f != '%' || *++f == '%') {
			put(t, f, 1);
			continue;
		}
		for (; *f == '0'; f++)
			zero = true;
		for (; isdigit((unsigned char)*f) && width <= WIDTH_MAX; f++)
			width = width * 10 + (unsigned)(*f - '0');
		v = operand(b, i++);
		if (!*f || !v || width > WIDTH_MAX || !convert(t, *f, zero, width, v))
			return false;
	}
	return !operand(b, i);
}

static struct xl_value *join_strings(const struct xl_value *a, const char *more)
{
	struct xl_value *v = xl_value_new(XL_STRING, NULL, a->line, a->column);
	struct text t = { 0 };

	put(&t, a->text, strlen(a->text));
	put(&t, more, strlen(more));
	v->text = t.s;
	return v;
}

static struct xl_value *join_lists(const struct xl_value *a, const struct xl_value *b)
{
	struct xl_value *v = xl_value_copy(a);

	for (unsigned i = 0; i < b->n; i++)
		xl_list_add(v, xl_value_copy(b->items[i]));
	return v;
}

static struct xl_value *format_string(const struct xl_value *a, const struct xl_value *b)
{
	struct text t = { 0 };
	struct xl_value *v;

	put(&t, "", 0);
	if (!format(&t, a->text, b)) {
		free(t.s);
		return NULL;
	}
	v = xl_value_new(XL_STRING, NULL, a->line, a->column);
	v->text = t.s;
	return v;
}

struct xl_value *xl_value_operate(const char *op, const struct xl_value *a,
				  const struct xl_value *b)
{
	int64_t n;

	if (is_number(a) && is_number(b))
		return arithmetic(op[0], a->number, b->number, &n) ?
			       xl_value_int(n, a->line, a->column) :
			       NULL;
	if (!strcmp(op, "%") && a->kind == XL_STRING)
		return format_string(a, b);
	if (strcmp(op, "+") || a->kind != b->kind)
		return NULL;
	if (a->kind == XL_STRING)
		return join_strings(a, b->text);
	return a->kind == XL_LIST ? join_lists(a, b) : NULL;
}
