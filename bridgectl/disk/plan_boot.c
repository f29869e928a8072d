/*
 * The active flag of an msdos table. GRUB's own boot record does not look at it, but the generic
 * one and some BIOSes boot the active partition only, and people look for it. It stands where
 * Xen found the kernel:
 *
 * - pygrub and PV-GRUB read the disk that the file names first, so it is that volume;
 * - with kernel = in the file, the one whose label is "boot" or "/boot", else that of root=;
 * - else the first in the file that is no swap.
 */
#include <string.h>

#include "bridgectl/disk/plan_private.h"
#include "bridgectl/domain/guest.h"

static struct plan_part *part_of(struct plan_disk *d, unsigned number)
{
	for (unsigned i = 0; i < d->n_parts; i++)
		if (d->parts[i].number == number && d->parts[i].fill != PLAN_BIOS_BOOT)
			return &d->parts[i];
	return NULL;
}

/* Swap and parts of something larger cannot be booted from. */
static bool is_bootable(const struct plan_part *p)
{
	static const char *const others[] = { "swap", "LVM2_member", "linux_raid_member",
					      "crypto_LUKS" };

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(p->source.type, others[i]))
			return false;
	return p->fill == PLAN_COPY;
}

static bool is_before(const struct guest_source *a, const struct guest_source *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* The first in the file that can be booted from. */
static struct plan_part *first_in_file(struct plan_disk *d, const struct guest_disk *from)
{
	const struct guest_source *best = NULL;

	for (unsigned i = 0; i < from->n; i++) {
		const struct guest_source *s = &from->sources[i];
		const struct plan_part *p = part_of(d, s->vdev.partition);

		if (p && is_bootable(p) && (!best || is_before(s, best)))
			best = s;
	}
	return best ? part_of(d, best->vdev.partition) : NULL;
}

static struct plan_part *labelled_boot(struct plan_disk *d)
{
	for (unsigned i = 0; i < d->n_parts; i++)
		if (is_bootable(&d->parts[i]) && (!strcmp(d->parts[i].source.label, "boot") ||
						  !strcmp(d->parts[i].source.label, "/boot")))
			return &d->parts[i];
	return NULL;
}

/* The last root= on the kernel's command line, as the kernel takes it. */
static bool find_root(const char *cmdline, struct vdev *ret)
{
	bool found = false;
	char word[64];

	while (cmdline && *cmdline) {
		size_t len;

		cmdline += strspn(cmdline, " \t");
		len = strcspn(cmdline, " \t");
		if (!strncmp(cmdline, "root=", 5) && len - 5 < sizeof(word)) {
			snprintf(word, sizeof(word), "%.*s", (int)len - 5, cmdline + 5);
			found = vdev_parse(word, ret) == 0;
		}
		cmdline += len;
	}
	return found;
}

static struct plan_part *choose(struct plan_disk *d, const struct guest_disk *from,
				const struct guest *g, const struct vdev *root,
				const char **ret_why)
{
	bool loader = g->boot.method == BOOT_BOOTLOADER || g->boot.method == BOOT_PVGRUB;
	struct plan_part *p = loader ? NULL : labelled_boot(d);

	*ret_why = "its label says so";
	if (p)
		return p;
	*ret_why = "root= names it";
	if (!loader && root)
		p = part_of(d, root->partition);
	if (p && is_bootable(p))
		return p;
	*ret_why = "it comes first in the file";
	return first_in_file(d, from);
}

void plan_boot_flag(struct plan *p, const struct guest *g, const struct guest_disk *const *from)
{
	struct vdev root;
	bool has_root = find_root(g->boot.cmdline, &root);
	bool by_kernel = g->boot.method == BOOT_KERNEL;
	struct plan_part *part;
	const char *why;
	unsigned at = 0;

	for (unsigned i = 1; i < p->n_disks; i++)
		if (from[i] < from[at]) /* in the order of the file */
			at = i;
	for (unsigned i = 0; i < p->n_disks && by_kernel && has_root; i++)
		if (from[i]->index == root.disk && from[i]->bus == root.bus)
			at = i;
	if (p->disks[at].label != PLAN_MSDOS)
		return;
	has_root &= from[at]->index == root.disk && from[at]->bus == root.bus;
	part = choose(&p->disks[at], from[at], g, has_root ? &root : NULL, &why);
	if (!part)
		return;
	part->boot = true;
	plan_note(p, "%s%u has the boot flag, because %s.", p->disks[at].vdev, part->number, why);
}
