/*
 * Reads the tree and writes JSON; changes nothing but the watch's own memory. What is joined
 * to this node comes first and is never left out: an answer has to fit what may wait for a client.
 */
#include "l2tund/topology_json.h"

#include <stdio.h>

#include "common/jsonline.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/topology/lsa.h"
#include "l2tund/topology/view.h"
#include "l2tund/tunnel.h"

/* Some 400 bytes each at worst, in a reply of a MiB. */
#define EDGES_MAX 1600
#define FOREIGN_MAX 600

#define LOOK_US (200 * US_PER_MS)

const char *node_id_format(const uint8_t id[TOPO_NODE_ID_BYTES], char buf[NODE_HEXLEN])
{
	for (unsigned i = 0; i < TOPO_NODE_ID_BYTES; i++)
		snprintf(buf + 2 * i, 3, "%02x", id[i]);
	return buf;
}

struct listing {
	struct daemon *daemon;
	json_t *nodes, *edges, *foreign;
	bool own;	/* what touches this node; else the rest */
	bool truncated; /* some of the rest is left out */
};

static bool is_self(const struct daemon *d, const struct topo_segment *s)
{
	return memcmp(s->node, sessions_node_id(d->sessions), sizeof(s->node)) == 0;
}

static json_t *segment_json(const struct topo_segment *s, const char *name)
{
	char id[NODE_HEXLEN];

	return json_pack("{s:s s:o s:o}", "node", node_id_format(s->node, id), "name",
			 jsonline_text(name), "bridge", jsonline_text(s->bridge));
}

static void list_node(void *arg, const struct topo_node_view *v)
{
	struct listing *l = arg;
	char id[NODE_HEXLEN];

	json_array_append_new(l->nodes,
			      json_pack("{s:s s:o s:b s:b s:b s:I s:I}", "id",
					node_id_format(v->id, id), "name", jsonline_text(v->name),
					"self", v->self, "member", v->member, "agrees", v->agrees,
					"incarnation", (json_int_t)v->incarnation, "seq",
					(json_int_t)v->seq));
}

/* Edges */

static bool has_room(struct listing *l, const json_t *list, size_t max)
{
	if (l->own || json_array_size(list) < max)
		return true;
	l->truncated = true;
	return false;
}

/* Ours, of one that only one end has told of: the tree does not know it as ours. */
static const struct tunnel *tunnel_between(const struct daemon *d, const struct topo_segment *a,
					   const struct topo_segment *b)
{
	const struct topo_segment *here = is_self(d, a) ? a : b, *there = here == a ? b : a;
	const struct tunnel *t;

	TAILQ_FOREACH(t, &d->tunnels, link) {
		struct topo_segment near = tunnel_near_segment(t), far = tunnel_far_segment(t);

		if (!t->edge_up && segment_compare(&near, here) == 0 &&
		    segment_compare(&far, there) == 0)
			return t;
	}
	return NULL;
}

static const char *derived_state(const struct topo_edge_view *v)
{
	if (!v->listed_a || !v->listed_b)
		return "half";
	if (!v->in_tree)
		return "standby";
	return v->open_a && v->open_b ? "forwarding" : "opening";
}

static json_t *edge_json(const struct topo_edge_view *v, const struct tunnel *t)
{
	json_t *o = json_pack("{s:o s:o s:i s:s s:b s:b s:b s:b s:b s:b}", "a",
			      segment_json(&v->a, v->name_a), "b", segment_json(&v->b, v->name_b),
			      "priority", v->priority, "mode", v->mesh ? "mesh" : "tree", "live",
			      v->listed_a && v->listed_b, "listed_a", v->listed_a, "listed_b",
			      v->listed_b, "in_tree", v->in_tree, "open_a", v->open_a, "open_b",
			      v->open_b);

	if (o)
		json_object_update_new(
			o, json_pack("{s:s? s:s s:s}", "tunnel", t ? t->name : NULL, "state",
				     t ? tunnel_state_name(t->state) : derived_state(v), "reason",
				     t ? tunnel_reason_name(t->reason) : ""));
	return o;
}

/* Of our own tunnels both gates are known as they are now; what the tree knows is told later. */
static void set_gates(struct topo_edge_view *v, const struct daemon *d, const struct tunnel *t)
{
	bool far_open = session_far_open(t->peer->session, t->far_id);
	bool first = is_self(d, &v->a);

	v->open_a = first ? t->gate.open : far_open;
	v->open_b = first ? far_open : t->gate.open;
}

static void list_edge(void *arg, const struct topo_edge_view *view)
{
	struct listing *l = arg;
	struct topo_edge_view copy = *view, *v = &copy;
	bool ours = is_self(l->daemon, &v->a) || is_self(l->daemon, &v->b);
	const struct tunnel *t = v->own ? topo_edge_user(v->own) : NULL;

	if (ours != l->own || !has_room(l, l->edges, EDGES_MAX))
		return;
	/* A tunnel of ours that is not up is written from what it knows itself. */
	if (ours && !t && tunnel_between(l->daemon, &v->a, &v->b))
		return;
	if (t && t->edge_up)
		set_gates(v, l->daemon, t);
	json_array_append_new(l->edges, edge_json(v, t));
}

/* One that the tree has not: blocked, down, on its way. Its far end may never have been heard. */
static void list_tunnel(struct listing *l, const struct tunnel *t)
{
	struct topo_edge_view v = { .a = tunnel_near_segment(t),
				    .b = tunnel_far_segment(t),
				    .priority = t->cfg->priority,
				    .mesh = t->cfg->mesh };
	struct session_info i;

	session_get_info(t->peer->session, &i);
	v.name_a = l->daemon->config->node.name;
	v.name_b = *i.far_name ? i.far_name : t->peer->name;
	json_t *o = edge_json(&v, t);
	/* No id yet: the peer's name is all there is. */
	if (!i.far_incarnation)
		json_object_set_new(json_object_get(o, "b"), "node", json_string(""));
	json_array_append_new(l->edges, o);
}

/* Foreign paths */

static const struct guard_heard *heard_here(struct daemon *d, const struct topo_foreign_view *v)
{
	struct bridge *b = is_self(d, &v->by) ? daemon_find_bridge(d, v->by.bridge) : NULL;

	return b ? guard_find(&b->guard, v->heard.node, v->heard.bridge) : NULL;
}

static void list_foreign(void *arg, const struct topo_foreign_view *v)
{
	struct listing *l = arg;
	bool ours = is_self(l->daemon, &v->by) || is_self(l->daemon, &v->heard);

	if (ours != l->own || !has_room(l, l->foreign, FOREIGN_MAX))
		return;
	const struct guard_heard *h = heard_here(l->daemon, v);
	json_t *o = json_pack("{s:o s:o}", "by", segment_json(&v->by, v->name_by), "heard",
			      segment_json(&v->heard, v->name_heard));
	if (!o)
		return;
	json_object_set_new(o, "via", h ? jsonline_text(h->via) : json_null());
	json_object_set_new(o, "owner", h ? jsonline_text(h->owner) : json_null());
	json_array_append_new(l->foreign, o);
}

static const struct topo_visitor own_first = { .node = list_node,
					       .edge = list_edge,
					       .foreign = list_foreign };
static const struct topo_visitor the_rest = { .edge = list_edge, .foreign = list_foreign };

json_t *topology_json(struct daemon *d)
{
	struct listing l = { .daemon = d,
			     .nodes = json_array(),
			     .edges = json_array(),
			     .foreign = json_array(),
			     .own = true };
	struct topo_summary s;
	const struct tunnel *t;

	topo_get_summary(d->topo, &s);
	topo_visit(d->topo, &own_first, &l);
	TAILQ_FOREACH(t, &d->tunnels, link) {
		if (!t->edge_up)
			list_tunnel(&l, t);
	}
	l.own = false;
	topo_visit(d->topo, &the_rest, &l);
	return json_pack("{s:s s:i s:i s:b s:b s:o s:o s:o s:b}", "digest", s.digest, "members",
			 (int)s.members, "disagreeing", (int)s.disagreeing, "overflow", s.overflow,
			 "twin", s.twin, "nodes", l.nodes, "edges", l.edges, "foreign", l.foreign,
			 "truncated", l.truncated);
}

/* Of status */

static void list_disagreeing(void *arg, const struct topo_node_view *v)
{
	char id[NODE_HEXLEN];

	if (v->member && !v->agrees)
		json_array_append_new(
			arg, jsonline_text(*v->name ? v->name : node_id_format(v->id, id)));
}

json_t *topology_summary_json(struct daemon *d)
{
	static const struct topo_visitor visitor = { .node = list_disagreeing };
	uint64_t since_us = d->topology.disagree_us;
	json_t *names = json_array();
	struct topo_summary s;

	topo_get_summary(d->topo, &s);
	topo_visit(d->topo, &visitor, names);
	return json_pack("{s:s s:i s:i s:I s:o s:b s:b}", "digest", s.digest, "members",
			 (int)s.members, "disagreeing", (int)s.disagreeing, "disagreeing_s",
			 since_us ? (json_int_t)((daemon_now_us(d) - since_us) / US_PER_S) : 0,
			 "waiting_for", names, "overflow", s.overflow, "twin", s.twin);
}

/* The watch */

enum { AGREED, DISAGREEING, TWIN, OVERFLOW };

static const char *const words[] = { "agreed", "disagreeing", "twin", "overflow" };

static unsigned watch_state(const struct daemon *d, const struct topo_summary *s)
{
	uint64_t since_us = d->topology.disagree_us;

	if (s->twin)
		return TWIN;
	if (s->overflow)
		return OVERFLOW;
	/* Each change of the network makes everybody disagree for a moment. */
	return since_us && daemon_now_us(d) - since_us >= TOPOLOGY_PATIENCE_US ? DISAGREEING :
										 AGREED;
}

/* "not yet in agreement: xen2, xen3", as far as there is room. */
static void watch_detail(struct daemon *d, char *buf, size_t size)
{
	static const struct topo_visitor visitor = { .node = list_disagreeing };
	json_t *names = json_array();
	size_t i, n = 0;
	const json_t *x;

	buf[0] = '\0';
	topo_visit(d->topo, &visitor, names);
	json_array_foreach(names, i, x) {
		if (n + 64 > size)
			break;
		n += (size_t)snprintf(buf + n, size - n, "%s%.31s",
				      i ? ", " : "not yet in agreement: ", json_string_value(x));
	}
	json_decref(names);
}

/* That all gates were closed is told as an alarm; that this is over, here. */
static void watch_tell(struct daemon *d, unsigned state)
{
	struct topology_watch *w = &d->topology;
	char detail[256] = "";

	if (state == DISAGREEING)
		watch_detail(d, detail, sizeof(detail));
	if (state == AGREED || state == DISAGREEING)
		events_change(d->events, "topology", d->config->node.name, words[w->told],
			      words[state], "", detail);
	w->told = state;
}

uint64_t topology_watch(struct daemon *d)
{
	struct topology_watch *w = &d->topology;
	uint64_t now_us = daemon_now_us(d);
	struct topo_summary s;

	if (now_us < w->look_us)
		return w->due_us == NEVER ? NEVER : MAX(w->due_us, w->look_us);
	w->look_us = now_us + LOOK_US;
	topo_get_summary(d->topo, &s);
	if (!s.disagreeing)
		w->disagree_us = 0;
	else if (!w->disagree_us)
		w->disagree_us = now_us;
	unsigned state = watch_state(d, &s);
	if (state != w->told)
		watch_tell(d, state);
	w->due_us =
		w->disagree_us && state == AGREED ? w->disagree_us + TOPOLOGY_PATIENCE_US : NEVER;
	return w->due_us;
}
