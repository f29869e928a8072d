/* xen-vbd-interface(7), both ways: every number that means a disk, and the names of a million. */
#include "bridgectl/domain/vdev.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"

/* The table of the document, by hand. */
static void documented(void **state)
{
	static const struct {
		const char *name;
		enum vdev_bus bus;
		unsigned disk, partition;
		uint32_t number;
	} rows[] = {
		{ "xvda", VDEV_XVD, 0, 0, 51712 },
		{ "xvda2", VDEV_XVD, 0, 2, 51714 },
		{ "xvdb2", VDEV_XVD, 1, 2, 202 << 8 | 1 << 4 | 2 },
		{ "xvdp15", VDEV_XVD, 15, 15, 202 << 8 | 255 },
		{ "xvdq", VDEV_XVD, 16, 0, 1 << 28 | 16 << 8 },
		{ "xvda16", VDEV_XVD, 0, 16, 1 << 28 | 16 },
		{ "xvdz", VDEV_XVD, 25, 0, 1 << 28 | 25 << 8 },
		{ "xvdaa1", VDEV_XVD, 26, 1, 1 << 28 | 26 << 8 | 1 },
		{ "xvdtq37", VDEV_XVD, 536, 37, 1 << 28 | 536 << 8 | 37 },
		{ "xvdbgqcv255", VDEV_XVD, 1048575 - 30, 255, 1 << 28 | 1048545U << 8 | 255 },
		{ "sda1", VDEV_SD, 0, 1, 8 << 8 | 1 },
		{ "sdb3", VDEV_SD, 1, 3, 8 << 8 | 1 << 4 | 3 },
		{ "sdp15", VDEV_SD, 15, 15, 8 << 8 | 255 },
		{ "hda", VDEV_HD, 0, 0, 3 << 8 },
		{ "hdb63", VDEV_HD, 1, 63, 3 << 8 | 1 << 6 | 63 },
		{ "hdc2", VDEV_HD, 2, 2, 22 << 8 | 2 },
		{ "hdd", VDEV_HD, 3, 0, 22 << 8 | 1 << 6 },
		/* what xm had beyond it */
		{ "sdq", VDEV_SD, 16, 0, 65 << 8 },
		{ "sdiv15", VDEV_SD, 255, 15, 135 << 8 | 255 },
		{ "hde", VDEV_HD, 4, 0, 33 << 8 },
		{ "hdt1", VDEV_HD, 19, 1, 91 << 8 | 1 << 6 | 1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[VDEV_NAME_LEN];
		struct vdev v, w;
		uint32_t n;

		if (rows[i].disk == 1048545)
			vdev_name(&(struct vdev){ VDEV_XVD, 1048545, 255 }, name);
		else
			snprintf(name, sizeof(name), "%s", rows[i].name);
		assert_int_equal(vdev_parse(name, &v), 0);
		assert_int_equal(v.bus, rows[i].bus);
		assert_int_equal(v.disk, rows[i].disk);
		assert_int_equal(v.partition, rows[i].partition);
		assert_int_equal(vdev_number(&v, &n), 0);
		assert_int_equal(n, rows[i].number);
		assert_int_equal(vdev_from_number(n, &w), 0);
		assert_memory_equal(&v, &w, sizeof(v));
		assert_int_equal(vdev_is_old(&v), i >= ARRAY_SIZE(rows) - 4);
	}
}

static void other_spellings(void **state)
{
	static const char *const same[][2] = {
		{ "d0", "xvda" },	   { "d0p0", "xvda" },	  { "d1p2", "xvdb2" },
		{ "d536p37", "xvdtq37" },  { "51712", "xvda" },	  { "0xca00", "xvda" },
		{ "0145000", "xvda" },	   { "0x0801", "sda1" },  { "2049", "sda1" },
		{ "5632", "hdc" },	   { "/dev/hdc", "hdc" }, { "268439552", "xvdq" },
		{ "0x10000001", "xvda1" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(same); i++) {
		char name[VDEV_NAME_LEN];
		struct vdev v;

		if (vdev_parse(same[i][0], &v) != 0)
			fail_msg("%s", same[i][0]);
		assert_string_equal(vdev_name(&v, name), same[i][1]);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *name;
		int error;
	} rows[] = {
		{ "", -EINVAL },	{ "xvd", -EINVAL },	     { "xvda0", -EINVAL },
		{ "xvda01", -EINVAL },	{ "xvda1x", -EINVAL },	     { "xvdA", -EINVAL },
		{ "xvd1", -EINVAL },	{ "vda", -EINVAL },	     { "d", -EINVAL },
		{ "d1p", -EINVAL },	{ "d1p2x", -EINVAL },	     { "d01", -EINVAL },
		{ "xvda256", -ERANGE }, { "d0p256", -ERANGE },	     { "d1048576", -ERANGE },
		{ "sda16", -ERANGE },	{ "sdiw", -ERANGE },	     { "hda64", -ERANGE },
		{ "hdu", -ERANGE },	{ "xvdzzzzzzzzz", -ERANGE }, { "0x6000", -EINVAL },
		{ "0", -EINVAL },	{ "12x", -EINVAL },	     { "536870912", -EINVAL },
		{ "0x0380", -EINVAL },	{ "99999999999", -EINVAL },  { "xvda9999999999", -EINVAL },
		{ "-1", -EINVAL },	{ "xvda ", -EINVAL },	     { "cdrom", -EINVAL },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vdev v = { VDEV_HD, 7, 7 };
		int r = vdev_parse(rows[i].name, &v);

		if (r != rows[i].error)
			fail_msg("%s: %d", rows[i].name, r);
		assert_int_equal(v.disk, 7); /* untouched */
	}
}

/* A number that means a disk is that disk's, or the wide spelling of a narrow one. */
static void check_number(uint32_t n)
{
	struct vdev v, w;
	uint32_t back;

	if (vdev_from_number(n, &v) != 0)
		return;
	assert_int_equal(vdev_number(&v, &back), 0);
	if (back != n && !(n >> 28 == 1 && back >> 8 == 202))
		fail_msg("%u", n);
	assert_int_equal(vdev_from_number(back, &w), 0);
	assert_memory_equal(&v, &w, sizeof(v));
}

static void every_number(void **state)
{
	static const uint32_t partitions[] = { 0, 1, 15, 16, 255 };

	(void)state;
	for (uint32_t n = 0; n < 1 << 17; n++)
		check_number(n);
	for (uint32_t disk = 0; disk < VDEV_XVD_DISKS; disk++)
		for (unsigned i = 0; i < ARRAY_SIZE(partitions); i++)
			check_number(1U << 28 | disk << 8 | partitions[i]);
}

static void check_name(enum vdev_bus bus, unsigned disk, unsigned partition)
{
	struct vdev v = { bus, disk, partition }, w;
	char name[VDEV_NAME_LEN];

	vdev_name(&v, name);
	if (vdev_parse(name, &w) != 0 || memcmp(&v, &w, sizeof(v)) != 0)
		fail_msg("%s", name);
}

static void every_name(void **state)
{
	(void)state;
	for (unsigned disk = 0; disk < VDEV_XVD_DISKS; disk++)
		check_name(VDEV_XVD, disk, disk % 256);
	for (unsigned partition = 0; partition < 256; partition++)
		for (unsigned disk = 0; disk < 1000; disk++)
			check_name(VDEV_XVD, disk, partition);
	for (unsigned disk = 0; disk < VDEV_SD_DISKS_OLD; disk++)
		for (unsigned partition = 0; partition <= VDEV_SD_PARTITIONS; partition++)
			check_name(VDEV_SD, disk, partition);
	for (unsigned disk = 0; disk < VDEV_HD_DISKS_OLD; disk++)
		for (unsigned partition = 0; partition <= VDEV_HD_PARTITIONS; partition++)
			check_name(VDEV_HD, disk, partition);
}

static void beyond(void **state)
{
	static const struct vdev rows[] = { { VDEV_XVD, VDEV_XVD_DISKS, 0 },
					    { VDEV_XVD, 0, 256 },
					    { VDEV_SD, 256, 0 },
					    { VDEV_SD, 0, 16 },
					    { VDEV_HD, 20, 0 },
					    { VDEV_HD, 0, 64 } };
	uint32_t n = 77;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(vdev_number(&rows[i], &n), -ERANGE);
	assert_int_equal(n, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documented), cmocka_unit_test(other_spellings),
		cmocka_unit_test(refused),    cmocka_unit_test(every_number),
		cmocka_unit_test(every_name), cmocka_unit_test(beyond),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("vdev", tests, NULL, NULL);
}
