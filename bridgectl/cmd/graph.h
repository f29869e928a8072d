/*
 * The topology as bridgectl draws it: segments (a bridge of a node), and what joins them. Made
 * of the daemon's answer, which may hold anything: sizes are bounded, ends may lead nowhere.
 */
#ifndef BRIDGECTL_CMD_GRAPH_H
#define BRIDGECTL_CMD_GRAPH_H

#include <jansson.h>
#include <stdbool.h>

#define GRAPH_LISTED_MAX 8192 /* of nodes, edges and foreign paths, each */
#define GRAPH_NONE (~0U)

/* Texts are the answer's, valid as long as it is. */
struct graph_node {
	const char *id, *name; /* the name is the id when none was told */
	bool self, member, agrees;
	bool ambiguous; /* another one has the same name */
};

/* In the order of how they are drawn. */
enum link_kind {
	LINK_FORWARDING,
	LINK_OPENING, /* chosen, and a gate is closed yet */
	LINK_FOREIGN, /* not ours, and cannot be closed */
	LINK_STANDBY,
	LINK_BLOCKED, /* blocked, latched, refused */
	LINK_HALF,    /* known to one end only, or down */
	LINK_KINDS,
};

struct graph_link {
	unsigned a, b; /* segments; it is written under `a` when it is no branch */
	enum link_kind kind;
	const json_t *json;
	const json_t *back; /* of a foreign path: the same as the other end hears it, or NULL */
};

struct graph_segment {
	unsigned node;
	const char *bridge;
	unsigned first, n; /* its links: n of graph.at from `first` on */
	unsigned parent;   /* the link that leads to it in the drawing; GRAPH_NONE: a root */
	unsigned below;	   /* segments in the drawing behind it, and itself */
};

struct graph {
	struct graph_node *nodes;	/* by id */
	struct graph_segment *segments; /* this node's first, then by name */
	struct graph_link *links;	/* by kind, then by end */
	unsigned *at;
	unsigned *roots; /* segments, one of each block */
	unsigned n_nodes, n_segments, n_links, n_roots;
	bool truncated; /* the answer has more than is drawn */
};

/* Ends the program when there is no memory. */
void graph_init(struct graph *g, const json_t *topology);
void graph_fini(struct graph *g);

/* Frames pass, or are about to: what blocks are made of. */
bool link_joins(enum link_kind k);
/* The end that is not `segment`. */
unsigned link_far(const struct graph_link *l, unsigned segment);
/* "kvm1:br-sv"; of nodes that share a name, "kvm1(1f2e3d4c5b6a7988):br-sv". To be freed. */
char *graph_label(const struct graph *g, unsigned segment);
char *graph_node_label(const struct graph_node *n);

#endif
