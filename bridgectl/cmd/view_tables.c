/* The tables of tunnels, peers and bridges, shown by `status` and by the list commands. */
#include <string.h>

#include "bridgectl/cmd/view.h"

static void cell_bytes(struct table *t, double v)
{
	char buf[UNIT_LEN];

	table_cell(t, STYLE_NONE, "%s", unit_bytes(v, buf));
}

static void cell_count(struct table *t, double v, enum style nonzero)
{
	char buf[UNIT_LEN];

	table_cell(t, v > 0 ? nonzero : STYLE_NONE, "%s", unit_count(v, buf));
}

static void cell_since(struct table *t, const json_t *o)
{
	char buf[UNIT_LEN];

	table_cell(t, STYLE_NONE, "%s", unit_duration_s(view_num(o, "since_s"), buf));
}

static void tunnel_row(struct table *t, const json_t *x)
{
	char buf[160];

	table_cell(t, STYLE_NONE, "%s", view_str(x, "name"));
	view_state(x, buf, sizeof(buf));
	table_cell(t, view_tunnel_style(view_str(x, "state")), "%s", buf);
	table_cell(t, STYLE_NONE, "%s", view_str(x, "peer"));
	view_bridges(x, buf, sizeof(buf));
	table_cell(t, STYLE_NONE, "%s", buf);
	cell_since(t, x);
	cell_bytes(t, view_num(x, "rx_bytes"));
	cell_bytes(t, view_num(x, "tx_bytes"));
	cell_count(t, view_drops(x), STYLE_WARN);
}

void view_tunnels(struct out *o, const json_t *tunnels)
{
	static const struct column columns[] = {
		{ "TUNNEL", false, 0 }, { "STATE", false, 0 }, { "PEER", false, 0 },
		{ "BRIDGE", false, 0 }, { "FOR", false, 3 },   { "RX", true, 2 },
		{ "TX", true, 1 },	{ "DROPS", true, 4 },
	};
	struct table *t = table_new(o, columns, ARRAY_SIZE(columns));
	const json_t *x;
	size_t i;

	for (unsigned rank = 0; rank < VIEW_RANKS; rank++)
		json_array_foreach(tunnels, i, x)
			if (view_tunnel_rank(x) == rank)
				tunnel_row(t, x);
	table_end(t);
}

static void peer_path_cells(struct table *t, const json_t *x)
{
	bool up = !strcmp(view_str(x, "state"), "up");
	double rx = view_num(x, "loss_rx"), tx = view_num(x, "loss_tx");
	char a[UNIT_LEN], b[UNIT_LEN];

	if (!up) {
		table_cell(t, STYLE_NONE, "-");
		table_cell(t, STYLE_NONE, "-");
		table_cell(t, STYLE_NONE, "-");
		return;
	}
	table_cell(t, STYLE_NONE, "%s", unit_rtt_us(view_num(x, "rtt_us"), a));
	table_cell(t, rx > 0.02 || tx > 0.02 ? STYLE_WARN : STYLE_NONE, "%s/%s",
		   unit_percent(rx, a), unit_percent(tx, b));
	table_cell(t, STYLE_NONE, "%.0f", view_num(x, "path_mtu"));
}

void view_peers(struct out *o, const json_t *peers)
{
	static const struct column columns[] = {
		{ "PEER", false, 0 }, { "STATE", false, 0 }, { "ENDPOINT", false, 0 },
		{ "FOR", false, 4 },  { "RTT", true, 1 },    { "LOSS IN/OUT", true, 2 },
		{ "MTU", true, 6 },   { "DATA", false, 5 },  { "RX", true, 3 },
		{ "TX", true, 3 },
	};
	struct table *t = table_new(o, columns, ARRAY_SIZE(columns));
	const json_t *x;
	size_t i;

	json_array_foreach(peers, i, x) {
		const char *endpoint = view_str(x, "endpoint");

		table_cell(t, STYLE_NONE, "%s", view_str(x, "name"));
		table_cell(t, view_peer_style(view_str(x, "state")), "%s", view_str(x, "state"));
		table_cell(t, STYLE_NONE, "%s", endpoint[0] ? endpoint : view_str(x, "address"));
		cell_since(t, x);
		peer_path_cells(t, x);
		table_cell(t, STYLE_NONE, "%s", view_str(x, "data_mode"));
		cell_bytes(t, view_num(x, "rx_bytes"));
		cell_bytes(t, view_num(x, "tx_bytes"));
	}
	table_end(t);
}

/* "eth1, l2t-sv, tap3 (vtund pid 812)" */
static void ports_text(const json_t *ports, char *buf, size_t size)
{
	size_t n = 0, i;
	const json_t *p;

	buf[0] = '\0';
	json_array_foreach(ports, i, p) {
		const char *owner = view_str(p, "owner");
		bool odd = !strcmp(view_str(p, "kind"), "foreign-tap");
		int r = snprintf(buf + n, size - n, "%s%s%s%s%s", n ? ", " : "",
				 view_str(p, "name"), odd ? " (" : "",
				 odd ? (owner[0] ? owner : "foreign tap") : "", odd ? ")" : "");

		if (r < 0 || n + (size_t)r >= size)
			return;
		n += (size_t)r;
	}
}

void view_bridge_list(struct out *o, const json_t *bridges)
{
	static const struct column columns[] = {
		{ "BRIDGE", false, 0 }, { "STATE", false, 0 }, { "MAC", false, 3 },
		{ "MTU", true, 2 },	{ "STP", false, 4 },   { "PORTS", false, 0 },
	};
	struct table *t = table_new(o, columns, ARRAY_SIZE(columns));
	const json_t *x;
	char ports[512];
	size_t i;

	json_array_foreach(bridges, i, x) {
		bool present = view_bool(x, "present");
		double mtu = view_num(x, "mtu");

		table_cell(t, STYLE_NONE, "%s", view_str(x, "name"));
		table_cell(t, present ? STYLE_GOOD : STYLE_BAD, "%s",
			   present ? "present" : "missing");
		table_cell(t, STYLE_NONE, "%s", view_str(x, "mac"));
		if (mtu > 0)
			table_cell(t, STYLE_NONE, "%.0f", mtu);
		else
			table_cell(t, STYLE_NONE, "-");
		table_cell(t, STYLE_NONE, "%s",
			   !present	       ? "-" :
			   view_bool(x, "stp") ? "on" :
						 "off");
		ports_text(json_object_get(x, "ports"), ports, sizeof(ports));
		table_cell(t, STYLE_NONE, "%s", ports);
	}
	table_end(t);
}
