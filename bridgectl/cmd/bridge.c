/* `bridgectl bridge …` */
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"

enum exit_code cmd_bridge_list(struct cmd_call *call)
{
	json_t *all;
	enum exit_code r = view_ask(call, "bridge.list", NULL, &all);

	if (all)
		view_bridge_list(&call->out, view_list(all, "bridges"));
	json_decref(all);
	return r;
}

static void show_ports(struct out *o, const json_t *ports)
{
	static const struct column columns[] = {
		{ "PORT", false, 0 },
		{ "KIND", false, 0 },
		{ "LINK", false, 0 },
		{ "OWNER", false, 1 },
	};
	struct table *t;
	const json_t *p;
	size_t i;

	if (!json_array_size(ports))
		return;
	out_line(o, STYLE_NONE, "%s", "");
	t = table_new(o, columns, ARRAY_SIZE(columns));
	json_array_foreach(ports, i, p) {
		const char *kind = view_str(p, "kind");

		table_cell(t, STYLE_NONE, "%s", view_str(p, "name"));
		table_cell(t, strcmp(kind, "foreign-tap") ? STYLE_NONE : STYLE_WARN, "%s", kind);
		table_cell(t, STYLE_NONE, "%s",
			   !view_has(p, "up")	   ? "-" :
			   !view_bool(p, "up")	   ? "off" :
			   view_bool(p, "carrier") ? "up" :
						     "no carrier");
		table_cell(t, STYLE_NONE, "%s", view_str(p, "owner"));
	}
	table_end(t);
}

static void show_bridge(struct out *o, const json_t *b)
{
	bool present = view_bool(b, "present");
	const json_t *f;
	size_t i;

	view_field(o, "bridge", STYLE_BOLD, "%s", view_str(b, "name"));
	view_field(o, "state", present ? STYLE_GOOD : STYLE_BAD, "%s",
		   present ? "present" : "missing");
	if (view_str(b, "detail")[0])
		view_field(o, "because", STYLE_NONE, "%s", view_str(b, "detail"));
	if (present) {
		view_field(o, "mac", STYLE_NONE, "%s", view_str(b, "mac"));
		view_field(o, "mtu", STYLE_NONE, "%.0f", view_num(b, "mtu"));
		view_field(o, "stp", STYLE_NONE, "%s", view_bool(b, "stp") ? "on" : "off");
	}
	json_array_foreach(json_object_get(b, "foreign"), i, f)
		view_field(o, "foreign path", STYLE_BAD, "to %s of %s through %s %s",
			   view_str(f, "bridge"), view_str(f, "node"), view_str(f, "via"),
			   view_str(f, "owner"));
	show_ports(o, json_object_get(b, "ports"));
}

enum exit_code cmd_bridge_show(struct cmd_call *call)
{
	json_t *b;
	enum exit_code r = view_ask(call, "bridge.show", view_name_param(call), &b);

	if (b)
		show_bridge(&call->out, b);
	json_decref(b);
	return r;
}

/* On which side of the bridge an address is. */
static const char *side(const json_t *e)
{
	if (view_bool(e, "local"))
		return "own";
	return strcmp(view_str(e, "kind"), "tunnel") ? "here" : "there";
}

static void show_fdb(struct out *o, const json_t *entries)
{
	static const struct column columns[] = {
		{ "MAC", false, 0 },  { "VLAN", true, 2 },  { "SIDE", false, 0 },
		{ "PORT", false, 0 }, { "KIND", false, 3 }, { "TUNNEL", false, 0 },
		{ "USED", true, 1 },
	};
	struct table *t = table_new(o, columns, ARRAY_SIZE(columns));
	char buf[UNIT_LEN];
	const json_t *e;
	size_t i;

	json_array_foreach(entries, i, e) {
		double vlan = view_num(e, "vlan");

		table_cell(t, STYLE_NONE, "%s", view_str(e, "mac"));
		if (vlan > 0)
			table_cell(t, STYLE_NONE, "%.0f", vlan);
		else
			table_cell(t, STYLE_NONE, "-");
		table_cell(t, STYLE_NONE, "%s", side(e));
		table_cell(t, STYLE_NONE, "%s", view_str(e, "port"));
		table_cell(t, STYLE_NONE, "%s", view_str(e, "kind"));
		table_cell(t, STYLE_NONE, "%s", view_str(e, "tunnel"));
		if (view_bool(e, "local"))
			table_cell(t, STYLE_NONE, "-");
		else
			table_cell(t, STYLE_NONE, "%s ago",
				   unit_duration_s(view_num(e, "age_ms") / 1000, buf));
	}
	table_end(t);
}

enum exit_code cmd_bridge_fdb(struct cmd_call *call)
{
	json_t *fdb;
	enum exit_code r = view_ask(call, "bridge.fdb", view_name_param(call), &fdb);

	if (fdb)
		show_fdb(&call->out, json_object_get(fdb, "entries"));
	if (view_bool(fdb, "truncated"))
		out_line(&call->out, STYLE_WARN,
			 "There are more; `bridge fdb show br %s` of iproute2 lists all.",
			 call->args[0]);
	json_decref(fdb);
	return r;
}

enum exit_code cmd_announce(struct cmd_call *call)
{
	json_t *done;
	enum exit_code r = view_ask(
		call, "announce",
		json_pack("{s:s, s:s*}", "name", call->args[0], "mac", call->options[0]), &done);

	if (done && !call->quiet)
		out_line(&call->out, STYLE_NONE, "bridge %s: %.0f announcements sent",
			 view_str(done, "name"), view_num(done, "frames"));
	json_decref(done);
	return r;
}
