/*
 * The plan as text. Starts and sizes stand there in sectors, exactly, because that is what will
 * be in the table; the size for people is beside them and never instead of them.
 */
#include "bridgectl/cmd/plan_view.h"

#include <inttypes.h>
#include <string.h>

#include "bridgectl/disk/size.h"

static const char *fill_text(const struct plan_part *p)
{
	static const char *const texts[] = {
		[PLAN_COPY] = "copy", [PLAN_SWAP] = "new swap", [PLAN_BIOS_BOOT] = "BIOS boot"
	};

	return texts[p->fill];
}

static void part_row(struct table *t, const struct plan_part *p)
{
	const struct plan_source *s = &p->source;
	const char *found = *s->type ? s->type : *s->table ? s->table : "-";
	bool none = p->fill == PLAN_BIOS_BOOT;
	char size[UNIT_LEN];

	if (p->number)
		table_cell(t, STYLE_BOLD, "%u%s", p->number, p->boot ? "*" : "");
	else
		table_cell(t, STYLE_BOLD, "-");
	table_cell(t, STYLE_NONE, "%" PRIu64, p->start);
	table_cell(t, STYLE_NONE, "%" PRIu64, p->sectors);
	table_cell(t, STYLE_DIM, "%s", unit_bytes((double)p->sectors * (double)SECTOR_BYTES, size));
	table_cell(t, STYLE_NONE, "%s", fill_text(p));
	table_cell(t, STYLE_NONE, "%s", none ? "-" : s->path);
	if (none)
		table_cell(t, STYLE_DIM, "-");
	else
		table_cell(t, STYLE_NONE, "%" PRIu64, s->bytes);
	table_cell(t, STYLE_NONE, "%s", found);
	table_cell(t, STYLE_NONE, "%s", *s->uuid ? s->uuid : "-");
	table_cell(t, STYLE_NONE, "%s", *s->label ? s->label : "-");
}

/* "zeroed: 1M at 0, 4096 at 5121M" */
static void show_zeroes(struct out *o, const struct plan_disk *d)
{
	struct plan_range ranges[PLAN_PARTS_MAX + 1];
	unsigned n = plan_zeroes(d, ranges);
	char size[SIZE_STRLEN], start[SIZE_STRLEN];

	if (!n)
		return;
	out_text(o, STYLE_DIM, "  zeroed: ");
	for (unsigned i = 0; i < n; i++)
		out_text(o, STYLE_DIM, "%s%s at %s", i ? ", " : "",
			 size_format(ranges[i].bytes, size), size_format(ranges[i].start, start));
	out_line(o, STYLE_NONE, "%s", "");
}

static void show_disk(struct out *o, const struct plan_disk *d)
{
	static const struct column columns[] = {
		{ "PART", false, 0 },  { "START", true, 0 },  { "SECTORS", true, 0 },
		{ "SIZE", true, 4 },   { "WHAT", false, 0 },  { "SOURCE", false, 0 },
		{ "BYTES", true, 3 },  { "FOUND", false, 1 }, { "UUID", false, 5 },
		{ "LABEL", false, 6 },
	};
	char size[UNIT_LEN];
	struct table *t;

	out_text(o, STYLE_BOLD, "%s", d->name);
	out_line(o, STYLE_NONE, ": %s becomes %s, %s, %" PRIu64 " sectors (%s)%s", d->vdev,
		 d->target, d->label == PLAN_WHOLE ? "no table of ours" : plan_label_name(d->label),
		 d->sectors, unit_bytes((double)d->sectors * (double)SECTOR_BYTES, size),
		 d->readonly ? ", read-only" : "");
	t = table_new(o, columns, ARRAY_SIZE(columns));
	for (unsigned i = 0; i < d->n_parts; i++)
		part_row(t, &d->parts[i]);
	table_end(t);
	show_zeroes(o, d);
	out_line(o, STYLE_NONE, "%s", "");
}

void plan_view(struct out *o, const struct plan *p)
{
	const json_t *note;
	double bytes = 0;
	char size[UNIT_LEN];
	size_t i;

	for (unsigned d = 0; d < p->n_disks; d++)
		bytes += (double)p->disks[d].sectors * (double)SECTOR_BYTES;
	out_line(o, STYLE_NONE, "%s: %u %s, %s", p->guest, p->n_disks,
		 p->n_disks == 1 ? "disk" : "disks", unit_bytes(bytes, size));
	out_line(o, STYLE_NONE, "%s", "");
	for (unsigned d = 0; d < p->n_disks; d++)
		show_disk(o, &p->disks[d]);
	json_array_foreach(p->notes, i, note) {
		_cleanup_free_ char *line = NULL;

		if (asprintf(&line, "- %s", json_string_value(note)) < 0)
			line = NULL;
		if (line)
			out_wrapped(o, 2, line);
	}
}

void plan_view_space(struct out *o, const struct space *s)
{
	char needed[UNIT_LEN], there[UNIT_LEN], missing[UNIT_LEN];
	const json_t *path;
	size_t i;

	unit_bytes((double)s->needed, needed);
	unit_bytes((double)s->free, there);
	unit_bytes(s->fits ? 0 : (double)(s->needed - s->free), missing);
	out_line(o, STYLE_NONE, "%s", "");
	if (s->fits)
		out_line(o, STYLE_GOOD, "%s: %s%s needed, %s free: it fits", s->place,
			 s->sparse ? "up to " : "", needed, there);
	else if (s->sparse)
		out_line(o, STYLE_WARN,
			 "%s: up to %s needed as the files fill, %s free: over-committed by %s",
			 s->place, needed, there, missing);
	else
		out_line(o, STYLE_BAD, "%s: %s needed, %s free: %s are missing", s->place, needed,
			 there, missing);
	json_array_foreach(s->exists, i, path)
		out_line(o, STYLE_WARN, "%s exists already", json_string_value(path));
}
