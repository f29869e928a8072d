/* A Xen configuration file as tokens, each with its place. */
#ifndef BRIDGECTL_DOMAIN_XL_SCAN_H
#define BRIDGECTL_DOMAIN_XL_SCAN_H

#include <stdbool.h>

#include "bridgectl/domain/report.h"

#define XL_FILE_MAX (1024 * 1024)
#define XL_TOKENS_MAX 100000

enum xl_token_type {
	XL_END,	    /* the last one, always there */
	XL_NEWLINE, /* also inside brackets: the parser knows what they mean there */
	XL_NAME,
	XL_NUMBER, /* everything that begins with a digit, as written */
	XL_QUOTED, /* text: what is between the quotes, escapes resolved */
	XL_PUNCT,  /* text: one or two characters */
	XL_BAD,	   /* text: a character that stands nowhere but in strings and comments */
};

struct xl_token {
	enum xl_token_type type;
	char *text; /* never NULL; "" for XL_END and XL_NEWLINE */
	unsigned line, column;
	bool first;    /* on its line */
	bool told;     /* XL_BAD: it is in the report already */
	bool computed; /* XL_QUOTED: a Python f-string, whose value is not known */
};

struct xl_tokens {
	struct xl_token *v;
	unsigned n;
};

/*
 * Reads `text` of `len` bytes. What is no token (an unclosed string, a NUL byte, too much of it) is
 * an error in the report; then *ret is still well-formed, but incomplete. Free it in any case.
 */
void xl_scan(const char *text, size_t len, struct report *report, struct xl_tokens *ret);
void xl_tokens_fini(struct xl_tokens *tokens);

#endif
