/* What new disks and volumes are called, for who does not need the plan itself. */
#ifndef BRIDGECTL_DISK_PLAN_NAMES_H
#define BRIDGECTL_DISK_PLAN_NAMES_H

#include "bridgectl/disk/plan.h"

/*
 * Names, targets and vdevs of the disks that plan_compute() would make, and nothing else: no source
 * is looked at. NULL and one sentence in `err` (PLAN_ERRLEN). Free it with plan_free().
 */
struct plan *plan_outline(const struct guest *g, char *err);

/* Of a volume, a file and a line of a script: letters, digits, "_.+-", no '-' or '.' first. */
bool plan_name_is_valid(const char *name);

#endif
