/*
 * The guest record: who owns what, and the one invariant that everything after it relies on: a disk
 * is whole or in partitions, never both, and no partition is there twice.
 */
#include "bridgectl/domain/guest.h"

#include <errno.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

const char *guest_kind_name(enum guest_kind kind)
{
	static const char *const names[] = { "pv", "hvm", "pvh" };

	return names[kind];
}

const char *guest_boot_name(enum guest_boot_method method)
{
	static const char *const names[] = { "none", "kernel", "bootloader", "pvgrub", "firmware" };

	return names[method];
}

const char *guest_disk_name(const struct guest_disk *d, char *buf)
{
	return vdev_name(&(struct vdev){ d->bus, d->index, 0 }, buf);
}

struct guest *guest_new(void)
{
	struct guest *g = mem_new(sizeof(*g));
	int *const unset[] = {
		&g->vcpus,     &g->maxvcpus,   &g->cpu_weight, &g->cap,
		&g->vnc,       &g->sdl,	       &g->spice,      &g->vncdisplay,
		&g->vncunused, &g->nographic,  &g->stdvga,     &g->videoram_mib,
		&g->usb,       &g->usbversion, &g->localtime,  &g->pae,
		&g->acpi,      &g->apic,       &g->nx,	       &g->hpet,
		&g->hap,       &g->nestedhvm,  &g->viridian,   &g->xen_platform_pci
	};

	for (unsigned i = 0; i < ARRAY_SIZE(unset); i++)
		*unset[i] = GUEST_UNSET;
	return g;
}

static void strings_fini(struct guest_strings *s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
}

void guest_source_fini(struct guest_source *source)
{
	free(source->text);
	diskspec_fini(&source->spec);
	*source = (struct guest_source){ 0 };
}

static void disks_free(struct guest *g)
{
	for (unsigned i = 0; i < g->n_disks; i++) {
		for (unsigned j = 0; j < g->disks[i].n; j++)
			guest_source_fini(&g->disks[i].sources[j]);
		free(g->disks[i].sources);
	}
	free(g->disks);
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	char *const texts[] = { g->name,	 g->uuid,	  g->description,
				g->firmware,	 g->cpus,	  g->boot.kernel,
				g->boot.ramdisk, g->boot.cmdline, g->boot.bootloader,
				g->boot.order,	 g->vnclisten,	  g->vncpasswd,
				g->keymap,	 g->vga,	  g->soundhw,
				g->on_poweroff,	 g->on_reboot,	  g->on_crash,
				g->on_watchdog,	 g->hdtype };
	struct guest_strings *const lists[] = { &g->boot.args, &g->serial,     &g->vfb,
						&g->pci,       &g->usbdevices, &g->channels };

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		strings_fini(lists[i]);
	disks_free(g);
	for (unsigned i = 0; i < g->n_vifs; i++) {
		free(g->vifs[i].text);
		vifspec_fini(&g->vifs[i].spec);
	}
	free(g->vifs);
	for (unsigned i = 0; i < g->n_lost; i++) {
		free(g->lost[i].key);
		free(g->lost[i].value);
		free(g->lost[i].note);
	}
	free(g->lost);
	free(g);
}

static struct guest_disk *find_disk(struct guest *g, const struct vdev *v)
{
	for (unsigned i = 0; i < g->n_disks; i++)
		if (g->disks[i].bus == v->bus && g->disks[i].index == v->disk)
			return &g->disks[i];
	return NULL;
}

static struct guest_disk *new_disk(struct guest *g, const struct guest_source *source)
{
	struct guest_disk *d = mem_push(g->disks, g->n_disks);

	d->bus = source->vdev.bus;
	d->index = source->vdev.disk;
	d->whole = source->vdev.partition == 0;
	d->cdrom = source->spec.cdrom;
	return d;
}

int guest_add_source(struct guest *g, struct guest_source *source,
		     const struct guest_source **ret_other)
{
	struct guest_disk *d = find_disk(g, &source->vdev);
	unsigned partition = source->vdev.partition, i = 0;

	if (d && (d->whole || !partition)) {
		*ret_other = &d->sources[0];
		return d->whole && !partition ? -EEXIST : -EINVAL;
	}
	while (d && i < d->n && d->sources[i].vdev.partition < partition)
		i++;
	if (d && i < d->n && d->sources[i].vdev.partition == partition) {
		*ret_other = &d->sources[i];
		return -EEXIST;
	}
	if (!d)
		d = new_disk(g, source);
	mem_push(d->sources, d->n);
	memmove(&d->sources[i + 1], &d->sources[i], (d->n - 1 - i) * sizeof(d->sources[0]));
	d->sources[i] = *source;
	*source = (struct guest_source){ 0 };
	return 0;
}

bool guest_backend_is_other(const char *backend)
{
	return backend && *backend && strcmp(backend, "0") != 0 &&
	       strcasecmp(backend, "Domain-0") != 0;
}

unsigned guest_refused(const struct guest *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_lost; i++)
		n += !g->lost[i].accepted;
	return n;
}
