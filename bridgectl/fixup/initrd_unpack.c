/*
 * Decompression by libarchive, out of memory. Exactly one filter is ever enabled, the one that
 * the first bytes ask for, and only if the library has it inside: for one that it lacks it would
 * start a program. The format is "raw": its own reader of cpio converts names between character
 * sets, and so opens files.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "bridgectl/fixup/initrd_private.h"
#include "common/util.h"

struct packer {
	const char *name;
	const char *magic;
	size_t len;
	int (*support)(struct archive *a); /* NULL: cannot be read here */
};

/* As lib/decompress.c of Linux knows them. The LZ4 of `lz4 -l` has a frame of its own. */
static const struct packer packers[] = {
	{ "gzip", "\x1f\x8b", 2, archive_read_support_filter_gzip },
	{ "bzip2", "BZh", 3, archive_read_support_filter_bzip2 },
	{ "xz",
	  "\xfd"
	  "7zXZ",
	  6, archive_read_support_filter_xz },
	{ "lzma", "\x5d\0\0", 3, archive_read_support_filter_lzma },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, archive_read_support_filter_zstd },
	{ "lz4", "\x02\x21\x4c\x18", 4, archive_read_support_filter_lz4 },
	{ "lz4", "\x04\x22\x4d\x18", 4, archive_read_support_filter_lz4 },
	{ "lzop", "\x89LZO", 4, NULL },
};

static const struct packer *packer_of(const void *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++)
		if (len >= packers[i].len && !memcmp(data, packers[i].magic, packers[i].len))
			return &packers[i];
	return NULL;
}

const char *unpack_name(const void *data, size_t len)
{
	const struct packer *p = packer_of(data, len);

	return p ? p->name : NULL;
}

static void free_archive(struct archive **a)
{
	archive_read_free(*a);
}

int unpack(const void *data, size_t len, unpack_fn fn, void *arg)
{
	_cleanup_(free_archive) struct archive *a = archive_read_new();
	const struct packer *p = packer_of(data, len);
	struct archive_entry *entry;
	const void *block;
	la_int64_t offset;
	size_t size;
	int r;

	if (!a)
		return -ENOMEM;
	if (!p || !p->support || p->support(a) != ARCHIVE_OK)
		return -ENOTSUP;
	if (archive_read_support_format_raw(a) != ARCHIVE_OK ||
	    archive_read_open_memory(a, data, len) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return -EINVAL;
	/* As if nothing had been compressed: the filter did not take it. */
	if (archive_filter_count(a) < 2)
		return -EINVAL;
	do {
		r = archive_read_data_block(a, &block, &size, &offset);
	} while (r == ARCHIVE_OK && (!size || fn(arg, block, size)));
	return r == ARCHIVE_OK || r == ARCHIVE_EOF ? 0 : -EINVAL;
}

struct head {
	char *to;
	size_t len, size;
};

static bool keep_head(void *arg, const void *data, size_t len)
{
	struct head *h = arg;
	size_t n = MIN(len, h->size - h->len);

	memcpy(h->to + h->len, data, n);
	h->len += n;
	return h->len < h->size;
}

size_t initrd_unpack_head(const void *data, size_t len, void *ret, size_t size)
{
	struct head h = { ret, 0, size };

	(void)unpack(data, len, keep_head, &h);
	return h.len;
}
