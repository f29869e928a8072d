/*
 * Codec of link states. What lsa_parse() accepts is sorted, has no edge twice, and its names
 * are safe to print; so two nodes that hold the same bytes compute the same tree, and
 * the one end of an edge is found from the other by bisection.
 */
#include "l2tund/topology/lsa.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/tlv.h"
#include "common/util.h"

#define LSA_VERSION 1
#define EDGE_F_OPEN 0x01
#define EDGE_F_PREEMPT 0x02
#define EDGE_F_MESH 0x04
#define EDGE_F_READY 0x08

/* order */

struct topo_segment segment_of(const uint8_t node[TOPO_NODE_ID_BYTES], const char *bridge)
{
	struct topo_segment s = { .bridge = "" };

	memcpy(s.node, node, sizeof(s.node));
	memcpy(s.bridge, bridge, strnlen(bridge, TOPO_BRIDGE_MAX));
	return s;
}

int segment_compare(const struct topo_segment *a, const struct topo_segment *b)
{
	int c = memcmp(a->node, b->node, sizeof(a->node));

	return c ? c : strcmp(a->bridge, b->bridge);
}

int lsa_edge_compare(const void *a, const void *b)
{
	const struct lsa_edge *x = a, *y = b;
	int c = segment_compare(&x->far, &y->far);

	if (c == 0)
		c = strcmp(x->local, y->local);
	return c ? c : (x->generation > y->generation) - (x->generation < y->generation);
}

int lsa_foreign_compare(const void *a, const void *b)
{
	const struct lsa_foreign *x = a, *y = b;
	int c = strcmp(x->local, y->local);

	return c ? c : segment_compare(&x->heard, &y->heard);
}

const struct lsa_edge *lsa_find_mirror(const struct lsa *far,
				       const uint8_t near_node[TOPO_NODE_ID_BYTES],
				       const struct lsa_edge *near)
{
	struct lsa_edge key = { .generation = near->generation };

	if (!far->n_edges)
		return NULL;
	memcpy(key.far.node, near_node, sizeof(key.far.node));
	memcpy(key.far.bridge, near->local, sizeof(key.far.bridge));
	memcpy(key.local, near->far.bridge, sizeof(key.local));
	return bsearch(&key, far->edges, far->n_edges, sizeof(key), lsa_edge_compare);
}

/* out */

static void put_segment(struct tlv_writer *w, const struct topo_segment *s)
{
	tlv_put_bytes(w, s->node, sizeof(s->node));
	tlv_put_text(w, s->bridge);
}

static void put_edge(struct tlv_writer *w, const struct lsa_edge *e)
{
	tlv_put_text(w, e->local);
	put_segment(w, &e->far);
	tlv_put_u64(w, e->generation);
	tlv_put_u16(w, e->priority);
	tlv_put_u8(w, (uint8_t)((e->open ? EDGE_F_OPEN : 0) | (e->preempt ? EDGE_F_PREEMPT : 0) |
				(e->mesh ? EDGE_F_MESH : 0) | (e->ready ? EDGE_F_READY : 0)));
}

int lsa_build(const struct lsa *l, uint8_t *buf, size_t cap)
{
	struct tlv_writer w = tlv_writer(buf, cap);

	tlv_put_u8(&w, LSA_VERSION);
	tlv_put_text(&w, l->name);
	tlv_put_u16(&w, (uint16_t)l->n_edges);
	for (unsigned i = 0; i < l->n_edges; i++)
		put_edge(&w, &l->edges[i]);
	tlv_put_u16(&w, (uint16_t)l->n_foreign);
	for (unsigned i = 0; i < l->n_foreign; i++) {
		tlv_put_text(&w, l->foreign[i].local);
		put_segment(&w, &l->foreign[i].heard);
	}
	return w.bad ? -ENOBUFS : (int)w.len;
}

/* in */

static bool get_bridge(struct tlv_reader *r, char bridge[TOPO_BRIDGE_MAX + 1])
{
	tlv_get_text(r, bridge, TOPO_BRIDGE_MAX + 1);
	return !r->bad && name_valid(bridge, TOPO_BRIDGE_MAX);
}

static bool get_segment(struct tlv_reader *r, struct topo_segment *s)
{
	const uint8_t *node = tlv_get_bytes(r, sizeof(s->node));

	if (!node)
		return false;
	memcpy(s->node, node, sizeof(s->node));
	return get_bridge(r, s->bridge);
}

static bool get_edge(struct tlv_reader *r, struct lsa_edge *e)
{
	if (!get_bridge(r, e->local) || !get_segment(r, &e->far))
		return false;
	e->generation = tlv_get_u64(r);
	e->priority = tlv_get_u16(r);
	uint8_t flags = tlv_get_u8(r);
	e->open = flags & EDGE_F_OPEN;
	e->preempt = flags & EDGE_F_PREEMPT;
	e->mesh = flags & EDGE_F_MESH;
	e->ready = flags & EDGE_F_READY;
	return !r->bad;
}

static int parse_edges(struct tlv_reader *r, struct lsa *l)
{
	unsigned n = tlv_get_u16(r);

	if (r->bad || n > TOPO_EDGES_MAX)
		return -EBADMSG;
	l->edges = calloc(n ? n : 1, sizeof(*l->edges));
	if (!l->edges)
		return -ENOMEM;
	for (; l->n_edges < n; l->n_edges++) {
		struct lsa_edge *e = &l->edges[l->n_edges];

		if (!get_edge(r, e) || (l->n_edges && lsa_edge_compare(e - 1, e) >= 0))
			return -EBADMSG;
	}
	return 0;
}

static int parse_foreign(struct tlv_reader *r, struct lsa *l)
{
	unsigned n = tlv_get_u16(r);

	if (r->bad || n > TOPO_FOREIGN_MAX)
		return -EBADMSG;
	l->foreign = calloc(n ? n : 1, sizeof(*l->foreign));
	if (!l->foreign)
		return -ENOMEM;
	for (; l->n_foreign < n; l->n_foreign++) {
		struct lsa_foreign *f = &l->foreign[l->n_foreign];

		if (!get_bridge(r, f->local) || !get_segment(r, &f->heard) ||
		    (l->n_foreign && lsa_foreign_compare(f - 1, f) >= 0))
			return -EBADMSG;
	}
	return 0;
}

int lsa_parse(const uint8_t *buf, size_t len, struct lsa *ret)
{
	struct tlv_reader r = tlv_reader(buf, len);
	struct lsa l = { .n_edges = 0 };
	int e = tlv_get_u8(&r) == LSA_VERSION ? 0 : -EBADMSG;

	tlv_get_text(&r, l.name, sizeof(l.name));
	if (e == 0 && (r.bad || !name_valid(l.name, NAME_MAX_LEN)))
		e = -EBADMSG;
	if (e == 0)
		e = parse_edges(&r, &l);
	if (e == 0)
		e = parse_foreign(&r, &l);
	if (e < 0) {
		lsa_fini(&l);
		return e;
	}
	*ret = l;
	return 0;
}

void lsa_fini(struct lsa *l)
{
	free(l->edges);
	free(l->foreign);
	*l = (struct lsa){ .n_edges = 0 };
}
