/*
 * `bridgectl disk status`, `finish`, `rate` and `stop`: talk to running copies through their
 * sockets. Without an ID it is the only one that runs.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/disk_run.h"
#include "bridgectl/cmd/progress.h"
#include "bridgectl/cmd/view.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/transfer/jobs.h"
#include "bridgectl/transfer/predict.h"
#include "common/jsonline.h"

/* A running copy that answers. */
struct job {
	char id[JOBS_ID_LEN];
	struct client *client;
};

static bool dir_of(struct cmd_call *call, char *buf)
{
	int r = rundir_path(cmd_option(call, "--run-dir"), buf, DISK_RUN_DIR_LEN);

	if (!r)
		return true;
	cmd_error("%s: %s", call->cmd->words,
		  r == -ENOENT ? "where are the sockets? Tell with --run-dir, or run this as root" :
				 "--run-dir: the path is too long for a socket");
	return false;
}

static struct client *client_of(const char *dir, const char *id)
{
	int fd = jobs_connect(dir, id);

	return fd < 0 ? NULL : client_new(fd, id, CLIENT_TIMEOUT_MS);
}

/* All that answer; those of processes that are gone are not. */
static json_t *running(const char *dir)
{
	json_t *all = jobs_list(dir), *alive = json_array(), *v;
	size_t i;

	json_array_foreach(all, i, v) {
		int fd = jobs_connect(dir, json_string_value(v));

		if (fd < 0)
			continue;
		close(fd);
		json_array_append(alive, v);
	}
	json_decref(all);
	return alive;
}

static void say_which(struct cmd_call *call, const json_t *ids)
{
	size_t i;
	json_t *v;

	if (!json_array_size(ids)) {
		cmd_error("%s: no copy is running", call->cmd->words);
		return;
	}
	cmd_error("%s: which copy? These are running:", call->cmd->words);
	json_array_foreach(ids, i, v)
		cmd_error("  %s", json_string_value(v));
}

static bool find_job(struct cmd_call *call, const char *id, struct job *ret)
{
	char dir[DISK_RUN_DIR_LEN];
	json_t *ids;

	if (!dir_of(call, dir))
		return false;
	if (id) {
		snprintf(ret->id, sizeof(ret->id), "%s", id);
		ret->client = client_of(dir, id);
		if (!ret->client)
			cmd_error("%s: no copy \"%s\" is running", call->cmd->words, id);
		return ret->client;
	}
	ids = running(dir);
	if (json_array_size(ids) == 1) {
		snprintf(ret->id, sizeof(ret->id), "%s", json_string_value(json_array_get(ids, 0)));
		ret->client = client_of(dir, ret->id);
	} else {
		ret->client = NULL;
	}
	if (!ret->client)
		say_which(call, ids);
	json_decref(ids);
	return ret->client;
}

static json_t *ask_job(struct cmd_call *call, struct job *j, const char *method, json_t *params)
{
	struct client_error err = { 0 };
	json_t *r = client_call(j->client, method, params, &err);

	if (!r && err.unreachable)
		cmd_error("%s: %s does not answer; it may have ended just now", call->cmd->words,
			  j->id);
	else if (!r)
		cmd_error("%s: %s", call->cmd->words, err.message);
	client_error_fini(&err);
	return r;
}

/* --- status --- */

static double known(const json_t *j, const char *key, double unknown)
{
	const json_t *v = json_object_get(j, key);

	return v ? json_number_value(v) : unknown;
}

static void state_from_json(const json_t *j, struct conduct_state *st)
{
	*st = (struct conduct_state){
		.kind = view_str(j, "kind"),
		.pass = (unsigned)view_num(j, "pass"),
		.warm = json_is_true(json_object_get(j, "warm")),
		.final = json_is_true(json_object_get(j, "final")),
		.tracking = json_is_true(json_object_get(j, "tracking")),
		.covered = (uint64_t)view_num(j, "covered_bytes"),
		.total = (uint64_t)view_num(j, "total_bytes"),
		.dirty = (uint64_t)view_num(j, "dirty_bytes"),
		.verified = (uint64_t)view_num(j, "verified_bytes"),
		.rate = known(j, "bytes_per_s", 0),
		.dirty_rate = known(j, "dirty_bytes_per_s", -1),
		.eta_s = known(j, "eta_s", PREDICT_UNKNOWN),
		.downtime_s = known(j, "downtime_s", PREDICT_UNKNOWN),
	};
	for (unsigned p = PHASE_START; p <= PHASE_DONE; p++)
		if (!strcmp(view_str(j, "phase"), conduct_phase_name((enum conduct_phase)p)))
			st->phase = (enum conduct_phase)p;
}

static void show_job(struct out *o, const json_t *j)
{
	struct conduct_state st;
	char line[PROGRESS_LINE_LEN], limit[UNIT_LEN];

	state_from_json(j, &st);
	out_text(o, STYLE_BOLD, "%s", view_str(j, "id"));
	out_line(o, STYLE_NONE, "  %s -> %s", view_str(j, "source"), view_str(j, "target"));
	out_line(o, STYLE_NONE, "  %s",
		 progress_line(&st, o->width ? o->width - 2 : 0, o->utf8, line));
	if (view_num(j, "limit_bytes_per_s") > 0)
		out_line(o, STYLE_DIM, "  limited to %s/s",
			 unit_bytes(view_num(j, "limit_bytes_per_s"), limit));
}

static enum exit_code show_jobs(struct cmd_call *call, const json_t *list)
{
	size_t i;
	json_t *v;

	if (call->json) {
		json_t *doc = json_pack("{sO}", "copies", list);

		out_json(&call->out, doc, false);
		json_decref(doc);
		return EXIT_DONE;
	}
	if (!json_array_size(list) && !call->quiet)
		out_line(&call->out, STYLE_NONE, "no copy is running");
	json_array_foreach(list, i, v)
		show_job(&call->out, v);
	return EXIT_DONE;
}

enum exit_code cmd_disk_status(struct cmd_call *call)
{
	json_t *ids, *list = json_array(), *id;
	char dir[DISK_RUN_DIR_LEN];
	enum exit_code code = EXIT_DONE;
	size_t i;

	if (!dir_of(call, dir)) {
		json_decref(list);
		return EXIT_FAILED;
	}
	ids = call->args[0] ? json_pack("[s]", call->args[0]) : jobs_list(dir);
	json_array_foreach(ids, i, id) {
		struct job j = { .client = client_of(dir, json_string_value(id)) };
		json_t *r;

		snprintf(j.id, sizeof(j.id), "%s", json_string_value(id));
		if (!j.client && call->args[0]) {
			cmd_error("disk status: no copy \"%s\" is running", j.id);
			code = EXIT_FAILED;
		}
		r = j.client ? ask_job(call, &j, "status", NULL) : NULL;
		if (r)
			json_array_append_new(list, r);
		client_free(j.client);
	}
	if (code == EXIT_DONE)
		code = show_jobs(call, list);
	json_decref(ids);
	json_decref(list);
	return code;
}

/* --- finish --- */

/* Events until the copy has ended; its result, or NULL: it was killed. */
static json_t *follow(struct cmd_call *call, struct job *j)
{
	struct client_error err = { 0 };
	json_t *e;

	while ((e = client_event(j->client, &err))) {
		const char *event = view_str(e, "event");

		if (!strcmp(event, "result"))
			return e;
		if (call->json)
			out_json(&call->out, e, true);
		else if (!strcmp(event, "note") && !call->quiet)
			out_line(&call->out, STYLE_NONE, "%s", view_str(e, "text"));
		fflush(call->out.f);
		json_decref(e);
	}
	client_error_fini(&err);
	return NULL;
}

static enum exit_code finish(struct cmd_call *call, struct job *j, bool wait)
{
	json_t *r = ask_job(call, j, "finish", NULL);
	enum exit_code code = EXIT_FAILED;

	if (!r)
		return EXIT_FAILED;
	json_decref(r);
	if (!wait)
		return EXIT_DONE;
	r = follow(call, j);
	if (r)
		code = disk_run_tell(call, r);
	else
		cmd_error("%s: the process of copy %s was killed; the same disk copy command with "
			  "--final goes on",
			  call->cmd->words, j->id);
	json_decref(r);
	return r ? code : EXIT_RESUMABLE;
}

static bool same_text(const json_t *status, const char *key, const char *text)
{
	json_t *want = jsonline_text(text ?: "");
	bool same = json_equal(json_object_get(status, key), want);

	json_decref(want);
	return same;
}

static bool is_relative(const struct end_spec *e)
{
	return !e->host && *e->path != '/';
}

static bool has_ends(const json_t *status, const struct conduct_options *o)
{
	_cleanup_free_ char *folder = getcwd(NULL, 0);

	return same_text(status, "source", o->source.path) &&
	       same_text(status, "target", o->target.path) &&
	       same_text(status, "from", o->source.host) &&
	       same_text(status, "to", o->target.host) &&
	       view_num(status, "source_partition") == o->source.partition &&
	       view_num(status, "partition") == o->target.partition &&
	       ((!is_relative(&o->source) && !is_relative(&o->target)) ||
		same_text(status, "folder", folder));
}

/* NULL: it is another copy, or does not answer. */
static struct client *client_of_ends(const char *dir, const char *id,
				     const struct conduct_options *o)
{
	struct client_error err = { 0 };
	struct client *c = client_of(dir, id);
	json_t *status = c ? client_call(c, "status", NULL, &err) : NULL;
	bool ours = status && has_ends(status, o);

	client_error_fini(&err);
	json_decref(status);
	if (ours)
		return c;
	client_free(c);
	return NULL;
}

bool disk_finish_of(struct cmd_call *call, const struct conduct_options *o,
		    enum exit_code *ret_code)
{
	json_t *ids = o->run_dir ? jobs_list(o->run_dir) : NULL, *id;
	struct job j = { .client = NULL };
	size_t i;

	json_array_foreach(ids, i, id) {
		if (j.client)
			break;
		snprintf(j.id, sizeof(j.id), "%s", json_string_value(id));
		j.client = client_of_ends(o->run_dir, j.id, o);
	}
	json_decref(ids);
	if (!j.client)
		return false;
	*ret_code = finish(call, &j, true);
	client_free(j.client);
	return true;
}

enum exit_code cmd_disk_finish(struct cmd_call *call)
{
	struct job j;
	enum exit_code code;

	if (!find_job(call, call->args[0], &j))
		return EXIT_FAILED;
	code = finish(call, &j, !cmd_option(call, "--no-wait"));
	client_free(j.client);
	return code;
}

/* --- rate, stop --- */

static enum exit_code simple(struct cmd_call *call, const char *id, const char *method,
			     json_t *params)
{
	struct job j;
	json_t *r = NULL;

	if (find_job(call, id, &j)) {
		r = ask_job(call, &j, method, json_incref(params));
		client_free(j.client);
	}
	json_decref(params);
	if (r && call->json)
		out_json(&call->out, r, false);
	json_decref(r);
	return r ? EXIT_DONE : EXIT_FAILED;
}

enum exit_code cmd_disk_rate(struct cmd_call *call)
{
	/* "[ID] RATE" as people write it: what comes last is the rate. */
	const char *text = call->args[call->n_args - 1];
	uint64_t bytes;

	if (size_parse(text, &bytes) < 0) {
		cmd_error("disk rate: bytes per second as 50M or 800K, 0 for no limit, not \"%s\"",
			  text);
		return EXIT_USAGE;
	}
	return simple(call, call->n_args > 1 ? call->args[0] : NULL, "rate",
		      json_pack("{sI}", "bytes_per_s", (json_int_t)bytes));
}

enum exit_code cmd_disk_stop(struct cmd_call *call)
{
	return simple(call, call->args[0], "stop", NULL);
}
