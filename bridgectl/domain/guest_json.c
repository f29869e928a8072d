/*
 * The record as JSON: a contract, doc/guest.md. Keys are only ever added.
 *
 * What the file does not say is null, so that a reader need not know what Xen's defaults were.
 */
#include "bridgectl/domain/guest_json.h"

#include <stddef.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

/* A string that is no UTF-8 is taken for Latin-1: JSON has no bytes. */
static json_t *text(const char *s)
{
	json_t *v;
	char *wide, *w;

	if (!s)
		return json_null();
	v = json_string(s);
	if (v)
		return v;
	wide = w = mem_must(malloc(strlen(s) * 2 + 1));
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x80)
			*w++ = (char)(0xc0 | c >> 6);
		*w++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
	}
	*w = '\0';
	v = json_string(wide);
	free(wide);
	return v;
}

static void set_text(json_t *o, const char *key, const char *s)
{
	json_object_set_new(o, key, text(s));
}

static void set_int(json_t *o, const char *key, int n)
{
	json_object_set_new(o, key, n == GUEST_UNSET ? json_null() : json_integer(n));
}

static void set_bool(json_t *o, const char *key, int n)
{
	json_object_set_new(o, key, n == GUEST_UNSET ? json_null() : json_boolean(n));
}

static void set_bytes(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, n ? json_integer((json_int_t)n) : json_null());
}

static void set_place(json_t *o, unsigned line, unsigned column)
{
	json_object_set_new(o, "line", json_integer(line));
	json_object_set_new(o, "column", json_integer(column));
}

char *guest_mask(const char *spec)
{
	static const char key[] = "passwd=";
	const char *at = strstr(spec, key);

	if (!at)
		return mem_strdup(spec);
	at += strlen(key);
	return mem_printf("%.*s***%s", (int)(at - spec), spec, at + strcspn(at, ","));
}

static void set_strings(json_t *o, const char *key, const struct guest_strings *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->n; i++) {
		_cleanup_free_ char *masked = guest_mask(s->v[i]);

		json_array_append_new(list, text(masked));
	}
	json_object_set_new(o, key, list);
}

static json_t *source_json(const struct guest_source *s)
{
	const struct diskspec *d = &s->spec;
	char name[VDEV_NAME_LEN];
	uint32_t number = 0;
	json_t *o = json_object();

	vdev_number(&s->vdev, &number);
	set_text(o, "vdev", vdev_name(&s->vdev, name));
	set_int(o, "number", (int)number);
	set_int(o, "partition", (int)s->vdev.partition);
	set_text(o, "kind", disk_kind_name(d->kind));
	set_text(o, "format", d->format);
	set_text(o, "path", d->path);
	set_text(o, "resource", d->resource);
	set_text(o, "prefix", d->prefix);
	set_bool(o, "readonly", d->readonly);
	set_bool(o, "shared", d->shared);
	set_bool(o, "cdrom", d->cdrom);
	set_bool(o, "emulated", d->emulated);
	set_text(o, "backend", d->backend);
	set_text(o, "backendtype", d->backendtype);
	set_text(o, "script", d->script);
	set_text(o, "specification", d->specification);
	set_text(o, "discard", d->discard);
	set_text(o, "text", s->text);
	set_place(o, s->line, s->column);
	return o;
}

json_t *guest_disk_json(const struct guest_disk *d)
{
	json_t *o = json_object(), *sources = json_array();
	char name[VDEV_NAME_LEN];

	set_text(o, "name", guest_disk_name(d, name));
	set_text(o, "bus", vdev_bus_name(d->bus));
	set_int(o, "index", (int)d->index);
	set_bool(o, "whole", d->whole);
	set_bool(o, "cdrom", d->cdrom);
	for (unsigned i = 0; i < d->n; i++)
		json_array_append_new(sources, source_json(&d->sources[i]));
	json_object_set_new(o, "sources", sources);
	return o;
}

static json_t *vif_json(const struct guest_vif *v)
{
	json_t *o = json_object();

	set_text(o, "mac", v->spec.mac[0] ? v->spec.mac : NULL);
	set_text(o, "bridge", v->spec.bridge);
	set_text(o, "ip", v->spec.ip);
	set_text(o, "model", v->spec.model);
	set_text(o, "type", v->spec.type);
	set_text(o, "script", v->spec.script);
	set_text(o, "vifname", v->spec.vifname);
	set_text(o, "rate", v->spec.rate);
	set_text(o, "backend", v->spec.backend);
	set_text(o, "gateway", v->spec.gateway);
	set_text(o, "mtu", v->spec.mtu);
	set_text(o, "text", v->text);
	set_place(o, v->line, v->column);
	return o;
}

static json_t *boot_json(const struct guest *g)
{
	json_t *o = json_object();

	set_text(o, "method", guest_boot_name(g->boot.method));
	set_text(o, "kernel", g->boot.kernel);
	set_text(o, "ramdisk", g->boot.ramdisk);
	set_text(o, "cmdline", g->boot.cmdline);
	set_text(o, "bootloader", g->boot.bootloader);
	set_strings(o, "bootloader_args", &g->boot.args);
	set_text(o, "order", g->boot.order);
	return o;
}

static json_t *graphics_json(const struct guest *g)
{
	json_t *o = json_object();

	set_bool(o, "vnc", g->vnc);
	set_text(o, "vnc_listen", g->vnclisten);
	set_int(o, "vnc_display", g->vncdisplay);
	set_bool(o, "vnc_unused", g->vncunused);
	set_bool(o, "vnc_password", g->vncpasswd != NULL);
	set_bool(o, "sdl", g->sdl);
	set_bool(o, "spice", g->spice);
	set_bool(o, "none", g->nographic);
	set_text(o, "keymap", g->keymap);
	set_text(o, "vga", g->vga);
	set_bool(o, "stdvga", g->stdvga);
	set_int(o, "videoram_mib", g->videoram_mib);
	set_strings(o, "vfb", &g->vfb);
	return o;
}

static json_t *features_json(const struct guest *g)
{
	json_t *o = json_object();

	set_bool(o, "pae", g->pae);
	set_bool(o, "acpi", g->acpi);
	set_bool(o, "apic", g->apic);
	set_bool(o, "nx", g->nx);
	set_bool(o, "hpet", g->hpet);
	set_bool(o, "hap", g->hap);
	set_bool(o, "nestedhvm", g->nestedhvm);
	set_bool(o, "viridian", g->viridian);
	set_bool(o, "xen_platform_pci", g->xen_platform_pci);
	return o;
}

static void set_general(json_t *o, const struct guest *g)
{
	set_text(o, "name", g->name);
	set_text(o, "uuid", g->uuid);
	set_text(o, "description", g->description);
	set_text(o, "kind", guest_kind_name(g->kind));
	set_text(o, "firmware", g->firmware);
	set_text(o, "arch", g->arch);
	set_int(o, "vcpus", g->vcpus);
	set_int(o, "max_vcpus", g->maxvcpus);
	set_bytes(o, "memory_bytes", g->memory);
	set_bytes(o, "max_memory_bytes", g->maxmemory);
	set_text(o, "cpus", g->cpus);
	set_int(o, "cpu_weight", g->cpu_weight);
	set_int(o, "cpu_cap", g->cap);
}

static void set_devices(json_t *o, const struct guest *g)
{
	json_t *disks = json_array(), *vifs = json_array();

	for (unsigned i = 0; i < g->n_disks; i++)
		json_array_append_new(disks, guest_disk_json(&g->disks[i]));
	for (unsigned i = 0; i < g->n_vifs; i++)
		json_array_append_new(vifs, vif_json(&g->vifs[i]));
	json_object_set_new(o, "disks", disks);
	json_object_set_new(o, "vifs", vifs);
	set_text(o, "hdtype", g->hdtype);
	set_strings(o, "serial", &g->serial);
	set_strings(o, "channels", &g->channels);
	set_strings(o, "pci", &g->pci);
	set_bool(o, "usb", g->usb);
	set_int(o, "usb_version", g->usbversion);
	set_strings(o, "usb_devices", &g->usbdevices);
	set_text(o, "sound", g->soundhw);
}

json_t *guest_json(const struct guest *g)
{
	json_t *o = json_object(), *clock = json_object();

	set_general(o, g);
	json_object_set_new(o, "boot", boot_json(g));
	set_devices(o, g);
	json_object_set_new(o, "graphics", graphics_json(g));
	json_object_set_new(o, "features", features_json(g));
	set_bool(clock, "localtime", g->localtime);
	json_object_set_new(clock, "offset_s", json_integer(g->rtc_timeoffset));
	json_object_set_new(o, "clock", clock);
	set_text(o, "on_poweroff", g->on_poweroff);
	set_text(o, "on_reboot", g->on_reboot);
	set_text(o, "on_crash", g->on_crash);
	set_text(o, "on_watchdog", g->on_watchdog);
	return o;
}

json_t *guest_lost_json(const struct guest *g)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < g->n_lost; i++) {
		const struct guest_lost *lost = &g->lost[i];
		json_t *o = json_object();

		set_text(o, "key", lost->key);
		set_text(o, "value", lost->value);
		set_text(o, "note", lost->note);
		set_place(o, lost->line, lost->column);
		set_bool(o, "accepted", lost->accepted);
		json_array_append_new(list, o);
	}
	return list;
}

json_t *report_json(const struct report *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n; i++) {
		json_t *o = json_object();

		set_text(o, "severity", report_severity_name(r->items[i].severity));
		set_place(o, r->items[i].line, r->items[i].column);
		set_text(o, "text", r->items[i].text);
		json_array_append_new(list, o);
	}
	return list;
}
