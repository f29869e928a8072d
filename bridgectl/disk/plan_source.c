/*
 * From a string of disk = [ … ] to a volume on this host. Raw volumes that have a path are taken;
 * for everything else there is a sentence that says how to make it one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/disk/plan_private.h"
#include "bridgectl/disk/probe.h"
#include "bridgectl/disk/quote.h"
#include "bridgectl/domain/guest.h"

/* "qemu-img convert -O raw 'my disk.qcow2' 'my disk.qcow2.raw'", for a shell. */
static char *convert_command(const char *path)
{
	_cleanup_free_ char *raw = NULL;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("qemu-img convert -O raw ", f);
	quote_word(f, path);
	fputc(' ', f);
	if (asprintf(&raw, "%s.raw", path) < 0)
		raw = NULL;
	quote_word(f, raw ? raw : "");
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static bool is_raw(const struct diskspec *s, const char *name, char *err)
{
	const char *format = s->format ? s->format : "raw", *path = s->path ? s->path : "IMAGE";
	_cleanup_free_ char *command = NULL;

	if (!strcmp(format, "raw"))
		return true;
	command = convert_command(path);
	return plan_fail(err,
			 "%s: %s is a %s image; make it raw first and name the new file in the "
			 "configuration: %s",
			 name, path, format, command ? command : "qemu-img convert -O raw");
}

/* Only this host's volumes: a driver domain has its own. */
static bool is_of_this_host(const struct diskspec *s, const char *name, char *err)
{
	if (!guest_backend_is_other(s->backend))
		return true;
	return plan_fail(err,
			 "%s: its data is in domain %.64s, not here; copy it to a volume "
			 "of this host first",
			 name, s->backend);
}

static bool has_path(const struct diskspec *s, const char *name, char *err)
{
	switch (s->kind) {
	case DISK_PATH:
	case DISK_DEVICE:
	case DISK_FILE:
	case DISK_DRBD:
		return true;
	case DISK_ISCSI:
		return plan_fail(err,
				 "%s: iSCSI is not a path; log in with iscsiadm and name the "
				 "device under /dev/disk/by-path in the configuration",
				 name);
	case DISK_NBD:
		return plan_fail(err,
				 "%s: NBD is not a path; connect it with nbd-client and name "
				 "the device in the configuration",
				 name);
	case DISK_EMPTY:
		return plan_fail(err, "%s: there is no volume", name);
	case DISK_SCRIPT:
	default:
		return plan_fail(err,
				 "%s: only the script %.64s knows where its data is; name "
				 "a device or a file in the configuration",
				 name, s->script ? s->script : "of Xen");
	}
}

/*
 * DRBD's udev rules make by-res/RES for a resource of one volume, by-res/RES/0 where there could
 * be several. The device's size is without its metadata, inside or not.
 */
static bool find_drbd(const struct diskspec *s, const char *name, plan_probe_fn probe, void *arg,
		      struct plan_source *ret, char *err)
{
	static const char *const ends[] = { "", "/0" };
	const char *r = s->resource;
	char path[512];
	char why[PLAN_ERRLEN];
	int e = -ENOENT;

	if (!r || !plan_name_is_valid(r))
		return plan_fail(err, "%s: no name of a DRBD resource", name);
	for (unsigned i = 0; i < ARRAY_SIZE(ends) && (e == -ENOENT || e == -ENODEV); i++) {
		if (snprintf(path, sizeof(path), "/dev/drbd/by-res/%s%s", r, ends[i]) >=
		    (int)sizeof(path))
			return plan_fail(err, "%s: too long a name of a resource", name);
		e = probe(arg, path, ret, why);
	}
	if (e == -ENOENT || e == -ENODEV)
		return plan_fail(err,
				 "%s: DRBD resource %s is not up on this host "
				 "(/dev/drbd/by-res/%s)",
				 name, r, r);
	return !e || plan_fail(err, "%s: %.480s", name, why);
}

bool plan_source_find(const struct diskspec *s, const char *name, plan_probe_fn probe, void *arg,
		      struct plan_source *ret, char *err)
{
	char why[PLAN_ERRLEN];

	if (!has_path(s, name, err) || !is_of_this_host(s, name, err) || !is_raw(s, name, err))
		return false;
	if (s->resource && s->kind == DISK_DRBD)
		return find_drbd(s, name, probe, arg, ret, err);
	if (!s->path || s->path[0] != '/')
		return plan_fail(err, "%s: %.256s is not an absolute path", name,
				 s->path ? s->path : "nothing");
	if (probe(arg, s->path, ret, why) < 0)
		return plan_fail(err, "%s: %.480s", name, why);
	return true;
}

/* --- What to say --- */

static void note_type(struct plan *p, const char *name, const struct plan_part *part)
{
	const struct plan_source *s = &part->source;

	if (!strcmp(s->type, PROBE_AMBIGUOUS))
		plan_note(p,
			  "%s has more than one signature (see wipefs -n %s); it is copied as it "
			  "is.",
			  name, s->path);
	if (!strcmp(s->type, "LVM2_member"))
		plan_note(p,
			  "%s has a volume group of the guest in it: keep the new host's LVM from "
			  "scanning it (global_filter in lvm.conf).",
			  name);
	if (s->image)
		plan_note(p,
			  "%s: %s is to be raw, but begins as a %s image does; if it is one, make "
			  "it raw first: qemu-img convert -O raw.",
			  name, s->path, s->image);
	if (part->number && *s->table)
		plan_note(p,
			  "%s has a partition table of its own (%s) inside of a partition; it is "
			  "copied as it is.",
			  name, s->table);
}

static void note_swap(struct plan *p, const char *name, const struct plan_part *part)
{
	const struct plan_source *s = &part->source;

	if (part->fill == PLAN_SWAP && strchr(s->label, '?'))
		plan_note(p,
			  "%s: the label of this swap has a byte that is no text; the new one has "
			  "a ? for it.",
			  name);
	if (part->fill == PLAN_SWAP)
		plan_note(p, "%s is swap: made anew with %s, not copied.", name,
			  *s->uuid && *s->label ? "the same UUID and label" :
			  *s->uuid		? "the same UUID" :
						  "no UUID, as it is now");
	else if (!strcmp(s->type, "swap"))
		plan_note(p, "%s is swap and is copied as it is.", name);
}

void plan_source_notes(struct plan *p, const char *name, const struct diskspec *spec,
		       const struct plan_part *part)
{
	const struct plan_source *s = &part->source;

	note_type(p, name, part);
	note_swap(p, name, part);
	if (spec->shared)
		plan_note(p, "%s may be written to by others while the guest is off (w!).", name);
	if (s->bytes % SECTOR_BYTES)
		plan_note(p,
			  "%s has %" PRIu64 " bytes, which is no whole number of sectors; Xen "
			  "showed the guest whole ones only.",
			  name, s->bytes);
	if (!part->number)
		plan_note(p, "%s is a whole disk%s%s; its copy has the same size.", name,
			  *s->table ? " with its own table, " : "", s->table);
}
