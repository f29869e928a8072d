/* What the files tree_ext*.c share. */
#ifndef BRIDGECTL_FIXUP_TREE_EXT_PRIVATE_H
#define BRIDGECTL_FIXUP_TREE_EXT_PRIVATE_H

#include <ext2fs/ext2fs.h>

#include "bridgectl/fixup/tree_ext.h"

#define TREE_EXT_INODE_MAX 1024 /* bytes of an inode that are looked at; more are refused */

struct tree_ext {
	struct tree tree;
	ext2_filsys fs;
};

/* An inode with what newer file systems have behind its first 128 bytes. */
union tree_ext_inode {
	struct ext2_inode small;
	struct ext2_inode_large large;
	unsigned char bytes[TREE_EXT_INODE_MAX];
};

/* tree_ext_io.c: how libext2fs reaches an overlay. One open at a time in a process. */
extern struct struct_io_manager tree_ext_io;
extern struct overlay *tree_ext_io_overlay; /* the one that the next open is for */

/* An error of libext2fs as errno. */
int tree_ext_errno(errcode_t e);
ext2_filsys tree_ext_fs(const struct tree *t);
/* The inode that a path leads to. -ELOOP: a part before the last is a link. */
int tree_ext_walk(ext2_filsys fs, const char *path, ext2_ino_t *ret);
int tree_ext_inode(ext2_filsys fs, ext2_ino_t ino, union tree_ext_inode *ret);

/* tree_ext_write.c */
int tree_ext_write(struct tree *t, const char *path, const char *data, size_t len);
int tree_ext_create(struct tree *t, const char *path, uint32_t mode, const char *data, size_t len);
int tree_ext_remove(struct tree *t, const char *path);

#endif
