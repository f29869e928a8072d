/*
 * The cpio format of Linux's initramfs ("newc", cpio(5), init/initramfs.c): a header of 13 numbers
 * in hexadecimal digits, a name, a content, the latter two padded to four bytes. Reads names and
 * steps over everything else. Sizes are 32 bits wide, so that nothing here can overflow.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/fixup/initrd_private.h"
#include "common/util.h"

#define S_KIND 0170000
#define S_REGULAR 0100000

/* Offsets in the header. */
enum { AT_MODE = 14, AT_FILESIZE = 54, AT_NAMESIZE = 94 };

static int hex8(const char *s, uint32_t *ret)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 8; i++) {
		char c = s[i];
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (unsigned)((c | 0x20) - 'a' + 10);
		else
			return -EINVAL;
		n = n << 4 | digit;
	}
	*ret = n;
	return 0;
}

static uint64_t padding(uint64_t n)
{
	return -n & 3;
}

/* Goes on to read `want` bytes into the buffer, behind `skip` others. */
static void expect(struct cpio *c, enum cpio_state state, size_t want, uint64_t skip)
{
	c->state = state;
	c->have = 0;
	c->want = want;
	c->skip = skip;
}

static int take_header(struct cpio *c)
{
	uint32_t mode, size, name;

	if (memcmp(c->buf, "070701", 6) != 0 && memcmp(c->buf, "070702", 6) != 0)
		return -EINVAL;
	if (hex8(c->buf + AT_MODE, &mode) < 0 || hex8(c->buf + AT_FILESIZE, &size) < 0 ||
	    hex8(c->buf + AT_NAMESIZE, &name) < 0)
		return -EINVAL;
	if (!name || name > INITRD_NAME_MAX)
		return -EINVAL;
	c->body = size + padding(size);
	c->regular = (mode & S_KIND) == S_REGULAR;
	expect(c, CPIO_IN_NAME, name + padding(CPIO_HEADER + name), 0);
	return 0;
}

static int take_name(struct cpio *c)
{
	c->buf[c->want] = '\0'; /* there is room: see the buffer's size */
	c->ended = strcmp(c->buf, "TRAILER!!!") == 0;
	if (c->ended) {
		expect(c, CPIO_BETWEEN, 0, c->body);
		return 0;
	}
	if (++c->names > INITRD_NAMES_MAX)
		return -E2BIG;
	if (c->regular)
		c->fn(c->arg, c->buf);
	expect(c, CPIO_BETWEEN, 0, c->body);
	return 0;
}

/* Zeros are padding, a digit begins a header. Behind a file without a trailer as well. */
static size_t between(struct cpio *c, const uint8_t *data, size_t len)
{
	size_t n = 0;

	while (n < len && !data[n])
		n++;
	if (n < len && data[n] == '0') {
		c->ended = false;
		expect(c, CPIO_IN_HEADER, CPIO_HEADER, 0);
	}
	return n;
}

static size_t fill(struct cpio *c, const uint8_t *data, size_t len)
{
	size_t n = MIN(len, c->want - c->have);

	memcpy(c->buf + c->have, data, n);
	c->have += n;
	return n;
}

int64_t cpio_feed(struct cpio *c, const uint8_t *data, size_t len)
{
	size_t at = 0;
	int r = 0;

	while (at < len && r == 0) {
		size_t skip = MIN(c->skip, len - at);

		at += skip;
		c->skip -= skip;
		if (at == len)
			break;
		if (c->state == CPIO_BETWEEN) {
			at += between(c, data + at, len - at);
			if (c->state == CPIO_BETWEEN)
				break;
		}
		at += fill(c, data + at, len - at);
		if (c->have == c->want)
			r = c->state == CPIO_IN_HEADER ? take_header(c) : take_name(c);
	}
	return r < 0 ? r : (int64_t)at;
}
