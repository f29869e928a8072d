/*
 * The tree, directly: the order of preference one criterion at a time, then properties on random
 * graphs, against a union-find of the test's own. Each node must compute the same, in
 * whatever slots of its database the nodes are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/tree.h"
#include "tests/support/prng.h"

#define SEED 20260003
#define ROUNDS 400
#define NODES 9
#define BRIDGES 3
#define EDGES 64
#define FOREIGN 6
#define SEGMENTS (NODES * BRIDGES)

static struct prng rng = { SEED };

/* What the whole network looks like. Segments are node * BRIDGES + bridge. */
struct model_edge {
	unsigned a, b;
	uint64_t generation;
	uint16_t priority_a, priority_b;
	bool open_a, open_b, preempt_a, preempt_b, mesh_a, mesh_b;
	bool half; /* only `a` lists it */
};

static struct model {
	struct model_edge edge[EDGES];
	unsigned n_edges;
	struct {
		unsigned by, heard;
	} foreign[FOREIGN];
	unsigned n_foreign;
} m;

static const char *const bridges[BRIDGES] = { "br0", "br1", "br2" };

static const uint8_t *id_of(unsigned node)
{
	static uint8_t ids[NODES][TOPO_NODE_ID_BYTES];

	ids[node][0] = (uint8_t)(node + 1);
	return ids[node];
}

static struct topo_segment segment(unsigned s)
{
	return segment_of(id_of(s / BRIDGES), bridges[s % BRIDGES]);
}

static void add_end(struct lsa *l, const struct model_edge *e, bool first)
{
	struct lsa_edge *x = &l->edges[l->n_edges++];

	*x = (struct lsa_edge){
		.far = segment(first ? e->b : e->a),
		.generation = e->generation,
		.ready = true,
		.priority = first ? e->priority_a : e->priority_b,
		.open = first ? e->open_a : e->open_b,
		.preempt = first ? e->preempt_a : e->preempt_b,
		.mesh = first ? e->mesh_a : e->mesh_b,
	};
	snprintf(x->local, sizeof(x->local), "%s", bridges[(first ? e->a : e->b) % BRIDGES]);
}

/* The link state of one node, in its canonical order; lsa_fini() frees it. */
static struct lsa lsa_of(unsigned node)
{
	struct lsa l = { .name = "n" };

	l.edges = calloc(2 * EDGES, sizeof(*l.edges));
	l.foreign = calloc(FOREIGN, sizeof(*l.foreign));
	assert_true(l.edges && l.foreign);
	for (unsigned i = 0; i < m.n_edges; i++) {
		if (m.edge[i].a / BRIDGES == node)
			add_end(&l, &m.edge[i], true);
		if (m.edge[i].b / BRIDGES == node && !m.edge[i].half && m.edge[i].a != m.edge[i].b)
			add_end(&l, &m.edge[i], false);
	}
	for (unsigned i = 0; i < m.n_foreign; i++) {
		struct lsa_foreign *f = &l.foreign[l.n_foreign];

		if (m.foreign[i].by / BRIDGES != node)
			continue;
		f->heard = segment(m.foreign[i].heard);
		snprintf(f->local, sizeof(f->local), "%s", bridges[m.foreign[i].by % BRIDGES]);
		l.n_foreign++;
	}
	qsort(l.edges, l.n_edges, sizeof(*l.edges), lsa_edge_compare);
	qsort(l.foreign, l.n_foreign, sizeof(*l.foreign), lsa_foreign_compare);
	return l;
}

/* A database of the model as node `self` has it, the others in the slots of `order`. */
static struct lsdb *db_of(unsigned self, const unsigned order[NODES])
{
	static uint8_t body[LSA_BYTES_MAX];
	struct lsdb *db = malloc(sizeof(*db));

	assert_non_null(db);
	lsdb_init(db, id_of(self));
	for (unsigned i = 0; i < NODES; i++) {
		struct lsa l = lsa_of(order[i]);
		int len = lsa_build(&l, body, sizeof(body));

		assert_true(len > 0);
		assert_int_equal(lsdb_set_lsa(db, lsdb_get(db, id_of(order[i])),
					      (struct version){ 1, 1 }, body, (size_t)len),
				 0);
		lsa_fini(&l);
	}
	assert_int_equal(lsdb_settle(db), 0);
	return db;
}

static struct view {
	struct lsdb *db;
	struct tree tree;
} v;

static void view_open(unsigned self, const unsigned order[NODES])
{
	v.db = db_of(self, order);
	assert_int_equal(tree_compute(&v.tree, v.db, &v.db->node[v.db->self].lsa), 0);
}

static void view_close(void)
{
	tree_fini(&v.tree);
	lsdb_fini(v.db);
	free(v.db);
}

static const unsigned in_order[NODES] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };

static void shuffle(unsigned order[NODES])
{
	memcpy(order, in_order, sizeof(in_order));
	for (unsigned i = NODES; i > 1; i--) {
		unsigned k = (unsigned)prng_below(&rng, i), x = order[k];

		order[k] = order[i - 1];
		order[i - 1] = x;
	}
}

/* The tree's edge for an edge of the model; NULL: not live. */
static const struct tree_edge *find(const struct model_edge *e)
{
	unsigned slot = lsdb_find(v.db, id_of(e->a / BRIDGES));
	struct lsa_edge end = { .far = segment(e->b), .generation = e->generation };

	snprintf(end.local, sizeof(end.local), "%s", bridges[e->a % BRIDGES]);
	return tree_find(&v.tree, slot, &end);
}

static bool chosen(const struct model_edge *e)
{
	const struct tree_edge *te = find(e);

	return te && te->chosen;
}

/* one criterion at a time, on a triangle of segments 0, 3, 6 (nodes 0, 1, 2) */

static struct model_edge plain(unsigned a, unsigned b)
{
	static uint64_t generation = 50;

	return (struct model_edge){
		.a = a, .b = b, .generation = ++generation, .priority_a = 100, .priority_b = 100
	};
}

static int triangle(void **state)
{
	(void)state;
	m = (struct model){ .n_edges = 3 };
	m.edge[0] = plain(0, 3);
	m.edge[1] = plain(3, 6);
	m.edge[2] = plain(0, 6);
	return 0;
}

/* Exactly this one of the triangle is left out, whoever looks. */
static void assert_left_out(unsigned left)
{
	unsigned order[NODES];

	for (unsigned self = 0; self < 3; self++) {
		shuffle(order);
		view_open(self, order);
		assert_int_equal(v.tree.n_edges, m.n_edges);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(chosen(&m.edge[i]), i != left);
		view_close();
	}
}

static void test_by_ids(void **state)
{
	(void)state;
	assert_left_out(1); /* 0-3 and 0-6 come before 3-6 */
}

static void test_by_priority(void **state)
{
	(void)state;
	m.edge[0].priority_b = 101; /* the worse of both ends counts */
	assert_left_out(0);
	m.edge[1].priority_a = m.edge[1].priority_b = 65535;
	assert_left_out(1);
	m.edge[1].priority_a = m.edge[1].priority_b = 0;
	m.edge[2].priority_a = 102;
	assert_left_out(2);
}

static void test_open_stays(void **state)
{
	(void)state;
	m.edge[1].open_a = m.edge[1].open_b = true;
	m.edge[1].priority_a = 500; /* worse, but it forwards */
	assert_left_out(2);
	m.edge[1].open_b = false; /* half open is not open */
	assert_left_out(1);
}

static void test_preempt(void **state)
{
	(void)state;
	m.edge[0].open_a = m.edge[0].open_b = true;
	m.edge[1].open_a = m.edge[1].open_b = true;
	m.edge[1].priority_a = 101;
	assert_left_out(2);
	m.edge[2].preempt_a = true; /* both ends have to want it */
	assert_left_out(2);
	m.edge[2].preempt_b = true;
	assert_left_out(1);
	m.edge[2].priority_a = 101; /* no better: what is open stays */
	assert_left_out(2);
}

static void test_foreign_first(void **state)
{
	(void)state;
	m.edge[0].open_a = m.edge[0].open_b = true;
	m.n_foreign = 1;
	m.foreign[0].by = 3;
	m.foreign[0].heard = 0;
	view_open(0, in_order);
	assert_false(chosen(&m.edge[0]));
	assert_true(chosen(&m.edge[2]));
	assert_false(chosen(&m.edge[1]));
	view_close();
	/* Heard from a node that no edge joins with us: a segment like any other. */
	m.foreign[0].heard = 3 * 8;
	m.n_foreign = 2;
	m.foreign[1].by = 6;
	m.foreign[1].heard = 3 * 8;
	view_open(0, in_order);
	assert_false(chosen(&m.edge[1])); /* 3 and 6 meet there */
	assert_true(chosen(&m.edge[0]));
	assert_false(chosen(&m.edge[2]));
	view_close();
}

static void test_parallel(void **state)
{
	(void)state;
	m.edge[0].b = m.edge[1].b = m.edge[2].b = 3;
	m.edge[0].a = m.edge[1].a = m.edge[2].a = 0;
	view_open(0, in_order);
	assert_true(chosen(&m.edge[0])); /* the least generation */
	assert_false(chosen(&m.edge[1]) || chosen(&m.edge[2]));
	assert_ptr_equal(tree_between(&v.tree, find(&m.edge[2])), find(&m.edge[0]));
	view_close();
	m.edge[2].priority_a = m.edge[2].priority_b = 1;
	view_open(1, in_order);
	assert_true(chosen(&m.edge[2]));
	assert_false(chosen(&m.edge[0]) || chosen(&m.edge[1]));
	view_close();
}

/* One end alone, another session, another bridge: no edge. */
static void test_not_live(void **state)
{
	(void)state;
	m.edge[0].half = true;
	view_open(0, in_order);
	assert_int_equal(v.tree.n_edges, 2);
	assert_null(find(&m.edge[0]));
	assert_null(tree_find(&v.tree, v.db->self,
			      &(struct lsa_edge){ .far = segment(6), .local = "br0" }));
	view_close();
}

/* A segment is no neighbour of itself, but two bridges of one node may be joined. */
static void test_own_bridges(void **state)
{
	(void)state;
	m.edge[0] = plain(0, 0);
	m.edge[1] = plain(0, 1);
	m.edge[2] = plain(1, 0);
	view_open(0, in_order);
	assert_null(find(&m.edge[0]));
	assert_int_equal(v.tree.n_edges, 2);
	assert_int_equal(chosen(&m.edge[1]) + chosen(&m.edge[2]), 1);
	view_close();
}

static void test_own_in_place(void **state)
{
	struct lsa own = { .name = "n" };

	(void)state;
	view_open(0, in_order);
	assert_int_equal(tree_compute(&v.tree, v.db, &own), 0);
	assert_int_equal(v.tree.n_edges, 1); /* 3-6 goes on without us */
	assert_true(chosen(&m.edge[1]));
	assert_null(find(&m.edge[0]));
	tree_clear(&v.tree);
	struct topo_segment a = segment(0), b = segment(3);
	assert_int_equal(tree_path(&v.tree, &a, &b, NULL, 0), 0);
	assert_null(find(&m.edge[1]));
	view_close();
}

/* mesh */

static void set_mesh(struct model_edge *e, bool mesh)
{
	e->mesh_a = e->mesh_b = mesh;
}

static void test_full_mesh(void **state)
{
	(void)state;
	m.n_edges = 0;
	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned k = 0; k < i; k++) {
			m.edge[m.n_edges] = plain(3 * i, 3 * k);
			set_mesh(&m.edge[m.n_edges++], true);
		}
	}
	view_open(4, in_order);
	for (unsigned i = 0; i < m.n_edges; i++)
		assert_true(chosen(&m.edge[i]));
	view_close();
	/* A parallel one: the better of the two. */
	m.edge[m.n_edges] = m.edge[0];
	m.edge[m.n_edges].generation++;
	m.edge[m.n_edges++].priority_a = 1;
	m.edge[m.n_edges - 1].priority_b = 1;
	view_open(4, in_order);
	assert_false(chosen(&m.edge[0]));
	for (unsigned i = 1; i < m.n_edges; i++)
		assert_true(chosen(&m.edge[i]));
	view_close();
	/* Only one end has it isolated: a tunnel like others. */
	m.edge[0].mesh_a = false;
	view_open(4, in_order);
	assert_true(chosen(&m.edge[0]));
	assert_false(find(&m.edge[0])->mesh);
	view_close();
}

/* Two mesh segments that are joined otherwise: one of them has the tunnels of both. */
static void test_mesh_foreign(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		set_mesh(&m.edge[i], true);
	m.n_foreign = 1;
	m.foreign[0].by = 0;
	m.foreign[0].heard = 3;
	view_open(2, in_order);
	assert_false(chosen(&m.edge[0])); /* within the component */
	assert_true(chosen(&m.edge[2]));  /* 0 leads it: smaller id */
	assert_false(chosen(&m.edge[1]));
	view_close();
	/* Who has more mesh tunnels leads. */
	m.edge[m.n_edges] = plain(3, 9);
	set_mesh(&m.edge[m.n_edges++], true);
	view_open(2, in_order);
	assert_true(chosen(&m.edge[1]));
	assert_true(chosen(&m.edge[3]));
	assert_false(chosen(&m.edge[0]) || chosen(&m.edge[2]));
	view_close();
}

/* properties */

static unsigned root(unsigned *up, unsigned s)
{
	while (up[s] != s)
		s = up[s];
	return s;
}

static bool coin(unsigned one_in)
{
	return prng_below(&rng, one_in) == 0;
}

/* The same path twice in one link state is refused. */
static bool foreign_before(unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (m.foreign[i].by == m.foreign[k].by && m.foreign[i].heard == m.foreign[k].heard)
			return true;
	}
	return false;
}

static void rand_model(unsigned mesh_one_in)
{
	unsigned nodes = 2 + (unsigned)prng_below(&rng, NODES - 1);
	unsigned segments = nodes * BRIDGES;

	m = (struct model){ .n_edges = 1 + (unsigned)prng_below(&rng, EDGES - 1) };
	for (unsigned i = 0; i < m.n_edges; i++) {
		struct model_edge *e = &m.edge[i];

		*e = (struct model_edge){
			.a = (unsigned)prng_below(&rng, segments),
			.b = (unsigned)prng_below(&rng, segments),
			.generation = i + 1,
			.priority_a = (uint16_t)prng_below(&rng, 3),
			.priority_b = (uint16_t)prng_below(&rng, 3),
			.open_a = coin(2),
			.open_b = coin(2),
			.preempt_a = coin(3),
			.preempt_b = coin(3),
			.half = coin(8),
		};
		if (mesh_one_in && coin(mesh_one_in))
			e->mesh_a = e->mesh_b = true;
	}
	m.n_foreign = (unsigned)prng_below(&rng, FOREIGN);
	for (unsigned i = 0; i < m.n_foreign; i++) {
		do {
			m.foreign[i].by = (unsigned)prng_below(&rng, segments);
			m.foreign[i].heard = (unsigned)prng_below(&rng, segments);
		} while (m.foreign[i].heard == m.foreign[i].by || foreign_before(i));
	}
}

static bool live(const struct model_edge *e)
{
	const struct lsdb_node *a = &v.db->node[lsdb_find(v.db, id_of(e->a / BRIDGES))];

	return !e->half && e->a != e->b && a->member;
}

/* Components by foreign paths and, when `by_tree`, chosen edges that are no mesh edges. */
static void components(unsigned up[SEGMENTS], bool by_tree)
{
	for (unsigned s = 0; s < SEGMENTS; s++)
		up[s] = s;
	for (unsigned i = 0; i < m.n_foreign; i++) {
		const struct lsdb_node *by =
			&v.db->node[lsdb_find(v.db, id_of(m.foreign[i].by / BRIDGES))];

		if (by->member)
			up[root(up, m.foreign[i].by)] = root(up, m.foreign[i].heard);
	}
	for (unsigned i = 0; i < m.n_edges && by_tree; i++) {
		const struct model_edge *e = &m.edge[i];

		if (chosen(e) && !e->mesh_a)
			up[root(up, e->a)] = root(up, e->b);
	}
}

/* The chosen tree edges make no cycle with the foreign paths, and leave nothing out. */
static void assert_forest(void)
{
	unsigned up[SEGMENTS], live_edges = 0;

	components(up, false);
	for (unsigned i = 0; i < m.n_edges; i++) {
		const struct model_edge *e = &m.edge[i];

		live_edges += live(e);
		assert_int_equal(find(e) != NULL, live(e));
		if (!chosen(e) || e->mesh_a)
			continue;
		assert_true(root(up, e->a) != root(up, e->b));
		up[root(up, e->a)] = root(up, e->b);
	}
	for (unsigned i = 0; i < m.n_edges; i++) {
		const struct model_edge *e = &m.edge[i];

		if (live(e) && !e->mesh_a)
			assert_int_equal(root(up, e->a), root(up, e->b));
	}
	assert_int_equal(v.tree.n_edges, live_edges);
}

/*
 * Mesh: in each component at most one segment has chosen ones, at most one leads from a component
 * to another, and where two leaders have one at all, one is chosen.
 */
static void assert_mesh_rule(void)
{
	unsigned up[SEGMENTS], leader[SEGMENTS], count[SEGMENTS] = { 0 };

	components(up, true);
	memset(leader, 0xff, sizeof(leader));
	for (unsigned i = 0; i < m.n_edges; i++) {
		if (live(&m.edge[i]) && m.edge[i].mesh_a) {
			count[m.edge[i].a]++;
			count[m.edge[i].b]++;
		}
	}
	for (unsigned s = 0; s < SEGMENTS; s++) {
		unsigned r = root(up, s);

		if (count[s] && (leader[r] == UINT32_MAX || count[s] > count[leader[r]]))
			leader[r] = s;
	}
	for (unsigned i = 0; i < m.n_edges; i++) {
		const struct model_edge *e = &m.edge[i];
		unsigned a = root(up, e->a), b = root(up, e->b), n = 0;
		bool leads = leader[a] == e->a && leader[b] == e->b && a != b;

		if (!live(e) || !e->mesh_a)
			continue;
		for (unsigned k = 0; k < m.n_edges; k++) {
			const struct model_edge *o = &m.edge[k];

			if (o->mesh_a && chosen(o) &&
			    ((o->a == e->a && o->b == e->b) || (o->a == e->b && o->b == e->a)))
				n++;
		}
		assert_int_equal(n, leads);
		if (chosen(e))
			assert_true(leads);
	}
}

/* Every path is a chain of what forwards; there is one within a component and none without. */
static void assert_paths(void)
{
	unsigned up[SEGMENTS], order = 0;
	struct tree_hop hops[SEGMENTS], cut[2];

	components(up, true);
	for (unsigned x = 0; x < SEGMENTS; x++) {
		unsigned y = (x * 7 + order++) % SEGMENTS;
		struct topo_segment a = segment(x), b = segment(y);
		unsigned n = tree_path(&v.tree, &a, &b, hops, ARRAY_SIZE(hops));

		assert_int_equal(n > 0, x != y && root(up, x) == root(up, y));
		assert_true(n < SEGMENTS);
		for (unsigned i = 0; i < n; i++) {
			const struct tree_edge *e = hops[i].edge;

			assert_int_equal(segment_compare(hops[i].from, i ? hops[i - 1].to : &a), 0);
			if (!e)
				continue; /* foreign: components() agrees on the whole */
			assert_true(e->chosen && !e->mesh);
			bool onward = segment_compare(hops[i].from, &e->b->far) == 0;
			assert_int_equal(
				segment_compare(hops[i].from, onward ? &e->b->far : &e->a->far), 0);
			assert_int_equal(
				segment_compare(hops[i].to, onward ? &e->a->far : &e->b->far), 0);
		}
		if (n)
			assert_int_equal(segment_compare(hops[n - 1].to, &b), 0);
		/* With less room the count is the same, and what fits is the beginning. */
		assert_int_equal(tree_path(&v.tree, &a, &b, cut, ARRAY_SIZE(cut)), n);
		for (unsigned i = 0; i < MIN(n, 2u); i++)
			assert_ptr_equal(cut[i].from, hops[i].from);
	}
}

/* What each foreign hop of a path says must be in the model. */
static void assert_foreign_hops(void)
{
	struct tree_hop hops[SEGMENTS];

	for (unsigned x = 0; x < SEGMENTS; x++) {
		struct topo_segment a = segment(0), b = segment(x);
		unsigned n = tree_path(&v.tree, &a, &b, hops, ARRAY_SIZE(hops));

		for (unsigned i = 0; i < n; i++) {
			bool found = hops[i].edge != NULL;

			for (unsigned k = 0; k < m.n_foreign; k++) {
				struct topo_segment f = segment(m.foreign[k].by);
				struct topo_segment h = segment(m.foreign[k].heard);

				found |= segment_compare(hops[i].from, &f) == 0 &&
					 segment_compare(hops[i].to, &h) == 0;
				found |= segment_compare(hops[i].from, &h) == 0 &&
					 segment_compare(hops[i].to, &f) == 0;
			}
			assert_true(found);
		}
	}
}

static void properties(unsigned mesh_one_in)
{
	bool first[EDGES];
	unsigned order[NODES];

	for (unsigned round = 0; round < ROUNDS; round++) {
		rand_model(mesh_one_in);
		view_open(0, in_order);
		assert_forest();
		assert_mesh_rule();
		assert_paths();
		assert_foreign_hops();
		for (unsigned i = 0; i < m.n_edges; i++)
			first[i] = chosen(&m.edge[i]);
		bool member[NODES];
		for (unsigned i = 0; i < NODES; i++)
			member[i] = v.db->node[lsdb_find(v.db, id_of(i))].member;
		view_close();
		/* Any other member, in any other slots, with edges turned round: the same. */
		for (unsigned self = 1; self < NODES; self++) {
			if (!member[self])
				continue;
			shuffle(order);
			view_open(self, order);
			for (unsigned i = 0; i < m.n_edges; i++)
				assert_int_equal(chosen(&m.edge[i]), first[i]);
			view_close();
		}
	}
}

static void test_properties(void **state)
{
	(void)state;
	properties(0);
}

static void test_properties_mesh(void **state)
{
	(void)state;
	properties(2);
}

/* Kruskal's choice is minimal: an edge that is left out is the worst of its cycle. */
static void test_best(void **state)
{
	struct tree_hop hops[SEGMENTS];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		rand_model(0);
		m.n_foreign = 0;
		for (unsigned i = 0; i < m.n_edges; i++)
			m.edge[i].open_a = false;
		view_open(0, in_order);
		for (unsigned i = 0; i < v.tree.n_edges; i++) {
			const struct tree_edge *e = &v.tree.edges[i];
			bool forced = e->a->preempt && e->b->preempt;
			unsigned n =
				tree_path(&v.tree, &e->b->far, &e->a->far, hops, ARRAY_SIZE(hops));

			assert_true(n > 0);
			for (unsigned k = 0; k < n && !e->chosen; k++) {
				const struct tree_edge *o = hops[k].edge;
				bool o_forced = o->a->preempt && o->b->preempt;

				assert_true(o_forced >= forced);
				if (o_forced == forced)
					assert_true(o->priority <= e->priority);
			}
		}
		view_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_by_ids, triangle),
		cmocka_unit_test_setup(test_by_priority, triangle),
		cmocka_unit_test_setup(test_open_stays, triangle),
		cmocka_unit_test_setup(test_preempt, triangle),
		cmocka_unit_test_setup(test_foreign_first, triangle),
		cmocka_unit_test_setup(test_parallel, triangle),
		cmocka_unit_test_setup(test_not_live, triangle),
		cmocka_unit_test_setup(test_own_bridges, triangle),
		cmocka_unit_test_setup(test_own_in_place, triangle),
		cmocka_unit_test_setup(test_full_mesh, triangle),
		cmocka_unit_test_setup(test_mesh_foreign, triangle),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_properties_mesh),
		cmocka_unit_test(test_best),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
