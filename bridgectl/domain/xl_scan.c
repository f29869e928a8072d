/*
 * The scanner of Xen configuration files: what xl (libxlu_cfg_l.l in Xen) and Python, as xm ran it,
 * both take for a token, so that one file has one meaning.
 *
 * Strings never contain a NUL byte. Places count characters of UTF-8, a tab as one.
 */
#include "bridgectl/domain/xl_scan.h"

#include <ctype.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"

struct scan {
	const char *p, *end;
	unsigned line, column;
	bool first;
	struct report *report;
	struct xl_tokens *tokens;
};

static int peek(const struct scan *s, size_t ahead)
{
	return (size_t)(s->end - s->p) > ahead ? (unsigned char)s->p[ahead] : -1;
}

static void advance(struct scan *s, size_t n)
{
	for (; n; n--, s->p++) {
		if (*s->p == '\n') {
			s->line++;
			s->column = 1;
		} else if ((*s->p & 0xc0) != 0x80) {
			s->column++;
		}
	}
}

static struct xl_token *add(struct scan *s, enum xl_token_type type, const char *text, size_t len)
{
	struct xl_token *t = mem_push(s->tokens->v, s->tokens->n);

	t->type = type;
	t->text = mem_strndup(text, len);
	t->line = s->line;
	t->column = s->column;
	t->first = s->first;
	s->first = false;
	return t;
}

/* --- Strings --- */

struct buffer {
	char *v;
	size_t n;
};

static void put(struct buffer *b, char c)
{
	*mem_push(b->v, b->n) = c;
}

static int digits(const struct scan *s, unsigned base, size_t max, size_t *ret_n)
{
	int v = 0;
	size_t n;

	for (n = 0; n < max; n++) {
		int c = peek(s, n);
		int d = isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : 99;

		if (c < 0 || d >= (int)base)
			break;
		v = v * (int)base + d;
	}
	*ret_n = n;
	return v & 0xff;
}

static const char escapes[][2] = {
	{ 'a', '\a' }, { 'b', '\b' }, { 'f', '\f' },  { 'n', '\n' },  { 'r', '\r' },
	{ 't', '\t' }, { 'v', '\v' }, { '\\', '\\' }, { '\'', '\'' }, { '"', '"' },
};

/* Behind a backslash. What is no escape stays as it is, as in Python. */
static void escape(struct scan *s, struct buffer *b)
{
	int c = peek(s, 0), v;
	size_t n;

	if (c == '\n') {
		advance(s, 1);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(escapes); i++) {
		if (escapes[i][0] != c)
			continue;
		put(b, escapes[i][1]);
		advance(s, 1);
		return;
	}
	v = c == 'x' ? -1 : digits(s, 8, 3, &n);
	if (c == 'x') {
		advance(s, 1);
		v = digits(s, 16, 2, &n);
		if (n < 2) {
			report_error(s->report, s->line, s->column,
				     "two hexadecimal digits follow \\x");
			return;
		}
	} else if (!n) {
		put(b, '\\');
		return;
	}
	if (!v)
		report_error(s->report, s->line, s->column, "a NUL byte in a string");
	else
		put(b, (char)v);
	advance(s, n);
}

static bool at_quote(const struct scan *s, int quote, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (peek(s, i) != quote)
			return false;
	return true;
}

/* Up to the closing quote. False: there is none. */
static bool string_body(struct scan *s, int quote, unsigned n_quotes, bool raw, struct buffer *b)
{
	while (s->p < s->end && !at_quote(s, quote, n_quotes)) {
		int c = *s->p;

		if (c == '\n' && n_quotes == 1)
			return false;
		if (c == '\\' && s->p + 1 < s->end) {
			advance(s, 1);
			if (!raw) {
				escape(s, b);
				continue;
			}
			put(b, '\\');
			c = *s->p;
		}
		/* A line of a file with CRLF ends with one character. */
		if (!(c == '\r' && peek(s, 1) == '\n'))
			put(b, (char)c);
		advance(s, 1);
	}
	if (s->p >= s->end)
		return false;
	advance(s, n_quotes);
	return true;
}

static void string(struct scan *s, size_t prefix)
{
	unsigned index = s->tokens->n, n_quotes;
	struct buffer b = { 0 };
	struct xl_token *t = add(s, XL_QUOTED, "", 0);
	bool raw = false;
	int quote;

	for (size_t i = 0; i < prefix; i++) {
		raw |= tolower(peek(s, i)) == 'r';
		t->computed |= tolower(peek(s, i)) == 'f';
	}
	advance(s, prefix);
	quote = peek(s, 0);
	n_quotes = at_quote(s, quote, 3) ? 3 : 1;
	advance(s, n_quotes);
	if (!string_body(s, quote, n_quotes, raw, &b)) {
		t = &s->tokens->v[index];
		t->type = XL_BAD;
		t->told = true;
		report_error(s->report, t->line, t->column, "this string has no closing %c", quote);
	}
	put(&b, '\0');
	free(s->tokens->v[index].text);
	s->tokens->v[index].text = b.v;
}

/* Length of what makes a string raw, bytes or Unicode in Python, before its quote; 0 also when
 * there is a quote right here; -1: no string. */
static int string_prefix(const struct scan *s)
{
	for (int n = 0; n <= 2; n++) {
		int c = peek(s, (size_t)n);

		if (c == '"' || c == '\'')
			return n;
		if (c <= 0 || !strchr("rRuUbBfF", c))
			return -1;
	}
	return -1;
}

/* --- The rest --- */

static const char two[][3] = { "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "//", "**", "->" };

static void punct(struct scan *s)
{
	size_t n = 1;

	for (unsigned i = 0; i < ARRAY_SIZE(two); i++)
		if (peek(s, 0) == two[i][0] && peek(s, 1) == two[i][1])
			n = 2;
	while ((peek(s, n) & ~0x3f) == 0x80 && peek(s, 0) >= 0x80)
		n++;
	add(s, ispunct(peek(s, 0)) ? XL_PUNCT : XL_BAD, s->p, n);
	advance(s, n);
}

static size_t word_length(const struct scan *s, bool number)
{
	size_t n = 0;
	int c;

	while ((c = peek(s, n)) >= 0 && (isalnum(c) || c == '_' || (number && c == '.')))
		n++;
	return n;
}

static void word(struct scan *s, enum xl_token_type type)
{
	size_t n = word_length(s, type == XL_NUMBER);

	add(s, type, s->p, n);
	advance(s, n);
}

/* Spaces, comments, joined lines. False: a token begins here. */
static bool skip_blank(struct scan *s)
{
	int c = peek(s, 0);

	if (c == '#') {
		const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));

		advance(s, (size_t)((nl ? nl : s->end) - s->p));
		return true;
	}
	if (c == '\\' && (peek(s, 1) == '\n' || (peek(s, 1) == '\r' && peek(s, 2) == '\n'))) {
		advance(s, peek(s, 1) == '\n' ? 2 : 3);
		return true;
	}
	if (c == ' ' || c == '\t' || c == '\f' || (c == '\r' && peek(s, 1) == '\n')) {
		advance(s, 1);
		return true;
	}
	return false;
}

static void next(struct scan *s)
{
	int c = peek(s, 0);
	int prefix = string_prefix(s);

	if (c == '\n') {
		add(s, XL_NEWLINE, "", 0);
		advance(s, 1);
		s->first = true;
	} else if (prefix >= 0) {
		string(s, (size_t)prefix);
	} else if (isdigit(c)) {
		word(s, XL_NUMBER);
	} else if (isalpha(c) || c == '_') {
		word(s, XL_NAME);
	} else {
		punct(s);
	}
}

static bool too_much(struct scan *s, size_t len)
{
	const char *nul = memchr(s->p, '\0', MIN(len, (size_t)XL_FILE_MAX));

	if (nul) {
		advance(s, (size_t)(nul - s->p));
		report_error(s->report, s->line, s->column,
			     "a NUL byte: this is no configuration file, or it is damaged");
		return true;
	}
	if (len <= XL_FILE_MAX)
		return false;
	report_error(s->report, 0, 0, "more than 1 MiB: this is no configuration file");
	return true;
}

void xl_scan(const char *text, size_t len, struct report *report, struct xl_tokens *ret)
{
	struct scan s = { text, text + len, 1, 1, true, report, ret };

	*ret = (struct xl_tokens){ 0 };
	if (too_much(&s, len))
		s.p = s.end;
	/* The mark that some editors write. */
	if (s.end - s.p >= 3 && !memcmp(s.p, "\xef\xbb\xbf", 3))
		s.p += 3;
	while (s.p < s.end) {
		if (ret->n >= XL_TOKENS_MAX) {
			report_error(report, s.line, s.column,
				     "more than %d words and signs: this is no configuration file",
				     XL_TOKENS_MAX);
			break;
		}
		if (!skip_blank(&s))
			next(&s);
	}
	add(&s, XL_END, "", 0);
}

void xl_tokens_fini(struct xl_tokens *tokens)
{
	for (unsigned i = 0; i < tokens->n; i++)
		free(tokens->v[i].text);
	free(tokens->v);
	*tokens = (struct xl_tokens){ 0 };
}
