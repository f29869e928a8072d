/*
 * S-expressions as xend and old versions of xl print domains: (domain (domid 3) (name web1) …). As
 * xen/xend/sxp.py of Xen reads them, within bounds.
 */
#ifndef BRIDGECTL_HYPERVISOR_SXP_H
#define BRIDGECTL_HYPERVISOR_SXP_H

#include <stdbool.h>
#include <stddef.h>

#define SXP_DEPTH_MAX 64
#define SXP_NODES_MAX 1000000

/* An atom, or a list of others. */
struct sxp {
	char *text; /* NULL: a list */
	struct sxp *items;
	unsigned n;
};

/*
 * All expressions of the text, as one list. 0; -EINVAL: parentheses or quotes do not close, or a
 * control character is in it; -E2BIG: deeper or more than the bounds. Free it with sxp_free().
 */
int sxp_parse(const char *text, size_t len, struct sxp **ret);
void sxp_free(struct sxp *s);

/* The nth list in `s`, from `*at` on, that begins with the atom `name`; NULL: none any more. */
const struct sxp *sxp_next(const struct sxp *s, const char *name, unsigned *at);
/* What follows the atom `name` in the first such list in `s`: an atom. NULL: there is none. */
const char *sxp_text(const struct sxp *s, const char *name);

#endif
