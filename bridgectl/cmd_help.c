/* Help and suggestions, both from the rows alone. */
#include <string.h>

#include "bridgectl/cmd.h"
#include "common/util.h"

#define NEAR_MAX 2 /* edits between a word and what it may have meant */
#define TEXT_MAX 48

/* Commands that the design has and this version has not. */
static const char *const later[] = {
	"watch",
	"tunnel add",
	"tunnel del",
	"migrate",
};

/* What other tools call it. */
static const struct {
	const char *said, *is;
} others[] = {
	{ "domain boot", "domain start" },
	{ "domain create", "domain start" },
	{ "domain destroy", "domain stop --force" },
	{ "domain dumpxml", "virsh dumpxml" },
	{ "domain reboot", "domain stop, then domain start" },
	{ "domain shutdown", "domain stop" },
	{ "domain undefine", "virsh undefine" },
};

/* Optimal string alignment distance, for short words: insert, delete, change, swap neighbours. */
static unsigned distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned d[TEXT_MAX + 1][TEXT_MAX + 1];

	if (na > TEXT_MAX || nb > TEXT_MAX)
		return ~0U;
	for (unsigned i = 0; i <= na; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= nb; j++)
		d[0][j] = j;
	for (unsigned i = 1; i <= na; i++)
		for (unsigned j = 1; j <= nb; j++) {
			unsigned change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			d[i][j] = MIN(MIN(d[i - 1][j], d[i][j - 1]) + 1, change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[na][nb];
}

static void join(char **words, unsigned n, char *buf, size_t size)
{
	snprintf(buf, size, "%.20s%s%.20s", n ? words[0] : "", n > 1 ? " " : "",
		 n > 1 ? words[1] : "");
}

static bool is_group(const char *word)
{
	size_t n = strlen(word);

	for (unsigned i = 0; i < cmd_table_len; i++)
		if (!strncmp(cmd_table[i].words, word, n) && cmd_table[i].words[n] == ' ')
			return true;
	return false;
}

static const char *nearest(const char *first, const char *two)
{
	const char *best = NULL;
	unsigned best_distance = NEAR_MAX + 1;

	for (unsigned i = 0; i < cmd_table_len; i++) {
		const char *words = cmd_table[i].words;
		const char *said = strchr(words, ' ') ? two : first;
		unsigned d = distance(said, words);

		/* Of a short word, two edits leave nothing. */
		if (d >= best_distance || d * 2 > strlen(said))
			continue;
		best = words;
		best_distance = d;
	}
	return best;
}

void cmd_suggest(char **words, unsigned n, char *buf, size_t size)
{
	char two[TEXT_MAX], first[TEXT_MAX];
	const char *near, *said;

	join(words, n, two, sizeof(two));
	join(words, MIN(n, 1U), first, sizeof(first));
	for (unsigned i = 0; i < ARRAY_SIZE(later); i++)
		if (!strcmp(later[i], first) || !strcmp(later[i], two)) {
			snprintf(buf, size, "%s: not supported yet by this version", later[i]);
			return;
		}
	if (n == 1 && is_group(first)) {
		snprintf(buf, size, "%s: what about it? Try bridgectl %s --help", first, first);
		return;
	}
	near = nearest(first, two);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(others[i].said, two))
			near = others[i].is;
	said = is_group(first) || (near && strchr(near, ' ')) ? two : first;
	snprintf(buf, size, "there is no command \"%s\"; %s%s%s", said,
		 near ? "did you mean " : "try bridgectl --help", near ? near : "",
		 near ? "?" : "");
}

static void options_help(struct out *o, const struct cmd_option *options, unsigned max)
{
	for (unsigned i = 0; i < max && options[i].name; i++) {
		const struct cmd_option *x = &options[i];
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s %s%s%s", x->letter ? '-' : ' ',
			 x->letter ? x->letter : ' ', x->letter ? "," : " ", x->name,
			 x->value ? " " : "", x->value ? x->value : "");
		out_line(o, STYLE_NONE, "  %-28s %s", left, x->summary);
	}
}

static void row_help(struct out *o, const struct cmd *cmd)
{
	char left[64];

	snprintf(left, sizeof(left), "%s%s%s", cmd->words, cmd->args[0] ? " " : "", cmd->args);
	out_line(o, STYLE_NONE, "  %-28s %s", left, cmd->summary);
}

void cmd_help_all(struct out *o)
{
	out_line(o, STYLE_NONE,
		 "bridgectl shows and steers l2tund, which joins bridges of several hosts.");
	out_line(o, STYLE_NONE, "%s", "");
	out_line(o, STYLE_NONE, "usage: bridgectl [OPTIONS] COMMAND [ARGUMENTS]");
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, "COMMANDS");
	for (unsigned i = 0; i < cmd_table_len; i++)
		row_help(o, &cmd_table[i]);
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, "OPTIONS");
	options_help(o, cmd_global_options, cmd_global_options_len);
	out_line(o, STYLE_NONE, "%s", "");
	out_line(o, STYLE_NONE, "More about a command: bridgectl COMMAND --help");
}

bool cmd_help_group(struct out *o, const char *word)
{
	size_t n = strlen(word);

	if (!is_group(word))
		return false;
	out_heading(o, "COMMANDS");
	for (unsigned i = 0; i < cmd_table_len; i++)
		if (!strncmp(cmd_table[i].words, word, n) && cmd_table[i].words[n] == ' ')
			row_help(o, &cmd_table[i]);
	return true;
}

void cmd_help_one(struct out *o, const struct cmd *cmd)
{
	out_line(o, STYLE_NONE, "usage: bridgectl [OPTIONS] %s%s%s%s", cmd->words,
		 cmd->options[0].name ? " [OPTIONS]" : "", cmd->args[0] ? " " : "", cmd->args);
	out_line(o, STYLE_NONE, "%s", "");
	out_wrapped(o, 0, cmd->text ? cmd->text : cmd->summary);
	if (cmd->options[0].name) {
		out_line(o, STYLE_NONE, "%s", "");
		out_heading(o, "OPTIONS");
		options_help(o, cmd->options, CMD_OPTIONS_MAX);
	}
	out_line(o, STYLE_NONE, "%s", "");
	out_heading(o, "GLOBAL OPTIONS");
	options_help(o, cmd_global_options, cmd_global_options_len);
}
