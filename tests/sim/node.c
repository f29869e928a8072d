/*
 * Nodes as processes, and every call of the topology module with what must hold around
 * it: gates close before others open, a closed gate has its reason, messages are short
 * enough, deadlines lie ahead.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

static const char *const bridges[SIM_BRIDGES] = { "br0", "br1" };

/* More than that in a second, without any event, is a busy loop. */
#define IDLE_TICKS 300

bool node_runs(const struct node *n)
{
	return n->topo && !n->paused;
}

static struct node *end_node(const struct edge_end *ee)
{
	struct link *l = ee->edge->link;

	return &l->world->nodes[l->node[ee->end]];
}

/* --- What the module asks for --- */

static void op_gate(void *arg, struct topo_edge *te, bool open, enum tunnel_reason reason,
		    const char *detail)
{
	struct node *n = arg;
	struct world *w = n->world;
	struct edge_end *ee = topo_edge_user(te);

	if (!n->in_call)
		world_fail(w, "%s: a gate decision outside of any call", n->name);
	if (open && !ee->gate) {
		n->opened = true;
		w->stats.openings++;
	} else if (!open && ee->gate && n->opened && !w->judge_only) {
		world_fail(w, "%s e%u: closed after another was opened", n->name, ee->edge->id);
	}
	if (open != ee->gate || reason != ee->reason)
		world_trace(w, "%s e%u: %s %s %s", n->name, ee->edge->id, open ? "OPEN" : "closed",
			    tunnel_reason_name(reason), detail ? detail : "");
	*(open ? &w->more : &w->less) |= open != ee->gate;
	ee->gate = open;
	ee->reason = reason;
	snprintf(ee->detail, sizeof(ee->detail), "%s", detail ? detail : "");
}

static int op_send(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	struct node *n = arg;

	if (!n->in_call)
		world_fail(n->world, "%s: a message outside of any call", n->name);
	if (len == 0 || len > TOPO_MSG_MAX)
		world_fail(n->world, "%s: a message of %zu bytes", n->name, len);
	n->messages++;
	n->bytes += len;
	return link_send(topo_adj_user(a), msg, len);
}

static void op_alarm(void *arg, const char *text)
{
	struct node *n = arg;

	world_trace(n->world, "%s: ALARM %s", n->name, text);
}

static const struct topo_ops ops = { .gate = op_gate, .send = op_send, .alarm = op_alarm };

/* --- Around each call --- */

void node_plan_tick(struct node *n, uint64_t due_us)
{
	struct world *w = n->world;

	n->due_us = due_us;
	if (due_us >= n->tick_us || due_us == NEVER)
		return;
	struct event *e = world_push(w, due_us, EV_TICK);
	e->node = n->id;
	e->instance = n->instance;
	n->tick_us = e->at_us;
}

static void begin(struct node *n)
{
	assert(!n->in_call && n->topo);
	n->in_call = true;
	n->opened = false;
}

static void check_edges(struct node *n)
{
	struct world *w = n->world;

	for (unsigned i = 0; i < w->n_edges; i++) {
		struct edge *e = &w->edges[i];
		for (unsigned k = 0; k < 2; k++) {
			struct edge_end *ee = &e->ends[k];
			if (e->link->node[k] != n->id || !ee->te)
				continue;
			if (topo_edge_open(ee->te) != ee->gate)
				world_fail(w, "%s e%u: the gate is not as told", n->name, e->id);
			if (ee->gate && !(ee->up && ee->ready))
				world_fail(w, "%s e%u: open, and not %s", n->name, e->id,
					   ee->up ? "ready" : "up");
			if (ee->up && ee->ready && !ee->gate &&
			    (!ee->detail[0] || ee->reason == REASON_NONE))
				world_fail(w, "%s e%u: closed without a reason", n->name, e->id);
		}
	}
}

static void end(struct node *n)
{
	n->in_call = false;
	if (!n->world->judge_only)
		check_edges(n);
}

/* The tick that is due after every call; the daemon takes several inputs before it. */
static void end_due(struct node *n)
{
	end(n);
	n->idle_ticks = 0;
	node_plan_tick(n, n->world->now_us + world_random(n->world, n->world->params.tick_lag_us));
}

void node_tick(struct node *n)
{
	struct world *w = n->world;

	begin(n);
	uint64_t due_us = topo_tick(n->topo, w->now_us);
	end(n);
	if (due_us <= w->now_us)
		world_fail(w, "%s: a deadline that is over", n->name);
	if (n->idle_ticks++ == 0)
		n->idle_us = w->now_us;
	if (n->idle_ticks > IDLE_TICKS && w->now_us - n->idle_us < US_PER_S)
		world_fail(w, "%s: %u ticks within a second, and nothing happens", n->name,
			   n->idle_ticks);
	if (due_us != NEVER)
		due_us += world_random(w, w->params.tick_lag_us);
	node_plan_tick(n, due_us);
}

/* --- Calls --- */

void node_new_probe_key(struct node *n)
{
	prng_fill(&n->world->rng, n->probe_key, sizeof(n->probe_key));
	begin(n);
	topo_set_probe_key(n->topo, n->probe_key, n->world->now_us);
	end_due(n);
}

void node_adj_up(struct link_end *le)
{
	struct node *n = link_node(le);
	struct world *w = n->world;
	uint32_t rtt_us = world_chance(w, 300) ? 0 : (uint32_t)(2 * w->params.delay_us);

	world_trace(w, "%s L%u: session up, generation %08x", n->name, le->link->id,
		    (unsigned)le->gen);
	begin(n);
	topo_adj_up(le->adj, link_node(link_far(le))->key, le->gen, rtt_us);
	end_due(n);
}

void node_adj_down(struct link_end *le)
{
	struct node *n = link_node(le);

	world_trace(n->world, "%s L%u: session down", n->name, le->link->id);
	begin(n);
	topo_adj_down(le->adj);
	end_due(n);
}

void node_adj_input(struct link_end *le, const uint8_t *msg, size_t len)
{
	struct node *n = link_node(le);

	begin(n);
	int r = topo_adj_input(le->adj, msg, len, n->world->now_us);
	if (r < 0)
		world_fail(n->world, "%s L%u: refuses a message: %d", n->name, le->link->id, r);
	end_due(n);
}

void node_adj_add(struct link_end *le)
{
	struct node *n = link_node(le);

	begin(n);
	le->adj = topo_adj_add(n->topo, le);
	assert(le->adj);
	end_due(n);
}

void node_adj_remove(struct link_end *le)
{
	struct node *n = link_node(le);

	world_trace(n->world, "%s L%u: removed", n->name, le->link->id);
	begin(n);
	topo_adj_remove(le->adj);
	le->adj = NULL;
	end_due(n);
}

void node_edge_add(struct edge_end *ee)
{
	struct node *n = end_node(ee);
	char name[16];

	snprintf(name, sizeof(name), "e%u", ee->edge->id);
	begin(n);
	ee->te = topo_edge_add(n->topo, name, ee);
	assert(ee->te);
	ee->up = ee->ready = ee->gate = false;
	ee->reason = REASON_NONE;
	ee->detail[0] = 0;
	end_due(n);
}

void node_edge_remove(struct edge_end *ee)
{
	struct node *n = end_node(ee);

	world_trace(n->world, "%s e%u: removed", n->name, ee->edge->id);
	begin(n);
	topo_edge_remove(ee->te, n->world->now_us);
	ee->te = NULL;
	ee->up = ee->ready = ee->gate = false;
	n->world->less = true;
	end_due(n);
}

void node_edge_up(struct edge_end *ee)
{
	struct node *n = end_node(ee);
	struct edge *e = ee->edge;
	const struct link_end *le = &e->link->ends[ee->end];
	struct topo_ends ends = { .priority = e->priority,
				  .generation = le->gen,
				  .mesh = e->mesh,
				  .preempt = e->preempt[ee->end] };

	snprintf(ends.local_bridge, sizeof(ends.local_bridge), "%s", bridges[e->bridge[ee->end]]);
	snprintf(ends.far.bridge, sizeof(ends.far.bridge), "%s", bridges[e->bridge[!ee->end]]);
	memcpy(ends.far.node, link_node(link_far(le))->key, TOPO_NODE_ID_BYTES);
	world_trace(n->world, "%s e%u: up, generation %08x", n->name, e->id, (unsigned)le->gen);
	begin(n);
	ee->up = true;
	topo_edge_up(ee->te, &ends, n->world->now_us);
	end_due(n);
}

void node_edge_down(struct edge_end *ee)
{
	struct node *n = end_node(ee);

	world_trace(n->world, "%s e%u: down", n->name, ee->edge->id);
	begin(n);
	ee->up = false;
	topo_edge_down(ee->te, n->world->now_us);
	end_due(n);
}

void node_edge_ready(struct edge_end *ee, bool ready)
{
	struct node *n = end_node(ee);

	world_trace(n->world, "%s e%u: %sready", n->name, ee->edge->id, ready ? "" : "not ");
	begin(n);
	ee->ready = ready;
	topo_edge_ready(ee->te, ready, n->world->now_us);
	end_due(n);
}

void node_set_foreign(struct node *n, unsigned bridge)
{
	struct world *w = n->world;
	unsigned s = n->id * SIM_BRIDGES + bridge, count = 0;
	struct topo_segment segs[SIM_SEGMENTS];

	memset(segs, 0, sizeof(segs));
	for (unsigned i = 0; i < w->n_nodes * SIM_BRIDGES; i++) {
		if (!w->heard[s][i])
			continue;
		memcpy(segs[count].node, w->nodes[segment_node(i)].key, TOPO_NODE_ID_BYTES);
		memcpy(segs[count].bridge, bridges[i % SIM_BRIDGES], sizeof("br0"));
		count++;
	}
	begin(n);
	topo_set_foreign(n->topo, bridges[bridge], segs, count, w->now_us);
	end_due(n);
}

/* --- Processes --- */

void node_start(struct node *n, uint64_t incarnation)
{
	struct world *w = n->world;
	struct topo_params p = { .incarnation = incarnation };

	assert(!n->topo);
	memcpy(p.node_id, n->key, sizeof(p.node_id));
	snprintf(p.name, sizeof(p.name), "%s", n->name);
	world_trace(w, "%s: starts, incarnation %lu", n->name, (unsigned long)incarnation);
	n->instance++;
	n->incarnation = incarnation;
	n->greatest = MAX(n->greatest, incarnation);
	n->paused = false;
	n->due_us = n->tick_us = NEVER;
	n->topo = topo_new(&p, &ops, n);
	assert(n->topo);
	for (unsigned i = 0; i < w->n_links; i++) {
		struct link *l = &w->links[i];
		for (unsigned k = 0; k < 2; k++) {
			if (l->node[k] != n->id)
				continue;
			node_adj_add(&l->ends[k]);
			for (unsigned j = 0; j < l->n_edges; j++)
				node_edge_add(&l->edges[j]->ends[k]);
			link_consider(l);
		}
	}
	node_new_probe_key(n);
	foreign_update(w);
}

void node_crash(struct node *n)
{
	struct world *w = n->world;

	world_trace(w, "%s: crashes", n->name);
	topo_free(n->topo);
	n->topo = NULL;
	n->instance++; /* what is on its way to it is lost */
	n->paused = false;
	for (unsigned i = 0; i < n->n_queue; i++) {
		if (n->queue[i].type == EV_UP)
			w->links[n->queue[i].a].ups--;
		free(n->queue[i].data);
	}
	n->n_queue = 0;
	for (unsigned i = 0; i < w->n_links; i++)
		for (unsigned k = 0; k < 2; k++)
			if (w->links[i].node[k] == n->id)
				link_forget(&w->links[i].ends[k]);
	for (unsigned s = n->id * SIM_BRIDGES; s < (n->id + 1) * SIM_BRIDGES; s++)
		memset(w->heard[s], 0, sizeof(w->heard[s])),
			memset(w->wanted[s], 0, sizeof(w->wanted[s]));
	w->less = true;
	foreign_update(w);
}

void node_pause(struct node *n)
{
	world_trace(n->world, "%s: paused", n->name);
	n->paused = true;
	foreign_update(n->world);
}

/* What waited comes now, in its order; timers before or after it. */
void node_continue(struct node *n)
{
	struct world *w = n->world;

	world_trace(w, "%s: continues", n->name);
	n->paused = false;
	n->tick_us = NEVER;
	if (world_chance(w, 500))
		node_tick(n);
	else
		node_plan_tick(n, w->now_us + 1);
	for (unsigned i = 0; i < n->n_queue; i++) {
		if (n->queue[i].type == EV_TICK)
			continue;
		struct event *e = world_push(w, w->now_us, n->queue[i].type);
		struct event copy = n->queue[i];
		copy.at_us = e->at_us;
		copy.order = e->order;
		*e = copy;
	}
	n->n_queue = 0;
	for (unsigned i = 0; i < w->n_links; i++)
		link_consider(&w->links[i]);
	foreign_update(w);
}
