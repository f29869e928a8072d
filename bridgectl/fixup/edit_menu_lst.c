/*
 * menu.lst and grub.conf, the menu of GRUB before version 2, which pygrub reads on the Xen host and
 * our boot record reads under KVM. Under Xen `root (hd0)` meant whatever volume pygrub had opened;
 * now it has to be the partition that /boot is on. Debian's update-grub writes the entries anew
 * from the lines that begin with "# kopt=" and "# groot=", so these change with them.
 */
#include <stdio.h>

#include "bridgectl/fixup/edit_line.h"

#define WHY "the boot menu: the partition of its kernels, lasting names, the serial port"
#define SERIAL "serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1"

static const char *const paths[] = { "/boot/grub/menu.lst", "/boot/grub/grub.conf" };

struct legacy {
	struct menu menu;
	const struct edit_part *boot;  /* or NULL */
	const struct menu_entry *want; /* to be the default, or NULL */
	unsigned want_index;
	bool has_default, has_serial, has_terminal, put_terminal;
};

/* "(hd0,1)" for partition 2; the disk as the firmware counts it, which boots from its first. */
static bool put_grub_device(const struct legacy *g, const struct word *device, struct text *out)
{
	if (!g->boot || !word_begins(device, "(hd"))
		return false;
	if (g->boot->number)
		text_printf(out, "(hd%d,%u)", g->boot->letter - 'a', g->boot->number - 1);
	else
		text_printf(out, "(hd%d)", g->boot->letter - 'a');
	return true;
}

/* `device` may have a path behind it. */
static void fix_grub_device(struct line *l, const struct word *device)
{
	const char *end = memchr(device->s, ')', device->len);
	struct word only = *device;
	struct text out = { 0 };

	if (!end)
		return;
	only.len = (size_t)(end + 1 - device->s);
	if (put_grub_device(l->arg, &only, &out) && !word_is(&only, out.s))
		line_splice(l, &only, out.s, out.len);
	text_fini(&out);
}

/* "# kopt=…" and "# groot=…" are for update-grub. */
static bool magic_line(struct line *l)
{
	struct word value = { l->s, 0 };

	if (strncmp(l->s, "# kopt=", 7) == 0) {
		value = (struct word){ l->s + 7, l->len - 7 };
		line_set_cmdline(l, &value, CMDLINE_CONSOLES);
	} else if (strncmp(l->s, "# groot=", 8) == 0) {
		value = (struct word){ l->s + 8, l->len - 8 };
		fix_grub_device(l, &value);
	}
	return value.len > 0;
}

static void kernel_line(struct line *l, const struct menu_entry *e)
{
	struct text out = { 0 }, args_now = { 0 };
	const char *end;
	struct word path, args;

	if (e->xen || !menu_kernel(l->s, true, &path, &args))
		return;
	end = memchr(path.s, ')', path.len);
	text_add(&out, l->s, (size_t)(path.s - l->s));
	if (*path.s == '(' && end) {
		struct word device = { path.s, (size_t)(end + 1 - path.s) };

		if (put_grub_device(l->arg, &device, &out))
			path = (struct word){ end + 1, path.len - device.len };
	}
	text_add(&out, path.s, path.len);
	if (line_cmdline(l, &args, CMDLINE_CONSOLES | cmdline_root(l->plan, e->kernel, e->initrd),
			 &args_now))
		args = (struct word){ args_now.s, args_now.len };
	text_add(&out, args.s, args.len);
	line_set(l, out.s, out.len);
	text_fini(&args_now);
	text_fini(&out);
}

static void entry_line(struct line *l, const struct menu_entry *e)
{
	struct word w = word_at(l->s, 0), device = word_at(l->s, 1);

	if (word_is(&w, "root"))
		fix_grub_device(l, &device);
	else if (word_is(&w, "kernel"))
		kernel_line(l, e);
	else if (word_is(&w, "initrd") && *device.s == '(')
		fix_grub_device(l, &device);
}

static bool is_default(const char *line)
{
	return strncmp(line, "default", 7) == 0 && strchr(" \t=", line[7]);
}

/* "default 0", "default=0" */
static struct word default_value(const char *line)
{
	const char *s = line + 7 + strspn(line + 7, " \t=");

	return (struct word){ s, strcspn(s, " \t\n") };
}

static void default_line(struct line *l)
{
	const struct legacy *g = l->arg;
	struct word value = default_value(l->s);
	char number[16];

	if (!g->want)
		return;
	snprintf(number, sizeof(number), "%u", g->want_index);
	line_splice(l, &value, number, strlen(number));
}

/* In front of the first setting: what stands near the entries is made anew by other tools. */
static void put_terminal(struct line *l, struct legacy *g)
{
	static const char *const settings[] = { "default", "timeout",	  "fallback", "hiddenmenu",
						"color",   "splashimage", "title" };
	struct word w = word_at(l->s, 0);

	if (!g->put_terminal || !word_begins_any(&w, settings, ARRAY_SIZE(settings)))
		return;
	g->put_terminal = false;
	text_str(&l->before, SERIAL "\nterminal --timeout=5 serial console\n");
}

static void menu_line(struct line *l)
{
	struct legacy *g = l->arg;
	const struct menu_entry *e = menu_at(&g->menu, l->number);

	put_terminal(l, g);
	if (is_default(l->s) && !e)
		default_line(l);
	else if (magic_line(l))
		return;
	else if (strncmp(l->s, "splashimage=(", 13) == 0)
		fix_grub_device(l, &(struct word){ l->s + 12, l->len - 12 });
	else if (e)
		entry_line(l, e);
}

static void look_line(struct line *l)
{
	struct legacy *g = l->arg;
	struct word w = word_at(l->s, 0);

	g->has_default |= is_default(l->s);
	g->has_serial |= word_is(&w, "serial") || word_is(&w, "terminal");
}

/* MENU_MAX: none that a number says. */
static unsigned default_of(const char *text)
{
	struct word value;

	while (text && !is_default(text)) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	if (!text)
		return 0;
	value = default_value(text);
	return *value.s >= '0' && *value.s <= '9' ? (unsigned)strtoul(value.s, NULL, 10) : MENU_MAX;
}

/* The default stays if it starts a kernel that can run; else an entry that does is found. */
static void choose(struct plan *p, const char *path, struct legacy *g, const char *text)
{
	const struct guest_kernel *k = inspection_kernel(p->in);
	const struct menu_entry *e = menu_find(&g->menu, k);
	unsigned at = default_of(text);

	if (!k || g->menu.n == 0)
		return;
	if (!e) {
		edit_note(p,
			  "%s: no entry starts %s, which is the kernel for KVM; run update-grub in "
			  "the guest, or add one",
			  path, k->path);
		return;
	}
	if (at == MENU_MAX && k->is_default)
		return;
	if (at < g->menu.n && !g->menu.v[at].xen && strcmp(g->menu.v[at].kernel, e->kernel) == 0)
		return;
	edit_note(p, "%s: the default becomes %s, since what it was cannot start under KVM", path,
		  k->path);
	g->want = e;
	g->want_index = (unsigned)(e - g->menu.v);
}

static void one_file(struct plan *p, const char *path)
{
	size_t len;
	_cleanup_free_ char *text = plan_text(p, path, &len);
	struct legacy g = { 0 };

	if (!text)
		return;
	menu_read(&g.menu, text, true);
	g.boot = plan_part_at(p, "/boot");
	if (!g.boot)
		g.boot = plan_part_at(p, "/");
	plan_lines(p, path, WHY, look_line, &g);
	choose(p, path, &g, text);
	g.put_terminal = !g.has_serial;
	plan_lines(p, path, WHY, menu_line, &g);
	if (g.want && !g.has_default) {
		_cleanup_free_ char *now = plan_text(p, path, &len);
		struct text out = { 0 };
		char *new;

		text_printf(&out, "default %u\n%s", g.want_index, now);
		new = text_steal(&out, &len);
		plan_set(p, path, new, len, WHY);
	}
	menu_fini(&g.menu);
}

void edit_menu_lst(struct plan *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++)
		one_file(p, paths[i]);
}
