/*
 * A bridge that tunnels attach to: waited for, or made when `create = yes`.
 * Never deleted by us. One that we did not make is never changed, except that a port of ours may
 * have it keep the MAC that it has (port.c).
 */
#ifndef L2TUND_BRIDGE_H
#define L2TUND_BRIDGE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "l2tund/fdb_watch.h"
#include "l2tund/guard.h"

struct config_bridge;
struct daemon;

/* Owned by the daemon's list, freed by bridge_free(). */
struct bridge {
	TAILQ_ENTRY(bridge) link;
	struct daemon *daemon;
	const struct config_bridge *cfg; /* of the running configuration */
	char name[IFNAMSIZ];

	int ifindex; /* 0: not there */
	uint8_t mac[6];
	unsigned mtu;
	bool stp;
	bool created;	  /* by us a moment ago: the event that it is there says so */
	char detail[160]; /* why it is not there, or what is odd about it */
	struct guard guard;
	struct fdb_mirror mirror;
};

struct bridge *bridge_new(struct daemon *d, const struct config_bridge *cfg);
void bridge_free(struct bridge *b);
/* Looks, makes it when that is wanted, attaches its uplinks when we made it. */
void bridge_sync(struct bridge *b);
/* Host filters that its frames go through now: bits 1 << enum os_filter. */
unsigned bridge_filtered(const struct bridge *b);
/* "iptables" */
const char *bridge_filter_name(enum os_filter f);
/* The kernel's view of it now, or NULL. */
const struct os_link *bridge_link(const struct bridge *b);

#endif
