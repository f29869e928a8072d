/*
 * The header of a Linux swap area, version 1: what mkswap(8) writes and the kernel reads
 * (include/linux/swap.h, union swap_header). It is in the first page; its magic are the last
 * ten bytes of that page, and so its place tells the size of a page.
 */
#ifndef BRIDGECTL_DISK_SWAP_H
#define BRIDGECTL_DISK_SWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWAP_PAGE_MIN 4096u
#define SWAP_PAGE_MAX 65536u
#define SWAP_PAGES_MIN 10u /* of a swap area, as mkswap has it */
#define SWAP_LABEL_MAX 16u

struct swap_header {
	uint32_t page; /* bytes: a power of two, SWAP_PAGE_MIN … SWAP_PAGE_MAX */
	uint8_t uuid[16];
	char label[SWAP_LABEL_MAX + 1];
	bool hibernated; /* an image of the memory is in it, and its header is the image's */
};

/* Whether mkswap(8) makes headers for pages of so many bytes. */
bool swap_page_is_valid(uint32_t page);

/*
 * Looks at the beginning of a volume, best SWAP_PAGE_MAX bytes of it. 0; -ENOENT: no swap;
 * -EPROTONOSUPPORT: of a version or byte order that is not ours to write. Of a hibernated one
 * `uuid` and `label` are what the image keeps of them.
 */
int swap_read(const uint8_t *buf, size_t len, struct swap_header *ret);

/*
 * The first page of a swap area of `bytes`, all of its pages good, into `buf` of h->page bytes.
 * 0; -EINVAL: no such page size; -ENOSPC: fewer than SWAP_PAGES_MIN pages.
 */
int swap_build(const struct swap_header *h, uint64_t bytes, uint8_t *buf);

/*
 * Writes that page at `offset` (bytes) of `fd`, for an area of `bytes`. `uuid` as text, "" for
 * none; `label` at most SWAP_LABEL_MAX bytes. Does not sync. 0 or negative errno; -EINVAL: not
 * a UUID, too long a label.
 */
int swap_write(int fd, uint64_t offset, uint64_t bytes, uint32_t page, const char *uuid,
	       const char *label);

#endif
