/*
 * The head of a kernel's file: Documentation/arch/x86/boot.rst. What PCs boot is a "bzImage" with
 * the magic HdrS; a bare ELF file, often gzipped, is what Xen's loader for paravirtual guests
 * takes.
 */
#include <elf.h>
#include <stdint.h>

#include "bridgectl/fixup/initrd.h"
#include "bridgectl/fixup/inspect_private.h"

/* Offsets of the setup header. */
enum {
	AT_SECTS = 0x1f1,
	AT_MAGIC = 0x202,
	AT_PROTOCOL = 0x206,
	AT_VERSION = 0x20e,
	AT_XLOADFLAGS = 0x236,
	HEADER_END = 0x238,
};
#define PROTOCOL_XLOADFLAGS 0x20c
#define XLF_KERNEL_64 1

/* "6.1.0-18-amd64 (builder@host) #1 SMP …": the first word of printable bytes. */
static void read_version(const uint8_t *d, size_t len, struct kernel_image *ret)
{
	size_t at = get_le16(d + AT_VERSION) + 0x200U, sects = d[AT_SECTS] ? d[AT_SECTS] : 4, n;

	if (at == 0x200 || at >= sects * 0x200 + 0x200)
		return;
	for (n = 0; n + 1 < sizeof(ret->version) && at + n < len; n++) {
		uint8_t c = d[at + n];

		if (c <= ' ' || c > '~')
			break;
		ret->version[n] = (char)c;
	}
	ret->version[n] = '\0';
}

static void read_bzimage(const uint8_t *d, size_t len, struct kernel_image *ret)
{
	ret->known = ret->bzimage = true;
	read_version(d, len, ret);
	if (get_le16(d + AT_PROTOCOL) >= PROTOCOL_XLOADFLAGS)
		ret->bits = get_le16(d + AT_XLOADFLAGS) & XLF_KERNEL_64 ? 64 : 32;
}

static bool read_elf(const uint8_t *d, size_t len, struct kernel_image *ret)
{
	if (len < EI_NIDENT || memcmp(d, ELFMAG, SELFMAG) != 0)
		return false;
	ret->known = true;
	if (d[EI_CLASS] == ELFCLASS64)
		ret->bits = 64;
	else if (d[EI_CLASS] == ELFCLASS32)
		ret->bits = 32;
	return true;
}

void kernel_image_read(const void *data, size_t len, struct kernel_image *ret)
{
	const uint8_t *d = data;
	uint8_t head[EI_NIDENT];
	size_t n;

	memset(ret, 0, sizeof(*ret));
	if (len >= HEADER_END && memcmp(d + AT_MAGIC, "HdrS", 4) == 0) {
		read_bzimage(d, len, ret);
		return;
	}
	if (read_elf(d, len, ret))
		return;
	n = initrd_unpack_head(data, len, head, sizeof(head));
	(void)read_elf(head, n, ret);
}
