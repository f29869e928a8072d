/*
 * Deliberate faults of the barrier, for tests only: a simulator that cannot find these
 * would prove nothing. In the daemon mutant() is the constant false and leaves no code.
 */
#ifndef L2TUND_TOPOLOGY_MUTANT_H
#define L2TUND_TOPOLOGY_MUTANT_H

#include <stdbool.h>

enum topo_mutant {
	MUTANT_NONE,
	MUTANT_NO_BARRIER,	/* opens without waiting for anybody */
	MUTANT_NEIGHBOURS_ONLY, /* waits for the nodes at the other end of own edges only */
	MUTANT_NO_INCARNATION,	/* the digest leaves incarnations and seqs of restarts out */
	MUTANT_PUBLISH_FIRST,	/* tells its digest before it has closed */
	MUTANT_OLD_SYNC,	/* that, and takes what an earlier incarnation has told */
	MUTANT_KEEP_DEAD,	/* a gate stays open when its session has ended */
	MUTANTS,
};

#ifdef TOPO_MUTANTS
extern enum topo_mutant topo_mutant; /* set by the test */

static inline bool mutant(enum topo_mutant m)
{
	/* While the digest holds incarnations, nothing old can be equal to it. */
	if (m == MUTANT_NO_INCARNATION && topo_mutant == MUTANT_OLD_SYNC)
		return true;
	return topo_mutant == m;
}
#else
static inline bool mutant(enum topo_mutant m)
{
	(void)m;
	return false;
}
#endif

#endif
