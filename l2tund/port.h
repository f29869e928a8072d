/*
 * One tunnel's TAP as a port of its bridge: the state that we want against the state
 * that is. The port is born without carrier and stays so until its gate opens.
 */
#ifndef L2TUND_PORT_H
#define L2TUND_PORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "l2tund/kernel/os.h"

#define PORT_REMOVALS_MAX 5

/* Somebody else changes again and again what we put back. */
struct port_fight {
	unsigned times; /* that it was put back, lately */
	uint64_t last_us;
};

/* Embedded in its tunnel. */
struct port {
	struct os *os;
	char name[IFNAMSIZ];
	const struct os_tap_ops *ops;
	void *arg;

	unsigned offload; /* set of enum offload that are wanted of the TAP; 0 at first */
	bool isolated;	  /* wanted: no frames between it and the bridge's other isolated ports */
	uint8_t mac[6];
	struct os_tap *tap;
	int ifindex;
	int bridge;	    /* ifindex of the bridge that we put it in; 0: none yet */
	int seen;	    /* the bridge of the last round; 0: it was missing */
	bool taken_out;	    /* of that one, by others, and not put back yet */
	bool isolation_set; /* it was as wanted since it came into its bridge */
	bool refused;	    /* a carrier, since the last round */
	bool carrier;
	unsigned removals; /* times that somebody else took it out, deleted or opened it, lately */
	uint64_t removed_us;
	unsigned mtu; /* that we saw or set last */
	struct port_fight mtu_fight;
	const char *note; /* it is ready, but not quite as it should be: why; or NULL */
	struct port_fight isolation_fight; /* in a tree, where it goes on meanwhile */
	uint64_t retry_us;		   /* nothing is tried before; 0: only events help */
	bool latched;			   /* taken out too often; port_clear() */
	char detail[160];		   /* why it is not ready */
};

/*
 * `name` is the TAP's; `ops` and `arg` as for os->tap_open(), and must outlive it. `isolated`: it
 * is one of a mesh.
 */
void port_init(struct port *p, struct os *os, const char *name, bool isolated,
	       const struct os_tap_ops *ops, void *arg);
/* Closes the TAP, so that device and port vanish. */
void port_fini(struct port *p);

/*
 * One round of reconciliation; `bridge` is NULL while it is missing. True when the
 * port stands in its bridge as it should. False: p->detail says why, p->retry_us when
 * to try again.
 */
bool port_sync(struct port *p, const struct os_link *bridge, uint64_t now_us);
/* The device was deleted, or is where we cannot reach it. */
void port_lost(struct port *p, uint64_t now_us);
/*
 * Opens or shuts the kernel's half of the gate. On failure the TAP is closed, to be made anew.
 * -ENODEV: there is none to be opened; -EAGAIN: port_sync() has to look at it before.
 */
int port_set_carrier(struct port *p, bool on, uint64_t now_us);
/* Forgets removals and the latch. */
void port_clear(struct port *p);

#endif
