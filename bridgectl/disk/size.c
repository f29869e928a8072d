/*
 * Sizes are exact or they are refused: a decimal "GB" read as a binary one, or the reverse,
 * has cost people the end of a file system. One table says what a letter means.
 */
#include "bridgectl/disk/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"

static const struct {
	char letter;
	unsigned shift;
} size_units[] = {
	{ 'P', 50 }, { 'T', 40 }, { 'G', 30 }, { 'M', 20 }, { 'K', 10 }, { 's', 9 }, { 'B', 0 },
};

/* 0 … 50, or -EINVAL. */
static int unit_shift(const char *unit)
{
	if (!*unit)
		return 0;
	if (unit[1] && (strcmp(unit + 1, "iB") != 0 || strchr("sB", unit[0])))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(size_units); i++) {
		char l = size_units[i].letter;

		if (unit[0] == l || (strchr("PTGMK", l) && unit[0] == tolower(l)))
			return (int)size_units[i].shift;
	}
	return -EINVAL;
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
	uint64_t v = 0;
	const char *p = text;
	int shift;

	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	shift = p == text ? -EINVAL : unit_shift(p);
	if (shift < 0)
		return shift;
	if (v > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = v << shift;
	return 0;
}

const char *size_format(uint64_t bytes, char *buf)
{
	for (unsigned i = 0; bytes && i < ARRAY_SIZE(size_units); i++) {
		unsigned shift = size_units[i].shift;

		if (shift && bytes % (UINT64_C(1) << shift) == 0) {
			snprintf(buf, SIZE_STRLEN, "%" PRIu64 "%c", bytes >> shift,
				 size_units[i].letter);
			return buf;
		}
	}
	snprintf(buf, SIZE_STRLEN, "%" PRIu64, bytes);
	return buf;
}
