/*
 * Words, options and arguments, from the rows. Global options may stand anywhere, options of a
 * command after its words, `--` ends them.
 */
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "bridgectl/cmd.h"
#include "common/util.h"

#define WORDS_MAX 2 /* in the name of a command */
#define ERR_BYTES 256

/* Where the parser stands. */
struct parse {
	int argc, next;
	char **argv;
	struct cmd_call *call;
	char *err;
	char *words[WORDS_MAX + CMD_ARGS_MAX];
	unsigned n_words;
};

static bool fail(struct parse *p, const char *fmt, ...) _printf_(2, 3);

static bool fail(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err, ERR_BYTES, fmt, ap);
	va_end(ap);
	return false;
}

/* No command has a use for an empty text, and the shell makes one of a variable that is not set. */
static bool check_text(struct parse *p, const char *s)
{
	json_t *text = json_string(s);

	json_decref(text);
	if (!text)
		return fail(p, "argument %d is not valid UTF-8", p->next - 1);
	return *s || fail(p, "argument %d is empty; is a variable not set?", p->next - 1);
}

static unsigned words_matched(const struct cmd *cmd, char **words, unsigned n)
{
	const char *w = cmd->words;
	unsigned used = 0;

	while (*w) {
		size_t len = strcspn(w, " ");

		if (used == n || strlen(words[used]) != len || strncmp(words[used], w, len) != 0)
			return 0;
		used++;
		w += len;
		w += *w == ' ';
	}
	return used;
}

const struct cmd *cmd_find(char **words, unsigned n, unsigned *ret_used)
{
	const struct cmd *best = NULL;

	*ret_used = 0;
	for (unsigned i = 0; i < cmd_table_len; i++) {
		unsigned used = words_matched(&cmd_table[i], words, n);

		if (used > *ret_used) {
			best = &cmd_table[i];
			*ret_used = used;
		}
	}
	return best;
}

void cmd_count_args(const char *pattern, unsigned *ret_min, unsigned *ret_max)
{
	*ret_min = *ret_max = 0;
	for (const char *p = pattern; *p; p += strcspn(p, " "), p += *p == ' ') {
		size_t len = strcspn(p, " ");

		*ret_min += *p != '[';
		*ret_max += 1;
		if (memmem(p, len, "...", 3))
			*ret_max = CMD_ARGS_MAX;
	}
}

void cmd_arg_name(const char *pattern, unsigned n, char *buf, size_t size)
{
	const char *p = pattern;

	for (; n && *p; n--) {
		/* "WORD..." is what all the rest are. */
		if (memmem(p, strcspn(p, " "), "...", 3))
			break;
		p += strcspn(p, " ");
		p += *p == ' ';
	}
	p += *p == '[';
	snprintf(buf, size, "%.*s", (int)strcspn(p, " ]."), p);
}

/* --- Options --- */

/* True: `arg` is this option; *ret_value is what follows its `=`, or NULL. */
static bool option_is(const struct cmd_option *o, const char *arg, const char **ret_value)
{
	size_t len = strlen(o->name);

	*ret_value = NULL;
	if (arg[1] != '-') {
		if (!o->letter || arg[1] != o->letter || (arg[2] && !o->value))
			return false;
		*ret_value = arg[2] ? arg + 2 : NULL;
		return true;
	}
	if (strncmp(arg, o->name, len) != 0 || (arg[len] && arg[len] != '='))
		return false;
	*ret_value = arg[len] ? arg + len + 1 : NULL;
	return true;
}

static bool option_value(struct parse *p, const struct cmd_option *o, const char **value)
{
	if (!o->value && *value)
		return fail(p, "%s takes no value", o->name);
	if (!o->value)
		*value = "";
	else if (!*value && p->next < p->argc)
		*value = p->argv[p->next++];
	if (!*value)
		return fail(p, "%s needs a value: %s %s", o->name, o->name, o->value);
	if (o->value && !**value)
		return fail(p, "the value of %s is empty; is a variable not set?", o->name);
	return !o->value || check_text(p, *value);
}

static bool set_color(struct parse *p, const char *value)
{
	static const char *const words[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(value, words[i])) {
			p->call->color = (enum color_when)i;
			return true;
		}
	return fail(p, "--color takes auto, always or never, not \"%.40s\"", value);
}

/* The names are those of cmd_global_options[]. */
static bool set_global(struct parse *p, const struct cmd_option *o, const char *value)
{
	struct cmd_call *call = p->call;

	if (!strcmp(o->name, "--socket"))
		call->socket = value;
	else if (!strcmp(o->name, "--json"))
		call->json = true;
	else if (!strcmp(o->name, "--quiet"))
		call->quiet = true;
	else if (!strcmp(o->name, "--verbose"))
		call->verbose = true;
	else if (!strcmp(o->name, "--help"))
		call->help = true;
	else if (!strcmp(o->name, "--version"))
		call->version = true;
	else if (!strcmp(o->name, "--color"))
		return set_color(p, value);
	return true;
}

static bool keep_given(struct parse *p, const char *name, const char *value)
{
	struct cmd_call *call = p->call;

	if (call->n_given == CMD_GIVEN_MAX)
		return fail(p, "too many options; try bridgectl --help");
	call->given[call->n_given++] = (struct cmd_given){ name, value };
	return true;
}

const char *cmd_option_nth(const struct cmd_call *call, const char *name, unsigned n)
{
	for (unsigned i = 0; i < call->n_given; i++)
		if (!strcmp(call->given[i].name, name) && n-- == 0)
			return call->given[i].value;
	return NULL;
}

const char *cmd_option(const struct cmd_call *call, const char *name)
{
	const char *last = NULL;

	for (unsigned i = 0; i < call->n_given; i++)
		if (!strcmp(call->given[i].name, name))
			last = call->given[i].value;
	return last;
}

static bool no_command(struct parse *p)
{
	char hint[ERR_BYTES];

	if (!p->n_words)
		return fail(p, "which command? Try bridgectl --help");
	cmd_suggest(p->words, p->n_words, hint, sizeof(hint));
	return fail(p, "%s", hint);
}

static bool take_option(struct parse *p, const char *arg)
{
	unsigned used;
	const struct cmd *cmd = cmd_find(p->words, p->n_words, &used);
	const char *value;

	for (unsigned i = 0; i < cmd_global_options_len; i++)
		if (option_is(&cmd_global_options[i], arg, &value))
			return option_value(p, &cmd_global_options[i], &value) &&
			       set_global(p, &cmd_global_options[i], value);
	for (unsigned i = 0; cmd && i < CMD_OPTIONS_MAX && cmd->options[i].name; i++)
		if (option_is(&cmd->options[i], arg, &value)) {
			if (!option_value(p, &cmd->options[i], &value))
				return false;
			p->call->options[i] = value;
			return keep_given(p, cmd->options[i].name, value);
		}
	/* Two words are a command, if a wrong one; one may be a group's. */
	if (!cmd && p->n_words > 1)
		return no_command(p);
	if (!cmd)
		return fail(p, "unknown option \"%.60s\" before any command; try bridgectl --help",
			    arg);
	return fail(p, "%s: unknown option \"%.60s\"; try bridgectl %s --help", cmd->words, arg,
		    cmd->words);
}

/* --- The whole --- */

static bool take_words(struct parse *p)
{
	bool options = true;

	while (p->next < p->argc) {
		char *arg = p->argv[p->next++];

		if (!check_text(p, arg))
			return false;
		if (options && !strcmp(arg, "--"))
			options = false;
		else if (options && arg[0] == '-' && arg[1]) {
			if (!take_option(p, arg))
				return false;
		} else if (p->n_words == ARRAY_SIZE(p->words))
			return fail(p, "too many arguments; try bridgectl --help");
		else
			p->words[p->n_words++] = arg;
	}
	return true;
}

static bool check_count(struct parse *p)
{
	const struct cmd *cmd = p->call->cmd;
	unsigned min, max;

	cmd_count_args(cmd->args, &min, &max);
	if (p->call->n_args >= min && p->call->n_args <= max)
		return true;
	return fail(p, "%s: too %s arguments; usage: bridgectl %s%s%s", cmd->words,
		    p->call->n_args < min ? "few" : "many", cmd->words, cmd->args[0] ? " " : "",
		    cmd->args);
}

bool cmd_parse(int argc, char **argv, struct cmd_call *call, char *err)
{
	struct parse p = { .argc = argc, .next = 1, .argv = argv, .call = call, .err = err };
	unsigned used;

	if (!take_words(&p))
		return false;
	call->cmd = cmd_find(p.words, p.n_words, &used);
	for (unsigned i = used; i < p.n_words; i++) {
		if (call->n_args == CMD_ARGS_MAX)
			return fail(&p, "too many arguments; try bridgectl --help");
		call->args[call->n_args++] = p.words[i];
	}
	if (call->help || call->version)
		return true;
	return call->cmd ? check_count(&p) : no_command(&p);
}
