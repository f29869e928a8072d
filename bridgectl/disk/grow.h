/*
 * Making a disk larger, with its last partition and what is in that: first a look, which tells all
 * steps and whether each can be done, then the steps. After any failure the same command with +0
 * goes on where it was.
 */
#ifndef BRIDGECTL_DISK_GROW_H
#define BRIDGECTL_DISK_GROW_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#include "bridgectl/disk/table.h"
#include "bridgectl/disk/target.h"
#include "bridgectl/disk/volume.h"

#define GROW_ERRLEN 1024
#define GROW_STEPS_MAX 8
#define GROW_TEXTLEN 512

enum grow_kind {
	GROW_FILE,
	GROW_VOLUME,
	GROW_DEVICE, /* has the size that it has */
};

enum grow_step {
	GROW_CHECK_FS,
	GROW_EXTEND,
	GROW_ZERO,
	GROW_TABLE,
	GROW_RESIZE_FS,
	GROW_SWAP,
	GROW_CHECK_AGAIN,
};

/* What is there, what it becomes, how. Sizes in bytes unless they say sectors. */
struct grow {
	char path[4096];
	enum grow_kind kind;
	struct volume volume; /* of GROW_VOLUME */
	uint64_t before, after;
	enum plan_label label;	/* PLAN_WHOLE: no table; the content is the disk's */
	struct table_part part; /* the one that grows */
	uint64_t part_after;	/* sectors */
	char type[32];		/* of the content, "" unknown */
	uint64_t content;	/* its own idea of its size; 0: not known */
	enum grow_step steps[GROW_STEPS_MAX];
	unsigned n_steps;
	struct target target; /* open and locked while steps are done */
};

/*
 * Looks, and asks for everything that the steps need. `partition` 0: the last. Closes what it has
 * opened. 0, or negative errno and a sentence in `err` (GROW_ERRLEN): as target_open(); -EINVAL not
 * the last partition, a logical one, a format that is not raw; -ENOSPC no room for it; -EALREADY
 * nothing would change; -ENOENT no such partition or program.
 */
int grow_look(const char *path, uint64_t more, unsigned partition, struct grow *ret, char *err);

/* Called before each step (bytes 0), and while it zeros. */
typedef void (*grow_show_fn)(void *arg, const struct grow *g, unsigned step, uint64_t done,
			     uint64_t total);

/* Does the steps. `err` says in which state it has left things, and what to do. */
int grow_run(struct grow *g, const volatile sig_atomic_t *stop, grow_show_fn show, void *arg,
	     char *err);

/* A step as a sentence without a full stop, in `buf` (GROW_TEXTLEN). */
const char *grow_step_text(const struct grow *g, unsigned step, char *buf);
/* What is left to do inside the guest, or NULL: nothing. */
const char *grow_inside(const struct grow *g);
const char *grow_kind_name(enum grow_kind k);

#endif
