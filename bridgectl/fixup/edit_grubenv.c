/*
 * GRUB's environment block: 1024 bytes, "name=value" lines behind a fixed first one, filled up with
 * '#' (GRUB manual, "The GRUB environment block"). GRUB writes it in place, so its size never
 * changes.
 */
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_line.h"

#define BLOCK 1024
#define HEAD "# GRUB Environment Block\n"
#define WHY "variables of GRUB: lasting names, the serial port, a kernel for KVM"

static void put_kernelopts(struct line *l, struct text *out)
{
	struct word args = { l->s + 11, l->len - 11 };
	struct text now = { 0 };

	if (line_cmdline(l, &args, CMDLINE_CONSOLES, &now))
		text_printf(out, "kernelopts=%s\n", now.s);
	else
		text_printf(out, "%s\n", l->s);
	text_fini(&now);
}

static void put_lines(struct plan *p, const char *path, char *text, const char *saved_entry,
		      struct text *out)
{
	struct line l = { .plan = p, .path = path };

	for (char *s = text, *end; (end = strchr(s, '\n')); s = end + 1) {
		*end = '\0';
		l.s = s;
		l.len = (size_t)(end - s);
		l.number++;
		if (strncmp(s, "kernelopts=", 11) == 0)
			put_kernelopts(&l, out);
		else if (!saved_entry || strncmp(s, "saved_entry=", 12) != 0)
			text_printf(out, "%s\n", s);
	}
	if (saved_entry)
		text_printf(out, "saved_entry=%s\n", saved_entry);
}

/* NULL for `saved_entry`: as it is. */
void edit_grubenv(struct plan *p, const char *path, const char *saved_entry)
{
	size_t len;
	_cleanup_free_ char *text = plan_text(p, path, &len);
	struct text out = { 0 };
	char *new;

	if (!text || len != BLOCK || strncmp(text, HEAD, strlen(HEAD)) != 0)
		return;
	put_lines(p, path, text, saved_entry, &out);
	if (out.len > BLOCK) {
		edit_note(p, "%s has no room for the serial console and lasting names", path);
		text_fini(&out);
		return;
	}
	while (out.len < BLOCK)
		text_str(&out, "#");
	new = text_steal(&out, &len);
	plan_set(p, path, new, len, WHY);
}
