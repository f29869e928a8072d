/*
 * The tree: which edges of a link-state database are to forward (R3). A function of what
 * the database holds and of nothing else, so nodes with the same digest have the same tree.
 */
#ifndef L2TUND_TOPOLOGY_TREE_H
#define L2TUND_TOPOLOGY_TREE_H

#include "l2tund/topology/lsdb.h"

/* A live edge; `a` is the end with the smaller segment. */
struct tree_edge {
	unsigned node_a, node_b; /* slots in the database */
	unsigned at_a, at_b;	 /* vertices */
	const struct lsa_edge *a, *b;
	uint16_t priority; /* the greater of both ends' */
	bool mesh;
	bool chosen;
	const struct tree_edge *next_mesh; /* of the same end `a`; tree_vertex.meshes */
};

/* A step in the forest of what forwards: chosen edges and foreign paths. */
struct tree_hop {
	const struct tree_edge *edge; /* NULL: a foreign path */
	const struct topo_segment *from, *to;
};

struct tree_vertex {
	struct topo_segment segment;
	unsigned join;		    /* union-find: towards the representative of its component */
	unsigned parent;	    /* in the forest; itself: a root */
	const struct tree_edge *up; /* the edge to the parent; NULL: a foreign path */
	bool mesh;		    /* its tunnel ports are isolated from each other */
	unsigned n_mesh;	    /* live mesh edges */
	const struct tree_edge *meshes; /* chosen ones whose end `a` this is */
	unsigned leader; /* of a component, at its representative: the mesh segment that leads */
};

/* Embedded; all zero: empty. Memory is kept for the next computation. */
struct tree {
	struct tree_vertex *vertices;
	struct tree_edge *edges; /* in the order of preference */
	unsigned *table;	 /* vertices by segment */
	unsigned n_vertices, n_edges;
	unsigned cap_vertices, cap_edges, n_table;
};

/*
 * Of the members' link states, with `own` in place of ours. Points into the database and `own`:
 * valid until either changes. -ENOMEM: it is empty, which closes everything.
 */
int tree_compute(struct tree *t, const struct lsdb *db, const struct lsa *own);
/* Empties it: before what it points into goes. */
void tree_clear(struct tree *t);
void tree_fini(struct tree *t);

/* The live edge with this end, of node `slot`; NULL: it is not live. */
const struct tree_edge *tree_find(const struct tree *t, unsigned slot, const struct lsa_edge *end);
/* The chosen edge between the same two segments, or NULL. */
const struct tree_edge *tree_between(const struct tree *t, const struct tree_edge *e);
/*
 * The way from one segment to another over what forwards; gives how many hops there are and
 * writes at most `max`; 0: none, or the same segment.
 */
unsigned tree_path(const struct tree *t, const struct topo_segment *from,
		   const struct topo_segment *to, struct tree_hop *ret, unsigned max);

#endif
