/*
 * Kruskal's algorithm over segments: foreign paths first, for they cannot be closed, then
 * live edges in the order of preference; an edge that would join what is joined is left out.
 * The forest is kept rooted while it grows, so that the way between two segments can be told.
 *
 * Mesh edges do not pass frames on between each other, so they make no tree: of each component
 * one segment leads, and only leaders have mesh edges, one to each other leader. A component
 * of one segment is the usual case; several are joined by foreign paths or tree edges,
 * which do pass on.
 */
#include "l2tund/topology/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

#define NO_VERTEX UINT32_MAX

struct walk {
	struct tree *t;
	const struct lsdb *db;
	const struct lsa *own;
};

static const struct lsa *walk_lsa(const struct walk *w, unsigned slot)
{
	return slot == w->db->self ? w->own : &w->db->node[slot].lsa;
}

/* memory */

static int grow(void **array, unsigned *cap, unsigned want, size_t size)
{
	if (want <= *cap)
		return 0;
	void *more = realloc(*array, want * size);
	if (!more)
		return -ENOMEM;
	*array = more;
	*cap = want;
	return 0;
}

/* Room for all that the members list. */
static int tree_reserve(struct walk *w)
{
	struct tree *t = w->t;
	unsigned edges = 1, vertices = 1, table = 64;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsa *l = walk_lsa(w, i);

		if (!w->db->node[i].member)
			continue;
		edges += l->n_edges;
		vertices += 2 * (l->n_edges + l->n_foreign);
	}
	while (table < 2 * vertices)
		table *= 2;
	if (grow((void **)&t->edges, &t->cap_edges, edges, sizeof(*t->edges)) < 0 ||
	    grow((void **)&t->vertices, &t->cap_vertices, vertices, sizeof(*t->vertices)) < 0)
		return -ENOMEM;
	if (table > t->n_table) {
		unsigned *more = realloc(t->table, table * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->table = more;
		t->n_table = table;
	}
	for (unsigned i = 0; i < t->n_table; i++)
		t->table[i] = NO_VERTEX;
	return 0;
}

void tree_clear(struct tree *t)
{
	t->n_vertices = t->n_edges = 0;
}

void tree_fini(struct tree *t)
{
	free(t->vertices);
	free(t->edges);
	free(t->table);
	*t = (struct tree){ .n_edges = 0 };
}

/* vertices */

/* FNV-1a. */
static unsigned segment_hash(const struct topo_segment *s)
{
	uint32_t h = UINT32_C(2166136261);

	for (unsigned i = 0; i < sizeof(s->node); i++)
		h = (h ^ s->node[i]) * UINT32_C(16777619);
	for (const char *c = s->bridge; *c; c++)
		h = (h ^ (uint8_t)*c) * UINT32_C(16777619);
	return h;
}

/* Where a segment stands, or would stand, in the table. */
static unsigned *table_at(const struct tree *t, const struct topo_segment *s)
{
	unsigned i = segment_hash(s) & (t->n_table - 1);

	while (t->table[i] != NO_VERTEX &&
	       segment_compare(&t->vertices[t->table[i]].segment, s) != 0)
		i = (i + 1) & (t->n_table - 1);
	return &t->table[i];
}

static unsigned vertex_get(struct tree *t, const struct topo_segment *s)
{
	unsigned *at = table_at(t, s);

	if (*at == NO_VERTEX) {
		*at = t->n_vertices++;
		t->vertices[*at] = (struct tree_vertex){
			.segment = *s, .join = *at, .parent = *at, .leader = NO_VERTEX
		};
	}
	return *at;
}

static unsigned vertex_get_local(struct walk *w, unsigned slot, const char *bridge)
{
	struct topo_segment s = segment_of(w->db->node[slot].id, bridge);

	return vertex_get(w->t, &s);
}

static unsigned component(struct tree *t, unsigned v)
{
	while (t->vertices[v].join != v) {
		t->vertices[v].join = t->vertices[t->vertices[v].join].join;
		v = t->vertices[v].join;
	}
	return v;
}

/* Turns the way from v to its root round, so that v is the root. */
static void reroot(struct tree *t, unsigned v)
{
	unsigned parent = v;
	const struct tree_edge *up = NULL;

	for (;;) {
		struct tree_vertex *x = &t->vertices[v];
		unsigned next = x->parent;
		const struct tree_edge *next_up = x->up;

		x->parent = parent;
		x->up = up;
		if (next == v)
			return;
		parent = v;
		up = next_up;
		v = next;
	}
}

/* True when it joins two components; then it is part of the forest. */
static bool join(struct tree *t, unsigned a, unsigned b, const struct tree_edge *by)
{
	unsigned x = component(t, a), y = component(t, b);

	if (x == y)
		return false;
	t->vertices[x].join = y;
	reroot(t, a);
	t->vertices[a].parent = b;
	t->vertices[a].up = by;
	return true;
}

/* edges */

static bool edge_open(const struct tree_edge *e)
{
	return e->a->open && e->b->open;
}

/* What counts already, or insists, before what would have to take something's place. */
static bool edge_waits(const struct tree_edge *e)
{
	return !edge_open(e) && !(e->a->preempt && e->b->preempt);
}

static int by_preference(const void *a, const void *b)
{
	const struct tree_edge *x = a, *y = b;

	if (edge_waits(x) != edge_waits(y))
		return edge_waits(x) ? 1 : -1;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (edge_open(x) != edge_open(y))
		return edge_open(x) ? -1 : 1;
	int c = segment_compare(&x->b->far, &y->b->far); /* that is end a */
	if (c == 0)
		c = segment_compare(&x->a->far, &y->a->far);
	if (c)
		return c;
	return (x->a->generation > y->a->generation) - (x->a->generation < y->a->generation);
}

/* Takes an edge from the end with the smaller segment, when the other end has it, too. */
static void collect_edge(struct walk *w, unsigned slot, const struct lsa_edge *e)
{
	struct tree *t = w->t;
	unsigned far = lsdb_find(w->db, e->far.node);

	if (far == LSDB_NONE || !w->db->node[far].member)
		return;
	const struct lsa_edge *m = lsa_find_mirror(walk_lsa(w, far), w->db->node[slot].id, e);
	/* One that cannot open must not keep others closed. */
	if (!m || !m->ready || !e->ready || segment_compare(&m->far, &e->far) >= 0)
		return;
	t->edges[t->n_edges++] = (struct tree_edge){
		.node_a = slot,
		.node_b = far,
		.a = e,
		.b = m,
		.priority = MAX(e->priority, m->priority),
		.mesh = e->mesh && m->mesh,
	};
}

static void collect_foreign(struct walk *w, unsigned slot, const struct lsa_foreign *f)
{
	unsigned a = vertex_get_local(w, slot, f->local);

	join(w->t, a, vertex_get(w->t, &f->heard), NULL);
}

static void collect(struct walk *w)
{
	struct tree *t = w->t;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsa *l = walk_lsa(w, i);

		if (!w->db->node[i].member)
			continue;
		for (unsigned k = 0; k < l->n_edges; k++)
			collect_edge(w, i, &l->edges[k]);
		for (unsigned k = 0; k < l->n_foreign; k++)
			collect_foreign(w, i, &l->foreign[k]);
	}
	qsort(t->edges, t->n_edges, sizeof(*t->edges), by_preference);
	for (unsigned i = 0; i < t->n_edges; i++) {
		struct tree_edge *e = &t->edges[i];

		e->at_a = vertex_get(t, &e->b->far);
		e->at_b = vertex_get(t, &e->a->far);
	}
}

static void choose_tree(struct tree *t)
{
	for (unsigned i = 0; i < t->n_edges; i++) {
		struct tree_edge *e = &t->edges[i];

		if (!e->mesh)
			e->chosen = join(t, e->at_a, e->at_b, e);
	}
}

/* mesh */

static void count_mesh(struct tree *t)
{
	for (unsigned i = 0; i < t->n_edges; i++) {
		const struct tree_edge *e = &t->edges[i];

		if (!e->mesh)
			continue;
		t->vertices[e->at_a].mesh = t->vertices[e->at_b].mesh = true;
		t->vertices[e->at_a].n_mesh++;
		t->vertices[e->at_b].n_mesh++;
	}
}

/* The segment with the most mesh edges leads: it leaves the fewest out. */
static void elect_leaders(struct tree *t)
{
	for (unsigned v = 0; v < t->n_vertices; v++) {
		const struct tree_vertex *x = &t->vertices[v];
		unsigned *leader = &t->vertices[component(t, v)].leader;

		if (!x->mesh)
			continue;
		if (*leader == NO_VERTEX) {
			*leader = v;
			continue;
		}
		const struct tree_vertex *y = &t->vertices[*leader];
		if (x->n_mesh > y->n_mesh ||
		    (x->n_mesh == y->n_mesh && segment_compare(&x->segment, &y->segment) < 0))
			*leader = v;
	}
}

static bool leads(struct tree *t, unsigned v)
{
	return t->vertices[component(t, v)].leader == v;
}

/* tree_between() for mesh edges, at the cost of one segment's only: there are many. */
static bool mesh_between(const struct tree *t, const struct tree_edge *e)
{
	const struct tree_edge *o = t->vertices[e->at_a].meshes;

	while (o && o->at_b != e->at_b)
		o = o->next_mesh;
	return o != NULL;
}

static void choose_mesh(struct tree *t)
{
	count_mesh(t);
	elect_leaders(t);
	for (unsigned i = 0; i < t->n_edges; i++) {
		struct tree_edge *e = &t->edges[i];

		if (!e->mesh || component(t, e->at_a) == component(t, e->at_b) ||
		    !leads(t, e->at_a) || !leads(t, e->at_b) || mesh_between(t, e))
			continue;
		e->chosen = true; /* the first of its parallels: the best */
		e->next_mesh = t->vertices[e->at_a].meshes;
		t->vertices[e->at_a].meshes = e;
	}
}

int tree_compute(struct tree *t, const struct lsdb *db, const struct lsa *own)
{
	struct walk w = { t, db, own };

	tree_clear(t);
	if (tree_reserve(&w) < 0)
		return -ENOMEM;
	collect(&w);
	choose_tree(t);
	choose_mesh(t);
	return 0;
}

/* questions */

const struct tree_edge *tree_find(const struct tree *t, unsigned slot, const struct lsa_edge *end)
{
	for (unsigned i = 0; i < t->n_edges; i++) {
		const struct tree_edge *e = &t->edges[i];

		if ((e->node_a == slot && lsa_edge_compare(e->a, end) == 0) ||
		    (e->node_b == slot && lsa_edge_compare(e->b, end) == 0))
			return e;
	}
	return NULL;
}

const struct tree_edge *tree_between(const struct tree *t, const struct tree_edge *e)
{
	for (unsigned i = 0; i < t->n_edges; i++) {
		const struct tree_edge *o = &t->edges[i];

		if (o->chosen && o->at_a == e->at_a && o->at_b == e->at_b)
			return o;
	}
	return NULL;
}

static unsigned depth_of(const struct tree *t, unsigned v)
{
	unsigned n = 0;

	for (; t->vertices[v].parent != v; v = t->vertices[v].parent)
		n++;
	return n;
}

static void put_hop(const struct tree *t, const struct tree_edge *edge, unsigned from, unsigned to,
		    struct tree_hop *ret, unsigned max, unsigned at)
{
	if (at < max)
		ret[at] = (struct tree_hop){ edge, &t->vertices[from].segment,
					     &t->vertices[to].segment };
}

unsigned tree_path(const struct tree *t, const struct topo_segment *from,
		   const struct topo_segment *to, struct tree_hop *ret, unsigned max)
{
	unsigned a, b, n = 0;

	if (!t->n_vertices)
		return 0;
	a = *table_at(t, from);
	b = *table_at(t, to);
	if (a == NO_VERTEX || b == NO_VERTEX ||
	    component((struct tree *)t, a) != component((struct tree *)t, b))
		return 0;
	unsigned down = depth_of(t, b), up = depth_of(t, a), total = 0;
	for (unsigned x = a, y = b, i = up, k = down; x != y; total++) {
		if (i >= k)
			x = t->vertices[x].parent, i--;
		else
			y = t->vertices[y].parent, k--;
	}
	/* From both ends towards where they meet. */
	for (unsigned last = total; a != b;) {
		if (up >= down) {
			const struct tree_vertex *x = &t->vertices[a];

			put_hop(t, x->up, a, x->parent, ret, max, n++);
			a = x->parent;
			up--;
		} else {
			const struct tree_vertex *y = &t->vertices[b];

			put_hop(t, y->up, y->parent, b, ret, max, --last);
			b = y->parent;
			down--;
		}
	}
	return total;
}
