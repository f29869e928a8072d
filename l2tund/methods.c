/*
 * One row per control method. A handler looks up, calls one thing, and answers; what it
 * does belongs to the object that it does it to.
 */
#include "l2tund/methods.h"

#include <errno.h>
#include <stdio.h>

#include "common/jsonline.h"
#include "common/log.h"
#include "l2tund/announce.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/reload.h"
#include "l2tund/status.h"
#include "l2tund/topology_json.h"
#include "l2tund/tunnel.h"
#include "l2tund/why.h"

static const char *param(const json_t *params, const char *key)
{
	return json_string_value(json_object_get(params, key));
}

static struct tunnel *find_tunnel(struct daemon *d, const json_t *params, struct ctl_error *err)
{
	struct tunnel *t = daemon_find_tunnel(d, param(params, "name"));

	if (!t)
		ctl_fail(err, "not-found",
			 "tunnel %s is not configured; `bridgectl tunnel list` shows all",
			 param(params, "name"));
	return t;
}

static struct peer *find_peer(struct daemon *d, const json_t *params, struct ctl_error *err)
{
	struct peer *p = daemon_find_peer(d, param(params, "name"));

	if (!p)
		ctl_fail(err, "not-found",
			 "peer %s is not configured; `bridgectl peer list` shows all",
			 param(params, "name"));
	return p;
}

static struct bridge *find_bridge(struct daemon *d, const json_t *params, struct ctl_error *err)
{
	struct bridge *b = daemon_find_bridge(d, param(params, "name"));

	if (!b)
		ctl_fail(err, "not-found",
			 "bridge %s has no tunnel; `bridgectl bridge list` shows all",
			 param(params, "name"));
	return b;
}

/* An array of one key of the whole status. */
static json_t *status_part(struct daemon *d, const char *key)
{
	json_t *all = status_json(d);
	json_t *part = json_incref(json_object_get(all, key));

	json_decref(all);
	return part;
}

static json_t *do_status(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)params;
	(void)err;
	return status_json(ctx);
}

static json_t *do_tunnel_list(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)params;
	(void)err;
	return status_part(ctx, "tunnels");
}

static json_t *do_tunnel_show(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct tunnel *t = find_tunnel(ctx, params, err);

	return t ? status_tunnel_full(t) : NULL;
}

static json_t *do_tunnel_why(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct tunnel *t = find_tunnel(ctx, params, err);

	return t ? why_json(t) : NULL;
}

static json_t *set_admin(struct daemon *d, const json_t *params, bool up, struct ctl_error *err)
{
	struct tunnel *t = find_tunnel(d, params, err);

	if (!t)
		return NULL;
	tunnel_set_admin(t, up);
	daemon_reconcile(d);
	return status_tunnel(t);
}

static json_t *do_tunnel_up(void *ctx, const json_t *params, struct ctl_error *err)
{
	return set_admin(ctx, params, true, err);
}

static json_t *do_tunnel_down(void *ctx, const json_t *params, struct ctl_error *err)
{
	return set_admin(ctx, params, false, err);
}

static json_t *do_tunnel_clear(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct tunnel *t = find_tunnel(ctx, params, err);

	if (!t)
		return NULL;
	tunnel_clear(t);
	daemon_reconcile(ctx);
	return status_tunnel(t);
}

static json_t *do_bridge_list(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)params;
	(void)err;
	return status_part(ctx, "bridges");
}

static json_t *do_bridge_show(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct bridge *b = find_bridge(ctx, params, err);

	return b ? status_bridge(b) : NULL;
}

static json_t *do_bridge_fdb(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct bridge *b = find_bridge(ctx, params, err);

	return b ? status_fdb(b) : NULL;
}

static int parse_mac(const char *text, uint8_t ret[6])
{
	unsigned v[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &end) != 6 ||
	    text[end] || v[0] & 1)
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++)
		ret[i] = (uint8_t)v[i];
	return 0;
}

static json_t *do_announce(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct bridge *b = find_bridge(ctx, params, err);
	const char *text = param(params, "mac");
	uint8_t mac[6];

	if (!b)
		return NULL;
	if (text && parse_mac(text, mac) < 0)
		return ctl_fail(err, "bad-params",
				"%s is not the address of one host, like 52:54:00:12:34:56", text);
	return json_pack("{s:s s:i}", "name", b->name, "frames",
			 (int)announce_bridge(b, text ? mac : NULL));
}

static json_t *do_peer_list(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)params;
	(void)err;
	return status_part(ctx, "peers");
}

static json_t *do_peer_show(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct peer *p = find_peer(ctx, params, err);

	return p ? status_peer(p) : NULL;
}

static json_t *do_topology(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)params;
	(void)err;
	return topology_json(ctx);
}

static json_t *report_lines(const struct config_report *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n; i++)
		json_array_append_new(list, jsonline_text(r->lines[i]));
	return list;
}

static json_t *do_reload(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct daemon *d = ctx;
	struct config_report report = { 0 };
	json_t *changed, *restart, *result;

	(void)params;
	if (reload_run(d, &report, &changed, &restart) < 0)
		result = ctl_fail_details(
			err, report_lines(&report), "config",
			"%s: errors found: %u; the old configuration keeps running",
			d->config->path, report.n_errors);
	else
		result = json_pack("{s:o s:o s:o}", "changed", changed, "restart", restart,
				   "warnings", report_lines(&report));
	config_report_fini(&report);
	return result;
}

static json_t *do_log(void *ctx, const json_t *params, struct ctl_error *err)
{
	const char *area_name = param(params, "area");
	enum log_level level;
	enum log_area area;

	(void)ctx;
	if (log_level_parse(param(params, "level"), &level) < 0)
		return ctl_fail(err, "bad-params",
				"log level %s: one of err, warn, notice, info, debug",
				param(params, "level"));
	if (!area_name) {
		log_set_level(level);
		return json_object();
	}
	if (log_area_parse(area_name, &area) < 0)
		return ctl_fail(err, "bad-params",
				"subsystem %s: one of core, config, session, topology, "
				"datapath, kernel, control",
				area_name);
	log_set_area_level(area, level);
	return json_object();
}

static json_t *do_events(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct daemon *d = ctx;

	(void)params;
	(void)err;
	return json_pack("{s:o}", "events", events_last(d->events));
}

static const struct ctl_method rows[] = {
	{ "status", false, "", do_status },
	{ "tunnel.list", false, "", do_tunnel_list },
	{ "tunnel.show", false, "name:s", do_tunnel_show },
	{ "tunnel.why", false, "name:s", do_tunnel_why },
	{ "tunnel.up", true, "name:s", do_tunnel_up },
	{ "tunnel.down", true, "name:s", do_tunnel_down },
	{ "tunnel.clear", true, "name:s", do_tunnel_clear },
	{ "announce", true, "name:s mac:s?", do_announce },
	{ "bridge.list", false, "", do_bridge_list },
	{ "bridge.show", false, "name:s", do_bridge_show },
	{ "bridge.fdb", false, "name:s", do_bridge_fdb },
	{ "peer.list", false, "", do_peer_list },
	{ "peer.show", false, "name:s", do_peer_show },
	{ "topology", false, "", do_topology },
	{ "reload", true, "", do_reload },
	{ "log", true, "level:s area:s?", do_log },
	{ "events", false, "", do_events },
};

const struct ctl_method *methods_rows(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(rows);
	return rows;
}
