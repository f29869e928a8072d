/*
 * Whether there is a kernel to boot at all. It cannot be put in from outside; what can be said is
 * what to do, and which bus the disks need until then.
 */
#include <stdio.h>

#include "bridgectl/fixup/edit_line.h"

#define PREPARE "run `bridgectl domain prepare GUEST` while it still runs on Xen"

static void no_kernel(struct plan *p)
{
	struct text names = { 0 };

	if (p->in->n_kernels == 0) {
		edit_note(p, "NO KERNEL in /boot: this guest was started with one of the Xen host. "
			     "Under KVM it cannot boot; " PREPARE ".");
		return;
	}
	for (unsigned i = 0; i < p->in->n_kernels; i++)
		text_printf(&names, "%s%s", i ? ", " : "",
			    p->in->kernels[i].version ? p->in->kernels[i].version : "?");
	edit_note(p, "NO KERNEL that can run under KVM: %s can start on Xen only; " PREPARE ".",
		  names.s);
	text_fini(&names);
}

static void no_virtio(struct plan *p, const struct guest_kernel *k)
{
	const char *bus = k->drivers.ahci == YES     ? "sata" :
			  k->drivers.ata_piix == YES ? "ide" :
						       NULL;

	if (bus)
		edit_note(p,
			  "%s finds no virtio disk when it starts: convert with --bus %s. Or: %s.",
			  k->version, bus, PREPARE);
	else
		edit_note(p, "%s finds no disk of KVM when it starts, on no bus: %s.", k->version,
			  PREPARE);
}

void edit_kernel(struct plan *p)
{
	const struct guest_kernel *k = inspection_kernel(p->in);

	if (!k) {
		no_kernel(p);
		return;
	}
	if (k->drivers.virtio_blk == NO && k->drivers.virtio_scsi == NO)
		no_virtio(p, k);
	else if (k->drivers.virtio_blk == NOT_KNOWN)
		edit_note(p, "It is not known whether %s finds a virtio disk when it starts%s%s.",
			  k->version, k->initrd_why ? ": " : "",
			  k->initrd_why ? k->initrd_why : "");
	if (k->drivers.virtio_net == NO)
		edit_note(p,
			  "%s has no driver for a virtio network card: give the domain "
			  "another model.",
			  k->version);
	if (!k->has_modules)
		edit_note(p, "/lib/modules/%s is not there: %s will lack drivers once it runs.",
			  k->version, k->path);
}
