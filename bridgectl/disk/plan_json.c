/*
 * The plan as a document, out and in. In may come from another host, from a file that somebody
 * has edited, from anybody: every value has its type, its bound and its length checked here, and
 * then plan_check() asks whether the whole makes sense. Keys that are not known are passed over,
 * so that an older program reads what a newer one has written.
 */
#include <inttypes.h>
#include <string.h>

#include "bridgectl/disk/plan_private.h"

#define VERSION 1
#define NOTE_BYTES 2048

static const char *const label_names[] = {
	[PLAN_WHOLE] = "whole", [PLAN_MSDOS] = "msdos", [PLAN_GPT] = "gpt"
};
static const char *const fill_names[] = {
	[PLAN_COPY] = "copy", [PLAN_SWAP] = "swap", [PLAN_BIOS_BOOT] = "bios-boot"
};

const char *plan_label_name(enum plan_label l)
{
	return label_names[l];
}

const char *plan_fill_name(enum plan_fill f)
{
	return fill_names[f];
}

/* --- Out --- */

static json_t *source_to_json(const struct plan_source *s)
{
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:i, s:b}", "path", s->path, "bytes",
			 (json_int_t)s->bytes, "type", s->type, "table", s->table, "uuid", s->uuid,
			 "label", s->label, "swap_page", (int)s->swap_page, "hibernated",
			 s->hibernated);
}

static json_t *part_to_json(const struct plan_disk *d, const struct plan_part *p)
{
	json_t *j = json_pack("{s:i, s:I, s:I, s:s, s:s, s:b}", "number", (int)p->number, "start",
			      (json_int_t)p->start, "sectors", (json_int_t)p->sectors, "fill",
			      plan_fill_name(p->fill), "type",
			      d->label == PLAN_WHOLE ? "" : plan_part_type(d, p), "boot", p->boot);

	if (p->fill != PLAN_BIOS_BOOT)
		json_object_set_new(j, "source", source_to_json(&p->source));
	return j;
}

static json_t *zeroes_to_json(const struct plan_disk *d)
{
	struct plan_range ranges[PLAN_PARTS_MAX + 1];
	unsigned n = plan_zeroes(d, ranges);
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list,
				      json_pack("{s:I, s:I}", "start", (json_int_t)ranges[i].start,
						"bytes", (json_int_t)ranges[i].bytes));
	return list;
}

static json_t *disk_to_json(const struct plan_disk *d)
{
	json_t *parts = json_array();

	for (unsigned i = 0; i < d->n_parts; i++)
		json_array_append_new(parts, part_to_json(d, &d->parts[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:o, s:o}", "name", d->name, "target",
			 d->target, "vdev", d->vdev, "label", plan_label_name(d->label), "sectors",
			 (json_int_t)d->sectors, "readonly", d->readonly, "partitions", parts,
			 "zeroes", zeroes_to_json(d));
}

json_t *plan_to_json(const struct plan *p)
{
	json_t *disks = json_array();

	for (unsigned i = 0; i < p->n_disks; i++)
		json_array_append_new(disks, disk_to_json(&p->disks[i]));
	return json_pack("{s:i, s:s, s:o, s:O}", "plan", VERSION, "guest", p->guest, "disks", disks,
			 "notes", p->notes);
}

/* --- In --- */

static bool get_text(const json_t *o, const char *key, char *buf, size_t size, char *err)
{
	const json_t *v = json_object_get(o, key);
	size_t len = json_string_length(v);

	if (!json_is_string(v) || len >= size || strlen(json_string_value(v)) != len)
		return plan_fail(err, "\"%s\" is missing, no text, or too long", key);
	memcpy(buf, json_string_value(v), len + 1);
	return true;
}

static bool get_number(const json_t *o, const char *key, uint64_t max, uint64_t *ret, char *err)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return plan_fail(err, "\"%s\" is missing, no number, or above %" PRIu64, key, max);
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

static bool get_bool(const json_t *o, const char *key, bool *ret, char *err)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_boolean(v))
		return plan_fail(err, "\"%s\" is missing, or neither true nor false", key);
	*ret = json_is_true(v);
	return true;
}

static bool get_word(const json_t *o, const char *key, const char *const words[], unsigned n,
		     unsigned *ret, char *err)
{
	const char *s = json_string_value(json_object_get(o, key));

	for (unsigned i = 0; s && i < n; i++)
		if (!strcmp(s, words[i])) {
			*ret = i;
			return true;
		}
	return plan_fail(err, "\"%s\" is missing, or not a word that it can be", key);
}

/* At least one object, at most `max`. */
static bool get_list(const json_t *o, const char *key, size_t max, const json_t **ret, char *err)
{
	const json_t *v = json_object_get(o, key);
	size_t n = json_array_size(v);

	if (!json_is_array(v) || n < 1 || n > max)
		return plan_fail(err, "\"%s\" is missing, or no list of 1 to %zu", key, max);
	*ret = v;
	return true;
}

static bool source_from_json(const json_t *j, struct plan_source *s, char *err)
{
	uint64_t page;

	if (!get_text(j, "path", s->path, sizeof(s->path), err) ||
	    !get_number(j, "bytes", PLAN_SECTORS_MAX * SECTOR_BYTES, &s->bytes, err) ||
	    !get_text(j, "type", s->type, sizeof(s->type), err) ||
	    !get_text(j, "table", s->table, sizeof(s->table), err) ||
	    !get_text(j, "uuid", s->uuid, sizeof(s->uuid), err) ||
	    !get_text(j, "label", s->label, sizeof(s->label), err) ||
	    !get_number(j, "swap_page", UINT32_MAX, &page, err) ||
	    !get_bool(j, "hibernated", &s->hibernated, err))
		return false;
	s->swap_page = (uint32_t)page;
	return true;
}

static bool part_from_json(const json_t *j, struct plan_part *p, char *err)
{
	const json_t *source = json_object_get(j, "source");
	uint64_t number;
	unsigned fill;

	if (!get_number(j, "number", PLAN_PARTS_MAX, &number, err) ||
	    !get_number(j, "start", PLAN_SECTORS_MAX, &p->start, err) ||
	    !get_number(j, "sectors", PLAN_SECTORS_MAX, &p->sectors, err) ||
	    !get_bool(j, "boot", &p->boot, err) ||
	    !get_word(j, "fill", fill_names, ARRAY_SIZE(fill_names), &fill, err))
		return false;
	p->number = (unsigned)number;
	p->fill = (enum plan_fill)fill;
	if (p->fill == PLAN_BIOS_BOOT)
		return !source || plan_fail(err, "a BIOS boot partition has no source");
	return source_from_json(source, &p->source, err);
}

static bool parts_from_json(const json_t *list, struct plan_disk *d, char *err)
{
	const json_t *item;
	size_t i;

	d->parts = calloc(json_array_size(list), sizeof(*d->parts));
	if (!d->parts)
		return plan_fail(err, "out of memory");
	json_array_foreach(list, i, item) {
		if (!part_from_json(item, &d->parts[i], err))
			return false;
		d->n_parts++;
	}
	return true;
}

static bool disk_from_json(const json_t *j, struct plan_disk *d, char *err)
{
	const json_t *parts = NULL;
	unsigned label;

	if (!get_text(j, "name", d->name, sizeof(d->name), err) ||
	    !get_text(j, "target", d->target, sizeof(d->target), err) ||
	    !get_text(j, "vdev", d->vdev, sizeof(d->vdev), err) ||
	    !get_word(j, "label", label_names, ARRAY_SIZE(label_names), &label, err) ||
	    !get_number(j, "sectors", PLAN_SECTORS_MAX, &d->sectors, err) ||
	    !get_bool(j, "readonly", &d->readonly, err) ||
	    !get_list(j, "partitions", PLAN_PARTS_MAX, &parts, err))
		return false;
	d->label = (enum plan_label)label;
	return parts_from_json(parts, d, err);
}

static bool notes_from_json(const json_t *list, json_t *notes, char *err)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > PLAN_NOTES_MAX)
		return plan_fail(err, "\"notes\" is missing, or no list");
	json_array_foreach(list, i, item) {
		if (!json_is_string(item) || json_string_length(item) > NOTE_BYTES)
			return plan_fail(err, "\"notes\" has something that is no sentence");
		json_array_append_new(notes, json_copy((json_t *)item));
	}
	return true;
}

static bool plan_fill_in(const json_t *j, struct plan *p, char *err)
{
	const json_t *disks = NULL, *item;
	uint64_t version;
	size_t i;

	if (!get_number(j, "plan", VERSION, &version, err) ||
	    !get_text(j, "guest", p->guest, sizeof(p->guest), err) ||
	    !get_list(j, "disks", PLAN_DISKS_MAX, &disks, err))
		return false;
	if (version != VERSION)
		return plan_fail(err, "\"plan\" is not %d", VERSION);
	json_array_foreach(disks, i, item) {
		p->n_disks++;
		if (!disk_from_json(item, &p->disks[i], err))
			return false;
	}
	return notes_from_json(json_object_get(j, "notes"), p->notes, err) && plan_check(p, err);
}

struct plan *plan_from_json(const json_t *j, char *err)
{
	struct plan *p = plan_new(err);

	if (!p)
		return NULL;
	if (!plan_fill_in(j, p, err)) {
		plan_free(p);
		return NULL;
	}
	return p;
}
