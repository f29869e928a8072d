/*
 * The guard of one bridge: sends its L-probes, hears those of others, and so knows which
 * other segments it is joined with by paths that are not ours (doc/loops.md).
 */
#ifndef L2TUND_GUARD_H
#define L2TUND_GUARD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/util.h"
#include "l2tund/kernel/os.h"
#include "l2tund/topology/block.h"
#include "l2tund/topology/probe.h"
#include "l2tund/topology/storm.h"
#include "l2tund/topology/topology.h"

#define GUARD_HEARD_MAX 32		   /* foreign segments that one bridge remembers */
#define GUARD_HEARD_US (3 * US_PER_S)	   /* evidence counts this long after the last probe */
#define GUARD_PREPARE_US (150 * US_PER_MS) /* listening before a gate opens, at least */
#define GUARD_PREPARE_PROBES 5		   /* and this many sent meanwhile, however long it takes */

struct bridge;
struct daemon;
struct tunnel;

/* Another segment, proven by its probes on this bridge. */
struct guard_heard {
	uint8_t node[TOPO_NODE_ID_BYTES];
	char bridge[TOPO_BRIDGE_MAX + 1];
	uint64_t first_us, last_us;
	uint64_t hold_us;   /* it closed a loop: counts until then, whether it is heard or not */
	uint64_t traced_us; /* when `via` was asked for; 0: not yet, or not since ports changed */
	char via[IFNAMSIZ]; /* the port that it came in at; "" when the kernel did not tell */
	char owner[64];	    /* of that port when it is a TAP: "vtund pid 812" */
	bool traced;	    /* nothing is missing in these two */
};

/* Embedded in its bridge. */
struct guard {
	struct bridge *bridge;
	struct os_packet *packet; /* NULL: deaf, so no tunnel of this bridge may forward */
	int ifindex;
	int err; /* why it is deaf, told once */
	struct probe_schedule schedule;
	uint32_t seq;
	struct policer heed; /* how many probes of strangers we check */
	uint64_t ports;	     /* fingerprint of the bridge's ports and their carriers */
	struct guard_heard heard[GUARD_HEARD_MAX];
	unsigned n_heard;
	bool heard_changed; /* the topology is to be told */
	struct block damp;  /* what paths that closed loops have cost: they are believed longer */
};

/* The keys of this node's probes; one per daemon, made anew each minute. */
struct guard_keys {
	uint8_t now[PROBE_KEY_BYTES], before[PROBE_KEY_BYTES];
	uint64_t made_us;
};

void guard_init(struct guard *g, struct bridge *b);
void guard_fini(struct guard *g);
/* Follows the bridge as it is now: listens on it, and bursts when something joined it. */
void guard_sync(struct guard *g);
/* Whoever may join two segments asks for quick probes. */
void guard_burst(struct guard *g);

/* Evidence counts until then. */
static inline uint64_t guard_heard_until_us(const struct guard_heard *h)
{
	return MAX(h->last_us + GUARD_HEARD_US, h->hold_us);
}

/* The foreign path to a segment, or NULL. Valid until the loop turns. */
const struct guard_heard *guard_find(struct guard *g, const uint8_t node[TOPO_NODE_ID_BYTES],
				     const char *bridge);
/* Drops what is too old, and gives the rest. */
const struct guard_heard *guard_list(struct guard *g, unsigned *ret_n);
/* The administrator has looked: only what is heard counts, as if nothing had closed a loop yet. */
void guard_clear(struct guard *g);

/* Sends what is due on all bridges and through all tunnels; sets the timer for the next time. */
void guard_run(struct daemon *d);
/* Whether it is, or claims to be, a W-probe of this node. By any lane. */
bool guard_is_own(const struct daemon *d, const uint8_t *frame, size_t len);
/*
 * Our own W-probe has come back, to the bridge that it left, by another way than it went.
 * `through`: the tunnel that brought it, NULL when it was heard on the bridge of `g`; then the
 * tunnel that carried it away is to blame. False: it is not ours, or proves nothing; true: it
 * is to be dropped.
 */
bool guard_watchdog(struct daemon *d, struct guard *g, struct tunnel *through, const uint8_t *frame,
		    size_t len);

#endif
