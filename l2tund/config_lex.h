/*
 * Tokens of l2tund.conf as libconfuse 3.3 would see them, but with places, and with
 * refusal where libconfuse swallows or guesses.
 */
#ifndef L2TUND_CONFIG_LEX_H
#define L2TUND_CONFIG_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/util.h"

enum tok_type {
	TOK_END,
	TOK_WORD,   /* unquoted */
	TOK_STRING, /* quoted, or ${…}: start and len include the quotes */
	TOK_CHAR,   /* one of { } ( ) = , and + for "+=" */
	TOK_BAD,    /* has been reported */
};

struct tok {
	enum tok_type type;
	char c; /* of TOK_CHAR */
	const char *start;
	size_t len;
	unsigned line;
};

/* Plain data: a copy with `bad` NULL looks ahead without reporting. */
struct lex {
	const char *p, *end;
	unsigned line;
	void (*bad)(void *arg, unsigned line, const char *fmt, ...) _printf_(3, 4);
	void *arg;
};

void lex_init(struct lex *x, const char *text, size_t len);
struct tok lex_next(struct lex *x);

static inline bool tok_is(const struct tok *t, char c)
{
	return t->type == TOK_CHAR && t->c == c;
}

static inline bool tok_is_text(const struct tok *t)
{
	return t->type == TOK_WORD || t->type == TOK_STRING;
}

#endif
