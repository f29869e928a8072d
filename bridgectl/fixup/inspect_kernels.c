/*
 * The kernels of a guest: files in /boot with the names that distributions give them, and those
 * that the boot loader's menu names. Each file is one kernel, however many links and entries lead
 * to it.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/inspect_private.h"
#include "bridgectl/fixup/sort.h"

/* What is known before a kernel's file is opened. */
struct candidate {
	char *path;    /* without links */
	char *version; /* from its name, "" if that has none */
	int entry;     /* of the menu, -1: none */
	bool is_default, rescue;
};

struct search {
	struct tree *t;
	const struct boot_menu *menu;
	struct candidate *v;
	unsigned n;
};

#define CANDIDATES_MAX 512

static const char *const kernel_names[] = { "vmlinuz-", "vmlinux-", "bzImage-", "kernel-",
					    "xenlinux-" };

/* "/boot/vmlinuz-6.1.0-18-amd64" -> "6.1.0-18-amd64" */
static const char *version_of(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	for (size_t i = 0; i < ARRAY_SIZE(kernel_names); i++)
		if (inspect_begins(name, kernel_names[i]))
			return name + strlen(kernel_names[i]);
	return "";
}

static struct candidate *candidate(struct search *s, const char *path)
{
	const char *version = version_of(path);
	struct candidate *c;

	for (unsigned i = 0; i < s->n; i++)
		if (strcmp(s->v[i].path, path) == 0)
			return &s->v[i];
	if (s->n == CANDIDATES_MAX)
		return NULL;
	c = mem_push(s->v, s->n);
	c->path = mem_strdup(path);
	c->version = mem_strdup(version);
	c->entry = -1;
	c->rescue = inspect_begins(version, "0-rescue");
	return c;
}

static bool is_kernel_name(const char *name)
{
	static const char *const not [] = { ".old", ".bak", ".hmac", ".dpkg-new", ".dpkg-tmp",
					    ".gz",  ".sig", ".map",  ".orig" };

	for (size_t i = 0; i < ARRAY_SIZE(not ); i++)
		if (inspect_ends(name, not [i]))
			return false;
	return *version_of(name) != '\0';
}

static bool saw_name(void *arg, const char *name)
{
	struct search *s = arg;
	char path[TREE_PATH_MAX], to[TREE_PATH_MAX];

	if (is_kernel_name(name) &&
	    snprintf(path, sizeof(path), "/boot/%s", name) < (int)sizeof(path) &&
	    tree_is_file(s->t, path) && tree_resolve(s->t, path, to) == 0)
		(void)candidate(s, to);
	return true;
}

/*
 * Where a path of a menu leads to in the root file system: behind "(hd0,0)", in the root
 * or in a partition that is mounted at /boot, with or without the name of a btrfs subvolume.
 */
static bool menu_path(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	static const char *const tops[] = { "", "/boot", "/boot/" };
	char try[TREE_PATH_MAX];

	if (*path == '(' && strchr(path, ')'))
		path = strchr(path, ')') + 1;
	if (inspect_begins(path, "/@/"))
		path += 2;
	for (size_t i = *path == '/' ? 0 : 2; i < ARRAY_SIZE(tops); i++)
		if (snprintf(try, sizeof(try), "%s%s", tops[i], path) < (int)sizeof(try) &&
		    tree_is_file(t, try) && tree_resolve(t, try, ret) == 0)
			return true;
	return false;
}

/* An entry that starts Xen is none of a guest's, unless it is all that names this kernel. */
static void from_menu(struct search *s)
{
	char to[TREE_PATH_MAX];

	for (unsigned i = 0; i < s->menu->n; i++) {
		const struct boot_entry *e = &s->menu->v[i];
		struct candidate *c;

		if (!e->kernel || !menu_path(s->t, e->kernel, to))
			continue;
		c = candidate(s, to);
		if (!c)
			continue;
		if (s->menu->def == (int)i)
			c->is_default = true;
		if (s->menu->def == (int)i || c->entry < 0 ||
		    (s->menu->v[c->entry].xen && !e->xen && !c->is_default))
			c->entry = (int)i;
	}
}

/* The newest first, rescue kernels last. */
static int by_weight(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->rescue != y->rescue)
		return x->rescue ? 1 : -1;
	return strverscmp(y->version, x->version);
}

/* --- One kernel --- */

static void find_initrd(struct tree *t, const struct boot_entry *e, struct guest_kernel *k,
			const char *version)
{
	static const char *const names[][2] = {
		{ "initrd.img-", "" }, { "initramfs-", ".img" }, { "initrd-", "" },
		{ "initrd-", ".img" }, { "initramfs-", "" },
	};
	char path[TREE_PATH_MAX], to[TREE_PATH_MAX];

	if (e && e->initrd && menu_path(t, e->initrd, to)) {
		k->initrd = mem_strdup(to);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names) && *version; i++)
		if (snprintf(path, sizeof(path), "/boot/%s%s%s", names[i][0], version,
			     names[i][1]) < (int)sizeof(path) &&
		    tree_is_file(t, path) && tree_resolve(t, path, to) == 0) {
			k->initrd = mem_strdup(to);
			return;
		}
}

/*
 * For nothing but Xen: by its configuration, else by its file, else by its name. "xen" in a name
 * alone says nothing since Linux 2.6.32, whose Xen kernels run everywhere.
 */
static bool is_xen_only(const struct guest_kernel *k, const struct kernel_image *image,
			const char *config)
{
	if (image->known && !image->bzimage)
		return true;
	if (config)
		return kernel_option(config, "X86_XEN") == 'y' ||
		       kernel_option(config, "X86_64_XEN") == 'y';
	if (image->known)
		return false;
	return inspect_ends(k->version, "xen") || inspect_ends(k->version, "xenU") ||
	       (strstr(k->version, "-xen-") && strverscmp(k->version, "2.6.32") < 0);
}

static const char *arch_of(const struct guest_kernel *k, const struct kernel_image *image,
			   const char *config)
{
	const char *v = k->version;

	if (image->bits)
		return image->bits == 64 ? "x86_64" : "i686";
	if (config)
		return kernel_option(config, "X86_64") == 'y' ? "x86_64" : "i686";
	if (strstr(v, "x86_64") || strstr(v, "amd64"))
		return "x86_64";
	return strstr(v, "86") ? "i686" : NULL;
}

static void read_image(struct tree *t, const char *path, struct kernel_image *ret)
{
	_cleanup_free_ char *data = NULL;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (tree_read(t, path, KERNEL_IMAGE_MAX, &data, &len) == 0)
		kernel_image_read(data, len, ret);
}

static void describe(struct tree *t, const struct candidate *c, const struct boot_entry *e,
		     struct guest_kernel *k)
{
	_cleanup_free_ char *config = NULL;
	struct kernel_image image;
	const char *arch;

	read_image(t, c->path, &image);
	k->path = mem_strdup(c->path);
	/* The file of a rescue entry is a copy of some other kernel: its header tells which. */
	k->version = mem_strdup(image.version[0] && (c->rescue || !c->version[0]) ? image.version :
										    c->version);
	config = kernel_config(t, k->version);
	k->is_default = c->is_default;
	k->rescue = c->rescue;
	if (e && e->cmdline)
		k->cmdline = mem_strndup(e->cmdline, strnlen(e->cmdline, INSPECT_TEXT_MAX));
	find_initrd(t, e, k, c->version);
	k->xen_only = is_xen_only(k, &image, config);
	arch = arch_of(k, &image, config);
	k->arch = mem_strdup_or_null(arch);
	kernel_drivers(t, k, config);
}

static void tell(struct inspection *in, const struct guest_kernel *k)
{
	if (k->initrd_why)
		inspect_note(in, "the initramfs %.300s is not understood: %s", k->initrd,
			     k->initrd_why);
	else if (!k->initrd)
		inspect_note(in, "kernel %.100s has no initramfs", k->version);
	if (k->xen_only)
		inspect_note(in, "kernel %.100s runs on nothing but Xen", k->version);
}

/* The newest, but the default among them whatever its age. */
static void choose(struct search *s, struct inspection *in)
{
	unsigned later = 0;

	for (unsigned i = INSPECT_KERNELS_MAX; i < s->n; i++)
		later += s->v[i].is_default;
	for (unsigned i = 0; i < s->n; i++) {
		const struct candidate *c = &s->v[i];
		struct guest_kernel *k;

		if (in->n_kernels + (c->is_default ? 0 : later) >= INSPECT_KERNELS_MAX)
			continue;
		k = &in->kernels[in->n_kernels++];
		describe(s->t, c, c->entry < 0 ? NULL : &s->menu->v[c->entry], k);
		tell(in, k);
	}
}

void inspect_kernels(struct tree *t, struct inspection *in, const struct boot_menu *menu)
{
	struct search s = { t, menu, NULL, 0 };

	(void)tree_list(t, "/boot", saw_name, &s);
	from_menu(&s);
	if (s.n)
		sort(s.v, s.n, sizeof(*s.v), by_weight);
	else
		inspect_note(in, "there is no kernel in /boot");
	choose(&s, in);
	for (unsigned i = 0; i < s.n; i++) {
		free(s.v[i].path);
		free(s.v[i].version);
	}
	free(s.v);
}
