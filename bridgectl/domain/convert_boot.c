/*
 * Firmware, machine and what the guest boots from. Under KVM a guest starts from its own disk:
 * kernels of the Xen host and its boot loaders, which read the guest's disk from outside, stay
 * behind, and the warning says what the guest needs instead.
 *
 * Unless hints tell, the machine is `pc` where nothing newer is certain. Its virtio devices are
 * transitional, so kernels from 2.6.25 on drive them; on the PCI Express ports of `q35` they are
 * those of virtio 1.0 only, which Linux has since 4.0. UEFI and PVH are younger than that.
 */
#include "bridgectl/domain/convert_private.h"
#include "bridgectl/domain/mem.h"

void conv_machine(struct converter *v)
{
	const struct guest *g = v->g;
	const char *firmware = g->firmware;
	struct choices *c = v->c;

	c->efi = g->kind == GUEST_HVM && firmware && !strcmp(firmware, "ovmf");
	conv_hints(v);
	c->machine = c->efi || g->kind == GUEST_PVH ? "q35" : "pc";
	if (v->hinted.machine && !c->efi)
		c->machine = v->hinted.machine;
	if (v->o->machine)
		c->machine = v->o->machine;
	if (firmware && !c->efi && strcmp(firmware, "bios") && strcmp(firmware, "seabios") &&
	    strcmp(firmware, "rombios") && strncmp(firmware, "pvgrub", 6) != 0)
		conv_lose(v, "firmware", conv_place(v, "firmware", "bios"),
			  "a firmware file of the old host");
}

/* --- How it started in Xen --- */

/* Its disk has all that it needs already: nothing is to be done any more. */
static void tell_loader(struct converter *v, const struct convert_hints *h)
{
	bool host = v->g->boot.method != BOOT_BOOTLOADER;

	conv_note(v, conv_place(v, host ? "kernel" : "bootloader", host ? "firmware" : NULL),
		  "how Xen started it is left out: the guest boots from its disk, by %s, with the "
		  "command line of its own menu",
		  h->loader);
}

static void tell_way(struct converter *v)
{
	static const char cmdline[] = "; its command line belongs into that, with ttyS0 for hvc0";
	const struct convert_hints *h = v->o->hints;
	const struct guest *g = v->g;
	bool from_xen = g->boot.method != BOOT_NONE && g->boot.method != BOOT_FIRMWARE;

	if (from_xen && h && h->kernel && h->loader) {
		tell_loader(v, h);
		return;
	}
	switch (g->boot.method) {
	case BOOT_KERNEL:
		conv_warn(
			v, conv_place(v, "kernel", NULL),
			"the kernel is a file of the Xen host; the guest needs a kernel and a boot "
			"loader on its own disk%s",
			g->boot.cmdline ? cmdline : "");
		break;
	case BOOT_BOOTLOADER:
		conv_warn(v, conv_place(v, "bootloader", NULL),
			  "%s read the guest's disk from outside; the guest needs a boot loader of "
			  "its own on its disk",
			  g->boot.bootloader);
		break;
	case BOOT_PVGRUB:
		conv_warn(
			v, conv_place(v, "kernel", "firmware"),
			"GRUB came from the Xen host; the guest needs one of its own on its disk");
		break;
	case BOOT_NONE:
	case BOOT_FIRMWARE:
		break;
	}
}

/* What else belonged to that way; the warning above is about all of it. */
static void tell_parts(struct converter *v)
{
	static const char *const keys[] = { "ramdisk",	 "cmdline", "root",	"extra",
					    "ip",	 "netmask", "gateway",	"hostname",
					    "interface", "dhcp",    "bootargs", "bootloader_args" };

	for (unsigned i = 0; v->file && i < ARRAY_SIZE(keys); i++)
		if (xl_file_get(v->file, keys[i]))
			conv_note(v, conv_place(v, keys[i], NULL),
				  "%s is left out: it is how Xen started the guest", keys[i]);
}

/* --- The order --- */

/*
 * Xen started a PV guest from the first string of its list, a BIOS starts from the first disk. A
 * boot loader that is there already knows better.
 */
static struct choice_disk *first_disk(struct converter *v)
{
	const struct guest_disk *first = v->g->n_disks ? &v->g->disks[0] : NULL;

	if (!v->o->n_places)
		return NULL;
	if (v->g->kind != GUEST_HVM && v->o->hints && v->o->hints->loader)
		return &v->c->disks[v->o->hints->loader_place];
	for (unsigned i = 0; v->g->kind != GUEST_HVM && i < v->o->n_places; i++)
		if (v->o->places[i].disk == first)
			return &v->c->disks[i];
	return &v->c->disks[0];
}

static unsigned order_cdroms(struct choices *c, unsigned next)
{
	for (unsigned i = 0; i < c->n_disks; i++)
		if (c->disks[i].cdrom && !c->disks[i].boot)
			c->disks[i].boot = next++;
	return next;
}

static unsigned order_vifs(struct choices *c, unsigned next)
{
	for (unsigned i = 0; i < c->n_vifs; i++)
		if (!c->vifs[i].boot)
			c->vifs[i].boot = next++;
	return next;
}

void conv_boot(struct converter *v)
{
	const char *order = v->g->kind == GUEST_HVM && v->g->boot.order ? v->g->boot.order : "c";
	struct choice_disk *first = first_disk(v);
	unsigned next = 1;

	tell_way(v);
	tell_parts(v);
	for (; *order; order++) {
		if (*order == 'c' && first && !first->boot)
			first->boot = next++;
		else if (*order == 'd')
			next = order_cdroms(v->c, next);
		else if (*order == 'n')
			next = order_vifs(v->c, next);
		else if (*order == 'a')
			conv_warn(v, conv_place(v, "boot", NULL),
				  "the guest does not boot from a floppy disk: it has none");
	}
}
