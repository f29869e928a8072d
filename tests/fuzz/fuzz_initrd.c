/*
 * An initramfs from anybody: named or refused with a reason, the same in one piece and, for what
 * is not compressed, in pieces. Also taken for a kernel's file.
 */
#include <stdlib.h>
#include <string.h>

#include "bridgectl/fixup/initrd_private.h"
#include "bridgectl/fixup/inspect_private.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void count(void *arg, const char *name)
{
	CHECK(strlen(name) <= INITRD_NAME_MAX);
	++*(unsigned *)arg;
}

/* How many names are told when at most `piece` bytes come at once. */
static unsigned fed(const uint8_t *data, size_t size, size_t piece, int64_t *ret_taken)
{
	struct cpio *c = calloc(1, sizeof(*c));
	unsigned n = 0;
	int64_t r = 0;
	size_t at = 0;

	c->fn = count;
	c->arg = &n;
	while (at < size) {
		size_t len = size - at < piece ? size - at : piece;

		r = cpio_feed(c, data + at, len);
		if (r < 0)
			break;
		at += (size_t)r;
		if ((size_t)r < len)
			break;
	}
	*ret_taken = r < 0 ? r : (int64_t)at;
	free(c);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[INITRD_WHYLEN];
	struct kernel_image image;
	int64_t whole, pieces;
	unsigned n = 0;
	int r;

	if (size > 64 * 1024)
		return 0;
	r = initrd_names(data, size, count, &n, why);
	CHECK((r == 0) == !why[0] && (r == 0 || r == -22) && n <= INITRD_NAMES_MAX);
	CHECK(fed(data, size, size + 1, &whole) == fed(data, size, 7, &pieces));
	CHECK(whole == pieces);
	kernel_image_read(data, size, &image);
	CHECK(strlen(image.version) < sizeof(image.version));
	CHECK(!image.bzimage || image.known);
	return 0;
}
