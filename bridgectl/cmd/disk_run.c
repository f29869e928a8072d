/*
 * From options to a copy, and from its result to words and an exit code.
 *
 * Both the command that runs the copy and `disk finish`, which only waits for it, get the result as
 * the same JSON document, so it is told in one place.
 */
#include "bridgectl/cmd/disk_run.h"

#include <errno.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/progress.h"
#include "bridgectl/cmd/view.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/transfer/jobs.h"

#define CONNECTIONS_DEFAULT 4
#define CONNECTIONS_MAX 16 /* WIRE_CONNECTIONS_MAX */
#define RETRIES_DEFAULT 3
#define DOWNTIME_DEFAULT_S 10
#define SECONDS_MAX 3600

/* --- Options --- */

static bool number(struct cmd_call *call, const char *name, uint64_t min, uint64_t max,
		   uint64_t *value)
{
	const char *text = cmd_option(call, name);
	unsigned long long v;
	char *end;

	if (!text)
		return true;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || v < min || v > max) {
		cmd_error("%s: %s takes a number from %llu to %llu, not \"%s\"", call->cmd->words,
			  name, (unsigned long long)min, (unsigned long long)max, text);
		return false;
	}
	*value = v;
	return true;
}

static bool seconds(struct cmd_call *call, const char *name, double min, double *value)
{
	const char *text = cmd_option(call, name);
	char *end;

	if (!text)
		return true;
	*value = strtod(text, &end);
	if (!*end && end != text && *value >= min && *value <= SECONDS_MAX)
		return true;
	cmd_error("%s: %s takes seconds, at least %g and at most %d, not \"%s\"", call->cmd->words,
		  name, min, SECONDS_MAX, text);
	return false;
}

static bool bytes(struct cmd_call *call, const char *name, uint64_t *value)
{
	const char *text = cmd_option(call, name);

	if (!text || size_parse(text, value) == 0)
		return true;
	cmd_error("%s: %s takes bytes per second as 50M or 800K, 0 for no limit, not \"%s\"",
		  call->cmd->words, name, text);
	return false;
}

static bool one_of(struct cmd_call *call, const char *name, const char *const words[],
		   const char **value)
{
	const char *text = cmd_option(call, name);

	if (!text)
		return true;
	for (unsigned i = 0; words[i]; i++)
		if (!strcmp(words[i], text)) {
			*value = words[i];
			return true;
		}
	cmd_error("%s: %s does not take \"%s\"; see bridgectl %s --help", call->cmd->words, name,
		  text, call->cmd->words);
	return false;
}

static bool numbers(struct cmd_call *call, struct conduct_options *o)
{
	uint64_t connections = CONNECTIONS_DEFAULT, retries = RETRIES_DEFAULT, port = 0;
	uint64_t partition = 0, from = 0;

	o->max_downtime_s = DOWNTIME_DEFAULT_S;
	if (!number(call, "--connections", 1, CONNECTIONS_MAX, &connections) ||
	    !number(call, "--retries", 0, 1000000, &retries) ||
	    !number(call, "--data-port", 1, 65535, &port) ||
	    !number(call, "--partition", 1, 128, &partition) ||
	    !number(call, "--source-partition", 1, 128, &from) ||
	    !seconds(call, "--max-downtime", 0, &o->max_downtime_s) ||
	    !seconds(call, "--flush-interval", 0.01, &o->flush_s) ||
	    !seconds(call, "--timeout", 1, &o->timeout_s) || !bytes(call, "--rate", &o->rate))
		return false;
	o->source.timeout_s = o->target.timeout_s = (unsigned)o->timeout_s;
	o->connections = (unsigned)connections;
	o->retries = (unsigned)retries;
	o->data_port = (uint16_t)port;
	o->target.partition = (unsigned)partition;
	o->source.partition = (unsigned)from;
	return true;
}

static bool run_dir_of(struct cmd_call *call, char *buf)
{
	int r = rundir_path(cmd_option(call, "--run-dir"), buf, DISK_RUN_DIR_LEN);

	if (r == -ENAMETOOLONG)
		cmd_error("%s: --run-dir: the path is too long for a socket", call->cmd->words);
	return r != -ENAMETOOLONG;
}

static bool check(struct cmd_call *call, const struct conduct_options *o)
{
	bool remote = o->source.host || o->target.host;

	if (cmd_option(call, "--via-ssh") && cmd_option(call, "--insecure-plaintext"))
		cmd_error("%s: --via-ssh and --insecure-plaintext exclude each other",
			  call->cmd->words);
	else if (!remote && o->wire != CONDUCT_TLS)
		cmd_error("%s: how data travels is for --from and --to", call->cmd->words);
	else if ((o->source.host && !end_host_valid(o->source.host)) ||
		 (o->target.host && !end_host_valid(o->target.host)))
		cmd_error("%s: \"%s\" is not the name of a host", call->cmd->words,
			  o->source.host && !end_host_valid(o->source.host) ? o->source.host :
									      o->target.host);
	else
		return true;
	return false;
}

bool disk_run_options(struct cmd_call *call, struct conduct_options *ret, char *run_dir)
{
	static const char *const compress[] = { "auto", "never", "always", NULL };
	const char *ssh = cmd_option(call, "--ssh");
	const char *program = cmd_option(call, "--remote-bridgectl");

	*ret = (struct conduct_options){ .compress = "auto" };
	ret->source = (struct end_spec){ .role = "source", .path = call->args[0] };
	ret->target = (struct end_spec){ .role = "target", .path = call->args[1] };
	ret->source.host = cmd_option(call, "--from");
	ret->target.host = cmd_option(call, "--to");
	ret->source.ssh = ret->target.ssh = ssh;
	ret->source.program = ret->source.host ? program : NULL;
	ret->target.program = ret->target.host ? program : NULL;
	ret->target.overwrite = cmd_option(call, "--overwrite");
	ret->target.state_dir = cmd_option(call, "--state-dir");
	ret->wire = cmd_option(call, "--via-ssh")	     ? CONDUCT_SSH :
		    cmd_option(call, "--insecure-plaintext") ? CONDUCT_PLAIN :
							       CONDUCT_TLS;
	ret->sha256 = cmd_option(call, "--sha256");
	ret->fresh = cmd_option(call, "--fresh");
	ret->data_address = cmd_option(call, "--data-address");
	if (!numbers(call, ret) || !one_of(call, "--compress", compress, &ret->compress) ||
	    !run_dir_of(call, run_dir) || !check(call, ret))
		return false;
	ret->run_dir = *run_dir ? run_dir : NULL;
	return true;
}

/* --- What came of it --- */

static void tell_error(const json_t *r)
{
	double part = json_number_value(json_object_get(r, "part_done"));
	const char *message = view_str(r, "message");
	bool resumable = json_is_true(json_object_get(r, "resumable"));
	bool stopped = !strcmp(view_str(r, "outcome"), "stopped");

	if (!resumable)
		cmd_error("%s", message);
	else if (json_object_get(r, "part_done"))
		cmd_error("%s; the same command goes on from %.0f %%",
			  stopped ? "stopped" : message,
			  part * 100 - 0.5 > 0 ? part * 100 - 0.5 : 0);
	else
		cmd_error("%s; the same command goes on with what has changed",
			  stopped ? "stopped" : message);
}

static void tell_differences(struct out *o, const json_t *r)
{
	const json_t *places = view_list(r, "mismatches"), *v;
	char amount[UNIT_LEN], size[UNIT_LEN];
	size_t i;

	out_line(o, STYLE_BAD, "different: %s of %s",
		 unit_bytes(view_num(r, "mismatched_bytes"), amount),
		 unit_bytes(view_num(r, "bytes"), size));
	json_array_foreach(places, i, v)
		out_line(o, STYLE_NONE, "  at byte %lld (64 KiB from there)",
			 (long long)json_integer_value(v));
	if (json_array_size(places) == CONDUCT_PLACES_MAX)
		out_line(o, STYLE_NONE, "  (these are the first ones)");
}

static void tell_done(struct cmd_call *call, const json_t *r)
{
	char a[UNIT_LEN], b[UNIT_LEN], c[UNIT_LEN], d[UNIT_LEN];
	double bytes = view_num(r, "bytes"), s = view_num(r, "seconds");
	struct out *o = &call->out;

	/* A warm copy's time is mostly waiting. */
	if (json_object_get(r, "downtime_s"))
		out_line(o, STYLE_GOOD, "done: %s, verified; %.1f s from disk finish to the end",
			 unit_bytes(bytes, a), view_num(r, "downtime_s"));
	else
		out_line(o, STYLE_GOOD, "done: %s in %.1f s (%s/s), verified", unit_bytes(bytes, a),
			 s, unit_bytes(s > 0 ? bytes / s : 0, b));
	out_line(o, STYLE_NONE, "  sent %s (%s on the wire), zeros %s, the same already %s",
		 unit_bytes(view_num(r, "sent_bytes"), a), unit_bytes(view_num(r, "wire_bytes"), b),
		 unit_bytes(view_num(r, "zero_bytes"), c),
		 unit_bytes(view_num(r, "same_bytes"), d));
}

enum exit_code disk_run_tell(struct cmd_call *call, const json_t *r)
{
	const char *outcome = view_str(r, "outcome"), *sha256 = view_str(r, "sha256");
	bool verifies = !strcmp(call->cmd->words, "disk verify");

	if (call->json) {
		json_t *event = json_copy((json_t *)r);

		json_object_set_new(event, "event", json_string("result"));
		out_json(&call->out, event, true);
		json_decref(event);
	}
	if (!strcmp(outcome, "done") || !strcmp(outcome, "differs")) {
		bool equal = !strcmp(outcome, "done");

		if (!call->json && !equal)
			tell_differences(&call->out, r);
		else if (!call->json && !call->quiet && verifies)
			out_line(&call->out, STYLE_GOOD, "equal");
		else if (!call->json && !call->quiet)
			tell_done(call, r);
		if (!call->json && !call->quiet && *sha256)
			out_line(&call->out, STYLE_NONE, "  SHA-256 %s", sha256);
		return equal ? EXIT_DONE : EXIT_FAILED;
	}
	tell_error(r);
	return json_is_true(json_object_get(r, "resumable")) ? EXIT_RESUMABLE :
	       !strcmp(outcome, "unreachable")		     ? EXIT_UNREACHABLE :
							       EXIT_FAILED;
}

enum exit_code disk_run(struct cmd_call *call, const struct conduct_options *o)
{
	struct conduct_result result;
	struct progress progress;
	struct conduct_ui ui;
	enum exit_code code;
	json_t *j;

	progress_init(&progress, &call->out);
	ui = progress_ui(&progress);
	conduct(o, &ui, &result);
	progress_clear(&progress);
	j = conduct_result_json(&result);
	code = disk_run_tell(call, j);
	json_decref(j);
	return code;
}
