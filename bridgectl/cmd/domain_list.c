/* `bridgectl domain list`: the domains of a hypervisor, those that do not run as well. */
#include <stdio.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/domain_hyper.h"
#include "common/jsonline.h"

/* --- JSON --- */

static json_t *text_or_null(const char *s)
{
	return s && *s ? jsonline_text(s) : json_null();
}

static json_t *vifs_json(const struct hyper_domain *d)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < d->n_vifs; i++) {
		const struct hyper_vif *v = &d->vifs[i];

		json_array_append_new(all, json_pack("{s:o, s:o, s:o}", "mac", text_or_null(v->mac),
						     "bridge", text_or_null(v->bridge), "interface",
						     text_or_null(v->interface)));
	}
	return all;
}

static json_t *domain_json(const struct hyper_domain *d)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", text_or_null(d->name));
	json_object_set_new(o, "uuid", text_or_null(d->uuid));
	json_object_set_new(o, "state", json_string(hyper_state_name(d->state)));
	json_object_set_new(o, "id", d->id == HYPER_UNKNOWN ? json_null() : json_integer(d->id));
	json_object_set_new(o, "memory",
			    d->memory ? json_integer((json_int_t)d->memory) : json_null());
	json_object_set_new(o, "vcpus", d->vcpus ? json_integer(d->vcpus) : json_null());
	json_object_set_new(o, "autostart",
			    d->autostart == HYPER_UNKNOWN ? json_null() :
							    json_boolean(d->autostart));
	json_object_set_new(o, "config", text_or_null(d->config));
	json_object_set_new(o, "interfaces", vifs_json(d));
	return o;
}

static void show_json(struct cmd_call *call, const struct hyper *h, const struct hyper_list *l)
{
	json_t *all = json_array(), *doc;

	for (unsigned i = 0; i < l->n; i++)
		json_array_append_new(all, domain_json(&l->v[i]));
	doc = json_pack("{s:s, s:o}", "hypervisor", h->ops->name, "domains", all);
	out_json(&call->out, doc, false);
	json_decref(doc);
}

/* --- Text --- */

static enum style style_of(enum hyper_state state)
{
	static const enum style styles[] = {
		[HYPER_OFF] = STYLE_DIM,     [HYPER_RUNNING] = STYLE_GOOD,
		[HYPER_PAUSED] = STYLE_WARN, [HYPER_ENDING] = STYLE_WARN,
		[HYPER_CRASHED] = STYLE_BAD,
	};

	return styles[state];
}

/* "00:16:3e:… xenbr0 vif3.0, …" */
static void vifs_cell(struct table *t, const struct hyper_domain *d)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (unsigned i = 0; f && i < d->n_vifs; i++) {
		const struct hyper_vif *v = &d->vifs[i];

		fprintf(f, "%s%s%s%s%s%s", i ? ", " : "", v->mac[0] ? v->mac : "random MAC",
			v->bridge ? " " : "", v->bridge ? v->bridge : "", v->interface ? " " : "",
			v->interface ? v->interface : "");
	}
	if (f)
		fclose(f);
	table_cell(t, STYLE_NONE, "%s", text && *text ? text : "-");
	free(text);
}

static void number_cell(struct table *t, bool known, unsigned v)
{
	if (known)
		table_cell(t, STYLE_NONE, "%u", v);
	else
		table_cell(t, STYLE_NONE, "-");
}

static void show_table(struct cmd_call *call, const struct hyper_list *l)
{
	static const struct column columns[] = {
		{ "NAME", false, 0 },  { "STATE", false, 0 },	   { "ID", true, 3 },
		{ "MEMORY", true, 1 }, { "VCPUS", true, 2 },	   { "AUTOSTART", false, 0 },
		{ "UUID", false, 5 },  { "INTERFACES", false, 4 },
	};
	unsigned n = call->verbose ? ARRAY_SIZE(columns) : ARRAY_SIZE(columns) - 2;
	struct table *t = table_new(&call->out, columns, n);
	char size[UNIT_LEN];

	for (unsigned i = 0; i < l->n; i++) {
		const struct hyper_domain *d = &l->v[i];

		table_cell(t, STYLE_BOLD, "%s", d->name);
		table_cell(t, style_of(d->state), "%s", hyper_state_name(d->state));
		number_cell(t, d->id != HYPER_UNKNOWN, (unsigned)d->id);
		table_cell(t, STYLE_NONE, "%s",
			   d->memory ? unit_bytes((double)d->memory, size) : "-");
		number_cell(t, d->vcpus, d->vcpus);
		table_cell(t, STYLE_NONE, "%s",
			   d->autostart == HYPER_UNKNOWN ? "-" :
			   d->autostart			 ? "yes" :
							   "no");
		if (!call->verbose)
			continue;
		table_cell(t, STYLE_NONE, "%s", d->uuid[0] ? d->uuid : "-");
		vifs_cell(t, d);
	}
	table_end(t);
}

static enum exit_code list(struct cmd_call *call, struct hyper *h)
{
	struct hyper_list l = { 0 };
	char err[HYPER_ERRLEN];
	int r = h->ops->list(h, &l, err);

	if (r < 0)
		cmd_error("%s", err);
	else if (call->json)
		show_json(call, h, &l);
	else if (!l.n)
		out_line(&call->out, STYLE_NONE, "no domains");
	else
		show_table(call, &l);
	hyper_list_fini(&l);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

enum exit_code cmd_domain_list(struct cmd_call *call)
{
	return domain_do(call, false, list);
}
