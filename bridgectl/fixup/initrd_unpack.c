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

#define ZSTD_MAGIC 0xfd2fb528U
#define LZ4_MAGIC 0x184c2102U /* of the frame that `lz4 -l` makes */
#define LZ4_BLOCK_MAX (9U << 20)

/*
 * The length of a frame of zstd (RFC 8878, 3.1.1), by the sizes of its blocks. `len` if it is not
 * whole.
 */
static size_t zstd_frame(const uint8_t *d, size_t len)
{
	static const uint8_t dict[] = { 0, 1, 2, 4 }, content[] = { 0, 2, 4, 8 };
	bool single, last = false;
	size_t at;

	if (len < 6)
		return len;
	single = d[4] & 0x20;
	at = 5 + !single + dict[d[4] & 3] + (d[4] >> 6 ? content[d[4] >> 6] : single);
	while (!last && at + 3 <= len) {
		uint32_t block = get_le16(d + at) | (uint32_t)d[at + 2] << 16;

		last = block & 1;
		at += 3 + ((block >> 1 & 3) == 1 ? 1 : block >> 3); /* 1: one byte, repeated */
	}
	at += d[4] & 4 ? 4 : 0; /* the checksum */
	return last ? MIN(at, len) : len;
}

/* All frames that follow each other: parallel zstd makes many of one archive. */
static size_t zstd_len(const uint8_t *d, size_t len)
{
	size_t at = 0;

	do {
		at += zstd_frame(d + at, len - at);
	} while (len - at >= 4 && get_le32(d + at) == ZSTD_MAGIC);
	return at;
}

/* Blocks with their length before them, until there is none that could be one. */
static size_t lz4_len(const uint8_t *d, size_t len)
{
	size_t at = 4;

	while (at + 4 <= len) {
		uint32_t block = get_le32(d + at);

		if (block == LZ4_MAGIC)
			at += 4;
		else if (block && block <= LZ4_BLOCK_MAX && block <= len - at - 4)
			at += 4 + block;
		else
			break;
	}
	return MIN(at, len);
}

/*
 * Without what is none of this stream, as far as that can be told without unpacking it: the library
 * takes what follows for damage, or passes over it.
 */
static size_t stream_len(const struct packer *p, const uint8_t *d, size_t len)
{
	if (p->support == archive_read_support_filter_zstd)
		return zstd_len(d, len);
	if (get_le32(d) == LZ4_MAGIC)
		return lz4_len(d, len);
	/* An xz stream ends in "YZ"; zeros behind it have to come by fours. */
	if (p->support == archive_read_support_filter_xz)
		while (len && !d[len - 1])
			len--;
	return len;
}

static int read_all(struct archive *a, unpack_fn fn, void *arg)
{
	struct archive_entry *entry;
	const void *block;
	la_int64_t offset;
	size_t size;
	int r;

	if (archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return -EINVAL;
	/* As if nothing had been compressed: the filter did not take it. */
	if (archive_filter_count(a) < 2)
		return -EINVAL;
	do {
		r = archive_read_data_block(a, &block, &size, &offset);
	} while (r == ARCHIVE_OK && (!size || fn(arg, block, size)));
	return r == ARCHIVE_OK || r == ARCHIVE_EOF ? 0 : -EINVAL;
}

int unpack(const void *data, size_t len, unpack_fn fn, void *arg, size_t *ret_used)
{
	_cleanup_(free_archive) struct archive *a = archive_read_new();
	const struct packer *p = packer_of(data, len);
	la_int64_t used;
	int r;

	*ret_used = len;
	if (!a)
		return -ENOMEM;
	if (!p || !p->support || p->support(a) != ARCHIVE_OK)
		return -ENOTSUP;
	if (len >= 4)
		len = stream_len(p, data, len);
	if (archive_read_support_format_raw(a) != ARCHIVE_OK ||
	    archive_read_open_memory(a, data, len) != ARCHIVE_OK)
		return -EINVAL;
	r = read_all(a, fn, arg);
	used = archive_filter_bytes(a, -1);
	if (r == 0 && used > 0 && (size_t)used < len)
		len = (size_t)used;
	*ret_used = len;
	return r;
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
	size_t used;

	(void)unpack(data, len, keep_head, &h, &used);
	return h.len;
}
