/* Where the daemon's bridges have seen a MAC address: behind a tunnel, the guest runs there. */
#ifndef BRIDGECTL_CMD_MAC_SEEN_H
#define BRIDGECTL_CMD_MAC_SEEN_H

#include "bridgectl/cmd.h"
#include "bridgectl/hypervisor/hyper.h"

/*
 * A frame of the guest less old than this means that it runs. Forwarding tables remember for five
 * minutes, and a guest that was shut down just now is not to stand in its own way for so long.
 */
#define MAC_RECENT_S 30

#define MAC_NAME_LEN 64

struct mac_sight {
	char bridge[MAC_NAME_LEN], port[MAC_NAME_LEN];
	char tunnel[MAC_NAME_LEN]; /* "": on this host's side */
	double age_s;
	bool is_port; /* it is the address of the port itself */
};

/* {"bridges": [{"name", "entries"}]} of all; NULL: there is no daemon. */
json_t *mac_tables(struct cmd_call *call);
/* The same of one. NULL: told, and call->failed is the exit code. */
json_t *mac_table_of(struct cmd_call *call, const char *bridge);

/* Where it was heard last, of all of them. `tables` may be NULL: not seen. */
bool mac_find(const json_t *tables, const char *mac, struct mac_sight *ret);
/* A bridge with more addresses than the daemon tells of; NULL: there is none. */
const char *mac_cut_short(const json_t *tables);

/*
 * False, and told: the domain, or Xen's file, must not be started, because one of its addresses is
 * in use: on a bridge, or by another domain here. What is only likely, or not known, is said.
 */
bool mac_may_start(struct cmd_call *call, struct hyper *h, const char *domain);

#endif
