/*
 * Domain XML, written with libxml2's xmlwriter: it escapes, and elements that were opened are
 * closed. Every string that is not ours is looked at first, because the writer lets pass what no
 * parser takes: control characters and bytes that are no UTF-8.
 *
 * Units are always written. Nothing is pinned that libvirt chooses better: addresses on buses,
 * versions of machines, the emulator's path.
 */
#include "bridgectl/domain/xml.h"

#include <errno.h>
#include <inttypes.h>
#include <libxml/xmlwriter.h>
#include <stdarg.h>

#include "bridgectl/domain/mem.h"

/* Writing goes on after a failure, which only memory can cause; the end asks once. */
struct xml {
	xmlTextWriterPtr w;
	bool failed;
};

#define U(s) ((const xmlChar *)(s))

static void begin(struct xml *x, const char *name)
{
	x->failed |= xmlTextWriterStartElement(x->w, U(name)) < 0;
}

static void end(struct xml *x)
{
	x->failed |= xmlTextWriterEndElement(x->w) < 0;
}

static void attr(struct xml *x, const char *name, const char *value)
{
	x->failed |= xmlTextWriterWriteAttribute(x->w, U(name), U(value)) < 0;
}

static void attr_number(struct xml *x, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	attr(x, name, text);
}

static void text_element(struct xml *x, const char *name, const char *text)
{
	x->failed |= xmlTextWriterWriteElement(x->w, U(name), U(text)) < 0;
}

/* <NAME ATTRIBUTE='VALUE' …/>, as pairs up to a NULL name. */
static void leaf(struct xml *x, const char *name, ...) __attribute__((sentinel));
static void leaf(struct xml *x, const char *name, ...)
{
	const char *key;
	va_list ap;

	begin(x, name);
	va_start(ap, name);
	while ((key = va_arg(ap, const char *)) != NULL)
		attr(x, key, va_arg(ap, const char *));
	va_end(ap);
	end(x);
}

static void leaf_number(struct xml *x, const char *name, const char *key, uint64_t value)
{
	begin(x, name);
	attr_number(x, key, value);
	end(x);
}

static void number_text(struct xml *x, uint64_t value)
{
	x->failed |= xmlTextWriterWriteFormatString(x->w, "%" PRIu64, value) < 0;
}

static void write_boot(struct xml *x, unsigned boot)
{
	if (boot)
		leaf_number(x, "boot", "order", boot);
}

/* --- General --- */

static void write_memory(struct xml *x, const char *name, uint64_t kib)
{
	bool whole = kib % 1024 == 0;

	begin(x, name);
	attr(x, "unit", whole ? "MiB" : "KiB");
	number_text(x, whole ? kib / 1024 : kib);
	end(x);
}

static void write_general(struct xml *x, const struct choices *c)
{
	text_element(x, "name", c->name);
	if (c->uuid[0])
		text_element(x, "uuid", c->uuid);
	if (c->description)
		text_element(x, "description", c->description);
	write_memory(x, "memory", c->memory);
	write_memory(x, "currentMemory", c->memory_now);
	begin(x, "vcpu");
	if (c->vcpus_now != c->vcpus)
		attr_number(x, "current", c->vcpus_now);
	number_text(x, c->vcpus);
	end(x);
	if (!c->cap)
		return;
	/* Microseconds of each 0.1 s, for the guest as a whole. */
	begin(x, "cputune");
	text_element(x, "global_period", "100000");
	begin(x, "global_quota");
	number_text(x, c->cap * UINT64_C(1000));
	end(x);
	end(x);
}

static void write_os(struct xml *x, const struct choices *c)
{
	begin(x, "os");
	if (c->efi)
		attr(x, "firmware", "efi");
	begin(x, "type");
	/* A 64-bit machine runs 32-bit guests, too. */
	attr(x, "arch", "x86_64");
	attr(x, "machine", c->machine);
	x->failed |= xmlTextWriterWriteString(x->w, U("hvm")) < 0;
	end(x);
	end(x);
}

static void write_features(struct xml *x, const struct choices *c)
{
	begin(x, "features");
	if (c->acpi)
		leaf(x, "acpi", NULL);
	if (c->apic)
		leaf(x, "apic", NULL);
	if (c->pae)
		leaf(x, "pae", NULL);
	if (c->hyperv) {
		begin(x, "hyperv");
		leaf(x, "relaxed", "state", "on", NULL);
		leaf(x, "vapic", "state", "on", NULL);
		leaf(x, "spinlocks", "state", "on", "retries", "8191", NULL);
		end(x);
	}
	end(x);
	begin(x, "cpu");
	attr(x, "mode", c->cpu);
	if (c->no_nx)
		leaf(x, "feature", "policy", "disable", "name", "nx", NULL);
	end(x);
}

static void write_clock(struct xml *x, const struct choices *c)
{
	char offset[16];

	snprintf(offset, sizeof(offset), "%d", c->clock_offset_s);
	begin(x, "clock");
	attr(x, "offset", c->clock_offset_s ? "variable" : c->clock);
	if (c->clock_offset_s) {
		attr(x, "adjustment", offset);
		attr(x, "basis", c->clock);
	}
	leaf(x, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
	leaf(x, "timer", "name", "pit", "tickpolicy", "delay", NULL);
	if (c->hpet >= 0)
		leaf(x, "timer", "name", "hpet", "present", c->hpet ? "yes" : "no", NULL);
	if (c->hyperv)
		leaf(x, "timer", "name", "hypervclock", "present", "yes", NULL);
	end(x);
	text_element(x, "on_poweroff", c->on_poweroff);
	text_element(x, "on_reboot", c->on_reboot);
	text_element(x, "on_crash", c->on_crash);
}

/* --- Devices --- */

static void write_disk(struct xml *x, const struct choice_disk *d)
{
	begin(x, "disk");
	attr(x, "type", d->is_block ? "block" : "file");
	attr(x, "device", d->cdrom ? "cdrom" : "disk");
	begin(x, "driver");
	attr(x, "name", "qemu");
	attr(x, "type", "raw");
	/* Past the host's page cache, which knows nothing that the guest does not. */
	if (d->is_block && !d->cdrom)
		attr(x, "cache", "none");
	if (!d->cdrom && !d->readonly)
		attr(x, "discard", "unmap");
	end(x);
	if (d->path)
		leaf(x, "source", d->is_block ? "dev" : "file", d->path, NULL);
	leaf(x, "target", "dev", d->target, "bus", choice_bus_name(d->bus), NULL);
	if (d->readonly)
		leaf(x, "readonly", NULL);
	if (d->shared)
		leaf(x, "shareable", NULL);
	write_boot(x, d->boot);
	end(x);
}

static void write_disks(struct xml *x, const struct choices *c)
{
	bool scsi = false;

	for (unsigned i = 0; i < c->n_disks; i++) {
		write_disk(x, &c->disks[i]);
		scsi |= c->disks[i].bus == BUS_SCSI;
	}
	if (scsi)
		leaf(x, "controller", "type", "scsi", "index", "0", "model", "virtio-scsi", NULL);
}

static void write_vif(struct xml *x, const struct choice_vif *v)
{
	begin(x, "interface");
	attr(x, "type", "bridge");
	leaf(x, "mac", "address", v->mac, NULL);
	leaf(x, "source", "bridge", v->bridge, NULL);
	if (v->name)
		leaf(x, "target", "dev", v->name, NULL);
	leaf(x, "model", "type", v->model, NULL);
	if (v->mtu)
		leaf_number(x, "mtu", "size", v->mtu);
	if (v->rate_kb) {
		/* As the guest sees it, and as Xen limited it: what the guest sends. */
		begin(x, "bandwidth");
		leaf_number(x, "outbound", "average", v->rate_kb);
		end(x);
	}
	write_boot(x, v->boot);
	end(x);
}

/* ttyS0 for the boot loader and old getty lines, hvc0 for guests that had Xen's console. */
static void write_consoles(struct xml *x)
{
	begin(x, "serial");
	attr(x, "type", "pty");
	leaf(x, "target", "type", "isa-serial", "port", "0", NULL);
	end(x);
	begin(x, "console");
	attr(x, "type", "pty");
	leaf(x, "target", "type", "serial", "port", "0", NULL);
	end(x);
	begin(x, "console");
	attr(x, "type", "pty");
	leaf(x, "target", "type", "virtio", "port", "1", NULL);
	end(x);
}

static void write_display(struct xml *x, const struct choices *c)
{
	begin(x, "graphics");
	attr(x, "type", "vnc");
	if (c->vnc_port)
		attr_number(x, "port", c->vnc_port);
	else
		attr(x, "port", "-1");
	attr(x, "autoport", c->vnc_port ? "no" : "yes");
	attr(x, "listen", "127.0.0.1");
	if (c->keymap[0])
		attr(x, "keymap", c->keymap);
	end(x);
	begin(x, "video");
	begin(x, "model");
	attr(x, "type", c->video);
	if (c->vram_kib)
		attr_number(x, "vram", c->vram_kib);
	end(x);
	end(x);
}

static void write_devices(struct xml *x, const struct choices *c)
{
	begin(x, "devices");
	write_disks(x, c);
	leaf(x, "controller", "type", "usb", "index", "0", "model", c->usb ? c->usb : "none", NULL);
	for (unsigned i = 0; i < c->n_vifs; i++)
		write_vif(x, &c->vifs[i]);
	write_consoles(x);
	if (c->tablet)
		leaf(x, "input", "type", "tablet", "bus", "usb", NULL);
	if (c->mouse)
		leaf(x, "input", "type", "mouse", "bus", "usb", NULL);
	if (c->keyboard)
		leaf(x, "input", "type", "keyboard", "bus", "usb", NULL);
	if (c->vnc)
		write_display(x, c);
	if (c->sound)
		leaf(x, "sound", "model", c->sound, NULL);
	leaf(x, "memballoon", "model", "virtio", NULL);
	/* on_crash means nothing without it. */
	if (c->panic)
		leaf(x, "panic", "model", "isa", NULL);
	end(x);
}

/* --- What XML can hold --- */

static bool is_xml(const char *s)
{
	if (!s)
		return true;
	if (!xmlCheckUTF8(U(s)))
		return false;
	for (; *s; s++) {
		/* U+FFFE and U+FFFF are no characters either. */
		if (!strncmp(s, "\xef\xbf\xbe", 3) || !strncmp(s, "\xef\xbf\xbf", 3))
			return false;
		/* So are surrogates, which the check for UTF-8 lets pass. */
		if ((unsigned char)s[0] == 0xed && (unsigned char)s[1] >= 0xa0)
			return false;
		if ((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t')
			return false;
	}
	return true;
}

static const char *find_bad(const struct choices *c)
{
	const char *const texts[] = { c->name, c->description };

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		if (!is_xml(texts[i]))
			return texts[i];
	for (unsigned i = 0; i < c->n_disks; i++)
		if (!is_xml(c->disks[i].path))
			return c->disks[i].path;
	for (unsigned i = 0; i < c->n_vifs; i++) {
		if (!is_xml(c->vifs[i].bridge))
			return c->vifs[i].bridge;
		if (!is_xml(c->vifs[i].name))
			return c->vifs[i].name;
	}
	return NULL;
}

int domain_xml(const struct choices *c, char **ret, const char **ret_bad)
{
	xmlBufferPtr buffer = mem_must(xmlBufferCreate());
	struct xml x = { .w = mem_must(xmlNewTextWriterMemory(buffer, 0)) };
	const char *bad = find_bad(c);

	if (!bad) {
		xmlTextWriterSetIndent(x.w, 1);
		xmlTextWriterSetIndentString(x.w, U("  "));
		begin(&x, "domain");
		attr(&x, "type", c->type);
		write_general(&x, c);
		write_os(&x, c);
		write_features(&x, c);
		write_clock(&x, c);
		write_devices(&x, c);
		end(&x);
		x.failed |= xmlTextWriterEndDocument(x.w) < 0;
	}
	xmlFreeTextWriter(x.w);
	if (x.failed)
		errx(1, "out of memory");
	if (bad)
		*ret_bad = bad;
	else
		*ret = mem_strdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return bad ? -EILSEQ : 0;
}
