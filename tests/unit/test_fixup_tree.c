/*
 * A guest's paths: links that lead out, in circles or nowhere; what is no file; and that a
 * folder's files keep what they are when their text changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/fixup/tree.h"
#include "common/util.h"
#include "tests/support/temp_dir.h"

static struct tree *t;

static int make(void **state)
{
	(void)state;
	temp_dir("tree");
	temp_dir_folder("guest");
	temp_dir_put("secret", "of the host");
	temp_dir_folder("guest/etc");
	temp_dir_folder("guest/usr");
	temp_dir_folder("guest/usr/lib");
	temp_dir_put("guest/usr/lib/os-release", "ID=debian\n");
	temp_dir_put("guest/etc/fstab", "/dev/xvda2 / ext3\n");
	temp_dir_link("guest/etc/os-release", "../usr/lib/os-release");
	temp_dir_link("guest/lib", "/usr/lib");
	temp_dir_link("guest/out", "../../../../secret");
	temp_dir_link("guest/out2", "/../secret");
	temp_dir_link("guest/a", "b");
	temp_dir_link("guest/b", "a");
	temp_dir_link("guest/nowhere", "/run/x/y");
	temp_dir_link("guest/new", "etc/not-yet");
	assert_int_equal(mkfifo(temp_dir_path("guest/fifo"), 0644), 0);
	return tree_dir_open(temp_dir_path("guest"), false, &t);
}

static int drop(void **state)
{
	(void)state;
	tree_free(t);
	temp_dir_drop();
	return 0;
}

static void test_resolve(void **state)
{
	static const struct {
		const char *path;
		int r;
		const char *to;
	} cases[] = {
		{ "/", 0, "/" },
		{ "//etc///fstab", 0, "/etc/fstab" },
		{ "/etc/", 0, "/etc" },
		{ "/etc/os-release", 0, "/usr/lib/os-release" },
		{ "/lib/os-release", 0, "/usr/lib/os-release" },
		{ "/etc/../lib/../../etc/./fstab", 0, "/etc/fstab" },
		{ "/out", -ENOENT, "/secret" },
		{ "/out2", -ENOENT, "/secret" },
		{ "/a", -ELOOP, "" },
		{ "/nowhere", -ENOENT, "" },
		{ "/new", -ENOENT, "/etc/not-yet" },
		{ "/lib/x", -ENOENT, "/usr/lib/x" },
		{ "/etc/fstab/x", -ENOTDIR, "" },
		{ "etc", -EINVAL, "" },
	};
	char to[TREE_PATH_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = tree_resolve(t, cases[i].path, to);

		if (r != cases[i].r || strcmp(to, cases[i].to) != 0)
			fail_msg("%s: %d \"%s\"", cases[i].path, r, to);
	}
}

static void test_long_paths(void **state)
{
	char path[TREE_PATH_MAX * 2], to[TREE_PATH_MAX];

	(void)state;
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(tree_resolve(t, path, to), -ENAMETOOLONG);
	memset(path + 1, 'x', TREE_PATH_MAX - 2);
	path[TREE_PATH_MAX - 1] = '\0';
	assert_true(tree_resolve(t, path, to) < 0);
}

static void test_kinds(void **state)
{
	struct tree_stat st;
	size_t len = 0;
	char *text;

	(void)state;
	assert_true(tree_is_file(t, "/etc/os-release"));
	assert_false(tree_is_file(t, "/etc"));
	assert_true(tree_is_dir(t, "/lib"));
	assert_int_equal(tree_stat(t, "/fifo", &st), 0);
	assert_int_equal(st.kind, TREE_OTHER);
	assert_null(tree_text(t, "/fifo", &len));
	assert_null(tree_text(t, "/etc", &len));
	assert_null(tree_text(t, "/out", &len));
	text = tree_text(t, "/etc/os-release", &len);
	assert_string_equal(text, "ID=debian\n");
	assert_int_equal(len, 10);
	free(text);
	assert_int_equal(tree_read(t, "/etc/fstab", 3, &text, &len), -EFBIG);
}

static bool join(void *arg, const char *name)
{
	strcat(strcat(arg, name), " ");
	return strcmp(name, "lib") != 0;
}

static void test_list(void **state)
{
	char names[256] = "";

	(void)state;
	assert_int_equal(tree_list(t, "/", join, names), 0);
	assert_string_equal(names, "a b etc fifo lib ");
	assert_int_equal(tree_list(t, "/etc/fstab", join, names), -ENOTDIR);
	assert_int_equal(tree_list(t, "/none", join, names), -ENOENT);
}

static void test_write(void **state)
{
	struct tree_stat st;
	char *text;

	(void)state;
	assert_int_equal(chmod(temp_dir_path("guest/etc/fstab"), 0640), 0);
	assert_int_equal(t->ops->write(t, "/etc/fstab", "short\n", 6), 0);
	text = tree_text(t, "/etc/fstab", NULL);
	assert_string_equal(text, "short\n");
	free(text);
	assert_int_equal(tree_stat(t, "/etc/fstab", &st), 0);
	assert_int_equal(st.mode, 0640);
	assert_int_equal(t->ops->write(t, "/etc/os-release", "x", 1), -EINVAL);
	assert_int_equal(t->ops->write(t, "/fifo", "x", 1), -EINVAL);
	assert_int_equal(t->ops->write(t, "/lib/os-release", "x", 1), -ELOOP);
	assert_int_equal(t->ops->write(t, "/etc/none", "x", 1), -ENOENT);
}

static void test_create_remove(void **state)
{
	struct tree_stat st;

	(void)state;
	assert_int_equal(t->ops->create(t, "/etc/x.link", 0600, "abc", 3), 0);
	assert_int_equal(tree_stat(t, "/etc/x.link", &st), 0);
	assert_int_equal(st.mode, 0600);
	assert_int_equal(st.size, 3);
	assert_int_equal(t->ops->create(t, "/etc/x.link", 0600, "abc", 3), -EEXIST);
	assert_int_equal(t->ops->create(t, "/out", 0600, "abc", 3), -EEXIST);
	assert_int_equal(t->ops->remove(t, "/etc/x.link"), 0);
	assert_int_equal(t->ops->remove(t, "/etc/x.link"), -ENOENT);
	assert_int_equal(t->ops->remove(t, "/out"), 0);
	assert_int_equal(access(temp_dir_path("secret"), F_OK), 0);
	assert_int_equal(t->ops->remove(t, "/etc"), -EISDIR);
	assert_int_equal(t->ops->remove(t, "/fifo"), -EINVAL);
}

static void test_readonly(void **state)
{
	struct tree *ro;

	(void)state;
	assert_int_equal(tree_dir_open(temp_dir_path("guest"), true, &ro), 0);
	assert_non_null(ro->why_readonly);
	assert_int_equal(ro->ops->write(ro, "/etc/fstab", "x", 1), -EROFS);
	assert_int_equal(ro->ops->create(ro, "/etc/y", 0644, "x", 1), -EROFS);
	assert_int_equal(ro->ops->remove(ro, "/etc/fstab"), -EROFS);
	tree_free(ro);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resolve), TEST(test_long_paths),    TEST(test_kinds),	   TEST(test_list),
		TEST(test_write),   TEST(test_create_remove), TEST(test_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
