/*
 * What disks had before they were written to, in a file: enough to put everything back, and to see
 * whether that may be done. Written whole, with a checksum, and on stable storage before the first
 * byte of a disk changes.
 */
#ifndef BRIDGECTL_FIXUP_UNDO_H
#define BRIDGECTL_FIXUP_UNDO_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "bridgectl/fixup/trust.h"

#define UNDO_ERRLEN 512
#define UNDO_DISKS_MAX 16

struct undo_disk {
	char path[PATH_MAX]; /* resolved; of a device as it was named, which may be a link */
	uint64_t bytes;
};

/* `len` bytes at `offset` of a disk. */
struct undo_record {
	unsigned disk;
	uint64_t offset;
	size_t len;
	unsigned char *before, *after;
};

struct undo {
	struct undo_disk disks[UNDO_DISKS_MAX];
	unsigned n_disks;
	uint64_t time; /* seconds since 1970 */
	struct undo_record *records;
	unsigned n;
	struct trust_file *files; /* of mounted file systems; their disks are those above */
	unsigned n_files;
};

/*
 * A new file in `dir`, which is made when it is not there; its path in `ret_path`. 0, or negative
 * errno and a sentence in `err` (UNDO_ERRLEN).
 */
int undo_write(const char *dir, const struct undo *u, char ret_path[PATH_MAX], char *err);

/* -EUCLEAN: not such a file, or damaged. Free it with undo_fini(). */
int undo_read(const char *path, struct undo *ret, char *err);
void undo_fini(struct undo *u);

/*
 * The files of `dir` that are about disk `path` (resolved), newest first, ended by NULL; to be
 * freed by undo_list_free(). NULL: there is none.
 */
char **undo_list(const char *dir, const char *path);
void undo_list_free(char **list);

#endif
