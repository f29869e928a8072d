/*
 * The other host's bridgectl. What it is to run is one line for the shell there, each word quoted;
 * ssh's own words come from --ssh and meet no shell here. What it prints is printed as it comes:
 * that bridgectl has cleaned it.
 */
#include "bridgectl/cmd/far.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgectl/disk/quote.h"
#include "common/util.h"

#define LOOK_MS 20

extern char **environ;

/* --- The line for the shell there --- */

static void put_option(FILE *f, const char *name, const char *value)
{
	fprintf(f, " %s", name);
	if (!*value)
		return;
	fputc('=', f);
	quote_word(f, value);
}

static void put_program(FILE *f, const struct cmd_call *call)
{
	const char *program = cmd_option(call, "--remote-bridgectl");

	quote_word(f, program ? program : "bridgectl");
}

/* The text, or NULL. */
static char *finish(FILE *f, char **text)
{
	if (fclose(f) == 0)
		return *text;
	free(*text);
	return NULL;
}

char *far_command(const struct cmd_call *call, const char *words, const char *const passed[])
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const char *v;

	if (!f)
		return NULL;
	put_program(f, call);
	fprintf(f, " %s", words);
	for (; *passed; passed++)
		for (unsigned n = 0; (v = cmd_option_nth(call, *passed, n)); n++)
			put_option(f, *passed, v);
	return finish(f, &text);
}

static bool is_ours(const char *option)
{
	return !strcmp(option, "--host") || !strcmp(option, "--ssh") ||
	       !strcmp(option, "--remote-bridgectl");
}

static char *same_command(const struct cmd_call *call)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_program(f, call);
	fprintf(f, "%s%s%s %s", call->json ? " --json" : "", call->quiet ? " --quiet" : "",
		call->verbose ? " --verbose" : "", call->cmd->words);
	for (unsigned i = 0; i < call->n_given; i++)
		if (!is_ours(call->given[i].name))
			put_option(f, call->given[i].name, call->given[i].value);
	fputs(call->n_args ? " --" : "", f);
	for (unsigned i = 0; i < call->n_args; i++) {
		fputc(' ', f);
		quote_word(f, call->args[i]);
	}
	return finish(f, &text);
}

/* --- ssh --- */

bool far_ssh_words(char *text, const char *words[], const char *host, const char *command)
{
	char *save, *word = strtok_r(text, " ", &save);
	unsigned n = 0;

	for (; word && n < FAR_SSH_WORDS - 3; word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	if (word || !n) {
		cmd_error("--ssh: no command, or too long a one");
		return false;
	}
	words[n++] = host;
	words[n++] = command;
	words[n] = NULL;
	return true;
}

/* Its end. Ctrl-C reaches it by itself; what was sent to us alone is handed on, once. */
static int await(pid_t pid)
{
	const volatile sig_atomic_t *stop = cmd_catch_stop();
	bool told = false;
	int status;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) <= 0) {
		if (r < 0 && errno != EINTR)
			return -errno;
		if (*stop && !told) {
			kill(pid, SIGTERM);
			told = true;
		}
		poll(NULL, 0, LOOK_MS);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

int far_run(const char *const argv[], int in)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int r = 0;

	fflush(stdout);
	posix_spawn_file_actions_init(&actions);
	if (in >= 0)
		r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (!r)
		r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r) {
		cmd_error("cannot run %s: %s", argv[0], strerror(r));
		return -r;
	}
	return await(pid);
}

bool far_asked(const struct cmd_call *call)
{
	return cmd_option(call, "--host") != NULL;
}

static enum exit_code exit_code_of(const struct cmd_call *call, int code)
{
	const char *host = cmd_option(call, "--host"), *given = cmd_option(call, "--ssh");

	if (code >= EXIT_DONE && code <= EXIT_RESUMABLE)
		return (enum exit_code)code;
	if (code == FAR_NO_COMMAND)
		cmd_error("%s: there is no bridgectl; see --remote-bridgectl", host);
	else if (code == FAR_SSH_FAILED)
		cmd_error("%s: ssh failed or was cut off; `%s %s true` has to work, without a "
			  "question",
			  host, given ? given : FAR_SSH_DEFAULT, host);
	else if (code == -EINTR)
		cmd_error("%s: ssh was cut off", host);
	else if (code > 0)
		cmd_error("%s: it ended with exit code %d", host, code);
	return EXIT_FAILED;
}

/* `command` may be NULL: out of memory. */
static enum exit_code run_there(const struct cmd_call *call, const char *command, bool terminal,
				int in)
{
	const char *host = cmd_option(call, "--host"), *given = cmd_option(call, "--ssh");
	const char *argv[FAR_SSH_WORDS];
	_cleanup_free_ char *ssh = NULL;

	if (*host == '-') {
		cmd_error("--host takes the name of a host, not \"%.40s\"", host);
		return EXIT_USAGE;
	}
	if (!command || asprintf(&ssh, "%s%s", given ? given : FAR_SSH_DEFAULT,
				 terminal && isatty(STDIN_FILENO) ? " -t" : "") < 0) {
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	if (!far_ssh_words(ssh, argv, host, command))
		return EXIT_USAGE;
	/* Ctrl-C ends ssh, or goes through it where the other side has our terminal. */
	cmd_catch_stop();
	return exit_code_of(call, far_run(argv, in));
}

enum exit_code far_same(const struct cmd_call *call, bool terminal)
{
	_cleanup_free_ char *command = same_command(call);

	return run_there(call, command, terminal, -1);
}

enum exit_code far_words(const struct cmd_call *call, const char *words, const char *const passed[],
			 int in)
{
	_cleanup_free_ char *command = far_command(call, words, passed);

	return run_there(call, command, false, in);
}
