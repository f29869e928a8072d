/* What stands on standard error: levels, areas, one line for each call, the journal's form. */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static char got[8192];
static int saved = -1;
static int file = -1;

/* Standard error into a file, from here to captured(). */
static void capture(void)
{
	char name[] = "/tmp/test_log.XXXXXX";

	saved = dup(STDERR_FILENO);
	file = mkstemp(name);
	assert_true(file >= 0);
	unlink(name);
	dup2(file, STDERR_FILENO);
}

static const char *captured(void)
{
	ssize_t n = pread(file, got, sizeof(got) - 1, 0);

	dup2(saved, STDERR_FILENO);
	close(saved);
	close(file);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void plain_lines(void **state)
{
	(void)state;
	log_init(LOG_TO_STDERR, "l2tund");
	capture();
	log_err(LOG_CORE, "tunnel %s: gone", "sv");
	log_warn(LOG_CORE, "careful");
	log_notice(LOG_CORE, "down -> up");
	log_info(LOG_CORE, "not shown");
	log_debug(LOG_CORE, "not shown");
	assert_string_equal(captured(), "l2tund: error: tunnel sv: gone\n"
					"l2tund: warning: careful\n"
					"l2tund: down -> up\n");
}

static void areas(void **state)
{
	(void)state;
	log_init(LOG_TO_STDERR, "x");
	log_set_area_level(LOG_SESSION, LOGL_INFO);
	log_set_area_level(LOG_KERNEL, LOGL_ERR);
	assert_true(log_enabled(LOG_SESSION, LOGL_INFO));
	assert_false(log_enabled(LOG_SESSION, LOGL_DEBUG));
	assert_false(log_enabled(LOG_KERNEL, LOGL_WARN));
	assert_true(log_enabled(LOG_CONTROL, LOGL_NOTICE));
	assert_false(log_enabled(LOG_CONTROL, LOGL_INFO));
	capture();
	log_info(LOG_SESSION, "a");
	log_info(LOG_CONTROL, "b");
	log_warn(LOG_KERNEL, "c");
	assert_string_equal(captured(), "x: info: a\n");
}

/* With debug on, lines carry the time and debug lines their area. */
static void debug_lines(void **state)
{
	int h, m, s, ms, end = 0;

	(void)state;
	log_init(LOG_TO_STDERR, "x");
	log_set_area_level(LOG_TOPOLOGY, LOGL_DEBUG);
	capture();
	log_debug(LOG_TOPOLOGY, "edge 7");
	assert_int_equal(sscanf(captured(), "x: %2d:%2d:%2d.%3d debug: topology: edge 7\n%n", &h,
				&m, &s, &ms, &end),
			 4);
	assert_int_equal(end, strlen(got));
	log_set_level(LOGL_NOTICE);
	capture();
	log_notice(LOG_TOPOLOGY, "no time");
	assert_string_equal(captured(), "x: no time\n");
}

static void no_forged_lines(void **state)
{
	(void)state;
	log_init(LOG_TO_STDERR, "x");
	capture();
	log_notice(LOG_CORE, "name %s", "a\nx: error: b\r\x1b[2J\x7f b\xc3\xbc");
	assert_string_equal(captured(), "x: name a?x: error: b??[2J? b\xc3\xbc\n");
}

static void long_lines(void **state)
{
	char big[5000];

	(void)state;
	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_init(LOG_TO_STDERR, "x");
	capture();
	log_notice(LOG_CORE, "%s", big);
	captured();
	assert_true(strlen(got) > 1900 && strlen(got) < 2049);
	assert_int_equal(got[strlen(got) - 1], '\n');
	assert_int_equal(got[strlen(got) - 2], 'y');
}

static void keeps_errno(void **state)
{
	(void)state;
	log_init(LOG_TO_STDERR, "x");
	capture();
	errno = ENOENT;
	log_notice(LOG_CORE, "open: %m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(captured(), "x: open: No such file or directory\n");
}

static void journal(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	capture();
	assert_int_equal(fstat(file, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_TO_STDERR, "x");
	log_err(LOG_CORE, "a");
	log_notice(LOG_CORE, "b");
	assert_string_equal(captured(), "<3>a\n<5>b\n");
	/* The variable is inherited, but standard error is something else now. */
	capture();
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init(LOG_TO_STDERR, "x");
	log_notice(LOG_CORE, "b");
	assert_string_equal(captured(), "x: b\n");
	unsetenv("JOURNAL_STREAM");
}

static void words(void **state)
{
	enum log_level l = LOGL_ERR;
	enum log_area a = LOG_CORE;

	(void)state;
	for (int i = LOGL_ERR; i <= LOGL_DEBUG; i++) {
		assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &l), 0);
		assert_int_equal(l, i);
	}
	assert_int_equal(log_level_parse("warning", &l), 0);
	assert_int_equal(l, LOGL_WARN);
	assert_int_equal(log_level_parse("error", &l), 0);
	assert_int_equal(l, LOGL_ERR);
	assert_int_equal(log_level_parse("loud", &l), -EINVAL);
	assert_int_equal(log_level_parse("", &l), -EINVAL);
	for (int i = 0; i < LOG_AREAS; i++) {
		assert_int_equal(log_area_parse(log_area_name((enum log_area)i), &a), 0);
		assert_int_equal(a, i);
	}
	assert_int_equal(log_area_parse("nothing", &a), -EINVAL);
}

static void limit(void **state)
{
	struct log_limit l = { 0 };
	uint64_t n = 99;

	(void)state;
	assert_true(log_limit_pass(&l, 1000, 500, &n));
	assert_int_equal(n, 0);
	assert_false(log_limit_pass(&l, 1001, 500, &n));
	assert_false(log_limit_pass(&l, 1499, 500, &n));
	assert_true(log_limit_pass(&l, 1500, 500, &n));
	assert_int_equal(n, 2);
	assert_true(log_limit_pass(&l, 2500, 500, &n));
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_lines), cmocka_unit_test(areas),
		cmocka_unit_test(debug_lines), cmocka_unit_test(no_forged_lines),
		cmocka_unit_test(long_lines),  cmocka_unit_test(keeps_errno),
		cmocka_unit_test(journal),     cmocka_unit_test(words),
		cmocka_unit_test(limit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
