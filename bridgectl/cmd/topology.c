/*
 * `bridgectl topology`: what this node knows of all nodes, for people. One tree for each
 * Ethernet, this node's own first; what is wrong stands in red where it is.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/graph.h"
#include "bridgectl/cmd/graph_dot.h"
#include "bridgectl/cmd/view.h"
#include "common/proc.h"

#define DEPTH_MAX 48   /* what is deeper is counted: nobody reads it at that indent */
#define NAMES_SHOWN 12 /* in one line */
#define PRIORITY_USUAL 100
#define DOT_TIMEOUT_MS 60000
#define SVG_BYTES_MAX ((size_t)64 << 20)
enum { OPTION_DOT, OPTION_SVG };

/* How lines are drawn; the last of a branch and the ones before. */
struct strokes {
	const char *through, *blank;
	const char *branch[2], *foreign[2], *idle[2];
};

static const struct strokes drawn = {
	.through = "│  ",
	.blank = "   ",
	.branch = { "├─ ", "└─ " },
	.foreign = { "╞═ ", "╘═ " },
	.idle = { "├┄ ", "└┄ " },
};
static const struct strokes typed = {
	.through = "|  ",
	.blank = "   ",
	.branch = { "|- ", "`- " },
	.foreign = { "|= ", "`= " },
	.idle = { "|. ", "`. " },
};

struct picture {
	struct out *out;
	const struct graph *graph;
	const struct strokes *strokes;
	bool verbose;
	const char *prefix[DEPTH_MAX]; /* of a line, by depth */
};

/* --- One line --- */

static enum style kind_style(enum link_kind k)
{
	static const enum style styles[LINK_KINDS] = {
		[LINK_FORWARDING] = STYLE_GOOD, [LINK_OPENING] = STYLE_WARN,
		[LINK_FOREIGN] = STYLE_BAD,	[LINK_STANDBY] = STYLE_NONE,
		[LINK_BLOCKED] = STYLE_BAD,	[LINK_HALF] = STYLE_WARN,
	};

	return styles[k];
}

static void kind_text(const struct graph_link *l, char *buf, size_t size)
{
	static const char *const words[LINK_KINDS] = {
		[LINK_FORWARDING] = "forwarding",
		[LINK_OPENING] = "opening",
		[LINK_FOREIGN] = "FOREIGN PATH, not ours",
		[LINK_STANDBY] = "standby",
		[LINK_BLOCKED] = "blocked",
		[LINK_HALF] = "known to one end only",
	};
	bool own = view_str(l->json, "tunnel")[0] && view_str(l->json, "state")[0];

	/* Our end may still be on its way where both gates are open already. */
	if (l->kind != LINK_FOREIGN && own)
		view_state(l->json, buf, size);
	else
		snprintf(buf, size, "%s", words[l->kind]);
}

/* Where a foreign path comes in, as far as this node knows. */
static void foreign_details(struct out *o, const json_t *heard, const char *joint)
{
	const char *via = view_str(heard, "via"), *owner = view_str(heard, "owner");

	if (via[0])
		out_text(o, STYLE_BAD, "%s port %s%s%s%s", joint, via, owner[0] ? " (" : "", owner,
			 owner[0] ? ")" : "");
}

static void closed_gates(struct picture *p, const struct graph_link *l)
{
	const json_t *a = json_object_get(l->json, "a"), *b = json_object_get(l->json, "b");
	bool open_a = view_bool(l->json, "open_a"), open_b = view_bool(l->json, "open_b");

	if (open_a && open_b)
		return;
	out_text(p->out, STYLE_NONE, ", gate closed at %s%s%s", open_a ? "" : view_str(a, "name"),
		 open_a || open_b ? "" : " and ", open_b ? "" : view_str(b, "name"));
}

static void link_text(struct picture *p, const struct graph_link *l)
{
	const char *tunnel = view_str(l->json, "tunnel");
	double priority = view_num(l->json, "priority");
	char state[160];

	kind_text(l, state, sizeof(state));
	out_text(p->out, kind_style(l->kind), "%s", state);
	if (l->kind == LINK_FOREIGN) {
		foreign_details(p->out, l->json, ": behind");
		foreign_details(p->out, l->back, view_str(l->json, "via")[0] ? " and" : ": behind");
		return;
	}
	if (tunnel[0])
		out_text(p->out, STYLE_NONE, ", tunnel %s", tunnel);
	if (p->verbose || (priority > 0 && priority != PRIORITY_USUAL))
		out_text(p->out, STYLE_NONE, ", priority %.0f", priority);
	if (!strcmp(view_str(l->json, "mode"), "mesh"))
		out_text(p->out, STYLE_NONE, ", mesh");
	if (l->kind == LINK_OPENING)
		closed_gates(p, l);
}

static void segment_text(struct picture *p, unsigned segment)
{
	const struct graph_node *n = &p->graph->nodes[p->graph->segments[segment].node];
	_cleanup_free_ char *label = graph_label(p->graph, segment);

	out_text(p->out, n->self ? STYLE_BOLD : STYLE_NONE, "%s", label);
	if (n->member && !n->agrees)
		out_text(p->out, STYLE_WARN, " (does not agree yet)");
}

/* --- The tree --- */

static bool is_branch(const struct graph *g, unsigned segment, unsigned link)
{
	return g->segments[link_far(&g->links[link], segment)].parent == link;
}

/* A line of this segment: a branch, or something else that is written at this end. */
static bool is_item(const struct graph *g, unsigned segment, unsigned link)
{
	if (link == g->segments[segment].parent)
		return false;
	return is_branch(g, segment, link) || g->links[link].a == segment;
}

static unsigned count_items(const struct graph *g, unsigned segment)
{
	const struct graph_segment *s = &g->segments[segment];
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++)
		n += is_item(g, segment, g->at[s->first + i]);
	return n;
}

static void put_prefix(struct picture *p, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		out_text(p->out, STYLE_DIM, "%s", p->prefix[i]);
}

static void draw_below(struct picture *p, unsigned segment, unsigned depth);

static void draw_item(struct picture *p, unsigned segment, unsigned link, unsigned depth, bool last)
{
	const struct graph_link *l = &p->graph->links[link];
	bool branch = is_branch(p->graph, segment, link);
	/* In a mesh frames pass more lines than the tree has branches. */
	const char *const *strokes = l->kind == LINK_FOREIGN ? p->strokes->foreign :
				     link_joins(l->kind)     ? p->strokes->branch :
							       p->strokes->idle;

	put_prefix(p, depth);
	out_text(p->out, l->kind == LINK_FOREIGN ? STYLE_BAD : STYLE_DIM, "%s", strokes[last]);
	segment_text(p, link_far(l, segment));
	out_text(p->out, STYLE_NONE, "  ");
	link_text(p, l);
	out_line(p->out, STYLE_NONE, "%s", "");
	p->prefix[depth] = last ? p->strokes->blank : p->strokes->through;
	if (branch)
		draw_below(p, link_far(l, segment), depth + 1);
}

static void draw_below(struct picture *p, unsigned segment, unsigned depth)
{
	const struct graph_segment *s = &p->graph->segments[segment];
	unsigned left = count_items(p->graph, segment);

	if (depth == DEPTH_MAX && left) {
		put_prefix(p, depth);
		out_line(p->out, STYLE_WARN, "... %u more bridges behind it, too deep to draw",
			 s->below - 1);
		return;
	}
	for (unsigned i = 0; i < s->n; i++)
		if (is_item(p->graph, segment, p->graph->at[s->first + i]))
			draw_item(p, segment, p->graph->at[s->first + i], depth, !--left);
}

static void draw_blocks(struct picture *p)
{
	const struct graph *g = p->graph;

	for (unsigned i = 0; i < g->n_roots; i++) {
		const struct graph_segment *s = &g->segments[g->roots[i]];
		bool self = g->nodes[s->node].self;

		/* A far bridge alone: what leads to it stands where it begins. */
		if (!self && !count_items(g, g->roots[i]))
			continue;
		out_line(p->out, STYLE_NONE, "%s", "");
		segment_text(p, g->roots[i]);
		out_line(p->out, STYLE_NONE, self ? "  (this node)" : "  (elsewhere)");
		draw_below(p, g->roots[i], 0);
	}
}

/* --- What stands above --- */

/* "a, b and 3 more", of the members that do not agree. */
static void disagreeing_names(struct picture *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->graph->n_nodes; i++) {
		const struct graph_node *x = &p->graph->nodes[i];
		_cleanup_free_ char *label = NULL;

		if (!x->member || x->agrees || n++ >= NAMES_SHOWN)
			continue;
		label = graph_node_label(x);
		out_text(p->out, STYLE_WARN, "%s%s", n > 1 ? ", " : "", label);
	}
	if (n > NAMES_SHOWN)
		out_text(p->out, STYLE_WARN, " and %u more", n - NAMES_SHOWN);
}

static void alarms(struct out *o, const json_t *t)
{
	for (unsigned i = 0; i < view_alarms_len; i++)
		if (view_bool(t, view_alarms[i].key))
			out_line(o, STYLE_BAD, "ALARM: %s.", view_alarms[i].sentence);
}

static void headline(struct picture *p, const json_t *t)
{
	double members = view_num(t, "members"), not = view_num(t, "disagreeing");

	if (members <= 1)
		out_line(p->out, STYLE_NONE,
			 "No tunnel joins this node with another one now; `bridgectl status` says "
			 "why.");
	else if (not <= 0)
		out_line(p->out, STYLE_GOOD, "%.0f nodes, all agree.", members);
	else {
		out_text(p->out, STYLE_WARN, "%.0f nodes, %.0f not in agreement yet: ", members,
			 not );
		disagreeing_names(p);
		out_line(p->out, STYLE_WARN, "; until then no further gate opens.");
	}
	if (p->verbose)
		view_field(p->out, "digest", STYLE_NONE, "%s", view_str(t, "digest"));
}

static void show_text(struct cmd_call *call, const struct graph *g, const json_t *t)
{
	struct picture p = { .out = &call->out,
			     .graph = g,
			     .strokes = call->out.utf8 ? &drawn : &typed,
			     .verbose = call->verbose };

	alarms(p.out, t);
	headline(&p, t);
	draw_blocks(&p);
	if (g->truncated)
		out_line(p.out, STYLE_WARN, "There is more than is drawn.");
}

/* --- The picture --- */

static enum exit_code dot_failed(int r, const struct proc_result *result)
{
	if (r == -ENOENT)
		cmd_error("topology --svg: there is no program dot on this host; install the "
			  "package graphviz, or draw what --dot prints elsewhere");
	else if (r == -ETIMEDOUT)
		cmd_error("topology --svg: dot did not end within %d s; the text form shows all",
			  DOT_TIMEOUT_MS / 1000);
	else if (r == -EMSGSIZE)
		cmd_error("topology --svg: the picture has more than %zu MiB; the text form shows "
			  "all",
			  SVG_BYTES_MAX >> 20);
	else if (r < 0)
		cmd_error("topology --svg: cannot run dot: %s", strerror(-r));
	else
		cmd_error("topology --svg: dot failed with exit code %d: %s", result->exit_code,
			  result->err);
	return EXIT_FAILED;
}

static enum exit_code show_svg(struct cmd_call *call, const char *text, size_t len)
{
	static const struct proc_limits limits = { .timeout_ms = DOT_TIMEOUT_MS,
						   .out_bytes = SVG_BYTES_MAX };
	const char *const argv[] = { "dot", "-Tsvg", NULL };
	struct proc_result result;
	int r = proc_run(argv, &limits, text, len, &result);
	enum exit_code code = EXIT_DONE;

	if (r < 0 || result.exit_code)
		code = dot_failed(r, &result);
	else
		fwrite(result.out, 1, result.out_len, call->out.f);
	proc_result_fini(&result);
	return code;
}

static enum exit_code show_graph(struct cmd_call *call, const struct graph *g)
{
	size_t len;
	_cleanup_free_ char *text = graph_dot(g, &len);

	if (call->options[OPTION_SVG])
		return show_svg(call, text, len);
	fwrite(text, 1, len, call->out.f);
	return EXIT_DONE;
}

enum exit_code cmd_topology(struct cmd_call *call)
{
	bool picture = call->options[OPTION_DOT] || call->options[OPTION_SVG];
	enum exit_code code;
	struct graph g;
	json_t *t;

	if (call->json + !!call->options[OPTION_DOT] + !!call->options[OPTION_SVG] > 1) {
		cmd_error("topology: one of --json, --dot and --svg, not two");
		return EXIT_USAGE;
	}
	code = view_ask(call, "topology", NULL, &t);
	if (!t)
		return code;
	graph_init(&g, t);
	if (picture)
		code = show_graph(call, &g);
	else
		show_text(call, &g, t);
	graph_fini(&g);
	json_decref(t);
	return code;
}
