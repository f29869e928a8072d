/*
 * One run: parse, show help or call the row's handler, turn errors into one line and an exit
 * code. Handlers ask the daemon through cmd_ask() and write through call->out.
 */
#include "bridgectl/cmd.h"
#include "bridgectl/domain/convert_keys.h"

#include <stdarg.h>
#include <string.h>

#include "build-config.h"
#include "common/control.h"
#include "common/signals.h"
#include "common/util.h"

void cmd_error(const char *fmt, ...)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_free_ char *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&raw, fmt, ap) < 0)
		raw = NULL;
	va_end(ap);
	clean = out_clean(raw ? raw : "out of memory");
	/* What was written so far comes first also when both go to one file. */
	fflush(stdout);
	fprintf(stderr, "bridgectl: %s\n", clean);
}

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	stopped = signal;
}

/* Ignored by whom: nohup(1), and a shell for what runs in the background. */
const volatile sig_atomic_t *cmd_catch_stop(void)
{
	static const int stop[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction a = { .sa_handler = on_signal };
	sigset_t heeded;

	signals_heeded(stop, ARRAY_SIZE(stop), &heeded);
	for (unsigned i = 0; i < ARRAY_SIZE(stop); i++)
		if (sigismember(&heeded, stop[i]) == 1)
			sigaction(stop[i], &a, NULL);
	return &stopped;
}

static void print_details(const json_t *details)
{
	const json_t *line;
	size_t i;

	json_array_foreach(details, i, line) {
		_cleanup_free_ char *clean = NULL;

		if (!json_is_string(line))
			continue;
		clean = out_clean(json_string_value(line));
		fprintf(stderr, "  %s\n", clean);
	}
}

static const char *advice(const struct client_error *err)
{
	if (!strcmp(err->code, "not-permitted"))
		return "; run this as root";
	if (!strcmp(err->code, "no-method"))
		return "; the daemon is older than this bridgectl: restart it after an upgrade";
	return "";
}

json_t *cmd_try(struct cmd_call *call, const char *method, json_t *params, struct client_error *err)
{
	if (!call->client)
		call->client = client_connect(call->socket, CLIENT_TIMEOUT_MS, err);
	if (call->client)
		return client_call(call->client, method, params, err);
	json_decref(params);
	return NULL;
}

json_t *cmd_ask(struct cmd_call *call, const char *method, json_t *params)
{
	struct client_error err = { 0 };
	json_t *result = cmd_try(call, method, params, &err);

	if (!result) {
		call->failed = err.unreachable ? EXIT_UNREACHABLE : EXIT_FAILED;
		cmd_error("%s%s", err.message, advice(&err));
		print_details(err.details);
	}
	client_error_fini(&err);
	return result;
}

static enum exit_code show_help(struct cmd_call *call)
{
	if (call->version) {
		out_line(&call->out, STYLE_NONE, "bridgectl %s", PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (call->cmd)
		cmd_help_one(&call->out, call->cmd);
	else if (!call->n_args || !cmd_help_group(&call->out, call->args[0]))
		cmd_help_all(&call->out);
	return EXIT_DONE;
}

/* A full disk or a closed pipe must not look like success. */
static enum exit_code finish(struct cmd_call *call, enum exit_code code)
{
	client_free(call->client);
	if (fflush(stdout) || ferror(stdout)) {
		cmd_error("cannot write the output: %m");
		return code == EXIT_DONE ? EXIT_FAILED : code;
	}
	return code;
}

/* A monitoring system takes 2 for "critical"; what could not be asked is 3, "unknown". */
static int usage_code(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			return strcmp(argv[i], "check") ? EXIT_USAGE : EXIT_UNREACHABLE;
	return EXIT_USAGE;
}

int cmd_main(int argc, char **argv)
{
	struct cmd_call call = { .socket = CONTROL_SOCKET };
	char err[256] = "";

	if (argc > 1 && !strcmp(argv[1], "__complete")) {
		out_init(&call.out, stdout, COLOR_NEVER);
		return (int)cmd_complete(&call.out, argv + 2, (unsigned)argc - 2);
	}
	/* The table of doc/domains.md, for tests/golden/test_domain_keys.py. */
	if (argc > 1 && !strcmp(argv[1], "__keys")) {
		convert_keys_print(stdout);
		return EXIT_DONE;
	}
	if (!cmd_parse(argc, argv, &call, err)) {
		cmd_error("%s", err);
		return usage_code(argc, argv);
	}
	out_init(&call.out, stdout, call.color);
	call.out.json = call.json;
	call.out.quiet = call.quiet;
	return (int)finish(&call,
			   call.help || call.version ? show_help(&call) : call.cmd->fn(&call));
}
