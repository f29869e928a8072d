/*
 * What the rules of a plan share: the texts as earlier rules left them, and the menus of boot
 * loaders. Only edit*.c include it.
 */
#ifndef BRIDGECTL_FIXUP_EDIT_PRIVATE_H
#define BRIDGECTL_FIXUP_EDIT_PRIVATE_H

#include "bridgectl/fixup/edit.h"
#include "bridgectl/fixup/edit_text.h"

#define EDIT_NOTES_MAX 200

/* --- What is planned (edit.c) --- */

struct plan {
	struct tree *t;
	const struct inspection *in;
	const struct edit_options *o;
	struct edits *e;
	int error; /* the first one; rules need not look */
};

struct edit_rule {
	const char *name;
	void (*fn)(struct plan *p);
};

extern const struct edit_rule edit_rules[]; /* edit_table.c; ended by a name of NULL */

/* As it is after the rules so far; NULL: not there, or not a text. To be freed. */
char *plan_text(struct plan *p, const char *path, size_t *ret_len);
bool plan_has(struct plan *p, const char *path);
/* Takes over `text` (NULL: the file goes). Nothing happens if the file is so already. */
void plan_set(struct plan *p, const char *path, char *text, size_t len, const char *why);
void edit_note(struct plan *p, const char *fmt, ...) _printf_(2, 3);
typedef void (*plan_file_fn)(struct plan *p, const char *path, void *arg);
/* `fn` for every file of a folder whose name ends in `suffix`, in order. */
void plan_each(struct plan *p, const char *folder, const char *suffix, plan_file_fn fn, void *arg);

/* --- Entries of boot loaders' menus (edit_menu.c) --- */

#define MENU_MAX 256

struct menu_entry {
	unsigned first, last; /* lines */
	char kernel[128];     /* the last part of its path; "" if there is none */
	char place[320];      /* for GRUB 2's default: "0", "1>2", or their ids */
	bool initrd, search, xen, rescue;
};

struct menu {
	struct menu_entry *v;
	unsigned n;
};

/* `legacy`: "title" begins an entry; else "menuentry". Free with menu_fini(). */
void menu_read(struct menu *m, const char *text, bool legacy);
const struct menu_entry *menu_at(const struct menu *m, unsigned line);
/* The entry that starts this kernel by itself; NULL. */
const struct menu_entry *menu_find(const struct menu *m, const struct guest_kernel *k);
void menu_fini(struct menu *m);
/* A line that names a kernel: what it is, and its arguments. False: another line. */
bool menu_kernel(const char *line, bool legacy, struct word *ret_path, struct word *ret_args);
const char *path_last(const char *path);

/* --- The rules: one per concern --- */

void edit_fstab(struct plan *p);
void edit_menu_lst(struct plan *p);
/* Also what grub-mkconfig makes it from, and GRUB's saved variables (edit_grubenv.c). */
void edit_grub_cfg(struct plan *p);
void edit_grubenv(struct plan *p, const char *path, const char *saved_entry);
void edit_boot_files(struct plan *p);
void edit_kernel(struct plan *p);
void edit_console(struct plan *p);
void edit_net(struct plan *p);
void edit_net_match(struct plan *p); /* a part of it */
/* In [Match]: what has a slot, so neither VLANs nor bridges, which have a card's address, too. */
#define EDIT_NET_CARDS "Path=*pci-*"
void edit_modules(struct plan *p);
void edit_misc(struct plan *p);

#endif
