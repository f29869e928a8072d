/*
 * The rest of what boot loaders read: BLS entries, /etc/kernel/cmdline, extlinux, the device map of
 * GRUB, and the settings that other tools generate menus from.
 */
#include <stdio.h>
#include <strings.h>

#include "bridgectl/fixup/edit_line.h"

#define WHY "kernel command lines: lasting names of disks, the serial port"

static const char *const grubenvs[] = { "/boot/grub2/grubenv", "/boot/grub/grubenv" };
static const char *const extlinux[] = { "/boot/extlinux/extlinux.conf", "/boot/extlinux.conf",
					"/extlinux.conf", "/boot/syslinux/syslinux.cfg" };
static const char *const device_maps[] = { "/boot/grub/device.map", "/boot/grub2/device.map" };

/* Variables of shell-like files that are kernel command lines. */
static const struct setting {
	const char *path, *key;
	unsigned flags;
} settings[] = {
	{ "/etc/default/extlinux", "EXTLINUX_PARAMETERS", CMDLINE_CONSOLES },
	{ "/etc/default/extlinux", "EXTLINUX_ROOT", 0 },
	{ "/etc/sysconfig/bootloader", "DEFAULT_APPEND", CMDLINE_CONSOLES },
	{ "/etc/sysconfig/bootloader", "FAILSAFE_APPEND", CMDLINE_CONSOLES },
	{ "/etc/update-extlinux.conf", "default_kernel_opts", CMDLINE_CONSOLES },
	{ "/etc/update-extlinux.conf", "root", 0 },
};

static void setting_line(struct line *l)
{
	const struct setting *v = l->arg;
	struct text name = { 0 };
	struct word value;

	if (!line_assigns(l->s, v->key, &value))
		return;
	if (strcmp(v->key, "root") != 0)
		line_set_cmdline(l, &value, v->flags | CMDLINE_SHELL);
	else if (line_device(l, &value, &name))
		line_assign(l, &value, name.s, name.len);
	text_fini(&name);
}

static void cmdline_line(struct line *l)
{
	struct word all = { l->s, l->len };

	if (l->number == 1 && l->len && *l->s != '#')
		line_set_cmdline(l, &all, CMDLINE_CONSOLES);
}

/* "options root=… ro"; with $kernelopts the consoles are there. */
static void bls_line(struct line *l)
{
	struct word w = word_at(l->s, 0), args;
	const bool *initrd = l->arg;

	if (!word_is(&w, "options"))
		return;
	args = (struct word){ w.s + w.len, l->len - (size_t)(w.s + w.len - l->s) };
	line_set_cmdline(l, &args,
			 (strstr(args.s, "$kernelopts") ? 0 : CMDLINE_CONSOLES) |
				 (*initrd ? 0 : CMDLINE_NO_INITRD));
}

/* The entry that starts the kernel which can: "MACHINE-6.1.0" of MACHINE-6.1.0.conf. */
struct search {
	const struct guest_kernel *k;
	char found[256];
};

static void look_bls(struct line *l)
{
	struct word w = word_at(l->s, 0), kernel = word_at(l->s, 1);
	struct search *search = l->arg;
	const char *name = path_last(l->path);
	char buf[EDIT_WORD_MAX];

	if (search->k && search->k->path && word_is(&w, "linux") &&
	    strcmp(path_last(word_text(&kernel, buf)), path_last(search->k->path)) == 0)
		snprintf(search->found, sizeof(search->found), "%.*s", (int)strlen(name) - 5, name);
}

static void bls_file(struct plan *p, const char *path, void *arg)
{
	size_t len;
	_cleanup_free_ char *text = plan_text(p, path, &len);
	bool initrd = text && strstr(text, "\ninitrd");

	plan_lines(p, path, WHY, bls_line, &initrd);
	plan_lines(p, path, WHY, look_bls, arg);
}

static void bls_entries(struct plan *p)
{
	struct search search = { .k = inspection_kernel(p->in) };

	plan_each(p, "/boot/loader/entries", ".conf", bls_file, &search);
	if (search.found[0] && !search.k->is_default)
		edit_note(p, "the default becomes %s, since what it was cannot start under KVM",
			  search.k->path);
	for (unsigned i = 0; i < ARRAY_SIZE(grubenvs); i++)
		edit_grubenv(p, grubenvs[i],
			     search.found[0] && !search.k->is_default ? search.found : NULL);
}

static void extlinux_line(struct line *l)
{
	struct word w = word_at(l->s, 0), args;
	bool *serial = l->arg;

	if (!*serial)
		text_str(&l->before, "serial 0 115200\n");
	*serial = true;
	if (w.len != 6 || strncasecmp(w.s, "append", 6) != 0)
		return;
	args = (struct word){ w.s + w.len, l->len - (size_t)(w.s + w.len - l->s) };
	line_set_cmdline(l, &args, CMDLINE_CONSOLES);
}

static void look_serial(struct line *l)
{
	struct word w = word_at(l->s, 0);
	bool *serial = l->arg;

	*serial |= w.len == 6 && strncasecmp(w.s, "serial", 6) == 0;
}

static void extlinux_file(struct plan *p, const char *path)
{
	bool serial = false;

	if (plan_lines(p, path, WHY, look_serial, &serial))
		plan_lines(p, path, WHY, extlinux_line, &serial);
}

/* grub-install makes a new one; with the old one it looks for a disk that is gone. */
static void device_map(struct plan *p, const char *path)
{
	size_t len;
	_cleanup_free_ char *text = plan_text(p, path, &len);

	if (text && strstr(text, "/dev/xvd"))
		plan_set(p, path, NULL, 0, "it names a disk of Xen; grub-install writes a new one");
}

void edit_boot_files(struct plan *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++)
		plan_lines(p, settings[i].path, WHY, setting_line, (void *)&settings[i]);
	plan_lines(p, "/etc/kernel/cmdline", WHY, cmdline_line, NULL);
	bls_entries(p);
	for (unsigned i = 0; i < ARRAY_SIZE(extlinux); i++)
		extlinux_file(p, extlinux[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(device_maps); i++)
		device_map(p, device_maps[i]);
}
