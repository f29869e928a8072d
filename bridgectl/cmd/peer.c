/* `bridgectl peer …` */
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"

enum exit_code cmd_peer_list(struct cmd_call *call)
{
	json_t *all;
	enum exit_code r = view_ask(call, "peer.list", NULL, &all);

	if (all)
		view_peers(&call->out, view_list(all, "peers"));
	json_decref(all);
	return r;
}

static void show_path(struct out *o, const json_t *p)
{
	char a[UNIT_LEN], b[UNIT_LEN];

	view_field(o, "round trip", STYLE_NONE, "%s", unit_rtt_us(view_num(p, "rtt_us"), a));
	view_field(o, "loss", STYLE_NONE, "%s in, %s out", unit_percent(view_num(p, "loss_rx"), a),
		   unit_percent(view_num(p, "loss_tx"), b));
	view_field(o, "path MTU", STYLE_NONE, "%.0f bytes", view_num(p, "path_mtu"));
	view_field(o, "data", STYLE_NONE, "%s, %s", view_str(p, "data_mode"),
		   view_str(p, "cipher"));
}

static void show_peer(struct out *o, const json_t *p)
{
	const char *state = view_str(p, "state");
	char buf[UNIT_LEN];
	const char *key;
	json_t *v;

	view_field(o, "peer", STYLE_BOLD, "%s", view_str(p, "name"));
	view_field(o, "state", view_peer_style(state), "%s for %s", state[0] ? state : "unknown",
		   unit_duration_s(view_num(p, "since_s"), buf));
	if (view_str(p, "detail")[0])
		view_field(o, "because", STYLE_NONE, "%s", view_str(p, "detail"));
	view_field(o, "public key", STYLE_NONE, "%s", view_str(p, "public_key"));
	view_field(o, "calls itself", STYLE_NONE, "%s", view_str(p, "name_far"));
	view_field(o, "configured at", STYLE_NONE, "%s",
		   view_str(p, "address")[0] ? view_str(p, "address") : "no address: it calls us");
	view_field(o, "endpoint", STYLE_NONE, "%s", view_str(p, "endpoint"));
	if (!strcmp(state, "up"))
		show_path(o, p);
	view_field(o, "received", STYLE_NONE, "%s", unit_bytes(view_num(p, "rx_bytes"), buf));
	view_field(o, "sent", STYLE_NONE, "%s", unit_bytes(view_num(p, "tx_bytes"), buf));
	json_object_foreach(json_object_get(p, "drops"), key, v)
		if (json_number_value(v) > 0)
			view_field(o, "dropped", STYLE_WARN, "%.0f by %s", json_number_value(v),
				   key);
}

enum exit_code cmd_peer_show(struct cmd_call *call)
{
	json_t *p;
	enum exit_code r = view_ask(call, "peer.show", view_name_param(call), &p);

	if (p)
		show_peer(&call->out, p);
	json_decref(p);
	return r;
}
