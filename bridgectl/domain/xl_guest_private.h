/* Between the parts that read assignments: values, disks and interfaces, ways to boot. */
#ifndef BRIDGECTL_DOMAIN_XL_GUEST_PRIVATE_H
#define BRIDGECTL_DOMAIN_XL_GUEST_PRIVATE_H

#include "bridgectl/domain/xl_guest.h"

struct xl_reader {
	struct guest *g;
	struct xl_file *file;
	struct report *report;
	const char *const *accept;
	unsigned n_accept;
};

/*
 * The value that counts for `key`. NULL: not there, None, or made by Python, which was reported
 * unless its loss is accepted.
 */
const struct xl_value *xl_get(struct xl_reader *r, const char *key);

/* The error for a value that only Python knows. */
void xl_refuse_code(struct xl_reader *r, const char *key, const struct xl_value *v);

/* Of values; what does not fit is reported, and *ret stays. A string of its own. */
void xl_read_text(struct xl_reader *r, const char *key, char **ret);
void xl_read_int(struct xl_reader *r, const char *key, int64_t min, int64_t max, int *ret);
void xl_read_bool(struct xl_reader *r, const char *key, int *ret);
/* A list of strings, or one string alone. */
void xl_read_strings(struct xl_reader *r, const char *key, struct guest_strings *ret);
/* A string or number as text, borrowed; NULL: it is neither. */
const char *xl_text(const struct xl_value *v);
/* A new string with the value in short, as it would stand in a file. */
char *xl_value_show(const struct xl_value *v);

/* `value` is taken. */
void xl_lose(struct xl_reader *r, const char *key, char *value, const char *note, unsigned line,
	     unsigned column);

void xl_read_kind(struct xl_reader *r);
void xl_read_boot(struct xl_reader *r);
void xl_read_disks(struct xl_reader *r);
void xl_read_vifs(struct xl_reader *r);

#endif
