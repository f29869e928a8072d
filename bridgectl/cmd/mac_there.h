/* Whether a guest is off on the host that it comes from: asked there, not guessed from silence. */
#ifndef BRIDGECTL_CMD_MAC_THERE_H
#define BRIDGECTL_CMD_MAC_THERE_H

#include "bridgectl/cmd.h"
#include "bridgectl/hypervisor/hyper.h"

/* A domain that is on. */
struct mac_there {
	char *name, *state; /* NULL: there is none */
};

/*
 * Which domain in `domain list` of `host`, asked by ssh, is on and has this name or one of the
 * addresses ("" is nobody's). False: told, that host cannot be asked. Free *ret with
 * mac_there_fini().
 */
bool mac_on_there(const struct cmd_call *call, const char *host, const char *name,
		  const char *const macs[], unsigned n_macs, struct mac_there *ret);
void mac_there_fini(struct mac_there *t);

#endif
