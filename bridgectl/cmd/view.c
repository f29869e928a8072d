/*
 * The daemon's objects as text. Every field may be missing, of another type or odd: then
 * a neutral value is shown, so that bridgectl works with daemons somewhat older or newer.
 */
#include "bridgectl/cmd/view.h"

#include <stdarg.h>
#include <string.h>

#define DISAGREEING_LONG_S 10
#define NAMES_SHOWN 8

static const char *view_text(const json_t *v)
{
	const char *s = json_string_value(v);

	return s ? s : "";
}

const char *view_str(const json_t *o, const char *key)
{
	return view_text(json_object_get(o, key));
}

double view_num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

bool view_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

bool view_has(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v && !json_is_null(v);
}

double view_drops(const json_t *o)
{
	const json_t *drops = json_object_get(o, "drops");
	double sum = json_number_value(drops);
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)drops, key, v)
		sum += json_number_value(v);
	return sum;
}

enum style view_tunnel_style(const char *state)
{
	if (!strcmp(state, "forwarding"))
		return STYLE_GOOD;
	if (!strcmp(state, "standby"))
		return STYLE_NONE;
	if (!strcmp(state, "handshake") || !strcmp(state, "prepare"))
		return STYLE_WARN;
	return STYLE_BAD;
}

enum style view_peer_style(const char *state)
{
	if (!strcmp(state, "up"))
		return STYLE_GOOD;
	return !strcmp(state, "down") ? STYLE_BAD : STYLE_WARN;
}

static bool same_field(const json_t *a, const json_t *b, const char *key)
{
	return !strcmp(view_str(a, key), view_str(b, key));
}

/*
 * Another tunnel from the same bridge forwards, so that the far segment is reached in some way;
 * one that is parallel, between the same two bridges.
 */
static bool has_active_sibling(const json_t *all, const json_t *tunnel)
{
	bool parallel = !strcmp(view_str(tunnel, "reason"), "parallel");
	const json_t *t;
	size_t i;

	json_array_foreach(all, i, t)
		if (same_field(t, tunnel, "bridge") && !same_field(t, tunnel, "name") &&
		    (!parallel || same_field(t, tunnel, "remote_bridge")) &&
		    !strcmp(view_str(t, "state"), "forwarding"))
			return true;
	return false;
}

/* It waits for what another one does; for any other reason it should forward and does not. */
static bool is_spare(const json_t *tunnel)
{
	static const char *const reasons[] = { "parallel", "cycle", "priority", "" };

	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++)
		if (!strcmp(view_str(tunnel, "reason"), reasons[i]))
			return true;
	return false;
}

enum health view_tunnel_health(const json_t *all, const json_t *tunnel)
{
	const char *state = view_str(tunnel, "state");

	/* What forwards and has something to say loses frames. */
	if (!strcmp(state, "forwarding"))
		return view_str(tunnel, "detail")[0] ? HEALTH_WARNING : HEALTH_OK;
	if (!strcmp(state, "standby"))
		return is_spare(tunnel) && has_active_sibling(all, tunnel) ? HEALTH_OK :
									     HEALTH_WARNING;
	if (!strcmp(state, "prepare"))
		return HEALTH_WARNING;
	/* A peer that is there answers within a second; one that is not is the same as down. */
	if (!strcmp(state, "handshake") && view_num(tunnel, "since_s") < 10)
		return HEALTH_WARNING;
	return HEALTH_CRITICAL;
}

unsigned view_tunnel_rank(const json_t *tunnel)
{
	const char *state = view_str(tunnel, "state");

	return !strcmp(state, "latched") ? 0 : !strcmp(state, "blocked") ? 1 : 2;
}

const struct view_alarm view_alarms[] = {
	{ "twin", "another node uses the private key of this one, so all gates are closed; find "
		  "the host that it was copied to (or this daemon's second start) and give one of "
		  "the two a key of its own" },
	{ "overflow",
	  "more nodes, tunnels or foreign paths are joined than this node has room for, "
	  "so all gates are closed; take some out, or split the network" },
};
const unsigned view_alarms_len = ARRAY_SIZE(view_alarms);

/* "xen2, xen3 and 4 more" */
static void names_text(const json_t *names, char *buf, size_t size)
{
	size_t n = 0, i;
	const json_t *x;

	buf[0] = '\0';
	json_array_foreach(names, i, x) {
		int r;

		if (i == NAMES_SHOWN) {
			snprintf(buf + n, size - n, " and %zu more", json_array_size(names) - i);
			return;
		}
		r = snprintf(buf + n, size - n, "%s%.31s", i ? ", " : "", view_text(x));
		if (r < 0 || n + (size_t)r >= size)
			return;
		n += (size_t)r;
	}
}

enum health view_topology_health(const json_t *topology, char *buf, size_t size)
{
	double s = view_num(topology, "disagreeing_s"), n = view_num(topology, "disagreeing");
	char names[NAMES_SHOWN * 40 + 40], since[UNIT_LEN];

	for (unsigned i = 0; i < view_alarms_len; i++)
		if (view_bool(topology, view_alarms[i].key)) {
			snprintf(buf, size, "%s", view_alarms[i].sentence);
			return HEALTH_CRITICAL;
		}
	if (n < 1 || s <= DISAGREEING_LONG_S)
		return HEALTH_OK;
	names_text(json_object_get(topology, "waiting_for"), names, sizeof(names));
	snprintf(buf, size,
		 "%.0f of %.0f nodes %s not agreed with this one about the topology for %s, so no "
		 "further gate opens%s%s",
		 n, view_num(topology, "members"), n < 2 ? "has" : "have",
		 unit_duration_s(s, since), names[0] ? "; waiting for " : "", names);
	return HEALTH_WARNING;
}

void view_state(const json_t *tunnel, char *buf, size_t size)
{
	const char *state = view_str(tunnel, "state"), *reason = view_str(tunnel, "reason");

	snprintf(buf, size, "%s%s%s%s", state[0] ? state : "unknown", reason[0] ? " (" : "", reason,
		 reason[0] ? ")" : "");
}

static const struct {
	const char *reason, *sentence;
} sentences[] = {
	{ "parallel", "another tunnel joins the same two bridges and forwards" },
	{ "cycle", "the far bridge is reached through other tunnels; opening this one would loop" },
	{ "priority", "a tunnel with a better priority forwards" },
	{ "admin", "switched off by hand; `bridgectl tunnel up` lets it work again" },
	{ "foreign", "the two bridges are already joined by something that is not ours" },
	{ "watchdog", "our own frames came back through it: there was a loop" },
	{ "storm", "the same frames came again and again: there was a loop" },
	{ "recursion", "the tunnel's packets would travel through the tunnel itself" },
	{ "one-way", "packets pass in one direction only" },
	{ "no-bridge", "its bridge does not exist here" },
	{ "no-peer", "the peer does not answer" },
	{ "unreachable", "the peer's address cannot be reached or resolved" },
	{ "remote", "the far end does not agree yet, or it is switched off there" },
	{ "port", "its TAP device or its place in the bridge cannot be had" },
	{ "lease", "nothing authenticated was heard from the peer in time" },
	{ "identity", "another node uses the private key of this one, so all gates are closed" },
	{ "overflow", "more is joined than this node has room for, so all gates are closed" },
};

const char *view_sentence(const json_t *tunnel)
{
	const char *detail = view_str(tunnel, "detail"), *reason = view_str(tunnel, "reason");

	if (detail[0])
		return detail;
	for (unsigned i = 0; i < ARRAY_SIZE(sentences); i++)
		if (!strcmp(sentences[i].reason, reason))
			return sentences[i].sentence;
	return "";
}

void view_bridges(const json_t *tunnel, char *buf, size_t size)
{
	const char *here = view_str(tunnel, "bridge"), *there = view_str(tunnel, "remote_bridge");
	bool same = !there[0] || !strcmp(here, there);

	snprintf(buf, size, "%s%s%s", here, same ? "" : " = ", same ? "" : there);
}

const char *view_filtered(const json_t *bridges, char *buf, size_t size)
{
	char filters[128] = "", names[NAMES_SHOWN * 40 + 40];
	json_t *list = json_array();
	const json_t *b;
	size_t i;

	json_array_foreach(bridges, i, b) {
		const json_t *f = json_object_get(b, "filters");

		if (!json_array_size(f))
			continue;
		json_array_append(list, json_object_get(b, "name"));
		if (!filters[0])
			names_text(f, filters, sizeof(filters));
	}
	names_text(list, names, sizeof(names));
	json_decref(list);
	snprintf(buf, size, "%s%s%s", names, names[0] ? ": frames also pass " : "", filters);
	return buf;
}

void view_field(struct out *o, const char *name, enum style style, const char *fmt, ...)
{
	_cleanup_free_ char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	va_end(ap);
	out_text(o, STYLE_DIM, "%-14s", name);
	out_line(o, style, "%s", value && value[0] ? value : "-");
}

json_t *view_name_param(const struct cmd_call *call)
{
	return json_pack("{s:s}", "name", call->args[0]);
}

enum exit_code view_ask(struct cmd_call *call, const char *method, json_t *params,
			json_t **ret_result)
{
	json_t *result = cmd_ask(call, method, params);

	*ret_result = NULL;
	if (!result)
		return call->failed;
	if (!call->json) {
		*ret_result = result;
		return EXIT_DONE;
	}
	out_json(&call->out, result, false);
	json_decref(result);
	return EXIT_DONE;
}

const json_t *view_list(const json_t *result, const char *key)
{
	return json_is_array(result) ? result : json_object_get(result, key);
}
