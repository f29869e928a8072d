/*
 * GRUB 2: its generated menu and what it is generated from. The menu is changed in place, since
 * grub-mkconfig cannot run here; the guest's next update-grub keeps it all, because
 * /etc/default/grub says the same.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_line.h"

#define WHY "the boot menu: lasting names of disks, the serial port, a kernel for KVM"
#define WHY_DEFAULT "the next update-grub writes the menu with the serial port and lasting names"
#define SERIAL "serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1"

#define CONSOLES "console=tty0 console=ttyS0,115200"

static const char *const menus[] = {
	"/boot/grub/grub.cfg",
	"/boot/grub2/grub.cfg",
	"/boot/efi/EFI/almalinux/grub.cfg",
	"/boot/efi/EFI/centos/grub.cfg",
	"/boot/efi/EFI/fedora/grub.cfg",
	"/boot/efi/EFI/redhat/grub.cfg",
	"/boot/efi/EFI/rocky/grub.cfg",
};

struct grub {
	struct menu menu;
	const struct edit_part *boot; /* or NULL */
	const char *want;	      /* the entry to be the default, or NULL */
	bool has_serial, saved;
};

/* Set behind "set ", as GRUB's own language has it. */
static bool sets(const char *line, const char *name, struct word *ret_value)
{
	struct word w = word_at(line, 0);

	return word_is(&w, "set") && line_assigns(w.s + w.len, name, ret_value);
}

/* `set root='(hd0,1)'` in an entry that does not search: by the number it has now. */
static void root_line(struct line *l, const struct menu_entry *e)
{
	const struct grub *g = l->arg;
	char now[32];
	struct word value;

	if (e->search || !g->boot || !sets(l->s, "root", &value) || memchr(value.s, '$', value.len))
		return;
	if (g->boot->number)
		snprintf(now, sizeof(now), "hd%d,%u", g->boot->letter - 'a', g->boot->number);
	else
		snprintf(now, sizeof(now), "hd%d", g->boot->letter - 'a');
	if (value.len > 2 && value.s[0] == '(') {
		value.s++;
		value.len -= 2;
	}
	line_splice(l, &value, now, strlen(now));
}

static void entry_line(struct line *l, const struct menu_entry *e)
{
	struct word path, args;

	if (!e->xen && menu_kernel(l->s, false, &path, &args))
		line_set_cmdline(l, &args,
				 CMDLINE_CONSOLES | cmdline_root(l->plan, e->kernel, e->initrd));
	else
		root_line(l, e);
}

/* "terminal_output console" and the like: on the serial port as well. */
static void terminal_line(struct line *l)
{
	struct word w = word_at(l->s, 0), first = word_at(l->s, 1);
	struct grub *g = l->arg;
	struct text out = { 0 };

	if (g->has_serial || first.len == 0 || *first.s == '-')
		return;
	text_printf(&out, "%.*s" SERIAL "\n%s serial", (int)(w.s - l->s), l->s, l->s);
	line_set(l, out.s, out.len);
	text_fini(&out);
}

static void head_line(struct line *l)
{
	struct word w = word_at(l->s, 0), value;
	struct grub *g = l->arg;

	if (word_is(&w, "terminal_output") || word_is(&w, "terminal_input"))
		terminal_line(l);
	else if (sets(l->s, "kernelopts", &value))
		line_set_cmdline(l, &value, CMDLINE_CONSOLES | CMDLINE_SHELL);
	else if (g->want && sets(l->s, "default", &value) && !memchr(value.s, '$', value.len))
		line_splice(l, &value, g->want, strlen(g->want));
}

static void menu_line(struct line *l)
{
	const struct grub *g = l->arg;
	const struct menu_entry *e = menu_at(&g->menu, l->number);

	if (*l->s == '#')
		return;
	if (e)
		entry_line(l, e);
	else
		head_line(l);
}

static void look_line(struct line *l)
{
	struct grub *g = l->arg;
	struct word w = word_at(l->s, 0), value;

	g->has_serial |= word_is(&w, "serial");
	g->saved |= sets(l->s, "default", &value) && word_begins(&value, "${saved_entry}");
}

/* The place of the entry to start; NULL: the default is right, or there is none. */
static const char *choose(struct plan *p, const char *path, const struct menu *m)
{
	const struct guest_kernel *k = inspection_kernel(p->in);
	const struct menu_entry *e = menu_find(m, k);

	if (!k || k->is_default || m->n == 0)
		return NULL;
	if (!e)
		edit_note(p,
			  "%s: no entry starts %s, which is the kernel for KVM; run update-grub in "
			  "the guest",
			  path, k->path);
	if (!e || !e->place[0])
		return NULL;
	edit_note(p, "%s: the default becomes %s, since what it was cannot start under KVM", path,
		  k->path);
	return e->place;
}

/* The grubenv beside a menu. */
static void saved_entry(struct plan *p, const char *menu, const char *want)
{
	char path[TREE_PATH_MAX];

	snprintf(path, sizeof(path), "%.*s/grubenv", (int)(path_last(menu) - menu) - 1, menu);
	edit_grubenv(p, path, want);
}

/* What the menu's default has become, to be freed; or NULL. */
static char *one_menu(struct plan *p, const char *path)
{
	size_t len;
	_cleanup_free_ char *text = plan_text(p, path, &len);
	struct grub g = { 0 };
	char *want;

	if (!text)
		return NULL;
	menu_read(&g.menu, text, false);
	g.boot = plan_part_at(p, "/boot");
	if (!g.boot)
		g.boot = plan_part_at(p, "/");
	g.want = choose(p, path, &g.menu);
	plan_lines(p, path, WHY, look_line, &g);
	plan_lines(p, path, WHY, menu_line, &g);
	if (g.want && g.saved)
		saved_entry(p, path, g.want);
	want = mem_strdup_or_null(g.want);
	menu_fini(&g.menu);
	return want;
}

/* --- /etc/default/grub --- */

struct defaults {
	const char *want;
	const char *console_key; /* the variable that is to have the serial port; NULL: none */
	bool has_line, has_serial, has_terminal;
};

static void look_default(struct line *l)
{
	struct defaults *d = l->arg;
	struct word w = word_at(l->s, 0), value;
	char buf[EDIT_WORD_MAX];

	if (word_is(&w, "export"))
		w = word_at(l->s, 1);
	if (word_begins(&w, "GRUB_CMDLINE_LINUX=") || word_begins(&w, "GRUB_CMDLINE_LINUX+=")) {
		d->has_line = true;
		if (!line_assigns(l->s, "GRUB_CMDLINE_LINUX", &value))
			line_note(l, "this is not understood; put " CONSOLES " into it");
	}
	/* It comes behind GRUB_CMDLINE_LINUX, and of consoles the last one counts. */
	if (line_assigns(l->s, "GRUB_CMDLINE_LINUX_DEFAULT", &value) &&
	    strstr(word_text(&value, buf), "console="))
		d->console_key = "GRUB_CMDLINE_LINUX_DEFAULT";
	if (line_assigns(l->s, "GRUB_SERIAL_COMMAND", &value))
		d->has_serial = true;
	if (line_assigns(l->s, "GRUB_TERMINAL", &value))
		d->has_terminal = true;
}

static void default_line(struct line *l)
{
	static const char *const keys[] = { "GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT",
					    "GRUB_CMDLINE_LINUX_RECOVERY" };
	const struct defaults *d = l->arg;
	char buf[EDIT_WORD_MAX];
	struct word value;

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		bool here = d->console_key && strcmp(keys[i], d->console_key) == 0;

		if (!line_assigns(l->s, keys[i], &value))
			continue;
		line_set_cmdline(l, &value, CMDLINE_SHELL | (here ? CMDLINE_CONSOLES : 0));
		return;
	}
	if (line_assigns(l->s, "GRUB_TERMINAL", &value) &&
	    !strstr(word_text(&value, buf), "serial"))
		line_set(l, "GRUB_TERMINAL=\"console serial\"", 30);
	else if (d->want && line_assigns(l->s, "GRUB_DEFAULT", &value) && !word_is(&value, "saved"))
		line_assign(l, &value, d->want, strlen(d->want));
	/* The next menu would have names of disks again. */
	else if (line_assigns(l->s, "GRUB_DISABLE_LINUX_UUID", &value) && word_is(&value, "true"))
		line_splice(l, &value, "false", 5);
}

static void default_file(struct plan *p, const char *path, void *arg)
{
	struct defaults d = { .want = arg };

	plan_lines(p, path, WHY_DEFAULT, look_default, &d);
	plan_lines(p, path, WHY_DEFAULT, default_line, &d);
}

static void default_grub(struct plan *p, const char *want)
{
	static const char path[] = "/etc/default/grub";
	struct defaults d = { .console_key = "GRUB_CMDLINE_LINUX" };

	if (!plan_lines(p, path, WHY_DEFAULT, look_default, &d))
		return;
	d.want = want;
	plan_lines(p, path, WHY_DEFAULT, default_line, &d);
	if (!d.has_line)
		plan_append(p, path, "GRUB_CMDLINE_LINUX=\"" CONSOLES "\"", WHY_DEFAULT);
	if (!d.has_terminal)
		plan_append(p, path, "GRUB_TERMINAL=\"console serial\"", WHY_DEFAULT);
	if (!d.has_serial)
		plan_append(p, path, "GRUB_SERIAL_COMMAND=\"" SERIAL "\"", WHY_DEFAULT);
}

void edit_grub_cfg(struct plan *p)
{
	_cleanup_free_ char *want = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(menus); i++) {
		char *w = one_menu(p, menus[i]);

		if (!want)
			want = w;
		else
			free(w);
	}
	default_grub(p, want);
	plan_each(p, "/etc/default/grub.d", ".cfg", default_file, want);
}
