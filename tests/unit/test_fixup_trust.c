/*
 * Changed files as bytes, as a process that nobody believes may send them: what comes back is what
 * was packed, and nothing that is cut, too long, or leads out of its place is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/fixup/trust.h"
#include "common/util.h"

static struct trust_bytes bytes_of(const char *s)
{
	return (struct trust_bytes){ .p = (char *)s, .len = s ? strlen(s) : 0 };
}

static struct trust_file file_of(const char *subvol, const char *path)
{
	return (struct trust_file){
		.where = { .disk = 1, .start = UINT64_C(5) << 40, .bytes = 7, .btrfs = true },
		.subvol = (char *)subvol,
		.path = (char *)path,
		.before = bytes_of("old"),
		.after = bytes_of(""),
		.mode = 04755,
		.uid = 70000,
		.gid = 3
	};
}

static int unpack_one(const struct trust_file *v)
{
	struct trust_file *back;
	unsigned n;
	size_t len;
	char *packed = trust_files_pack(v, 1, &len);
	int r = trust_files_unpack(packed, len, &back, &n);

	free(packed);
	if (r == 0)
		trust_files_free(back, n);
	return r;
}

static void test_there_and_back(void **state)
{
	struct trust_file v[] = { file_of("@/var", "/lib/x"), file_of(NULL, "/etc/fstab") }, *back;
	unsigned n;
	size_t len;
	char *packed;

	(void)state;
	v[1].after = bytes_of(NULL);
	v[1].xattrs = bytes_of("some");
	packed = trust_files_pack(v, 2, &len);
	assert_int_equal(trust_files_unpack(packed, len, &back, &n), 0);
	assert_int_equal(n, 2);
	assert_true(back[0].where.start == v[0].where.start && back[0].where.btrfs);
	assert_string_equal(back[0].subvol, "@/var");
	assert_string_equal(back[0].before.p, "old");
	assert_true(back[0].after.p && back[0].after.len == 0 && !back[0].xattrs.p);
	assert_true(!back[1].subvol && !back[1].after.p);
	assert_int_equal(back[1].mode, 04755);
	assert_int_equal(back[1].uid, 70000);
	assert_memory_equal(back[1].xattrs.p, "some", 4);
	trust_files_free(back, n);
	free(packed);
}

static void test_paths(void **state)
{
	static const char *const bad[] = { "",	     "/",      "etc",	 "/etc/",     "//etc",
					   "/../x",  "/a/..",  "/./a",	 "/a//b",     "/a/../b",
					   "/etc/.", "/a/../", "/a/./b", "/etc/x/../" };
	static const char *const bad_subvols[] = { "", "/@", "@/", "..", "@/../x", "a//b", "." };
	struct trust_file v;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		v = file_of(NULL, bad[i]);
		assert_int_equal(unpack_one(&v), -EPROTO);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad_subvols); i++) {
		v = file_of(bad_subvols[i], "/etc/fstab");
		assert_int_equal(unpack_one(&v), -EPROTO);
	}
	v = file_of("@", "/..a/b..");
	assert_int_equal(unpack_one(&v), 0);
	v.where.btrfs = false;
	assert_int_equal(unpack_one(&v), -EPROTO);
	v = file_of(NULL, "/a");
	v.before = v.after = bytes_of(NULL);
	assert_int_equal(unpack_one(&v), -EPROTO);
}

/* Cut anywhere, or with any byte another one: an error or files, never more. */
static void test_nonsense(void **state)
{
	struct trust_file v = file_of("@", "/etc/fstab"), *back;
	unsigned n;
	size_t len;
	char *packed = trust_files_pack(&v, 1, &len);

	(void)state;
	for (size_t i = 1; i < len; i++)
		assert_int_equal(trust_files_unpack(packed, i, &back, &n), -EPROTO);
	for (size_t i = 0; i < len; i++) {
		char was = packed[i];

		packed[i] = (char)0xfe;
		if (trust_files_unpack(packed, len, &back, &n) == 0)
			trust_files_free(back, n);
		packed[i] = was;
	}
	free(packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
