/*
 * What is seen and left alone: programs that talk to Xen, settings that a person has to look at,
 * and what SELinux makes of files that came from outside.
 */
#include "bridgectl/fixup/edit_line.h"

#define WHY_LVM "the filter of LVM knows only disks of Xen"

/* Services that look for Xen and do nothing, or complain, without it. */
static const struct service {
	const char *path, *text;
} services[] = {
	{ "/etc/init.d/xe-linux-distribution", "the XenServer guest tools; remove them later" },
	{ "/usr/sbin/xe-daemon", "the XenServer guest tools; remove them later" },
	{ "/etc/init.d/xenstored", "the Xen store, which is of no use without Xen" },
	{ "/etc/init.d/xend", "the Xen tools, which are of no use without Xen" },
	{ "/etc/init.d/xendomains", "the Xen tools, which are of no use without Xen" },
};

static void services_seen(struct plan *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(services); i++) {
		if (tree_is_file(p->t, services[i].path))
			edit_note(p, "%s belongs to %s.", services[i].path, services[i].text);
	}
}

static void kernel_img_line(struct line *l)
{
	struct word w = word_at(l->s, 0);

	if (word_is(&w, "do_initrd") && strcasestr(l->s, "no"))
		line_note(l, "new kernels will come without an initramfs; set do_initrd = yes");
}

/*
 * A filter that lets through nothing but disks of Xen hides all volumes under KVM. In LVM's regular
 * expressions "x*[hsv]d" are xvd, vd, sd and hd.
 */
static void lvm_line(struct line *l)
{
	struct word w = word_at(l->s, 0);
	struct text out = { 0 };
	const char *s = l->s, *at;

	if (!word_begins(&w, "filter") && !word_begins(&w, "global_filter"))
		return;
	while ((at = strstr(s, "xvd"))) {
		text_add(&out, s, (size_t)(at - s));
		text_str(&out, "x*[hsv]d");
		s = at + 3;
	}
	text_str(&out, s);
	if (s != l->s) {
		line_set(l, out.s, out.len);
		line_note(l, "if / is a logical volume, the initramfs has the old filter still; "
			     "rebuild it in the guest");
	}
	text_fini(&out);
}

static void selinux(struct plan *p)
{
	const struct edits *e = p->e;

	if (!p->in->selinux)
		return;
	for (unsigned i = 0; i < e->n; i++) {
		if (!e->v[i].old)
			edit_note(p,
				  "%s is new and gets the SELinux label of its folder; what was "
				  "there keeps its own.",
				  e->v[i].path);
	}
}

void edit_misc(struct plan *p)
{
	services_seen(p);
	plan_lines(p, "/etc/kernel-img.conf", "", kernel_img_line, NULL);
	plan_lines(p, "/etc/lvm/lvm.conf", WHY_LVM, lvm_line, NULL);
	selinux(p);
}
