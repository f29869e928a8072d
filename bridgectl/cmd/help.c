/* `bridgectl help [COMMAND]`; with --json the whole table, for other programs. */
#include "bridgectl/cmd/cmds.h"

static json_t *options_json(const struct cmd_option *options, unsigned max)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < max && options[i].name; i++) {
		const struct cmd_option *x = &options[i];
		char letter[] = { x->letter, '\0' };

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s}", "name", x->name, "letter", letter,
					"value", x->value ? x->value : "", "summary", x->summary));
	}
	return list;
}

static void help_json(struct out *o)
{
	json_t *list = json_array(), *all;

	for (unsigned i = 0; i < cmd_table_len; i++) {
		const struct cmd *c = &cmd_table[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:o}", "command", c->words, "args",
						c->args, "summary", c->summary, "options",
						options_json(c->options, CMD_OPTIONS_MAX)));
	}
	all = json_pack("{s:o, s:o}", "commands", list, "options",
			options_json(cmd_global_options, cmd_global_options_len));
	out_json(o, all, false);
	json_decref(all);
}

enum exit_code cmd_help(struct cmd_call *call)
{
	const struct cmd *cmd;
	char hint[256];
	unsigned used;

	if (call->json) {
		help_json(&call->out);
		return EXIT_DONE;
	}
	if (!call->n_args) {
		cmd_help_all(&call->out);
		return EXIT_DONE;
	}
	cmd = cmd_find((char **)call->args, call->n_args, &used);
	if (cmd && used == call->n_args) {
		cmd_help_one(&call->out, cmd);
		return EXIT_DONE;
	}
	if (call->n_args == 1 && cmd_help_group(&call->out, call->args[0]))
		return EXIT_DONE;
	cmd_suggest((char **)call->args, call->n_args, hint, sizeof(hint));
	cmd_error("%s", hint);
	return EXIT_USAGE;
}
