/*
 * MAC addresses in the forwarding tables of the daemon's bridges.
 *
 * While a guest moves, its old and its new self have the same address, and both bridges are one
 * Ethernet: two of them at once would take each other's traffic at random. The table tells, without
 * asking the other host, that the old one still talks. One that is silent it does not know.
 */
#include "bridgectl/cmd/mac_seen.h"

#include <string.h>
#include <strings.h>

#include "bridgectl/cmd/view.h"

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

json_t *mac_tables(struct cmd_call *call, const char *bridge)
{
	json_t *all = bridge ? NULL : ask(call, "bridge.list", NULL), *tables = json_array(), *b;
	size_t i;

	if (bridge)
		add_table(call, tables, bridge);
	json_array_foreach(view_list(all, "bridges"), i, b)
		add_table(call, tables, view_str(b, "name"));
	if (all || json_array_size(tables)) {
		json_decref(all);
		return json_pack("{s:o}", "bridges", tables);
	}
	json_decref(tables);
	return NULL;
}

/* A tunnel's port has an address of its own, too. */
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
}

bool mac_find(const json_t *tables, const char *mac, struct mac_sight *ret)
{
	const json_t *table, *e;
	bool found = false;
	size_t i, j;

	json_array_foreach(json_object_get(tables, "bridges"), i, table)
		json_array_foreach(json_object_get(table, "entries"), j, e) {
			if (strcasecmp(view_str(e, "mac"), mac) != 0)
				continue;
			if (!found || is_far(e))
				note(ret, table, e);
			found = true;
		}
	return found;
}

static bool may_have(const struct hyper_domain *d, const char *mac, const json_t *tables)
{
	struct mac_sight s;

	if (!mac_find(tables, mac, &s) || !s.tunnel[0])
		return true;
	if (s.age_s >= MAC_RECENT_S) {
		cmd_error("%s: its address %s was behind tunnel %s until %.0f s ago", d->name, mac,
			  s.tunnel, s.age_s);
		return true;
	}
	cmd_error("%s: its address %s was seen behind tunnel %s (bridge %s) %.0f s ago, so the "
		  "guest still runs there; stop it there and try again after %u s, or start this "
		  "one with --anyway",
		  d->name, mac, s.tunnel, s.bridge, s.age_s, MAC_RECENT_S);
	return false;
}

bool mac_may_start(struct cmd_call *call, struct hyper *h, const char *domain)
{
	json_t *tables = mac_tables(call, NULL);
	const struct hyper_domain *d;
	struct hyper_list l = { 0 };
	char err[HYPER_ERRLEN];
	bool ok = true;

	/* What cannot be listed cannot be started either, and that is told there. */
	d = tables && h->ops->list(h, &l, err) == 0 ? hyper_find(&l, domain) : NULL;
	for (unsigned i = 0; ok && d && d->state == HYPER_OFF && i < d->n_vifs; i++)
		ok = may_have(d, d->vifs[i].mac, tables);
	hyper_list_fini(&l);
	json_decref(tables);
	return ok;
}
