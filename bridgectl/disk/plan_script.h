/* The plan as a shell script: what one would type, with lvcreate, sfdisk, mkswap and dd. */
#ifndef BRIDGECTL_DISK_PLAN_SCRIPT_H
#define BRIDGECTL_DISK_PLAN_SCRIPT_H

#include "bridgectl/disk/plan.h"

/* Where the new volumes will be: exactly one of `vg` and `dir`. */
struct plan_where {
	const char *vg;	  /* a volume group: /dev/VG/NAME */
	const char *dir;  /* an absolute path: raw files DIR/NAME.img */
	const char *from; /* the host that has the sources, for ssh; NULL: this one */
	const char *ssh;  /* the words of a command; NULL: "ssh" */
};

/* The path of a disk's new volume. False: it has no room in `buf`. */
bool plan_volume_path(const struct plan_where *w, const struct plan_disk *d, char *buf,
		      size_t size);

/*
 * A POSIX shell script that stops at the first failure and never writes over what exists; the
 * programs it starts are those of util-linux, GNU coreutils and LVM. Newly allocated; NULL: out of
 * memory, or a path without room.
 */
char *plan_script(const struct plan *p, const struct plan_where *w);

#endif
