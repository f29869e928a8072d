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

static const struct {
	const char *reason, *sentence;
} losses[] = {
	{ "gate", "the tunnel was not forwarding" },
	{ "policer", "the bridge flooded more than `policer` in l2tund.conf allows" },
	{ "queue", "the session or its socket did not take them" },
	{ "malformed", "not Ethernet frames, or with offload state that is wrong" },
	{ "no-key", "the session had no key" },
	{ "no-room", "datagrams are too small for any piece of them" },
	{ "path-mtu", "larger than the path allows; what follows is made smaller" },
	{ "lease", "the peer was silent for too long, or the tunnel closed, before they left" },
	{ "socket-full", "the socket took no more; l2tund(8) has a part about performance" },
	{ "socket", "the socket refused the datagram" },
	{ "tap", "the bridge's port refused them" },
	{ "auth", "datagrams that the peer did not send, or damaged ones" },
	{ "replay", "datagrams that came twice, or much too late" },
	{ "decode", "the content of datagrams was malformed" },
	{ "chunk-timeout", "a piece of the frame was lost on the way" },
	{ "chunk-full", "too many frames were on their way in pieces" },
	{ "chunk-conflict", "pieces that contradict each other" },
	{ "chunk-reset", "half received when the session ended" },
};

static const char *loss_sentence(const char *reason)
{
	for (unsigned i = 0; i < ARRAY_SIZE(losses); i++)
		if (!strcmp(losses[i].reason, reason))
			return losses[i].sentence;
	return "";
}

/* `known` are those that have been shown, of the same names, or NULL. */
static void show_losses(struct out *o, const json_t *drops, const json_t *known, const char *whose)
{
	const json_t *v;
	const char *key;

	json_object_foreach((json_t *)drops, key, v) {
		double n = json_number_value(v) - view_num(known, key);
		const char *sentence = loss_sentence(key);

		if (n > 0)
			view_field(o, "dropped", STYLE_WARN, "%.0f by %s%s%s%s", n, key, whose,
				   sentence[0] ? ": " : "", sentence);
	}
}

/* A session's losses are those of all tunnels to the peer: which one's they were is not known. */
static void show_drops(struct out *o, const json_t *t)
{
	const json_t *all = json_object_get(t, "drops_by_reason");
	const json_t *own = json_object_get(all, "tunnel");
	char whose[96];

	if (!json_is_object(all)) {
		show_losses(o, json_object_get(t, "drops"), NULL, "");
		return;
	}
	snprintf(whose, sizeof(whose), " in the session with %.31s", view_str(t, "peer"));
	show_losses(o, own, NULL, "");
	show_losses(o, json_object_get(all, "session"), own, whose);
}

static void show_offloads(struct out *o, const json_t *offloads)
{
	char active[512] = "";
	size_t n = 0;
	const json_t *v;
	const char *key;

	if (!json_is_object(offloads))
		return;
	json_object_foreach((json_t *)offloads, key, v)
		if (view_bool(v, "active") && n < sizeof(active))
			n += (size_t)snprintf(active + n, sizeof(active) - n, "%s%s", n ? ", " : "",
					      key);
	view_field(o, "offloads", STYLE_NONE, "%s", active);
	json_object_foreach((json_t *)offloads, key, v)
		if (!view_bool(v, "active"))
			view_field(o, "inactive", STYLE_NONE, "%s: %s", key, view_str(v, "why"));
}

static void show_traffic(struct out *o, const json_t *t)
{
	char buf[UNIT_LEN];

	view_field(o, "received", STYLE_NONE, "%s in %.0f frames",
		   unit_bytes(view_num(t, "rx_bytes"), buf), view_num(t, "rx_frames"));
	view_field(o, "sent", STYLE_NONE, "%s in %.0f frames",
		   unit_bytes(view_num(t, "tx_bytes"), buf), view_num(t, "tx_frames"));
	show_drops(o, t);
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
	show_offloads(o, json_object_get(t, "offloads"));
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
