/*
 * `bridgectl check`: a monitoring plugin. One line "L2TUND STATE - text|performance data",
 * exit code 0 to 3, nothing on standard error (monitoring-plugins.org, "Plugin Output").
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"

#define LOSS_DEFAULT 0.02
#define PROBLEMS_NAMED 3 /* a line is for a text message: the first few say enough */
enum { OPTION_TUNNEL, OPTION_LOSS };
enum { UNKNOWN = 3 };

static const char *const words[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };

/* What the look at everything has found. */
struct finding {
	const struct cmd_call *call;
	const char *only; /* a tunnel's name, or NULL */
	double loss;
	unsigned code;
	unsigned n_problems, n_tunnels, n_forwarding, n_standby;
	char problems[512];
	char filtered[256]; /* what costs time, as information */
	json_t *perf;	    /* label -> "value with unit" */
};

static void problem(struct finding *f, unsigned code, const char *fmt, ...) _printf_(3, 4);

static void problem(struct finding *f, unsigned code, const char *fmt, ...)
{
	size_t n = strlen(f->problems);
	va_list ap;

	f->code = MAX(f->code, code);
	if (f->n_problems++ >= PROBLEMS_NAMED)
		return;
	if (n && n + 3 < sizeof(f->problems)) {
		strcpy(f->problems + n, ", ");
		n += 2;
	}
	va_start(ap, fmt);
	vsnprintf(f->problems + n, sizeof(f->problems) - n, fmt, ap);
	va_end(ap);
}

/* With one tunnel its labels need no name in front. */
static void perf(struct finding *f, const char *prefix, const char *label, double v, int decimals,
		 const char *unit)
{
	char key[96], value[48];

	snprintf(key, sizeof(key), "%s%s%s", f->only ? "" : prefix,
		 f->only || !prefix[0] ? "" : "_", label);
	snprintf(value, sizeof(value), "%.*f%s", decimals, v, unit);
	json_object_set_new(f->perf, key, json_string(value));
}

/* Asked for by name, a tunnel on standby is worth a warning whatever stands beside it. */
static enum health tunnel_health(const struct finding *f, const json_t *all, const json_t *t)
{
	if (f->only && !strcmp(view_str(t, "state"), "standby"))
		return HEALTH_WARNING;
	return view_tunnel_health(all, t);
}

static bool is_asked_for(const struct finding *f, const json_t *t)
{
	return !f->only || !strcmp(view_str(t, "name"), f->only);
}

/* What closes all gates counts for each tunnel; that some do not agree, for those that wait. */
static void look_at_topology(struct finding *f, const json_t *s, enum health wanted)
{
	char text[256];

	if (view_topology_health(json_object_get(s, "topology"), text, sizeof(text)) == wanted &&
	    (!f->only || wanted == HEALTH_CRITICAL))
		problem(f, wanted, "%s", text);
}

/* Why is told of the first one: with many down they mostly have the same cause. */
static void name_tunnel(struct finding *f, const json_t *t, enum health health)
{
	const char *why = f->n_problems ? "" : view_sentence(t);
	char state[160];

	view_state(t, state, sizeof(state));
	problem(f, health, "tunnel %s %s%s%s", view_str(t, "name"), state, why[0] ? ": " : "", why);
}

static void name_tunnels(struct finding *f, const json_t *all, enum health health)
{
	const json_t *t;
	size_t i;

	for (unsigned rank = 0; rank < VIEW_RANKS; rank++)
		json_array_foreach(all, i, t)
			if (view_tunnel_rank(t) == rank && is_asked_for(f, t) &&
			    tunnel_health(f, all, t) == health)
				name_tunnel(f, t, health);
}

static void measure_tunnel(struct finding *f, const json_t *t)
{
	const char *name = view_str(t, "name");

	f->n_tunnels++;
	f->n_forwarding += !strcmp(view_str(t, "state"), "forwarding");
	f->n_standby += !strcmp(view_str(t, "state"), "standby");
	perf(f, name, "rx_bytes", view_num(t, "rx_bytes"), 0, "c");
	perf(f, name, "tx_bytes", view_num(t, "tx_bytes"), 0, "c");
	perf(f, name, "drops", view_drops(t), 0, "c");
}

/* It is there, but not as it should be. A missing one is told by its tunnels. */
static void look_at_bridge(struct finding *f, const json_t *b)
{
	const json_t *p;
	size_t i;

	if (view_bool(b, "present") && view_str(b, "detail")[0])
		problem(f, HEALTH_WARNING, "bridge %s: %s", view_str(b, "name"),
			view_str(b, "detail"));
	json_array_foreach(json_object_get(b, "foreign"), i, p)
		problem(f, HEALTH_WARNING, "bridge %s: foreign path to %s of %s through %s",
			view_str(b, "name"), view_str(p, "bridge"), view_str(p, "node"),
			view_str(p, "via")[0] ? view_str(p, "via") : "a port not known yet");
}

static void look_at_peer(struct finding *f, const json_t *p)
{
	double in = view_num(p, "loss_rx"), out = view_num(p, "loss_tx");
	const char *name = view_str(p, "name");
	char a[UNIT_LEN];

	if (strcmp(view_str(p, "state"), "up") != 0)
		return;
	if (MAX(in, out) >= f->loss)
		problem(f, HEALTH_WARNING, "peer %s loses %s", name, unit_percent(MAX(in, out), a));
	perf(f, name, "rtt", view_num(p, "rtt_us") / 1000, 3, "ms");
	perf(f, name, "loss_rx", in * 100, 1, "%");
	perf(f, name, "loss_tx", out * 100, 1, "%");
}

static void look(struct finding *f, const json_t *s)
{
	const json_t *tunnels = json_object_get(s, "tunnels"), *t, *p, *b;
	const char *peer = NULL, *bridge = NULL;
	size_t i;

	json_array_foreach(tunnels, i, t) {
		if (!is_asked_for(f, t))
			continue;
		peer = view_str(t, "peer");
		bridge = view_str(t, "bridge");
		measure_tunnel(f, t);
	}
	look_at_topology(f, s, HEALTH_CRITICAL);
	name_tunnels(f, tunnels, HEALTH_CRITICAL);
	name_tunnels(f, tunnels, HEALTH_WARNING);
	look_at_topology(f, s, HEALTH_WARNING);
	json_array_foreach(json_object_get(s, "bridges"), i, b)
		if (!f->only || (bridge && !strcmp(bridge, view_str(b, "name"))))
			look_at_bridge(f, b);
	json_array_foreach(json_object_get(s, "peers"), i, p)
		if (!f->only || (peer && !strcmp(peer, view_str(p, "name"))))
			look_at_peer(f, p);
	view_filtered(json_object_get(s, "bridges"), f->filtered, sizeof(f->filtered));
	if (!f->n_tunnels && f->only)
		problem(f, UNKNOWN, "there is no tunnel %s", f->only);
	else if (!f->n_tunnels)
		problem(f, UNKNOWN, "no tunnel is configured");
	if (f->only)
		return;
	perf(f, "", "tunnels", f->n_tunnels, 0, "");
	perf(f, "", "forwarding", f->n_forwarding, 0, "");
	perf(f, "", "standby", f->n_standby, 0, "");
}

/* A bar would begin the performance data. */
static void text_of(const struct finding *f, char *buf, size_t size)
{
	if (f->n_problems > PROBLEMS_NAMED)
		snprintf(buf, size, "%s and %u more", f->problems, f->n_problems - PROBLEMS_NAMED);
	else if (f->n_problems)
		snprintf(buf, size, "%s", f->problems);
	else if (f->only)
		snprintf(buf, size, "tunnel %s forwarding", f->only);
	else
		snprintf(buf, size, "%u of %u tunnels forwarding, %u standby%s%s", f->n_forwarding,
			 f->n_tunnels, f->n_standby, f->filtered[0] ? "; " : "", f->filtered);
	for (char *p = buf; (p = strchr(p, '|'));)
		*p = '/';
}

static enum exit_code report(struct cmd_call *call, const struct finding *f)
{
	char text[600];
	const char *key;
	json_t *v;
	char sep = '|';

	text_of(f, text, sizeof(text));
	if (call->json) {
		v = json_pack("{s:s, s:i, s:s, s:O}", "status", words[f->code], "code",
			      (int)f->code, "text", text, "perfdata", f->perf);
		out_json(&call->out, v, false);
		json_decref(v);
		return (enum exit_code)f->code;
	}
	out_text(&call->out, STYLE_NONE, "L2TUND %s - %s", words[f->code], text);
	json_object_foreach(f->perf, key, v) {
		out_text(&call->out, STYLE_NONE, "%c'%s'=%s", sep, key, json_string_value(v));
		sep = ' ';
	}
	out_line(&call->out, STYLE_NONE, "%s", "");
	return (enum exit_code)f->code;
}

static bool parse_percent(const char *s, double *ret)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(s, &end);
	if (errno || end == s || *end || !(v >= 0 && v <= 100)) {
		cmd_error("check: --loss takes percent from 0 to 100, not \"%s\"", s);
		return false;
	}
	*ret = v / 100;
	return true;
}

enum exit_code cmd_check(struct cmd_call *call)
{
	struct finding f = { .call = call,
			     .only = call->options[OPTION_TUNNEL],
			     .loss = LOSS_DEFAULT };
	const char *loss = call->options[OPTION_LOSS];
	struct client_error err = { 0 };
	enum exit_code code;
	json_t *s;

	if (loss && !parse_percent(loss, &f.loss))
		return (enum exit_code)UNKNOWN;
	f.perf = json_object();
	s = cmd_try(call, "status", NULL, &err);
	if (s)
		look(&f, s);
	else
		problem(&f, UNKNOWN, "%s", err.message);
	code = report(call, &f);
	client_error_fini(&err);
	json_decref(f.perf);
	json_decref(s);
	return code;
}
