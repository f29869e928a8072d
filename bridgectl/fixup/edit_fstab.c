/*
 * Where names of disks stand that are mounted, unlocked or resumed from: fstab, crypttab and the
 * initramfs's resume file. Every other column stays where it was: what a longer name takes is given
 * back by the blanks behind it, as far as there are some.
 */
#include "bridgectl/fixup/edit_line.h"

#define WHY "disks have other names under KVM, UUIDs stay"

/* `word` becomes `name`; of spaces behind it, but one, as many go as it has grown. */
static void replace_column(struct line *l, const struct word *word, const struct text *name)
{
	struct word old = *word;
	const char *s = old.s + old.len;
	size_t spaces = strspn(s, " "), grown = name->len > old.len ? name->len - old.len : 0;
	_cleanup_free_ char *new = NULL;
	struct text out = { 0 };
	size_t len;

	text_add(&out, name->s, name->len);
	if (s[spaces] != '\0') {
		text_add(&out, s, spaces > grown ? spaces - grown : MIN(spaces, 2));
		old.len += spaces;
	}
	new = text_steal(&out, &len);
	line_splice(l, &old, new, len);
}

static void rename_column(struct line *l, const struct word *device)
{
	struct text name = { 0 };

	if (line_device(l, device, &name))
		replace_column(l, device, &name);
	text_fini(&name);
}

static bool is_optional(const struct word *type, const struct word *options)
{
	char buf[EDIT_WORD_MAX];

	return strstr(word_text(options, buf), "noauto") || word_begins(type, "iso9660") ||
	       word_begins(type, "udf");
}

static void fstab_line(struct line *l)
{
	struct word device = word_at(l->s, 0), type = word_at(l->s, 2), options = word_at(l->s, 3);

	if (device.len == 0 || *device.s == '#')
		return;
	if (word_is(&type, "xenfs")) {
		l->drop = true;
		return;
	}
	/* Drives for discs: there is none, and none is looked for. */
	if (is_optional(&type, &options) && !plan_part(l->plan, &device))
		return;
	rename_column(l, &device);
}

/* With a new key at each start nothing in a partition lasts, its UUID neither. */
static void rename_random(struct line *l, const struct word *device)
{
	const struct edit_part *part = plan_part(l->plan, device);
	struct text name = { 0 };
	char buf[EDIT_WORD_MAX];

	if (!word_begins(device, "/dev/") || !word_is_disk(device))
		return;
	if (part && part->number && part->partuuid[0]) {
		text_printf(&name, "/dev/disk/by-partuuid/%s", part->partuuid);
		replace_column(l, device, &name);
	} else {
		line_note(l, "%s has no name that lasts; the line stays as it is",
			  word_text(device, buf));
	}
	text_fini(&name);
}

static void crypttab_line(struct line *l)
{
	struct word name = word_at(l->s, 0), device = word_at(l->s, 1), key = word_at(l->s, 2);

	if (name.len == 0 || *name.s == '#' || device.len == 0)
		return;
	if (word_is(&key, "/dev/urandom") || word_is(&key, "/dev/random"))
		rename_random(l, &device);
	else
		rename_column(l, &device);
}

static void resume_line(struct line *l)
{
	struct text name = { 0 };
	struct word value;

	if (line_assigns(l->s, "RESUME", &value) && line_device(l, &value, &name)) {
		line_splice(l, &value, name.s, name.len);
		line_note(l, "the initramfs has the old name still, and may wait half a minute for "
			     "it at each start: run update-initramfs -u -k all in the guest");
	}
	text_fini(&name);
}

static void resume_file(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY, resume_line, arg);
}

/* Units of systemd are named after their device, which an edit cannot change. */
static void unit_line(struct line *l)
{
	struct word value;

	if (line_assigns(l->s, "What", &value) && word_begins(&value, "/dev/xvd"))
		line_note(l, "this unit names a disk of Xen; put it into /etc/fstab instead");
}

static void unit_file(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY, unit_line, arg);
}

void edit_fstab(struct plan *p)
{
	/* "/" is looked up in the fstab by others, who find it by its UUID as well. */
	plan_lines(p, "/etc/fstab", WHY, fstab_line, NULL);
	plan_lines(p, "/etc/crypttab", WHY, crypttab_line, NULL);
	plan_each(p, "/etc/initramfs-tools/conf.d", "", resume_file, NULL);
	plan_lines(p, "/etc/initramfs-tools/initramfs.conf", WHY, resume_line, NULL);
	plan_each(p, "/etc/systemd/system", ".mount", unit_file, NULL);
	plan_each(p, "/etc/systemd/system", ".swap", unit_file, NULL);
}
