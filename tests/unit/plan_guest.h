/* Made-up guests and volumes for tests of the disk plan. */
#ifndef TESTS_UNIT_PLAN_GUEST_H
#define TESTS_UNIT_PLAN_GUEST_H

#include "bridgectl/disk/plan.h"
#include "bridgectl/domain/guest.h"

#define MADE_VOLUMES 256

/* What made_probe() finds. */
struct made_volumes {
	struct plan_source v[MADE_VOLUMES];
	unsigned n;
};

/* A volume that is not there is -ENOENT. */
int made_probe(void *arg, const char *path, struct plan_source *ret, char *err);
/* The new volume "/dev/made/N"; its type may be "". Swap has pages of 4 KiB and a UUID. */
struct plan_source *made_volume(struct made_volumes *m, uint64_t bytes, const char *type);

/* PV with pygrub. */
struct guest *made_guest(const char *name);
/* One more string of disk = [ … ], as "phy:PATH,VDEV,w"; the caller may change it. */
struct guest_source *made_disk(struct guest *g, const char *path, const char *vdev);

#endif
