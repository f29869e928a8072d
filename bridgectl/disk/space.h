/* Whether a plan's disks fit where they are to go. Asks only. */
#ifndef BRIDGECTL_DISK_SPACE_H
#define BRIDGECTL_DISK_SPACE_H

#include "bridgectl/disk/plan_script.h"

struct space {
	char place[4096];      /* the volume group or folder */
	uint64_t needed, free; /* bytes; extents of a group are counted whole */
	bool fits;
	bool sparse;	/* files take what is written only: more may be promised than there is */
	json_t *exists; /* array of the paths that are there already. Owned. */
};

/*
 * 0, or negative errno and a sentence in `err` (PLAN_ERRLEN): no such group or folder, no vgs.
 * Free the result with space_fini().
 */
int space_look(const struct plan *p, const struct plan_where *w, struct space *ret, char *err);
void space_fini(struct space *s);

#endif
