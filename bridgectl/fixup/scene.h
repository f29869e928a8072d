/*
 * The guest's disks as file systems: tables, partitions, which is the root, what its fstab has
 * below it. Made and used where the guest's bytes may do no harm (child.h).
 */
#ifndef BRIDGECTL_FIXUP_SCENE_H
#define BRIDGECTL_FIXUP_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/fixup/edit.h"
#include "bridgectl/fixup/overlay.h"
#include "bridgectl/fixup/tree.h"
#include "bridgectl/fixup/trust.h"

#define SCENE_ERRLEN 512
#define SCENE_PARTS_MAX 256
#define SCENE_LATER_MAX 64

struct scene_disk {
	int fd; /* for reading */
	uint64_t bytes;
	char letter;
};

/* Where a partition is. */
struct scene_part {
	unsigned disk;
	uint64_t start, bytes;
	struct overlay *overlay; /* of ext; NULL: not opened */
	struct tree *fs;	 /* NULL: not opened; owned by scene.tree once it is in there */
	int mount;		 /* index of scene.mounts, or -1 */
};

struct scene {
	const struct scene_disk *disks;
	unsigned n_disks, n;
	struct edit_part ids[SCENE_PARTS_MAX]; /* one for each of `parts` */
	struct scene_part parts[SCENE_PARTS_MAX];
	unsigned root;	    /* index of the root file system */
	struct tree *tree;  /* NULL before scene_open() */
	char notes[8][256]; /* what of fstab could not be found or read */
	unsigned n_notes;
	const struct trust_mount *mounts; /* what is mounted; none: nothing is to be */
	unsigned n_mounts;
	struct tree *later[SCENE_LATER_MAX]; /* trees of `tree` that remember: trust_tree.c */
	unsigned n_later;
};

/* Reads tables and signatures. 0 or negative errno and `err` (SCENE_ERRLEN). Then free it. */
int scene_read(struct scene *s, const struct scene_disk *disks, unsigned n, char *err);
/* These are mounted, as trust_enter() does it; they stay the caller's. */
void scene_mounted(struct scene *s, const struct trust_mount *m, unsigned n);
/*
 * Finds the root (`root`: "vda2", or NULL) and puts the tree together. 0, or -ENOENT, -ENOTUNIQ,
 * -EUCLEAN, -EOPNOTSUPP and a sentence.
 */
int scene_open(struct scene *s, const char *root, char *err);
/* All changes into the overlays. */
int scene_sync(struct scene *s);
void scene_fini(struct scene *s);

/* --- scene_trust.c, for scene.c --- */

/* A mounted part as a tree, of a subvolume or of (NULL) the default one. As trust_open(). */
int scene_trust_open(struct scene *s, unsigned i, const char *subvol, struct tree **ret);
bool scene_looks_like_root(struct tree *t);
/* parts[i].fs, which may be the subvolume that has the root. 0 or negative errno. */
int scene_trust_find(struct scene *s, unsigned i);
bool scene_needs_trust(const struct edit_part *p);
const char *scene_type_name(const struct edit_part *p);

/* "vda2" of a part, in `buf` (16 bytes). Returns it. */
const char *scene_name(const struct edit_part *p, char *buf);

#endif
