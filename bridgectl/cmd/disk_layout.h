/* From a configuration file and a command's options to a plan, for `disk layout` and create. */
#ifndef BRIDGECTL_CMD_DISK_LAYOUT_H
#define BRIDGECTL_CMD_DISK_LAYOUT_H

#include <limits.h>
#include <stdbool.h>

#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/disk/plan_script.h"

/* What the options say. */
struct layout {
	struct cmd_call *call;
	struct plan_options options;
	struct plan_where where;
	char dir[PATH_MAX], extra_disk[16];
	bool commands;
};

/* --label, --grow-last, --copy-swap, --from, --ssh. False: told. */
bool layout_read_shape(struct layout *l);

/* The plan, made here or asked of --from. NULL: told. Free it with plan_free(). */
struct plan *layout_plan(const struct layout *l, const struct guest_file *f);

#endif
