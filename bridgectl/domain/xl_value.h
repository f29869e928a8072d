/* The values that a Xen configuration file can give to a key. */
#ifndef BRIDGECTL_DOMAIN_XL_VALUE_H
#define BRIDGECTL_DOMAIN_XL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xl_kind {
	XL_STRING,
	XL_INT,
	XL_BOOL, /* True, False: number is 1 or 0 */
	XL_NONE,
	XL_LIST,    /* also a tuple */
	XL_UNKNOWN, /* only Python knows; text says what it depends on */
};

struct xl_value {
	enum xl_kind kind;
	unsigned line, column;
	char *text;	/* XL_STRING: the string; XL_INT, XL_BOOL: as written; XL_UNKNOWN: why */
	int64_t number; /* XL_INT, XL_BOOL */
	struct xl_value **items; /* XL_LIST, owned */
	unsigned n;
};

/* Takes a copy of `text`, which may be NULL. */
struct xl_value *xl_value_new(enum xl_kind kind, const char *text, unsigned line, unsigned column);
struct xl_value *xl_value_int(int64_t number, unsigned line, unsigned column);
/* With everything below it, and the places of the original. */
struct xl_value *xl_value_copy(const struct xl_value *v);
void xl_value_free(struct xl_value *v);
/* Takes the item. */
void xl_list_add(struct xl_value *list, struct xl_value *item);
/* Values in it, itself included, and bytes of their texts: what a copy costs. */
size_t xl_value_size(const struct xl_value *v);

/*
 * A whole number, written as one or as a string of one (memory = "256"): decimal, 0x… or, with a
 * leading zero, octal, as strtol(3) reads base 0 for xl. False: it is none.
 */
bool xl_value_number(const struct xl_value *v, int64_t *ret);

/* "a string", "a list", … */
const char *xl_kind_name(enum xl_kind kind);

/*
 * The operators of Python that files use: + - * / // of numbers, + of strings and lists, % with %s
 * %d %i %r and widths. NULL: this is none of them. Frees nothing.
 */
struct xl_value *xl_value_operate(const char *op, const struct xl_value *a,
				  const struct xl_value *b);

#endif
