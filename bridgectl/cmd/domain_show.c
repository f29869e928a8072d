/*
 * `bridgectl domain show FILE`: what a Xen configuration file says, as it was understood.
 *
 * It needs no daemon and no Xen. What is wrong goes to standard error with the line it is in; the
 * guest to standard output, and only when nothing was wrong.
 */
#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/cmd/view.h"
#include "bridgectl/domain/guest_json.h"

/* --- The guest as text --- */

static void bytes_field(struct out *o, const char *name, uint64_t bytes)
{
	char buf[UNIT_LEN];

	if (bytes)
		view_field(o, name, STYLE_NONE, "%s", unit_bytes((double)bytes, buf));
}

static void text_field(struct out *o, const char *name, const char *value)
{
	if (value)
		view_field(o, name, STYLE_NONE, "%s", value);
}

static void int_field(struct out *o, const char *name, int value)
{
	if (value != GUEST_UNSET)
		view_field(o, name, STYLE_NONE, "%d", value);
}

static void strings_field(struct out *o, const char *name, const struct guest_strings *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		_cleanup_free_ char *masked = guest_mask(s->v[i]);

		view_field(o, i ? "" : name, STYLE_NONE, "%s", masked);
	}
}

static void show_boot(struct out *o, const struct guest *g)
{
	static const char *const ways[] = {
		[BOOT_NONE] = "nothing says how",
		[BOOT_KERNEL] = "a kernel of the host",
		[BOOT_BOOTLOADER] = "a boot loader of the host",
		[BOOT_PVGRUB] = "GRUB in the guest (pvgrub)",
		[BOOT_FIRMWARE] = "firmware",
	};

	view_field(o, "boots by", STYLE_NONE, "%s", ways[g->boot.method]);
	text_field(o, "firmware", g->firmware);
	text_field(o, "boot loader", g->boot.bootloader);
	strings_field(o, "  arguments", &g->boot.args);
	text_field(o, "kernel", g->boot.kernel);
	text_field(o, "ramdisk", g->boot.ramdisk);
	text_field(o, "command line", g->boot.cmdline);
	text_field(o, "boot order", g->boot.order);
}

static void features_text(const struct guest *g, char *buf, size_t size)
{
	const struct {
		const char *name;
		int value;
	} features[] = {
		{ "pae", g->pae },
		{ "acpi", g->acpi },
		{ "apic", g->apic },
		{ "nx", g->nx },
		{ "hpet", g->hpet },
		{ "hap", g->hap },
		{ "nestedhvm", g->nestedhvm },
		{ "viridian", g->viridian },
		{ "xen_platform_pci", g->xen_platform_pci },
	};
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].value != GUEST_UNSET && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s=%d", n ? " " : "",
					      features[i].name, features[i].value);
}

static void show_graphics(struct out *o, const struct guest *g)
{
	if (g->vnc > 0)
		view_field(o, "vnc", STYLE_NONE, "%s%s", g->vnclisten ? g->vnclisten : "on",
			   g->vncpasswd ? ", with a password" : "");
	if (g->sdl > 0)
		view_field(o, "sdl", STYLE_NONE, "on");
	if (g->spice > 0)
		view_field(o, "spice", STYLE_NONE, "on");
	text_field(o, "keymap", g->keymap);
	text_field(o, "graphics", g->vga ? g->vga : g->stdvga > 0 ? "stdvga" : NULL);
	strings_field(o, "framebuffer", &g->vfb);
}

static void show_devices(struct out *o, const struct guest *g)
{
	show_graphics(o, g);
	strings_field(o, "serial", &g->serial);
	strings_field(o, "channel", &g->channels);
	strings_field(o, "pci", &g->pci);
	strings_field(o, "usb", &g->usbdevices);
	text_field(o, "sound", g->soundhw);
}

static void show_rest(struct out *o, const struct guest *g)
{
	char features[200];

	text_field(o, "on poweroff", g->on_poweroff);
	text_field(o, "on reboot", g->on_reboot);
	text_field(o, "on crash", g->on_crash);
	text_field(o, "on watchdog", g->on_watchdog);
	if (g->localtime > 0 || g->rtc_timeoffset)
		view_field(o, "clock", STYLE_NONE, "%s, %+d s",
			   g->localtime > 0 ? "local time" : "UTC", g->rtc_timeoffset);
	features_text(g, features, sizeof(features));
	if (features[0])
		view_field(o, "features", STYLE_NONE, "%s", features);
}

static void show_general(struct out *o, const struct guest *g)
{
	static const char *const kinds[] = { "paravirtualised (PV)", "fully virtualised (HVM)",
					     "PVH" };

	view_field(o, "guest", STYLE_BOLD, "%s", g->name);
	text_field(o, "description", g->description);
	text_field(o, "uuid", g->uuid);
	view_field(o, "kind", STYLE_NONE, "%s%s%s", kinds[g->kind], g->arch ? ", " : "",
		   g->arch ? g->arch : "");
	bytes_field(o, "memory", g->memory);
	bytes_field(o, "  at most", g->maxmemory);
	int_field(o, "vcpus", g->vcpus);
	int_field(o, "  at most", g->maxvcpus);
	text_field(o, "cpus", g->cpus);
	int_field(o, "cpu weight", g->cpu_weight);
	int_field(o, "cpu cap", g->cap);
}

static void disk_row(struct table *t, const struct guest_disk *d, const struct guest_source *s)
{
	const struct diskspec *spec = &s->spec;
	char name[VDEV_NAME_LEN], disk[VDEV_NAME_LEN];
	const char *where = spec->path ? spec->path : spec->resource;

	table_cell(t, STYLE_NONE, "%s", s == d->sources ? guest_disk_name(d, disk) : "");
	table_cell(t, STYLE_NONE, "%s", d->whole ? "whole" : vdev_name(&s->vdev, name));
	table_cell(t, STYLE_NONE, "%s", disk_kind_name(spec->kind));
	table_cell(t, STYLE_NONE, "%s", spec->kind == DISK_EMPTY ? "-" : spec->format);
	table_cell(t, STYLE_NONE, "%s%s%s", spec->readonly ? "r" : "w", spec->shared ? "!" : "",
		   spec->cdrom ? " cdrom" : "");
	table_cell(t, STYLE_DIM, "%u", s->line);
	table_cell(t, STYLE_NONE, "%s", where ? where : "-");
}

static void show_disks(struct out *o, const struct guest *g)
{
	static const struct column columns[] = {
		{ "DISK", false, 0 },	{ "PART", false, 0 }, { "KIND", false, 0 },
		{ "FORMAT", false, 1 }, { "MODE", false, 0 }, { "LINE", true, 2 },
		{ "SOURCE", false, 0 },
	};
	struct table *t;

	if (!g->n_disks)
		return;
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, "DISKS");
	t = table_new(o, columns, ARRAY_SIZE(columns));
	for (unsigned i = 0; i < g->n_disks; i++)
		for (unsigned j = 0; j < g->disks[i].n; j++)
			disk_row(t, &g->disks[i], &g->disks[i].sources[j]);
	table_end(t);
}

static void show_vifs(struct out *o, const struct guest *g)
{
	static const struct column columns[] = {
		{ "MAC", false, 0 }, { "BRIDGE", false, 0 }, { "MODEL", false, 0 },
		{ "LINE", true, 2 }, { "IP", false, 1 },
	};
	struct table *t;

	if (!g->n_vifs)
		return;
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, "INTERFACES");
	t = table_new(o, columns, ARRAY_SIZE(columns));
	for (unsigned i = 0; i < g->n_vifs; i++) {
		const struct vifspec *v = &g->vifs[i].spec;

		table_cell(t, v->mac[0] ? STYLE_NONE : STYLE_WARN, "%s",
			   v->mac[0] ? v->mac : "random");
		table_cell(t, STYLE_NONE, "%s", v->bridge ? v->bridge : "default");
		table_cell(t, STYLE_NONE, "%s", v->model ? v->model : v->type ? v->type : "-");
		table_cell(t, STYLE_DIM, "%u", g->vifs[i].line);
		table_cell(t, STYLE_NONE, "%s", v->ip ? v->ip : "-");
	}
	table_end(t);
}

static void show_lost(struct out *o, const struct guest *g)
{
	static const struct column columns[] = {
		{ "KEY", false, 0 },	    { "LINE", true, 1 },   { "", false, 0 },
		{ "WHAT IT IS", false, 0 }, { "VALUE", false, 2 },
	};
	struct table *t;

	if (!g->n_lost)
		return;
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, "NOT CARRIED OVER");
	t = table_new(o, columns, ARRAY_SIZE(columns));
	for (unsigned i = 0; i < g->n_lost; i++) {
		const struct guest_lost *lost = &g->lost[i];

		table_cell(t, STYLE_NONE, "%s", lost->key);
		table_cell(t, STYLE_DIM, "%u", lost->line);
		table_cell(t, lost->accepted ? STYLE_NONE : STYLE_BAD, "%s",
			   lost->accepted ? "accepted" : "refused");
		table_cell(t, STYLE_NONE, "%s", lost->note);
		table_cell(t, STYLE_DIM, "%s", lost->value);
	}
	table_end(t);
}

static void show_text(struct out *o, const struct guest *g)
{
	show_general(o, g);
	show_boot(o, g);
	show_rest(o, g);
	show_devices(o, g);
	show_disks(o, g);
	show_vifs(o, g);
	show_lost(o, g);
}

static void show_json(struct out *o, const char *file, const struct guest *g,
		      const struct report *report, bool ok)
{
	json_t *all = json_object();

	json_object_set_new(all, "file", json_string(file));
	json_object_set_new(all, "ok", json_boolean(ok));
	json_object_set_new(all, "guest", report->n_errors ? json_null() : guest_json(g));
	json_object_set_new(all, "not_carried", guest_lost_json(g));
	json_object_set_new(all, "messages", report_json(report));
	out_json(o, all, false);
	json_decref(all);
}

enum exit_code cmd_domain_show(struct cmd_call *call)
{
	struct guest_file f;
	bool ok;

	if (!guest_file_read(call, call->args[0], &f))
		return EXIT_FAILED;
	ok = f.ok;
	if (call->json)
		show_json(&call->out, f.name, f.guest, &f.file.report, ok);
	else if (!f.file.report.n_errors)
		show_text(&call->out, f.guest);
	if (!f.file.report.n_errors)
		guest_file_tell_refused(&f);
	guest_file_fini(&f);
	return ok ? EXIT_DONE : EXIT_FAILED;
}
