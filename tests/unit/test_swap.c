/*
 * Swap headers: what we write, swaplabel(8), mkswap's bytes and libblkid agree on; what we
 * read of hibernated, old and foreign ones. And sizes as text, and probing of made-up files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid.h>

#include "bridgectl/disk/probe.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/disk/swap.h"
#include "common/proc.h"
#include "common/util.h"

#define MIB (UINT64_C(1) << 20)
#define UUID "5f0a3c1e-0001-4002-8003-0123456789ab"

/* A new sparse file; its path in `path`. */
static int make_file(char path[PATH_MAX], uint64_t bytes)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, PATH_MAX, "%s/l2t-swap-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* Standard output of a program. False: it is not installed. */
static bool run(const char *const argv[], char *out, size_t size)
{
	const struct proc_limits limits = { .timeout_ms = 30000, .out_bytes = 65536 };
	struct proc_result r;
	int e = proc_run(argv, &limits, NULL, 0, &r);

	if (e == -ENOENT)
		return false;
	assert_int_equal(e, 0);
	if (r.exit_code)
		fail_msg("%s: %d, %s", argv[0], r.exit_code, r.err);
	snprintf(out, size, "%s", r.out ? r.out : "");
	proc_result_fini(&r);
	return true;
}

static void set_path(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s:/usr/sbin:/sbin", getenv("PATH"));
	setenv("PATH", path, 1);
}

static void test_written_and_read(void **state)
{
	static uint8_t buf[SWAP_PAGE_MAX];
	struct swap_header h;

	(void)state;
	for (uint32_t page = SWAP_PAGE_MIN; page <= SWAP_PAGE_MAX; page *= 2) {
		char path[PATH_MAX], err[PLAN_ERRLEN];
		_cleanup_close_ int fd = make_file(path, 2 * MIB);
		struct plan_source s;

		assert_int_equal(swap_write(fd, 0, 2 * MIB, page, UUID, "sixteen letters!"), 0);
		assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
		assert_int_equal(swap_read(buf, sizeof(buf), &h), 0);
		assert_int_equal(h.page, page);
		assert_string_equal(h.label, "sixteen letters!");
		assert_false(h.hibernated);
		assert_int_equal(get_le32(buf + 1028), 2 * MIB / page - 1);
		/* libblkid, by way of the probe, has the same opinion. */
		assert_int_equal(probe_source(NULL, path, &s, err), 0);
		assert_string_equal(s.type, "swap");
		assert_string_equal(s.uuid, UUID);
		assert_string_equal(s.label, "sixteen letters!");
		assert_int_equal(s.swap_page, page);
		unlink(path);
	}
}

static void test_at_an_offset(void **state)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = make_file(path, 8 * MIB);
	static uint8_t buf[8 << 20];
	struct swap_header h;

	(void)state;
	unlink(path);
	assert_int_equal(swap_write(fd, MIB, 3 * MIB, 4096, "", ""), 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(swap_read(buf + MIB, MIB, &h), 0);
	assert_true(uuid_is_null(h.uuid));
	memset(buf + MIB, 0, 4096);
	for (size_t i = 0; i < sizeof(buf); i++)
		if (buf[i])
			fail_msg("a byte at %zu", i);
}

/* The same bytes as mkswap's, but for nothing. */
static void test_as_mkswap_writes_it(void **state)
{
	char ours[PATH_MAX], theirs[PATH_MAX], out[4096];
	_cleanup_close_ int a = make_file(ours, 3 * MIB + 512),
			    b = make_file(theirs, 3 * MIB + 512);
	const char *const mkswap[] = { "mkswap", "-p",	  "4096", "-U", UUID,
				       "-L",	 "swap0", theirs, NULL };
	const char *const swaplabel[] = { "swaplabel", ours, NULL };
	static uint8_t x[4096], y[4096];
	bool there;

	(void)state;
	set_path();
	assert_int_equal(swap_write(a, 0, 3 * MIB + 512, 4096, UUID, "swap0"), 0);
	there = run(mkswap, out, sizeof(out)) && run(swaplabel, out, sizeof(out));
	if (there) {
		assert_non_null(strstr(out, "LABEL: swap0"));
		assert_non_null(strstr(out, UUID));
		assert_int_equal(pread(a, x, sizeof(x), 0), sizeof(x));
		assert_int_equal(pread(b, y, sizeof(y), 0), sizeof(y));
		assert_memory_equal(x, y, sizeof(x));
	}
	unlink(ours);
	unlink(theirs);
	if (!there)
		skip();
}

static void test_bad_writes(void **state)
{
	char path[PATH_MAX];
	int fd = make_file(path, MIB);

	(void)state;
	unlink(path);
	assert_int_equal(swap_write(fd, 0, MIB, 4096, "no uuid", ""), -EINVAL);
	assert_int_equal(swap_write(fd, 0, MIB, 4096, UUID, "seventeen letters"), -EINVAL);
	assert_int_equal(swap_write(fd, 0, MIB, 4095, UUID, ""), -EINVAL);
	assert_int_equal(swap_write(fd, 0, MIB, 2048, UUID, ""), -EINVAL);
	assert_int_equal(swap_write(fd, 0, MIB, 131072, UUID, ""), -EINVAL);
	assert_int_equal(swap_write(fd, 0, 40959, 4096, UUID, ""), -ENOSPC);
	assert_int_equal(swap_write(fd, 0, 40960, 4096, UUID, ""), 0);
	close(fd);
	assert_int_equal(swap_write(fd, 0, MIB, 4096, UUID, ""), -EBADF);
}

/* --- What is there --- */

static void test_images_of_memory(void **state)
{
	static const char *const magics[] = { "S1SUSPEND",  "S2SUSPEND",
					      "ULSUSPEND",  "LINHIB0001",
					      "LINHIB0002", "\xed\xc3\x02\xe9\x98\x56\xe5\x0c" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
		char path[PATH_MAX], err[PLAN_ERRLEN];
		_cleanup_close_ int fd = make_file(path, MIB);
		struct plan_source s;
		char magic[10] = "";

		memcpy(magic, magics[i], MIN(strlen(magics[i]), sizeof(magic)));
		assert_int_equal(swap_write(fd, 0, MIB, 4096, UUID, "x"), 0);
		assert_int_equal(pwrite(fd, magic, sizeof(magic), 4086), sizeof(magic));
		assert_int_equal(probe_source(NULL, path, &s, err), 0);
		if (!s.hibernated)
			fail_msg("%s is not seen", magics[i]);
		assert_int_equal(s.swap_page, 0);
		unlink(path);
	}
}

static void test_no_swap_of_ours(void **state)
{
	static uint8_t buf[SWAP_PAGE_MAX];
	struct swap_header h = { .page = 4096 };

	(void)state;
	assert_int_equal(swap_read(buf, sizeof(buf), &h), -ENOENT);
	assert_int_equal(swap_build(&h, MIB, buf), 0);
	assert_int_equal(swap_read(buf, 4095, &h), -ENOENT);
	buf[1024] = 2; /* a version to come */
	assert_int_equal(swap_read(buf, sizeof(buf), &h), -EPROTONOSUPPORT);
	memcpy(buf + 4086, "SWAP-SPACE", 10); /* a version that is gone */
	buf[1024] = 1;
	assert_int_equal(swap_read(buf, sizeof(buf), &h), -EPROTONOSUPPORT);
}

/* mke2fs leaves the magic of the swap that was there: a file system is never taken for swap. */
static void test_file_system_over_swap(void **state)
{
	char path[PATH_MAX], err[PLAN_ERRLEN], out[4096];
	const char *const mke2fs[] = { "mke2fs", "-q", "-F", "-L", "root", path, NULL };
	int fd = make_file(path, 4 * MIB);
	struct plan_source s;

	(void)state;
	set_path();
	if (!run(mke2fs, out, sizeof(out)))
		skip();
	assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, 4086), 10);
	assert_int_equal(probe_source(NULL, path, &s, err), 0);
	assert_int_equal(s.swap_page, 0);
	assert_false(s.hibernated);
	assert_string_not_equal(s.type, "swap");
	unlink(path);
	close(fd);
}

static void expect_no_source(const char *path, int error, const char *words)
{
	char err[PLAN_ERRLEN] = "";
	struct plan_source s;

	assert_int_equal(probe_source(NULL, path, &s, err), error);
	if (!strstr(err, words))
		fail_msg("%s: \"%s\", not \"%s\"", path, err, words);
}

static void test_no_source(void **state)
{
	char path[PATH_MAX], fifo[PATH_MAX];
	int fd = make_file(path, 0);

	(void)state;
	expect_no_source(path, -ENODATA, "is empty");
	expect_no_source("/nowhere/at/all", -ENOENT, "does not exist on this host");
	expect_no_source("relative", -EINVAL, "not an absolute path");
	expect_no_source("/tmp", -ENODEV, "neither a block device nor a regular file");
	expect_no_source("/dev/null", -ENODEV, "neither");
	close(fd);
	unlink(path);
	/* One that nobody writes to would keep us for ever. */
	snprintf(fifo, sizeof(fifo), "%.4000s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_no_source(fifo, -ENODEV, "neither");
	unlink(fifo);
}

static void test_text_of_a_label(void **state)
{
	char path[PATH_MAX], err[PLAN_ERRLEN];
	_cleanup_close_ int fd = make_file(path, MIB);
	struct plan_source s;

	(void)state;
	assert_int_equal(swap_write(fd, 0, MIB, 4096, UUID, "a\xff\nb\xc3\xa4\xc2\x85"), 0);
	assert_int_equal(probe_source(NULL, path, &s, err), 0);
	assert_string_equal(s.label, "a??b\xc3\xa4??");
	unlink(path);
}

static void test_tiny_sources(void **state)
{
	static const uint64_t sizes[] = { 1, 511, 512, 513, 1024, 4096, 40959 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char path[PATH_MAX], err[PLAN_ERRLEN] = "";
		_cleanup_close_ int fd = make_file(path, sizes[i]);
		struct plan_source s;
		int r;

		if (sizes[i] >= 4096)
			assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, 4086), 10);
		r = probe_source(NULL, path, &s, err);
		unlink(path);
		if (r)
			fail_msg("%" PRIu64 ": %s", sizes[i], err);
		assert_true(s.bytes == sizes[i]);
		assert_int_equal(s.swap_page, 0);
	}
}

/* --- Sizes as text --- */

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int error;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0, 0 },
		{ "77", 0, 77 },
		{ "77B", 0, 77 },
		{ "10G", 0, UINT64_C(10) << 30 },
		{ "10g", 0, UINT64_C(10) << 30 },
		{ "10GiB", 0, UINT64_C(10) << 30 },
		{ "4K", 0, 4096 },
		{ "3s", 0, 1536 },
		{ "8191P", 0, UINT64_C(8191) << 50 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "99999999999999999999999", -ERANGE, 0 },
		{ "8192P", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "G", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "10GB", -EINVAL, 0 },
		{ "10GiBs", -EINVAL, 0 },
		{ "10x", -EINVAL, 0 },
		{ "1siB", -EINVAL, 0 },
		{ "1b", -EINVAL, 0 },
	};
	char buf[SIZE_STRLEN];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t v = 0, again = 1;
		int r = size_parse(rows[i].text, &v);

		if (r != rows[i].error || v != (r ? 0 : rows[i].bytes))
			fail_msg("%s: %d, %" PRIu64, rows[i].text, r, v);
		if (r)
			continue;
		assert_int_equal(size_parse(size_format(v, buf), &again), 0);
		assert_true(again == v);
	}
	assert_string_equal(size_format(UINT64_C(10) << 30, buf), "10G");
	assert_string_equal(size_format(UINT64_C(1536) << 20, buf), "1536M");
	assert_string_equal(size_format(UINT64_C(1000001) * 512, buf), "1000001s");
	assert_string_equal(size_format(77, buf), "77");
	assert_string_equal(size_format(0, buf), "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_and_read),
		cmocka_unit_test(test_at_an_offset),
		cmocka_unit_test(test_as_mkswap_writes_it),
		cmocka_unit_test(test_bad_writes),
		cmocka_unit_test(test_images_of_memory),
		cmocka_unit_test(test_no_swap_of_ours),
		cmocka_unit_test(test_file_system_over_swap),
		cmocka_unit_test(test_no_source),
		cmocka_unit_test(test_text_of_a_label),
		cmocka_unit_test(test_tiny_sources),
		cmocka_unit_test(test_sizes),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
