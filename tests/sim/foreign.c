/*
 * Wires: what joins segments and is not ours. Probes cross them and the bridges between,
 * whether or not the daemons there run, so a segment hears all others that wires join it
 * with, each after its own delay, while their daemons run; it forgets them some seconds
 * after the last probe. Some hear others that do not hear them.
 */
#include "tests/sim/sim.h"

#include <errno.h>

#define HEAR_US (600 * US_PER_MS)
#define FORGET_US (3 * US_PER_S)

unsigned segment_node(unsigned s)
{
	return s / SIM_BRIDGES;
}

void foreign_groups(const struct world *w, unsigned group[SIM_SEGMENTS])
{
	unsigned n = w->n_nodes * SIM_BRIDGES;

	for (unsigned i = 0; i < n; i++)
		group[i] = i;
	for (unsigned i = 0; i < w->n_wires; i++) {
		if (!w->wires[i].present)
			continue;
		unsigned from = group[w->wires[i].a], to = group[w->wires[i].b];
		for (unsigned j = 0; j < n; j++)
			if (group[j] == from)
				group[j] = to;
	}
}

/* Of two segments at least one hears the other. */
static bool deaf(const struct world *w, unsigned a, unsigned b)
{
	struct prng p = { w->seed + (uint64_t)MIN(a, b) * 1000 + MAX(a, b) };
	unsigned way = (unsigned)prng_below(&p, 6); /* 0, 1: only one of them hears */

	return way == (a < b);
}

void foreign_update(struct world *w)
{
	unsigned group[SIM_SEGMENTS], n = w->n_nodes * SIM_BRIDGES;

	if (w->n_wires == 0)
		return;
	foreign_groups(w, group);
	for (unsigned a = 0; a < n; a++) {
		struct node *node = &w->nodes[segment_node(a)];
		if (!node->topo)
			continue;
		for (unsigned b = 0; b < n; b++) {
			bool hears = a != b && group[a] == group[b] && !deaf(w, a, b) &&
				     node_runs(&w->nodes[segment_node(b)]);
			if (hears == w->wanted[a][b])
				continue;
			w->wanted[a][b] = hears;
			uint64_t in_us = hears ? world_random(w, HEAR_US) :
						 FORGET_US + world_random(w, HEAR_US);
			struct event *e = world_push(w, w->now_us + in_us, EV_HEAR);
			e->node = node->id;
			e->instance = node->instance;
			e->a = a;
			e->b = b;
			e->value = hears;
		}
	}
}

void foreign_event(struct world *w, const struct event *e)
{
	struct node *n = &w->nodes[segment_node(e->a)];

	if (w->wanted[e->a][e->b] != e->value || w->heard[e->a][e->b] == e->value)
		return;
	bool joined = e->value && oracle_joined(w, e->a, e->b);
	w->heard[e->a][e->b] = e->value;
	world_trace(w, "%s: n%u.br%u %s n%u.br%u%s", n->name, e->a / SIM_BRIDGES,
		    e->a % SIM_BRIDGES, e->value ? "hears" : "no longer hears", e->b / SIM_BRIDGES,
		    e->b % SIM_BRIDGES, joined ? ", and tunnels join them" : "");
	node_set_foreign(n, e->a % SIM_BRIDGES);
	w->more = true;
	if (!joined)
		return;
	if (oracle_joined(w, e->a, e->b)) {
		world_trace(w, "%s: not cut at once", n->name);
		w->stats.foreign_later++;
	} else {
		w->stats.foreign_at_once++;
	}
}

int wire_add(struct world *w, unsigned a, unsigned b)
{
	unsigned group[SIM_SEGMENTS], at = 0;

	foreign_groups(w, group);
	if (group[a] == group[b])
		return -EEXIST;
	while (at < w->n_wires && w->wires[at].present)
		at++;
	if (at == SIM_WIRES)
		return -ENOSPC;
	if (at == w->n_wires)
		w->n_wires++;
	world_trace(w, "wire n%u.br%u - n%u.br%u", a / SIM_BRIDGES, a % SIM_BRIDGES,
		    b / SIM_BRIDGES, b % SIM_BRIDGES);
	w->wires[at] = (struct wire){ true, a, b };
	foreign_update(w);
	return 0;
}

void wire_remove(struct world *w, unsigned at)
{
	struct wire *wire = &w->wires[at];

	if (!wire->present)
		return;
	world_trace(w, "wire n%u.br%u - n%u.br%u is gone", wire->a / SIM_BRIDGES,
		    wire->a % SIM_BRIDGES, wire->b / SIM_BRIDGES, wire->b % SIM_BRIDGES);
	wire->present = false;
	w->less = true;
	foreign_update(w);
}
