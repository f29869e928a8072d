/* What the two sides of a fix-up share: the request as the child finds it, and its frames. */
#ifndef BRIDGECTL_FIXUP_FIXUP_PRIVATE_H
#define BRIDGECTL_FIXUP_FIXUP_PRIVATE_H

#include "bridgectl/disk/target.h"
#include "bridgectl/fixup/child.h"
#include "bridgectl/fixup/fixup.h"
#include "bridgectl/fixup/scene.h"

#define FIXUP_TIMEOUT_MS 120000
#define FIXUP_DOCUMENT_MAX (16U << 20) /* bytes of JSON */
#define FIXUP_WRITES_MAX 70000U	       /* OVERLAY_MAX in pieces of OVERLAY_CHUNK, and some more */
#define FIXUP_KERNEL_MAX (256U << 20)

enum fixup_frame {
	FRAME_JSON = 1, /* a piece of the document */
	FRAME_WRITE,	/* u32 disk, u64 offset, bytes */
	FRAME_KERNEL,	/* a piece of a file */
	FRAME_INITRD,
	FRAME_PART,  /* u32 disk, u64 start, u64 bytes, u32 whether it is btrfs */
	FRAME_FILES, /* a piece of changed files: trust_files_pack() */
};
#define FRAME_WRITE_HEAD 12U
#define FRAME_PART_LEN 24U

/* WISH_PARTS: the partitions that are mounted with --trust-guest, each as a FRAME_PART. */
enum fixup_wish { WISH_PLAN, WISH_KERNEL, WISH_FILE, WISH_PARTS };

struct fixup_request {
	enum fixup_wish wish;
	const struct fixup_options *o;
	struct scene_disk disks[FIXUP_DISKS_MAX];
	unsigned n_disks;
	const char *version; /* of WISH_KERNEL, or NULL */
	const char *path;    /* of WISH_FILE: its bytes come as FRAME_KERNEL */
	size_t max;
	struct trust_mount mounts[TRUST_MOUNTS_MAX]; /* what the child mounts: fixup_trust.c */
	unsigned n_mounts;
	int fds[FIXUP_DISKS_MAX];
};

/* Runs in the child: a child_job's fn, `arg` is a struct fixup_request. */
int fixup_child(void *arg, struct child_out *out, char *err);

struct fixup {
	struct fixup_view view;
	struct inspection *in;
	struct edit_part parts[SCENE_PARTS_MAX];
	struct fixup_change changes[EDITS_MAX];
	char **notes;
	char why_not[256];
	unsigned n_notes;
	struct target disks[FIXUP_DISKS_MAX]; /* open for reading */
	unsigned n_disks;
	struct fixup_write *writes; /* by disk and offset, none over another */
	unsigned char **olds;	    /* what is there before each of them */
	unsigned n_writes;
	struct trust_file *files;
	unsigned n_files;
	struct trust_mount mounts[TRUST_MOUNTS_MAX]; /* where `files` may be */
	unsigned n_mounts;
};

/* fixup_answer.c: the child's document into `f`. 0, or -EPROTO. */
int fixup_take_document(struct fixup *f, const json_t *j);

/*
 * fixup_trust.c. With --trust-guest: looks for what has to be mounted, and gives the job what it
 * needs for that. 0, or negative errno and a sentence in `err` (FIXUP_ERRLEN).
 */
int fixup_trust_job(struct fixup_request *q, struct child_job *j, char *err);
/* The files that the child wants changed; `bytes` is freed by the caller. 0, or -EPROTO. */
int fixup_take_files(struct fixup *f, const char *bytes, size_t len);

#endif
