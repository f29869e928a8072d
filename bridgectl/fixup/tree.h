/*
 * The files of a guest as a tree of names, the root directory on top, other file systems where its
 * fstab has them. Inspection reads it, edits change it, neither knows where it is: inside an image
 * (tree_ext.c), in a folder (tree_dir.c), or several of them one below another (tree_mounts.c).
 *
 * What it says is the guest's word: names, sizes and contents may be anything.
 */
#ifndef BRIDGECTL_FIXUP_TREE_H
#define BRIDGECTL_FIXUP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_PATH_MAX 1024
#define TREE_FILE_MAX (4U << 20) /* of a text */
#define TREE_INITRD_MAX (512U << 20)
#define TREE_LINKS_MAX 40
#define TREE_NAMES_MAX 100000 /* of one directory */

enum tree_kind { TREE_FILE, TREE_DIR, TREE_LINK, TREE_OTHER };

struct tree_stat {
	enum tree_kind kind;
	uint64_t size;
	uint32_t mode, uid, gid; /* mode: permission bits */
};

/* False: no more names, please. `name` is neither "." nor "..". */
typedef bool (*tree_name_fn)(void *arg, const char *name);

struct tree;

/*
 * Paths begin with '/', have no "." or ".." and are followed as they stand: no symbolic link in
 * them is (-ELOOP). 0 or negative errno: -ENOENT, -ENOTDIR, -EUCLEAN for a broken file system.
 */
struct tree_ops {
	int (*stat)(struct tree *t, const char *path, struct tree_stat *ret);
	int (*link)(struct tree *t, const char *path, char ret[TREE_PATH_MAX]); /* its text */
	/* A whole regular file, with a NUL behind it. -EFBIG: more than `max` bytes. */
	int (*read)(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len);
	int (*list)(struct tree *t, const char *path, tree_name_fn fn, void *arg);
	/* The content of a regular file; mode, owner and extended attributes stay. */
	int (*write)(struct tree *t, const char *path, const char *data, size_t len);
	/* A new regular file of root in a directory that is there. */
	int (*create)(struct tree *t, const char *path, uint32_t mode, const char *data,
		      size_t len);
	int (*remove)(struct tree *t, const char *path); /* a regular file or a link */
	void (*free)(struct tree *t);
};

struct tree {
	const struct tree_ops *ops;
	const char *why_readonly; /* NULL: may be written to; else a sentence's end */
};

/* --- For all that reads and changes (tree.c): symbolic links are followed, inside the tree. --- */

/*
 * Where `path` leads to: a path without links. -ENOENT: it is not there; `ret` is where it would
 * be, or "" if there is not even the directory. After other errors it is "".
 */
int tree_resolve(struct tree *t, const char *path, char ret[TREE_PATH_MAX]);
int tree_stat(struct tree *t, const char *path, struct tree_stat *ret);
bool tree_is_file(struct tree *t, const char *path);
bool tree_is_dir(struct tree *t, const char *path);
/* A text; NULL: not there, not regular, larger than TREE_FILE_MAX. To be freed. */
char *tree_text(struct tree *t, const char *path, size_t *ret_len);
int tree_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len);
/* Names in order, as strcmp(3) has it. -E2BIG: more than TREE_NAMES_MAX. */
int tree_list(struct tree *t, const char *path, tree_name_fn fn, void *arg);

void tree_free(struct tree *t);

/*
 * A folder of the host, for a mounted guest and for tests. Nothing outside of it is reached.
 * -ENOSYS: this kernel cannot promise that (openat2(2), Linux 5.6).
 */
int tree_dir_open(const char *folder, bool readonly, struct tree **ret);
/* The same for `path` in the folder `base` has open: it cannot lead out of that. */
int tree_dir_at(int base, const char *path, bool readonly, struct tree **ret);

#endif
