/*
 * Where a disk has room for a boot record. The partition table is the guest's to write, and this
 * runs with all privileges, outside of the child that reads guests (child.h); so no library reads
 * it, but the few numbers that are needed are taken from their places. They are believed as far as
 * a wrong one costs: the room must be empty, or ours (bootrecord.c), and inside the disk.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/fixup/bootrecord.h"
#include "common/util.h"

#define ALIGN_SECTORS 2048 /* where `disk create` begins its first partition: 1 MiB */

/* MBR: four entries of 16 bytes at 446, 55 AA at 510 */
#define MBR_ENTRIES 446
#define MBR_ENTRY 16
#define MBR_TYPE 4
#define MBR_START 8
#define TYPE_GPT 0xee

/* UEFI 2.10, section 5.3.2, GPT header, and 5.3.3 */
#define GPT_SIGNATURE "EFI PART"
#define GPT_TABLE 72
#define GPT_COUNT 80
#define GPT_SIZE 84
#define GPT_COUNT_MAX 128
#define GPT_FIRST 32
#define GPT_LAST 40
#define GPT_LAST_MAX (UINT64_MAX >> 10)

/* 21686148-6449-6e6f-744e-656564454649 as it is on disks */
static const char bios_boot[16] = { 'H', 'a', 'h', '!', 'I', 'd', 'o', 'n',
				    't', 'N', 'e', 'e', 'd', 'E', 'F', 'I' };

static int read_sectors(int fd, uint64_t sector, void *buf, size_t len)
{
	ssize_t n = pread(fd, buf, len, (off_t)(sector * BOOTRECORD_SECTOR));

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

static struct bootrecord_place none(const char *why)
{
	return (struct bootrecord_place){ .why_none = why };
}

static int gpt_place(int fd, struct bootrecord_place *ret)
{
	unsigned char head[BOOTRECORD_SECTOR], entries[GPT_COUNT_MAX * 128];
	int r = read_sectors(fd, 1, head, sizeof(head));

	if (r < 0)
		return r;
	*ret = none("its GPT has no BIOS boot partition");
	if (memcmp(head, GPT_SIGNATURE, 8) != 0 || get_le32(head + GPT_SIZE) != 128 ||
	    get_le32(head + GPT_COUNT) > GPT_COUNT_MAX || get_le64(head + GPT_TABLE) > GPT_LAST_MAX)
		return 0;
	r = read_sectors(fd, get_le64(head + GPT_TABLE), entries, sizeof(entries));
	for (unsigned i = 0; r == 0 && i < get_le32(head + GPT_COUNT); i++) {
		const unsigned char *e = entries + (size_t)i * 128;
		uint64_t first = get_le64(e + GPT_FIRST), last = get_le64(e + GPT_LAST);

		if (memcmp(e, bios_boot, 16) != 0 || first < 34 || last < first ||
		    last > GPT_LAST_MAX)
			continue;
		*ret = (struct bootrecord_place){ first, last - first + 1, true, NULL };
		break;
	}
	return r;
}

int bootrecord_place(int fd, struct bootrecord_place *ret)
{
	unsigned char mbr[BOOTRECORD_SECTOR];
	uint64_t first = UINT64_MAX;
	int r = read_sectors(fd, 0, mbr, sizeof(mbr));

	if (r < 0)
		return r;
	*ret = none("it has no partition table");
	if (mbr[510] != 0x55 || mbr[511] != 0xaa)
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		const unsigned char *e = mbr + MBR_ENTRIES + i * MBR_ENTRY;

		if (e[MBR_TYPE] == TYPE_GPT)
			return gpt_place(fd, ret);
		if (e[MBR_TYPE])
			first = MIN(first, (uint64_t)get_le32(e + MBR_START));
	}
	if (first < 2 || first == UINT64_MAX)
		*ret = none("there is no gap in front of its partitions");
	else
		*ret = (struct bootrecord_place){ 1, first - 1, first >= ALIGN_SECTORS, NULL };
	return 0;
}
