/*
 * Swap headers, read and made. A swap area is never copied: what is in it dies with the guest's
 * last shutdown, but its UUID and label stand in the guest's fstab, and so the new header
 * has them. The exception is an image of the memory (hibernation): it is somebody's data, and
 * whoever sees one stops.
 *
 * Layout: 1024 bytes for boot loaders, then version, last page, number of bad pages (32 bits
 * each, the machine's order), UUID, label. Little-endian here, as all Xen guests on x86 and ARM.
 */
#include "bridgectl/disk/swap.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <uuid.h>

#include "common/io.h"
#include "common/util.h"

#define VERSION_AT 1024
#define LAST_PAGE_AT 1028
#define UUID_AT 1036
#define LABEL_AT 1052
#define MAGIC_BYTES 10

enum kind { KIND_SWAP, KIND_OLD, KIND_IMAGE };

/* kernel/power/swap.c, user space suspend, TuxOnIce; libblkid's swap.c has the same list. */
static const struct {
	const char *bytes;
	size_t len;
	enum kind kind;
} magics[] = {
	{ "SWAPSPACE2", 10, KIND_SWAP },
	{ "SWAP-SPACE", 10, KIND_OLD },
	{ "S1SUSPEND", 9, KIND_IMAGE },
	{ "S2SUSPEND", 9, KIND_IMAGE },
	{ "ULSUSPEND", 9, KIND_IMAGE },
	{ "LINHIB00", 8, KIND_IMAGE },
	{ "\xed\xc3\x02\xe9\x98\x56\xe5\x0c", 8, KIND_IMAGE },
};

/* An index into magics[], or -ENOENT. */
static int find_magic(const uint8_t *buf, size_t len, uint32_t *ret_page)
{
	for (uint32_t page = SWAP_PAGE_MIN; page <= SWAP_PAGE_MAX && page <= len; page *= 2)
		for (unsigned i = 0; i < ARRAY_SIZE(magics); i++)
			if (!memcmp(buf + page - MAGIC_BYTES, magics[i].bytes, magics[i].len)) {
				*ret_page = page;
				return (int)i;
			}
	return -ENOENT;
}

int swap_read(const uint8_t *buf, size_t len, struct swap_header *ret)
{
	struct swap_header h = { 0 };
	int i = find_magic(buf, len, &h.page);

	if (i < 0)
		return i;
	h.hibernated = magics[i].kind == KIND_IMAGE;
	if (!h.hibernated && (magics[i].kind == KIND_OLD || get_le32(buf + VERSION_AT) != 1))
		return -EPROTONOSUPPORT;
	memcpy(h.uuid, buf + UUID_AT, sizeof(h.uuid));
	memcpy(h.label, buf + LABEL_AT, SWAP_LABEL_MAX);
	*ret = h;
	return 0;
}

bool swap_page_is_valid(uint32_t page)
{
	return page >= SWAP_PAGE_MIN && page <= SWAP_PAGE_MAX && !(page & (page - 1));
}

int swap_build(const struct swap_header *h, uint64_t bytes, uint8_t *buf)
{
	uint64_t pages;

	if (!swap_page_is_valid(h->page))
		return -EINVAL;
	pages = bytes / h->page;
	if (pages < SWAP_PAGES_MIN)
		return -ENOSPC;
	memset(buf, 0, h->page);
	put_le32(buf + VERSION_AT, 1);
	put_le32(buf + LAST_PAGE_AT, (uint32_t)MIN(pages - 1, UINT32_MAX));
	memcpy(buf + UUID_AT, h->uuid, sizeof(h->uuid));
	memcpy(buf + LABEL_AT, h->label, strnlen(h->label, SWAP_LABEL_MAX));
	memcpy(buf + h->page - MAGIC_BYTES, "SWAPSPACE2", MAGIC_BYTES);
	return 0;
}

int swap_write(int fd, uint64_t offset, uint64_t bytes, uint32_t page, const char *uuid,
	       const char *label)
{
	struct swap_header h = { .page = page };
	_cleanup_free_ uint8_t *buf = NULL;
	int r;

	if (strlen(label) > SWAP_LABEL_MAX || (*uuid && uuid_parse(uuid, h.uuid) < 0))
		return -EINVAL;
	memcpy(h.label, label, strlen(label));
	/* Aligned, so that a descriptor with O_DIRECT takes it as well. */
	if (posix_memalign((void **)&buf, SWAP_PAGE_MAX, SWAP_PAGE_MAX))
		return -ENOMEM;
	r = swap_build(&h, bytes, buf);
	return r < 0 ? r : io_pwrite_all(fd, buf, page, offset);
}
