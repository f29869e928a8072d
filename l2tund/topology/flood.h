/*
 * Flooding: every node's newest link state and digest reach every node, over all
 * adjacencies. What a neighbour is not known to have is sent to it, again and again until it says
 * that it has it.
 */
#ifndef L2TUND_TOPOLOGY_FLOOD_H
#define L2TUND_TOPOLOGY_FLOOD_H

#include <sys/queue.h>

#include "l2tund/topology/lsdb.h"
#include "l2tund/topology/msg.h"

/* One link state or digest, on its way to one neighbour. */
struct flood_item {
	struct version has;  /* the neighbour has it, as far as we know */
	struct version sent; /* latest */
	uint64_t retry_us;   /* when to send that again */
	uint8_t tries;
};

struct flood_known {
	uint32_t tenant; /* whose these are: lsdb_node.tenant */
	struct flood_item lsa, sync;
	bool owed; /* to be told what we have of it */
};

/* Owned by the list of its flood, freed by flood_remove(). */
struct topo_adj {
	TAILQ_ENTRY(topo_adj) link;
	struct topo *topo;
	void *user;
	bool up;
	uint8_t far[TOPO_NODE_ID_BYTES];
	uint64_t generation;
	uint32_t rtt_us;
	uint64_t sent_us; /* the latest batch; 0: none */
	uint64_t due_us;
	struct flood_known known[TOPO_NODES_MAX];
};

struct flood_counters {
	uint64_t messages, bytes, repeated, malformed;
};

/* Embedded. */
struct flood {
	TAILQ_HEAD(, topo_adj) adjs;
	struct lsdb *db;
	/* Of our own node, newer than what we have told: somebody else uses our key, or did. */
	struct version alien_lsa, alien_sync;
	uint64_t due_us; /* the least of all adjacencies'; 0: to be looked at now */
	int (*send)(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len);
	void *arg;
	struct flood_counters counters;
};

struct topo_adj *flood_add(struct flood *f, struct topo *t, void *user);
void flood_remove(struct flood *f, struct topo_adj *a);
void flood_up(struct flood *f, struct topo_adj *a, const uint8_t far[TOPO_NODE_ID_BYTES],
	      uint64_t generation, uint32_t rtt_us);
void flood_down(struct topo_adj *a);

/* 1: the database has changed; 0: it has not; -EBADMSG; -ENOSPC: more nodes than it holds. */
int flood_input(struct flood *f, struct topo_adj *a, const uint8_t *msg, size_t len);
/* Something in the database is newer than it was. */
void flood_wake(struct flood *f);
/* Tells every neighbour all that we have: something is missing here or there. */
void flood_tell_all(struct flood *f);
uint64_t flood_tick(struct flood *f, uint64_t now_us);

#endif
