/* Between the parts of the parser: expressions, statements, Python. */
#ifndef BRIDGECTL_DOMAIN_XL_PARSE_PRIVATE_H
#define BRIDGECTL_DOMAIN_XL_PARSE_PRIVATE_H

#include "bridgectl/domain/xl_parse.h"
#include "bridgectl/domain/xl_scan.h"

struct xl_parser {
	const struct xl_token *tokens; /* ends with XL_END */
	unsigned pos;
	unsigned brackets; /* open ones: newlines do not count in them */
	unsigned depth;
	size_t paid; /* bytes of values made so far */
	bool failed; /* this statement has an error, which was reported */
	struct xl_file *file;
};

/* The token at hand: behind newlines, where these mean nothing. Never NULL. */
const struct xl_token *xl_peek(struct xl_parser *p);
const struct xl_token *xl_peek2(struct xl_parser *p); /* the one behind it */
const struct xl_token *xl_take(struct xl_parser *p);
bool xl_at(struct xl_parser *p, const char *punct);
bool xl_at_end(struct xl_parser *p); /* of the statement */
bool xl_is(const struct xl_token *t, const char *punct);

/* The first error of a statement; the others follow from it. */
void xl_fail(struct xl_parser *p, const struct xl_token *t, const char *fmt, ...) _printf_(3, 4);

/* One expression, or several with commas between them as a list. Never NULL. */
struct xl_value *xl_expression(struct xl_parser *p);
/* Computes and takes both. Never NULL. */
struct xl_value *xl_operate(struct xl_parser *p, const struct xl_token *op, struct xl_value *a,
			    struct xl_value *b);
/* NULL: it may be a variable that Python knows. */
struct xl_value *xl_variable(struct xl_parser *p, const char *name);

/* Takes `value`; what came before for the same key no longer counts. */
void xl_assign(struct xl_parser *p, const struct xl_token *key, struct xl_value *value);

/* Words that begin a statement of Python. If one is at hand, skips it with its body. */
bool xl_skip_python(struct xl_parser *p);
/* Goes behind the end of the statement, whatever is in it. */
void xl_skip_statement(struct xl_parser *p);
/* Names from here up to token `end` are variables of Python's; those that it sets are not known. */
void xl_taint(struct xl_parser *p, unsigned from, unsigned end, bool sets, const char *why);

#endif
