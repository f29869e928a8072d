/*
 * A schedule from a seed: a network, how bad its lines are, faults for some seconds of
 * virtual time, then calm: what is cut stays cut, messages go on getting lost, and within a
 * bound everything that can be joined is.
 */
#include "tests/sim/sim.h"

#include <stdio.h>

/* After the last fault: dead times, new sessions, then rounds of messages. */
#define CONVERGE_US (14 * US_PER_S)
#define CONVERGE_DELAYS 40 /* and as many of the longest usual delays */
#define LOST_STATE_US (20 * US_PER_S)
#define PREEMPT_US (62 * US_PER_S)
#define SCRIPT_FAULT 0
#define SCRIPT_RESTART 1
#define SCRIPT_CONTINUE 2
#define SCRIPT_HEAL 3
#define SCRIPT_WIRE 4
#define SCRIPT_ADMIN 5
#define SCRIPT_START 6
#define SCRIPT_RESTORE 7

struct plan {
	uint64_t calm_us, pace_us;		    /* faults until then, about so far apart */
	unsigned mesh, preempt, two_bridges, stuck; /* per mille */
	unsigned wires;
	bool lost_state;
};

static unsigned pick(struct world *w, unsigned n)
{
	return (unsigned)prng_below(&w->rng, n);
}

static unsigned pick_segment(struct world *w, const struct plan *plan)
{
	unsigned bridge = world_chance(w, plan->two_bridges) ? pick(w, SIM_BRIDGES) : 0;

	return pick(w, w->n_nodes) * SIM_BRIDGES + bridge;
}

static struct event *later(struct world *w, uint64_t most_us, unsigned what)
{
	uint64_t in_us = 10 * US_PER_MS + world_random(w, most_us);
	struct event *e = world_push(w, w->now_us + in_us, EV_SCRIPT);

	e->value = what;
	return e;
}

/* --- The network --- */

static void add_edge(struct world *w, const struct plan *plan, struct link *l)
{
	static const uint16_t priorities[] = { 100, 100, 100, 50, 200 };
	unsigned a = world_chance(w, plan->two_bridges) ? pick(w, SIM_BRIDGES) : 0;
	unsigned b = world_chance(w, plan->two_bridges) ? pick(w, SIM_BRIDGES) : 0;

	for (unsigned i = 0; i < l->n_edges; i++) /* the configuration refuses such */
		if (l->edges[i]->bridge[0] == a && l->edges[i]->bridge[1] == b)
			return;
	struct edge *e = world_add_edge(w, l, a, b);
	e->priority = priorities[pick(w, ARRAY_SIZE(priorities))];
	e->mesh = world_chance(w, plan->mesh);
	for (unsigned i = 0; i < 2; i++) {
		e->preempt[i] = world_chance(w, plan->preempt);
		e->ends[i].never_ready = world_chance(w, plan->stuck);
	}
}

static void join(struct world *w, const struct plan *plan, unsigned a, unsigned b)
{
	if (a == b)
		return;
	struct link *l = world_add_link(w, a, b);
	do
		add_edge(w, plan, l);
	while (world_chance(w, plan->two_bridges / 2) && l->n_edges < ARRAY_SIZE(l->edges));
}

static unsigned pick_size(struct world *w)
{
	unsigned r = pick(w, 100);

	if (r < 10)
		return 2;
	if (r < 40)
		return 3;
	if (r < 65)
		return 4;
	if (r < 82)
		return 5;
	return r < 92 ? 6 : 7 + pick(w, 6);
}

static void build(struct world *w, const struct plan *plan)
{
	unsigned n = pick_size(w), shape = pick(w, 6);

	for (unsigned i = 0; i < n; i++)
		world_add_node(w, 100 + pick(w, 100));
	for (unsigned i = 0; i < n; i++) {
		if (shape <= 1 && (i || n > 2)) /* ring, ring with chords */
			join(w, plan, i, (i + 1) % n);
		else if (shape == 2 && n <= 6) /* full mesh */
			for (unsigned j = 0; j < i; j++)
				join(w, plan, i, j);
		else if (i) /* random tree, and more below */
			join(w, plan, i, pick(w, i));
	}
	unsigned more = shape == 0 || (shape == 2 && n <= 6) ? 0 : 1 + pick(w, n);
	for (unsigned i = 0; i < more; i++)
		join(w, plan, pick(w, n), pick(w, n));
	if (shape == 3) /* parallel sessions */
		for (unsigned i = 0, count = w->n_links; i < count; i += 2)
			join(w, plan, w->links[i].node[0], w->links[i].node[1]);
}

static struct params pick_params(struct prng *p)
{
	static const uint64_t delays[][2] = {
		/* delay, jitter */
		{ 500, 500 }, { 1000, 10000 }, { 5000, 60000 }, { 20000, 300000 }, { 1000, 900000 },
	};
	unsigned i = (unsigned)prng_below(p, 100);
	i = i < 30 ? 0 : i < 60 ? 1 : i < 80 ? 2 : i < 93 ? 3 : 4;
	static const unsigned losses[] = { 0, 0, 20, 100, 150, 300 };
	struct params ret = {
		.loss = losses[prng_below(p, ARRAY_SIZE(losses))],
		.duplicate = prng_below(p, 3) ? 0 : 100,
		.late = prng_below(p, 3) ? 0 : 30,
		.delay_us = delays[i][0],
		.jitter_us = delays[i][1],
		.late_us = 3200 * US_PER_MS,
		.hello_us = 500 * US_PER_MS,
		.dead_us = 2 * US_PER_S,
		.tick_lag_us = prng_below(p, 2) ? 0 : 2 * US_PER_MS,
		.slow_us = prng_below(p, 3) ? 100 * US_PER_MS : 600 * US_PER_MS,
	};
	return ret;
}

/* --- Faults --- */

static void fault_link(struct world *w)
{
	struct link *l = &w->links[pick(w, w->n_links)];
	unsigned how = pick(w, 8);

	if (how == 0) {
		link_close(&l->ends[pick(w, 2)], world_random(w, US_PER_S));
	} else if (l->ends[0].cut || l->ends[1].cut) {
		link_cut(l, false, false);
	} else {
		link_cut(l, how != 1, how != 2);
		if (world_chance(w, 700))
			later(w, 5 * US_PER_S, SCRIPT_HEAL)->a = l->id;
	}
}

/* Every line between two halves, at once. */
static void fault_partition(struct world *w)
{
	unsigned at = 1 + pick(w, w->n_nodes);

	for (unsigned i = 0; i < w->n_links; i++) {
		struct link *l = &w->links[i];
		if ((l->node[0] < at) == (l->node[1] < at))
			continue;
		link_cut(l, true, true);
		later(w, 4 * US_PER_S, SCRIPT_HEAL)->a = l->id;
	}
}

static void fault_heal_all(struct world *w)
{
	for (unsigned i = 0; i < w->n_links; i++)
		if (w->links[i].ends[0].cut || w->links[i].ends[1].cut)
			link_cut(&w->links[i], false, false);
}

static void fault_node(struct world *w)
{
	struct node *n = &w->nodes[pick(w, w->n_nodes)];

	if (!n->topo)
		return;
	if (n->paused || world_chance(w, 500)) {
		if (n->paused) {
			node_continue(n);
		} else {
			node_pause(n);
			later(w, 5 * US_PER_S, SCRIPT_CONTINUE)->a = n->id;
		}
		return;
	}
	node_crash(n);
	if (world_chance(w, 900))
		later(w, world_chance(w, 500) ? 200 * US_PER_MS : 4 * US_PER_S, SCRIPT_RESTART)->a =
			n->id;
}

static void fault_edge(struct world *w)
{
	struct edge_end *ee = &w->edges[pick(w, w->n_edges)].ends[pick(w, 2)];
	const struct link *l = ee->edge->link;

	if (!node_runs(link_node(&l->ends[ee->end])))
		return;
	if (world_chance(w, 500) && ee->te && ee->ready) {
		node_edge_ready(ee, false);
		if (ee->up)
			edge_schedule_ready(ee);
		return;
	}
	edge_admin(ee, !ee->admin, world_chance(w, 400));
	if (!ee->admin && world_chance(w, 800)) {
		struct event *e = later(w, 3 * US_PER_S, SCRIPT_ADMIN);
		e->a = ee->edge->id;
		e->b = ee->end;
	}
}

static void fault_peer(struct world *w)
{
	struct link_end *le = &w->links[pick(w, w->n_links)].ends[pick(w, 2)];

	if (!node_runs(link_node(le)) || !le->adj)
		return;
	link_remove(le);
	if (world_chance(w, 800)) {
		struct event *e = later(w, 2 * US_PER_S, SCRIPT_RESTORE);
		e->a = le->link->id;
		e->b = le->end;
	}
}

static void fault_wire(struct world *w, const struct plan *plan)
{
	if (w->n_wires && world_chance(w, 500))
		wire_remove(w, pick(w, w->n_wires));
	else if (plan->wires > 0)
		wire_add(w, pick_segment(w, plan), pick_segment(w, plan));
}

static void fault(struct world *w)
{
	const struct plan *plan = w->script_arg;
	unsigned r = pick(w, 100);

	if (r < 40)
		fault_link(w);
	else if (r < 45)
		fault_partition(w);
	else if (r < 50)
		fault_heal_all(w);
	else if (r < 66)
		fault_node(w);
	else if (r < 80)
		fault_edge(w);
	else if (r < 82)
		fault_peer(w);
	else if (r < 95)
		fault_wire(w, plan);
	else if (w->nodes[r % w->n_nodes].topo && !w->nodes[r % w->n_nodes].paused)
		node_new_probe_key(&w->nodes[r % w->n_nodes]);
}

static void restart(struct node *n)
{
	struct plan *plan = n->world->script_arg;

	if (n->topo)
		return;
	if (!plan->lost_state || world_chance(n->world, 500)) {
		node_start(n, n->greatest + 1 + pick(n->world, 3));
		return;
	}
	node_start(n, 1 + pick(n->world, 90));
}

static void script(struct world *w, const struct event *e)
{
	struct plan *plan = w->script_arg;

	switch (e->value) {
	case SCRIPT_FAULT:
		if (w->now_us >= plan->calm_us)
			return;
		do /* some come together */
			fault(w);
		while (world_chance(w, 200));
		later(w, 2 * plan->pace_us, SCRIPT_FAULT);
		break;
	case SCRIPT_RESTART:
		restart(&w->nodes[e->a]);
		break;
	case SCRIPT_CONTINUE:
		if (w->nodes[e->a].paused)
			node_continue(&w->nodes[e->a]);
		break;
	case SCRIPT_HEAL:
		link_cut(&w->links[e->a], false, false);
		break;
	case SCRIPT_ADMIN:
		if (node_runs(link_node(&w->edges[e->a].link->ends[e->b])))
			edge_admin(&w->edges[e->a].ends[e->b], true, false);
		break;
	case SCRIPT_RESTORE: {
		struct link_end *le = &w->links[e->a].ends[e->b];
		if (!le->adj && node_runs(link_node(le)))
			link_restore(le);
		break;
	}
	case SCRIPT_START:
		if (!w->nodes[e->a].topo)
			node_start(&w->nodes[e->a], w->nodes[e->a].incarnation);
		break;
	default:
		break;
	}
}

/* --- One schedule --- */

static void begin(struct world *w, struct plan *plan)
{
	uint64_t apart_us = world_chance(w, 500) ? 5 * US_PER_MS : 2 * US_PER_S;

	for (unsigned i = 0; i < plan->wires && world_chance(w, 500); i++)
		wire_add(w, pick_segment(w, plan), pick_segment(w, plan));
	for (unsigned i = 0; i < w->n_nodes; i++)
		later(w, apart_us, SCRIPT_START)->a = i;
	w->script = script;
	w->script_arg = plan;
	plan->calm_us = w->now_us + US_PER_S * (3 + world_random(w, 12));
	plan->pace_us = 50 * US_PER_MS + world_random(w, 1500 * US_PER_MS);
	later(w, 4 * plan->pace_us, SCRIPT_FAULT);
}

static uint64_t bound_us(const struct world *w, const struct plan *plan)
{
	const struct params *p = &w->params;
	uint64_t longest_us = p->delay_us + p->jitter_us + (p->late ? p->late_us / 10 : 0);

	return CONVERGE_US + CONVERGE_DELAYS * longest_us * (1000 + 2 * p->loss) / 1000 +
	       (plan->lost_state ? LOST_STATE_US : 0);
}

static void converge(struct world *w, const struct plan *plan)
{
	uint64_t from_us = w->now_us;

	w->calm = w->steady = true;
	world_trace(w, "--- calm");
	if (!world_run_spanned(w, bound_us(w, plan)))
		return;
	uint64_t took_us = w->now_us - from_us;
	w->stats.converged++;
	w->stats.converge_worst_us = took_us;
	w->stats.converge_worst_seed = w->seed;
	w->stats.converge_hist[MIN(took_us / (250 * US_PER_MS), 63)]++;
	/* Sessions that were still on their way may change the tree, and what pre-empts, later. */
	world_run(w, plan->preempt && world_chance(w, 300) ? PREEMPT_US : 3 * US_PER_S);
	world_run_spanned(w, bound_us(w, plan));
	world_run(w, 2 * US_PER_S);
	/* Then it stays so. */
	if (world_run_spanned(w, plan->preempt || w->n_wires ? bound_us(w, plan) : 0))
		world_trace(w, "spanned after %.3f s", (double)took_us / 1e6);
}

/* Nobody has anything left to tell. */
static void agree(struct world *w, const struct plan *plan)
{
	uint64_t until_us = w->now_us + bound_us(w, plan);
	char why[160];

	while (!w->failed && !oracle_agreed(w, why, sizeof(why))) {
		if (w->now_us >= until_us)
			world_fail(w, "%s", why);
		world_run(w, 200 * US_PER_MS);
	}
}

static struct plan pick_plan(struct prng *p)
{
	static const unsigned mesh[] = { 0, 0, 0, 300, 700, 1000 };
	struct plan ret = {
		.mesh = mesh[prng_below(p, ARRAY_SIZE(mesh))],
		.preempt = prng_below(p, 5) ? 0 : 500,
		.two_bridges = prng_below(p, 2) ? 0 : 400,
		.wires = prng_below(p, 2) ? 0 : 1 + (unsigned)prng_below(p, 3),
		.lost_state = prng_below(p, 8) == 0,
		.stuck = prng_below(p, 8) ? 0 : 100,
	};
	return ret;
}

void random_run(uint64_t seed, bool verbose, bool judge_only, struct stats *ret)
{
	struct prng p = { seed ^ UINT64_C(0x6c32742d73696d00) };
	struct plan plan = pick_plan(&p);
	struct params params = pick_params(&p);
	struct world *w = world_new(seed, &params);

	w->verbose = verbose;
	w->judge_only = judge_only;
	w->foreign_bound_us = bound_us(w, &plan);
	world_trace(w,
		    "loss %u/1000, delay %.3f + %.3f s, mesh %u, preempt %u, "
		    "wires %u, stuck %u",
		    params.loss, (double)params.delay_us / 1e6, (double)params.jitter_us / 1e6,
		    plan.mesh, plan.preempt, plan.wires, plan.stuck);
	build(w, &plan);
	begin(w, &plan);
	world_run(w, plan.calm_us - w->now_us);
	/* Restarts and heals that were planned come, nothing else. */
	if (!w->failed)
		world_run(w, 5 * US_PER_S + 20 * US_PER_MS);
	if (!w->failed && !judge_only) {
		converge(w, &plan);
		agree(w, &plan);
	}
	w->stats.schedules = 1;
	w->stats.failures = w->failed;
	w->stats.virtual_us = w->now_us - SIM_BEGIN_US;
	if (w->failed && (!judge_only || verbose)) {
		printf("# seed %lu: %s\n", (unsigned long)seed, w->failure);
		fflush(stdout);
	}
	*ret = w->stats;
	world_free(w);
}
