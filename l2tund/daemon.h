/*
 * The daemon's core: one configuration on one struct os. It owns peers, bridges and
 * tunnels and brings them together; each has its own file. Nothing here knows whether
 * the kernel below is real, so two cores can live in one test process.
 */
#ifndef L2TUND_DAEMON_H
#define L2TUND_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/log.h"
#include "l2tund/config.h"
#include "l2tund/control/server.h"
#include "l2tund/events.h"
#include "l2tund/fdb_watch.h"
#include "l2tund/guard.h"
#include "l2tund/kernel/os.h"
#include "l2tund/session/session.h"
#include "l2tund/topology/topology.h"
#include "l2tund/topology_json.h"

#define RECONCILE_US (5 * US_PER_S)
#define DAEMON_ERRLEN 256

struct bridge;
struct peer;
struct tunnel;
struct worker;

struct daemon_params {
	uint64_t incarnation;
	uint32_t aes_mbps;
	uint32_t chacha_mbps;
	uid_t uid; /* whose daemon this is; he may use every control method */
};

/* Owned by whoever called daemon_new(), freed by daemon_free(). */
struct daemon {
	struct config *config;
	struct os *os;
	struct daemon_params params;

	uint64_t start_us;
	bool stopping;
	struct worker **worker; /* owned, one for each of os->lanes; [0] is the main thread's */
	struct sessions *sessions;
	struct topo *topo;
	struct topology_watch topology;
	struct os_udp **sockets; /* as config->node.listen; NULL: the address could not be had */
	struct os_timer *session_timer;
	struct os_timer *reconcile_timer;
	struct os_timer *guard_timer;
	struct guard_keys keys;
	struct fdb_watch fdb_watch;
	uint64_t probes_unknown; /* heard, and no peer's key fits */
	struct log_limit probes_limit;
	uint64_t stale_told; /* of the sessions' stale_initiations */
	struct log_limit stale_limit;
	uint16_t next_serial; /* of tunnels */
	bool segments_dirty;  /* of some peer */
	uint64_t foreign_us;  /* topo_foreign_us() that tunnels have taken account of */
	bool unsettled;	      /* the topology has decided about some tunnel */
	bool session_news;    /* since the sessions' last tick began */
	bool heard;	      /* since the last kick, what may have changed a session */
	uint32_t joined;      /* of topo_joined(), what was heeded */
	bool filters_told;    /* that bridges' frames go through iptables */
	bool reconcile_again; /* asked for since the last one began */
	struct events *events;
	struct ctl_server *control;
	struct os_listener *listener;

	TAILQ_HEAD(, bridge) bridges;
	TAILQ_HEAD(, peer) peers;
	TAILQ_HEAD(, tunnel) tunnels;
};

/*
 * Takes the configuration over (also on failure) and starts: sockets, control socket,
 * bridges, tunnels. `err` (DAEMON_ERRLEN) says what failed and what to do. `os` must
 * outlive the daemon.
 */
int daemon_new(struct config *config, struct os *os, const struct daemon_params *p,
	       struct daemon **ret, char *err);
/* Closes every gate and tells the peers that we go. */
void daemon_stop(struct daemon *d);
void daemon_free(struct daemon *d);

/* Desired state against real state, now; also says when it wants to run again. */
void daemon_reconcile(struct daemon *d);
/* The same in the loop's next turn, for where a reconciliation may be under way. */
void daemon_reconcile_soon(struct daemon *d);
/* Lets the sessions do what is due; call after anything that may have made work for them. */
void daemon_kick(struct daemon *d);

/* CLOCK_BOOTTIME, the clock of all deadlines and leases. */
static inline uint64_t daemon_now_us(const struct daemon *d)
{
	return d->os->now_us(d->os);
}

struct tunnel *daemon_find_tunnel(struct daemon *d, const char *name);
struct peer *daemon_find_peer(struct daemon *d, const char *name);
/* The peer that is this node, one that is up if there are several ways to it; or NULL. */
struct peer *daemon_find_node(const struct daemon *d, const uint8_t node[NODE_ID_BYTES]);
struct bridge *daemon_find_bridge(struct daemon *d, const char *name);
/* The tunnel whose TAP has this name, or NULL. */
struct tunnel *daemon_find_tap(struct daemon *d, const char *ifname);

#endif
