/*
 * A process for what a guest's bytes could go wrong in. It has nothing: no user, no privileges,
 * no files but those it is given (for reading), no network, no folder, little memory and time, and
 * a handful of system calls; any other ends it. It can only answer, in frames; who reads them
 * believes nothing in them.
 */
#ifndef BRIDGECTL_FIXUP_CHILD_H
#define BRIDGECTL_FIXUP_CHILD_H

#include <stddef.h>
#include <stdint.h>

#define CHILD_ERRLEN 512
#define CHILD_FRAME_MAX ((1U << 20) + 64)    /* bytes of one frame */
#define CHILD_ANSWER_MAX (UINT64_C(1) << 30) /* bytes of all */
#define CHILD_MEMORY (UINT64_C(1) << 30)     /* that it may map; not with sanitizers */

/* Kinds of frames from 1 on are the job's own. */
struct child_out;

/*
 * For jobs about mounted file systems (trust.h), which need root; the others have CHILD_NOTHING.
 * CHILD_READS: it may open what is in its root directory, whoever owns it, and nothing is written.
 * CHILD_WRITES: it does not look at what it reads but to compare it; it has no filter, and of
 * root's rights those to files.
 */
enum child_rights { CHILD_NOTHING, CHILD_READS, CHILD_WRITES };

struct child_job {
	/*
	 * Runs in the child. What it returns is what child_run() does: 0 or negative errno, then
	 * with a sentence in `err` (CHILD_ERRLEN).
	 */
	int (*fn)(void *arg, struct child_out *out, char *err);
	void *arg; /* as it was when the child began */
	enum child_rights rights;
	/* With rights: makes its root directory, before it gives up being root. As `fn`. */
	int (*enter)(void *arg, char *err);
	const int *fds; /* it may use these; for reading only, but with CHILD_WRITES */
	unsigned n_fds;
	int timeout_ms;
	/* Here, for each frame. 0, or negative errno and `err` (CHILD_ERRLEN): that is the end. */
	int (*frame)(void *ctx, uint8_t kind, const unsigned char *bytes, size_t len, char *err);
	void *ctx;
};

/*
 * 0, or negative errno and a sentence in `err` (CHILD_ERRLEN): what the job or the frames' reader
 * said, -EPROTO: it died or its answer is none, -ETIMEDOUT, or it could not be started or confined.
 * Whatever happens, the child is gone then.
 */
int child_run(const struct child_job *j, char *err);

/* --- In the child --- */

/* 0, or -EPIPE: nobody listens. */
int child_send(struct child_out *out, uint8_t kind, const void *bytes, size_t len);

/*
 * Until this is called, a try to open a file or an ioctl fails, as libblkid may do; from then on it
 * ends the process. 0 or negative errno.
 */
int child_strict(struct child_out *out);

/* --- child_seccomp.c, for child.c --- */

struct child_filters;

/* Made before they are needed; NULL: no memory. They are never freed: the process ends soon. */
struct child_filters *child_filters_new(enum child_rights rights);
int child_filters_probing(struct child_filters *f); /* 0 or negative errno */
int child_filters_strict(struct child_filters *f);

/* --- child_caps.c, for child.c --- */

/* Before the user changes, and after: only what these rights need is left. 0 or negative errno. */
int child_caps_begin(enum child_rights rights);
int child_caps_end(enum child_rights rights);

#endif
