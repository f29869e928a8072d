/*
 * `bridgectl domain diff NAME [FILE]`: what a running guest has and its definition has not, and the
 * other way round: what a next start would change.
 *
 * libvirt: the definition that runs against the one that is kept, or against FILE; then only what
 * FILE speaks of is compared, because libvirt fills in the rest. Xen: what the toolstack tells of
 * the domain against the configuration, through the guest record; so only what both know is
 * compared, and a MAC address or a memory size that the file leaves open is no difference.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/definition.h"
#include "bridgectl/cmd/domain_hyper.h"
#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_read.h"
#include "bridgectl/hypervisor/hyper.h"
#include "common/jsonline.h"

struct comparison {
	struct cmd_call *call;
	const char *name;
	struct hyper *h;
	struct xml_changes changes;
};

/* --- libvirt --- */

static bool dump(struct comparison *c, bool live, char **ret)
{
	char err[HYPER_ERRLEN];

	if (c->h->ops->dump(c->h, c->name, live, ret, err) == 0)
		return true;
	cmd_error("%s", err);
	return false;
}

static bool compare_libvirt(struct comparison *c)
{
	const char *file = c->call->n_args > 1 ? c->call->args[1] : NULL;
	_cleanup_free_ char *kept = NULL, *live = NULL;
	char err[XML_ERRLEN];

	if (!dump(c, true, &live))
		return false;
	if (file)
		kept = definition_read(file);
	else if (!dump(c, false, &kept))
		return false;
	if (!kept)
		return false;
	if (xml_diff(kept, live, file, &c->changes, err) == 0)
		return true;
	cmd_error("%s: it is no definition of a domain: %s%s", file ? file : c->name, err,
		  strchr(kept, '<') ? "" : "; bridgectl domain convert makes one");
	return false;
}

/* --- Xen --- */

/* One path, both values; what either does not say is no difference. */
static void both(struct comparison *c, const char *path, const char *was, const char *is)
{
	if (was && is && strcmp(was, is) != 0)
		xml_change_add(&c->changes, path, was, is);
}

static void numbers(struct comparison *c, const char *path, uint64_t was, uint64_t is,
		    const char *unit)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "%" PRIu64 "%s", was, unit);
	snprintf(b, sizeof(b), "%" PRIu64 "%s", is, unit);
	if (was && is)
		both(c, path, a, b);
}

static void compare_vifs(struct comparison *c, const struct guest *g, const struct hyper_domain *d)
{
	char path[64];

	for (unsigned i = 0; i < MAX(g->n_vifs, d->n_vifs); i++) {
		const struct vifspec *was = i < g->n_vifs ? &g->vifs[i].spec : NULL;
		const struct hyper_vif *is = i < d->n_vifs ? &d->vifs[i] : NULL;

		snprintf(path, sizeof(path), "vif[%u]", i);
		if (!was || !is) {
			xml_change_add(&c->changes, path, was ? "there" : NULL,
				       is ? "there" : NULL);
			continue;
		}
		snprintf(path, sizeof(path), "vif[%u]/mac", i);
		if (was->mac[0] && is->mac[0])
			both(c, path, was->mac, is->mac);
		snprintf(path, sizeof(path), "vif[%u]/bridge", i);
		both(c, path, was->bridge, is->bridge);
	}
}

/* The path of the disk that the running domain has under this name; NULL: none. */
static const char *running_path(const json_t *disks, const struct vdev *vdev)
{
	const json_t *d;
	size_t i;

	json_array_foreach(disks, i, d) {
		const char *name = json_string_value(json_object_get(d, "vdev"));
		const char *path = json_string_value(json_object_get(d, "pdev_path"));
		struct vdev v;

		if (name && vdev_parse(name, &v) == 0 && v.bus == vdev->bus &&
		    v.disk == vdev->disk && v.partition == vdev->partition)
			return path ? path : "";
	}
	return NULL;
}

static void compare_disks(struct comparison *c, const struct guest *g, const json_t *disks)
{
	char path[64], name[VDEV_NAME_LEN];
	unsigned n = 0;

	for (unsigned i = 0; disks && i < g->n_disks; i++)
		for (unsigned j = 0; j < g->disks[i].n; j++, n++) {
			const struct guest_source *s = &g->disks[i].sources[j];
			const char *is = running_path(disks, &s->vdev);

			snprintf(path, sizeof(path), "disk[%s]", vdev_name(&s->vdev, name));
			if (!is)
				xml_change_add(&c->changes, path, "there", NULL);
			else if (s->spec.path)
				both(c, path, s->spec.path, is);
		}
	if (disks && json_array_size(disks) > n)
		numbers(c, "disks", n ? n : 1, json_array_size(disks), "");
}

/* xl's JSON; an array, an object, or xm's S-expression, which gives nothing here. */
static json_t *config_of(const char *text)
{
	json_t *j = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL), *config;
	json_t *one = json_is_array(j) ? json_array_get(j, 0) : j;

	config = json_incref(json_object_get(one, "config"));
	json_decref(j);
	return config;
}

static void compare_details(struct comparison *c, const struct guest *g, const char *text)
{
	json_t *config = config_of(text);
	const json_t *info = json_object_get(config, "c_info");

	compare_disks(c, g, json_object_get(config, "disks"));
	both(c, "uuid", g->uuid, json_string_value(json_object_get(info, "uuid")));
	both(c, "type", guest_kind_name(g->kind), json_string_value(json_object_get(info, "type")));
	both(c, "on_poweroff", g->on_poweroff,
	     json_string_value(json_object_get(config, "on_poweroff")));
	both(c, "on_reboot", g->on_reboot, json_string_value(json_object_get(config, "on_reboot")));
	both(c, "on_crash", g->on_crash, json_string_value(json_object_get(config, "on_crash")));
	json_decref(config);
}

/* FILE, or what the toolstack's folder has for this name. */
static bool read_kept(struct comparison *c, struct guest_file *ret)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *f = NULL;

	if (c->call->n_args > 1)
		return guest_file_read(c->call, c->call->args[1], ret);
	if (!dump(c, false, &text))
		return false;
	f = mem_must(fmemopen(text, strlen(text), "r"));
	return guest_file_read_from(c->call, c->name, f, ret);
}

static bool compare_with_file(struct comparison *c, const struct hyper_domain *d)
{
	_cleanup_free_ char *text = NULL;
	struct guest_file f;
	bool ok;

	if (!dump(c, true, &text) || !read_kept(c, &f))
		return false;
	ok = !f.file.report.n_errors;
	if (ok) {
		both(c, "name", f.guest->name, d->name);
		numbers(c, "memory", f.guest->memory >> 20, d->memory >> 20, " MiB");
		numbers(c, "vcpus", (uint64_t)MAX(f.guest->vcpus, 1), d->vcpus, "");
		compare_vifs(c, f.guest, d);
		compare_details(c, f.guest, text);
	}
	guest_file_fini(&f);
	return ok;
}

static bool compare_xen(struct comparison *c)
{
	struct hyper_list l = { 0 };
	const struct hyper_domain *d = NULL;
	char err[HYPER_ERRLEN];
	bool ok = false;

	if (c->h->ops->list(c->h, &l, err) < 0)
		cmd_error("%s", err);
	else if (!(d = hyper_find(&l, c->name)) || d->id == HYPER_UNKNOWN)
		cmd_error("%s: it is off, so there is nothing to compare", c->name);
	else
		ok = compare_with_file(c, d);
	hyper_list_fini(&l);
	return ok;
}

/* --- The answer --- */

static json_t *text_or_null(const char *s)
{
	return s ? jsonline_text(s) : json_null();
}

static void show_json(const struct comparison *c)
{
	json_t *list = json_array(), *all;

	for (unsigned i = 0; i < c->changes.n; i++) {
		const struct xml_change *x = &c->changes.v[i];

		json_array_append_new(
			list, json_pack("{s:o, s:o, s:o}", "path", jsonline_text(x->path), "was",
					text_or_null(x->was), "is", text_or_null(x->is)));
	}
	all = json_pack("{s:s, s:b, s:o}", "name", c->name, "equal", !c->changes.n, "differences",
			list);
	out_json(&c->call->out, all, false);
	json_decref(all);
}

static void show(const struct comparison *c)
{
	static const struct column columns[] = {
		{ "WHAT", false, 0 },
		{ "FILE", false, 0 },
		{ "RUNNING", false, 0 },
	};
	struct table *t;

	if (c->call->json) {
		show_json(c);
		return;
	}
	if (!c->changes.n) {
		if (!c->call->quiet)
			out_line(&c->call->out, STYLE_GOOD, "%s: it runs as it is defined",
				 c->name);
		return;
	}
	t = table_new(&c->call->out, columns, ARRAY_SIZE(columns));
	for (unsigned i = 0; i < c->changes.n; i++) {
		const struct xml_change *x = &c->changes.v[i];

		table_cell(t, STYLE_NONE, "%s", x->path);
		table_cell(t, STYLE_NONE, "%s", x->was ? x->was : "-");
		table_cell(t, STYLE_WARN, "%s", x->is ? x->is : "-");
	}
	table_end(t);
}

static enum exit_code diff(struct cmd_call *call, struct hyper *h)
{
	struct comparison c = { .call = call, .name = call->args[0], .h = h };
	enum exit_code code = EXIT_FAILED;

	if (!strcmp(c.h->ops->name, "libvirt") ? compare_libvirt(&c) : compare_xen(&c)) {
		show(&c);
		code = c.changes.n ? EXIT_FAILED : EXIT_DONE;
	}
	xml_changes_fini(&c.changes);
	return code;
}

enum exit_code cmd_domain_diff(struct cmd_call *call)
{
	return domain_do(call, false, diff);
}
