/*
 * The topology for people and monitoring: what the link-state tree knows, with what this node's
 * tunnels and guards know besides; and the watch that makes events of lasting disagreement.
 */
#ifndef L2TUND_TOPOLOGY_JSON_H
#define L2TUND_TOPOLOGY_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "l2tund/topology/topology.h"

#define TOPOLOGY_PATIENCE_US 10000000 /* nodes that disagree for longer are worth an event */

struct daemon;

/* Embedded in the daemon; all zero: nothing has happened yet. */
struct topology_watch {
	uint64_t disagree_us; /* since when some node has another digest; 0: none has */
	uint64_t look_us;     /* not before: it is asked with every datagram */
	uint64_t due_us;      /* when an event may be due without anything that happens */
	unsigned told;	      /* the last state that an event has named */
};

/* The answers to `topology`, and what `status` has of it; new references. */
json_t *topology_json(struct daemon *d);
json_t *topology_summary_json(struct daemon *d);

/* Looks whether an event is due; call after topo_tick(). When to look again, or NEVER. */
uint64_t topology_watch(struct daemon *d);

/* A node's id in hexadecimal. */
#define NODE_HEXLEN (2 * TOPO_NODE_ID_BYTES + 1)
const char *node_id_format(const uint8_t id[TOPO_NODE_ID_BYTES], char buf[NODE_HEXLEN]);

#endif
