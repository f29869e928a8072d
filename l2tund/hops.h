/*
 * The way from one bridge to another over what forwards: chosen tunnels and foreign paths. For
 * people; the tree itself has its own (topology/tree.h).
 */
#ifndef L2TUND_HOPS_H
#define L2TUND_HOPS_H

#include "l2tund/topology/view.h"

struct hop {
	struct topo_segment from, to;
	char name_to[NAME_MAX_LEN + 1]; /* of the node, "" when it is not known */
	bool foreign;
	bool mesh; /* leads on to no other tunnel of the mesh */
};

/* All zero: empty. */
struct hops {
	struct hop *list; /* each way in both directions */
	unsigned n, size;
	bool failed; /* no memory: nothing is found */
};

/* Collects; its argument is the struct hops. */
extern const struct topo_visitor hops_visitor;
/*
 * The shortest way, as hops in a row. Gives how many there are and writes at most `max`; 0:
 * there is none. Sorts the list, so that nothing can be collected afterwards.
 */
unsigned hops_find(struct hops *h, const struct topo_segment *from, const struct topo_segment *to,
		   struct hop *ret, unsigned max);
void hops_fini(struct hops *h);

#endif
