/*
 * Which boot loader's configuration counts: the first in the order in which our own boot record
 * looks for one (grub.cfg of GRUB 2, then menu.lst, which pygrub reads as well), then extlinux.
 * Those without a kernel in them are passed over as long as there is another.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/inspect_private.h"

#define BLS_FOLDER "/boot/loader/entries"

static const struct {
	enum boot_config kind;
	const char *path, *aside; /* aside: the environment block, or what is "saved" */
} configs[] = {
	{ BOOT_GRUB2, "/boot/grub/grub.cfg", "/boot/grub/grubenv" },
	{ BOOT_GRUB2, "/boot/grub2/grub.cfg", "/boot/grub2/grubenv" },
	{ BOOT_GRUB_LEGACY, "/boot/grub/menu.lst", "/boot/grub/default" },
	{ BOOT_GRUB_LEGACY, "/boot/grub/grub.conf", "/boot/grub/default" },
	{ BOOT_EXTLINUX, "/boot/extlinux/extlinux.conf", NULL },
	{ BOOT_EXTLINUX, "/boot/syslinux/syslinux.cfg", NULL },
	{ BOOT_EXTLINUX, "/extlinux.conf", NULL },
};

struct adding {
	struct tree *t;
	struct boot_menu *menu;
};

static bool add_bls(void *arg, const char *name)
{
	struct adding *a = arg;
	char path[TREE_PATH_MAX];
	_cleanup_free_ char *text = NULL;

	if (!inspect_ends(name, ".conf"))
		return true;
	if (snprintf(path, sizeof(path), BLS_FOLDER "/%s", name) >= (int)sizeof(path))
		return true;
	text = tree_text(a->t, path, NULL);
	if (text)
		boot_menu_bls_add(a->menu, name, text);
	return true;
}

/* `of`: the grub.cfg that asks for them; its $kernelopts is the last resort. */
static void read_bls(struct tree *t, const char *env, const struct boot_menu *of,
		     struct boot_menu *ret)
{
	struct adding a = { t, ret };

	memset(ret, 0, sizeof(*ret));
	ret->kernelopts = mem_strdup_or_null(of ? of->kernelopts : NULL);
	(void)tree_list(t, BLS_FOLDER, add_bls, &a);
	boot_menu_bls_end(ret, env);
}

static bool names_a_kernel(const struct boot_menu *m)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->v[i].kernel)
			return true;
	return false;
}

/* *kind and *path change where the menu turns out to be elsewhere. */
static void read_menu(struct tree *t, enum boot_config *kind, const char **path, const char *text,
		      const char *aside, struct boot_menu *ret)
{
	if (*kind == BOOT_GRUB_LEGACY) {
		boot_menu_legacy(text, aside, ret);
	} else if (*kind == BOOT_EXTLINUX) {
		boot_menu_extlinux(text, ret);
	} else {
		struct boot_menu bls;

		boot_menu_grub2(text, aside, ret);
		if (!ret->bls)
			return;
		read_bls(t, aside, ret, &bls);
		if (names_a_kernel(&bls)) {
			boot_menu_fini(ret);
			*ret = bls;
			*kind = BOOT_BLS;
			*path = BLS_FOLDER;
		} else {
			boot_menu_fini(&bls);
		}
	}
}

static bool try_config(struct tree *t, struct inspection *in, size_t i, struct boot_menu *menu)
{
	_cleanup_free_ char *text = tree_text(t, configs[i].path, NULL), *aside = NULL;
	enum boot_config kind = configs[i].kind;
	const char *path = configs[i].path;
	struct boot_menu m;

	if (!text)
		return false;
	if (configs[i].aside)
		aside = tree_text(t, configs[i].aside, NULL);
	read_menu(t, &kind, &path, text, aside, &m);
	if (in->boot != BOOT_NO_CONFIG && !names_a_kernel(&m)) {
		boot_menu_fini(&m);
		return false;
	}
	boot_menu_fini(menu);
	*menu = m;
	in->boot = kind;
	free(in->boot_path);
	in->boot_path = mem_strdup(path);
	return names_a_kernel(menu);
}

/* pygrub may have read the other one until now: which depends on its version. */
static void tell_others(struct tree *t, struct inspection *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++)
		if (configs[i].kind == BOOT_GRUB_LEGACY && in->boot != BOOT_GRUB_LEGACY &&
		    tree_is_file(t, configs[i].path)) {
			inspect_note(in, "%s is there as well as %s, which counts", configs[i].path,
				     in->boot_path);
			return;
		}
}

void inspect_boot(struct tree *t, struct inspection *in, struct boot_menu *menu)
{
	memset(menu, 0, sizeof(*menu));
	menu->def = -1;
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++)
		if (try_config(t, in, i, menu)) {
			tell_others(t, in);
			return;
		}
	if (in->boot == BOOT_NO_CONFIG) {
		read_bls(t, NULL, NULL, menu);
		if (menu->n) {
			in->boot = BOOT_BLS;
			in->boot_path = mem_strdup(BLS_FOLDER);
			return;
		}
	}
	if (in->boot_path)
		inspect_note(in, "%s names no kernel", in->boot_path);
	else
		inspect_note(in, "no configuration of a boot loader was found");
}
