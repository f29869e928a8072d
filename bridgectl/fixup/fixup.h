/*
 * A guest's disks as they have to be for KVM: looked at, planned, written, undone.
 *
 * What the guest says is read in a process that can do nothing but read these images and answer
 * (child.h). It answers with what it found, the changed texts, and the bytes of the disks that
 * would change. Only this side writes, and before it does, what was there is in a file of its own.
 */
#ifndef BRIDGECTL_FIXUP_FIXUP_H
#define BRIDGECTL_FIXUP_FIXUP_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridgectl/fixup/edit.h"
#include "bridgectl/fixup/inspect.h"

#define FIXUP_ERRLEN 768
#define FIXUP_DISKS_MAX 16
#define FIXUP_STATE_DIR "/var/lib/bridgectl/fixup"

/* A raw image or block device. letters[i]: 'a' for what is vda, xvda or sda in the guest. */
struct fixup_options {
	const char *disks[FIXUP_DISKS_MAX];
	char letters[FIXUP_DISKS_MAX];
	unsigned n_disks;
	const struct edit_vif *vifs; /* in the order of eth0…; none: names are left alone */
	unsigned n_vifs;
	const char *root; /* "vda2"; NULL: it is looked for */
	int timeout_ms;	  /* 0: two minutes */
	bool trust_guest; /* XFS and btrfs too, by this host's kernel: trust.h */
};

/* One changed file. All of it is text from the guest: to be cleaned before it is shown. */
struct fixup_change {
	char *path, *diff, *why; /* `why`: by lines */
};

/* Bytes that go to a disk, from what the child answered or from fixup_add_write(). */
struct fixup_write {
	unsigned disk;
	uint64_t offset;
	size_t len;
	unsigned char *bytes;
};

struct fixup;

/* What was found; owned by the plan. */
struct fixup_view {
	const struct inspection *in;
	const struct edit_part *parts;
	unsigned n_parts;
	char root_letter; /* the root file system: "vda2" is 'a', 2 */
	unsigned root_number;
	const struct fixup_change *changes;
	unsigned n_changes;
	char *const *notes; /* of the edits; those of the inspection are in `in` */
	unsigned n_notes;
	const char *why_not; /* NULL: can be written; else a sentence that says why it cannot */
};

/*
 * Looks at the guest and plans; nothing is written. 0, or negative errno and a sentence in `err`
 * (FIXUP_ERRLEN): -EUCLEAN a broken or unclean file system, -ENOENT no root found, -ENOTUNIQ
 * several, -EOPNOTSUPP a kind of file system or image that this cannot read, -EPROTO the child
 * died or talked nonsense, -ETIMEDOUT. Free it with fixup_free().
 */
int fixup_plan(const struct fixup_options *o, struct fixup **ret, char *err);
const struct fixup_view *fixup_view(const struct fixup *f);
void fixup_free(struct fixup *f);

/*
 * One more change of a disk's bytes, outside of the file systems: a boot record. Copied. -ERANGE:
 * beyond the disk; -EEXIST: something else is written there already.
 */
int fixup_add_write(struct fixup *f, unsigned disk, uint64_t offset, const void *bytes, size_t len,
		    char *err);
unsigned fixup_count_writes(const struct fixup *f);
int fixup_disk_fd(const struct fixup *f, unsigned disk); /* for reading; it stays with `f` */

/*
 * Writes it: opens and locks the disks (-EBUSY: in use), makes sure that what was there when it was
 * planned still is (-ESTALE), keeps that in a new file in `state_dir`, whose path is then in
 * `ret_undo`, writes, flushes. On failure what was written is put back. Nothing to do: 0, and
 * `ret_undo` is "".
 */
int fixup_apply(struct fixup *f, const char *state_dir, char ret_undo[PATH_MAX], char *err);

/*
 * Puts back what the undo file `path` has: it is about `image`, or about one disk, whose place that
 * takes. NULL: the newest of `state_dir` for `image`. Only when each place has what we wrote or
 * what was there before, else -ESTALE. Twice is no error. `ret_path`: the file; "": nothing to do.
 */
int fixup_undo(const char *path, const char *state_dir, const char *image, char ret_path[PATH_MAX],
	       char *err);

/* What an external boot needs. */
struct fixup_kernel {
	char version[128];
	char root[80];	   /* "UUID=…", else "/dev/vda2": for the kernel's command line */
	char cmdline[512]; /* from the boot loader's configuration, printable; or "" */
	bool has_initrd;
};

/*
 * Copies the kernel (`version`; NULL: the one that KVM would boot) and its initramfs out of the
 * guest, into new files: `kernel_fd` and `initrd_fd` are open for writing and empty; what they have
 * after a failure is of no use. -ENOENT: no such kernel.
 */
int fixup_extract_kernel(const struct fixup_options *o, const char *version, int kernel_fd,
			 int initrd_fd, struct fixup_kernel *ret, char *err);

/* A regular file of the guest, of at most `max` bytes, with a NUL behind. To be freed. */
int fixup_read_file(const struct fixup_options *o, const char *path, size_t max, char **ret,
		    size_t *ret_len, char *err);

#endif
