/*
 * The menus of boot loaders: which kernels they name, and which of them is started when nobody
 * chooses. Texts come from the guest: nothing is run or expanded, what is not understood is passed
 * over, and everything is bounded.
 */
#ifndef BRIDGECTL_FIXUP_BOOTCFG_H
#define BRIDGECTL_FIXUP_BOOTCFG_H

#include <stdbool.h>
#include <stddef.h>

#define BOOTCFG_ENTRIES_MAX 256
#define BOOTCFG_DEPTH_MAX 16
#define BOOTCFG_CMDLINE_MAX 8192 /* of a BLS entry; Linux takes 2048 on x86 */
#define BOOTCFG_WORDS_MAX 200	 /* of one command */

struct boot_entry {
	char *title, *id;      /* id: GRUB 2's --id, extlinux's label, BLS's file; or NULL */
	char *kernel, *initrd; /* as they stand there, or NULL */
	char *cmdline;	       /* words with one blank in between, or NULL */
	unsigned line;	       /* from 1, where the entry begins */
	int parent;	       /* the submenu that it is in, -1: none */
	unsigned number;       /* among those with the same parent, from 0 */
	bool submenu;	       /* has entries, starts nothing */
	bool xen;	       /* starts Xen, with the kernel as its module */
};

struct boot_menu {
	struct boot_entry *v;
	unsigned n;
	char *want;	  /* the default as the text has it, or NULL */
	char *kernelopts; /* GRUB 2: what BLS entries mean by it, or NULL */
	bool bls;	  /* GRUB 2: the entries are in files of their own */
	int def;	  /* index of what is started by default, -1: nothing is there */
};

/*
 * Each fills *ret, which boot_menu_fini() frees. `text` ends with a NUL. `env` is GRUB's
 * environment block, `saved` the file "default" of GRUB legacy; both NULL if there is none.
 */
void boot_menu_grub2(const char *text, const char *env, struct boot_menu *ret);
void boot_menu_legacy(const char *text, const char *saved, struct boot_menu *ret);
void boot_menu_extlinux(const char *text, struct boot_menu *ret);
/* One file of /boot/loader/entries; `name` is the file's. */
void boot_menu_bls_add(struct boot_menu *m, const char *name, const char *text);
/* After the last of them: their order, what $kernelopts means, the default. */
void boot_menu_bls_end(struct boot_menu *m, const char *env);
void boot_menu_fini(struct boot_menu *m);

/* The value of a name in GRUB's environment block, to be freed; NULL. */
char *grubenv_get(const char *env, const char *name);

/* --- For the readers --- */

/* A new entry, the last of its parent's; NULL: too many. Valid until the next one. */
struct boot_entry *boot_menu_add(struct boot_menu *m, int parent, unsigned line);
/* Sets `def` by `want`: a number, a title, an id, several with '>' between; else the first. */
void boot_menu_choose(struct boot_menu *m, const char *want);
void boot_set(char **to, const char *s, size_t len);

#endif
