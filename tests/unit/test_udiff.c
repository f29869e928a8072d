/*
 * Unified diffs: small ones to the byte; 2,000 random ones through patch(1), which has to make the
 * new text of the old one, and beside diff(1), which may find another way but none that is shorter.
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
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit.h"
#include "common/proc.h"
#include "common/util.h"
#include "tests/support/prng.h"

#ifdef __SANITIZE_ADDRESS__
#define CASES 300 /* patch(1) is started for each */
#else
#define CASES 2000
#endif

static char folder[PATH_MAX];

static void expect(const char *old, const char *new, const char *want)
{
	_cleanup_free_ char *got =
		udiff("/f", old, old ? strlen(old) : 0, new, new ? strlen(new) : 0);

	assert_string_equal(got, want);
}

static void test_small(void **state)
{
	(void)state;
	expect("a\nb\n", "a\nb\n", "--- a/f\n+++ b/f\n");
	expect("a\nb\nc\n", "a\nx\nc\n", "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
	expect(NULL, "a\n", "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n");
	expect("a\nb\n", NULL, "--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n");
	expect("a\nb", "a\nb\n",
	       "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n");
	expect("a\nb", "x\nb",
	       "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+x\n b\n\\ No newline at end of file\n");
	/* Six equal lines between two changes are one hunk, seven are two. */
	expect("a\n1\n2\n3\n4\n5\n6\nb\n", "x\n1\n2\n3\n4\n5\n6\ny\n",
	       "--- a/f\n+++ b/f\n@@ -1,8 +1,8 @@\n-a\n+x\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+y\n");
	expect("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "x\n1\n2\n3\n4\n5\n6\n7\ny\n",
	       "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n-a\n+x\n 1\n 2\n 3\n"
	       "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+y\n");
}

static void path_of(const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.4000s/%s", folder, name);
}

static void put(const char *name, const char *s, size_t len)
{
	char path[PATH_MAX];
	FILE *f;

	path_of(name, path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(s, 1, len, f), len);
	fclose(f);
}

/* False: there is no such program. */
static bool run(const char *const argv[], int ok, struct proc_result *r)
{
	const struct proc_limits limits = { .timeout_ms = 30000, .out_bytes = 1 << 22 };
	int e = proc_run(argv, &limits, NULL, 0, r);

	if (e == -ENOENT)
		return false;
	assert_int_equal(e, 0);
	if (r->exit_code != 0 && r->exit_code != ok)
		fail_msg("%s: %d, %s%s", argv[0], r->exit_code, r->out, r->err);
	return true;
}

/* Lines that begin with + or -, but the two names. */
static unsigned touched(const char *diff)
{
	unsigned n = 0;
	bool begins = true;

	/* By the byte: AddressSanitizer measures all of the rest at each call of <string.h>. */
	for (const char *s = diff; *s; begins = *s++ == '\n')
		if (begins && (*s == '+' || *s == '-'))
			n += s[1] != s[0] || s[2] != s[0];
	return n;
}

static char *make_text(struct prng *p, size_t *ret_len)
{
	size_t n = prng_below(p, 40), len = 0;
	char *s = mem_new(n * 4 + 1);

	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(s + len, "%c\n", (char)('a' + prng_below(p, 6)));
	if (len && prng_below(p, 4) == 0)
		len--;
	s[len] = '\0';
	*ret_len = len;
	return s;
}

static void apply(const char *old, size_t old_len, const char *new, size_t new_len)
{
	_cleanup_free_ char *diff = udiff("/f", old, old_len, new, new_len);
	char f[PATH_MAX], d[PATH_MAX], out[PATH_MAX], made[4096];
	const char *const patch[] = { "patch", "-s", "-o", out, f, d, NULL };
	const char *const cmp[] = { "diff", "-u", f, out, NULL };
	struct proc_result r;
	FILE *file;

	path_of("f", f);
	path_of("d", d);
	path_of("out", out);
	put("f", old, old_len);
	put("d", diff, strlen(diff));
	if (!run(patch, 0, &r))
		skip();
	proc_result_fini(&r);
	file = fopen(out, "re");
	assert_non_null(file);
	assert_int_equal(fread(made, 1, sizeof(made), file), new_len);
	fclose(file);
	assert_memory_equal(made, new, new_len);
	if (!run(cmp, 1, &r))
		return;
	assert_true(touched(diff) <= touched(r.out ? r.out : ""));
	proc_result_fini(&r);
}

static void test_random(void **state)
{
	struct prng p = { .state = 20261121 };

	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		size_t old_len, new_len;
		_cleanup_free_ char *old = make_text(&p, &old_len), *new = make_text(&p, &new_len);

		if (old_len != new_len || memcmp(old, new, old_len) != 0)
			apply(old, old_len, new, new_len);
	}
}

/* Large and different throughout: bounded, and still right. */
static void test_large(void **state)
{
	size_t len = 4U << 20;
	_cleanup_free_ char *old = mem_new(len + 1), *new = mem_new(len + 1), *diff = NULL;

	(void)state;
	for (size_t i = 0; i < len; i += 2) {
		memcpy(old + i, "a\n", 2);
		memcpy(new + i, "b\n", 2);
	}
	diff = udiff("/f", old, len, new, len);
	assert_int_equal(touched(diff), len);
}

static int setup(void **state)
{
	const char *dir = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%s/l2t-udiff-XXXXXX", dir ? dir : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "f", "d", "out" };
	char path[PATH_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		path_of(names[i], path);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
