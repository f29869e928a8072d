/* `bridgectl tunnel …` */
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"

enum exit_code cmd_tunnel_list(struct cmd_call *call)
{
	json_t *all;
	enum exit_code r = view_ask(call, "tunnel.list", NULL, &all);

	if (all)
		view_tunnels(&call->out, view_list(all, "tunnels"));
	json_decref(all);
	return r;
}

static void show_traffic(struct out *o, const json_t *t)
{
	const json_t *v;
	char buf[UNIT_LEN];
	const char *key;

	view_field(o, "received", STYLE_NONE, "%s in %.0f frames",
		   unit_bytes(view_num(t, "rx_bytes"), buf), view_num(t, "rx_frames"));
	view_field(o, "sent", STYLE_NONE, "%s in %.0f frames",
		   unit_bytes(view_num(t, "tx_bytes"), buf), view_num(t, "tx_frames"));
	json_object_foreach(json_object_get(t, "drops"), key, v)
		if (json_number_value(v) > 0)
			view_field(o, "dropped", STYLE_WARN, "%.0f by %s", json_number_value(v),
				   key);
}

static void show_tunnel(struct out *o, const json_t *t)
{
	char buf[160], since[UNIT_LEN];

	view_field(o, "tunnel", STYLE_BOLD, "%s", view_str(t, "name"));
	view_state(t, buf, sizeof(buf));
	view_field(o, "state", view_tunnel_style(view_str(t, "state")), "%s for %s", buf,
		   unit_duration_s(view_num(t, "since_s"), since));
	if (view_sentence(t)[0])
		view_field(o, "because", STYLE_NONE, "%s", view_sentence(t));
	view_field(o, "peer", STYLE_NONE, "%s", view_str(t, "peer"));
	view_bridges(t, buf, sizeof(buf));
	view_field(o, "bridge", STYLE_NONE, "%s", buf);
	view_field(o, "tap", STYLE_NONE, "%s", view_str(t, "tap"));
	view_field(o, "gate", STYLE_NONE, "%s here, %s there",
		   view_bool(t, "local_open") ? "open" : "closed",
		   view_bool(t, "remote_open") ? "open" : "closed");
	view_field(o, "mode", STYLE_NONE, "%s, priority %.0f", view_str(t, "mode"),
		   view_num(t, "priority"));
	show_traffic(o, t);
}

enum exit_code cmd_tunnel_show(struct cmd_call *call)
{
	json_t *t;
	enum exit_code r = view_ask(call, "tunnel.show", view_name_param(call), &t);

	if (t)
		show_tunnel(&call->out, t);
	json_decref(t);
	return r;
}

static enum exit_code change(struct cmd_call *call, const char *method)
{
	json_t *t;
	enum exit_code r = view_ask(call, method, view_name_param(call), &t);
	char state[160];

	if (t && !call->quiet) {
		view_state(t, state, sizeof(state));
		out_text(&call->out, STYLE_NONE, "tunnel %s: ", view_str(t, "name"));
		out_line(&call->out, view_tunnel_style(view_str(t, "state")), "%s", state);
	}
	json_decref(t);
	return r;
}

enum exit_code cmd_tunnel_up(struct cmd_call *call)
{
	return change(call, "tunnel.up");
}

enum exit_code cmd_tunnel_down(struct cmd_call *call)
{
	return change(call, "tunnel.down");
}

enum exit_code cmd_tunnel_clear(struct cmd_call *call)
{
	return change(call, "tunnel.clear");
}

enum exit_code cmd_tunnel_why(struct cmd_call *call)
{
	json_t *why;
	enum exit_code r = view_ask(call, "tunnel.why", view_name_param(call), &why);
	const json_t *s;
	char state[160];
	size_t i;

	if (why) {
		view_state(why, state, sizeof(state));
		out_text(&call->out, STYLE_BOLD, "tunnel %s: ", view_str(why, "name"));
		out_line(&call->out, view_tunnel_style(view_str(why, "state")), "%s", state);
		json_array_foreach(json_object_get(why, "sentences"), i, s)
			if (json_is_string(s))
				out_wrapped(&call->out, 2, json_string_value(s));
	}
	json_decref(why);
	return r;
}
