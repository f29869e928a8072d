/*
 * One end of a tunnel: brings its session, its bridge port and the topology's
 * decision together into one state with one reason, and moves frames while the gate is open.
 */
#ifndef L2TUND_TUNNEL_H
#define L2TUND_TUNNEL_H

#include <net/if.h>
#include <sys/queue.h>

#include "l2tund/config.h"
#include "l2tund/datapath/gate.h"
#include "l2tund/port.h"
#include "l2tund/session/session.h"
#include "l2tund/topology/block.h"
#include "l2tund/topology/topology.h"
#include "l2tund/tunnel_tally.h"

struct bridge;
struct daemon;
struct peer;

/* Owned by the daemon's list, freed by tunnel_free(). */
struct tunnel {
	TAILQ_ENTRY(tunnel) link;
	struct daemon *daemon;
	const struct config_tunnel *cfg; /* of the running configuration */
	char name[NAME_MAX_LEN + 1];
	struct peer *peer;
	struct bridge *bridge;

	uint16_t id;	 /* our segment, to the peer */
	uint16_t serial; /* our number for it, in watchdog probes */
	bool admin_down;
	struct port port;
	bool port_ready;
	struct topo_edge *edge;
	bool edge_up;
	bool told_usable; /* what the peer knows, or is about to be told, of our end */
	struct gate gate;
	uint16_t far_id;		/* the peer's segment, valid while edge_up */
	enum tunnel_reason gate_reason; /* the topology's last words */
	char gate_detail[256];

	uint64_t prepared_us; /* when it has listened long enough for a foreign path; 0: not live */
	uint32_t prepare_seq; /* of the guard, when that began */
	bool prepared;	      /* that had come at the last tunnel_sync() */
	struct block block;
	char block_detail[256];
	uint8_t culprit_known; /* of a foreign path: 1 the port, 2 its owner or that it has none */
	uint8_t culprit_told;  /* by the last event */

	unsigned offload; /* set of enum offload: wanted, and not refused by the TAP */
	struct tunnel_floods floods;
	uint64_t w_next_us;   /* watchdog probes */
	uint64_t announce_us; /* 0: done */
	uint16_t w_seq;

	bool unsettled; /* the topology has decided anew; the state has to follow */
	enum tunnel_state state;
	enum tunnel_reason reason;
	char detail[256];
	uint64_t since_us;
	struct tunnel_counters *counters; /* owned, one for each of os->lanes */
};

/* NULL when out of memory or when the peer has no room (logged). */
struct tunnel *tunnel_new(struct daemon *d, const struct config_tunnel *cfg);
void tunnel_free(struct tunnel *t);
/* Priority and profile of a reload; what else changed needs a new tunnel. */
void tunnel_update(struct tunnel *t, const struct config_tunnel *cfg);

/* Reconciles the port, tells the topology what is so, and settles the state. */
void tunnel_sync(struct tunnel *t);
/* Only the state, after the topology has decided. */
void tunnel_settle(struct tunnel *t);
/* `bridgectl tunnel up|down`; up also forgets a latched port. */
void tunnel_set_admin(struct tunnel *t, bool up);
/* `bridgectl tunnel clear`: the administrator has looked; latches and hold-downs are forgotten. */
void tunnel_clear(struct tunnel *t);
/*
 * Evidence of a loop: cuts at once. May be called in the middle of a frame, but by the main
 * thread only; reason and sentence are for the administrator.
 */
void tunnel_block(struct tunnel *t, enum tunnel_reason reason, const char *fmt, ...) _printf_(3, 4);
/* Takes what the bridge's guard has heard: a foreign path to the far segment cuts at once. */
void tunnel_heed_foreign(struct tunnel *t);
/* When tunnel_sync() has something to do by itself; NEVER: only events. */
uint64_t tunnel_wake_us(const struct tunnel *t);

/* Facts, for the verdict. */
bool tunnel_fits(const struct tunnel *t, const struct segment *far);
/* The peer's end that names our bridge and is named by us; NULL: it has none. */
const struct segment *tunnel_far(const struct tunnel *t);
/* Half a mesh is none: an end in another mode than ours must not come up. */
bool tunnel_same_mode(const struct tunnel *t, const struct segment *far);

/* Our end; and the other one: our peer's node, and the bridge that we want there. */
struct topo_segment tunnel_near_segment(const struct tunnel *t);
struct topo_segment tunnel_far_segment(const struct tunnel *t);

/* Our end as the peer is to know it. */
void tunnel_describe(const struct tunnel *t, struct segment *ret);

/* The topology's decisions arrive here; `arg` is the daemon. */
extern const struct topo_ops tunnel_topo_ops;

#endif
