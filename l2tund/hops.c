/* Breadth first over a sorted list of steps; as large as the whole topology may be. */
#include "l2tund/hops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/lsa.h"

#define NOWHERE (~0U)

static int compare_hops(const void *a, const void *b)
{
	const struct hop *x = a, *y = b;
	int r = segment_compare(&x->from, &y->from);

	return r ? r : segment_compare(&x->to, &y->to);
}

static void add(struct hops *h, const struct topo_segment *from, const struct topo_segment *to,
		const char *name_to, bool foreign, bool mesh)
{
	if (h->n == h->size) {
		unsigned size = h->size ? 2 * h->size : 64;
		struct hop *bigger = reallocarray(h->list, size, sizeof(*bigger));

		if (!bigger) {
			h->failed = true;
			return;
		}
		h->list = bigger;
		h->size = size;
	}
	struct hop *x = &h->list[h->n++];
	*x = (struct hop){ .from = *from, .to = *to, .foreign = foreign, .mesh = mesh };
	snprintf(x->name_to, sizeof(x->name_to), "%s", name_to);
}

static void add_edge(void *arg, const struct topo_edge_view *v)
{
	if (!v->in_tree)
		return;
	add(arg, &v->a, &v->b, v->name_b, false, v->mesh);
	add(arg, &v->b, &v->a, v->name_a, false, v->mesh);
}

static void add_foreign(void *arg, const struct topo_foreign_view *v)
{
	add(arg, &v->by, &v->heard, v->name_heard, true, false);
	add(arg, &v->heard, &v->by, v->name_by, true, false);
}

const struct topo_visitor hops_visitor = { .edge = add_edge, .foreign = add_foreign };

/* The first step from `at`, or of those behind it. */
static unsigned first_from(const struct hops *h, const struct topo_segment *at)
{
	unsigned low = 0, high = h->n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (segment_compare(&h->list[middle].from, at) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A segment is seen when its first step is; `by`: the step that led there. */
struct search {
	unsigned *queue, *by;
	unsigned n;
};

static void visit(const struct hops *h, struct search *s, const struct topo_segment *at,
		  unsigned by, unsigned start)
{
	unsigned first = first_from(h, at);

	/* Every step has its way back, so that there is one. */
	if (first == start || s->by[first] != NOWHERE)
		return;
	s->by[first] = by;
	s->queue[s->n++] = first;
}

/* The step that reaches `to`, or NOWHERE. */
static unsigned search(const struct hops *h, struct search *s, const struct topo_segment *from,
		       const struct topo_segment *to)
{
	unsigned start = first_from(h, from);

	if (start == h->n || segment_compare(&h->list[start].from, from) != 0)
		return NOWHERE;
	s->queue[s->n++] = start;
	for (unsigned done = 0; done < s->n; done++) {
		unsigned first = s->queue[done];

		for (unsigned i = first;
		     i < h->n && !segment_compare(&h->list[i].from, &h->list[first].from); i++) {
			/* From one tunnel of a mesh to another one no frame passes. */
			if (h->list[i].mesh && s->by[first] != NOWHERE &&
			    h->list[s->by[first]].mesh)
				continue;
			if (!segment_compare(&h->list[i].to, to))
				return i;
			visit(h, s, &h->list[i].to, i, start);
		}
	}
	return NOWHERE;
}

unsigned hops_find(struct hops *h, const struct topo_segment *from, const struct topo_segment *to,
		   struct hop *ret, unsigned max)
{
	struct search s = { 0 };
	unsigned n = 0, last = NOWHERE;

	if (!h->n || h->failed || !segment_compare(from, to))
		return 0;
	qsort(h->list, h->n, sizeof(*h->list), compare_hops);
	s.queue = reallocarray(NULL, h->n, sizeof(*s.queue));
	s.by = reallocarray(NULL, h->n, sizeof(*s.by));
	if (s.queue && s.by) {
		memset(s.by, 0xff, h->n * sizeof(*s.by));
		last = search(h, &s, from, to);
	}
	/* Backwards to learn how many there are, and again to write them. */
	for (unsigned i = last; i != NOWHERE; i = s.by[first_from(h, &h->list[i].from)])
		n++;
	for (unsigned i = last, k = n; i != NOWHERE; i = s.by[first_from(h, &h->list[i].from)]) {
		if (--k < max)
			ret[k] = h->list[i];
	}
	free(s.queue);
	free(s.by);
	return n;
}

void hops_fini(struct hops *h)
{
	free(h->list);
	*h = (struct hops){ 0 };
}
