/*
 * `bridgectl status`: one screen, the worst first. Whoever is woken by an alarm must find what
 * is wrong, since when and why in the first lines.
 */
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"

#define LOSS_WORTH_TELLING 0.02

struct attention {
	struct out *out;
	unsigned n, n_tunnels;
};

static void point_at(struct attention *a, const char *kind, const char *name, enum style style,
		     const char *state, const char *sentence)
{
	if (!a->n++)
		out_heading(a->out, "NEEDS ATTENTION");
	out_text(a->out, STYLE_NONE, "  %s %s: ", kind, name);
	out_line(a->out, style, "%s", state);
	if (sentence[0])
		out_wrapped(a->out, 4, sentence);
}

static void attention_tunnel(struct attention *a, const json_t *t)
{
	char state[160], line[256], since[UNIT_LEN];

	a->n_tunnels++;
	view_state(t, state, sizeof(state));
	snprintf(line, sizeof(line), "%s for %s", state,
		 unit_duration_s(view_num(t, "since_s"), since));
	point_at(a, "tunnel", view_str(t, "name"), view_tunnel_style(view_str(t, "state")), line,
		 view_sentence(t));
}

static void attention_tunnels(struct attention *a, const json_t *tunnels, enum health health)
{
	const json_t *t;
	size_t i;

	for (unsigned rank = 0; rank < VIEW_RANKS; rank++)
		json_array_foreach(tunnels, i, t)
			if (view_tunnel_rank(t) == rank && view_tunnel_health(tunnels, t) == health)
				attention_tunnel(a, t);
}

/* What closes all gates, or keeps them from opening. */
static void attention_topology(struct attention *a, const json_t *s, enum health wanted)
{
	static const char *const words[] = { "", "no agreement", "all gates closed" };
	const json_t *node = json_object_get(s, "node");
	char text[768];

	if (view_topology_health(json_object_get(s, "topology"), text, sizeof(text)) == wanted)
		point_at(a, "node", view_str(node, "name"),
			 wanted == HEALTH_CRITICAL ? STYLE_BAD : STYLE_WARN, words[wanted], text);
}

/* A tunnel with this value under `key` has said already what is wrong. */
static bool is_told(const json_t *tunnels, const char *key, const char *value)
{
	const json_t *t;
	size_t i;

	json_array_foreach(tunnels, i, t)
		if (!strcmp(view_str(t, key), value) && view_tunnel_health(tunnels, t) != HEALTH_OK)
			return true;
	return false;
}

static void attention_bridges(struct attention *a, const json_t *bridges, const json_t *tunnels)
{
	const json_t *b, *f;
	char text[256];
	size_t i, k;

	json_array_foreach(bridges, i, b) {
		const char *name = view_str(b, "name");

		if (view_bool(b, "present") && view_str(b, "detail")[0])
			point_at(a, "bridge", name, STYLE_WARN, "trouble", view_str(b, "detail"));
		else if (!view_bool(b, "present") && !is_told(tunnels, "bridge", name))
			point_at(a, "bridge", name, STYLE_BAD, "missing", view_str(b, "detail"));
		json_array_foreach(json_object_get(b, "foreign"), k, f) {
			snprintf(text, sizeof(text),
				 "reaches %s of %s through %s%s%s, which is no tunnel of ours",
				 view_str(f, "bridge"), view_str(f, "node"),
				 view_str(f, "via")[0] ? view_str(f, "via") :
							 "a port not known yet",
				 view_str(f, "owner")[0] ? " of " : "", view_str(f, "owner"));
			point_at(a, "bridge", name, STYLE_BAD, "foreign path", text);
		}
	}
}

static void attention_peers(struct attention *a, const json_t *peers, const json_t *tunnels)
{
	char rx[UNIT_LEN], tx[UNIT_LEN], text[96];
	const json_t *p;
	size_t i;

	json_array_foreach(peers, i, p) {
		double in = view_num(p, "loss_rx"), out = view_num(p, "loss_tx");
		bool up = !strcmp(view_str(p, "state"), "up");

		if (!up && !is_told(tunnels, "peer", view_str(p, "name")))
			point_at(a, "peer", view_str(p, "name"),
				 view_peer_style(view_str(p, "state")), view_str(p, "state"),
				 view_str(p, "detail"));
		else if (up && (in > LOSS_WORTH_TELLING || out > LOSS_WORTH_TELLING)) {
			snprintf(text, sizeof(text), "loses %s of packets in, %s out",
				 unit_percent(in, rx), unit_percent(out, tx));
			point_at(a, "peer", view_str(p, "name"), STYLE_WARN, text, "");
		}
	}
}

/* Where to go on: the list says that it is so, not why. */
static void point_on(const struct attention *a)
{
	if (a->n_tunnels)
		out_line(a->out, STYLE_DIM, "  (`bridgectl tunnel why NAME` shows the evidence)");
}

/* Slow is not broken: this is told, and all may be well. */
static void note_filtered(struct out *o, const json_t *bridges)
{
	char text[512];

	if (view_filtered(bridges, text, sizeof(text))[0])
		out_line(o, STYLE_DIM, "Note: %s, which costs time; see PERFORMANCE in l2tund(8).",
			 text);
}

static unsigned count_forwarding(const json_t *tunnels)
{
	unsigned n = 0;
	const json_t *t;
	size_t i;

	json_array_foreach(tunnels, i, t)
		n += !strcmp(view_str(t, "state"), "forwarding");
	return n;
}

static void node_line(struct out *o, const json_t *s)
{
	const json_t *node = json_object_get(s, "node"), *tunnels = json_object_get(s, "tunnels");
	char up[UNIT_LEN];

	out_text(o, STYLE_BOLD, "%s", view_str(node, "name"));
	out_line(o, STYLE_NONE, ": l2tund %s, up %s, %u of %zu tunnels forwarding",
		 view_str(node, "version"), unit_duration_s(view_num(node, "uptime_s"), up),
		 count_forwarding(tunnels), json_array_size(tunnels));
}

static void node_details(struct out *o, const json_t *node)
{
	const json_t *v;
	const char *key;
	size_t i;

	view_field(o, "id", STYLE_NONE, "%s", view_str(node, "id"));
	view_field(o, "public key", STYLE_NONE, "%s", view_str(node, "public_key"));
	json_array_foreach(json_object_get(node, "listen"), i, v)
		view_field(o, "listens at", STYLE_NONE, "%s", json_string_value(v));
	json_object_foreach(json_object_get(node, "counters"), key, v)
		if (json_number_value(v) > 0)
			view_field(o, "refused", STYLE_NONE, "%s: %.0f", key, json_number_value(v));
}

static void section(struct out *o, const char *title, const json_t *list,
		    void (*show)(struct out *o, const json_t *list))
{
	if (!json_array_size(list))
		return;
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, title);
	show(o, list);
}

static void status_text(struct cmd_call *call, const json_t *s)
{
	const json_t *tunnels = json_object_get(s, "tunnels");
	struct attention a = { .out = &call->out };

	node_line(&call->out, s);
	if (call->verbose)
		node_details(&call->out, json_object_get(s, "node"));
	out_line(&call->out, STYLE_NONE, "%s", "");
	attention_topology(&a, s, HEALTH_CRITICAL);
	attention_tunnels(&a, tunnels, HEALTH_CRITICAL);
	attention_bridges(&a, json_object_get(s, "bridges"), tunnels);
	attention_topology(&a, s, HEALTH_WARNING);
	attention_tunnels(&a, tunnels, HEALTH_WARNING);
	attention_peers(&a, json_object_get(s, "peers"), tunnels);
	point_on(&a);
	if (!json_array_size(tunnels))
		out_line(&call->out, STYLE_WARN,
			 "No tunnel is configured: add a tunnel section to l2tund.conf, "
			 "then `bridgectl reload`.");
	else if (!a.n)
		out_line(&call->out, STYLE_GOOD, "All is well.");
	note_filtered(&call->out, json_object_get(s, "bridges"));
	section(&call->out, "TUNNELS", tunnels, view_tunnels);
	section(&call->out, "PEERS", json_object_get(s, "peers"), view_peers);
	section(&call->out, "BRIDGES", json_object_get(s, "bridges"), view_bridge_list);
}

enum exit_code cmd_status(struct cmd_call *call)
{
	json_t *s;
	enum exit_code r = view_ask(call, "status", NULL, &s);

	if (s)
		status_text(call, s);
	json_decref(s);
	return r;
}
