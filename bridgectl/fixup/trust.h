/*
 * Guests on XFS or btrfs, when --trust-guest says that this host's kernel may read them. It mounts
 * the partitions, and nothing but them, where only one process sees them; that goes with the
 * process, however it ends. What is planned are files then, not blocks: a second such process, for
 * writing, changes them or brings them back.
 */
#ifndef BRIDGECTL_FIXUP_TRUST_H
#define BRIDGECTL_FIXUP_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridgectl/fixup/tree.h"

#define TRUST_ERRLEN 512
#define TRUST_MOUNTS_MAX 16
#define TRUST_FILES_MAX 512
#define TRUST_FILES_BYTES (64U << 20) /* packed */
#define TRUST_SUBVOL_MAX 256

/* Where such a file system is. */
struct trust_mount {
	unsigned disk;
	uint64_t start, bytes;
	bool btrfs; /* else XFS */
};

/* --- In the process that mounts (trust_mount.c) --- */

/*
 * A mount namespace of its own, with an empty root directory and all of `m` in it; fds[m[i].disk]
 * is the disk. Needs root. 0, or negative errno and a sentence in `err` (TRUST_ERRLEN): -EUCLEAN
 * damaged, or for TRUST_READ, which writes nothing at all: a log that has to be replayed.
 * TRUST_REPLAY does that, and no file is written either.
 */
enum trust_how { TRUST_READ, TRUST_REPLAY, TRUST_WRITE };
int trust_enter(const struct trust_mount *m, unsigned n, const int *fds, enum trust_how how,
		char *err);
/* The folder of m[i], or of a subvolume by its path from btrfs' top; NULL: the default one. */
int trust_open(unsigned i, const char *subvol, struct tree **ret);
/* Unmounts all; until then nothing is sure to be on the disk. 0 or negative errno. */
int trust_leave(unsigned n);

/* --- Changed files (trust_file.c) --- */

struct trust_bytes {
	char *p; /* NULL: there is no such file; else a NUL follows */
	size_t len;
};

/* A regular file; its path is in its file system. */
struct trust_file {
	struct trust_mount where;
	char *subvol; /* NULL: the default one */
	char *path;
	struct trust_bytes before, after;
	uint32_t mode, uid, gid;   /* as it was before */
	struct trust_bytes xattrs; /* of one that goes: trust_attr.c */
};

/* One after the other; to be freed. */
char *trust_files_pack(const struct trust_file *v, unsigned n, size_t *ret_len);
/* -EPROTO: these are none. Paths are such that struct tree_ops may have them. */
int trust_files_unpack(const char *bytes, size_t len, struct trust_file **ret, unsigned *ret_n);
void trust_files_free(struct trust_file *v, unsigned n);

/* --- A tree that remembers what should be written (trust_tree.c) --- */

/* `inner` is its own. Its changes go to `where` and `subvol`, which is copied. */
struct tree *trust_tree_new(struct tree *inner, const struct trust_mount *where,
			    const char *subvol);
bool trust_tree_is(const struct tree *t);
/* What was written; stays the tree's. */
const struct trust_file *trust_tree_files(const struct tree *t, unsigned *ret_n);

/* --- On the other side (trust_run.c) --- */

/*
 * What is there now. Numbers count: the greatest of several files tells of all, but for these
 * two.
 */
enum trust_found { TRUST_BEFORE, TRUST_AFTER, TRUST_MIXED, TRUST_ELSE };

/*
 * Looks; nothing is written to files. With `note` mode, owner and attributes of what is there go to
 * `v`. fds[v[i].where.disk] is the disk.
 */
int trust_look(struct trust_file *v, unsigned n, const int *fds, bool replay, bool note,
	       enum trust_found *ret, char *err);
/*
 * Makes them all as they were before (`after` false) or shall be. -ESTALE: one is neither. It
 * may have failed in between.
 */
int trust_write(const struct trust_file *v, unsigned n, const int *fds, bool after, char *err);

#endif
