/*
 * What the guest's own kernel decides: the bus of its disks, which it has to drive before it has
 * its root file system, and the machine.
 *
 * The first bus of `buses` whose drivers are certain is taken. `q35` is for kernels that know
 * virtio 1.0, from Linux 4.0 on: on its PCI Express ports there is nothing else, for disks and
 * network cards alike. Distributions that took virtio 1.0 into older kernels get `pc`, which does
 * as well.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/domain/convert_private.h"

#define Q35_MAJOR 4

/* Best first. Every hint of `needs` must be HINT_YES. */
static const struct {
	enum choice_bus bus;
	size_t needs[3];
	unsigned n;
} buses[] = {
#define H(x) offsetof(struct convert_hints, x)
	{ BUS_VIRTIO, { H(virtio_pci), H(virtio_blk) }, 2 },
	{ BUS_SCSI, { H(virtio_pci), H(virtio_scsi), H(sd_mod) }, 3 },
	{ BUS_SATA, { H(ahci), H(sd_mod) }, 2 },
	{ BUS_IDE, { H(ata_piix), H(sd_mod) }, 2 },
#undef H
};

/* The least certain of what a row needs: NO before UNKNOWN before YES. */
static enum hint drives(const struct convert_hints *h, unsigned row)
{
	enum hint all = HINT_YES;

	for (unsigned i = 0; i < buses[row].n; i++) {
		enum hint one = *(const enum hint *)((const char *)h + buses[row].needs[i]);

		if (one == HINT_NO)
			return HINT_NO;
		if (one == HINT_UNKNOWN)
			all = HINT_UNKNOWN;
	}
	return all;
}

static bool is_young(const char *version)
{
	unsigned major = 0;

	return version && sscanf(version, "%u", &major) == 1 && major >= Q35_MAJOR;
}

/* q35, which UEFI and perhaps the user want, has no IDE. */
static bool fits(const struct converter *v, enum choice_bus bus)
{
	const char *machine = v->o->machine ? v->o->machine : v->c->efi ? "q35" : "pc";

	return bus != BUS_IDE || strcmp(machine, "q35") != 0;
}

void conv_hints(struct converter *v)
{
	const struct convert_hints *h = v->o->hints;
	enum choice_bus bus = v->o->bus;

	if (!h || !h->kernel)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(buses) && bus == BUS_DEFAULT; i++)
		if (drives(h, i) == HINT_YES && fits(v, buses[i].bus))
			bus = v->hinted.bus = buses[i].bus;
	if (bus != BUS_DEFAULT)
		v->hinted.machine = is_young(h->kernel) && bus != BUS_IDE ? "q35" : "pc";
}

/* --- What is said about it --- */

static bool is_narrow(const struct convert_hints *h)
{
	return h->arch && !strcmp(h->arch, "i686");
}

static void tell_bus(struct converter *v, struct place at, enum choice_bus bus)
{
	const struct convert_hints *h = v->o->hints;
	unsigned row = 0;

	while (buses[row].bus != bus)
		row++;
	switch (drives(h, row)) {
	case HINT_YES:
		conv_note(v, at, "disks are on %s: the initramfs of %s has its driver",
			  choice_bus_name(bus), h->kernel);
		break;
	case HINT_NO:
		conv_warn(v, at,
			  v->hinted.bus == BUS_DEFAULT && v->o->bus == BUS_DEFAULT ?
				  "the initramfs of %s has no driver for any disk of KVM (it gets "
				  "%s): `domain prepare` puts it there, in the running guest" :
				  "the initramfs of %s has no driver for disks on %s: `domain "
				  "prepare` puts it there, in the running guest",
			  h->kernel, choice_bus_name(bus));
		break;
	case HINT_UNKNOWN:
		conv_warn(v, at,
			  "disks are on %s; whether the initramfs of %s has its driver cannot be "
			  "told",
			  choice_bus_name(bus), h->kernel);
		break;
	}
}

void conv_tell_hints(struct converter *v, struct place at, enum choice_bus bus)
{
	const struct convert_hints *h = v->o->hints;

	if (!h->kernel) {
		conv_warn(v, at,
			  "on the guest's disk is no kernel that starts without Xen: `domain "
			  "prepare --install` installs one, in the running guest");
		return;
	}
	tell_bus(v, at, bus);
	if (!strcmp(v->c->machine, "q35") && !is_young(h->kernel))
		conv_warn(v, at,
			  "Linux %s may not know the virtio 1.0 devices of q35; take --machine pc",
			  h->kernel);
	if (is_narrow(h))
		conv_note(v, at, "%s is a 32-bit kernel, which an x86_64 machine runs, too",
			  h->kernel);
}
