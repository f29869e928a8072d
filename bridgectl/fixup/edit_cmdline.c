/*
 * Kernel command lines, wherever they stand: menus, /etc/default/grub, /etc/kernel/cmdline, BLS
 * entries. root= and resume= get lasting names, what only Xen understands goes, and the serial port
 * is made a console. The last console= is /dev/console, so ttyS0 is put behind the others; hvc0
 * stays, since the domain has a virtio console, too.
 *
 * All other words stay where they are, quotes and blanks included.
 */
#include <ctype.h>
#include <stdlib.h>

#include "bridgectl/fixup/edit_line.h"

#define SERIAL "console=ttyS0,115200"

static const char *const device_keys[] = { "root=", "real_root=", "resume=" };

/* Words that mean nothing, or harm, away from Xen. */
static const char *const xen_words[] = {
	"xencons=", "independent_wallclock", "clocksource=xen", "xen-fbfront.", "xen_fbfront.",
};

struct cmdline {
	struct line *l;
	unsigned flags;
	struct text *out;
	bool changed, serial, vga, ifnames;
	struct word blanks; /* in front of words that went: those of the next one; s: NULL */
};

/* Whether the same word comes again: of consoles the last one counts. */
static bool comes_again(const struct word *w, const char *end)
{
	const char *s = w->s + w->len;
	struct word next;

	while (s < end && word_next(&s, &next) && next.s < end) {
		if (next.len == w->len && memcmp(next.s, w->s, w->len) == 0)
			return true;
	}
	return false;
}

static bool is_xen(const struct word *w)
{
	return word_begins_any(w, xen_words, ARRAY_SIZE(xen_words));
}

/* NULL: not told; of several kernels that it might be, the oldest. */
static const char *version_of(const struct plan *p, const char *kernel)
{
	const char *dash = strchr(kernel, '-'), *oldest = NULL;

	for (unsigned i = 0; i < p->in->n_kernels; i++) {
		const struct guest_kernel *k = &p->in->kernels[i];

		if (!k->version)
			continue;
		if (k->path && strcmp(path_last(k->path), kernel) == 0)
			return k->version;
		if (!oldest || strverscmp(k->version, oldest) < 0)
			oldest = k->version;
	}
	return dash && isdigit((unsigned char)dash[1]) ? dash + 1 : oldest;
}

/* PARTUUID=: init/do_mounts.c since 2.6.37 for GPT, 3.8 for msdos tables. */
unsigned cmdline_root(const struct plan *p, const char *kernel, bool initrd)
{
	const char *version = version_of(p, kernel);

	if (initrd)
		return 0;
	if (!version || strverscmp(version, "2.6.37") < 0)
		return CMDLINE_NO_INITRD | CMDLINE_NO_ID;
	return CMDLINE_NO_INITRD | (strverscmp(version, "3.8") < 0 ? CMDLINE_NO_MSDOS_ID : 0);
}

/* That of a GPT is a UUID; that of an msdos table the disk's number and the partition's. */
static bool knows_id(const struct cmdline *c, const char *partuuid)
{
	bool gpt = strlen(partuuid) == 36;

	return *partuuid && !(c->flags & (CMDLINE_NO_ID | (gpt ? 0 : CMDLINE_NO_MSDOS_ID)));
}

/* A kernel finds a root by itself by the UUID of its partition only. */
static bool put_partuuid(struct cmdline *c, const struct word *device)
{
	const struct edit_part *part = plan_part(c->l->plan, device);

	if (!word_begins(device, "/dev/") || !word_is_disk(device))
		return false;
	if (!part || !knows_id(c, part->partuuid)) {
		line_note(c->l, "its kernel has no initramfs and no name for its root that lasts; "
				"build an initramfs in the guest");
		return false;
	}
	text_printf(c->out, "PARTUUID=%s", part->partuuid);
	return true;
}

static bool put_device(struct cmdline *c, const struct word *w)
{
	for (unsigned i = 0; i < ARRAY_SIZE(device_keys); i++) {
		size_t n = strlen(device_keys[i]), before = c->out->len;
		struct word device = { w->s + n, w->len - n };
		bool done;

		if (!word_begins(w, device_keys[i]))
			continue;
		text_str(c->out, device_keys[i]);
		done = i == 0 && (c->flags & CMDLINE_NO_INITRD) ?
			       put_partuuid(c, &device) :
			       line_device(c->l, &device, c->out);
		if (!done)
			c->out->s[c->out->len = before] = '\0';
		c->changed |= done;
		return done;
	}
	return false;
}

/* The word as it shall be, behind its blanks; nothing of both if it goes. */
static void put_word(struct cmdline *c, const struct word *blanks, const struct word *w,
		     const char *end)
{
	bool console = word_begins(w, "console=");

	if (is_xen(w) || word_is(w, "console=xvc0") || (console && comes_again(w, end))) {
		if (!c->blanks.s)
			c->blanks = *blanks;
		c->changed = true;
		return;
	}
	if (c->blanks.s)
		blanks = &c->blanks;
	c->serial |= word_begins(w, "console=ttyS0");
	c->ifnames |= word_begins(w, "net.ifnames=");
	c->vga |= word_begins(w, "console=tty") && w->len == 12 && w->s[11] <= '9';
	text_add(c->out, blanks->s, blanks->len);
	c->blanks.s = NULL;
	if (!put_device(c, w))
		text_add(c->out, w->s, w->len);
}

/* Else the initramfs makes ens3 of eth0, for good. */
static void put_ifnames(struct cmdline *c)
{
	if (c->ifnames || !c->l->plan->in->renames_once)
		return;
	text_printf(c->out, "%snet.ifnames=0", c->out->len ? " " : "");
	c->changed = c->ifnames = true;
}

static void put_missing(struct cmdline *c)
{
	if (!(c->flags & CMDLINE_CONSOLES))
		return;
	put_ifnames(c);
	if (c->serial)
		return;
	text_printf(c->out, "%s%s" SERIAL, c->out->len ? " " : "", c->vga ? "" : "console=tty0 ");
	c->changed = c->serial = true;
}

bool line_cmdline(struct line *l, const struct word *args, unsigned flags, struct text *out)
{
	struct cmdline c = { .l = l, .flags = flags, .out = out };
	const char *s = args->s, *end = args->s + args->len;

	while (s < end) {
		struct word blanks = { s, strspn(s, " \t") }, w;

		blanks.len = MIN(blanks.len, (size_t)(end - s));
		w.s = s + blanks.len;
		w.len = MIN(strcspn(w.s, " \t"), (size_t)(end - w.s));
		s = w.s + w.len;
		if (w.len == 0) {
			put_missing(&c);
			text_add(out, blanks.s, blanks.len);
			break;
		}
		if (word_is(&w, "--") || word_is(&w, "---"))
			put_missing(&c);
		put_word(&c, &blanks, &w, end);
	}
	put_missing(&c);
	if (!c.changed)
		text_fini(out);
	else
		text_str(out, ""); /* all of it may have gone */
	return c.changed;
}

void line_set_cmdline(struct line *l, const struct word *args, unsigned flags)
{
	struct text out = { 0 };

	if (line_cmdline(l, args, flags, &out)) {
		if (flags & CMDLINE_SHELL)
			line_assign(l, args, out.s, out.len);
		else
			line_splice(l, args, out.s, out.len);
	}
	text_fini(&out);
}
