/* A Xen configuration file as assignments. */
#ifndef BRIDGECTL_DOMAIN_XL_PARSE_H
#define BRIDGECTL_DOMAIN_XL_PARSE_H

#include "bridgectl/domain/report.h"
#include "bridgectl/domain/xl_value.h"

struct xl_assign {
	char *key;
	struct xl_value *value;
	unsigned line, column; /* of the key */
	bool superseded;       /* a later one for the same key counts */
	bool used;	       /* another value, or Python code, mentions it: a variable */
};

/* Owns everything in it. */
struct xl_file {
	struct xl_assign *assigns; /* in the order of the file */
	unsigned n;
	struct report report;
};

#define XL_DEPTH_MAX 16
#define XL_ASSIGNS_MAX 2000

/*
 * Reads what `xl create` reads, and of Python, which `xm create` ran, as much as can be known
 * without running it; the rest is skipped with a warning, and what depends on it is XL_UNKNOWN.
 * Never fails: what is wrong is in ret->report, and its n_errors is not 0. Free with
 * xl_file_fini().
 */
void xl_parse(const char *text, size_t len, struct xl_file *ret);
void xl_file_fini(struct xl_file *file);

/* The assignment that counts for `key`; NULL: there is none. */
struct xl_assign *xl_file_get(const struct xl_file *file, const char *key);

#endif
