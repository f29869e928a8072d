/*
 * Boot records for made-up disks: where they go, what they leave alone, and the two places in
 * GRUB's images that say where to load from. That such a disk boots is seen in
 * tests/disk/test_boot_record.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "bridgectl/disk/table.h"
#include "bridgectl/fixup/bootrecord.h"
#include "common/util.h"

#define DISK_SECTORS UINT64_C(16384)

static char err[BOOTRECORD_ERRLEN];
static struct plan_part parts[2];
static struct plan_disk disk;
static struct bootrecord record;

static int set_up(void **state)
{
	(void)state;
	parts[0] = (struct plan_part){ .number = 1, .start = 2048, .sectors = 2048 };
	parts[1] = (struct plan_part){ .number = 2, .start = 4096, .sectors = 4096 };
	disk = (struct plan_disk){
		.label = PLAN_MSDOS, .sectors = DISK_SECTORS, .parts = parts, .n_parts = 2
	};
	return 0;
}

/* An empty disk with the table, in memory. */
static int made_disk(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(DISK_SECTORS * SECTOR_BYTES)), 0);
	assert_int_equal(table_write(fd, &disk, err), 0);
	return fd;
}

static int plan(int fd, enum bootrecord_mode mode)
{
	struct bootrecord_want w = { .mode = mode, .root_uuid = "0aa27dd9-7a84-4c5b" };
	int r = bootrecord_plan(fd, &w, &record, err);

	if (r == 0 && record.missing && strstr(record.told, "install "))
		skip(); /* no GRUB here */
	return r;
}

static void write_it(int fd)
{
	for (unsigned i = 0; i < record.n_writes; i++) {
		const struct bootrecord_write *w = &record.writes[i];

		assert_int_equal(pwrite(fd, w->bytes, w->len, (off_t)w->offset), w->len);
	}
	bootrecord_fini(&record);
}

static void poke(int fd, uint64_t at, const char *text)
{
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)at), strlen(text));
}

static void expect_none(int fd, const char *why)
{
	assert_int_equal(plan(fd, BOOTRECORD_AUTO), 0);
	assert_int_equal(record.n_writes, 0);
	assert_non_null(strstr(record.told, why));
	bootrecord_fini(&record);
}

static void test_gap(void **state)
{
	unsigned char now[512];
	int fd = made_disk();
	const unsigned char *core;
	size_t sectors;

	(void)state;
	assert_int_equal(plan(fd, BOOTRECORD_AUTO), 0);
	assert_int_equal(record.n_writes, 2);
	assert_int_equal(pread(fd, now, sizeof(now), 0), sizeof(now));
	/* The table stays, and the code leads to the core behind our mark. */
	assert_memory_equal(record.writes[0].bytes + 440, now + 440, 72);
	assert_int_equal(get_le64(record.writes[0].bytes + 0x5c), 2);
	assert_int_equal(record.writes[1].offset, 512);
	core = record.writes[1].bytes + 512;
	sectors = record.writes[1].len / 512 - 1;
	assert_int_equal(get_le64(core + 500), 3);
	assert_int_equal(get_le16(core + 508), sectors - 1);
	assert_int_equal(get_le16(core + 510), 0x820);
	assert_true(record.writes[1].offset + record.writes[1].len <= 2048 * 512);
	write_it(fd);
	expect_none(fd, "there already");
	assert_int_equal(table_check(fd, &disk, err), 0);
	close(fd);
}

static void test_bios_boot_partition(void **state)
{
	int fd;

	(void)state;
	disk.label = PLAN_GPT;
	parts[0].fill = PLAN_BIOS_BOOT;
	fd = made_disk();
	assert_int_equal(plan(fd, BOOTRECORD_AUTO), 0);
	assert_int_equal(record.n_writes, 2);
	assert_int_equal(record.writes[1].offset, 2048 * 512);
	assert_int_equal(get_le64(record.writes[0].bytes + 0x5c), 2049);
	write_it(fd);
	assert_int_equal(table_check(fd, &disk, err), 0);
	close(fd);
}

/* An older record of ours is replaced; what another has there only by order. */
static void test_foreign(void **state)
{
	int fd = made_disk();

	(void)state;
	assert_null(bootrecord_whose(fd));
	poke(fd, 384, "GRUB");
	assert_string_equal(bootrecord_whose(fd), "GRUB");
	expect_none(fd, "GRUB is there");
	assert_int_equal(plan(fd, BOOTRECORD_ALWAYS), 0);
	assert_int_equal(record.n_writes, 2);
	write_it(fd);
	poke(fd, 100000, "another version");
	assert_int_equal(plan(fd, BOOTRECORD_AUTO), 0);
	assert_int_equal(record.n_writes, 2);
	write_it(fd);
	assert_string_equal(bootrecord_whose(fd), "bridgectl's boot record");
	/* The guest's own grub-install writes its core where our mark is. */
	poke(fd, 512, "core");
	assert_string_equal(bootrecord_whose(fd), "GRUB");
	expect_none(fd, "GRUB is there");
	close(fd);
}

static void test_gap_in_use(void **state)
{
	int fd = made_disk();

	(void)state;
	poke(fd, 2000 * 512, "x");
	expect_none(fd, "something in front of its first partition");
	close(fd);
}

static void test_no_place(void **state)
{
	static const uint8_t old[4] = { 63, 0, 0, 0 };
	int fd;

	(void)state;
	fd = made_disk();
	assert_int_equal(pwrite(fd, old, 4, 446 + 8), 4); /* where the first one starts */
	expect_none(fd, "not of our layout");
	assert_int_equal(plan(fd, BOOTRECORD_ALWAYS), -ENOSPC);
	close(fd);
	disk.label = PLAN_WHOLE;
	fd = made_disk();
	expect_none(fd, "no partition table");
	assert_int_equal(plan(fd, BOOTRECORD_ALWAYS), -EOPNOTSUPP);
	close(fd);
	disk.label = PLAN_GPT;
	fd = made_disk();
	expect_none(fd, "no BIOS boot partition");
	close(fd);
}

/* A table that a guest has made up. */
static void test_hostile(void **state)
{
	static const uint64_t bad[] = { 0, 1, 33, DISK_SECTORS, UINT64_C(1) << 50, UINT64_MAX };
	int fd;

	(void)state;
	disk.label = PLAN_GPT;
	parts[0].fill = PLAN_BIOS_BOOT;
	fd = made_disk();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			uint8_t range[16];

			put_le32(range, (uint32_t)bad[i]);
			put_le32(range + 4, (uint32_t)(bad[i] >> 32));
			put_le32(range + 8, (uint32_t)bad[k]);
			put_le32(range + 12, (uint32_t)(bad[k] >> 32));
			assert_int_equal(pwrite(fd, range, 16, 1024 + 32), 16);
			expect_none(fd, "none written");
		}
	close(fd);
}

static void test_never(void **state)
{
	int fd = made_disk();

	(void)state;
	assert_int_equal(plan(fd, BOOTRECORD_NEVER), 0);
	assert_int_equal(record.n_writes, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gap, set_up),
		cmocka_unit_test_setup(test_bios_boot_partition, set_up),
		cmocka_unit_test_setup(test_foreign, set_up),
		cmocka_unit_test_setup(test_gap_in_use, set_up),
		cmocka_unit_test_setup(test_no_place, set_up),
		cmocka_unit_test_setup(test_hostile, set_up),
		cmocka_unit_test_setup(test_never, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
