/*
 * The lexer in front of libconfuse. Its rules are those of libconfuse's own lexer, so
 * that both cut the same text into the same tokens, with these refused: strings over
 * several lines, numeric escapes that libconfuse chokes on, `${` without `}`, control
 * characters, and stray characters that libconfuse would silently drop.
 */
#include "l2tund/config_lex.h"

#include <ctype.h>

#define bad(x, line, ...)                                      \
	do {                                                   \
		if ((x)->bad)                                  \
			(x)->bad((x)->arg, line, __VA_ARGS__); \
	} while (0)

void lex_init(struct lex *x, const char *text, size_t len)
{
	*x = (struct lex){ .p = text, .end = text + len, .line = 1 };
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		x->p += 3; /* byte order mark */
}

static char at(const struct lex *x, size_t i)
{
	return (size_t)(x->end - x->p) > i ? x->p[i] : '\0';
}

static void skip_line(struct lex *x)
{
	while (x->p < x->end && *x->p != '\n')
		x->p++;
}

static void skip_block_comment(struct lex *x)
{
	unsigned line = x->line;

	for (x->p += 2; x->p < x->end; x->p++) {
		if (*x->p == '*' && at(x, 1) == '/') {
			x->p += 2;
			return;
		}
		if (*x->p == '\n')
			x->line++;
	}
	bad(x, line, "comment is not closed; end it with */");
}

static void skip_blanks(struct lex *x)
{
	while (x->p < x->end) {
		char c = *x->p;

		if (c == '\n') {
			x->line++;
			x->p++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			x->p++;
		} else if (c == '#' || (c == '/' && at(x, 1) == '/')) {
			skip_line(x);
		} else if (c == '/' && at(x, 1) == '*') {
			skip_block_comment(x);
		} else {
			return;
		}
	}
}

static bool is_word_char(const struct lex *x, size_t i)
{
	unsigned char c = (unsigned char)at(x, i);

	if (c <= ' ' || c == 0x7f || strchr("#\"'={}()+,*", c))
		return false;
	/* "a//b" is a word and "a/ * b" (closed up) is a word and a comment. */
	return !(c == '/' && at(x, i + 1) == '*');
}

/* At a backslash in double quotes: the length of the escape, 0 when it is none. */
static size_t escape_len(const struct lex *x)
{
	unsigned value = 0;
	size_t n = 0;
	char c = at(x, 1);

	if (c == '\0' || c == '\n')
		return 0;
	if (c == 'x' && at(x, 2) == '0' && (at(x, 3) == '0' || !isxdigit((unsigned char)at(x, 3))))
		return 0; /* a NUL would cut the value short */
	if (!isdigit((unsigned char)c))
		return 2;
	for (; isdigit((unsigned char)at(x, 1 + n)); n++) {
		if (n == 3 || at(x, 1 + n) > '7')
			return 0;
		value = value * 8 + (unsigned)(at(x, 1 + n) - '0');
	}
	return value > 0 && value <= 0xff ? 1 + n : 0;
}

/* At "${": its length up to and with "}", which must stand on the same line; 0 otherwise. */
static size_t env_len(const struct lex *x)
{
	for (size_t i = 2; at(x, i) && at(x, i) != '\n'; i++) {
		if (at(x, i) == '}')
			return i + 1;
	}
	return 0;
}

/* Steps over what stands at x->p inside a string. False: reported. */
static bool string_step(struct lex *x, char quote)
{
	size_t n = 1;
	char c = *x->p;

	if (c == '\\' && quote == '\'') {
		n = at(x, 1) && at(x, 1) != '\n' ? 2 : 1;
	} else if (c == '\\') {
		n = escape_len(x);
		if (n == 0)
			bad(x, x->line,
			    "bad escape after \\ in a string; write \\\\ for a backslash, or use "
			    "single quotes");
	} else if (c == '$' && at(x, 1) == '{' && quote == '"') {
		n = env_len(x);
		if (n == 0)
			bad(x, x->line, "${ without } in a string; close it, or use single quotes");
	} else if ((unsigned char)c < ' ' && c != '\t') {
		bad(x, x->line, "control character (code %d) in a string; remove it", c);
		n = 0;
	}
	x->p += n;
	return n > 0;
}

static struct tok lex_string(struct lex *x)
{
	struct tok t = { .type = TOK_STRING, .start = x->p, .line = x->line };
	char quote = *x->p++;

	while (x->p < x->end && *x->p != quote) {
		if (*x->p == '\n' || (*x->p == '\r' && at(x, 1) == '\n'))
			break;
		if (!string_step(x, quote)) {
			t.type = TOK_BAD;
			skip_line(x);
			return t;
		}
	}
	if (x->p == x->end || *x->p != quote) {
		bad(x, t.line, "string is not closed on its line; add the missing %c", quote);
		t.type = TOK_BAD;
		return t;
	}
	x->p++;
	t.len = (size_t)(x->p - t.start);
	return t;
}

static struct tok lex_word(struct lex *x)
{
	struct tok t = { .type = TOK_WORD, .start = x->p, .line = x->line };

	while (is_word_char(x, 0))
		x->p++;
	t.len = (size_t)(x->p - t.start);
	return t;
}

static struct tok lex_env(struct lex *x)
{
	struct tok t = { .type = TOK_STRING, .start = x->p, .line = x->line };

	t.len = env_len(x);
	if (t.len == 0) {
		bad(x, x->line, "${ without }; close it");
		t.type = TOK_BAD;
		skip_line(x);
	}
	x->p += t.len;
	return t;
}

struct tok lex_next(struct lex *x)
{
	struct tok t = { .type = TOK_CHAR, .len = 1 };

	skip_blanks(x);
	t.start = x->p;
	t.line = x->line;
	if (x->p == x->end) {
		t.type = TOK_END;
		t.len = 0;
		return t;
	}
	t.c = *x->p;
	if (t.c == '"' || t.c == '\'')
		return lex_string(x);
	if (t.c == '$' && at(x, 1) == '{')
		return lex_env(x);
	if (is_word_char(x, 0))
		return lex_word(x);
	x->p++;
	if (t.c != '\0' && strchr("{}()=,", t.c))
		return t;
	if (t.c == '+' && at(x, 0) == '=') {
		x->p++;
		t.len = 2;
		return t;
	}
	if ((unsigned char)t.c > ' ' && t.c != 0x7f)
		bad(x, t.line, "unexpected `%c`; put values that have special characters in quotes",
		    t.c);
	else
		bad(x, t.line, "control character (code %d); remove it", t.c);
	t.type = TOK_BAD;
	return t;
}
