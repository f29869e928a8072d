/* Between the files of initrd.h: the archive format, and what compresses it. */
#ifndef BRIDGECTL_FIXUP_INITRD_PRIVATE_H
#define BRIDGECTL_FIXUP_INITRD_PRIVATE_H

#include "bridgectl/fixup/initrd.h"

/* --- cpio, "new ASCII" (initrd_cpio.c): fed in pieces of any size. --- */

#define CPIO_HEADER 110

enum cpio_state { CPIO_BETWEEN, CPIO_IN_HEADER, CPIO_IN_NAME, CPIO_IN_BODY };

struct cpio {
	initrd_name_fn fn;
	void *arg;
	enum cpio_state state;
	uint64_t skip;	     /* bytes of padding or content that are of no interest */
	size_t have, want;   /* of what `buf` is to hold */
	uint64_t body;	     /* of the file whose name is being read */
	bool regular, ended; /* ended: a trailer was seen, and nothing since */
	uint32_t names;
	char buf[INITRD_NAME_MAX + 4];
};

/*
 * How many bytes were taken: all, or fewer where between two archives something begins that is
 * none. Negative errno: -EINVAL malformed, -E2BIG too many names.
 */
int64_t cpio_feed(struct cpio *c, const uint8_t *data, size_t len);
/* Nothing is half read. */
static inline bool cpio_is_whole(const struct cpio *c)
{
	return c->state == CPIO_BETWEEN && !c->skip;
}

/* --- Compression (initrd_unpack.c) --- */

/* False: no more, please. */
typedef bool (*unpack_fn)(void *arg, const void *data, size_t len);

/* The name of what compressed it, by its first bytes: "gzip"; NULL: unknown. */
const char *unpack_name(const void *data, size_t len);
/*
 * One stream, or several of the same kind. 0, also when `fn` wanted no more; -ENOTSUP: known, but
 * not here; -EINVAL: broken. *ret_used, in any case: how many bytes of `data` they took, at
 * least 1.
 */
int unpack(const void *data, size_t len, unpack_fn fn, void *arg, size_t *ret_used);

#endif
