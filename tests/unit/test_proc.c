/* Other programs: what they say, how they end, and what happens when they do not. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/proc.h"
#include "common/util.h"

#define BIG ((size_t)3 << 20) /* more than any pipe holds */

static const struct proc_limits usual = { .timeout_ms = 20000, .out_bytes = 2 * BIG };

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int sh(const char *script, const struct proc_limits *l, const char *in, size_t len,
	      struct proc_result *ret)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	return proc_run(argv, l, in, len, ret);
}

static void text_goes_through(void **state)
{
	struct proc_result r;

	(void)state;
	assert_int_equal(sh("cat; echo oops >&2; exit 3", &usual, "in\0side", 7, &r), 0);
	assert_int_equal(r.exit_code, 3);
	assert_int_equal(r.out_len, 7);
	assert_memory_equal(r.out, "in\0side", 8);
	assert_string_equal(r.err, "oops\n");
	proc_result_fini(&r);
}

static void much_text_goes_through(void **state)
{
	char *text = malloc(BIG);
	struct proc_result r;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < BIG; i++)
		text[i] = (char)(i % 251);
	assert_int_equal(sh("cat", &usual, text, BIG, &r), 0);
	assert_int_equal(r.out_len, BIG);
	assert_memory_equal(r.out, text, BIG);
	proc_result_fini(&r);
	free(text);
}

/* No shell: what would be one's signs are letters. */
static void arguments_are_not_read(void **state)
{
	const char *const argv[] = { "printf", "%s", "$(id); `id` * \"x'", NULL };
	struct proc_result r;

	(void)state;
	assert_int_equal(proc_run(argv, &usual, NULL, 0, &r), 0);
	assert_string_equal(r.out, "$(id); `id` * \"x'");
	proc_result_fini(&r);
}

static void silent_program_has_no_text(void **state)
{
	struct proc_result r;

	(void)state;
	assert_int_equal(sh("exit 0", &usual, NULL, 0, &r), 0);
	assert_int_equal(r.out_len, 0);
	assert_int_equal(r.exit_code, 0);
	assert_string_equal(r.err, "");
	proc_result_fini(&r);
}

static void missing_program(void **state)
{
	const char *const argv[] = { "l2tund-no-such-program", NULL };
	struct proc_result r;

	(void)state;
	assert_int_equal(proc_run(argv, &usual, "x", 1, &r), -ENOENT);
	assert_null(r.out);
}

/* A signal that was ours to get anyway stays ours; one that this has caused does not. */
static void who_does_not_read_kills_nobody(void **state)
{
	char *text = calloc(1, BIG);
	struct proc_result r;
	sigset_t pending;

	(void)state;
	assert_int_equal(sh("exit 4", &usual, text, BIG, &r), 0);
	assert_int_equal(r.exit_code, 4);
	proc_result_fini(&r);
	free(text);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
}

static void signal_is_told(void **state)
{
	struct proc_result r;

	(void)state;
	assert_int_equal(sh("kill -TERM $$", &usual, NULL, 0, &r), 0);
	assert_int_equal(r.exit_code, 128 + SIGTERM);
	proc_result_fini(&r);
}

static void slow_one_is_killed(void **state)
{
	static const struct proc_limits quick = { .timeout_ms = 200, .out_bytes = BIG };
	/* The second has a child that holds the pipes, the third waits with its pipes closed. */
	static const char *const scripts[] = { "exec sleep 60", "sleep 60 & sleep 60",
					       "exec sleep 60 <&- >&- 2>&-" };
	struct proc_result r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++) {
		int64_t start = now_ms();

		assert_int_equal(sh(scripts[i], &quick, NULL, 0, &r), -ETIMEDOUT);
		assert_true(now_ms() - start < 20000);
		assert_null(r.out);
	}
}

static void talkative_one_is_killed(void **state)
{
	static const struct proc_limits small = { .timeout_ms = 20000, .out_bytes = 100000 };
	struct proc_result r;

	(void)state;
	assert_int_equal(sh("yes", &small, NULL, 0, &r), -EMSGSIZE);
	assert_null(r.out);
}

static void long_complaint_is_cut(void **state)
{
	struct proc_result r;

	(void)state;
	assert_int_equal(sh("yes | head -c 1000000 >&2; echo done", &usual, NULL, 0, &r), 0);
	assert_int_equal(strlen(r.err), PROC_ERRLEN - 1);
	assert_string_equal(r.out, "done\n");
	proc_result_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_goes_through),
		cmocka_unit_test(much_text_goes_through),
		cmocka_unit_test(arguments_are_not_read),
		cmocka_unit_test(silent_program_has_no_text),
		cmocka_unit_test(missing_program),
		cmocka_unit_test(who_does_not_read_kills_nobody),
		cmocka_unit_test(signal_is_told),
		cmocka_unit_test(slow_one_is_killed),
		cmocka_unit_test(talkative_one_is_killed),
		cmocka_unit_test(long_complaint_is_cut),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
