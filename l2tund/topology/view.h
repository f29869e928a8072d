/*
 * What this node knows of the whole, for people: `bridgectl topology`, `tunnel why`. Reads
 * only.
 */
#ifndef L2TUND_TOPOLOGY_VIEW_H
#define L2TUND_TOPOLOGY_VIEW_H

#include "l2tund/topology/topology.h"

struct topo_summary {
	char digest[65];      /* of what we know, in hexadecimal */
	unsigned members;     /* nodes that live edges join with us, and we */
	unsigned disagreeing; /* of them, how many have not told the same digest yet */
	bool overflow;	      /* too many nodes: all gates are closed */
	bool twin;	      /* another node uses our key: all gates are closed */
};

struct topo_node_view {
	uint8_t id[TOPO_NODE_ID_BYTES];
	const char *name; /* "" when it has told nothing yet */
	uint64_t incarnation;
	uint32_t seq;
	bool self, member;
	bool agrees; /* has told the digest that we have */
};

/* A tunnel, once: `a` is the end with the smaller node id. */
struct topo_edge_view {
	struct topo_segment a, b;
	const char *name_a, *name_b; /* of the nodes, may be "" */
	uint16_t priority;
	bool mesh;
	bool listed_a, listed_b;     /* whose link state has it as ready; live when both */
	bool in_tree;		     /* chosen to forward */
	bool open_a, open_b;	     /* gates, as they told it last */
	const struct topo_edge *own; /* one end is ours; NULL: neither */
};

/* `by` hears probes of `heard` by a way that is not ours. */
struct topo_foreign_view {
	struct topo_segment by, heard;
	const char *name_by, *name_heard;
};

/* Each NULL or called once per object; what it is given is valid during the call. */
struct topo_visitor {
	void (*node)(void *arg, const struct topo_node_view *v);
	void (*edge)(void *arg, const struct topo_edge_view *v);
	void (*foreign)(void *arg, const struct topo_foreign_view *v);
};

/* "" when it has told nothing yet. Valid until the next message. */
const char *topo_node_name(const struct topo *t, const uint8_t id[TOPO_NODE_ID_BYTES]);
void topo_get_summary(const struct topo *t, struct topo_summary *ret);
/* Grows whenever a node becomes a member. */
uint32_t topo_joined(const struct topo *t);
void topo_visit(const struct topo *t, const struct topo_visitor *v, void *arg);

#endif
