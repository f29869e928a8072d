/*
 * `bridgectl events`: what the daemon remembers, and with -f what comes.
 *
 * With -f it subscribes first and asks for the old ones then: an event that comes between the
 * two answers is in the list, and client_call() drops it from the stream, so none is
 * missing and none is shown twice.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"
#include "common/control.h"

#define OLD_WHEN_FOLLOWING 10
enum { OPTION_FOLLOW, OPTION_LINES };

static enum style event_style(const json_t *e)
{
	const char *kind = view_str(e, "event"), *to = view_str(e, "to");

	if (!strcmp(kind, "tunnel"))
		return view_tunnel_style(to);
	if (!strcmp(kind, "topology"))
		return !strcmp(to, "agreed")	  ? STYLE_GOOD :
		       !strcmp(to, "disagreeing") ? STYLE_WARN :
						    STYLE_BAD;
	return !strcmp(kind, "peer") ? view_peer_style(to) : STYLE_NONE;
}

static void show_event(struct out *o, const json_t *e)
{
	const char *reason = view_str(e, "reason"), *detail = view_str(e, "detail");
	const char *from = view_str(e, "from"); /* empty: not a change, but what has happened */

	if (!strcmp(view_str(e, "event"), "lost")) {
		out_line(o, STYLE_WARN,
			 "%.0f events are lost: they came faster than they were read",
			 view_num(e, "count"));
		return;
	}
	out_text(o, STYLE_DIM, "%s ", view_str(e, "time"));
	out_text(o, STYLE_NONE, "%s %s: %s%s", view_str(e, "event"), view_str(e, "name"), from,
		 from[0] ? " -> " : "");
	out_text(o, event_style(e), "%s", view_str(e, "to"));
	out_line(o, STYLE_NONE, "%s%s%s%s%s", reason[0] ? " (" : "", reason, reason[0] ? ")" : "",
		 detail[0] ? ": " : "", detail);
}

static void show_last(struct cmd_call *call, const json_t *events, size_t max, bool lines)
{
	size_t n = json_array_size(events), i = n > max ? n - max : 0;

	for (; i < n; i++)
		if (lines)
			out_json(&call->out, json_array_get(events, i), true);
		else
			show_event(&call->out, json_array_get(events, i));
}

static enum exit_code follow(struct cmd_call *call)
{
	struct client_error err = { 0 };
	json_t *e;

	fflush(call->out.f);
	while ((e = client_event(call->client, &err))) {
		if (call->json)
			out_json(&call->out, e, true);
		else
			show_event(&call->out, e);
		json_decref(e);
		if (fflush(call->out.f))
			return EXIT_FAILED;
	}
	cmd_error("%s", err.message);
	client_error_fini(&err);
	return EXIT_UNREACHABLE;
}

static bool parse_lines(const char *s, size_t *ret)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(s, &end, 10);
	if (errno || *end || s[0] < '0' || s[0] > '9') {
		cmd_error("events: --lines takes a number, not \"%s\"", s);
		return false;
	}
	*ret = n;
	return true;
}

enum exit_code cmd_events(struct cmd_call *call)
{
	bool follows = call->options[OPTION_FOLLOW], cut = call->options[OPTION_LINES];
	size_t max = follows ? OLD_WHEN_FOLLOWING : CONTROL_EVENTS_KEPT;
	json_t *r;

	if (cut && !parse_lines(call->options[OPTION_LINES], &max))
		return EXIT_USAGE;
	if (follows) {
		r = cmd_ask(call, "events.subscribe", NULL);
		if (!r)
			return call->failed;
		json_decref(r);
	}
	r = cmd_ask(call, "events", NULL);
	if (!r)
		return call->failed;
	if (call->json && !follows && !cut)
		out_json(&call->out, r, false);
	else
		show_last(call, view_list(r, "events"), max, call->json);
	json_decref(r);
	return follows ? follow(call) : EXIT_DONE;
}
