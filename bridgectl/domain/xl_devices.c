/* Disks and network interfaces of a Xen configuration file, into the record. */
#include <errno.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xl_guest_private.h"

#define NICS_MAX 64

/* A list of strings; NULL: there is none. What is in it and no string is reported. */
static const struct xl_value *list_of(struct xl_reader *r, const char *key)
{
	const struct xl_value *v = xl_get(r, key);

	if (!v || v->kind == XL_LIST)
		return v;
	report_error(r->report, v->line, v->column, "%s is a list; write %s = [ '...' ]", key, key);
	return NULL;
}

static const char *item_text(struct xl_reader *r, const struct xl_value *item, const char *key)
{
	if (item->kind == XL_STRING)
		return item->text;
	if (item->kind == XL_UNKNOWN)
		xl_refuse_code(r, key, item);
	else
		report_error(r->report, item->line, item->column, "%s is a list of strings", key);
	return NULL;
}

/* Column of the character `offset` behind the opening quote of a string without escapes. */
static unsigned column_in(const struct xl_value *item, unsigned offset)
{
	return item->column ? item->column + 1 + offset : 0;
}

/* --- Disks --- */

/* One volume behind two devices: a slip of the pen, which a copy would make worse. */
static void check_path(struct xl_reader *r, const struct guest_source *s)
{
	const struct guest *g = r->g;
	char name[VDEV_NAME_LEN];

	for (unsigned i = 0; i < g->n_disks && s->spec.path; i++)
		for (unsigned j = 0; j < g->disks[i].n; j++) {
			const struct guest_source *other = &g->disks[i].sources[j];

			if (!other->spec.path || strcmp(other->spec.path, s->spec.path) != 0 ||
			    (s->spec.readonly && other->spec.readonly))
				continue;
			report_warning(r->report, s->line, s->column, "%s is the source of %s, too",
				       s->spec.path, vdev_name(&other->vdev, name));
			return;
		}
}

static void check_disk(struct xl_reader *r, const struct guest_source *s)
{
	char name[VDEV_NAME_LEN];

	vdev_name(&s->vdev, name);
	if (guest_backend_is_other(s->spec.backend))
		xl_lose(r, "disk.backend", mem_strdup(s->spec.backend),
			"another domain than 0 has the disk", s->line, s->column);
	if (s->spec.other)
		xl_lose(r, "disk.colo", mem_strdup(s->spec.other), "remote replication", s->line,
			s->column);
	if (s->spec.relative)
		report_warning(r->report, s->line, s->column,
			       "the path '%s' is not absolute; it is below the folder that Xen's "
			       "daemon runs in",
			       s->spec.path);
	if (s->vdev.partition && r->g->kind == GUEST_HVM)
		report_warning(r->report, s->line, s->column,
			       "%s is a partition, which an HVM guest sees with Xen's drivers only",
			       name);
	if (s->vdev.partition && s->spec.cdrom)
		report_error(r->report, s->line, s->column, "%s is a partition, so it is no CD-ROM",
			     name);
	if (vdev_is_old(&s->vdev))
		report_note(r->report, s->line, s->column,
			    "%s has a device number that Xen calls deprecated", name);
}

static void add_disk(struct xl_reader *r, struct guest_source *s)
{
	const struct guest_source *other;
	char name[VDEV_NAME_LEN], disk[VDEV_NAME_LEN];
	int e = guest_add_source(r->g, s, &other);

	if (e == 0)
		return;
	vdev_name(&s->vdev, name);
	vdev_name(&(struct vdev){ s->vdev.bus, s->vdev.disk, 0 }, disk);
	if (e == -EEXIST)
		report_error(r->report, s->line, s->column, "%s is there already, on line %u", name,
			     other->line);
	else
		report_error(r->report, s->line, s->column,
			     "%s is there both whole and in partitions, line %u; one of them has "
			     "to go",
			     disk, other->line);
}

static void read_disk(struct xl_reader *r, const struct xl_value *item, const char *text)
{
	struct guest_source s = { .line = item->line, .column = item->column };
	char err[DISKSPEC_ERRLEN];
	unsigned offset;
	int e;

	if (diskspec_parse(text, &s.spec, err, &offset) < 0) {
		report_error(r->report, item->line, column_in(item, offset), "disk '%s': %s", text,
			     err);
		return;
	}
	s.text = mem_strdup(text);
	e = vdev_parse(s.spec.vdev, &s.vdev);
	if (e == -ERANGE)
		report_error(r->report, s.line, s.column, "disk '%s': Xen has no device '%s'", text,
			     s.spec.vdev);
	else if (e < 0)
		report_error(
			r->report, s.line, s.column,
			"disk '%s': '%s' is no device name; there are xvda, xvda1, sda, hda, ...",
			text, s.spec.vdev);
	if (e == 0) {
		check_disk(r, &s);
		check_path(r, &s);
		add_disk(r, &s);
	}
	guest_source_fini(&s);
}

void xl_read_disks(struct xl_reader *r)
{
	const struct xl_value *list = list_of(r, "disk");

	for (unsigned i = 0; list && i < list->n; i++) {
		const char *text = item_text(r, list->items[i], "disk");

		if (text)
			read_disk(r, list->items[i], text);
	}
}

/* --- Interfaces --- */

static void check_mac(struct xl_reader *r, const struct guest_vif *v)
{
	if (!v->spec.mac[0])
		report_warning(r->report, v->line, v->column,
			       "no mac: Xen made a new one up at each start; that of the running "
			       "guest has to be taken over");
	for (unsigned i = 0; v->spec.mac[0] && i + 1 < r->g->n_vifs; i++)
		if (!strcmp(r->g->vifs[i].spec.mac, v->spec.mac))
			report_error(r->report, v->line, v->column,
				     "the mac %s is that of another interface, too", v->spec.mac);
}

static void add_vif(struct xl_reader *r, const char *text, unsigned line, unsigned column)
{
	struct guest_vif *v = mem_push(r->g->vifs, r->g->n_vifs);
	char err[VIFSPEC_ERRLEN];
	unsigned offset;

	v->line = line;
	v->column = column;
	v->text = mem_strdup(text);
	if (vifspec_parse(text, &v->spec, err, &offset) < 0) {
		report_error(r->report, line, column ? column + 1 + offset : 0, "vif '%s': %s",
			     text, err);
		return;
	}
	check_mac(r, v);
	if (v->spec.other) {
		char key[64];

		snprintf(key, sizeof(key), "vif.%s", v->spec.other);
		xl_lose(r, key, mem_strdup(text), "a part of an interface", line, column);
	}
	if (guest_backend_is_other(v->spec.backend))
		xl_lose(r, "vif.backend", mem_strdup(v->spec.backend),
			"another domain than 0 has the network", line, column);
}

void xl_read_vifs(struct xl_reader *r)
{
	const struct xl_value *list = list_of(r, "vif"), *v = xl_get(r, "nics");
	int nics = 0;

	for (unsigned i = 0; list && i < list->n; i++) {
		const char *text = item_text(r, list->items[i], "vif");

		if (text)
			add_vif(r, text, list->items[i]->line, list->items[i]->column);
	}
	xl_read_int(r, "nics", -1, NICS_MAX, &nics);
	while (v && (int)r->g->n_vifs < nics)
		add_vif(r, "", v->line, v->column);
}
