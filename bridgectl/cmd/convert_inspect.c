/*
 * From what the inspection of a guest's disks finds to the hints that the conversion takes. The
 * disks are read in the child of the fix-ups, which can do nothing but read; nothing is written.
 */
#include "bridgectl/cmd/convert_inspect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/bootrecord.h"
#include "bridgectl/fixup/fixup.h"

static enum hint hint_of(enum tristate t)
{
	return t == YES ? HINT_YES : t == NO ? HINT_NO : HINT_UNKNOWN;
}

/* False: a disk is not here, or not ours to read. */
static bool choose_disks(const struct convert_place *places, unsigned n, struct fixup_options *o)
{
	for (unsigned i = 0; i < n && i < FIXUP_DISKS_MAX; i++) {
		if (access(places[i].path, R_OK) < 0)
			return false;
		o->disks[i] = places[i].path;
		o->letters[i] = places[i].letters[0];
		o->n_disks++;
	}
	return n > 0;
}

static void take(const struct guest_kernel *k, struct convert_look *ret)
{
	const struct drivers *d = &k->drivers;

	ret->kernel = mem_strdup_or_null(k->version);
	ret->arch = mem_strdup_or_null(k->arch);
	ret->hints = (struct convert_hints){ .kernel = ret->kernel,
					     .arch = ret->arch,
					     .virtio_pci = hint_of(d->virtio_pci),
					     .virtio_blk = hint_of(d->virtio_blk),
					     .virtio_scsi = hint_of(d->virtio_scsi),
					     .ahci = hint_of(d->ahci),
					     .ata_piix = hint_of(d->ata_piix),
					     .sd_mod = hint_of(d->sd_mod) };
}

/*
 * What is on a disk may be left of an older installation. So it must be ours, or of the kind that
 * reads the menu which was found, and that menu start the kernel.
 */
static bool is_in_use(const char *whose, const struct inspection *in, const struct guest_kernel *k)
{
	static const struct {
		enum boot_config menu;
		const char *loader;
	} readers[] = {
		{ BOOT_GRUB2, "GRUB" },
		{ BOOT_GRUB_LEGACY, "GRUB" },
		{ BOOT_EXTLINUX, "SYSLINUX" },
		{ BOOT_BLS, "GRUB" },
	};

	if (!strcmp(whose, BOOTRECORD_OURS))
		return true;
	for (unsigned i = 0; k && k->is_default && i < ARRAY_SIZE(readers); i++)
		if (readers[i].menu == in->boot && !strcmp(readers[i].loader, whose))
			return true;
	return false;
}

static void take_loader_of(struct fixup *f, unsigned disk, const struct guest_kernel *k,
			   struct convert_look *ret)
{
	const char *whose = bootrecord_whose(fixup_disk_fd(f, disk));

	if (ret->hints.loader || !whose || !is_in_use(whose, fixup_view(f)->in, k))
		return;
	ret->hints.loader = whose;
	ret->hints.loader_place = disk;
}

/* On the first disk, or on that of the root. Those of data may have been another guest's. */
static void take_loader(struct fixup *f, const struct fixup_options *o,
			const struct guest_kernel *k, struct convert_look *ret)
{
	take_loader_of(f, bootrecord_disk(o), k, ret);
	for (unsigned i = 0; i < o->n_disks; i++)
		if (o->letters[i] == fixup_view(f)->root_letter)
			take_loader_of(f, i, k, ret);
}

int convert_look(const struct convert_place *places, unsigned n, bool trust_guest,
		 struct convert_look *ret, char *err, size_t size)
{
	struct fixup_options o = { .trust_guest = trust_guest };
	char why[FIXUP_ERRLEN] = "";
	const struct guest_kernel *k;
	struct fixup *f;
	int r;

	*ret = (struct convert_look){ 0 };
	if (!choose_disks(places, n, &o))
		return -ENOENT;
	r = fixup_plan(&o, &f, why);
	if (r < 0) {
		snprintf(err, size, "%s", why);
		/* The caller's word for "not here" is another thing than a missing root. */
		return r == -ENOENT ? -ENOMEDIUM : r;
	}
	k = inspection_kernel(fixup_view(f)->in);
	if (k)
		take(k, ret);
	take_loader(f, &o, k, ret);
	fixup_free(f);
	return 0;
}

void convert_look_fini(struct convert_look *l)
{
	free(l->kernel);
	free(l->arch);
}
