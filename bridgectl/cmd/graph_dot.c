/*
 * A picture for people: nodes are clusters, bridges boxes in them, what joins them lines. Ids in
 * the text are our own numbers; names stand in labels only, cleaned and quoted.
 */
#include "bridgectl/cmd/graph_dot.h"

#include <err.h>
#include <stdio.h>

#include "bridgectl/cmd/view.h"

static const char *const styles[LINK_KINDS] = {
	[LINK_FORWARDING] = "style=solid, penwidth=2, color=\"#1a7f37\"",
	[LINK_OPENING] = "style=solid, color=\"#9a6700\"",
	[LINK_FOREIGN] = "style=bold, penwidth=4, color=\"red\", fontcolor=\"red\"",
	[LINK_STANDBY] = "style=dashed, color=\"#57606a\"",
	[LINK_BLOCKED] = "style=dashed, color=\"red\"",
	[LINK_HALF] = "style=dotted, color=\"#57606a\"",
};

/* In double quotes, where a backslash begins an escape of dot's own. */
static void put_quoted(FILE *f, const char *text)
{
	_cleanup_free_ char *clean = out_clean(text);

	fputc('"', f);
	for (const char *p = clean; *p; p++) {
		if (*p == '"' || *p == '\\')
			fputc('\\', f);
		fputc(*p, f);
	}
	fputc('"', f);
}

/* Our own tunnels by name and state; of the others, what is not as usual. */
static void label_text(const struct graph_link *l, char *buf, size_t size)
{
	static const char *const words[LINK_KINDS] = {
		[LINK_FORWARDING] = "",	    [LINK_OPENING] = "opening",
		[LINK_FOREIGN] = "",	    [LINK_STANDBY] = "standby",
		[LINK_BLOCKED] = "blocked", [LINK_HALF] = "one end only",
	};
	const char *tunnel = view_str(l->json, "tunnel"), *via = view_str(l->json, "via");
	char state[96];

	view_state(l->json, state, sizeof(state));
	if (!via[0] && l->back)
		via = view_str(l->back, "via");
	if (l->kind == LINK_FOREIGN)
		snprintf(buf, size, "foreign path%s%s", via[0] ? " at " : "", via);
	else if (tunnel[0] && l->kind != LINK_FORWARDING)
		snprintf(buf, size, "%s: %s", tunnel, state);
	else
		snprintf(buf, size, "%s", tunnel[0] ? tunnel : words[l->kind]);
}

static void put_link(FILE *f, const struct graph_link *l)
{
	char label[160];

	label_text(l, label, sizeof(label));
	fprintf(f, "\ts%u -- s%u [%s, label=", l->a, l->b, styles[l->kind]);
	put_quoted(f, label);
	fputs("];\n", f);
}

static void put_cluster(FILE *f, const struct graph *g, unsigned *segment, unsigned number)
{
	unsigned node = g->segments[*segment].node;
	const struct graph_node *n = &g->nodes[node];
	_cleanup_free_ char *label = graph_node_label(n);

	fprintf(f, "\tsubgraph cluster_%u {\n\t\tlabel=", number);
	put_quoted(f, label);
	fprintf(f, ";\n\t\tstyle=\"rounded%s\";\n", n->self ? ",bold" : "");
	if (n->member && !n->agrees)
		fputs("\t\tcolor=\"#9a6700\";\n\t\tfontcolor=\"#9a6700\";\n", f);
	for (; *segment < g->n_segments && g->segments[*segment].node == node; ++*segment) {
		fprintf(f, "\t\ts%u [label=", *segment);
		put_quoted(f, g->segments[*segment].bridge);
		fputs("];\n", f);
	}
	fputs("\t}\n", f);
}

char *graph_dot(const struct graph *g, size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);
	unsigned number = 0;

	if (!f)
		errx(EXIT_FAILED, "out of memory");
	fputs("graph l2tund {\n"
	      "\tgraph [rankdir=LR, fontname=\"sans-serif\"];\n"
	      "\tnode [shape=box, fontname=\"sans-serif\"];\n"
	      "\tedge [fontname=\"sans-serif\", fontsize=10];\n",
	      f);
	/* Segments are in the order of their nodes. */
	for (unsigned s = 0; s < g->n_segments;)
		put_cluster(f, g, &s, number++);
	for (unsigned i = 0; i < g->n_links; i++)
		put_link(f, &g->links[i]);
	fputs("}\n", f);
	if (fclose(f))
		errx(EXIT_FAILED, "out of memory");
	return text;
}
