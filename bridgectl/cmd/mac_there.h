/* Whether a guest is off on the host that it comes from: asked there, not guessed from silence. */
#ifndef BRIDGECTL_CMD_MAC_THERE_H
#define BRIDGECTL_CMD_MAC_THERE_H

#include "bridgectl/cmd.h"
#include "bridgectl/hypervisor/hyper.h"

/*
 * `domain list` of `host`, by ssh. False, and told: a domain that is on there has one of the
 * addresses, or that host cannot be asked. `name` is the guest's, for the sentences.
 */
bool mac_off_there(const struct cmd_call *call, const char *host, const char *name,
		   const struct hyper_vif vifs[], unsigned n_vifs);

#endif
