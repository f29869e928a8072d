/*
 * The first guard: parallel tunnels. All edges that join the same two segments form
 * a bundle. One end leads a bundle, the one with the smaller node id: it picks an edge. The
 * other end follows the gate that the leader announced last.
 *
 * Safety needs no agreement: each end keeps at most one gate of a bundle open and closes
 * before it opens, so two parallel edges are never both open at both ends, whatever
 * the ends believe of each other. Agreement only brings the two choices together.
 *
 * Rings through several nodes are not seen here.
 */
#include "l2tund/topology/topology.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/util.h"

struct topo_edge {
	TAILQ_ENTRY(topo_edge) link;
	struct topo *topo;
	char name[NAME_MAX_LEN + 1];
	void *user;

	struct topo_ends ends; /* only while `up` */
	bool up;
	bool ready;
	uint64_t far_open_seq; /* 0: the far gate is closed; else grows with each opening heard */

	bool open;
	enum tunnel_reason reason;
	char detail[128];
};

struct topo {
	uint8_t node_id[TOPO_NODE_ID_BYTES];
	const struct topo_ops *ops;
	void *arg;
	TAILQ_HEAD(, topo_edge) edges;
	uint64_t far_open_count;
	bool deciding;
};

struct topo *topo_new(const uint8_t node_id[TOPO_NODE_ID_BYTES], const struct topo_ops *ops,
		      void *arg)
{
	struct topo *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	memcpy(t->node_id, node_id, sizeof(t->node_id));
	t->ops = ops;
	t->arg = arg;
	TAILQ_INIT(&t->edges);
	return t;
}

void topo_free(struct topo *t)
{
	struct topo_edge *e;

	if (!t)
		return;
	while ((e = TAILQ_FIRST(&t->edges))) {
		TAILQ_REMOVE(&t->edges, e, link);
		free(e);
	}
	free(t);
}

static bool edge_usable(const struct topo_edge *e)
{
	return e->up && e->ready;
}

static bool ends_same_bundle(const struct topo_ends *a, const struct topo_ends *b)
{
	return memcmp(a->far_node, b->far_node, sizeof(a->far_node)) == 0 &&
	       strcmp(a->local_bridge, b->local_bridge) == 0 &&
	       strcmp(a->far_bridge, b->far_bridge) == 0;
}

static bool edge_leads(const struct topo_edge *e)
{
	return memcmp(e->topo->node_id, e->ends.far_node, sizeof(e->ends.far_node)) < 0;
}

/*
 * Whether the leader prefers a to b, which was added earlier. An open edge stays: a change
 * of path costs frames, so priority decides only when nothing is open.
 */
static bool leader_prefers(const struct topo_edge *a, const struct topo_edge *b)
{
	if (a->open != b->open)
		return a->open;
	return a->ends.priority < b->ends.priority;
}

/* The leader has one gate of a bundle open: what it announced last is what holds. */
static bool follower_prefers(const struct topo_edge *a, const struct topo_edge *b)
{
	return a->far_open_seq > b->far_open_seq;
}

/* The edge of e's bundle that is to forward at this end; NULL: none yet. */
static const struct topo_edge *bundle_choose(const struct topo_edge *e)
{
	bool leads = edge_leads(e);
	const struct topo_edge *best = NULL, *c;

	TAILQ_FOREACH(c, &e->topo->edges, link) {
		if (!edge_usable(c) || !ends_same_bundle(&c->ends, &e->ends))
			continue;
		if (!leads && !c->far_open_seq)
			continue;
		if (!best || (leads ? leader_prefers(c, best) : follower_prefers(c, best)))
			best = c;
	}
	return best;
}

static void edge_set(struct topo_edge *e, bool open, enum tunnel_reason reason, const char *detail)
{
	if (e->open == open && e->reason == reason && strcmp(e->detail, detail) == 0)
		return;
	e->open = open;
	e->reason = reason;
	snprintf(e->detail, sizeof(e->detail), "%s", detail);
	e->topo->ops->gate(e->topo->arg, e, open, reason, e->detail);
}

static void edge_close(struct topo_edge *e, const struct topo_edge *chosen)
{
	char detail[sizeof(e->detail)];

	if (!edge_usable(e)) {
		edge_set(e, false, REASON_NONE, "");
		return;
	}
	if (!chosen) {
		edge_set(e, false, REASON_REMOTE,
			 "waiting for the other end, which decides, to open");
		return;
	}
	snprintf(detail, sizeof(detail), "tunnel %s joins the same two bridges and forwards",
		 chosen->name);
	edge_set(e, false, REASON_PARALLEL, detail);
}

/* Breaks first, in every bundle, and makes last. */
static void topo_decide(struct topo *t)
{
	struct topo_edge *e;

	assert(!t->deciding);
	t->deciding = true;
	TAILQ_FOREACH(e, &t->edges, link) {
		const struct topo_edge *chosen = edge_usable(e) ? bundle_choose(e) : NULL;

		if (e != chosen)
			edge_close(e, chosen);
	}
	TAILQ_FOREACH(e, &t->edges, link) {
		if (edge_usable(e) && bundle_choose(e) == e)
			edge_set(e, true, REASON_NONE, "");
	}
	t->deciding = false;
}

struct topo_edge *topo_edge_add(struct topo *t, const char *name, void *user)
{
	struct topo_edge *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->topo = t;
	e->user = user;
	snprintf(e->name, sizeof(e->name), "%s", name);
	TAILQ_INSERT_TAIL(&t->edges, e, link);
	return e;
}

void topo_edge_remove(struct topo_edge *e)
{
	struct topo *t = e->topo;

	TAILQ_REMOVE(&t->edges, e, link);
	free(e);
	topo_decide(t);
}

void *topo_edge_user(const struct topo_edge *e)
{
	return e->user;
}

void topo_edge_up(struct topo_edge *e, const struct topo_ends *ends)
{
	bool same =
		e->up && ends_same_bundle(&e->ends, ends) && e->ends.generation == ends->generation;

	if (same && e->ends.priority == ends->priority)
		return;
	/* Another far end or a new session: what was known of its gate is void. */
	if (!same) {
		e->far_open_seq = 0;
		edge_set(e, false, REASON_NONE, "");
	}
	e->ends = *ends;
	e->up = true;
	topo_decide(e->topo);
}

void topo_edge_down(struct topo_edge *e)
{
	e->up = false;
	e->far_open_seq = 0;
	topo_decide(e->topo);
}

void topo_edge_ready(struct topo_edge *e, bool ready)
{
	if (e->ready == ready)
		return;
	e->ready = ready;
	topo_decide(e->topo);
}

void topo_edge_far(struct topo_edge *e, bool open)
{
	if (open == (e->far_open_seq != 0))
		return;
	e->far_open_seq = open ? ++e->topo->far_open_count : 0;
	topo_decide(e->topo);
}

bool topo_edge_open(const struct topo_edge *e)
{
	return e->open;
}
