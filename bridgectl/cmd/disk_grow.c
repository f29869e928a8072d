/*
 * `bridgectl disk grow TARGET +SIZE`: a larger disk, its last partition, and the file system in it.
 * What will be done is looked at and shown first; the guest must be off.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/disk/grow.h"
#include "bridgectl/disk/size.h"

/* "+10G"; without the plus it would look like the size afterwards. */
static bool read_size(const char *text, uint64_t *ret)
{
	if (text[0] == '+' && (!strcmp(text, "+0") || !size_parse(text + 1, ret)))
		return true;
	cmd_error("how much larger? As in +10G, +512M, or +0 when the device is larger already; "
		  "not \"%.40s\"",
		  text);
	return false;
}

static bool read_partition(struct cmd_call *call, unsigned *ret)
{
	const char *v = cmd_option(call, "--partition");
	char *end;
	unsigned long n;

	if (!v)
		return true;
	errno = 0;
	n = strtoul(v, &end, 10);
	if (*v >= '1' && *v <= '9' && !*end && !errno && n <= 128) {
		*ret = (unsigned)n;
		return true;
	}
	cmd_error("--partition takes a number from 1 on, not \"%.40s\"", v);
	return false;
}

static void show_step(void *arg, const struct grow *g, unsigned step, uint64_t done, uint64_t total)
{
	struct cmd_call *call = arg;
	char text[GROW_TEXTLEN];

	(void)total;
	if (done || call->json)
		return;
	out_line(&call->out, STYLE_NONE, "%u. %s", step + 1, grow_step_text(g, step, text));
	fflush(call->out.f);
}

static json_t *steps_json(const struct grow *g)
{
	json_t *list = json_array();
	char text[GROW_TEXTLEN];

	for (unsigned i = 0; i < g->n_steps; i++)
		json_array_append_new(list, json_string(grow_step_text(g, i, text)));
	return list;
}

static void show_json(struct out *o, const struct grow *g, bool done)
{
	json_t *part = json_null();
	json_t *doc;

	if (g->label != PLAN_WHOLE)
		part = json_pack("{s:i, s:I, s:I, s:I}", "number", (int)g->part.number, "start",
				 (json_int_t)g->part.start, "sectors_before",
				 (json_int_t)g->part.sectors, "sectors", (json_int_t)g->part_after);
	doc = json_pack("{s:s, s:s, s:I, s:I, s:o, s:s, s:o, s:b}", "path", g->path, "kind",
			grow_kind_name(g->kind), "bytes_before", (json_int_t)g->before, "bytes",
			(json_int_t)g->after, "partition", part, "content", g->type, "steps",
			steps_json(g), "done", done);
	if (grow_inside(g))
		json_object_set_new(doc, "left", json_string(grow_inside(g)));
	out_json(o, doc, false);
	json_decref(doc);
}

/* Before the first step: what it is about. */
static void show_what(struct out *o, const struct grow *g)
{
	char before[UNIT_LEN], after[UNIT_LEN];

	out_text(o, STYLE_BOLD, "%s", g->path);
	out_text(o, STYLE_NONE, ": %s, %s, %s", grow_kind_name(g->kind),
		 unit_bytes((double)g->before, before), unit_bytes((double)g->after, after));
	if (g->label != PLAN_WHOLE)
		out_text(o, STYLE_NONE, "; %s, partition %u", plan_label_name(g->label),
			 g->part.number);
	out_line(o, STYLE_NONE, "; %s", g->type[0] ? g->type : "nothing known in it");
}

static void show_end(struct out *o, const struct grow *g, bool dry_run)
{
	if (grow_inside(g))
		out_line(o, STYLE_WARN, "left: %s", grow_inside(g));
	if (!dry_run)
		out_line(o, STYLE_GOOD, "done");
}

static enum exit_code grow(struct cmd_call *call, struct grow *g)
{
	bool dry_run = cmd_option(call, "--dry-run") != NULL;
	char err[GROW_ERRLEN];

	if (!call->json)
		show_what(&call->out, g);
	for (unsigned i = 0; dry_run && i < g->n_steps; i++)
		show_step(call, g, i, 0, 0);
	/* A step is never left halfway: it ends before its end is told. */
	if (!dry_run && grow_run(g, cmd_catch_stop(), show_step, call, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	if (call->json)
		show_json(&call->out, g, !dry_run);
	else
		show_end(&call->out, g, dry_run);
	return EXIT_DONE;
}

enum exit_code cmd_disk_grow(struct cmd_call *call)
{
	unsigned partition = 0;
	char err[GROW_ERRLEN];
	uint64_t more = 0;
	struct grow g;

	if (!read_size(call->args[1], &more) || !read_partition(call, &partition))
		return EXIT_USAGE;
	if (grow_look(call->args[0], more, partition, &g, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	return grow(call, &g);
}
