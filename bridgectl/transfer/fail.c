/*
 * The words of the codes are part of the contract between an agent and whoever speaks to it; the
 * errno is only for callers inside who want one.
 */
#include "bridgectl/transfer/fail.h"

#include <errno.h>
#include <stdio.h>

static const struct {
	const char *name;
	int r;
} codes[FAIL_CODES] = {
	[FAIL_NONE] = { "", 0 },
	[FAIL_USAGE] = { "usage", -EINVAL },
	[FAIL_REFUSED] = { "refused", -EPERM },
	[FAIL_NO_SPACE] = { "no-space", -ENOSPC },
	[FAIL_IO] = { "io", -EIO },
	[FAIL_CONNECTION] = { "connection", -ECONNRESET },
	[FAIL_STOPPED] = { "stopped", -ECANCELED },
	[FAIL_BUSY] = { "busy", -EBUSY },
	[FAIL_PROTOCOL] = { "protocol", -EPROTO },
	[FAIL_INTERNAL] = { "internal", -ENOTRECOVERABLE },
};

const char *fail_code_name(enum fail_code code)
{
	return codes[code].name;
}

int fail_vset(struct fail *f, enum fail_code code, const char *fmt, va_list ap)
{
	f->code = code;
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	return codes[code].r;
}

int fail_set(struct fail *f, enum fail_code code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_vset(f, code, fmt, ap);
	va_end(ap);
	return r;
}

enum fail_code fail_code_of_disk(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EFBIG ? FAIL_NO_SPACE : FAIL_IO;
}
