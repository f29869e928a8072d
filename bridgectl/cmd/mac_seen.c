/*
 * MAC addresses in the forwarding tables of the daemon's bridges.
 *
 * While a guest moves, its old and its new self have the same address, and both bridges are one
 * Ethernet: two of them at once would take each other's traffic at random. The table tells, without
 * asking the other host, that the old one still talks. One that is silent it does not know. The
 * domains of this hypervisor are asked as well: a copy under another name has the same disks.
 */
#include "bridgectl/cmd/mac_seen.h"

#include <string.h>
#include <strings.h>

#include "bridgectl/cmd/mac_there.h"
#include "bridgectl/cmd/view.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/xen_config.h"

/* In silence: without a daemon nothing is known. */
static json_t *ask(struct cmd_call *call, const char *method, json_t *params)
{
	struct client_error err = { 0 };
	json_t *answer = cmd_try(call, method, params, &err);

	client_error_fini(&err);
	return answer;
}

static void add_table(struct cmd_call *call, json_t *tables, const char *name)
{
	json_t *fdb = ask(call, "bridge.fdb", json_pack("{s:s}", "name", name));

	if (fdb)
		json_array_append_new(tables, fdb);
}

json_t *mac_tables(struct cmd_call *call)
{
	json_t *all = ask(call, "bridge.list", NULL), *tables, *b;
	size_t i;

	if (!all)
		return NULL;
	tables = json_array();
	json_array_foreach(view_list(all, "bridges"), i, b)
		add_table(call, tables, view_str(b, "name"));
	json_decref(all);
	return json_pack("{s:o}", "bridges", tables);
}

json_t *mac_table_of(struct cmd_call *call, const char *bridge)
{
	json_t *fdb = cmd_ask(call, "bridge.fdb", json_pack("{s:s}", "name", bridge));

	return fdb ? json_pack("{s:[o]}", "bridges", fdb) : NULL;
}

static bool is_far(const json_t *e)
{
	return !strcmp(view_str(e, "kind"), "tunnel") && !view_bool(e, "local");
}

static void note(struct mac_sight *s, const json_t *table, const json_t *e)
{
	snprintf(s->bridge, sizeof(s->bridge), "%s", view_str(table, "name"));
	snprintf(s->port, sizeof(s->port), "%s", view_str(e, "port"));
	snprintf(s->tunnel, sizeof(s->tunnel), "%s", is_far(e) ? view_str(e, "tunnel") : "");
	s->age_s = view_num(e, "age_ms") / 1000;
	s->is_port = view_bool(e, "local");
}

/* What was heard counts before a port's own address, then what was heard last. */
static bool is_better(const json_t *e, const json_t *than)
{
	if (!than || view_bool(e, "local") != view_bool(than, "local"))
		return !than || view_bool(than, "local");
	return view_num(e, "age_ms") < view_num(than, "age_ms");
}

bool mac_find(const json_t *tables, const char *mac, struct mac_sight *ret)
{
	const json_t *table, *e, *best = NULL;
	size_t i, j;

	json_array_foreach(json_object_get(tables, "bridges"), i, table)
		json_array_foreach(json_object_get(table, "entries"), j, e) {
			if (strcasecmp(view_str(e, "mac"), mac) != 0 || !is_better(e, best))
				continue;
			best = e;
			note(ret, table, e);
		}
	return best;
}

const char *mac_cut_short(const json_t *tables)
{
	const json_t *table;
	size_t i;

	json_array_foreach(json_object_get(tables, "bridges"), i, table)
		if (view_bool(table, "truncated"))
			return view_str(table, "name");
	return NULL;
}

/* --- Before a start --- */

/* What is to be started: a domain, or a file of Xen. */
struct guest_off {
	struct hyper_list all;
	struct xen_config file;
	const char *name;
	const struct hyper_vif *vifs;
	unsigned n_vifs;
};

/* False: there is no such guest, or it is not off. The start itself will say so. */
static bool find_guest(struct hyper *h, const char *domain, struct guest_off *g)
{
	bool is_file = strchr(domain, '/') && strcmp(h->ops->name, "libvirt") != 0;
	const struct hyper_domain *d;
	char err[HYPER_ERRLEN];

	if (h->ops->list(h, &g->all, err) < 0 || (is_file && !xen_config_read(domain, &g->file)))
		return false;
	g->name = is_file ? g->file.name : domain;
	d = hyper_find(&g->all, g->name);
	if (is_file ? d && d->state != HYPER_OFF : !d || d->state != HYPER_OFF)
		return false;
	g->vifs = is_file ? g->file.vifs : d->vifs;
	g->n_vifs = is_file ? g->file.n_vifs : d->n_vifs;
	return true;
}

static bool is_free_here(const struct guest_off *g, const char *mac)
{
	for (unsigned i = 0; i < g->all.n; i++) {
		const struct hyper_domain *o = &g->all.v[i];

		for (unsigned j = 0; o->state != HYPER_OFF && j < o->n_vifs; j++) {
			if (strcmp(o->vifs[j].mac, mac) != 0)
				continue;
			cmd_error("%s: its address %s is that of the domain %s, which is %s; stop "
				  "that one, or start this one with --anyway",
				  g->name, mac, o->name, hyper_state_name(o->state));
			return false;
		}
	}
	return true;
}

/* A guest that is off here has no port here, so wherever it is heard, it runs elsewhere. */
static bool is_silent(const struct guest_off *g, const char *mac, const json_t *tables)
{
	struct mac_sight s;
	const char *where;

	if (!mac_find(tables, mac, &s) || s.is_port)
		return true;
	where = s.tunnel[0] ? s.tunnel : s.port;
	if (s.age_s >= MAC_RECENT_S) {
		cmd_error("%s: its address %s was behind %s %s until %.0f s ago", g->name, mac,
			  s.tunnel[0] ? "tunnel" : "port", where, s.age_s);
		return true;
	}
	cmd_error("%s: its address %s was seen behind %s %s (bridge %s) %.0f s ago, so the guest "
		  "still runs there; stop it there and try again after %u s, or with --from HOST, "
		  "which asks that host; --anyway starts it all the same",
		  g->name, mac, s.tunnel[0] ? "tunnel" : "port", where, s.bridge, s.age_s,
		  MAC_RECENT_S);
	return false;
}

static void tell_unknown(const struct cmd_call *call, const struct guest_off *g,
			 const json_t *tables)
{
	if (call->quiet || (tables && !mac_cut_short(tables)))
		return;
	cmd_error("%s: not known whether it still runs on another host: %s%s", g->name,
		  tables ? "there are too many addresses on bridge " : "l2tund does not answer",
		  tables ? mac_cut_short(tables) : "");
}

static bool is_off_there(const struct cmd_call *call, const char *host, const struct guest_off *g)
{
	_cleanup_free_ const char **macs = mem_new((g->n_vifs + 1) * sizeof(*macs));
	struct mac_there there = { 0 };
	bool ok;

	for (unsigned i = 0; i < g->n_vifs; i++)
		macs[i] = g->vifs[i].mac;
	ok = mac_on_there(call, host, g->name, macs, g->n_vifs, &there);
	if (there.name) {
		cmd_error("%s: it is still on at %s, as the domain %s (%s): stop it there first, "
			  "with `bridgectl domain stop %s --host %s`",
			  g->name, host, there.name, there.state, there.name, host);
		ok = false;
	}
	mac_there_fini(&there);
	return ok;
}

static bool may_start(struct cmd_call *call, const struct guest_off *g)
{
	const char *from = cmd_option(call, "--from");
	json_t *tables = from ? NULL : mac_tables(call);
	unsigned known = 0;
	bool ok = true;

	for (unsigned i = 0; ok && i < g->n_vifs; i++) {
		const char *mac = g->vifs[i].mac;

		known += *mac != '\0';
		ok = !*mac || (is_free_here(g, mac) && (from || is_silent(g, mac, tables)));
	}
	if (ok && from)
		ok = is_off_there(call, from, g);
	else if (ok && known)
		tell_unknown(call, g, tables);
	json_decref(tables);
	return ok;
}

bool mac_may_start(struct cmd_call *call, struct hyper *h, const char *domain)
{
	struct guest_off g = { 0 };
	bool ok = !find_guest(h, domain, &g) || may_start(call, &g);

	hyper_list_fini(&g.all);
	xen_config_fini(&g.file);
	return ok;
}
