/*
 * The guest's disks as file systems: tables, partitions, which is the root, what its fstab has
 * below it. Made and used where the guest's bytes may do no harm (child.h).
 */
#ifndef BRIDGECTL_FIXUP_SCENE_H
#define BRIDGECTL_FIXUP_SCENE_H

#include <stdint.h>

#include "bridgectl/fixup/edit.h"
#include "bridgectl/fixup/overlay.h"
#include "bridgectl/fixup/tree.h"

#define SCENE_ERRLEN 512
#define SCENE_PARTS_MAX 256

struct scene_disk {
	int fd; /* for reading */
	uint64_t bytes;
	char letter;
};

/* Where a partition is. */
struct scene_part {
	unsigned disk;
	uint64_t start, bytes;
	struct overlay *overlay; /* NULL: not opened */
	struct tree *ext;	 /* owned by scene.tree once it is in there */
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
};

/* Reads tables and signatures. 0 or negative errno and `err` (SCENE_ERRLEN). Then free it. */
int scene_read(struct scene *s, const struct scene_disk *disks, unsigned n, char *err);
/*
 * Finds the root (`root`: "vda2", or NULL) and puts the tree together. 0, or -ENOENT, -ENOTUNIQ,
 * -EUCLEAN, -EOPNOTSUPP and a sentence.
 */
int scene_open(struct scene *s, const char *root, char *err);
/* All changes into the overlays. */
int scene_sync(struct scene *s);
void scene_fini(struct scene *s);

/* "vda2" of a part, in `buf` (16 bytes). Returns it. */
const char *scene_name(const struct edit_part *p, char *buf);

#endif
