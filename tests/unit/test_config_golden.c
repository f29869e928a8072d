/*
 * Reads every tests/golden/config/NAME.in and compares what comes out with NAME.ok: the
 * whole report, and the effective configuration when there is one. That is also read and
 * printed again, and must not change. GOLDEN_UPDATE=1 writes the .ok files instead.
 *
 * Keys, users and groups are made up, so that the result is the same on every machine.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "l2tund/config_private.h"

/* Alice's private key of RFC 7748 section 6.1. */
static const char private_key[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

static int made_up_key(const char *path, struct key *ret, char *err)
{
	if (strstr(path, "missing")) {
		snprintf(err, KEY_ERRLEN, "%s: No such file or directory; make one", path);
		return -ENOENT;
	}
	if (strstr(path, "private"))
		return key_parse(private_key, ret);
	SHA256((const uint8_t *)path, strlen(path), ret->b);
	return 0;
}

static int made_up_host(char *buf, size_t size)
{
	snprintf(buf, size, "host-1.example.net");
	return 0;
}

static bool made_up_name(const char *name)
{
	return strcmp(name, "l2tund") == 0;
}

static struct config_hooks hooks;

/* One load as text; also gives the printed configuration, NULL when it was refused. */
static char *run(const char *name, const char *text, char **ret_printed)
{
	struct config_report report = { 0 };
	struct config *c = NULL;
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);
	int r = config_load_buffer(&hooks, name, text, strlen(text), &c, &report);

	assert_true(r == 0 || r == -EINVAL);
	assert_int_equal(r == 0, report.n_errors == 0);
	assert_int_equal(r == 0, c != NULL);
	for (unsigned i = 0; i < report.n; i++)
		fprintf(f, "%s\n", report.lines[i]);
	*ret_printed = NULL;
	if (c) {
		FILE *p = open_memstream(ret_printed, &len);

		config_print(c, p);
		fclose(p);
		fprintf(f, "--\n%s", *ret_printed);
	}
	fclose(f);
	config_free(c);
	config_report_fini(&report);
	return out;
}

static void one_file(void **state)
{
	const char *name = *state;
	char ok_name[300], *printed, *again, *second;
	_cleanup_free_ char *in = NULL, *want = NULL, *got = NULL;
	size_t len;

	snprintf(ok_name, sizeof(ok_name), "%.*s.ok", (int)strlen(name) - 3, name);
	assert_int_equal(config_hooks_system.read_file(name, &in, &len), 0);
	got = run(name, in, &printed);
	if (printed) {
		second = run("printed", printed, &again);
		assert_non_null(again);
		assert_string_equal(printed, again);
		free(second);
		free(again);
		free(printed);
	}
	if (getenv("GOLDEN_UPDATE")) {
		FILE *f = fopen(ok_name, "we");

		fputs(got, f);
		fclose(f);
		return;
	}
	assert_int_equal(config_hooks_system.read_file(ok_name, &want, &len), 0);
	assert_string_equal(got, want);
}

static int is_input(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 3 && strcmp(d->d_name + n - 3, ".in") == 0;
}

int main(void)
{
	const char *srcdir = getenv("srcdir");
	struct CMUnitTest *tests;
	struct dirent **names;
	char dir[4096];
	int n, r;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	hooks = config_hooks_system;
	hooks.read_key = made_up_key;
	hooks.host_name = made_up_host;
	hooks.user_exists = made_up_name;
	hooks.group_exists = made_up_name;
	snprintf(dir, sizeof(dir), "%s/tests/golden/config", srcdir ? srcdir : ".");
	n = chdir(dir) == 0 ? scandir(".", &names, is_input, alphasort) : -1;
	if (n <= 0) {
		printf("1..1\nnot ok 1 - no input in %s\n", dir);
		return 1;
	}
	tests = calloc((size_t)n, sizeof(*tests));
	for (int i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = names[i]->d_name,
						.test_func = one_file,
						.initial_state = names[i]->d_name };
	r = _cmocka_run_group_tests("config golden", tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	free(tests);
	return r;
}
