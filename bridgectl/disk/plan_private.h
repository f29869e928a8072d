/* What the files of the plan share. */
#ifndef BRIDGECTL_DISK_PLAN_PRIVATE_H
#define BRIDGECTL_DISK_PLAN_PRIVATE_H

#include "bridgectl/disk/plan.h"
#include "bridgectl/disk/plan_names.h"
#include "common/util.h"

struct diskspec;
struct guest_disk;

/* Without a guest and disks. NULL: out of memory, and `err` says so. */
struct plan *plan_new(char *err);

/* One sentence into `err` (PLAN_ERRLEN). Always false. */
bool plan_fail(char *err, const char *fmt, ...) _printf_(2, 3);
/* One sentence, with its full stop, for p->notes. */
void plan_note(struct plan *p, const char *fmt, ...) _printf_(2, 3);

/*
 * d->parts has numbers, fills and sources, in any order; gives them their places, adds the BIOS
 * boot partition, chooses the label and the size of the disk. `extra` is more room (bytes) in
 * the last partition that is copied.
 */
bool plan_place(struct plan_disk *d, enum plan_label wanted, uint64_t extra, char *err);
/* The same for a disk of one source without a table of ours. */
bool plan_place_whole(struct plan_disk *d, char *err);

/*
 * Finds the volume of one string of disk = [ … ] on this host and probes it. `name` is for
 * the message: "xvda2".
 */
bool plan_source_find(const struct diskspec *spec, const char *name, plan_probe_fn probe, void *arg,
		      struct plan_source *ret, char *err);
/* What there is to say about a source in the plan. */
void plan_source_notes(struct plan *p, const char *name, const struct diskspec *spec,
		       const struct plan_part *part);

/*
 * Sets the active flag: at most one, on an msdos table of the disk from which Xen boots. `from` are
 * the guest's disks of p->disks.
 */
void plan_boot_flag(struct plan *p, const struct guest *g, const struct guest_disk *const *from);

#endif
