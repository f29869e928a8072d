/*
 * Who is joined with whom, for barrier.pml: one of these, chosen with -D.
 */
#if defined(RING)
/* Six nodes in a ring: neighbours of neighbours do not know each other. */
#define NODES 6
#define EDGES 6
#define GRAPH_EDGES 0, 1, 2, 3, 3, 4, 5, 0, 4, 5, 1, 2
#define EACH_NODE(M) M(0) M(1) M(2) M(3) M(4) M(5)
#define TO_FIVE(M, y, a, b, c, d, e) \
	M(y, a, 0) M(y, b, 0) M(y, c, 0) M(y, d, 0) M(y, e, 0)
#define EACH_PAIR(M) \
	TO_FIVE(M, 0, 1, 2, 3, 4, 5) TO_FIVE(M, 1, 0, 2, 3, 4, 5) TO_FIVE(M, 2, 0, 1, 3, 4, 5) \
	TO_FIVE(M, 3, 0, 1, 2, 4, 5) TO_FIVE(M, 4, 0, 1, 2, 3, 5) TO_FIVE(M, 5, 0, 1, 2, 3, 4)
#define EACH_END(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define LIVES 1
#define STATE int
#define DIGEST int
#define VALID (1u << 30)
#define GRAPH_WIRES -1, -1
#define EACH_WIRE(M)
#define EACH_WIRE_END(M)
/* What is lost for ever, so that there are fewer states: 1 and 2 hear nothing of 4 and 5. */
#define LOST(y, x) ((y == 1 || y == 2) && x >= 4)
/* And what both ends of a new edge tell comes together: of 1 and 2, of 4 and 5. */
#define TOGETHER(x) ((x) % 3 == 0 ? (x) : (x) < 3 ? 3 - (x) : 9 - (x))
#elif defined(RING_OF_FIVE)
/* Five nodes in a ring, for the restart of node 0; edge 4 is far from it, and the last. */
#define NODES 5
#define EDGES 5
#define GRAPH_EDGES 0, 1, 1, 2, 3, 4, 4, 0, 2, 3
#define EACH_NODE(M) M(0) M(1) M(2) M(3) M(4)
#define TO_FOUR(M, y, a, b, c, d) M(y, a, 0) M(y, b, 0) M(y, c, 0) M(y, d, 0)
#define EACH_PAIR(M) \
	TO_FOUR(M, 0, 1, 2, 3, 4) TO_FOUR(M, 1, 0, 2, 3, 4) TO_FOUR(M, 2, 0, 1, 3, 4) \
	TO_FOUR(M, 3, 0, 1, 2, 4) TO_FOUR(M, 4, 0, 1, 2, 3)
#define EACH_END(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9)
#define LIVES 2
#define STATE int
#define DIGEST int
#define VALID (1u << 30)
#define GRAPH_WIRES -1, -1
#define EACH_WIRE(M)
#define EACH_WIRE_END(M)
/* What is lost for ever: 2 and 3 hear nothing more of 0. */
#define LOST(y, x) ((y == 2 || y == 3) && x == 0)
/* And what those beside it tell comes together: of 1 and 4, of 2 and 3. */
#define TOGETHER(x) ((x) == 0 ? 0 : 5 - (x))
#elif defined(CHAIN)
/*
 * Four nodes in a chain, 0-1-2-3, its middle (edge 3) the last choice. Its ends have a foreign
 * path, and edge 0, the first choice, if it is up.
 */
#define NODES 4
#define EDGES 4
#define GRAPH_EDGES 0, 3, 0, 1, 2, 3, 1, 2
#define EACH_NODE(M) M(0) M(1) M(2) M(3)
#define TO_THREE(M, y, a, b, c) M(y, a, 0) M(y, b, 0) M(y, c, 0) M(y, a, 1) M(y, b, 1) M(y, c, 1)
#define EACH_PAIR(M) \
	TO_THREE(M, 0, 1, 2, 3) TO_THREE(M, 1, 0, 2, 3) TO_THREE(M, 2, 0, 1, 3) \
	TO_THREE(M, 3, 0, 1, 2)
#define EACH_END(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define LIVES 1
#define STATE int
#define DIGEST int
#define VALID (1u << 30)
#define GRAPH_WIRES 0, 3
#define EACH_WIRE(M) M(0)
#define EACH_WIRE_END(M) M(0) M(1)
#define LOST(y, x) 0
#else
/* Three nodes, 0-1 twice, and a foreign path beside 0-2. */
#define NODES 3
#define EDGES 4
#define GRAPH_EDGES 0, 1, 1, 2, 0, 2, 0, 1
#define EACH_NODE(M) M(0) M(1) M(2)
#define NTH(M, y, x) M(y, x, 0) M(y, x, 1) M(y, x, 2) M(y, x, 3) M(y, x, 4)
#define EACH_PAIR(M) NTH(M, 0, 1) NTH(M, 0, 2) NTH(M, 1, 0) NTH(M, 1, 2) NTH(M, 2, 0) NTH(M, 2, 1)
#define EACH_END(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define LIVES 2
#define STATE short
#define DIGEST short
#define VALID (1u << 14)
#define GRAPH_WIRES 0, 2
#define EACH_WIRE(M) M(0)
#define EACH_WIRE_END(M) M(0) M(1)
#define LOST(y, x) 0
#endif
#define WIRES_MAX 1
