/*
 * The insides of the topology, shared by topology.c, explain.c and view.c and by nobody else.
 */
#ifndef L2TUND_TOPOLOGY_STATE_H
#define L2TUND_TOPOLOGY_STATE_H

#include <string.h>
#include <sys/queue.h>

#include "l2tund/topology/flood.h"
#include "l2tund/topology/tree.h"

/* Owned by the list of its topology. */
struct topo_edge {
	TAILQ_ENTRY(topo_edge) link;
	struct topo *topo;
	char name[NAME_MAX_LEN + 1];
	void *user;

	struct topo_ends ends; /* only while `up` */
	bool up;
	bool ready;
	uint64_t up_us; /* since when */

	bool open;
	enum tunnel_reason reason;
	char detail[256];
};

struct topo {
	struct topo_params p;
	const struct topo_ops *ops;
	void *arg;
	TAILQ_HEAD(, topo_edge) edges;

	struct lsdb db;
	struct flood flood;
	/*
	 * The published tree follows from what all can know; the draft's from our link state as
	 * it is now, before it is told. A gate is open only when both have its edge.
	 */
	struct tree tree, draft_tree;
	struct lsa draft;
	struct lsa_foreign foreign[TOPO_FOREIGN_MAX];
	unsigned n_foreign;
	unsigned n_known_foreign; /* of all members */
	uint64_t foreign_us;	  /* when that grew */
	bool foreign_cut;	  /* there were more */
	uint8_t *draft_body;	  /* of LSA_BYTES_MAX, encoded */
	size_t draft_len;
	unsigned cap_draft;
	bool draft_cut; /* more edges or foreign paths than a link state can have */

	uint64_t due_us; /* when the tick has something to do; 0: now */
	bool stale;	 /* the database has changed: trees and gates have not followed yet */
	bool urgent;	 /* the draft has news that others have to know before we open anything */
	bool wants_lsa;	 /* the draft differs from what is published */
	uint64_t lsa_due_us; /* when `wants_lsa` */
	uint64_t lsa_sent_us;
	uint64_t agreed_us;    /* since when all have told our digest; 0: they have not */
	uint64_t unsettled_us; /* since when others have not told our digest; 0: they have */
	uint64_t tell_us;      /* when to tell all what we have */
	uint8_t tells;

	bool twin; /* somebody else tells of our node: all gates are closed */
	struct version twin_seen;
	uint64_t twin_until_us; /* then we take over */
	uint8_t twins;
	bool lost; /* out of memory: to be computed again soon */
	bool overflow, overflow_told;

	uint8_t key[TOPO_KEY_BYTES];
	bool deciding; /* a callback is running */
};

/* Ours in the database. */
static inline struct lsdb_node *topo_self(struct topo *t)
{
	return &t->db.node[t->db.self];
}

static inline struct topo_segment topo_local(const struct topo *t, const char *bridge)
{
	return segment_of(t->p.node_id, bridge);
}

/* The edge in a tree; NULL: it is not live there. */
const struct tree_edge *topo_edge_in(const struct tree *tree, const struct topo_edge *e);
/* The edge of ours whose end this is, or NULL. */
struct topo_edge *topo_edge_of(const struct topo *t, const struct tree_edge *te);
/* Every member has told the digest that we have (R6). */
bool topo_agreed(const struct topo *t);
bool topo_node_agrees(const struct topo *t, const struct lsdb_node *n);

/* draft.c: our own link state as it is now, and when it has to be told. */
void draft_build(struct topo *t, uint64_t now_us);
/* Tells it; the trees are stale then. */
void draft_publish(struct topo *t, uint64_t now_us);
/* From now on what we tell has another incarnation; nothing else changes. */
void draft_renew(struct topo *t, uint64_t incarnation);
/* When the next edge will have been up long enough to replace a worse one; NEVER. */
uint64_t draft_preempt_us(const struct topo *t, uint64_t now_us);

/* explain.c: why the gate of an edge that could be open is closed. */
enum tunnel_reason explain_closed(const struct topo_edge *e, char *detail, size_t size);

#endif
