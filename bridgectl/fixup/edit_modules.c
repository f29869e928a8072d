/*
 * Lists of modules: the drivers of Xen go where they are loaded by name, and become those of virtio
 * where a rebuild of the initramfs or an alias asks for them.
 */
#include <stdio.h>

#include "bridgectl/fixup/edit_line.h"

#define WHY "drivers of Xen, which find nothing under KVM"
#define WHY_SYSCTL "a setting that only kernels on Xen have"

/* With '_' for '-', which are the same in names of modules; `now`: what does the same for KVM. */
static const struct module {
	const char *name, *now;
} modules[] = {
	{ "evtchn", NULL },
	{ "netloop", NULL },
	{ "xen_acpi_processor", NULL },
	{ "xen_balloon", NULL },
	{ "xen_blkfront", "virtio_blk" },
	{ "xen_evtchn", NULL },
	{ "xen_fbfront", NULL },
	{ "xen_gntalloc", NULL },
	{ "xen_gntdev", NULL },
	{ "xen_kbdfront", NULL },
	{ "xen_netfront", "virtio_net" },
	{ "xen_pcifront", NULL },
	{ "xen_platform_pci", "virtio_pci" },
	{ "xen_privcmd", NULL },
	{ "xen_scsifront", "virtio_scsi" },
	{ "xen_vbd", "virtio_blk" },
	{ "xen_vnif", "virtio_net" },
	{ "xen_wdt", NULL },
	{ "xenblk", "virtio_blk" },
	{ "xenblktap", NULL },
	{ "xenbus_probe_frontend", NULL },
	{ "xenfs", NULL },
	{ "xennet", "virtio_net" },
	{ "xenscsi", "virtio_scsi" },
};

/* Lists of words in settings of tools that build an initramfs or load modules. */
static const struct list {
	const char *path, *key;
} lists[] = {
	{ "/etc/sysconfig/kernel", "INITRD_MODULES" },
	{ "/etc/sysconfig/kernel", "MODULES_LOADED_ON_BOOT" },
	{ "/etc/mkinitcpio.conf", "MODULES" },
	{ "/etc/dracut.conf", "add_drivers" },
	{ "/etc/dracut.conf", "force_drivers" },
};

static const struct module *find(const struct word *w)
{
	for (unsigned i = 0; i < ARRAY_SIZE(modules); i++) {
		size_t n = 0;

		if (w->len != strlen(modules[i].name))
			continue;
		while (n < w->len && (w->s[n] == '-' ? '_' : w->s[n]) == modules[i].name[n])
			n++;
		if (n == w->len)
			return &modules[i];
	}
	return NULL;
}

/* One module in a line. */
static void load_line(struct line *l)
{
	struct word w = word_at(l->s, 0);

	l->drop = find(&w) != NULL;
}

static void load_file(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY, load_line, arg);
}

static bool has_word(const char *s, size_t len, const char *name)
{
	const char *end = s + len;
	struct word w;

	while (s < end && word_next(&s, &w)) {
		w.len = MIN(w.len, (size_t)(end - w.s));
		if (word_is(&w, name))
			return true;
	}
	return false;
}

/* A module that is not in the list yet, old or new. */
static void put_module(const struct word *list, const char *name, const struct word *blanks,
		       struct text *out)
{
	if (has_word(list->s, list->len, name) || has_word(out->s, out->len, name))
		return;
	if (blanks->len || out->len == 0)
		text_add(out, blanks->s, blanks->len);
	else
		text_str(out, " ");
	text_str(out, name);
}

/* A list of words in which modules of Xen become others, each once. */
static bool put_list(const struct word *list, struct text *out)
{
	const char *s = list->s, *end = list->s + list->len;
	bool changed = false;

	text_str(out, "");
	while (s < end) {
		struct word blanks = { s, MIN(strspn(s, " \t"), (size_t)(end - s)) }, w;
		const struct module *m;

		w.s = s + blanks.len;
		w.len = MIN(strcspn(w.s, " \t"), (size_t)(end - w.s));
		m = find(&w);
		if (!m)
			text_add(out, s, blanks.len + w.len);
		else if (m->now)
			put_module(list, m->now, &blanks, out);
		/* A virtio disk is behind it, and no module says so. */
		if (m && m->now && strcmp(m->now, "virtio_blk") == 0)
			put_module(list, "virtio_pci", &blanks, out);
		changed |= m != NULL;
		s = w.s + w.len;
	}
	return changed;
}

static void list_line(struct line *l)
{
	struct text out = { 0 };
	struct word value;

	if (line_assigns(l->s, l->arg, &value) && put_list(&value, &out))
		line_splice(l, &value, out.s, out.len);
	text_fini(&out);
}

static void dracut_file(struct plan *p, const char *path, void *arg)
{
	(void)arg;
	plan_lines(p, path, WHY, list_line, (void *)"add_drivers");
	plan_lines(p, path, WHY, list_line, (void *)"force_drivers");
}

/* What the kernel that will run has to find its disk with. */
static const char *disk_driver(const struct plan *p)
{
	const struct guest_kernel *k = inspection_kernel(p->in);

	if (!k || k->drivers.virtio_blk != NO)
		return "virtio_blk";
	return k->drivers.ahci == YES	  ? "ahci" :
	       k->drivers.ata_piix == YES ? "ata_piix" :
					    "virtio_blk";
}

/* "alias eth0 xennet", "alias scsi_hostadapter xenblk" */
static void alias_line(struct line *l)
{
	struct word w = word_at(l->s, 0), name = word_at(l->s, 2);
	const struct module *m = find(&name);
	const char *now;

	if (!word_is(&w, "alias") || !m)
		return;
	now = m->now && strcmp(m->now, "virtio_blk") == 0 ? disk_driver(l->plan) : m->now;
	if (now)
		line_splice(l, &name, now, strlen(now));
	else
		l->drop = true;
}

static void alias_file(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY, alias_line, arg);
}

static void sysctl_line(struct line *l)
{
	struct word w = word_at(l->s, 0);

	l->drop = word_begins(&w, "xen.independent_wallclock") ||
		  word_begins(&w, "xen/independent_wallclock");
}

static void sysctl_file(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY_SYSCTL, sysctl_line, arg);
}

void edit_modules(struct plan *p)
{
	load_file(p, "/etc/modules", NULL);
	plan_each(p, "/etc/modules-load.d", ".conf", load_file, NULL);
	load_file(p, "/etc/initramfs-tools/modules", NULL);
	alias_file(p, "/etc/modprobe.conf", NULL);
	plan_each(p, "/etc/modprobe.d", "", alias_file, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		plan_lines(p, lists[i].path, WHY, list_line, (void *)lists[i].key);
	plan_each(p, "/etc/dracut.conf.d", ".conf", dracut_file, NULL);
	sysctl_file(p, "/etc/sysctl.conf", NULL);
	plan_each(p, "/etc/sysctl.d", ".conf", sysctl_file, NULL);
}
