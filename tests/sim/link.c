/*
 * Sessions. Each end learns of a new session at its own time, sends hellos, finds out by
 * itself that the other is gone, and forwards only within its lease: a dead time from the
 * latest hello that was answered. Each session has another generation; messages of an
 * earlier one are lost. Lists of tunnels are exchanged when a session is up, reliably and
 * late.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>

struct node *link_node(const struct link_end *le)
{
	return &le->link->world->nodes[le->link->node[le->end]];
}

struct link_end *link_far(const struct link_end *le)
{
	return &le->link->ends[!le->end];
}

static struct event *push_to(struct link_end *le, uint64_t delay_us, enum event_type type)
{
	struct node *n = link_node(le);
	struct event *e = world_push(n->world, n->world->now_us + delay_us, type);

	e->node = n->id;
	e->instance = n->instance;
	e->a = le->link->id;
	e->b = le->end;
	e->gen = le->gen;
	return e;
}

/* --- Tunnels on a session --- */

static struct link_end *end_link(const struct edge_end *ee)
{
	return &ee->edge->link->ends[ee->end];
}

void edge_schedule_ready(struct edge_end *ee)
{
	struct link_end *le = end_link(ee);
	struct world *w = le->link->world;

	if (ee->never_ready)
		return;
	struct event *e =
		push_to(le, 80 * US_PER_MS + world_random(w, w->params.slow_us), EV_READY);
	e->a = ee->edge->id;
	e->value = 1;
}

static void edge_update(struct edge_end *ee)
{
	struct world *w = ee->edge->link->world;
	bool want = end_link(ee)->up && ee->te && ee->admin && ee->offered;

	if (want == ee->up)
		return;
	if (want) {
		if (ee->ready && world_chance(w, 300)) /* its port is made anew */
			node_edge_ready(ee, false);
		node_edge_up(ee);
		if (!ee->ready)
			edge_schedule_ready(ee);
		return;
	}
	bool first = world_chance(w, 250);
	if (first && ee->ready)
		node_edge_ready(ee, false);
	node_edge_down(ee);
	if (!first && ee->ready && world_chance(w, 333))
		node_edge_ready(ee, false);
}

/* What this end has, on its way to the other one: what holds on arrival counts. */
static void offer(struct edge_end *ee, uint64_t delay_us)
{
	struct link_end *le = end_link(ee), *far = link_far(le);

	if (!le->up || !link_node(far)->topo)
		return;
	struct event *e = push_to(far, delay_us, EV_OFFER);
	e->a = ee->edge->id;
	e->gen = le->gen;
}

static void offer_event(struct world *w, const struct event *e)
{
	struct edge_end *ee = &w->edges[e->a].ends[e->b];
	struct edge_end *from = &w->edges[e->a].ends[!e->b];
	struct link_end *le = end_link(ee), *far = link_far(le);

	if (!far->up || far->gen != e->gen)
		return;
	if (!le->up || le->gen != e->gen || far->cut) {
		offer(from, 100 * US_PER_MS + world_random(w, 200 * US_PER_MS));
		return;
	}
	ee->offered = from->te && from->admin;
	edge_update(ee);
}

/* `remove`: the tunnel goes from the configuration, or comes back. */
void edge_admin(struct edge_end *ee, bool on, bool remove)
{
	struct world *w = ee->edge->link->world;

	ee->admin = on;
	if (!on && remove && ee->te)
		node_edge_remove(ee);
	if (on && !ee->te)
		node_edge_add(ee);
	edge_update(ee);
	offer(ee, world_random(w, w->params.slow_us));
}

/* --- Sessions --- */

static bool passes(const struct link *l)
{
	return !l->ends[0].cut && !l->ends[1].cut;
}

static bool can_talk(const struct link_end *le)
{
	return le->adj && node_runs(link_node(le));
}

void link_consider(struct link *l)
{
	struct world *w = l->world;
	const struct link_end *a = &l->ends[0], *b = &l->ends[1];
	uint64_t hold_us = MAX(a->hold_us, b->hold_us);

	if (l->establishing || l->ups || !passes(l) || !can_talk(a) || !can_talk(b) ||
	    (a->up && b->up && a->gen == b->gen))
		return;
	l->establishing = true;
	uint64_t at_us = w->now_us + 5 * US_PER_MS + world_random(w, w->params.slow_us);
	world_push(w, MAX(at_us, hold_us), EV_ESTABLISH)->a = l->id;
}

static void establish(struct link *l)
{
	struct world *w = l->world;

	l->establishing = false;
	if (!passes(l) || !can_talk(&l->ends[0]) || !can_talk(&l->ends[1]))
		return;
	uint64_t gen = prng_next(&w->rng);
	for (unsigned i = 0; i < 2; i++) {
		struct event *e = push_to(&l->ends[i], world_random(w, w->params.slow_us), EV_UP);
		e->gen = gen;
		l->ups++;
	}
}

static void edges_down(struct link_end *le)
{
	struct link *l = le->link;

	le->up = false;
	for (unsigned i = 0; i < l->n_edges; i++) {
		l->edges[i]->ends[le->end].offered = false;
		edge_update(&l->edges[i]->ends[le->end]);
	}
}

static void go_down(struct link_end *le)
{
	bool edges_first = world_chance(le->link->world, 500);

	le->up = false;
	if (!edges_first)
		node_adj_down(le);
	edges_down(le);
	if (edges_first)
		node_adj_down(le);
}

static void go_up(struct link_end *le, uint64_t gen)
{
	struct link *l = le->link;
	struct world *w = l->world;

	l->ups--;
	if (link_far(le)->cut || !le->adj) {
		link_consider(l);
		return;
	}
	if (le->up && world_chance(w, 300))
		edges_down(le); /* the session is another one at once */
	else if (le->up)
		go_down(le);
	le->up = true;
	le->gen = gen;
	le->heard_us = w->now_us;
	if (le->lease_us <= w->now_us)
		w->more = true;
	le->lease_us = w->now_us + w->params.dead_us;
	node_adj_up(le);
	for (unsigned i = 0; i < l->n_edges; i++)
		offer(&l->edges[i]->ends[le->end], world_random(w, w->params.slow_us));
	push_to(le, world_random(w, w->params.hello_us), EV_HELLO);
	link_consider(l);
}

static bool hello_lost(struct world *w)
{
	return !w->steady && world_chance(w, w->params.loss * w->params.loss / 1000);
}

static void hello(struct link_end *le)
{
	struct link_end *far = link_far(le);
	struct world *w = le->link->world;

	if (w->now_us > le->heard_us + w->params.dead_us) {
		go_down(le);
		link_consider(le->link);
		return;
	}
	if (!le->cut && node_runs(link_node(far)) && far->up && far->gen == le->gen &&
	    !hello_lost(w)) {
		far->heard_us = w->now_us;
		if (!far->cut && !hello_lost(w)) {
			le->heard_us = w->now_us;
			if (le->lease_us <= w->now_us)
				w->more = true;
			le->lease_us = w->now_us + w->params.dead_us;
		}
	}
	uint64_t interval_us = w->params.hello_us;
	push_to(le, interval_us * 4 / 5 + world_random(w, interval_us * 2 / 5), EV_HELLO);
}

void link_cut(struct link *l, bool from_0, bool from_1)
{
	world_trace(l->world, "L%u: cut from n%u: %d, from n%u: %d", l->id, l->node[0], from_0,
		    l->node[1], from_1);
	l->ends[0].cut = from_0;
	l->ends[1].cut = from_1;
	link_consider(l);
}

/* Says goodbye, which may be lost. */
void link_close(struct link_end *le, uint64_t again_us)
{
	struct link_end *far = link_far(le);
	struct world *w = le->link->world;

	if (!le->up)
		return;
	world_trace(w, "%s L%u: closes", link_node(le)->name, le->link->id);
	if (!le->cut && link_node(far)->topo && !world_chance(w, w->params.loss)) {
		struct event *e = push_to(far, w->params.delay_us, EV_CLOSE);
		e->gen = le->gen;
	}
	le->hold_us = w->now_us + again_us;
	go_down(le);
	link_consider(le->link);
}

void link_forget(struct link_end *le)
{
	struct link *l = le->link;

	le->adj = NULL;
	le->up = false;
	le->lease_us = 0;
	for (unsigned i = 0; i < l->n_edges; i++) {
		struct edge_end *ee = &l->edges[i]->ends[le->end];
		ee->te = NULL;
		ee->offered = ee->up = ee->ready = ee->gate = false;
	}
}

/* The peer goes from the configuration of this end, with all its tunnels. */
void link_remove(struct link_end *le)
{
	struct link *l = le->link;

	if (le->up)
		go_down(le);
	for (unsigned i = 0; i < l->n_edges; i++) {
		l->edges[i]->ends[le->end].admin = false;
		if (l->edges[i]->ends[le->end].te)
			node_edge_remove(&l->edges[i]->ends[le->end]);
	}
	node_adj_remove(le);
}

void link_restore(struct link_end *le)
{
	struct link *l = le->link;

	node_adj_add(le);
	for (unsigned i = 0; i < l->n_edges; i++) {
		l->edges[i]->ends[le->end].admin = true;
		if (!l->edges[i]->ends[le->end].te)
			node_edge_add(&l->edges[i]->ends[le->end]);
	}
	link_consider(l);
}

/* --- Messages --- */

static uint64_t delay(struct world *w)
{
	const struct params *p = &w->params;
	uint64_t us = p->delay_us + world_random(w, p->jitter_us);

	return world_chance(w, p->late) ? us + world_random(w, p->late_us) : us;
}

int link_send(struct link_end *le, const uint8_t *msg, size_t len)
{
	struct world *w = le->link->world;
	struct link_end *far = link_far(le);
	unsigned copies = world_chance(w, w->params.duplicate) ? 2 : 1;

	if (!le->up) {
		world_fail(w, "%s L%u: a message without a session", link_node(le)->name,
			   le->link->id);
		return -ENOTCONN;
	}
	w->stats.messages++;
	w->stats.bytes += len;
	if (world_chance(w, 5) && !w->calm)
		return -EAGAIN;
	if (le->cut || !link_node(far)->topo || (w->filter && w->filter(w, le, msg, len)))
		return 0;
	for (; copies; copies--) {
		if (world_chance(w, w->params.loss))
			continue;
		struct event *e = push_to(far, le->held ? 1000000 * US_PER_S : delay(w), EV_MSG);
		e->gen = le->gen;
		e->value = le->held;
		e->data = malloc(len);
		assert(e->data);
		memcpy(e->data, msg, len);
		e->len = len;
	}
	return 0;
}

/* What was held comes now, in the order in which it was sent. */
void link_release(struct link_end *le)
{
	struct world *w = le->link->world;
	unsigned n = w->n_heap;
	struct event *old = malloc((n + 1) * sizeof(*old));

	assert(old);
	le->held = false;
	memcpy(old, w->heap, n * sizeof(*old));
	w->n_heap = 0;
	uint64_t order = w->order;
	for (unsigned i = 0; i < n; i++) {
		bool held = old[i].type == EV_MSG && old[i].value && old[i].a == le->link->id &&
			    old[i].b == !le->end;
		w->order = old[i].order;
		struct event *e = world_push(w, held ? w->now_us : old[i].at_us, old[i].type);
		old[i].at_us = e->at_us;
		*e = old[i];
		e->value = held ? 0 : old[i].value;
	}
	w->order = order;
	free(old);
}

static void message_event(struct link_end *le, const struct event *e)
{
	if (le->up && le->gen == e->gen && !link_far(le)->cut)
		node_adj_input(le, e->data, e->len);
}

static void ready_event(struct edge_end *ee, bool ready)
{
	if (ee->te && ee->ready != ready && (ee->up || !ready))
		node_edge_ready(ee, ready);
	if (ee->te && !ready && ee->up)
		edge_schedule_ready(ee);
}

void link_event(struct world *w, const struct event *e)
{
	if (e->type == EV_ESTABLISH) {
		establish(&w->links[e->a]);
		return;
	}
	if (e->type == EV_OFFER) {
		offer_event(w, e);
		return;
	}
	if (e->type == EV_READY) {
		ready_event(&w->edges[e->a].ends[e->b], e->value);
		return;
	}
	struct link_end *le = &w->links[e->a].ends[e->b];
	if (e->type == EV_UP)
		go_up(le, e->gen);
	else if (e->type == EV_MSG)
		message_event(le, e);
	else if (le->up && le->gen == e->gen && e->type == EV_HELLO)
		hello(le);
	else if (le->up && le->gen == e->gen && e->type == EV_CLOSE)
		go_down(le), link_consider(le->link);
}
