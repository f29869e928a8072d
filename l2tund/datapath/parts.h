/* A frame in parts, as joining leaves it, and reading it through as if it stood together. Pure. */
#ifndef L2TUND_DATAPATH_PARTS_H
#define L2TUND_DATAPATH_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "common/util.h"

/* One frame in `n` parts; the first holds all its headers. */
struct parts {
	const struct iovec *iov;
	unsigned n;
	size_t len; /* of all together */
};

/* Where the next bytes are: in which part, and where in it. */
struct cursor {
	const struct iovec *iov;
	size_t at;
};

/* Copies the next `len` bytes, which must be there. */
static inline void cursor_copy(struct cursor *c, uint8_t *to, size_t len)
{
	while (len > 0) {
		size_t n = MIN(len, c->iov->iov_len - c->at);

		memcpy(to, (const uint8_t *)c->iov->iov_base + c->at, n);
		to += n;
		len -= n;
		c->at += n;
		if (c->at < c->iov->iov_len)
			continue;
		c->iov++;
		c->at = 0;
	}
}

#endif
