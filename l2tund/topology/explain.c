/*
 * Why a gate is closed, for people. A function of the tree: the way that joins the two bridges
 * already is the reason why another one must not.
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/util.h"
#include "l2tund/topology/state.h"
#include "l2tund/topology/view.h"

#define NAMES_SHOWN 3 /* more are counted */

/* Text that grows and is cut off at the end of its buffer. */
struct text {
	char *buf;
	size_t size, len;
};

static void _printf_(2, 3) text_add(struct text *x, const char *fmt, ...)
{
	va_list ap;

	if (x->len + 1 >= x->size)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(x->buf + x->len, x->size - x->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		x->len = MIN(x->len + (size_t)n, x->size - 1);
}

static const char *name_of(const struct topo *t, const uint8_t id[TOPO_NODE_ID_BYTES])
{
	const char *name = topo_node_name(t, id);

	return *name ? name : "a node that has not told its name";
}

static void add_segment(struct text *x, const struct topo *t, const struct topo_segment *s)
{
	if (memcmp(s->node, t->p.node_id, sizeof(s->node)) == 0)
		text_add(x, "our %s", s->bridge);
	else
		text_add(x, "%s of %s", s->bridge, name_of(t, s->node));
}

/* the barrier */

static enum tunnel_reason explain_waiting(const struct topo *t, struct text *x)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *m = &t->db.node[i];

		if (!m->member || topo_node_agrees(t, m))
			continue;
		if (n < NAMES_SHOWN)
			text_add(x, "%s%s", n ? ", " : "waiting until all know the same: ",
				 i == t->db.self ? "this node" : name_of(t, m->id));
		n++;
	}
	if (n > NAMES_SHOWN)
		text_add(x, " and %u more", n - NAMES_SHOWN);
	if (!n)
		text_add(x, t->urgent ? "what has changed here is told to all first" :
					"about to open");
	return REASON_REMOTE;
}

/* the tree */

static const struct tree_hop *foreign_hop(const struct tree_hop *hops, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!hops[i].edge)
			return &hops[i];
	}
	return NULL;
}

static enum tunnel_reason explain_foreign(const struct topo *t, const struct tree_hop *hop,
					  struct text *x)
{
	add_segment(x, t, hop->from);
	text_add(x, " and ");
	add_segment(x, t, hop->to);
	text_add(x, " are joined by something that is not ours; a tunnel would close a loop");
	return REASON_FOREIGN;
}

static enum tunnel_reason explain_parallel(const struct topo *t, const struct tree_edge *by,
					   struct text *x)
{
	const struct topo_edge *own = topo_edge_of(t, by);

	text_add(x, "tunnel %s joins the same two bridges and forwards", own ? own->name : "?");
	return REASON_PARALLEL;
}

static enum tunnel_reason explain_cycle(const struct topo *t, const struct tree_edge *te,
					const struct tree_hop *hops, unsigned n, unsigned shown,
					struct text *x)
{
	bool better = true;

	for (unsigned i = 0; i < shown; i++)
		better &= hops[i].edge->priority < te->priority;
	text_add(x, "the two bridges are joined already, by way of ");
	for (unsigned i = 0; i + 1 < MIN(shown, NAMES_SHOWN + 1u); i++)
		text_add(x, "%s%s", i ? ", " : "", name_of(t, hops[i].to->node));
	if (n > NAMES_SHOWN + 1u)
		text_add(x, " and %u more", n - NAMES_SHOWN - 1);
	if (better)
		text_add(x, ", whose tunnels have a better priority");
	return better ? REASON_PRIORITY : REASON_CYCLE;
}

/* Of a live edge that this tree does not have. */
static enum tunnel_reason explain_left_out(const struct topo_edge *e, const struct tree *tree,
					   const struct tree_edge *te, struct text *x)
{
	const struct topo *t = e->topo;
	struct topo_segment here = topo_local(t, e->ends.local_bridge);
	struct tree_hop hops[TOPO_NODES_MAX];
	unsigned n = tree_path(tree, &here, &e->ends.far, hops, ARRAY_SIZE(hops));
	unsigned shown = MIN(n, (unsigned)ARRAY_SIZE(hops));
	const struct tree_hop *foreign = foreign_hop(hops, shown);

	if (foreign)
		return explain_foreign(t, foreign, x);
	if (n == 1)
		return explain_parallel(t, hops[0].edge, x);
	if (n > 1)
		return explain_cycle(t, te, hops, n, shown, x);
	const struct tree_edge *twin = tree_between(tree, te);
	if (twin)
		return explain_parallel(t, twin, x);
	text_add(x, "one of the two bridges is joined with another mesh bridge by something that "
		    "is not ours, and that one has the tunnels of both");
	return REASON_FOREIGN;
}

enum tunnel_reason explain_closed(const struct topo_edge *e, char *detail, size_t size)
{
	const struct topo *t = e->topo;
	struct text x = { .buf = detail, .size = size };

	detail[0] = '\0';
	if (!e->up || !e->ready)
		return REASON_NONE; /* the tunnel itself knows better */
	if (t->twin) {
		text_add(&x, "another node uses our key, or did: both are closed until one is "
			     "silent; make a key of its own for each node");
		return REASON_IDENTITY;
	}
	if (t->overflow) {
		text_add(&x, "too many nodes, tunnels or foreign paths for the topology; see the "
			     "log");
		return REASON_OVERFLOW;
	}
	const struct tree_edge *te = topo_edge_in(&t->tree, e);
	if (!te) {
		text_add(&x, "the other end does not say that it is ready");
		return REASON_REMOTE;
	}
	if (!te->chosen)
		return explain_left_out(e, &t->tree, te, &x);
	te = topo_edge_in(&t->draft_tree, e);
	if (te && !te->chosen) /* for what nobody has been told yet */
		return explain_left_out(e, &t->draft_tree, te, &x);
	return explain_waiting(t, &x);
}
