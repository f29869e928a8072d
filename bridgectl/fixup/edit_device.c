/*
 * What the guest's names of disks stand for. Under Xen a disk was xvda, on old kernels sda or hda;
 * under KVM its name depends on the bus, so the only names that last are those in the file systems
 * themselves. The caller found them with libblkid; here they are looked up by letter and number.
 */
#include <ctype.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_line.h"

static const char *const prefixes[] = { "xvd", "sd", "hd", "vd" };

/* Names that have a place on the old machine in them. */
static const char *const places[] = { "/dev/disk/by-path/", "/dev/disk/by-id/" };

static struct word without_dev(const struct word *w)
{
	struct word name = *w;

	if (word_begins(&name, "/dev/")) {
		name.s += 5;
		name.len -= 5;
	}
	return name;
}

/* Letter 0: a disk behind the 26th, which no part is. False: no name of a disk. */
static bool parse(const struct word *w, char *ret_letter, unsigned *ret_number)
{
	struct word name = without_dev(w);
	unsigned letters = 0, number = 0;
	const char *s = name.s, *end = name.s + name.len;

	for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (word_begins(&name, prefixes[i])) {
			s = name.s + strlen(prefixes[i]);
			break;
		}
	}
	if (s == name.s)
		return false;
	for (; s < end && islower((unsigned char)*s); s++)
		letters++;
	if (letters == 0 || letters > 3)
		return false;
	*ret_letter = letters == 1 ? s[-1] : '\0';
	for (; s < end && isdigit((unsigned char)*s) && number < 1000; s++)
		number = number * 10 + (unsigned)(*s - '0');
	*ret_number = number;
	return s == end;
}

bool word_is_disk(const struct word *w)
{
	unsigned number;
	char letter;

	return parse(w, &letter, &number);
}

/* The only one; NULL: none, or several. */
static const struct edit_part *part_by(struct plan *p, char letter, unsigned number,
				       const char *uuid, const char *label)
{
	const struct edit_part *found = NULL;

	for (unsigned i = 0; i < p->o->n_parts; i++) {
		const struct edit_part *part = &p->o->parts[i];

		if (uuid || label) {
			if (strcmp(uuid ? part->uuid : part->label, uuid ? uuid : label) != 0)
				continue;
		} else if (part->letter != letter || part->number != number) {
			continue;
		}
		if (found)
			return NULL;
		found = part;
	}
	return found;
}

const struct edit_part *plan_part(struct plan *p, const struct word *device)
{
	static const char *const uuids[] = { "UUID=", "/dev/disk/by-uuid/" };
	static const char *const labels[] = { "LABEL=", "/dev/disk/by-label/" };
	char buf[EDIT_WORD_MAX], letter;
	const char *text = word_text(device, buf);
	unsigned number;

	for (unsigned i = 0; i < 2; i++) {
		if (word_begins(device, uuids[i]))
			return part_by(p, 0, 0, text + strlen(uuids[i]), NULL);
		if (word_begins(device, labels[i]))
			return part_by(p, 0, 0, NULL, text + strlen(labels[i]));
	}
	return parse(device, &letter, &number) ? part_by(p, letter, number, NULL, NULL) : NULL;
}

static const struct edit_part *mounted_at(struct plan *p, char *fstab, const char *dir)
{
	for (char *s = fstab, *line; (line = strsep(&s, "\n"));) {
		struct word device = word_at(line, 0), where = word_at(line, 1);

		if (device.len && *device.s != '#' && word_is(&where, dir))
			return plan_part(p, &device);
	}
	return NULL;
}

const struct edit_part *plan_part_at(struct plan *p, const char *dir)
{
	size_t len;
	_cleanup_free_ char *fstab = NULL;

	if (strcmp(dir, "/") == 0 && p->o->root_letter)
		return part_by(p, p->o->root_letter, p->o->root_number, NULL, NULL);
	fstab = plan_text(p, "/etc/fstab", &len);
	return fstab ? mounted_at(p, fstab, dir) : NULL;
}

/* It goes into files of many kinds: nothing but what libblkid makes of a UUID. */
static bool is_plain(const char *uuid)
{
	return *uuid && uuid[strspn(uuid, "0123456789abcdefABCDEF-")] == '\0';
}

static bool is_place(const struct word *w)
{
	return word_begins_any(w, places, ARRAY_SIZE(places));
}

static bool has_disk(const struct plan *p, char letter)
{
	for (unsigned i = 0; i < p->o->n_parts; i++) {
		if (p->o->parts[i].letter == letter)
			return true;
	}
	return false;
}

/* A guest whose fstab names a disk that never comes may wait for it, and stop at last. */
static void tell_missing(struct line *l, const struct word *device, const char *name)
{
	unsigned number;
	char letter;

	if (l->plan->o->n_parts && parse(device, &letter, &number) && letter &&
	    !has_disk(l->plan, letter))
		line_note(l,
			  "%s is on a disk that was not given (--disk vd%c=PATH); the line stays "
			  "as it is, and will find nothing",
			  name, letter);
	else
		line_note(l,
			  "%s is none of this guest's partitions; the line stays as it is, "
			  "and will find nothing",
			  name);
}

bool line_device(struct line *l, const struct word *device, struct text *out)
{
	char buf[EDIT_WORD_MAX];
	const char *name = word_text(device, buf);
	const struct edit_part *part;

	if (is_place(device)) {
		line_note(l, "%s is named after its place on the Xen host; KVM has other places",
			  name);
		return false;
	}
	if (!word_begins(device, "/dev/") || !word_is_disk(device))
		return false;
	part = plan_part(l->plan, device);
	if (!part) {
		tell_missing(l, device, name);
		return false;
	}
	if (!is_plain(part->uuid)) {
		line_note(l, "%s has no UUID to name it by; the line stays as it is", name);
		return false;
	}
	if (part_by(l->plan, 0, 0, part->uuid, NULL) != part) {
		line_note(l, "%s has the UUID of another partition, too; the line stays as it is",
			  name);
		return false;
	}
	text_printf(out, "UUID=%s", part->uuid);
	return true;
}
