/*
 * Which partition a line of fstab means, and a tree of several file systems: whose file it is, and
 * that links lead from one into another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/fixup/tree_mounts.h"
#include "common/util.h"
#include "tests/support/temp_dir.h"

static const struct edit_part parts[] = {
	{ .letter = 'a', .number = 1, .uuid = "1111-AAAA", .label = "boot", .partuuid = "12-01" },
	{ .letter = 'a', .number = 2, .uuid = "2222-bbbb", .label = "/", .partuuid = "12-02" },
	{ .letter = 'b', .number = 0, .uuid = "3333-cccc", .label = "data" },
	{ .letter = 'a', .number = 12 },
};

static void test_names(void **state)
{
	static const struct {
		const char *what;
		int part;
	} cases[] = {
		{ "/dev/xvda1", 0 },
		{ "/dev/sda2", 1 },
		{ "/dev/hda2", 1 },
		{ "/dev/vda12", 3 },
		{ "/dev/xvdb", 2 },
		{ "/dev/xvdb1", -1 },
		{ "/dev/xvda", -1 },
		{ "/dev/xvdaa1", -1 },
		{ "/dev/xvda1x", -1 },
		{ "/dev/xvda-1", -1 },
		{ "UUID=1111-aaaa", 0 },
		{ "UUID=\"2222-BBBB\"", 1 },
		{ "UUID=", -1 },
		{ "UUID=\"\"", -1 },
		{ "UUID=2222", -1 },
		{ "LABEL=/", 1 },
		{ "LABEL=BOOT", -1 },
		{ "LABEL=boot", 0 },
		{ "PARTUUID=12-02", 1 },
		{ "/dev/disk/by-uuid/3333-CCCC", 2 },
		{ "/dev/mapper/vg-x", -1 },
		{ "proc", -1 },
		{ "", -1 },
		{ "/dev/xvda99999999999999999999", -1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		if (tree_mounts_part(cases[i].what, parts, ARRAY_SIZE(parts)) != cases[i].part)
			fail_msg("%s", cases[i].what);
}

static struct tree *open_dir(const char *path)
{
	struct tree *t;

	assert_int_equal(tree_dir_open(temp_dir_path(path), false, &t), 0);
	return t;
}

static int make(void **state)
{
	static const char *const dirs[] = { "root", "root/etc",	 "root/boot", "root/usr",
					    "boot", "boot/grub", "usr",	      "usr/lib" };

	(void)state;
	temp_dir("mounts");
	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		temp_dir_folder(dirs[i]);
	temp_dir_put("root/etc/fstab", "# /dev/xvda9 /var ext3\n"
				       "/dev/xvda2 / ext3 defaults 0 1\n\n"
				       "/dev/xvda1\t/boot\text3 defaults 0 2\n"
				       "  LABEL=a\\040b /usr ext3\n"
				       "/dev/xvda5 /home ext3\n"
				       "/dev/xvda6\n"
				       "/dev/xvda7 /boot/efi vfat\n"
				       "/dev/xvda8 /var");
	temp_dir_put("root/boot/hidden", "below");
	temp_dir_put("boot/grub/menu.lst", "default 0\n");
	temp_dir_put("usr/lib/os-release", "ID=x\n");
	temp_dir_link("root/etc/os-release", "../usr/lib/os-release");
	temp_dir_link("boot/fstab", "/etc/fstab");
	temp_dir_link("boot/out", "../../../secret");
	return 0;
}

static int drop(void **state)
{
	(void)state;
	temp_dir_drop();
	return 0;
}

static void test_fstab(void **state)
{
	struct tree_mount m[TREE_MOUNTS_MAX];
	struct tree *t = open_dir("root");

	(void)state;
	assert_int_equal(tree_mounts_read(t, m), 3);
	assert_string_equal(m[0].what, "/dev/xvda1");
	assert_string_equal(m[0].where, "/boot");
	assert_string_equal(m[1].what, "LABEL=a b");
	assert_string_equal(m[1].where, "/usr");
	assert_string_equal(m[2].where, "/var");
	tree_free(t);
}

static void expect(struct tree *t, const char *path, const char *text)
{
	_cleanup_free_ char *got = tree_text(t, path, NULL);

	if (!got)
		fail_msg("%s cannot be read", path);
	assert_string_equal(got, text);
}

static unsigned n_synced;

static int sync_one(struct tree *sub)
{
	(void)sub;
	return n_synced++ == 1 ? -EIO : 0;
}

static void test_trees(void **state)
{
	struct tree *t = tree_mounts_new(open_dir("root")), *boot = open_dir("boot");
	char to[TREE_PATH_MAX];

	(void)state;
	assert_true(tree_is_file(t, "/boot/hidden"));
	assert_int_equal(tree_mounts_add(t, "/none", boot), -ENOENT);
	assert_int_equal(tree_mounts_add(t, "/etc/fstab", boot), -ENOTDIR);
	assert_int_equal(tree_mounts_add(t, "/", boot), -EEXIST);
	assert_int_equal(tree_mounts_add(t, "/boot", boot), 0);
	assert_int_equal(tree_mounts_add(t, "/boot/", boot), -EEXIST);
	assert_int_equal(tree_mounts_add(t, "/usr", open_dir("usr")), 0);
	assert_false(tree_is_file(t, "/boot/hidden"));
	expect(t, "/boot/grub/menu.lst", "default 0\n");
	expect(t, "/etc/os-release", "ID=x\n");
	assert_true(tree_is_file(t, "/boot/fstab"));
	assert_int_equal(tree_resolve(t, "/boot/out", to), -ENOENT);
	assert_string_equal(to, "/secret");
	assert_int_equal(t->ops->create(t, "/boot/new", 0644, "n", 1), 0);
	assert_int_equal(t->ops->write(t, "/usr/lib/os-release", "ID=y\n", 5), 0);
	expect(t, "/etc/os-release", "ID=y\n");
	assert_int_equal(access(temp_dir_path("boot/new"), F_OK), 0);
	assert_int_equal(t->ops->remove(t, "/boot/new"), 0);
	assert_int_equal(tree_mounts_sync(t, sync_one), -EIO);
	assert_int_equal(n_synced, 2);
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_fstab, make, drop),
		cmocka_unit_test_setup_teardown(test_trees, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
