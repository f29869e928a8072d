/*
 * Partition tables on sparse files: hundreds of random ones are written, and sfdisk must read
 * every start, size, number, type and flag as it was asked for, to the sector.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include <cmocka.h>

#include "bridgectl/disk/table.h"
#include "common/proc.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define RUNS 300
#define MIB_SECTORS UINT64_C(2048)

static char path[64];
static char err[TABLE_ERRLEN];
static struct plan_part parts[PLAN_PARTS_MAX];
static struct plan_disk disk;

static int set_up(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/l2-table-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	memset(parts, 0, sizeof(parts));
	disk = (struct plan_disk){ .parts = parts };
	close(fd);
	return fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static int open_disk(uint64_t sectors)
{
	int fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(sectors * SECTOR_BYTES)), 0);
	return fd;
}

/* What sfdisk says; the test is skipped without one. */
static json_t *sfdisk(void)
{
	static const struct proc_limits limits = { .timeout_ms = 20000, .out_bytes = 1 << 20 };
	const char *const argv[] = { "sfdisk", "-J", path, NULL };
	struct proc_result r;
	json_t *j;
	int e = proc_run(argv, &limits, NULL, 0, &r);

	if (e == -ENOENT) {
		print_message("SKIP: no sfdisk\n");
		skip();
	}
	assert_int_equal(e, 0);
	if (r.exit_code)
		fail_msg("sfdisk: %s", r.err);
	j = json_loads(r.out, 0, NULL);
	assert_non_null(j);
	proc_result_fini(&r);
	return j;
}

/* sfdisk names the partitions of FILE FILE1, FILE2, …; of one that ends in a digit FILEp1. */
static unsigned number_of(const json_t *entry)
{
	const char *node = json_string_value(json_object_get(entry, "node"));

	assert_non_null(node);
	node += strlen(path);
	return (unsigned)strtoul(node + (*node == 'p'), NULL, 10);
}

static const struct plan_part *planned(unsigned number)
{
	for (unsigned i = 0; i < disk.n_parts; i++)
		if (parts[i].number == number)
			return &parts[i];
	fail_msg("sfdisk shows a partition %u", number);
	return NULL;
}

static void compare_with_sfdisk(void)
{
	json_t *j = sfdisk(), *table = json_object_get(j, "partitiontable"), *entry;
	json_t *list = json_object_get(table, "partitions");
	size_t i;

	assert_string_equal(json_string_value(json_object_get(table, "label")),
			    disk.label == PLAN_GPT ? "gpt" : "dos");
	assert_int_equal(json_array_size(list), disk.n_parts);
	json_array_foreach(list, i, entry) {
		const struct plan_part *p = planned(number_of(entry));

		assert_int_equal(json_integer_value(json_object_get(entry, "start")), p->start);
		assert_int_equal(json_integer_value(json_object_get(entry, "size")), p->sectors);
		assert_int_equal(strcasecmp(json_string_value(json_object_get(entry, "type")),
					    plan_part_type(&disk, p)),
				 0);
		if (disk.label == PLAN_MSDOS)
			assert_int_equal(json_is_true(json_object_get(entry, "bootable")), p->boot);
	}
	json_decref(j);
}

static void expect_written(int fd)
{
	if (table_write(fd, &disk, err) < 0 || table_check(fd, &disk, err) < 0)
		fail_msg("%s", err);
	compare_with_sfdisk();
}

/* --- Random ones --- */

static uint64_t between(struct prng *r, uint64_t low, uint64_t high)
{
	return low + prng_below(r, high - low + 1);
}

/* Small ones, and up to 4 GiB; on their own boundaries as plans have them, or on none. */
static uint64_t random_sectors(struct prng *r, bool aligned)
{
	uint64_t n = between(r, 1, UINT64_C(1) << between(r, 1, 23));

	return aligned ? (n + MIB_SECTORS - 1) / MIB_SECTORS * MIB_SECTORS : n;
}

static void shuffle_numbers(struct prng *r, unsigned *numbers, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		numbers[i] = i + 1;
	for (unsigned i = n; i > 1; i--) {
		unsigned j = (unsigned)between(r, 0, i - 1), t = numbers[i - 1];

		numbers[i - 1] = numbers[j];
		numbers[j] = t;
	}
}

static void random_disk(struct prng *r)
{
	static const char *const types[] = { "", "ext4", "swap", "LVM2_member", "xfs", "vfat" };
	unsigned numbers[PLAN_PARTS_MAX], most;
	bool aligned = between(r, 0, 1);
	uint64_t at = MIB_SECTORS;

	disk.label = between(r, 0, 1) ? PLAN_GPT : PLAN_MSDOS;
	most = disk.label == PLAN_GPT ? PLAN_PARTS_MAX : 4;
	shuffle_numbers(r, numbers, most);
	disk.n_parts = (unsigned)between(r, 1, between(r, 0, 9) ? MIN(most, 6) : most);
	for (unsigned i = 0; i < disk.n_parts; i++) {
		struct plan_part *p = &parts[i];

		*p = (struct plan_part){ .number = numbers[i], .start = at };
		p->sectors = random_sectors(r, aligned);
		p->boot = disk.label == PLAN_MSDOS && between(r, 0, 3) == 0;
		snprintf(p->source.type, sizeof(p->source.type), "%s",
			 types[between(r, 0, ARRAY_SIZE(types) - 1)]);
		snprintf(p->source.path, sizeof(p->source.path), "/dev/vg0/web \"%u\"'", i);
		at += p->sectors + (aligned ? 0 : between(r, 0, 5000));
	}
	disk.sectors = at + MIB_SECTORS;
}

static void random_tables_to_the_sector(void **state)
{
	struct prng r = { .state = 0x1234567 };

	(void)state;
	for (unsigned i = 0; i < RUNS; i++) {
		int fd;

		random_disk(&r);
		fd = open_disk(disk.sectors);
		expect_written(fd);
		close(fd);
	}
}

/* libfdisk has made 999424 of these. */
static void odd_size_is_kept(void **state)
{
	int fd = open_disk(4 * 1024 * MIB_SECTORS);

	(void)state;
	parts[0] = (struct plan_part){ .number = 1, .start = 2048, .sectors = 1000001 };
	disk.n_parts = 1;
	disk.sectors = 4 * 1024 * MIB_SECTORS;
	for (disk.label = PLAN_MSDOS; disk.label <= PLAN_GPT; disk.label++)
		expect_written(fd);
	close(fd);
}

/* The largest that msdos can say, and a GPT beyond. */
static void at_two_tebibytes(void **state)
{
	uint64_t sectors = (UINT64_C(1) << 32) - 1;
	int fd = open_disk(sectors);

	(void)state;
	disk.n_parts = 1;
	disk.sectors = sectors;
	disk.label = PLAN_MSDOS;
	parts[0] = (struct plan_part){ .number = 4, .start = 2048, .boot = true };
	parts[0].sectors = sectors - 2 * MIB_SECTORS;
	expect_written(fd);
	close(fd);
	disk.label = PLAN_GPT;
	disk.sectors = sectors * 4;
	parts[0].sectors = disk.sectors - 2 * MIB_SECTORS;
	fd = open_disk(disk.sectors);
	expect_written(fd);
	close(fd);
}

static void an_old_table_goes(void **state)
{
	int fd = open_disk(100 * MIB_SECTORS);

	(void)state;
	disk.sectors = 100 * MIB_SECTORS;
	disk.n_parts = 1;
	parts[0] = (struct plan_part){ .number = 7, .start = 2048, .sectors = 4096 };
	disk.label = PLAN_GPT;
	expect_written(fd);
	parts[0].number = 2;
	disk.label = PLAN_MSDOS;
	expect_written(fd);
	close(fd);
}

static void impossible_ones_are_errors(void **state)
{
	int fd = open_disk(100 * MIB_SECTORS);

	(void)state;
	disk.sectors = 100 * MIB_SECTORS;
	disk.n_parts = 2;
	disk.label = PLAN_GPT;
	parts[0] = (struct plan_part){ .number = 1, .start = 2048, .sectors = 4096 };
	parts[1] = (struct plan_part){ .number = 2, .start = 4096, .sectors = 4096 };
	assert_true(table_write(fd, &disk, err) < 0);
	parts[1].start = 98 * MIB_SECTORS;
	parts[1].sectors = 3 * MIB_SECTORS;
	assert_true(table_write(fd, &disk, err) < 0);
	disk.label = PLAN_MSDOS;
	parts[1] = (struct plan_part){ .number = 5, .start = 8192, .sectors = 4096 };
	assert_true(table_write(fd, &disk, err) < 0);
	close(fd);
}

static void a_difference_is_found(void **state)
{
	int fd = open_disk(100 * MIB_SECTORS);

	(void)state;
	disk.sectors = 100 * MIB_SECTORS;
	disk.n_parts = 1;
	disk.label = PLAN_GPT;
	parts[0] = (struct plan_part){ .number = 1, .start = 2048, .sectors = 4096 };
	expect_written(fd);
	parts[0].sectors++;
	assert_int_equal(table_check(fd, &disk, err), -EUCLEAN);
	parts[0].sectors--;
	parts[0].number = 2;
	assert_int_equal(table_check(fd, &disk, err), -EUCLEAN);
	parts[0].number = 1;
	snprintf(parts[0].source.type, sizeof(parts[0].source.type), "swap");
	assert_int_equal(table_check(fd, &disk, err), -EUCLEAN);
	close(fd);
}

/* --- Reading and enlarging --- */

static void nothing_is_no_table(void **state)
{
	int fd = open_disk(MIB_SECTORS);
	struct table t;

	(void)state;
	assert_int_equal(table_read(fd, &t, err), 0);
	assert_int_equal(t.label, PLAN_WHOLE);
	assert_int_equal(t.n, 0);
	assert_null(table_find(&t, 0));
	close(fd);
}

static void found_by_number_or_as_the_last(void **state)
{
	int fd = open_disk(100 * MIB_SECTORS);
	struct table t;

	(void)state;
	disk = (struct plan_disk){ .label = PLAN_GPT, .n_parts = 2, .parts = parts };
	parts[0] = (struct plan_part){ .number = 9, .start = 2048, .sectors = 4096 };
	parts[1] = (struct plan_part){ .number = 3, .start = 8192, .sectors = 77 };
	expect_written(fd);
	assert_int_equal(table_read(fd, &t, err), 0);
	assert_int_equal(table_find(&t, 9)->start, 2048);
	assert_int_equal(table_find(&t, 0)->number, 3);
	assert_int_equal(table_find(&t, 0)->sectors, 77);
	assert_null(table_find(&t, 4));
	assert_int_equal(table_next(&t, table_find(&t, 9))->number, 3);
	assert_null(table_next(&t, table_find(&t, 3)));
	close(fd);
}

static void enlarged_after_the_disk_has_grown(void **state)
{
	uint64_t grown = 300 * MIB_SECTORS;

	(void)state;
	for (disk.label = PLAN_MSDOS; disk.label <= PLAN_GPT; disk.label++) {
		int fd = open_disk(100 * MIB_SECTORS);

		disk.n_parts = 2;
		disk.sectors = 100 * MIB_SECTORS;
		parts[0] = (struct plan_part){ .number = 2, .start = 2048, .sectors = 4096 };
		parts[0].boot = disk.label == PLAN_MSDOS;
		parts[1] = (struct plan_part){ .number = 1, .start = 8192, .sectors = 8191 };
		expect_written(fd);
		assert_int_equal(ftruncate(fd, (off_t)(grown * SECTOR_BYTES)), 0);
		parts[1].sectors = table_limit(disk.label, grown) - parts[1].start;
		if (disk.label == PLAN_GPT)
			parts[1].sectors -= 1;
		if (table_enlarge(fd, 1, parts[1].sectors, err) < 0)
			fail_msg("%s", err);
		assert_int_equal(table_check(fd, &disk, err), 0);
		compare_with_sfdisk();
		assert_int_equal(table_enlarge(fd, 1, parts[1].sectors - 1, err), -EINVAL);
		assert_int_equal(table_enlarge(fd, 3, parts[1].sectors, err), -ENOENT);
		assert_true(table_enlarge(fd, 2, 8192, err) < 0);
		assert_int_equal(table_check(fd, &disk, err), 0);
		close(fd);
	}
}

/* The second copy of a GPT is found at the end, also when nothing but the disk has grown. */
static void second_copy_moves_to_the_end(void **state)
{
	uint64_t grown = 300 * MIB_SECTORS;
	int fd = open_disk(100 * MIB_SECTORS);
	char magic[8];

	(void)state;
	disk = (struct plan_disk){ .label = PLAN_GPT, .n_parts = 1, .parts = parts };
	parts[0] = (struct plan_part){ .number = 1, .start = 2048, .sectors = 4096 };
	expect_written(fd);
	assert_int_equal(ftruncate(fd, (off_t)(grown * SECTOR_BYTES)), 0);
	if (table_enlarge(fd, 1, 8192, err) < 0)
		fail_msg("%s", err);
	assert_int_equal(pread(fd, magic, 8, (off_t)((grown - 1) * SECTOR_BYTES)), 8);
	assert_memory_equal(magic, "EFI PART", 8);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_tables_to_the_sector),
		TEST(odd_size_is_kept),
		TEST(at_two_tebibytes),
		TEST(an_old_table_goes),
		TEST(impossible_ones_are_errors),
		TEST(a_difference_is_found),
		TEST(nothing_is_no_table),
		TEST(found_by_number_or_as_the_last),
		TEST(enlarged_after_the_disk_has_grown),
		TEST(second_copy_moves_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
