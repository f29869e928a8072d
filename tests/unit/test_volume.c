/* LVM's programs are given what they should be, seen by programs of the same names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bridgectl/disk/volume.h"
#include "common/util.h"

#define MIB (UINT64_C(1) << 20)

static char folder[64], log_path[96];
static char err[VOLUME_ERRLEN];

static void make_program(const char *name, const char *body)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	/* One line for each argument, so that blanks in one would show. */
	fprintf(f, "#!/bin/sh\nprintf '%%s\\n' %s \"$@\" >>%s\n%s\n", name, log_path, body);
	fclose(f);
	assert_int_equal(chmod(path, 0700), 0);
}

static int set_up(void **state)
{
	char path[4096];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/l2-volume-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", folder);
	err[0] = '\0';
	return setenv("PATH", path, 1);
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		"lvcreate", "lvremove", "lvs", "lvextend", "vgs", "log"
	};
	char path[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

static void expect_log(const char *text)
{
	char buf[1024];
	FILE *f = fopen(log_path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	assert_string_equal(buf, text);
}

static void made_tagged_and_wiped(void **state)
{
	(void)state;
	make_program("lvcreate", "exit 0");
	assert_int_equal(volume_create("vg0", "web1-disk", 10 * MIB + 512, err), 0);
	expect_log("lvcreate\n--yes\n-Wy\n-Zy\n--addtag\nbridgectl\n-L\n10486272b\n-n\nweb1-disk\n"
		   "vg0\n");
}

static void removed(void **state)
{
	(void)state;
	make_program("lvremove", "exit 0");
	assert_int_equal(volume_remove("vg0", "web1-disk", err), 0);
	expect_log("lvremove\n--yes\nvg0/web1-disk\n");
}

static void reasons_are_lvms_own(void **state)
{
	(void)state;
	make_program("lvcreate",
		     "echo 'File descriptor 63 (pipe:[7]) leaked on lvcreate invocation.' >&2\n"
		     "echo '  WARNING: old' >&2\n"
		     "echo '  Volume group \"vg0\" has insufficient free space' >&2; exit 5");
	assert_int_equal(volume_create("vg0", "a", MIB, err), -EREMOTEIO);
	assert_string_equal(err, "lvcreate: Volume group \"vg0\" has insufficient free space");
}

static void no_lvm_here(void **state)
{
	struct volume v;

	(void)state;
	setenv("PATH", folder, 1);
	assert_int_equal(volume_create("vg0", "a", MIB, err), -ENOENT);
	assert_non_null(strstr(err, "install lvm2"));
	assert_int_equal(volume_find("/dev/vg0/a", &v, err), -ENOENT);
}

static void names_are_no_options_and_no_paths(void **state)
{
	static const char *const bad[] = {
		"", "-f", "a/b", "a b", "..", "a;b", "a\nb", "\xc3\xa9"
	};

	(void)state;
	make_program("lvcreate", "exit 0");
	make_program("lvremove", "exit 0");
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(volume_create("vg0", bad[i], MIB, err), -EINVAL);
		assert_int_equal(volume_create(bad[i], "a", MIB, err), -EINVAL);
		assert_int_equal(volume_remove("vg0", bad[i], err), -EINVAL);
	}
	assert_int_equal(access(log_path, F_OK), -1);
}

#define REPORT(rows) "echo '{\"report\":[{\"lv\":[" rows "]}]}'"
#define ROW(size)                                                            \
	"{\"vg_name\":\"vg0\",\"lv_name\":\"web1-disk\",\"lv_size\":\"" size \
	"\",\"vg_free\":\"104857600\",\"vg_extent_size\":\"4194304\"}"

static void found_and_extended(void **state)
{
	struct volume v;

	(void)state;
	make_program("lvs", REPORT(ROW("20971520")));
	make_program("lvextend", "exit 0");
	assert_int_equal(volume_find("/dev/vg0/web1-disk", &v, err), 0);
	assert_string_equal(v.vg, "vg0");
	assert_string_equal(v.name, "web1-disk");
	assert_int_equal(v.bytes, 20 * MIB);
	assert_int_equal(volume_size_after(&v, 5 * MIB), 28 * MIB);
	assert_int_equal(volume_extend(&v, 101 * MIB, err), -ENOSPC);
	assert_non_null(strstr(err, "are needed, 4M more"));
	unlink(log_path);
	assert_int_equal(volume_extend(&v, 5 * MIB, err), 0);
	expect_log("lvextend\n-L\n+8388608b\nvg0/web1-disk\n");
}

static void answers_that_are_none(void **state)
{
	static const char *const answers[] = {
		"exit 0",
		"exit 5",
		"echo '{}'",
		REPORT(""),
		REPORT(ROW("20971520") "," ROW("20971520")),
		REPORT(ROW("-1")),
		REPORT(ROW("1.5g")),
		REPORT(ROW("18446744073709551615")),
	};
	struct volume v;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		make_program("lvs", answers[i]);
		assert_int_equal(volume_find("/dev/sda", &v, err), -ENOENT);
	}
	assert_int_equal(volume_find("--help", &v, err), -ENOENT);
}

#define GROUP(extent)                                                                  \
	"echo '{\"report\":[{\"vg\":[{\"vg_name\":\"vg0\",\"vg_free\":\"104857600B\"," \
	"\"vg_extent_size\":\"" extent "\"}]}]}'"

static void room_in_a_group(void **state)
{
	struct volume_group g = { .free = 1 };

	(void)state;
	make_program("vgs", GROUP("4194304"));
	assert_int_equal(volume_group_look("vg0", &g, err), 0);
	assert_int_equal(g.free, 100 * MIB);
	assert_int_equal(g.extent, 4 * MIB);
	make_program("vgs", GROUP("0"));
	assert_int_equal(volume_group_look("vg0", &g, err), -EBADMSG);
	assert_int_equal(g.free, 100 * MIB);
	make_program("vgs", "echo '  Volume group \"vg0\" not found' >&2; exit 5");
	assert_int_equal(volume_group_look("vg0", &g, err), -EREMOTEIO);
	assert_string_equal(err, "volume group vg0: vgs: Volume group \"vg0\" not found");
	assert_int_equal(volume_group_look("-a", &g, err), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_tagged_and_wiped),
		TEST(removed),
		TEST(reasons_are_lvms_own),
		TEST(no_lvm_here),
		TEST(names_are_no_options_and_no_paths),
		TEST(found_and_extended),
		TEST(answers_that_are_none),
		TEST(room_in_a_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
