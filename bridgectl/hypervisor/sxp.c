/*
 * A reader of S-expressions. Atoms are separated by blanks and parentheses; '…' and "…" are what
 * Python's repr() writes; # begins a comment. Old versions of xl quote nothing, so a quote
 * within an atom is a part of it. The depth is bounded, so it may call itself.
 */
#include "bridgectl/hypervisor/sxp.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"

struct reader {
	const char *p, *end;
	unsigned depth, nodes;
	char *atom; /* room for the longest one */
};

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* To the next character that means something. False: the end. */
static bool skip(struct reader *r)
{
	for (; r->p < r->end; r->p++) {
		if (*r->p == '#')
			while (r->p < r->end && *r->p != '\n')
				r->p++;
		if (r->p == r->end)
			break;
		if (!is_blank(*r->p))
			return true;
	}
	return false;
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Behind a backslash: one character of the text, "" for one that no C string can hold. */
static char *escape(struct reader *r, char *to)
{
	static const char from[] = "abtnvfr", into[] = "\a\b\t\n\v\f\r";
	const char *known = *r->p ? strchr(from, *r->p) : NULL;
	int value = 0;

	if (known) {
		value = into[known - from];
		r->p++;
	} else if (r->end - r->p >= 3 && *r->p == 'x' && isxdigit((unsigned char)r->p[1]) &&
		   isxdigit((unsigned char)r->p[2])) {
		value = hex(r->p[1]) << 4 | hex(r->p[2]);
		r->p += 3;
	} else if (*r->p >= '0' && *r->p <= '7') {
		for (int i = 0; i < 3 && r->p < r->end && *r->p >= '0' && *r->p <= '7'; i++)
			value = value << 3 | (*r->p++ - '0');
	} else {
		value = *r->p++;
	}
	if (value & 0xff)
		*to++ = (char)value;
	return to;
}

static int read_quoted(struct reader *r)
{
	char quote = *r->p++, *to = r->atom;

	while (r->p < r->end && *r->p != quote) {
		if (*r->p == '\\' && r->p + 1 < r->end) {
			r->p++;
			to = escape(r, to);
		} else if (*r->p) {
			*to++ = *r->p++;
		} else {
			return -EINVAL;
		}
	}
	if (r->p == r->end)
		return -EINVAL;
	r->p++;
	*to = '\0';
	return 0;
}

static int read_bare(struct reader *r)
{
	char *to = r->atom;

	while (r->p < r->end && !is_blank(*r->p) && *r->p != '(' && *r->p != ')') {
		if (iscntrl((unsigned char)*r->p))
			return -EINVAL;
		*to++ = *r->p++;
	}
	*to = '\0';
	return 0;
}

static int read_items(struct reader *r, struct sxp *list);

static int read_one(struct reader *r, struct sxp *ret)
{
	int e;

	if (++r->nodes > SXP_NODES_MAX)
		return -E2BIG;
	if (*r->p != '(') {
		e = *r->p == '\'' || *r->p == '"' ? read_quoted(r) : read_bare(r);
		if (!e)
			ret->text = mem_strdup(r->atom);
		return e;
	}
	if (r->depth == SXP_DEPTH_MAX)
		return -E2BIG;
	r->p++;
	r->depth++;
	e = read_items(r, ret);
	r->depth--;
	if (!e && (r->p == r->end || *r->p++ != ')'))
		e = -EINVAL;
	return e;
}

/* Up to the closing parenthesis or the end, which is left to the caller. */
static int read_items(struct reader *r, struct sxp *list)
{
	int e = 0;

	while (!e && skip(r) && *r->p != ')')
		e = read_one(r, mem_push(list->items, list->n));
	return e;
}

static void fini(struct sxp *s)
{
	for (unsigned i = 0; i < s->n; i++)
		fini(&s->items[i]);
	free(s->items);
	free(s->text);
}

void sxp_free(struct sxp *s)
{
	if (s)
		fini(s);
	free(s);
}

int sxp_parse(const char *text, size_t len, struct sxp **ret)
{
	struct reader r = { .p = text, .end = text + len, .atom = mem_new(len + 1) };
	struct sxp *all = mem_new(sizeof(*all));
	int e = read_items(&r, all);

	free(r.atom);
	if (!e && r.p < r.end)
		e = -EINVAL;
	if (e) {
		sxp_free(all);
		return e;
	}
	*ret = all;
	return 0;
}

const struct sxp *sxp_next(const struct sxp *s, const char *name, unsigned *at)
{
	while (s && *at < s->n) {
		const struct sxp *item = &s->items[(*at)++];

		if (item->n && item->items[0].text && !strcmp(item->items[0].text, name))
			return item;
	}
	return NULL;
}

const char *sxp_text(const struct sxp *s, const char *name)
{
	unsigned at = 0;
	const struct sxp *list = sxp_next(s, name, &at);

	return list && list->n > 1 ? list->items[1].text : NULL;
}
