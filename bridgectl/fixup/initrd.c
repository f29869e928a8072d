/*
 * The segments of an initramfs, in their order. Archives that are not compressed may follow each
 * other (microcode comes first, and systems exist that leave the modules uncompressed, too), as may
 * compressed ones. Invariant: at the end of a compressed segment no archive is half read, or the
 * whole is "not understood".
 */
#include "bridgectl/fixup/initrd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/fixup/initrd_private.h"
#include "common/util.h"

#define SEGMENTS_MAX 64 /* compressed ones */

struct reading {
	struct cpio cpio;
	uint64_t unpacked;
	int error;
};

static const char *error_text(int error)
{
	if (error == -E2BIG)
		return "it has too many files";
	if (error == -EFBIG)
		return "it is too large when unpacked";
	if (error == -ENODATA)
		return "it ends in the middle of a file";
	return "what is in it is no cpio archive";
}

static bool take_unpacked(void *arg, const void *data, size_t len)
{
	struct reading *r = arg;
	int64_t n = cpio_feed(&r->cpio, data, len);

	r->unpacked += len;
	if (n < 0)
		r->error = (int)n;
	else if ((size_t)n < len)
		r->error = -EINVAL;
	else if (r->unpacked > INITRD_UNPACKED_MAX)
		r->error = -EFBIG;
	return r->error == 0;
}

/* A compressed segment. Its archive has to be finished, then what follows it may be anything. */
static int compressed(struct reading *r, const uint8_t *data, size_t len, size_t *ret_used,
		      char *why)
{
	const char *name = unpack_name(data, len);
	int error;

	if (!name) {
		snprintf(why, INITRD_WHYLEN,
			 "a part begins with %02x %02x %02x %02x, which is no known compression",
			 data[0], len > 1 ? data[1] : 0, len > 2 ? data[2] : 0,
			 len > 3 ? data[3] : 0);
		return -EINVAL;
	}
	r->cpio.ended = false; /* that of a segment before is none of this one */
	error = unpack(data, len, take_unpacked, r, ret_used);
	if (error == -ENOTSUP) {
		snprintf(why, INITRD_WHYLEN, "it is compressed with %s, which is not read here",
			 name);
		return -EINVAL;
	}
	if (r->error)
		return r->error;
	if (cpio_is_whole(&r->cpio) && r->cpio.ended)
		return 0;
	if (error < 0) {
		snprintf(why, INITRD_WHYLEN, "its %s data is damaged", name);
		return -EINVAL;
	}
	return cpio_is_whole(&r->cpio) ? 0 : -ENODATA;
}

static int segments(struct reading *r, const uint8_t *data, size_t len, char *why)
{
	unsigned n = 0;
	size_t used;

	while (len) {
		int64_t taken = cpio_feed(&r->cpio, data, len);
		int error;

		if (taken < 0)
			return (int)taken;
		data += taken;
		len -= (size_t)taken;
		if (!len)
			break;
		if (++n > SEGMENTS_MAX)
			return -E2BIG;
		error = compressed(r, data, len, &used, why);
		if (error < 0)
			return error;
		data += used;
		len -= used;
	}
	return cpio_is_whole(&r->cpio) ? 0 : -ENODATA;
}

int initrd_names(const void *data, size_t len, initrd_name_fn fn, void *arg,
		 char why[INITRD_WHYLEN])
{
	_cleanup_free_ struct reading *r = calloc(1, sizeof(*r));
	int error;

	why[0] = '\0';
	if (!r)
		return -ENOMEM;
	r->cpio.fn = fn;
	r->cpio.arg = arg;
	error = segments(r, data, len, why);
	if (error == 0 && !r->cpio.names)
		snprintf(why, INITRD_WHYLEN, "it is empty");
	if (error < 0 && !why[0])
		snprintf(why, INITRD_WHYLEN, "%s", error_text(error));
	return why[0] ? -EINVAL : 0;
}
