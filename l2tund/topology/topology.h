/*
 * Topology: which of our tunnel ends may forward (doc/loops.md, "The tree"). Events in,
 * gate decisions and messages to other nodes out; pure, virtual time. What it does not
 * know stays closed.
 *
 * An edge is one end of a tunnel, and joins two segments (a bridge of a node). An adjacency
 * is a session: the way by which nodes tell each other of their edges.
 */
#ifndef L2TUND_TOPOLOGY_TOPOLOGY_H
#define L2TUND_TOPOLOGY_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/names.h"

#define TOPO_NODE_ID_BYTES 8
#define TOPO_BRIDGE_MAX 15
#define TOPO_KEY_BYTES 16 /* of probes */
#define TOPO_KEYS 2	  /* of a node's keys, the latest ones are remembered */
#define TOPO_MSG_MAX 1096 /* bytes of one message: fits a control message on any path */
/* What others can make us hold; more closes all gates and is told (R9). */
#define TOPO_NODES_MAX 128
#define TOPO_EDGES_MAX 512   /* of one node */
#define TOPO_FOREIGN_MAX 128 /* of one node */

struct topo;
struct topo_adj;
struct topo_edge;

struct topo_segment {
	uint8_t node[TOPO_NODE_ID_BYTES];
	char bridge[TOPO_BRIDGE_MAX + 1];
};

/* Who the two ends are; known once the session is up and both name each other's bridge. */
struct topo_ends {
	char local_bridge[TOPO_BRIDGE_MAX + 1];
	struct topo_segment far;
	uint16_t priority;   /* the greater of both ends' values; lower is preferred */
	uint64_t generation; /* of the session: same at both ends, another one each time */
	bool mesh;    /* its port is isolated from the bridge's other tunnels, at both ends */
	bool preempt; /* wants to replace what is worse when it has been up for a while */
};

struct topo_ops {
	/*
	 * The decision for one edge, or the reason behind it, has changed. Closing must take
	 * effect before this returns; while it runs, topo_* must not be called.
	 */
	void (*gate)(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
		     const char *detail);
	/* One message to the node behind an adjacency; what fails is repeated later. */
	int (*send)(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len);
	/* Something that an administrator has to look at; told once. */
	void (*alarm)(void *arg, const char *text);
};

struct topo_params {
	uint8_t node_id[TOPO_NODE_ID_BYTES];
	uint64_t incarnation; /* greater at each start: gates of earlier ones are forgotten */
	char name[NAME_MAX_LEN + 1];
};

/* NULL when out of memory. `ops` and `arg` must outlive it. */
struct topo *topo_new(const struct topo_params *p, const struct topo_ops *ops, void *arg);
/* Frees edges and adjacencies too, without telling. */
void topo_free(struct topo *t);

/*
 * Sends what is due and gives the next deadline (us, CLOCK_BOOTTIME; NEVER when nothing
 * waits). Due after every other call here: gates close within those, everything else waits for it.
 */
uint64_t topo_tick(struct topo *t, uint64_t now_us);

/* A session is configured. `user` is the caller's. NULL when out of memory. */
struct topo_adj *topo_adj_add(struct topo *t, void *user);
void topo_adj_remove(struct topo_adj *a);
void *topo_adj_user(const struct topo_adj *a);
/* It is up, with this node at the other end; `rtt_us` may be 0. Again with each establishment. */
void topo_adj_up(struct topo_adj *a, const uint8_t far_node[TOPO_NODE_ID_BYTES],
		 uint64_t generation, uint32_t rtt_us);
void topo_adj_down(struct topo_adj *a);
/* One message from it. -EBADMSG when it is malformed: nothing of it was taken. */
int topo_adj_input(struct topo_adj *a, const uint8_t *msg, size_t len, uint64_t now_us);

/* A tunnel is configured; its gate is closed. `name` is copied, `user` is the caller's. */
struct topo_edge *topo_edge_add(struct topo *t, const char *name, void *user);
void topo_edge_remove(struct topo_edge *e, uint64_t now_us);
void *topo_edge_user(const struct topo_edge *e);
/* The edge has become live / is no longer (session lost, far segment gone, switched off). */
void topo_edge_up(struct topo_edge *e, const struct topo_ends *ends, uint64_t now_us);
void topo_edge_down(struct topo_edge *e, uint64_t now_us);
/* PREPARE has passed: our port stands in its bridge as it should / it no longer does. */
void topo_edge_ready(struct topo_edge *e, bool ready, uint64_t now_us);
bool topo_edge_open(const struct topo_edge *e);

/*
 * The segments that this bridge of ours is joined with by something that is not ours, all of
 * them (another bridge of ours may be one). A new one closes gates before this returns.
 * True when it had to: then there was a loop.
 */
bool topo_set_foreign(struct topo *t, const char *local_bridge, const struct topo_segment *segs,
		      unsigned n, uint64_t now_us);

/* When the latest path that is not ours became known, of whatever member; 0: there is none. */
uint64_t topo_foreign_us(const struct topo *t);

/* The key of our probes, for everybody; and a node's latest ones, newest first (how many). */
void topo_set_probe_key(struct topo *t, const uint8_t key[TOPO_KEY_BYTES], uint64_t now_us);
unsigned topo_probe_keys(const struct topo *t, const uint8_t node[TOPO_NODE_ID_BYTES],
			 const uint8_t (**ret)[TOPO_KEY_BYTES]);

#endif
