/*
 * The parts of bridgectl that need no daemon: the rows, parsing, suggestions, the filter for
 * foreign text, units, tables, and the client against a socket that this test holds itself.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "bridgectl/client.h"
#include "bridgectl/cmd.h"
#include "bridgectl/out.h"
#include "common/control.h"
#include "common/util.h"

/* --- Rows --- */

static void test_rows(void **state)
{
	unsigned min, max;

	(void)state;
	for (unsigned i = 0; i < cmd_table_len; i++) {
		const struct cmd *c = &cmd_table[i];

		assert_non_null(c->fn);
		assert_true(c->words[0] && c->summary[0]);
		assert_int_not_equal(c->summary[strlen(c->summary) - 1], '.');
		assert_true(strlen(c->summary) <= 64);
		cmd_count_args(c->args, &min, &max);
		assert_true(min <= max && max <= CMD_ARGS_MAX);
		for (unsigned k = 0; k < CMD_OPTIONS_MAX && c->options[k].name; k++) {
			assert_int_equal(strncmp(c->options[k].name, "--", 2), 0);
			assert_true(c->options[k].summary[0]);
			/* The short form of a command's option must not hide a global one. */
			for (unsigned g = 0; g < cmd_global_options_len; g++) {
				assert_string_not_equal(c->options[k].name,
							cmd_global_options[g].name);
				assert_true(!c->options[k].letter ||
					    c->options[k].letter != cmd_global_options[g].letter);
			}
		}
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(c->words, cmd_table[k].words);
	}
}

static void test_args_pattern(void **state)
{
	unsigned min, max;
	char name[32];

	(void)state;
	cmd_count_args("", &min, &max);
	assert_int_equal(min, 0);
	assert_int_equal(max, 0);
	cmd_count_args("LEVEL [AREA]", &min, &max);
	assert_int_equal(min, 1);
	assert_int_equal(max, 2);
	cmd_count_args("[COMMAND...]", &min, &max);
	assert_int_equal(min, 0);
	assert_int_equal(max, CMD_ARGS_MAX);
	cmd_arg_name("LEVEL [AREA]", 0, name, sizeof(name));
	assert_string_equal(name, "LEVEL");
	cmd_arg_name("LEVEL [AREA]", 1, name, sizeof(name));
	assert_string_equal(name, "AREA");
	cmd_arg_name("LEVEL [AREA]", 2, name, sizeof(name));
	assert_string_equal(name, "");
	cmd_arg_name("[COMMAND...]", 0, name, sizeof(name));
	assert_string_equal(name, "COMMAND");
}

/* Words separated by single blanks, at most 12. */
static bool parse(const char *line, struct cmd_call *call, char *err)
{
	static char copy[256];
	char *argv[13] = { (char *)"bridgectl" }, *save = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w && argc < 13; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	*call = (struct cmd_call){ .socket = CONTROL_SOCKET };
	err[0] = '\0';
	return cmd_parse(argc, argv, call, err);
}

static void test_parse(void **state)
{
	struct cmd_call call;
	char err[256];

	(void)state;
	assert_true(parse("tunnel show sv", &call, err));
	assert_string_equal(call.cmd->words, "tunnel show");
	assert_int_equal(call.n_args, 1);
	assert_string_equal(call.args[0], "sv");
	assert_string_equal(call.socket, CONTROL_SOCKET);
	assert_false(call.json || call.quiet || call.verbose || call.help);

	assert_true(parse("-s /tmp/x --json tunnel --color=never show -q sv -v", &call, err));
	assert_string_equal(call.cmd->words, "tunnel show");
	assert_string_equal(call.socket, "/tmp/x");
	assert_true(call.json && call.quiet && call.verbose);
	assert_int_equal(call.color, COLOR_NEVER);

	assert_true(parse("-s/tmp/y --socket=/tmp/z status", &call, err));
	assert_string_equal(call.socket, "/tmp/z");
	assert_true(parse("-s/tmp/y status", &call, err));
	assert_string_equal(call.socket, "/tmp/y");

	assert_true(parse("events -f -n 5", &call, err));
	assert_string_equal(call.options[0], "");
	assert_string_equal(call.options[1], "5");
	assert_true(parse("events --lines=7", &call, err));
	assert_null(call.options[0]);
	assert_string_equal(call.options[1], "7");

	/* After -- everything is a word, also what looks like an option. */
	assert_true(parse("tunnel show -- --json", &call, err));
	assert_string_equal(call.args[0], "--json");
	assert_false(call.json);
	/* Help needs no arguments. */
	assert_true(parse("tunnel show --help", &call, err));
	assert_true(call.help);
	assert_string_equal(call.cmd->words, "tunnel show");
	assert_true(parse("tunnel --help", &call, err));
	assert_null(call.cmd);
	assert_true(parse("--version", &call, err));
	assert_true(call.version);
}

static void assert_usage(const char *line, const char *text)
{
	struct cmd_call call;
	char err[256];

	if (parse(line, &call, err))
		fail_msg("`%s` was taken", line);
	if (!strstr(err, text))
		fail_msg("`%s`: \"%s\" not in \"%s\"", line, text, err);
}

static void test_usage_errors(void **state)
{
	(void)state;
	assert_usage("", "which command?");
	assert_usage("tunnel", "tunnel --help");
	assert_usage("tunnel show", "too few arguments; usage: bridgectl tunnel show TUNNEL");
	assert_usage("tunnel show a b", "too many");
	assert_usage("status a b c d e f g h", "too many");
	assert_usage("log debug core x", "too many");
	assert_usage("status --bogus", "unknown option \"--bogus\"");
	assert_usage("-f events", "before any command");
	assert_usage("status -f", "unknown option \"-f\"");
	assert_usage("status --json=yes", "takes no value");
	assert_usage("status -s", "needs a value");
	assert_usage("status --color=pink", "auto, always or never");
	assert_usage("events -n", "needs a value");
	assert_usage("disk layout a --dir=", "the value of --dir is empty");
	assert_usage("events -fx", "unknown option");
	assert_usage("status \xff", "not valid UTF-8");
}

static void test_suggestions(void **state)
{
	(void)state;
	assert_usage("tunel list", "did you mean tunnel list?");
	assert_usage("tunnel shwo sv", "did you mean tunnel show?");
	assert_usage("domain strat web1 --from xen1", "did you mean domain start?");
	assert_usage("stats", "did you mean status?");
	assert_usage("evnets", "did you mean events?");
	assert_usage("xyzzy", "there is no command \"xyzzy\"; try bridgectl --help");
	assert_usage("xy", "try bridgectl --help");
	assert_usage("watch", "watch: not supported yet");
	assert_usage("tunnel add sv", "tunnel add: not supported yet");
	assert_usage("domain defin x", "did you mean domain define?");
	assert_usage("migrate run x", "migrate: not supported yet");
	assert_usage(
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"there is no command");
}

/* --- Text --- */

static void assert_clean(const char *in, const char *want)
{
	char *got = out_clean(in);
	char *again = out_clean(got);

	assert_string_equal(got, want);
	assert_string_equal(again, want);
	free(got);
	free(again);
}

static void test_clean(void **state)
{
	(void)state;
	assert_clean("", "");
	assert_clean("br-sv \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
		     "br-sv \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
	assert_clean("\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m");
	assert_clean("a\nb\tc\x7f\x07", "a\\x0ab\\x09c\\x7f\\x07");
	/* C1 controls, which some terminals obey, also as UTF-8: CSI is U+009B. */
	assert_clean("\x9b"
		     "31m",
		     "\\x9b31m");
	assert_clean("\xc2\x9b"
		     "31m",
		     "\\u009b31m");
	/* Text that runs backwards, and text that is not there. */
	assert_clean("\xe2\x80\xae"
		     "evil",
		     "\\u202eevil");
	assert_clean("a\xe2\x80\x8b"
		     "b",
		     "a\\u200bb");
	assert_clean("\xf3\xa0\x80\x81", "\\U0e0001");
	/* Overlong, surrogate, too large, cut off. */
	assert_clean("\xc0\xaf", "\\xc0\\xaf");
	assert_clean("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	assert_clean("\xed\xa0\x80", "\\xed\\xa0\\x80");
	assert_clean("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	assert_clean("\xe2\x82", "\\xe2\\x82");
	assert_int_equal(out_columns("a\xe2\x82\xac"
				     "b"),
			 3);
}

static void test_units(void **state)
{
	char b[UNIT_LEN];

	(void)state;
	assert_string_equal(unit_bytes(0, b), "0 B");
	assert_string_equal(unit_bytes(1023, b), "1023 B");
	assert_string_equal(unit_bytes(1536, b), "1.50 KiB");
	assert_string_equal(unit_bytes(123456789, b), "118 MiB");
	assert_string_equal(unit_bytes(1e18, b), "888 PiB");
	assert_string_equal(unit_bytes(1e30, b), "888178419700125 PiB");
	assert_string_equal(unit_count(999, b), "999");
	assert_string_equal(unit_count(12345, b), "12.3k");
	assert_string_equal(unit_duration_s(0, b), "0 s");
	assert_string_equal(unit_duration_s(59.9, b), "59 s");
	assert_string_equal(unit_duration_s(60, b), "1 min");
	assert_string_equal(unit_duration_s(3725, b), "1 h 2 min");
	assert_string_equal(unit_duration_s(90061, b), "1 d 1 h");
	assert_string_equal(unit_duration_s(-5, b), "0 s");
	assert_string_equal(unit_rtt_us(421, b), "0.42 ms");
	assert_string_equal(unit_rtt_us(25400, b), "25 ms");
	assert_string_equal(unit_percent(0, b), "0 %");
	assert_string_equal(unit_percent(0.012, b), "1.2 %");
	assert_string_equal(unit_percent(1, b), "100 %");
}

static char *table_text(unsigned width)
{
	static const struct column columns[] = {
		{ "NAME", false, 0 }, { "LONG", false, 2 }, { "N", true, 0 }, { "X", false, 1 }
	};
	struct out o = { .width = width };
	char *text = NULL;
	struct table *t;
	size_t size;

	o.f = open_memstream(&text, &size);
	t = table_new(&o, columns, ARRAY_SIZE(columns));
	table_cell(t, STYLE_BAD, "%s", "a\033");
	table_cell(t, STYLE_NONE, "%s", "twelve chars");
	table_cell(t, STYLE_NONE, "%d", 7);
	table_cell(t, STYLE_NONE, "%s", "");
	table_cell(t, STYLE_NONE, "%s", "\xc3\xa4");
	table_cell(t, STYLE_NONE, "%s", "b");
	table_cell(t, STYLE_NONE, "%d", 1234);
	table_cell(t, STYLE_NONE, "%s", "y");
	table_end(t);
	fclose(o.f);
	return text;
}

static void test_table(void **state)
{
	char *s;

	(void)state;
	s = table_text(0);
	assert_string_equal(s, "  NAME   LONG             N  X\n"
			       "  a\\x1b  twelve chars     7  -\n"
			       "  \xc3\xa4      b             1234  y\n");
	free(s);
	s = table_text(20);
	assert_string_equal(s, "  NAME      N  X\n"
			       "  a\\x1b     7  -\n"
			       "  \xc3\xa4      1234  y\n");
	free(s);
	s = table_text(5);
	assert_string_equal(s, "  NAME      N\n"
			       "  a\\x1b     7\n"
			       "  \xc3\xa4      1234\n");
	free(s);
}

/* --- Client --- */

static int read_line(const char *line, json_t **event, json_t **result, struct client_error *err)
{
	*event = *result = NULL;
	client_error_fini(err);
	*err = (struct client_error){ 0 };
	return client_read_line(line, strlen(line), 7, event, result, err);
}

static void test_read_line(void **state)
{
	struct client_error err = { 0 };
	json_t *event, *result;

	(void)state;
	assert_int_equal(read_line("{\"id\":7,\"result\":[1]}", &event, &result, &err), 0);
	assert_int_equal(json_array_size(result), 1);
	json_decref(result);
	assert_int_equal(read_line("{\"event\":\"peer\"}", &event, &result, &err), 1);
	assert_non_null(event);
	json_decref(event);
	assert_int_equal(read_line("{\"id\":7,\"error\":{\"code\":\"config\",\"message\":\"m\","
				   "\"details\":[\"x\"]}}",
				   &event, &result, &err),
			 0);
	assert_null(result);
	assert_false(err.unreachable);
	assert_string_equal(err.code, "config");
	assert_string_equal(err.message, "m");
	assert_int_equal(json_array_size(err.details), 1);
	/* Turned away at the door. */
	assert_int_equal(
		read_line("{\"id\":null,\"error\":{\"code\":\"busy\"}}", &event, &result, &err), 0);
	assert_string_equal(err.code, "busy");
	assert_string_not_equal(err.message, "");
	static const char *const bad[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"id\":8,\"result\":{}}",
		"{\"id\":\"7\",\"result\":{}}",
		"{\"id\":7}",
		"{\"id\":null,\"result\":{}}",
		"{\"id\":8,\"error\":{}}",
		"{\"id\":7,\"error\":\"x\"}",
		"{\"result\":{}}",
		"{\"event\":7}",
	};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(read_line(bad[i], &event, &result, &err), -EBADMSG);
		assert_true(err.unreachable);
		assert_null(result);
	}
	client_error_fini(&err);
}

static struct client *client_pair(int timeout_ms, int *ret_far)
{
	int fds[2];
	struct client *c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	c = client_new(fds[0], "/x", timeout_ms);
	assert_non_null(c);
	*ret_far = fds[1];
	return c;
}

static void far_says(int fd, const char *s)
{
	assert_int_equal(write(fd, s, strlen(s)), strlen(s));
}

static void test_call(void **state)
{
	struct client_error err = { 0 };
	char request[256];
	struct client *c;
	json_t *r;
	int far;
	ssize_t n;

	(void)state;
	c = client_pair(5000, &far);
	far_says(far,
		 "{\"event\":\"peer\"}\n{\"id\":1,\"result\":{\"a\":1}}\n{\"event\":\"tunnel\"}\n");
	r = client_call(c, "status", json_pack("{s:s}", "name", "sv"), &err);
	assert_int_equal(json_integer_value(json_object_get(r, "a")), 1);
	json_decref(r);
	n = read(far, request, sizeof(request) - 1);
	assert_true(n > 0);
	request[n] = '\0';
	assert_string_equal(request,
			    "{\"id\":1,\"method\":\"status\",\"params\":{\"name\":\"sv\"}}\n");
	r = client_event(c, &err);
	assert_string_equal(json_string_value(json_object_get(r, "event")), "tunnel");
	json_decref(r);
	close(far);
	assert_null(client_event(c, &err));
	assert_true(err.unreachable);
	assert_non_null(strstr(err.message, "closed the connection"));
	client_free(c);
}

static void assert_call_fails(const char *reply, bool close_far, const char *text)
{
	struct client_error err = { 0 };
	struct client *c;
	int far;

	c = client_pair(50, &far);
	far_says(far, reply);
	if (close_far)
		shutdown(far, SHUT_WR);
	assert_null(client_call(c, "status", NULL, &err));
	assert_true(err.unreachable);
	if (!strstr(err.message, text))
		fail_msg("\"%s\" not in \"%s\"", text, err.message);
	client_error_fini(&err);
	client_free(c);
	close(far);
}

static void test_call_fails(void **state)
{
	(void)state;
	assert_call_fails("", false, "did not answer within 0.05 s");
	assert_call_fails("{\"id\":1,\"result\":", false, "did not answer");
	assert_call_fails("{\"event\":\"peer\"}\n", false, "did not answer");
	assert_call_fails("", true, "closed the connection");
	assert_call_fails("{\"id\":1,\"result\":{}}", true, "closed the connection");
	assert_call_fails("HTTP/1.1 400 Bad Request\r\n", true, "not l2tund's");
}

static void test_connect_fails(void **state)
{
	struct client_error err = { 0 };
	char longer[200];

	(void)state;
	assert_null(client_connect("/nonexistent/control.sock", 100, &err));
	assert_true(err.unreachable);
	assert_non_null(strstr(err.message, "there is no such socket"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(client_connect(longer, 100, &err));
	assert_non_null(strstr(err.message, "at most 107"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	    cmocka_unit_test(test_args_pattern),
		cmocka_unit_test(test_parse),	    cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_suggestions), cmocka_unit_test(test_clean),
		cmocka_unit_test(test_units),	    cmocka_unit_test(test_table),
		cmocka_unit_test(test_read_line),   cmocka_unit_test(test_call),
		cmocka_unit_test(test_call_fails),  cmocka_unit_test(test_connect_fails),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
