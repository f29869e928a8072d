/*
 * Link state of one node: its edges and the foreign paths it hears. Codec and comparison;
 * who has told it, and when, is in lsdb.h. Layout: doc/protocol.md, "Topology messages".
 */
#ifndef L2TUND_TOPOLOGY_LSA_H
#define L2TUND_TOPOLOGY_LSA_H

#include "l2tund/topology/topology.h"

#define LSA_BYTES_MAX 32768 /* encoded */

struct lsa_edge {
	struct topo_segment far;
	char local[TOPO_BRIDGE_MAX + 1]; /* our bridge */
	uint64_t generation;		 /* of the session, same in the far node's link state */
	uint16_t priority;
	bool ready;   /* could open; else it only says that the two nodes have a session */
	bool open;    /* the gate of this end */
	bool preempt; /* has been up long enough to replace what is worse, and is wanted to */
	bool mesh;
};

struct lsa_foreign {
	char local[TOPO_BRIDGE_MAX + 1];
	struct topo_segment heard;
};

/* Arrays in ascending order without repetition (lsa_edge_compare, lsa_foreign_compare). */
struct lsa {
	char name[NAME_MAX_LEN + 1];
	unsigned n_edges, n_foreign;
	struct lsa_edge *edges;
	struct lsa_foreign *foreign;
};

/* Padded with zeros; `bridge` is cut off where it is too long. */
struct topo_segment segment_of(const uint8_t node[TOPO_NODE_ID_BYTES], const char *bridge);
int segment_compare(const struct topo_segment *a, const struct topo_segment *b);

int lsa_edge_compare(const void *a, const void *b);
int lsa_foreign_compare(const void *a, const void *b);
/* The other end's entry for an edge of node `far` towards us; NULL: it does not list it. */
const struct lsa_edge *lsa_find_mirror(const struct lsa *far,
				       const uint8_t near_node[TOPO_NODE_ID_BYTES],
				       const struct lsa_edge *near);

/* Writes it and gives its length, or -ENOBUFS. */
int lsa_build(const struct lsa *l, uint8_t *buf, size_t cap);
/* -EBADMSG, -ENOMEM: *ret is untouched. Else the caller frees with lsa_fini(). */
int lsa_parse(const uint8_t *buf, size_t len, struct lsa *ret);
void lsa_fini(struct lsa *l);

#endif
