/*
 * Completion: a small script for the shell that asks `bridgectl __complete` what may
 * stand next. Words and options come from the rows, names from the daemon.
 */
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"
#include "bridgectl/hypervisor/hyper.h"
#include "common/control.h"

#define FILES 9 /* exit code that lets the shell complete file names */
#define WORDS_MAX 16

/* conf/completion/bridgectl.bash is this text. */
static const char *const bash_lines[] = {
	"# bash completion for bridgectl(8). It asks the program what may come next.",
	"_bridgectl()",
	"{",
	"\tlocal words",
	"",
	"\tCOMPREPLY=()",
	"\twords=$(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)",
	"\tif [ $? -eq 9 ]; then",
	"\t\tcompopt -o default",
	"\telif [ -n \"$words\" ]; then",
	"\t\tmapfile -t COMPREPLY <<<\"$words\"",
	"\tfi",
	"}",
	"complete -F _bridgectl bridgectl",
};

enum exit_code cmd_completion(struct cmd_call *call)
{
	if (strcmp(call->args[0], "bash") != 0) {
		cmd_error("completion: there is none for \"%s\"; only bash so far", call->args[0]);
		return EXIT_USAGE;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bash_lines); i++)
		fprintf(call->out.f, "%s\n", bash_lines[i]);
	return EXIT_DONE;
}

/* The line so far, taken apart. */
struct line {
	struct out *out;
	const char *current;
	char *words[WORDS_MAX]; /* before the current one, without options */
	unsigned n_words;
	const struct cmd *cmd; /* or NULL: its words are not complete */
	unsigned n_used;
	const struct cmd_option *option; /* whose value the current word is, or NULL */
	const char *socket;
};

static void offer(const struct line *l, const char *word)
{
	if (!strncmp(word, l->current, strlen(l->current)))
		out_line(l->out, STYLE_NONE, "%s", word);
}

static void offer_list(const struct line *l, const char *list)
{
	char word[64];

	for (const char *p = list; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		snprintf(word, sizeof(word), "%.*s", (int)n, p);
		offer(l, word);
		p += n;
	}
}

static void offer_names(const struct line *l, const char *method)
{
	struct cmd_call call = { .socket = l->socket };
	struct client_error err = { 0 };
	json_t *list = cmd_try(&call, method, NULL, &err);
	const json_t *x;
	size_t i;

	json_array_foreach(list, i, x)
		if (view_str(x, "name")[0])
			offer(l, view_str(x, "name"));
	json_decref(list);
	client_error_fini(&err);
	client_free(call.client);
}

static void offer_domains(const struct line *l)
{
	static const struct hyper_choice choice;
	struct hyper_list list = { 0 };
	char err[HYPER_ERRLEN];
	struct hyper *h;

	if (hyper_open(&choice, &h, err) < 0)
		return;
	if (h->ops->list(h, &list, err) == 0)
		for (unsigned i = 0; i < list.n; i++)
			offer(l, list.v[i].name);
	hyper_list_fini(&list);
	hyper_close(h);
}

static bool is_file(const char *kind)
{
	static const char *const kinds[] = { "FILE", "SOCKET", "CONFIG", "IMAGE", "PATH", "DIR",
					     "SRC",  "DST",    "TARGET", "A",	  "B" };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}

/* What a value or argument called `kind` may be. */
static enum exit_code offer_kind(const struct line *l, const char *kind)
{
	static const struct {
		const char *kind, *list;
	} lists[] = {
		{ "LEVEL", "err warn notice info debug" },
		{ "AREA", "core config session topology datapath kernel control" },
		{ "SHELL", "bash" },
		{ "WHEN", "auto always never" },
		{ "ON", "on off" },
		{ "TOOL", "auto xl xm" },
		{ "BUS", "virtio sata scsi ide" },
		{ "MACHINE", "pc q35" },
		{ "TYPE", "kvm qemu" },
	};

	if (!strcmp(kind, "TUNNEL"))
		offer_names(l, "tunnel.list");
	else if (!strcmp(kind, "BRIDGE"))
		offer_names(l, "bridge.list");
	else if (!strcmp(kind, "PEER"))
		offer_names(l, "peer.list");
	else if (!strcmp(kind, "DOMAIN"))
		offer_domains(l);
	else if (is_file(kind))
		return (enum exit_code)FILES;
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		if (!strcmp(kind, lists[i].kind))
			offer_list(l, lists[i].list);
	return EXIT_DONE;
}

static void offer_options(const struct line *l)
{
	for (unsigned i = 0; l->cmd && i < CMD_OPTIONS_MAX && l->cmd->options[i].name; i++)
		offer(l, l->cmd->options[i].name);
	for (unsigned i = 0; i < cmd_global_options_len; i++)
		offer(l, cmd_global_options[i].name);
}

/* The nth word of each row whose words before are those given; each once. */
static void offer_words(const struct line *l, char **words, unsigned n)
{
	char last[32] = "", word[32];

	for (unsigned i = 0; i < cmd_table_len; i++) {
		const char *p = cmd_table[i].words;
		unsigned k = 0;

		for (;
		     k < n && !strncmp(p, words[k], strlen(words[k])) && p[strlen(words[k])] == ' ';
		     k++)
			p += strlen(words[k]) + 1;
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
		if (k < n || !strcmp(word, last))
			continue;
		strcpy(last, word);
		offer(l, word);
	}
}

static const struct cmd_option *find_option(const struct cmd *cmd, const char *arg)
{
	const struct cmd_option *lists[] = { cmd_global_options, cmd ? cmd->options : NULL };
	unsigned sizes[] = { cmd_global_options_len, cmd ? CMD_OPTIONS_MAX : 0 };

	for (unsigned k = 0; k < ARRAY_SIZE(lists); k++)
		for (unsigned i = 0; i < sizes[k] && lists[k][i].name; i++) {
			const struct cmd_option *o = &lists[k][i];

			if (!strcmp(o->name, arg) || (o->letter && arg[1] == o->letter && !arg[2]))
				return o;
		}
	return NULL;
}

/* The shell hands over "--color=au" as three words. */
static void take_apart(struct line *l, char **words, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(words[i], "="))
			continue;
		if (l->option) {
			if (!strcmp(l->option->name, "--socket"))
				l->socket = words[i];
			l->option = NULL;
			continue;
		}
		if (words[i][0] == '-') {
			l->option = find_option(l->cmd, words[i]);
			if (l->option && !l->option->value)
				l->option = NULL;
			continue;
		}
		if (l->n_words < WORDS_MAX)
			l->words[l->n_words++] = words[i];
		l->cmd = cmd_find(l->words, l->n_words, &l->n_used);
	}
}

enum exit_code cmd_complete(struct out *o, char **words, unsigned n)
{
	struct line l = { .out = o, .socket = CONTROL_SOCKET };
	char kind[32];

	if (!n)
		return EXIT_DONE;
	take_apart(&l, words, n - 1);
	l.current = strcmp(words[n - 1], "=") ? words[n - 1] : "";
	if (l.option && !strcmp(l.option->name, "--inspect")) {
		offer_list(&l, "auto yes no");
		return EXIT_DONE;
	}
	if (l.option)
		return offer_kind(&l, l.option->value);
	if (l.current[0] == '-') {
		offer_options(&l);
		return EXIT_DONE;
	}
	if (!l.cmd) {
		offer_words(&l, l.words, l.n_words);
		return EXIT_DONE;
	}
	cmd_arg_name(l.cmd->args, l.n_words - l.n_used, kind, sizeof(kind));
	if (!strcmp(kind, "COMMAND"))
		offer_words(&l, l.words + l.n_used, l.n_words - l.n_used);
	return offer_kind(&l, kind);
}
