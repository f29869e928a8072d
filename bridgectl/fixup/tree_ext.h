/* ext2, ext3 and ext4 as a tree, over an overlay: nothing is written to the disk. */
#ifndef BRIDGECTL_FIXUP_TREE_EXT_H
#define BRIDGECTL_FIXUP_TREE_EXT_H

#include "bridgectl/fixup/overlay.h"
#include "bridgectl/fixup/tree.h"

#define TREE_EXT_ERRLEN 256

/*
 * The overlay stays the caller's and outlives the tree. 0, or negative errno and a phrase in `err`:
 * -EUCLEAN broken, or its journal has to be replayed first; -EOPNOTSUPP features that are not known
 * here; -EMEDIUMTYPE no such file system. What may be read but not written says so in
 * tree->why_readonly.
 */
int tree_ext_open(struct overlay *o, struct tree **ret, char *err);

/* Brings all that was changed into the overlay: bitmaps, counts, checksums. 0 or negative errno. */
int tree_ext_sync(struct tree *t);

#endif
