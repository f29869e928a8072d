/*
 * The boot record as one more change of a fix-up. It goes to the guest's first disk: that is what
 * pygrub looked at, and what a BIOS boots from.
 */
#include "bridgectl/disk/fail.h"
#include "bridgectl/fixup/bootrecord.h"
#include "bridgectl/fixup/fixup.h"

#define ERR err, BOOTRECORD_ERRLEN

unsigned bootrecord_disk(const struct fixup_options *o)
{
	unsigned first = 0;

	for (unsigned i = 1; i < o->n_disks; i++)
		if (o->letters[i] < o->letters[first])
			first = i;
	return first;
}

static const char *root_uuid(const struct fixup_view *v)
{
	for (unsigned i = 0; i < v->n_parts; i++)
		if (v->parts[i].letter == v->root_letter && v->parts[i].number == v->root_number &&
		    *v->parts[i].uuid)
			return v->parts[i].uuid;
	return NULL;
}

static int add_writes(struct fixup *f, unsigned disk, const struct bootrecord *b, char *err)
{
	char why[FIXUP_ERRLEN];

	for (unsigned i = 0; i < b->n_writes; i++) {
		const struct bootrecord_write *w = &b->writes[i];
		int r = fixup_add_write(f, disk, w->offset, w->bytes, w->len, why);

		if (r < 0)
			return disk_fail(ERR, r, "the boot record: %.400s", why);
	}
	return 0;
}

int bootrecord_add(struct fixup *f, const struct fixup_options *o, enum bootrecord_mode mode,
		   struct bootrecord *ret, char *err)
{
	const struct fixup_view *v = fixup_view(f);
	struct bootrecord_want w = { .mode = mode,
				     .root_uuid = root_uuid(v),
				     .legacy_first = v->in->boot == BOOT_GRUB_LEGACY };
	unsigned disk = bootrecord_disk(o);
	struct bootrecord b;
	int r = bootrecord_plan(fixup_disk_fd(f, disk), &w, &b, err);

	if (r < 0)
		return r;
	r = add_writes(f, disk, &b, err);
	if (r < 0)
		bootrecord_fini(&b);
	else
		*ret = b;
	return r;
}
