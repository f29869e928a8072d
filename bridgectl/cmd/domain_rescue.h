/* A first boot with a kernel from outside of the disk, and the end of that. */
#ifndef BRIDGECTL_CMD_DOMAIN_RESCUE_H
#define BRIDGECTL_CMD_DOMAIN_RESCUE_H

#include "bridgectl/cmd.h"
#include "bridgectl/hypervisor/hyper.h"

struct rescue;

/*
 * `domain start --rescue`: makes ready what is to be started then. Does nothing without the
 * option: *ret is NULL. False: told. The start is to end with one of the next two, which free it.
 */
bool rescue_make(const struct cmd_call *call, struct hyper *h, const char *domain,
		 struct rescue **ret);
/* The guest was started: says with which kernel, to people. */
void rescue_settle(struct cmd_call *call, struct rescue *r);
/* It was not: its definition becomes again what it was before rescue_make(), and that is told. */
void rescue_take_back(struct rescue *r);

#endif
