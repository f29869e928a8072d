/* `bridgectl reload` and `bridgectl log`: what changes the running daemon as a whole. */
#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/view.h"

static void print_lines(struct out *o, enum style style, const json_t *lines)
{
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
		if (json_is_string(line))
			out_line(o, style, "%s", json_string_value(line));
}

enum exit_code cmd_reload(struct cmd_call *call)
{
	json_t *r;
	enum exit_code code = view_ask(call, "reload", NULL, &r);

	if (r && !call->quiet) {
		print_lines(&call->out, STYLE_NONE, json_object_get(r, "changed"));
		print_lines(&call->out, STYLE_WARN, json_object_get(r, "restart"));
		print_lines(&call->out, STYLE_WARN, json_object_get(r, "warnings"));
		if (!json_array_size(json_object_get(r, "changed")) &&
		    !json_array_size(json_object_get(r, "restart")))
			out_line(&call->out, STYLE_NONE, "Nothing has changed.");
	}
	json_decref(r);
	return code;
}

enum exit_code cmd_log(struct cmd_call *call)
{
	json_t *r;
	enum exit_code code = view_ask(call, "log",
				       json_pack("{s:s, s:s*}", "level", call->args[0], "area",
						 call->n_args > 1 ? call->args[1] : NULL),
				       &r);

	if (r && !call->quiet)
		out_line(&call->out, STYLE_NONE, "%s: logging %s and what is more urgent",
			 call->n_args > 1 ? call->args[1] : "everywhere", call->args[0]);
	json_decref(r);
	return code;
}
