/*
 * The segments of an initramfs, in their order. Archives that are not compressed may follow each
 * other (microcode comes first, and systems exist that leave the modules uncompressed, too); what is
 * compressed is taken to the end of the file, as several streams of one kind may follow, too.
 * Invariant: at the end of a segment no archive is half read, or the whole is "not understood".
 */
#include "bridgectl/fixup/initrd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/fixup/initrd_private.h"
#include "common/util.h"

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

/* The rest of the file is compressed. What follows a finished archive may be anything. */
static int compressed(struct reading *r, const uint8_t *data, size_t len, char *why)
{
	const char *name = unpack_name(data, len);
	int error;

	if (!name) {
		snprintf(why, INITRD_WHYLEN,
			 "a part begins with %02x %02x %02x %02x, "
			 "which is no known compression",
			 data[0], len > 1 ? data[1] : 0, len > 2 ? data[2] : 0,
			 len > 3 ? data[3] : 0);
		return -EINVAL;
	}
	error = unpack(data, len, take_unpacked, r);
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

int initrd_names(const void *data, size_t len, initrd_name_fn fn, void *arg,
		 char why[INITRD_WHYLEN])
{
	_cleanup_free_ struct reading *r = calloc(1, sizeof(*r));
	int64_t n;
	int error = 0;

	why[0] = '\0';
	if (!r)
		return -ENOMEM;
	r->cpio.fn = fn;
	r->cpio.arg = arg;
	n = cpio_feed(&r->cpio, data, len);
	if (n < 0)
		error = (int)n;
	else if ((size_t)n < len)
		error = compressed(r, (const uint8_t *)data + n, len - (size_t)n, why);
	else if (!cpio_is_whole(&r->cpio))
		error = -ENODATA;
	else if (!r->cpio.names)
		snprintf(why, INITRD_WHYLEN, "it is empty");
	if (error < 0 && !why[0])
		snprintf(why, INITRD_WHYLEN, "%s", error_text(error));
	return why[0] ? -EINVAL : 0;
}
