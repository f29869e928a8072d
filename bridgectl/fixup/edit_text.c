/*
 * Texts that grow and words of lines, for the rules. A text is ended with a NUL at any time, and
 * holds none: plan_text() lets none in.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_text.h"

static void text_room(struct text *t, size_t more)
{
	if (t->len + more + 1 <= t->size)
		return;
	t->size = MAX(t->size * 2, t->len + more + 64);
	t->s = mem_must(realloc(t->s, t->size));
}

void text_add(struct text *t, const char *s, size_t len)
{
	text_room(t, len);
	memcpy(t->s + t->len, s, len);
	t->len += len;
	t->s[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	text_str(t, s);
}

char *text_steal(struct text *t, size_t *ret_len)
{
	char *s;

	text_room(t, 0);
	s = t->s;
	s[t->len] = '\0';
	if (ret_len)
		*ret_len = t->len;
	*t = (struct text){ 0 };
	return s;
}

void text_fini(struct text *t)
{
	free(t->s);
	*t = (struct text){ 0 };
}

bool word_next(const char **s, struct word *ret)
{
	const char *p = *s + strspn(*s, " \t");
	size_t len = strcspn(p, " \t");

	if (len == 0)
		return false;
	*ret = (struct word){ p, len };
	*s = p + len;
	return true;
}

bool word_is(const struct word *w, const char *s)
{
	return w->len == strlen(s) && memcmp(w->s, s, w->len) == 0;
}

bool word_begins(const struct word *w, const char *s)
{
	size_t len = strlen(s);

	return w->len >= len && memcmp(w->s, s, len) == 0;
}

bool word_begins_any(const struct word *w, const char *const list[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (word_begins(w, list[i]))
			return true;
	}
	return false;
}

struct word word_at(const char *line, unsigned n)
{
	struct word w;

	do {
		if (!word_next(&line, &w))
			return (struct word){ line + strlen(line), 0 };
	} while (n-- > 0);
	return w;
}

const char *word_text(const struct word *w, char *buf)
{
	size_t len = MIN(w->len, EDIT_WORD_MAX - 1);

	memcpy(buf, w->s, len);
	buf[len] = '\0';
	return buf;
}
