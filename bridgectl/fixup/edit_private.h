/*
 * What the rules of a plan share: the guest's texts as earlier rules left them, changes line by
 * line, device names, kernel command lines. Only edit*.c and udiff.c include it.
 */
#ifndef BRIDGECTL_FIXUP_EDIT_PRIVATE_H
#define BRIDGECTL_FIXUP_EDIT_PRIVATE_H

#include <stdarg.h>

#include "bridgectl/fixup/edit.h"
#include "common/util.h"

#define EDIT_NOTES_MAX 200
#define EDIT_WORD_MAX 512 /* of what is quoted or compared */

/* --- A text that grows (edit_text.c); always ended with a NUL. --- */

struct text {
	char *s;
	size_t len, size;
};

void text_add(struct text *t, const char *s, size_t len);
void text_str(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...) _printf_(2, 3);
/* What it holds, never NULL, to be freed; the text is empty then. */
char *text_steal(struct text *t, size_t *ret_len);
void text_fini(struct text *t);

/* A part of a line that somebody else owns. */
struct word {
	const char *s;
	size_t len;
};

/* The next word at *s that blanks end, *s behind it; false: no more. */
bool word_next(const char **s, struct word *ret);
bool word_is(const struct word *w, const char *s);
bool word_begins(const struct word *w, const char *s);
/* The n-th word of a line, from 0; an empty one if there are fewer. */
struct word word_at(const char *line, unsigned n);
/* Into `buf` of EDIT_WORD_MAX, cut to it; returned. */
const char *word_text(const struct word *w, char *buf);

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

/* --- Line by line (edit_lines.c) --- */

/* One line, without its end. A rule leaves it, sets `out` and `changed`, drops it, or adds some. */
struct line {
	struct plan *plan;
	const char *path;
	const char *s;
	size_t len;
	unsigned number; /* from 1 */
	void *arg;
	bool changed, drop;
	struct text out;
	struct text before, after; /* whole lines, each with "\n" */
};

typedef void (*line_fn)(struct line *l);

/*
 * A file through `fn`; the ends of its lines and of itself stay as they are. True: there is such a
 * file, changed or not.
 */
bool plan_lines(struct plan *p, const char *path, const char *why, line_fn fn, void *arg);
/* The line becomes s[0..len). */
void line_set(struct line *l, const char *s, size_t len);
/* The bytes `old` of the line become `new`. */
void line_splice(struct line *l, const struct word *old, const char *new, size_t new_len);
/* "line 3 of /etc/fstab: …" */
void line_note(struct line *l, const char *fmt, ...) _printf_(2, 3);
/* A line more at the end. */
void plan_append(struct plan *p, const char *path, const char *line, const char *why);

/*
 * KEY=value, KEY="value" or KEY+='value' as shells read it: *ret_value is inside of the quotes, a
 * value that has no end on this line is none. "#" in front makes it none.
 */
bool line_assigns(const char *line, const char *key, struct word *ret_value);
/* Another value for it, put in quotes unless it is in some already. */
void line_assign(struct line *l, const struct word *value, const char *new, size_t len);

/* --- Device names (edit_device.c) --- */

/* The part that /dev/xvda2, xvdb, /dev/sda1, UUID=… or LABEL=… means, or NULL. */
const struct edit_part *plan_part(struct plan *p, const struct word *device);
/* The same of what is mounted at `dir` by the fstab; for "/" also by the options. */
const struct edit_part *plan_part_at(struct plan *p, const char *dir);
/*
 * The lasting name of an old one. False: it is to stay, with a note if it will not work. `out` then
 * holds nothing.
 */
bool line_device(struct line *l, const struct word *device, struct text *out);
/* A name that only a Xen guest has, or that moved with the disk: xvd, sd, hd, vd and their like. */
bool word_is_disk(const struct word *w);

/* --- Kernel command lines (edit_cmdline.c) --- */

enum {
	CMDLINE_CONSOLES = 1,  /* ttyS0 is to be there */
	CMDLINE_NO_INITRD = 2, /* the kernel looks for its root by itself */
	CMDLINE_SHELL = 4
}; /* the value of an assignment */

/* What `args`, a part of the line, shall be. False: as it is. */
bool line_cmdline(struct line *l, const struct word *args, unsigned flags, struct text *out);
/* The same, and writes it into the line. */
void line_set_cmdline(struct line *l, const struct word *args, unsigned flags);

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
void edit_modules(struct plan *p);
void edit_misc(struct plan *p);

#endif
