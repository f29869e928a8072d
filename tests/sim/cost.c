/*
 * What convergence costs: all nodes start at once, on good lines, until everything is
 * spanned and nobody has anything left to say to anybody. And figures of many runs.
 */
#include "tests/sim/sim.h"

#include <stdio.h>

#define SETTLE_US (5 * US_PER_S)

static void shape_mesh(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			world_add_edge(w, world_add_link(w, i, j), 0, 0);
}

static void shape_ring(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		world_add_edge(w, world_add_link(w, i, (i + 1) % n), 0, 0);
}

static void shape_star(struct world *w, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		world_add_edge(w, world_add_link(w, 0, i), 0, 0);
}

static void cost_of(const char *name, unsigned n, void (*shape)(struct world *, unsigned))
{
	struct params p = { .delay_us = 2 * US_PER_MS,
			    .jitter_us = 2 * US_PER_MS,
			    .hello_us = 500 * US_PER_MS,
			    .dead_us = 2 * US_PER_S,
			    .slow_us = 50 * US_PER_MS };
	struct world *w = world_new(n, &p);
	uint64_t most = 0;

	for (unsigned i = 0; i < n; i++)
		world_add_node(w, 1);
	shape(w, n);
	w->steady = w->calm = true;
	for (unsigned i = 0; i < n; i++)
		node_start(&w->nodes[i], 1);
	bool ok = world_run_spanned(w, 60 * US_PER_S);
	double took = (double)(w->now_us - SIM_BEGIN_US) / 1e6;
	world_run(w, SETTLE_US);
	for (unsigned i = 0; i < n; i++)
		most = MAX(most, w->nodes[i].bytes);
	printf("%-10s %2u nodes: %s after %.2f s; until quiet %lu messages, %lu bytes; "
	       "a node %lu bytes, at most %lu\n",
	       name, n, ok ? "spanned" : w->failure, took, (unsigned long)w->stats.messages,
	       (unsigned long)w->stats.bytes, (unsigned long)(w->stats.bytes / n),
	       (unsigned long)most);
	uint64_t before = w->stats.bytes;
	world_run(w, 60 * US_PER_S);
	printf("%-10s %2u nodes: %lu bytes in a quiet minute\n", name, n,
	       (unsigned long)(w->stats.bytes - before));
	world_free(w);
}

void cost_print(unsigned n_nodes)
{
	cost_of("full mesh", n_nodes, shape_mesh);
	cost_of("ring", n_nodes, shape_ring);
	cost_of("star", n_nodes, shape_star);
}

void stats_add(struct stats *sum, const struct stats *one)
{
	sum->schedules += one->schedules;
	sum->events += one->events;
	sum->virtual_us += one->virtual_us;
	sum->messages += one->messages;
	sum->bytes += one->bytes;
	sum->openings += one->openings;
	sum->loops += one->loops;
	sum->failures += one->failures;
	sum->overlays += one->overlays;
	sum->foreign_at_once += one->foreign_at_once;
	sum->foreign_later += one->foreign_later;
	sum->foreign_worst_us = MAX(sum->foreign_worst_us, one->foreign_worst_us);
	sum->converged += one->converged;
	if (one->converge_worst_us > sum->converge_worst_us) {
		sum->converge_worst_us = one->converge_worst_us;
		sum->converge_worst_seed = one->converge_worst_seed;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sum->converge_hist); i++)
		sum->converge_hist[i] += one->converge_hist[i];
}
