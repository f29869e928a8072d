/*
 * Several file systems of a guest, one below another, as its fstab has them: only those that have
 * something that a boot needs: /boot, /usr, /var.
 */
#ifndef BRIDGECTL_FIXUP_TREE_MOUNTS_H
#define BRIDGECTL_FIXUP_TREE_MOUNTS_H

#include "bridgectl/fixup/edit.h"
#include "bridgectl/fixup/tree.h"

#define TREE_MOUNTS_MAX 8

/* A row of fstab that is about one of them. */
struct tree_mount {
	char what[TREE_PATH_MAX];  /* "/dev/xvda1", "UUID=…" */
	char where[TREE_PATH_MAX]; /* "/boot" */
	char subvol[256];	   /* of btrfs: "@/boot"; "": the default one */
};

/* What the fstab of `root` says, in the order of the file, parents first. Their number. */
unsigned tree_mounts_read(struct tree *root, struct tree_mount ret[TREE_MOUNTS_MAX]);

/* The row of the root itself. False: none. */
bool tree_mounts_read_root(struct tree *root, struct tree_mount *ret);

/*
 * Which partition a name of fstab means: "/dev/xvda2" (or sd, hd, vd), "UUID=", "LABEL=",
 * "PARTUUID=", "/dev/disk/by-uuid/…". -1: none of these.
 */
int tree_mounts_part(const char *what, const struct edit_part *parts, unsigned n);

/* One tree; so far it is `root`, which is now its own. */
struct tree *tree_mounts_new(struct tree *root);

/*
 * `sub` is now seen at `where`, and the tree's own. -ENOENT, -ENOTDIR: there is no such directory;
 * -E2BIG: too many; -EEXIST: something is there already. After an error `sub` is the caller's.
 */
int tree_mounts_add(struct tree *t, const char *where, struct tree *sub);

/* Calls `fn` for each of its trees until one fails; what that returned. */
int tree_mounts_sync(struct tree *t, int (*fn)(struct tree *sub));

#endif
