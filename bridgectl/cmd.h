/* Commands as const rows (cmd_table.c): parsing, help, completion, check of the manual page. */
#ifndef BRIDGECTL_CMD_H
#define BRIDGECTL_CMD_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#include "bridgectl/client.h"
#include "bridgectl/out.h"

/* "doc/bridgectl.8, EXIT STATUS" */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_UNREACHABLE = 3,
	EXIT_RESUMABLE = 4, /* stopped on request or by a failure; the same command goes on */
};

#define CMD_ARGS_MAX 4
#define CMD_OPTIONS_MAX 28
#define CMD_GIVEN_MAX 64

struct cmd_option {
	const char *name;  /* "--init" */
	char letter;	   /* 'f' of -f, or 0 */
	const char *value; /* what follows it: "FILE", "TUNNEL", …; NULL: nothing */
	const char *summary;
};

struct cmd;

/* An option as it was given; some may be given several times. */
struct cmd_given {
	const char *name, *value;
};

/* One run of one command. Owned by cmd_main(). */
struct cmd_call {
	const struct cmd *cmd;
	const char *socket;
	enum color_when color;
	bool json, quiet, verbose, help, version;
	const char *args[CMD_ARGS_MAX];
	unsigned n_args;
	const char
		*options[CMD_OPTIONS_MAX]; /* in the order of the row; "" for one without value */
	struct cmd_given given[CMD_GIVEN_MAX];
	unsigned n_given;
	struct out out;
	struct client *client; /* connected by the first cmd_ask() */
	enum exit_code failed; /* what cmd_ask() failed with */
};

struct cmd {
	const char *words; /* "tunnel show" */
	/*
	 * "LEVEL [AREA]". Words that completion knows how to fill in: TUNNEL, BRIDGE, PEER, LEVEL,
	 * AREA, SHELL; "COMMAND..." takes all the rest.
	 */
	const char *args;
	struct cmd_option options[CMD_OPTIONS_MAX]; /* ends with a NULL name when not full */
	const char *summary;			    /* one line, no full stop */
	const char *text;			    /* a paragraph for --help, or NULL */
	enum exit_code (*fn)(struct cmd_call *call);
};

extern const struct cmd cmd_table[];
extern const unsigned cmd_table_len;
extern const struct cmd_option cmd_global_options[];
extern const unsigned cmd_global_options_len;

/* The whole program but for main(). */
int cmd_main(int argc, char **argv);

/*
 * Parses argv[1..] into `call`. False: it was wrong and a message is in `err` (256 bytes);
 * call->cmd may be NULL with call->help set.
 */
bool cmd_parse(int argc, char **argv, struct cmd_call *call, char *err);

/* What an option of the row was given as last, "" for one without value; NULL: not given. */
const char *cmd_option(const struct cmd_call *call, const char *name);
/* The nth time that it was given, from 0 on; NULL: not so often. */
const char *cmd_option_nth(const struct cmd_call *call, const char *name, unsigned n);

/* The row for the longest run of words, and how many they are. NULL: none. */
const struct cmd *cmd_find(char **words, unsigned n, unsigned *ret_used);
/* Nothing, or a sentence: what the words may have meant, or that they are for later. */
void cmd_suggest(char **words, unsigned n, char *buf, size_t size);
/* Number of arguments that the pattern asks for and allows. */
void cmd_count_args(const char *pattern, unsigned *ret_min, unsigned *ret_max);
/* Name of the nth argument in the pattern without brackets, "" past the end. */
void cmd_arg_name(const char *pattern, unsigned n, char *buf, size_t size);

/* `bridgectl __complete WORD...`: candidates for the last, one per line; none without a daemon. */
enum exit_code cmd_complete(struct out *o, char **words, unsigned n);

/* "bridgectl: …" on standard error, cleaned. */
void cmd_error(const char *fmt, ...) _printf_(1, 2);
/* SIGINT, SIGTERM and SIGHUP end nothing now, but make this nonzero. What was ignored stays so. */
const volatile sig_atomic_t *cmd_catch_stop(void);

/*
 * Asks the daemon, connecting first if need be; takes the reference to `params`. NULL: the
 * error was printed, and call->failed is the command's exit code.
 */
json_t *cmd_ask(struct cmd_call *call, const char *method, json_t *params);
/* The same in silence: what went wrong is in `err`. */
json_t *cmd_try(struct cmd_call *call, const char *method, json_t *params,
		struct client_error *err);

/* Help about all commands, about those that begin with a word, or about one row. */
void cmd_help_all(struct out *o);
bool cmd_help_group(struct out *o, const char *word);
void cmd_help_one(struct out *o, const struct cmd *cmd);

#endif
