/* A first boot with a kernel from outside of the disk, and the end of that. */
#ifndef BRIDGECTL_CMD_DOMAIN_RESCUE_H
#define BRIDGECTL_CMD_DOMAIN_RESCUE_H

#include "bridgectl/cmd.h"
#include "bridgectl/hypervisor/hyper.h"

/*
 * `domain start --rescue`: makes ready what is to be started then. Does nothing without the
 * option. False: told.
 */
bool rescue_make(const struct cmd_call *call, struct hyper *h, const char *domain);

#endif
