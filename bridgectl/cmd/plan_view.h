/* A disk plan for people. */
#ifndef BRIDGECTL_CMD_PLAN_VIEW_H
#define BRIDGECTL_CMD_PLAN_VIEW_H

#include "bridgectl/disk/space.h"
#include "bridgectl/out.h"

/* All disks, their partitions, what is zeroed, and the notes. */
void plan_view(struct out *o, const struct plan *p);
/* What is needed against what is free, in one line. */
void plan_view_space(struct out *o, const struct space *s);

#endif
