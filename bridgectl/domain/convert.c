/*
 * The choices for a KVM guest, made from the record of a Xen one.
 *
 * The rule for every key: it is carried; or it means something else and a warning says what, with
 * its line; or it cannot be carried and is an error until the user lets go of it. What only Xen's
 * own machinery needed is left out with a note. Nothing is guessed that another host would notice:
 * no MAC address, no memory size.
 */
#include <ctype.h>
#include <stdlib.h>

#include "bridgectl/domain/convert_private.h"
#include "bridgectl/domain/mem.h"

struct place conv_place(const struct converter *v, const char *key, const char *key2)
{
	const struct xl_assign *a = v->file ? xl_file_get(v->file, key) : NULL;

	if (!a && key2 && v->file)
		a = xl_file_get(v->file, key2);
	return a ? (struct place){ a->line, a->column } : (struct place){ 0, 0 };
}

void conv_lose(struct converter *v, const char *key, struct place at, const char *note)
{
	for (unsigned i = 0; i < v->o->n_accept; i++)
		if (!strcmp(v->o->accept[i], key)) {
			conv_note(v, at, "%s is left out, as you accept: %s", key, note);
			return;
		}
	conv_error(v, at, "%s would be lost: %s; `--accept-loss %s` accepts that", key, note, key);
}

/* --- Identity, memory, CPUs --- */

/* With dashes and in lower case, wherever Xen's file had them. */
static void read_uuid(struct converter *v)
{
	static const unsigned groups[] = { 8, 4, 4, 4, 12 };
	const char *s = v->g->uuid;
	char *p = v->c->uuid;

	if (!s)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
		for (unsigned n = 0; n < groups[i] && *s; s++)
			if (*s != '-') {
				*p++ = (char)tolower((unsigned char)*s);
				n++;
			}
		*p++ = i + 1 < ARRAY_SIZE(groups) ? '-' : '\0';
	}
}

static void read_memory(struct converter *v)
{
	const struct guest *g = v->g;
	struct choices *c = v->c;

	if (!g->memory)
		conv_error(v, conv_place(v, "memory", "maxmem"),
			   "how much memory the guest has is not said; write memory = MIB");
	c->memory_now = g->memory / 1024;
	c->memory = MAX(g->memory, g->maxmemory) / 1024;
	if (c->memory > c->memory_now)
		conv_warn(v, conv_place(v, "maxmem", NULL),
			  "the guest starts with all of maxmem and gives back what is above memory "
			  "only with the driver virtio_balloon");
}

static bool is_any_cpu(const char *cpus)
{
	return !cpus || !strcmp(cpus, "all");
}

static void read_cpus(struct converter *v)
{
	const struct guest *g = v->g;
	struct choices *c = v->c;

	c->vcpus_now = g->vcpus == GUEST_UNSET ? 1 : (unsigned)g->vcpus;
	c->vcpus = g->maxvcpus == GUEST_UNSET ? c->vcpus_now : (unsigned)g->maxvcpus;
	if (c->vcpus < c->vcpus_now)
		conv_error(v, conv_place(v, "maxvcpus", NULL), "maxvcpus is less than vcpus");
	c->cap = g->cap == GUEST_UNSET ? 0 : (unsigned)g->cap;
	if (!is_any_cpu(g->cpus))
		conv_warn(v, conv_place(v, "cpus", NULL),
			  "cpus = %s names CPUs of the old host, so it is left out; see virsh "
			  "vcpupin",
			  g->cpus);
	if (g->cpu_weight != GUEST_UNSET && g->cpu_weight != 256)
		conv_warn(v, conv_place(v, "cpu_weight", NULL),
			  "cpu_weight = %d (256 is usual) has no equal, so it is left out; see "
			  "virsh schedinfo",
			  g->cpu_weight);
}

static void read_features(struct converter *v)
{
	const struct guest *g = v->g;
	struct choices *c = v->c;

	/* A PV guest has none of the switches and needs all three under KVM. */
	c->acpi = g->kind != GUEST_HVM || g->acpi != 0;
	c->apic = g->kind != GUEST_HVM || g->apic != 0;
	c->pae = g->kind != GUEST_HVM || g->pae != 0;
	c->no_nx = g->kind == GUEST_HVM && g->nx == 0;
	c->hpet = g->kind == GUEST_HVM ? g->hpet : 0;
	c->panic = g->kind != GUEST_HVM;
	c->hyperv = g->viridian > 0 && !strcmp(v->o->type, "kvm");
	/* TCG has no CPU of the host to be a model of. */
	c->cpu = !strcmp(v->o->type, "kvm") ? "host-model" : "maximum";
	if (!c->acpi && c->efi) {
		c->acpi = true;
		conv_warn(v, conv_place(v, "acpi", NULL), "ACPI is on: UEFI does not do without");
	}
	if (!c->acpi)
		conv_warn(v, conv_place(v, "acpi", NULL),
			  "without ACPI the guest does not notice when it is asked to shut down");
	if (g->viridian > 0 && !c->hyperv)
		conv_warn(v, conv_place(v, "viridian", NULL),
			  "viridian is left out: without KVM there are no interfaces of Hyper-V");
	if (g->nestedhvm > 0)
		conv_warn(v, conv_place(v, "nestedhvm", NULL),
			  "virtual machines in the guest work when the new host's kvm module has "
			  "nested=1");
	if (g->hap == 0)
		conv_note(v, conv_place(v, "hap", NULL), "hap is left out: KVM decides for all");
	if (g->kind == GUEST_HVM && g->xen_platform_pci > 0)
		conv_warn(v, conv_place(v, "xen_platform_pci", NULL),
			  "Xen's drivers in the guest find nothing under KVM; it needs those of "
			  "virtio or of the emulated devices");
}

/* --- Clock and actions --- */

static void read_clock(struct converter *v)
{
	const struct guest *g = v->g;
	bool has = g->kind == GUEST_HVM;

	v->c->clock = has && g->localtime > 0 ? "localtime" : "utc";
	v->c->clock_offset_s = has ? g->rtc_timeoffset : 0;
	if (!has && g->localtime > 0)
		conv_warn(v, conv_place(v, "localtime", NULL),
			  "the clock shows UTC, as Linux wants it, not local time");
	if (!has && g->rtc_timeoffset)
		conv_warn(v, conv_place(v, "rtc_timeoffset", NULL),
			  "the clock shows UTC without rtc_timeoffset");
}

/*
 * libvirt's QEMU driver knows destroy and restart; after a crash also preserve and the two with
 * coredump (qemuValidateLifecycleAction in its qemu_validate.c).
 */
static const char *action(struct converter *v, const char *key, const char *value,
			  const char *usual)
{
	static const struct {
		const char *xen, *kvm;
		bool crash_only; /* equal after a crash */
	} actions[] = {
		{ "preserve", "destroy", true },	 { "coredump-destroy", "destroy", true },
		{ "coredump-restart", "restart", true }, { "rename-restart", "restart", false },
		{ "soft-reset", "restart", false },
	};
	bool crash = !strcmp(key, "on_crash");

	for (unsigned i = 0; value && i < ARRAY_SIZE(actions); i++) {
		if (strcmp(value, actions[i].xen) != 0 || (crash && actions[i].crash_only))
			continue;
		conv_warn(v, conv_place(v, key, NULL), "%s is %s: KVM has no %s", key,
			  actions[i].kvm, value);
		return actions[i].kvm;
	}
	return value ? value : usual;
}

static void read_actions(struct converter *v)
{
	const struct guest *g = v->g;
	struct choices *c = v->c;

	c->on_poweroff = action(v, "on_poweroff", g->on_poweroff, "destroy");
	c->on_reboot = action(v, "on_reboot", g->on_reboot, "restart");
	c->on_crash = action(v, "on_crash", g->on_crash, "destroy");
	/* The same driver refuses this pair. */
	if (!strcmp(c->on_poweroff, "restart") && !strcmp(c->on_reboot, "destroy"))
		conv_error(v, conv_place(v, "on_poweroff", NULL),
			   "on_poweroff = restart with on_reboot = destroy is nothing that libvirt "
			   "can do");
	if (g->on_watchdog)
		conv_warn(v, conv_place(v, "on_watchdog", NULL),
			  "on_watchdog is left out: the guest has no watchdog");
}

/* --- What the host lends --- */

static void read_lent(struct converter *v)
{
	const struct guest *g = v->g;

	if (g->pci.n)
		conv_lose(v, "pci", conv_place(v, "pci", NULL), "a PCI device of the old host");
	if (g->channels.n)
		conv_lose(v, "channel", conv_place(v, "channel", NULL),
			  "a channel to a program of the old host");
	for (unsigned i = 0; i < g->serial.n; i++) {
		const char *s = g->serial.v[i];

		if (i || (strcmp(s, "pty") && strcmp(s, "null") && strcmp(s, "none") &&
			  strcmp(s, "vc") && strcmp(s, "stdio")))
			conv_lose(v, "serial", conv_place(v, "serial", NULL),
				  i ? "more than one serial port" :
				      "where the serial port leads; it becomes a console of "
				      "libvirt");
	}
}

static void read_description(struct converter *v)
{
	const char *s = v->g->description;

	for (const char *p = s; p && *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
			s = NULL;
	if (v->g->description && !s)
		conv_warn(v, conv_place(v, "description", NULL),
			  "description is left out: XML has no control characters");
	v->c->description = s;
}

struct choices *convert_guest(const struct guest *g, const struct xl_file *file,
			      const struct convert_options *o, struct report *report)
{
	struct choices *c = mem_new(sizeof(*c));
	struct converter v = { .g = g, .file = file, .o = o, .report = report, .c = c };

	c->type = o->type;
	c->name = g->name;
	read_description(&v);
	read_uuid(&v);
	read_memory(&v);
	read_cpus(&v);
	conv_machine(&v);
	read_features(&v);
	read_clock(&v);
	read_actions(&v);
	read_lent(&v);
	conv_disks(&v);
	conv_vifs(&v);
	conv_graphics(&v);
	conv_boot(&v);
	return c;
}

void choices_free(struct choices *c)
{
	if (!c)
		return;
	free(c->disks);
	free(c->vifs);
	free(c);
}

const char *choice_bus_name(enum choice_bus bus)
{
	static const char *const names[] = {
		[BUS_VIRTIO] = "virtio", [BUS_SATA] = "sata", [BUS_SCSI] = "scsi", [BUS_IDE] = "ide"
	};

	return names[bus];
}
