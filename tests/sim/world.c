/*
 * Virtual time: a heap of events by time and order of making, so that a seed gives the same
 * run each time. Events of a paused node wait in its queue; those of a process that has
 * ended are lost. After every event the flood walk looks whether anything goes round.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>

struct world *world_new(uint64_t seed, const struct params *p)
{
	struct world *w = calloc(1, sizeof(*w));

	assert(w);
	w->rng.state = seed;
	w->seed = seed;
	w->now_us = SIM_BEGIN_US;
	w->params = *p;
	w->foreign_bound_us = NEVER;
	w->links = calloc(SIM_LINKS, sizeof(*w->links));
	w->edges = calloc(SIM_EDGES, sizeof(*w->edges));
	assert(w->links && w->edges);
	return w;
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < w->n_nodes; i++) {
		struct node *n = &w->nodes[i];
		topo_free(n->topo);
		for (unsigned j = 0; j < n->n_queue; j++)
			free(n->queue[j].data);
		free(n->queue);
	}
	for (unsigned i = 0; i < w->n_heap; i++)
		free(w->heap[i].data);
	free(w->heap);
	free(w->links);
	free(w->edges);
	free(w);
}

struct node *world_add_node(struct world *w, uint64_t incarnation)
{
	assert(w->n_nodes < SIM_NODES);
	struct node *n = &w->nodes[w->n_nodes];

	n->world = w;
	n->id = w->n_nodes++;
	n->incarnation = n->greatest = incarnation;
	snprintf(n->name, sizeof(n->name), "n%u", n->id % SIM_NODES);
	prng_fill(&w->rng, n->key, sizeof(n->key));
	n->due_us = n->tick_us = NEVER;
	return n;
}

struct link *world_add_link(struct world *w, unsigned a, unsigned b)
{
	assert(w->n_links < SIM_LINKS && a != b);
	struct link *l = &w->links[w->n_links];

	l->world = w;
	l->id = w->n_links++;
	l->node[0] = a;
	l->node[1] = b;
	for (unsigned i = 0; i < 2; i++) {
		l->ends[i].link = l;
		l->ends[i].end = i;
	}
	return l;
}

struct edge *world_add_edge(struct world *w, struct link *l, unsigned bridge_a, unsigned bridge_b)
{
	assert(w->n_edges < SIM_EDGES && l->n_edges < ARRAY_SIZE(l->edges));
	struct edge *e = &w->edges[w->n_edges];

	e->link = l;
	e->id = w->n_edges++;
	e->bridge[0] = bridge_a;
	e->bridge[1] = bridge_b;
	e->priority = 100;
	for (unsigned i = 0; i < 2; i++) {
		e->ends[i].edge = e;
		e->ends[i].end = i;
		e->ends[i].admin = true;
	}
	l->edges[l->n_edges++] = e;
	return e;
}

uint64_t world_random(struct world *w, uint64_t n)
{
	return prng_below(&w->rng, n + 1);
}

bool world_chance(struct world *w, unsigned permille)
{
	return prng_below(&w->rng, 1000) < permille;
}

void world_trace(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->verbose)
		return;
	printf("# %10.6f ", (double)(w->now_us - SIM_BEGIN_US) / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	int at = snprintf(w->failure, sizeof(w->failure),
			  "at %.6f s: ", (double)(w->now_us - SIM_BEGIN_US) / 1e6);
	va_start(ap, fmt);
	vsnprintf(w->failure + at, sizeof(w->failure) - (size_t)at, fmt, ap);
	va_end(ap);
	world_trace(w, "FAILED %s", w->failure);
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

/* The caller fills what the type needs before the next push. */
struct event *world_push(struct world *w, uint64_t at_us, enum event_type type)
{
	if (w->n_heap == w->cap_heap) {
		w->cap_heap = w->cap_heap ? 2 * w->cap_heap : 256;
		w->heap = realloc(w->heap, w->cap_heap * sizeof(*w->heap));
		assert(w->heap);
	}
	struct event e = {
		.at_us = MAX(at_us, w->now_us), .order = w->order++, .type = type, .node = SIM_NODES
	};
	unsigned i = w->n_heap++;

	for (; i && before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = e;
	return &w->heap[i];
}

static struct event pop(struct world *w)
{
	struct event top = w->heap[0], last = w->heap[--w->n_heap];
	unsigned i = 0, child;

	while ((child = 2 * i + 1) < w->n_heap) {
		if (child + 1 < w->n_heap && before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!before(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return top;
}

static void wait_for_continue(struct node *n, const struct event *e)
{
	if (n->n_queue == n->cap_queue) {
		n->cap_queue = n->cap_queue ? 2 * n->cap_queue : 16;
		n->queue = realloc(n->queue, n->cap_queue * sizeof(*n->queue));
		assert(n->queue);
	}
	n->queue[n->n_queue++] = *e;
}

static void tick_event(struct node *n, const struct event *e)
{
	if (e->at_us != n->tick_us)
		return; /* an earlier one was planned since */
	n->tick_us = NEVER;
	if (n->due_us <= n->world->now_us)
		node_tick(n);
	else
		node_plan_tick(n, n->due_us);
}

static void handle(struct world *w, const struct event *e)
{
	switch (e->type) {
	case EV_TICK:
		tick_event(&w->nodes[e->node], e);
		break;
	case EV_HEAR:
		foreign_event(w, e);
		break;
	case EV_SCRIPT:
		w->script(w, e);
		break;
	default:
		link_event(w, e);
	}
}

static void step(struct world *w)
{
	struct event e = pop(w);

	assert(e.at_us >= w->now_us);
	w->now_us = e.at_us;
	if (e.node < SIM_NODES) {
		struct node *n = &w->nodes[e.node];
		if (e.instance != n->instance) {
			if (e.type == EV_UP) {
				w->links[e.a].ups--;
				link_consider(&w->links[e.a]);
			}
			free(e.data);
			return;
		}
		if (n->paused) {
			wait_for_continue(n, &e);
			return;
		}
	}
	w->stats.events++;
	handle(w, &e);
	free(e.data);
	oracle_look(w);
}

void world_run(struct world *w, uint64_t for_us)
{
	uint64_t until_us = w->now_us + for_us;

	while (!w->failed && w->n_heap && w->heap[0].at_us <= until_us)
		step(w);
	if (!w->failed)
		w->now_us = until_us;
}

bool world_run_spanned(struct world *w, uint64_t limit_us)
{
	uint64_t until_us = w->now_us + limit_us;
	char why[160];

	while (!w->failed && !oracle_spanned(w, why, sizeof(why))) {
		if (w->now_us >= until_us) {
			oracle_trace(w);
			world_fail(w, "not spanned after %.1f s: %s", (double)limit_us / 1e6, why);
			return false;
		}
		world_run(w, 50 * US_PER_MS);
	}
	return !w->failed;
}
