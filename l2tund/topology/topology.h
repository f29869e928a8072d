/*
 * Topology: which of our tunnel ends may forward. Events in, gate decisions out;
 * pure, virtual time. What it does not know stays closed.
 *
 * An edge is one end of a tunnel. Gates of one local bridge towards the same far
 * segment (node and bridge) are a bundle: at most one of a bundle is ever open at
 * this end, so two parallel tunnels can never both forward.
 */
#ifndef L2TUND_TOPOLOGY_TOPOLOGY_H
#define L2TUND_TOPOLOGY_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/names.h"

#define TOPO_NODE_ID_BYTES 8
#define TOPO_BRIDGE_MAX 15

struct topo;
struct topo_edge;

/* Who the two ends are; known once the session is up and both name each other's bridge. */
struct topo_ends {
	char local_bridge[TOPO_BRIDGE_MAX + 1];
	uint8_t far_node[TOPO_NODE_ID_BYTES];
	char far_bridge[TOPO_BRIDGE_MAX + 1];
	uint16_t priority;   /* the greater of both ends' values; lower is preferred */
	uint64_t generation; /* of the session: same at both ends */
};

struct topo_ops {
	/*
	 * The decision for one edge has changed. Closing must take effect before this
	 * returns; while it runs, topo_* must not be called.
	 */
	void (*gate)(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
		     const char *detail);
};

struct topo *topo_new(const uint8_t node_id[TOPO_NODE_ID_BYTES], const struct topo_ops *ops,
		      void *arg);
/* Frees the edges too, without telling. */
void topo_free(struct topo *t);

/* A tunnel is configured; its gate is closed. `name` is copied, `user` is the caller's. */
struct topo_edge *topo_edge_add(struct topo *t, const char *name, void *user);
void topo_edge_remove(struct topo_edge *e);
void *topo_edge_user(const struct topo_edge *e);

/* The edge has become live / is no longer (session lost, far segment gone, switched off). */
void topo_edge_up(struct topo_edge *e, const struct topo_ends *ends);
void topo_edge_down(struct topo_edge *e);
/* PREPARE has passed: our port stands in its bridge as it should / it no longer does. */
void topo_edge_ready(struct topo_edge *e, bool ready);
/* What the far end says of its own gate. */
void topo_edge_far(struct topo_edge *e, bool open);

bool topo_edge_open(const struct topo_edge *e);

#endif
