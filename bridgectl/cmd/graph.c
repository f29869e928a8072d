/*
 * From the daemon's answer to segments, links and a forest of what forwards. Everything is
 * sorted and found by bisection, and the forest grows in breadth, so that the largest answer that
 * bridgectl takes is drawn in no time, whatever its shape.
 */
#include "bridgectl/cmd/graph.h"

#include <err.h>
#include <string.h>

#include "bridgectl/cmd/view.h"

static void *must(void *p)
{
	if (!p)
		errx(EXIT_FAILED, "out of memory");
	return p;
}

static void *array(size_t n, size_t size)
{
	return must(calloc(MAX(n, (size_t)1), size));
}

bool link_joins(enum link_kind k)
{
	return k == LINK_FORWARDING || k == LINK_OPENING || k == LINK_FOREIGN;
}

unsigned link_far(const struct graph_link *l, unsigned segment)
{
	return l->a == segment ? l->b : l->a;
}

char *graph_node_label(const struct graph_node *n)
{
	char *text;

	if (asprintf(&text, n->ambiguous ? "%s(%s)" : "%s", n->name, n->id) < 0)
		text = NULL;
	return must(text);
}

char *graph_label(const struct graph *g, unsigned segment)
{
	const struct graph_segment *s = &g->segments[segment];
	_cleanup_free_ char *node = graph_node_label(&g->nodes[s->node]);
	char *text;

	if (asprintf(&text, "%s:%s", node, s->bridge) < 0)
		text = NULL;
	return must(text);
}

/* --- What the answer lists --- */

static const struct list {
	const char *key, *ends[2];
} lists[] = {
	{ "edges", { "a", "b" } },
	{ "foreign", { "by", "heard" } },
};

static size_t list_size(const json_t *t, const char *key)
{
	return MIN(json_array_size(json_object_get(t, key)), (size_t)GRAPH_LISTED_MAX);
}

/* Calls `fn` for both ends of everything. */
static void each_end(struct graph *g, const json_t *t,
		     void (*fn)(struct graph *g, const json_t *end))
{
	for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
		const json_t *list = json_object_get(t, lists[k].key);

		for (size_t i = 0; i < list_size(t, lists[k].key); i++)
			for (unsigned e = 0; e < 2; e++)
				fn(g, json_object_get(json_array_get(list, i), lists[k].ends[e]));
	}
}

static size_t count_ends(const json_t *t)
{
	return 2 * (list_size(t, "edges") + list_size(t, "foreign"));
}

static bool is_cut(const json_t *t)
{
	static const char *const keys[] = { "nodes", "edges", "foreign" };

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_array_size(json_object_get(t, keys[i])) > GRAPH_LISTED_MAX)
			return true;
	return view_bool(t, "truncated");
}

/* --- Nodes: those that are listed, and whoever is an end of something --- */

static int node_compare(const void *a, const void *b)
{
	const struct graph_node *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int name_compare(const void *a, const void *b)
{
	const struct graph_node *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* A peer that was never heard has a name only. */
static const char *id_of(const json_t *v, const char *key)
{
	const char *id = view_str(v, key);

	return id[0] ? id : view_str(v, "name");
}

static void add_node(struct graph *g, const json_t *v, const char *id_key)
{
	const char *id = id_of(v, id_key), *name = view_str(v, "name");

	if (id[0])
		g->nodes[g->n_nodes++] = (struct graph_node){
			.id = id,
			.name = name[0] ? name : id,
			.self = view_bool(v, "self"),
			.member = view_bool(v, "member"),
			.agrees = view_bool(v, "agrees"),
		};
}

static void add_node_of_end(struct graph *g, const json_t *end)
{
	add_node(g, end, "node");
}

/* Each is there as often as something names it. */
static void unite_nodes(struct graph *g)
{
	unsigned n = 0;

	qsort(g->nodes, g->n_nodes, sizeof(*g->nodes), node_compare);
	for (unsigned i = 0; i < g->n_nodes; i++) {
		const struct graph_node *x = &g->nodes[i];
		struct graph_node *last = n ? &g->nodes[n - 1] : NULL;

		if (!last || strcmp(last->id, x->id) != 0) {
			g->nodes[n++] = *x;
			continue;
		}
		if (!strcmp(last->name, last->id))
			last->name = x->name;
		last->self |= x->self;
		last->member |= x->member;
		last->agrees |= x->agrees;
	}
	g->n_nodes = n;
}

static void mark_ambiguous(struct graph *g)
{
	struct graph_node **by_name = array(g->n_nodes, sizeof(*by_name));

	for (unsigned i = 0; i < g->n_nodes; i++)
		by_name[i] = &g->nodes[i];
	qsort(by_name, g->n_nodes, sizeof(*by_name), name_compare);
	for (unsigned i = 1; i < g->n_nodes; i++)
		if (!strcmp(by_name[i]->name, by_name[i - 1]->name))
			by_name[i]->ambiguous = by_name[i - 1]->ambiguous = true;
	free(by_name);
}

static void add_nodes(struct graph *g, const json_t *t)
{
	const json_t *list = json_object_get(t, "nodes");

	g->nodes = array(list_size(t, "nodes") + count_ends(t), sizeof(*g->nodes));
	for (size_t i = 0; i < list_size(t, "nodes"); i++)
		add_node(g, json_array_get(list, i), "id");
	each_end(g, t, add_node_of_end);
	unite_nodes(g);
	mark_ambiguous(g);
}

static unsigned find_node(const struct graph *g, const char *id)
{
	struct graph_node key = { .id = id };
	const struct graph_node *n =
		bsearch(&key, g->nodes, g->n_nodes, sizeof(*g->nodes), node_compare);

	return n ? (unsigned)(n - g->nodes) : GRAPH_NONE;
}

/* --- Segments --- */

static int segment_compare(const void *a, const void *b, void *arg)
{
	const struct graph_segment *x = a, *y = b;
	const struct graph *g = arg;
	const struct graph_node *m = &g->nodes[x->node], *n = &g->nodes[y->node];
	int r = n->self - m->self;

	if (!r)
		r = strcmp(m->name, n->name);
	if (!r)
		r = (x->node > y->node) - (x->node < y->node);
	return r ? r : strcmp(x->bridge, y->bridge);
}

/* An end that says nothing gives none. */
static bool segment_of(const struct graph *g, const json_t *end, struct graph_segment *ret)
{
	*ret = (struct graph_segment){ .node = find_node(g, id_of(end, "node")),
				       .bridge = view_str(end, "bridge"),
				       .parent = GRAPH_NONE };
	return ret->node != GRAPH_NONE && ret->bridge[0];
}

static void add_segment(struct graph *g, const json_t *end)
{
	if (segment_of(g, end, &g->segments[g->n_segments]))
		g->n_segments++;
}

static void add_segments(struct graph *g, const json_t *t)
{
	unsigned n = 0;

	g->segments = array(count_ends(t) + 1, sizeof(*g->segments));
	each_end(g, t, add_segment);
	qsort_r(g->segments, g->n_segments, sizeof(*g->segments), segment_compare, g);
	for (unsigned i = 0; i < g->n_segments; i++)
		if (!n || segment_compare(&g->segments[n - 1], &g->segments[i], g))
			g->segments[n++] = g->segments[i];
	g->n_segments = n;
}

static unsigned find_segment(const struct graph *g, const json_t *end)
{
	unsigned low = 0, high = g->n_segments;
	struct graph_segment key;

	if (!segment_of(g, end, &key))
		return GRAPH_NONE;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int r = segment_compare(&g->segments[middle], &key, (void *)g);

		if (!r)
			return middle;
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return GRAPH_NONE;
}

/* --- Links --- */

static bool is_one_of(const char *word, const char *const list[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(word, list[i]))
			return true;
	return false;
}

/* The state word is the daemon's; one that is not known here leaves what the gates say. */
static enum link_kind edge_kind(const json_t *e)
{
	static const char *const bad[] = { "blocked", "latched", "refused" };
	static const char *const idle[] = { "down", "handshake", "half" };
	const char *state = view_str(e, "state");
	bool chosen = view_bool(e, "in_tree");

	if (is_one_of(state, bad, ARRAY_SIZE(bad)))
		return LINK_BLOCKED;
	if (is_one_of(state, idle, ARRAY_SIZE(idle)) || !view_bool(e, "live"))
		return LINK_HALF;
	if (chosen && view_bool(e, "open_a") && view_bool(e, "open_b"))
		return LINK_FORWARDING;
	return chosen ? LINK_OPENING : LINK_STANDBY;
}

static void add_link(struct graph *g, const json_t *x, const struct list *list, bool foreign)
{
	struct graph_link l = { .json = x };

	l.a = find_segment(g, json_object_get(x, list->ends[0]));
	l.b = find_segment(g, json_object_get(x, list->ends[1]));
	if (l.a == GRAPH_NONE || l.b == GRAPH_NONE || l.a == l.b)
		return;
	l.kind = foreign ? LINK_FOREIGN : edge_kind(x);
	/* Under ours when one end is: they stand first. */
	if (l.b < l.a) {
		unsigned a = l.a;

		l.a = l.b;
		l.b = a;
	}
	g->links[g->n_links++] = l;
}

static int link_compare(const void *a, const void *b)
{
	const struct graph_link *x = a, *y = b;
	unsigned m[] = { x->kind, x->a, x->b }, n[] = { y->kind, y->a, y->b };

	for (unsigned i = 0; i < ARRAY_SIZE(m); i++)
		if (m[i] != n[i])
			return m[i] < n[i] ? -1 : 1;
	return strcmp(view_str(x->json, "tunnel"), view_str(y->json, "tunnel"));
}

/* A foreign path that both ends hear is one path. */
static void unite_foreign(struct graph *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_links; i++) {
		struct graph_link *l = &g->links[i], *last = n ? &g->links[n - 1] : NULL;

		if (last && l->kind == LINK_FOREIGN && last->kind == LINK_FOREIGN &&
		    last->a == l->a && last->b == l->b)
			last->back = l->json;
		else
			g->links[n++] = *l;
	}
	g->n_links = n;
}

static void add_links(struct graph *g, const json_t *t)
{
	g->links = array(count_ends(t) / 2, sizeof(*g->links));
	for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
		const json_t *list = json_object_get(t, lists[k].key);

		for (size_t i = 0; i < list_size(t, lists[k].key); i++)
			add_link(g, json_array_get(list, i), &lists[k], k);
	}
	qsort(g->links, g->n_links, sizeof(*g->links), link_compare);
	unite_foreign(g);
}

static void index_links(struct graph *g)
{
	unsigned first = 0;

	g->at = array(2 * (size_t)g->n_links, sizeof(*g->at));
	for (unsigned i = 0; i < g->n_links; i++) {
		g->segments[g->links[i].a].n++;
		g->segments[g->links[i].b].n++;
	}
	for (unsigned i = 0; i < g->n_segments; i++) {
		g->segments[i].first = first;
		first += g->segments[i].n;
		g->segments[i].n = 0;
	}
	for (unsigned i = 0; i < g->n_links; i++) {
		struct graph_segment *a = &g->segments[g->links[i].a];
		struct graph_segment *b = &g->segments[g->links[i].b];

		g->at[a->first + a->n++] = i;
		g->at[b->first + b->n++] = i;
	}
}

/* --- The forest --- */

/* `queue`: what was reached so far, the root first. How many there are then. */
static unsigned reach(struct graph *g, unsigned *queue, unsigned n)
{
	for (unsigned done = n - 1; done < n; done++) {
		const struct graph_segment *s = &g->segments[queue[done]];

		for (unsigned i = 0; i < s->n; i++) {
			const struct graph_link *l = &g->links[g->at[s->first + i]];
			struct graph_segment *far = &g->segments[link_far(l, queue[done])];

			if (!link_joins(l->kind) || far->below)
				continue;
			far->below = 1;
			far->parent = g->at[s->first + i];
			queue[n++] = link_far(l, queue[done]);
		}
	}
	return n;
}

static void grow(struct graph *g)
{
	unsigned *queue = array(g->n_segments, sizeof(*queue)), n = 0;

	g->roots = array(g->n_segments, sizeof(*g->roots));
	for (unsigned i = 0; i < g->n_segments; i++) {
		if (g->segments[i].below)
			continue;
		g->segments[i].below = 1;
		g->roots[g->n_roots++] = i;
		queue[n] = i;
		n = reach(g, queue, n + 1);
	}
	/* Backwards, each has been counted before whoever it hangs from. */
	while (n--) {
		const struct graph_segment *s = &g->segments[queue[n]];

		if (s->parent != GRAPH_NONE)
			g->segments[link_far(&g->links[s->parent], queue[n])].below += s->below;
	}
	free(queue);
}

void graph_init(struct graph *g, const json_t *topology)
{
	*g = (struct graph){ .truncated = is_cut(topology) };
	add_nodes(g, topology);
	add_segments(g, topology);
	add_links(g, topology);
	index_links(g);
	grow(g);
}

void graph_fini(struct graph *g)
{
	free(g->nodes);
	free(g->segments);
	free(g->links);
	free(g->at);
	free(g->roots);
	*g = (struct graph){ 0 };
}
