/*
 * Changes of a guest's texts line by line, and what stands in these lines: names of disks and
 * command lines of kernels. Only edit*.c include it.
 */
#ifndef BRIDGECTL_FIXUP_EDIT_LINE_H
#define BRIDGECTL_FIXUP_EDIT_LINE_H

#include "bridgectl/fixup/edit_private.h"

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
	CMDLINE_CONSOLES = 1,	 /* ttyS0 is to be there, and what its udev needs */
	CMDLINE_NO_INITRD = 2,	 /* the kernel looks for its root by itself */
	CMDLINE_SHELL = 4,	 /* the value of an assignment */
	CMDLINE_NO_MSDOS_ID = 8, /* as CMDLINE_NO_INITRD, and its PARTUUID= needs a GPT */
	CMDLINE_NO_ID = 16,	 /* and it knows no PARTUUID= at all */
};

/*
 * How an entry finds its root: by an initramfs, or its kernel does, which is known by the last part
 * of its path.
 */
unsigned cmdline_root(const struct plan *p, const char *kernel, bool initrd);
/* What `args`, a part of the line, shall be. False: as it is. */
bool line_cmdline(struct line *l, const struct word *args, unsigned flags, struct text *out);
/* The same, and writes it into the line. */
void line_set_cmdline(struct line *l, const struct word *args, unsigned flags);

#endif
