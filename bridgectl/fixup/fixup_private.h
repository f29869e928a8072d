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
};
#define FRAME_WRITE_HEAD 12U

enum fixup_wish { WISH_PLAN, WISH_KERNEL, WISH_FILE };

struct fixup_request {
	enum fixup_wish wish;
	const struct fixup_options *o;
	struct scene_disk disks[FIXUP_DISKS_MAX];
	unsigned n_disks;
	const char *version; /* of WISH_KERNEL, or NULL */
	const char *path;    /* of WISH_FILE: its bytes come as FRAME_KERNEL */
	size_t max;
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
};

/* fixup_answer.c: the child's document into `f`. 0, or -EPROTO. */
int fixup_take_document(struct fixup *f, const json_t *j);

#endif
