/* Before a disk is booted from or changed: has the copy that fills it come to its end? */
#ifndef BRIDGECTL_CMD_COPY_DONE_H
#define BRIDGECTL_CMD_COPY_DONE_H

#include <stdbool.h>

#include "bridgectl/hypervisor/hyper.h"

/* False: not so, and the user is told what to do. A disk that cannot be looked at passes. */
bool copy_done(const char *path);
/* Of all disks of a domain of libvirt on this host; others are not known and pass. */
bool copies_done(struct hyper *h, const char *domain);

#endif
