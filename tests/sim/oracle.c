/*
 * The judge: a frame is flooded from each segment over what forwards now, as bridges do it,
 * and copies are counted. An edge forwards when both its gates are open and neither end's
 * lease is over, whatever the sessions are called by now, and also while its daemons are
 * stopped. What comes in by a mesh port does not go out by another one. More than one
 * copy is a loop.
 *
 * With the tunnels alone there must never be one. A path that is not ours counts once one of
 * its ends has been told of it; a loop through such a one may last until the others know.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>

struct port {
	unsigned to, id; /* id: equal at both ends */
	bool isolated;
};

struct ports {
	struct port port[SIM_SEGMENTS][48];
	unsigned n[SIM_SEGMENTS];
	unsigned segments, ids;
};

static unsigned segment_of(const struct edge *e, unsigned end)
{
	return e->link->node[end] * SIM_BRIDGES + e->bridge[end];
}

bool edge_forwards(const struct edge *e)
{
	const struct link *l = e->link;

	return e->ends[0].gate && e->ends[1].gate && l->ends[0].lease_us > l->world->now_us &&
	       l->ends[1].lease_us > l->world->now_us;
}

static void join(struct ports *p, unsigned a, unsigned b, bool isolated)
{
	assert(p->n[a] < ARRAY_SIZE(p->port[0]) && p->n[b] < ARRAY_SIZE(p->port[0]));
	p->port[a][p->n[a]++] = (struct port){ b, p->ids, isolated };
	p->port[b][p->n[b]++] = (struct port){ a, p->ids, isolated };
	p->ids++;
}

static void ports_init(struct ports *p, const struct world *w)
{
	p->segments = w->n_nodes * SIM_BRIDGES;
	p->ids = 0;
	memset(p->n, 0, p->segments * sizeof(p->n[0]));
}

static void ports_tunnels(struct ports *p, struct world *w)
{
	ports_init(p, w);
	for (unsigned i = 0; i < w->n_edges; i++) {
		struct edge *e = &w->edges[i];
		e->forwarding = edge_forwards(e);
		if (e->forwarding)
			join(p, segment_of(e, 0), segment_of(e, 1), e->mesh);
	}
}

/* Counts copies of a frame sent on segment `from`; stops at a second one and gives where. */
static int walk(const struct ports *p, unsigned from, uint8_t copies[SIM_SEGMENTS])
{
	struct {
		unsigned at, id;
		bool isolated;
	} todo[SIM_SEGMENTS * 2];
	unsigned n = 0;

	memset(copies, 0, SIM_SEGMENTS);
	copies[from] = 1;
	todo[n].at = from;
	todo[n].id = UINT32_MAX;
	todo[n++].isolated = false;
	while (n) {
		n--;
		unsigned at = todo[n].at, id = todo[n].id;
		bool isolated = todo[n].isolated;
		for (unsigned i = 0; i < p->n[at]; i++) {
			const struct port *out = &p->port[at][i];
			if (out->id == id || (isolated && out->isolated))
				continue;
			if (++copies[out->to] > 1)
				return (int)out->to;
			todo[n].at = out->to;
			todo[n].id = out->id;
			todo[n++].isolated = out->isolated;
		}
	}
	return -1;
}

/* The segment where a second copy arrives, or negative. */
static int walk_all(const struct ports *p, unsigned *ret_from)
{
	uint8_t copies[SIM_SEGMENTS];

	for (unsigned i = 0; i < p->segments; i++) {
		int at = p->n[i] ? walk(p, i, copies) : -1;
		*ret_from = i;
		if (at >= 0)
			return at;
	}
	return -1;
}

static unsigned find(unsigned *set, unsigned x)
{
	while (set[x] != x)
		x = set[x] = set[set[x]];
	return x;
}

static void sets_init(unsigned *set)
{
	for (unsigned i = 0; i < SIM_SEGMENTS; i++)
		set[i] = i;
}

bool oracle_joined(struct world *w, unsigned a, unsigned b)
{
	unsigned set[SIM_SEGMENTS];

	sets_init(set);
	for (unsigned i = 0; i < w->n_edges; i++)
		if (edge_forwards(&w->edges[i]) && !w->edges[i].mesh)
			set[find(set, segment_of(&w->edges[i], 0))] =
				find(set, segment_of(&w->edges[i], 1));
	return find(set, a) == find(set, b);
}

/* Nodes that live tunnels join. Of others nothing can be known: they tell us nothing. */
static void overlays(const struct world *w, unsigned set[SIM_SEGMENTS])
{
	sets_init(set);
	for (unsigned i = 0; i < w->n_edges; i++) {
		const struct edge *e = &w->edges[i];
		const struct link *l = e->link;
		if (e->ends[0].up && e->ends[0].ready && e->ends[1].up && e->ends[1].ready &&
		    l->ends[0].gen == l->ends[1].gen)
			set[find(set, l->node[0])] = find(set, l->node[1]);
	}
}

/* Adds what is not ours, is there, and was told by a running end; a forest is enough. */
static bool ports_foreign(struct ports *p, struct world *w)
{
	unsigned set[SIM_SEGMENTS], group[SIM_SEGMENTS], overlay[SIM_SEGMENTS], n = p->segments;
	unsigned touched[SIM_SEGMENTS];
	bool any = false;

	sets_init(set);
	overlays(w, overlay);
	foreign_groups(w, group);
	memcpy(touched, p->n, sizeof(touched));
	for (unsigned a = 0; a < n; a++) {
		if (!touched[a] || !node_runs(&w->nodes[segment_node(a)]))
			continue;
		for (unsigned b = 0; b < n; b++) {
			if (!touched[b] || !w->heard[a][b] || group[a] != group[b] ||
			    find(set, a) == find(set, b) ||
			    find(overlay, segment_node(a)) != find(overlay, segment_node(b)))
				continue;
			set[find(set, a)] = find(set, b);
			join(p, a, b, false);
			any = true;
		}
	}
	return any;
}

/* It could forward if everybody wanted. */
static bool edge_possible(const struct edge *e)
{
	const struct link *l = e->link;

	for (unsigned i = 0; i < 2; i++) {
		const struct edge_end *ee = &e->ends[i];
		if (l->ends[i].cut || l->ends[i].held || !node_runs(link_node(&l->ends[i])) ||
		    !l->ends[i].adj || !ee->te || !ee->admin || ee->never_ready)
			return false;
	}
	return true;
}

/* Where everything stands, into the trace. */
void oracle_trace(struct world *w)
{
	for (unsigned i = 0; w->verbose && i < w->n_wires; i++)
		if (w->wires[i].present)
			world_trace(w, "  wire n%u.br%u - n%u.br%u", w->wires[i].a / SIM_BRIDGES,
				    w->wires[i].a % SIM_BRIDGES, w->wires[i].b / SIM_BRIDGES,
				    w->wires[i].b % SIM_BRIDGES);
	for (unsigned i = 0; w->verbose && i < w->n_edges; i++) {
		const struct edge *e = &w->edges[i];
		world_trace(w, "  e%u n%u.br%u - n%u.br%u prio %u%s%s: gates %d %d%s", e->id,
			    e->link->node[0], e->bridge[0], e->link->node[1], e->bridge[1],
			    e->priority, e->mesh ? " mesh" : "",
			    e->preempt[0] && e->preempt[1] ? " preempt" : "", e->ends[0].gate,
			    e->ends[1].gate,
			    edge_forwards(e) ? ", forwards" :
			    edge_possible(e) ? "" :
					       ", cannot");
	}
}

static void look_foreign(struct world *w, struct ports *p)
{
	unsigned from;
	int at = ports_foreign(p, w) ? walk_all(p, &from) : -1;

	if (at >= 0 && !w->foreign_loop_us) {
		w->foreign_loop_us = w->now_us;
		world_trace(w, "a loop with a foreign path, from n%u.br%u", from / SIM_BRIDGES,
			    from % SIM_BRIDGES);
		oracle_trace(w);
	} else if (at < 0 && w->foreign_loop_us) {
		uint64_t took_us = w->now_us - w->foreign_loop_us;
		world_trace(w, "the loop with a foreign path is cut");
		w->stats.foreign_worst_us = MAX(w->stats.foreign_worst_us, took_us);
		w->foreign_loop_us = 0;
	}
}

void oracle_look(struct world *w)
{
	static struct ports p; /* large; nobody else is here */
	unsigned from;

	if (!w->more && !(w->less && w->foreign_loop_us)) {
		if (w->foreign_loop_us && w->now_us - w->foreign_loop_us > w->foreign_bound_us &&
		    !w->judge_only) {
			w->more = true; /* leases may have ended meanwhile */
		} else {
			return;
		}
	}
	w->more = w->less = false;
	ports_tunnels(&p, w);
	int at = walk_all(&p, &from);
	if (at >= 0) {
		w->looped = true;
		w->stats.loops++;
		oracle_trace(w);
		world_fail(w, "LOOP: a frame from n%u.br%u comes to n%u.br%u twice",
			   from / SIM_BRIDGES, from % SIM_BRIDGES, (unsigned)at / SIM_BRIDGES,
			   (unsigned)at % SIM_BRIDGES);
		return;
	}
	if (w->n_wires == 0)
		return;
	look_foreign(w, &p);
	if (w->foreign_loop_us && w->now_us - w->foreign_loop_us > w->foreign_bound_us &&
	    !w->judge_only)
		world_fail(w, "a loop with a foreign path for more than %.1f s",
			   (double)w->foreign_bound_us / 1e6);
}

/* --- What should be reached --- */

static int segment_order(const struct world *w, unsigned a, unsigned b)
{
	int r = memcmp(w->nodes[segment_node(a)].key, w->nodes[segment_node(b)].key,
		       TOPO_NODE_ID_BYTES);

	return r ? r : (int)a - (int)b;
}

struct wanted {
	unsigned set[SIM_SEGMENTS];	       /* joined by wires and tunnels that are not mesh */
	unsigned leader[SIM_SEGMENTS];	       /* by root; SIM_SEGMENTS: none */
	bool next[SIM_SEGMENTS][SIM_SEGMENTS]; /* roots joined by mesh edges */
};

static void wanted_leaders(struct wanted *t, const struct world *w)
{
	unsigned mesh[SIM_SEGMENTS] = { 0 };

	for (unsigned i = 0; i < w->n_edges; i++) {
		const struct edge *e = &w->edges[i];
		if (e->mesh && edge_possible(e)) {
			mesh[segment_of(e, 0)]++;
			mesh[segment_of(e, 1)]++;
		}
	}
	for (unsigned i = 0; i < SIM_SEGMENTS; i++)
		t->leader[i] = SIM_SEGMENTS;
	for (unsigned i = 0; i < w->n_nodes * SIM_BRIDGES; i++) {
		unsigned *leader = &t->leader[find(t->set, i)];
		if (mesh[i] && (*leader == SIM_SEGMENTS || mesh[i] > mesh[*leader] ||
				(mesh[i] == mesh[*leader] && segment_order(w, i, *leader) < 0)))
			*leader = i;
	}
}

static void wanted_init(struct wanted *t, struct world *w)
{
	memset(t, 0, sizeof(*t));
	foreign_groups(w, t->set);
	/* From group numbers to sets: each group's number is a member of it. */
	for (unsigned i = w->n_nodes * SIM_BRIDGES; i < SIM_SEGMENTS; i++)
		t->set[i] = i;
	for (unsigned i = 0; i < w->n_edges; i++) {
		const struct edge *e = &w->edges[i];
		if (!e->mesh && edge_possible(e))
			t->set[find(t->set, segment_of(e, 0))] = find(t->set, segment_of(e, 1));
	}
	wanted_leaders(t, w);
	for (unsigned i = 0; i < w->n_edges; i++) {
		const struct edge *e = &w->edges[i];
		unsigned a = segment_of(e, 0), b = segment_of(e, 1);
		unsigned ra = find(t->set, a), rb = find(t->set, b);
		if (e->mesh && edge_possible(e) && ra != rb && t->leader[ra] == a &&
		    t->leader[rb] == b)
			t->next[ra][rb] = t->next[rb][ra] = true;
	}
}

static void ports_wires(struct ports *p, const struct world *w)
{
	for (unsigned i = 0; i < w->n_wires; i++)
		if (w->wires[i].present)
			join(p, w->wires[i].a, w->wires[i].b, false);
}

bool oracle_spanned(struct world *w, char *ret, size_t size)
{
	static struct ports p;
	static struct wanted t;
	uint8_t copies[SIM_SEGMENTS];
	unsigned n = w->n_nodes * SIM_BRIDGES, from;

	wanted_init(&t, w);
	ports_tunnels(&p, w);
	ports_wires(&p, w);
	if (!w->foreign_loop_us && walk_all(&p, &from) >= 0) {
		w->stats.overlays++; /* two, joined twice, that cannot tell each other */
		return true;
	}
	for (unsigned a = 0; a < n; a++) {
		walk(&p, a, copies);
		unsigned ra = find(t.set, a);
		for (unsigned b = 0; b < n; b++) {
			unsigned rb = find(t.set, b);
			unsigned want = ra == rb || t.next[ra][rb];
			/* Those whom only a wire joins elect their leaders apart. */
			if (copies[b] == want || (!want && copies[b] == 1 && w->n_wires))
				continue;
			snprintf(ret, size, "of a frame from n%u.br%u, n%u.br%u gets %u",
				 a / SIM_BRIDGES, a % SIM_BRIDGES, b / SIM_BRIDGES, b % SIM_BRIDGES,
				 copies[b]);
			return false;
		}
	}
	return true;
}

/* --- What nodes say when all is quiet --- */

static void sessions_join(struct world *w, unsigned set[SIM_SEGMENTS])
{
	sets_init(set);
	for (unsigned i = 0; i < w->n_links; i++) {
		const struct link *l = &w->links[i];
		if (l->ends[0].up && l->ends[1].up && l->ends[0].gen == l->ends[1].gen)
			set[find(set, l->node[0])] = find(set, l->node[1]);
	}
}

static bool knows_keys(struct world *w, const unsigned set[SIM_SEGMENTS], struct node *n)
{
	const uint8_t(*keys)[TOPO_KEY_BYTES];

	for (unsigned i = 0; i < w->n_nodes; i++) {
		const struct node *x = &w->nodes[i];
		if (!node_runs(x) || set[x->id] != set[n->id])
			continue;
		unsigned count = topo_probe_keys(n->topo, x->key, &keys);
		if (count == 0 || count > TOPO_KEYS ||
		    memcmp(keys[0], x->probe_key, TOPO_KEY_BYTES) != 0)
			return false;
	}
	return true;
}

bool oracle_agreed(struct world *w, char *ret, size_t size)
{
	unsigned set[SIM_SEGMENTS], flat[SIM_SEGMENTS];

	sessions_join(w, set);
	for (unsigned i = 0; i < SIM_SEGMENTS; i++)
		flat[i] = find(set, i);
	for (unsigned i = 0; i < w->n_nodes; i++) {
		struct node *n = &w->nodes[i];
		struct topo_summary sum;
		if (!node_runs(n))
			continue;
		topo_get_summary(n->topo, &sum);
		bool keys = knows_keys(w, flat, n);
		if (!sum.disagreeing && !sum.overflow && !sum.twin && keys)
			continue;
		snprintf(ret, size, "%s: %u of %u members disagree%s%s%s", n->name, sum.disagreeing,
			 sum.members, sum.overflow ? ", overflow" : "", sum.twin ? ", twin" : "",
			 keys ? "" : ", probe keys are not known");
		return false;
	}
	return true;
}
