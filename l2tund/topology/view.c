/*
 * What this node knows, object by object. While the trees have not followed the database
 * there is nothing to see: they point into what is gone. The next tick mends that.
 */
#include "l2tund/topology/view.h"

#include <stdio.h>

#include "common/util.h"
#include "l2tund/topology/state.h"

const char *topo_node_name(const struct topo *t, const uint8_t id[TOPO_NODE_ID_BYTES])
{
	unsigned slot = lsdb_find(&t->db, id);

	return slot == LSDB_NONE ? "" : t->db.node[slot].lsa.name;
}

void topo_get_summary(const struct topo *t, struct topo_summary *ret)
{
	*ret = (struct topo_summary){
		.members = t->db.n_members,
		.overflow = t->overflow,
		.twin = t->twin,
	};
	for (unsigned i = 0; i < sizeof(t->db.digest); i++)
		snprintf(ret->digest + 2 * i, 3, "%02x", t->db.digest[i]);
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &t->db.node[i];

		ret->disagreeing += n->member && !topo_node_agrees(t, n);
	}
}

uint32_t topo_joined(const struct topo *t)
{
	return t->db.joined;
}

static void visit_node(const struct topo *t, unsigned slot, const struct topo_visitor *v, void *arg)
{
	const struct lsdb_node *n = &t->db.node[slot];
	struct topo_node_view view = {
		.name = n->lsa.name,
		.incarnation = n->version.incarnation,
		.seq = n->version.seq,
		.self = slot == t->db.self,
		.member = n->member,
		.agrees = topo_node_agrees(t, n),
	};

	memcpy(view.id, n->id, sizeof(view.id));
	v->node(arg, &view);
}

static void visit_live(const struct topo *t, const struct tree_edge *e,
		       const struct topo_visitor *v, void *arg)
{
	struct topo_edge_view view = {
		.a = e->b->far,
		.b = e->a->far,
		.name_a = t->db.node[e->node_a].lsa.name,
		.name_b = t->db.node[e->node_b].lsa.name,
		.priority = e->priority,
		.mesh = e->mesh,
		.listed_a = true,
		.listed_b = true,
		.in_tree = e->chosen,
		.open_a = e->a->open,
		.open_b = e->b->open,
		.own = topo_edge_of(t, e),
	};

	v->edge(arg, &view);
}

static const struct topo_edge *own_edge(const struct topo *t, unsigned slot, unsigned far,
					const struct lsa_edge *e, const struct lsa_edge *m)
{
	struct tree_edge te = { .node_a = slot, .node_b = far, .a = e, .b = m };

	return slot == t->db.self || m ? topo_edge_of(t, &te) : NULL;
}

/* What is no candidate for the tree: known from one end only, or an end is not ready. */
static void visit_idle(const struct topo *t, unsigned slot, const struct lsa_edge *e,
		       const struct topo_visitor *v, void *arg)
{
	const struct lsdb_node *n = &t->db.node[slot];
	unsigned far = lsdb_find(&t->db, e->far.node);
	const struct lsa_edge *m =
		far == LSDB_NONE ? NULL : lsa_find_mirror(&t->db.node[far].lsa, n->id, e);
	struct topo_segment here = segment_of(n->id, e->local);
	bool first = segment_compare(&here, &e->far) < 0;

	if (m && (!first || (e->ready && m->ready)))
		return; /* seen from the other end, or as live */
	struct topo_edge_view view = {
		.a = first ? here : e->far,
		.b = first ? e->far : here,
		.name_a = first ? n->lsa.name : topo_node_name(t, e->far.node),
		.name_b = first ? topo_node_name(t, e->far.node) : n->lsa.name,
		.priority = m ? MAX(e->priority, m->priority) : e->priority,
		.mesh = e->mesh,
		.listed_a = first ? e->ready : m && m->ready,
		.listed_b = first ? m && m->ready : e->ready,
		.open_a = first && e->open,
		.open_b = !first && e->open,
		.own = own_edge(t, slot, far, e, m),
	};

	v->edge(arg, &view);
}

static void visit_foreign(const struct topo *t, const struct lsdb_node *n,
			  const struct lsa_foreign *f, const struct topo_visitor *v, void *arg)
{
	struct topo_foreign_view view = {
		.by = segment_of(n->id, f->local),
		.heard = f->heard,
		.name_by = n->lsa.name,
		.name_heard = topo_node_name(t, f->heard.node),
	};

	v->foreign(arg, &view);
}

void topo_visit(const struct topo *t, const struct topo_visitor *v, void *arg)
{
	if (t->stale)
		return;
	for (unsigned i = 0; i < TOPO_NODES_MAX && v->node; i++) {
		if (t->db.node[i].used)
			visit_node(t, i, v, arg);
	}
	for (unsigned i = 0; i < t->tree.n_edges && v->edge; i++)
		visit_live(t, &t->tree.edges[i], v, arg);
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &t->db.node[i];

		for (unsigned k = 0; k < n->lsa.n_edges && v->edge; k++)
			visit_idle(t, i, &n->lsa.edges[k], v, arg);
		for (unsigned k = 0; k < n->lsa.n_foreign && v->foreign; k++)
			visit_foreign(t, n, &n->lsa.foreign[k], v, arg);
	}
}
