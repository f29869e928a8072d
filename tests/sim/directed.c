/*
 * Written schedules: the orders of events that the barrier is there for, which chance seldom
 * finds. Each says which mutants it catches for certain; with the module as it is none makes
 * a loop, and at the end all is spanned.
 */
#include "tests/sim/sim.h"

#include <stdio.h>

#define M(x) (1u << (x))
#define MSG_LSA 1 /* doc/protocol.md, "Topology messages": kind, page, node, incarnation, seq */
#define MSG_SYNC 2
#define SETTLED_US (20 * US_PER_S)

/* n0 - n1 - … - n0, one session and tunnel each; link and edge i join n(i) and n(i+1). */
static void ring(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		world_add_node(w, 10);
	for (unsigned i = 0; i < n; i++)
		world_add_edge(w, world_add_link(w, i, (i + 1) % n), 0, 0);
}

static void chain(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		world_add_node(w, 10);
	for (unsigned i = 0; i + 1 < n; i++)
		world_add_edge(w, world_add_link(w, i, i + 1), 0, 0);
}

static void start(struct world *w)
{
	for (unsigned i = 0; i < w->n_nodes; i++)
		node_start(&w->nodes[i], w->nodes[i].incarnation);
}

static void cut(struct world *w, unsigned link)
{
	link_cut(&w->links[link], true, true);
}

static void heal(struct world *w, unsigned link)
{
	link_cut(&w->links[link], false, false);
}

static void hold(struct world *w, unsigned link)
{
	w->links[link].ends[0].held = w->links[link].ends[1].held = true;
}

static void release(struct world *w, unsigned link)
{
	link_release(&w->links[link].ends[0]);
	link_release(&w->links[link].ends[1]);
}

static void spanned(struct world *w)
{
	world_run_spanned(w, SETTLED_US);
	world_run(w, 2 * US_PER_S);
	world_run_spanned(w, 0);
}

static void want(struct world *w, bool ok, const char *what)
{
	if (!ok)
		world_fail(w, "%s", what);
}

/* --- Barrier --- */

/* Two halves of a ring are joined at both ends at once, and news between the ends is late. */
static void both_ends(struct world *w)
{
	ring(w, 4);
	cut(w, 1);
	cut(w, 3);
	start(w);
	spanned(w);
	hold(w, 0);
	hold(w, 2);
	heal(w, 1);
	heal(w, 3);
	world_run(w, 5 * US_PER_S);
	want(w, !edge_forwards(&w->edges[1]) && !edge_forwards(&w->edges[3]), "opened unasked");
	release(w, 0);
	release(w, 2);
	spanned(w);
}

/* The same with so many nodes that all neighbours of the ends agree with them. */
static void both_ends_far(struct world *w)
{
	ring(w, 8);
	cut(w, 3);
	cut(w, 7);
	start(w);
	spanned(w);
	hold(w, 1);
	hold(w, 5);
	heal(w, 3);
	heal(w, 7);
	world_run(w, 5 * US_PER_S);
	want(w, !edge_forwards(&w->edges[3]) && !edge_forwards(&w->edges[7]), "opened unasked");
	release(w, 1);
	release(w, 5);
	spanned(w);
}

static bool lose_syncs_to_0_and_1(struct world *w, const struct link_end *from, const uint8_t *msg,
				  size_t len)
{
	unsigned to = w->links[from->link->id].node[!from->end];

	return len && msg[0] == MSG_SYNC && to <= 1;
}

/* What pre-empts opens when the ends of the worse one say that they have closed it. */
static void pre_empted(struct world *w)
{
	ring(w, 4);
	w->edges[0].priority = 200;
	w->edges[2].priority = 50;
	w->edges[2].preempt[0] = w->edges[2].preempt[1] = true;
	cut(w, 2);
	start(w);
	spanned(w);
	heal(w, 2);
	world_run(w, 59 * US_PER_S);
	want(w, edge_forwards(&w->edges[0]) && !edge_forwards(&w->edges[2]), "pre-empted at once");
	w->filter = lose_syncs_to_0_and_1;
	world_run(w, 3 * US_PER_S);
	w->filter = NULL;
	spanned(w);
	want(w, !edge_forwards(&w->edges[0]) && edge_forwards(&w->edges[2]), "not pre-empted");
}

/* --- Restarts --- */

/* What n0 says of itself does not reach n2 and n3 once it has said so much. */
static bool lose_news_of_0(struct world *w, const struct link_end *from, const uint8_t *msg,
			   size_t len)
{
	unsigned to = from->link->node[!from->end];

	if (len < 22 || msg[0] != MSG_LSA || memcmp(msg + 2, w->nodes[0].key, 8) != 0 ||
	    (to != 2 && to != 3))
		return false;
	return w->nodes[0].incarnation > 10 || get_le32(msg + 18) > w->variant;
}

/*
 * n0 of a ring of five restarts, and its link states reach the same number as before. Those
 * at the far side have only the old one, by which its tunnels are dead, and the edge
 * between them is new.
 */
static void same_number(struct world *w)
{
	ring(w, 5);
	w->edges[2].priority = 200;
	cut(w, 2);
	w->filter = lose_news_of_0;
	start(w);
	world_run(w, 3 * US_PER_S);
	node_crash(&w->nodes[0]);
	world_run(w, 4 * US_PER_S);
	heal(w, 2);
	node_start(&w->nodes[0], 11);
	world_run(w, 3 * US_PER_S);
	w->filter = NULL;
	spanned(w);
}

/* In a ring that is coming up, a node crashes at any time and is back soon. */
static void restart_amid(struct world *w)
{
	unsigned at = w->variant % 4;

	ring(w, 4);
	start(w);
	world_run(w, 60 * US_PER_MS + w->variant / 4 * 7 * US_PER_MS);
	node_crash(&w->nodes[at]);
	world_run(w, 15 * US_PER_MS);
	node_start(&w->nodes[at], 11);
	world_run(w, 100 * US_PER_MS);
	node_crash(&w->nodes[(at + 1) % 4]);
	node_start(&w->nodes[(at + 1) % 4], 11);
	spanned(w);
}

/* What n0 said before its crash reaches n2 by way of n1, long after its next start. */
static void late_news(struct world *w)
{
	ring(w, 4);
	cut(w, 2);
	start(w);
	world_run(w, 300 * US_PER_MS);
	w->links[1].ends[0].held = true;
	world_run(w, w->variant * 20 * US_PER_MS);
	node_crash(&w->nodes[0]);
	world_run(w, 50 * US_PER_MS);
	node_start(&w->nodes[0], 11);
	heal(w, 2);
	world_run(w, 3 * US_PER_S);
	link_release(&w->links[1].ends[0]);
	spanned(w);
}

/* The state directory is gone: its clock is behind what the others know of it. */
static void lost_state(struct world *w)
{
	ring(w, 4);
	start(w);
	spanned(w);
	node_crash(&w->nodes[1]);
	world_run(w, w->variant * 500 * US_PER_MS);
	node_start(&w->nodes[1], 3);
	spanned(w);
}

/* --- Sessions --- */

/*
 * The first of two parallel sessions dies, the second takes over, the first comes back. No end
 * hears from the other one that it has closed before it has found out by itself.
 */
static void comes_back(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		world_add_node(w, 10);
	for (unsigned i = 0; i < 2; i++)
		world_add_edge(w, world_add_link(w, 0, 1), 0, 0)->priority = (uint16_t)(100 + i);
	start(w);
	spanned(w);
	want(w, edge_forwards(&w->edges[0]), "not the preferred one");
	hold(w, 1);
	cut(w, 0);
	world_run(w, 2 * w->params.dead_us);
	release(w, 1);
	world_run(w, 2 * US_PER_S);
	want(w, edge_forwards(&w->edges[1]), "not taken over");
	heal(w, 0);
	spanned(w);
	want(w, edge_forwards(&w->edges[1]), "taken over without need");
}

/* Stopped for shorter or longer than its lease, and what the others did meanwhile. */
static void stopped(struct world *w)
{
	ring(w, 4);
	start(w);
	spanned(w);
	node_pause(&w->nodes[w->variant % 4]);
	world_run(w, w->variant * 700 * US_PER_MS);
	node_continue(&w->nodes[w->variant % 4]);
	spanned(w);
}

/* One direction of a line is dead: the other end has nothing to notice at first. */
static void one_way(struct world *w)
{
	ring(w, 4);
	start(w);
	spanned(w);
	link_cut(&w->links[w->variant / 2], w->variant % 2, !(w->variant % 2));
	world_run(w, 2 * w->params.dead_us); /* up to a lease it forwards */
	spanned(w);
	heal(w, w->variant / 2);
	spanned(w);
}

/* A tunnel that is up and never ready must not keep the other one closed. */
static void never_ready(struct world *w)
{
	ring(w, 3);
	w->edges[w->variant % 3].priority = 1;
	w->edges[w->variant % 3].ends[w->variant / 3].never_ready = true;
	start(w);
	spanned(w);
}

/* --- Foreign paths --- */

/* While a chain forwards, a wire joins its ends: the first who hears of it cuts at once. */
static void wire_later(struct world *w)
{
	chain(w, 2 + w->variant % 5);
	start(w);
	spanned(w);
	world_run(w, 2 * US_PER_S);
	wire_add(w, 0, (w->n_nodes - 1) * SIM_BRIDGES);
	world_run(w, US_PER_S);
	want(w, w->stats.foreign_at_once == 1 && w->stats.foreign_later == 0, "not cut at once");
	spanned(w);
	wire_remove(w, 0);
	world_run(w, 5 * US_PER_S);
	spanned(w);
}

static void wire_first(struct world *w)
{
	ring(w, 3 + w->variant % 4);
	wire_add(w, 0, (1 + w->variant % (w->n_nodes - 1)) * SIM_BRIDGES);
	start(w);
	spanned(w);
}

static uint64_t lose_from_us;

/* What n0 and n3 say to n1 and n2. */
static bool lose_news_of_the_ends(struct world *w, const struct link_end *from, const uint8_t *msg,
				  size_t len)
{
	(void)msg;
	(void)len;
	return w->now_us >= lose_from_us && from->link->id < 3 &&
	       from->link->node[from->end] % 3 == 0;
}

/* A wire joins the ends of the chain n0 - n3, and both hear it now. */
static void wire_heard(struct world *w)
{
	unsigned a = 0, b = 3 * SIM_BRIDGES;

	wire_add(w, a, b);
	w->heard[a][b] = w->heard[b][a] = true;
	node_set_foreign(&w->nodes[0], 0);
	node_set_foreign(&w->nodes[3], 0);
}

static void want_cut(struct world *w)
{
	want(w,
	     !(edge_forwards(&w->edges[0]) && edge_forwards(&w->edges[1]) &&
	       edge_forwards(&w->edges[2])),
	     "the way beside a known wire forwards");
}

/*
 * Both ends of a chain in two parts hear a wire, and have not told it yet when the middle
 * becomes ready. They must not agree to a tree without the wire.
 */
static void wire_untold(struct world *w)
{
	chain(w, 4);
	w->params.delay_us = US_PER_MS;
	w->edges[1].ends[0].never_ready = w->edges[1].ends[1].never_ready = true;
	/* What they tell otherwise, so that the wire has to wait. */
	world_add_edge(w, &w->links[0], 1, 1);
	world_add_edge(w, &w->links[2], 1, 1);
	start(w);
	world_run(w, SETTLED_US);
	want(w, edge_forwards(&w->edges[0]) && edge_forwards(&w->edges[2]), "not in two parts");
	node_edge_ready(&w->edges[3].ends[0], false);
	node_edge_ready(&w->edges[4].ends[1], false);
	world_run(w, US_PER_MS);
	wire_heard(w);
	for (unsigned i = 0; i < 2; i++) {
		w->edges[1].ends[i].never_ready = false;
		node_edge_ready(&w->edges[1].ends[i], true);
	}
	lose_from_us = w->now_us + 45 * US_PER_MS;
	w->filter = lose_news_of_the_ends;
	for (unsigned i = 0; i < 100; i++) {
		world_run(w, 5 * US_PER_MS);
		want_cut(w);
	}
	w->filter = NULL;
	node_edge_ready(&w->edges[3].ends[0], true);
	node_edge_ready(&w->edges[4].ends[1], true);
	spanned(w);
}

/*
 * A better tunnel between the ends of a chain, which they know and the others do not: what
 * forwards is still the chain, and not their tree. Now a wire joins them.
 */
static void wire_amid_change(struct world *w)
{
	chain(w, 4);
	w->edges[1].priority = 200;
	struct edge *better = world_add_edge(w, world_add_link(w, 0, 3), 0, 0);
	better->priority = 50;
	better->preempt[0] = better->preempt[1] = true;
	cut(w, 3);
	start(w);
	spanned(w);
	heal(w, 3);
	world_run(w, 59 * US_PER_S);
	lose_from_us = 0;
	w->filter = lose_news_of_the_ends;
	world_run(w, 2 * US_PER_S);
	want(w, edge_forwards(&w->edges[1]) && !edge_forwards(better), "known already");
	wire_heard(w);
	want_cut(w);
	w->filter = NULL;
	spanned(w);
}

/* Two bridges of one node are joined, each has a tunnel to the same bridge elsewhere. */
static void own_bridges(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		world_add_node(w, 10);
	struct link *l = world_add_link(w, 0, 1);
	world_add_edge(w, l, 0, 0);
	world_add_edge(w, l, 1, 0);
	start(w);
	world_run(w, w->variant * 100 * US_PER_MS);
	wire_add(w, 0, 1);
	world_run(w, US_PER_S);
	spanned(w);
}

/* --- Many --- */

static void full_mesh(struct world *w)
{
	unsigned n = 3 + w->variant % 4;

	for (unsigned i = 0; i < n; i++)
		world_add_node(w, 10);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			world_add_edge(w, world_add_link(w, i, j), 0, 0)->mesh = w->variant >= 4;
	start(w);
	spanned(w);
	if (n > 3) {
		wire_add(w, 0, 2 * SIM_BRIDGES);
		world_run(w, US_PER_S);
		spanned(w);
	}
	node_crash(&w->nodes[1]);
	world_run(w, 5 * US_PER_S);
	node_start(&w->nodes[1], 11);
	spanned(w);
}

const struct directed directed_all[] = {
	{ "both ends of a ring open at once", M(MUTANT_NO_BARRIER), both_ends, 0 },
	{ "both ends of a long ring open at once", M(MUTANT_NEIGHBOURS_ONLY), both_ends_far, 0 },
	{ "a better tunnel pre-empts", M(MUTANT_PUBLISH_FIRST), pre_empted, 0 },
	{ "a restart reaches the same number", M(MUTANT_NO_INCARNATION) | M(MUTANT_OLD_SYNC),
	  same_number, 8 },
	{ "a session dies and comes back", M(MUTANT_KEEP_DEAD), comes_back, 0 },
	{ "restarts while a ring comes up", 0, restart_amid, 160 },
	{ "late news of an earlier start", 0, late_news, 30 },
	{ "a restart with the state lost", 0, lost_state, 8 },
	{ "stopped and continued", 0, stopped, 16 },
	{ "one direction is dead", 0, one_way, 8 },
	{ "a tunnel is never ready", 0, never_ready, 6 },
	{ "a wire appears later", 0, wire_later, 40 },
	{ "a wire was there first", 0, wire_first, 24 },
	{ "a wire is heard and not told yet", 0, wire_untold, 0 },
	{ "a wire while the tree changes", 0, wire_amid_change, 0 },
	{ "two bridges of one node are joined", 0, own_bridges, 16 },
	{ "full meshes, with a wire and a restart", 0, full_mesh, 8 },
};
const unsigned directed_count = ARRAY_SIZE(directed_all);

static struct world *directed_world(unsigned variant)
{
	struct params p = { .delay_us = 10 * US_PER_MS,
			    .hello_us = 500 * US_PER_MS,
			    .dead_us = 2 * US_PER_S };
	struct world *w = world_new(1 + variant, &p);

	w->steady = w->calm = true;
	w->variant = variant;
	w->foreign_bound_us = US_PER_S;
	return w;
}

bool directed_run(const struct directed *d, bool verbose, bool judge_only, bool *ret_looped)
{
	bool ok = true;

	*ret_looped = false;
	for (unsigned i = 0; i < MAX(d->variants, 1); i++) {
		struct world *w = directed_world(i);
		w->verbose = verbose;
		w->judge_only = judge_only;
		world_trace(w, "%s, variant %u", d->name, i);
		d->run(w);
		if (w->failed && !judge_only)
			printf("# %s, variant %u: %s\n", d->name, i, w->failure);
		ok &= !w->failed;
		*ret_looped |= w->looped;
		world_free(w);
	}
	return ok;
}
