/*
 * What has to change inside a guest so that it boots and is reached under KVM: a list of changed
 * files, each with its reason. One rule per concern (edit_table.c); a rule reads the tree and the
 * changes that earlier rules made, and adds its own. Nothing is written here. Doing it twice
 * changes nothing the second time.
 */
#ifndef BRIDGECTL_FIXUP_EDIT_H
#define BRIDGECTL_FIXUP_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridgectl/fixup/inspect.h"
#include "bridgectl/fixup/tree.h"

#define EDITS_MAX 256

/* A partition, or a whole disk with number 0, of the guest: what the old names stand for now. */
struct edit_part {
	char letter;	 /* 'a' of xvda2, sda2, hda2 */
	unsigned number; /* 2 */
	char type[16];	 /* as blkid says: "ext4", "swap", "crypto_LUKS", "" */
	char uuid[64], label[64], partuuid[64]; /* "": none */
};

struct edit_vif {
	char mac[18];
};

struct edit_options {
	const struct edit_part *parts;
	unsigned n_parts;
	const struct edit_vif
		*vifs; /* in the order of eth0…; none: network names stay as they are */
	unsigned n_vifs;
	char root_letter; /* of the root file system */
	unsigned root_number;
};

struct edit {
	char *path; /* resolved: without symbolic links */
	char *old;  /* NULL: the file is new */
	size_t old_len;
	char *new; /* NULL: the file goes */
	size_t new_len;
	char *why; /* one sentence per rule that changed it, by lines */
};

struct edits {
	struct edit v[EDITS_MAX];
	unsigned n;
	char **notes; /* what a rule saw and left alone, or what the user has to do */
	unsigned n_notes;
};

/* 0; -ENOSPC: more than EDITS_MAX files; -ENOMEM. Free it with edits_fini() in any case. */
int edits_plan(struct tree *t, const struct inspection *in, const struct edit_options *o,
	       struct edits *ret);
/* Writes them into the tree in their order. 0, or negative errno and *ret_failed is which. */
int edits_write(struct tree *t, const struct edits *e, unsigned *ret_failed);
void edits_fini(struct edits *e);

/* udiff.c: a unified diff with three lines of context, as `diff -u` prints it. A new string. */
char *udiff(const char *path, const char *old, size_t old_len, const char *new, size_t new_len);

#endif
