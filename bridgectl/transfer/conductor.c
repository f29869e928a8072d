/*
 * A copy as a table of phases, each a function that returns when it is done or has said why not;
 * around it the things that outlive a phase: signals, the socket, tries.
 *
 * When the network or an end fails, all is taken down and begun again; what the target's map holds
 * by then is where it goes on. So "try again" and "the same command later" are one thing.
 */
#include "bridgectl/transfer/conductor.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>

#include "bridgectl/transfer/conductor_private.h"
#include "common/clock.h"
#include "common/signals.h"

#define END_MAX_MS 10000 /* for a process whose input was closed; it may be flushing */
#define END_CUT_MS 2000	 /* behind a network that failed: it does not hear us */
#define END_STEP_MS 50
#define END_LEFT_MS 300 /* then it is killed */
#define BACKOFF_FIRST_S 1
#define BACKOFF_MAX_S 60
#define LOCKED_WAIT_S 5
#define LOCKED_MAX_US (180 * US_PER_S) /* TCP on the other host may take as long to give up */

/* --- Phases --- */

static int start_ends(struct conductor *c)
{
	const struct end_spec *specs[ENDS] = { &c->o->source, &c->o->target };
	char err[END_ERRLEN];

	for (int i = 0; i < ENDS; i++) {
		c->ends[i] = end_start(specs[i], conductor_event, c, err);
		if (!c->ends[i])
			return conductor_fail(c, "internal", "%s", err);
	}
	return 0;
}

static int say_hello(struct conductor *c)
{
	json_t *answers[ENDS];
	int r = conductor_ask_both(c, "hello", json_pack("{si}", "version", END_VERSION), answers);

	for (int i = 0; i < ENDS && !r; i++) {
		uint64_t version = conductor_uint(answers[i], "version");

		if (version != END_VERSION)
			conductor_fail(
				c, "protocol",
				"%s has another version of bridgectl (protocol %llu, ours is "
				"%d): install the same one on both hosts",
				end_name(c->ends[i]), (unsigned long long)version, END_VERSION);
	}
	for (int i = 0; i < ENDS && !r; i++)
		json_decref(answers[i]);
	return r || c->result->code[0] ? -1 : 0;
}

static void take_target(struct conductor *c, const json_t *t)
{
	uint64_t pass = conductor_uint(t, "pass");

	c->resumed = json_is_true(json_object_get(t, "resumed"));
	c->doubt = json_is_true(json_object_get(t, "doubt"));
	c->pass_ended = json_is_true(json_object_get(t, "pass_ended"));
	c->known = conductor_uint(t, "known_bytes");
	c->state.covered = c->known;
	c->state.total = c->state.bytes;
	c->pass = c->resumed && (pass || c->pass_ended) ? (unsigned)pass + 1 : 0;
	snprintf(c->seed, sizeof(c->seed), "%s",
		 json_string_value(json_object_get(t, "seed")) ?: "");
}

static json_int_t ms_of(double seconds)
{
	return MAX((json_int_t)(seconds * 1000), 1);
}

/* A guest that was forgotten: "done, verified" would be believed. */
static void say_in_use(struct conductor *c, const json_t *source)
{
	const char *user = json_string_value(json_object_get(source, "user"));

	if (!user || !user[0] || c->opened || c->o->kind == CONDUCT_WARM)
		return;
	conductor_say(c,
		      c->o->kind == CONDUCT_VERIFY ?
			      "%s is in use (%s): what is written meanwhile may look like a "
			      "difference." :
			      "%s is in use (%s): what is written meanwhile may be missing in the "
			      "copy; --warm follows it.",
		      c->o->source.path, user);
}

static int open_both(struct conductor *c)
{
	bool keep = c->o->kind == CONDUCT_DELTA || c->o->kind == CONDUCT_FINAL ||
		    c->o->kind == CONDUCT_VERIFY;
	json_t *s, *t, *params;

	if (conductor_ask(c, SOURCE, "open", NULL, &s) < 0)
		return -1;
	c->state.bytes = c->result->bytes = conductor_uint(s, "bytes");
	say_in_use(c, s);
	params = json_pack("{sO?sIsbsb}", "source", json_object_get(s, "identity"), "length",
			   (json_int_t)c->state.bytes, "fresh", c->o->fresh && !c->opened,
			   "keep_content", keep);
	if (c->o->flush_s > 0)
		json_object_set_new(params, "flush_ms", json_integer(ms_of(c->o->flush_s)));
	if (c->o->kind == CONDUCT_VERIFY)
		json_object_set_new(params, "verify", json_true());
	else if (!keep && !c->o->target.partition)
		json_object_set_new(params, "create", json_true());
	json_decref(s);
	if (conductor_ask(c, TARGET, "open", params, &t) < 0)
		return -1;
	take_target(c, t);
	if (json_is_true(json_object_get(t, "created")))
		conductor_say(c, "%s was made.", c->o->target.path);
	json_decref(t);
	c->opened = true;
	return conductor_ask(c, SOURCE, "seed", json_pack("{ss}", "seed", c->seed), NULL);
}

static int set_rate(struct conductor *c)
{
	if (!c->state.limit)
		return 0;
	return conductor_ask(c, SOURCE, "rate",
			     json_pack("{sI}", "bytes_per_s", (json_int_t)c->state.limit), NULL);
}

static int compare_sha256(struct conductor *c)
{
	const char *digests[ENDS];
	json_t *answers[ENDS];
	bool equal;

	if (!c->o->sha256)
		return 0;
	conductor_reset(c, "", c->pass, c->state.bytes);
	c->state.phase = PHASE_SHA256;
	if (conductor_ask_both(c, "sha256", json_pack("{sI}", "length", (json_int_t)c->state.bytes),
			       answers) < 0)
		return -1;
	for (int i = 0; i < ENDS; i++)
		digests[i] = json_string_value(json_object_get(answers[i], "sha256")) ?: "?";
	equal = !strcmp(digests[SOURCE], digests[TARGET]);
	snprintf(c->result->sha256, sizeof(c->result->sha256), "%s", digests[SOURCE]);
	if (!equal && c->o->kind != CONDUCT_VERIFY)
		conductor_fail(
			c, "io",
			"the SHA-256 digests differ (%s on the source, %s on the target): was "
			"the source written to meanwhile?",
			digests[SOURCE], digests[TARGET]);
	for (int i = 0; i < ENDS; i++)
		json_decref(answers[i]);
	return equal || c->o->kind == CONDUCT_VERIFY ? 0 : -1;
}

static int complete(struct conductor *c)
{
	return c->o->kind == CONDUCT_VERIFY ? 0 : conductor_ask(c, TARGET, "complete", NULL, NULL);
}

static const struct {
	enum conduct_phase phase;
	int (*run)(struct conductor *c);
} phases[] = {
	{ PHASE_START, start_ends },	  { PHASE_START, say_hello },
	{ PHASE_OPEN, open_both },	  { PHASE_CONNECT, conductor_connect },
	{ PHASE_CONNECT, set_rate },	  { PHASE_CONNECT, conductor_passes },
	{ PHASE_SETTLE, compare_sha256 }, { PHASE_DONE, complete },
};

/* --- Around them --- */

/* One that has never answered has nothing to flush. */
static uint64_t patience_us(const struct conductor *c, const struct end *e)
{
	bool cut = end_spec(e)->host && !strcmp(c->result->code, "connection");

	return !end_answered(e) ? 0 : (cut ? END_CUT_MS : END_MAX_MS) * US_PER_MS;
}

/* Both at a time. */
static void await_ends(struct conductor *c)
{
	uint64_t began = clock_us();
	bool gone = false;

	while (!gone && !conductor_hurried(c)) {
		uint64_t us = clock_us() - began;

		gone = true;
		for (int i = 0; i < ENDS; i++)
			if (c->ends[i] && us < patience_us(c, c->ends[i]))
				gone &= end_close(c->ends[i], END_STEP_MS);
	}
}

static void end_both(struct conductor *c)
{
	await_ends(c);
	for (int i = 0; i < ENDS; i++) {
		end_free(c->ends[i], END_LEFT_MS);
		c->ends[i] = NULL;
		end_call_fini(&c->stops[i]);
	}
}

static int run_once(struct conductor *c)
{
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(phases) && !r; i++) {
		c->state.phase = phases[i].phase;
		conductor_show(c, false);
		r = phases[i].run(c);
	}
	end_both(c);
	return r;
}

/* Whether it is the network's or a process's fault, so that another try may go well. */
static bool may_retry(const struct conductor *c)
{
	return !strcmp(c->result->code, "connection") ||
	       (c->opened && !strcmp(c->result->code, "unreachable"));
}

/*
 * After the network was cut the end over there still waits for it, and holds its lock on the
 * target: that refusal passes.
 */
static bool may_be_ours(const struct conductor *c)
{
	return c->failed_us && !strcmp(c->result->code, "refused") &&
	       c->state.phase == PHASE_OPEN && clock_us() - c->failed_us < LOCKED_MAX_US;
}

static int retry(struct conductor *c, unsigned *tries)
{
	unsigned wait_s = BACKOFF_FIRST_S << MIN(*tries, 6u);

	if (c->stop)
		return -1;
	if (may_be_ours(c)) {
		wait_s = LOCKED_WAIT_S;
	} else {
		if (c->moved)
			*tries = 0;
		if (!may_retry(c) || *tries >= c->o->retries)
			return -1;
		(*tries)++;
		c->failed_us = clock_us();
	}
	wait_s = MIN(wait_s, BACKOFF_MAX_S);
	conductor_say(c, "%s; trying again in %u s.", c->result->message, wait_s);
	c->result->code[0] = c->result->message[0] = c->failed.code[0] = '\0';
	c->lost_now = c->lost_seen = 0;
	c->moved = false;
	c->state.phase = PHASE_START;
	return conductor_pause(c, wait_s * 1000);
}

static void conclude(struct conductor *c, int r)
{
	struct conduct_result *res = c->result;
	static const char *const hopeless[] = { "refused", "usage", "protocol", "internal" };

	res->seconds = (double)(clock_us() - c->began_us) / US_PER_S;
	if (!r) {
		res->outcome = res->mismatched_bytes ? CONDUCT_DIFFERS : CONDUCTED;
		return;
	}
	res->outcome = c->stop					       ? CONDUCT_STOPPED :
		       !strcmp(res->code, "unreachable") && !c->opened ? CONDUCT_UNREACHABLE :
									 CONDUCT_FAILED;
	res->resumable = c->opened && c->o->kind != CONDUCT_VERIFY;
	for (unsigned i = 0; i < ARRAY_SIZE(hopeless); i++)
		res->resumable &= c->failed_us || strcmp(res->code, hopeless[i]) != 0;
	res->done = c->pass	   ? -1 :
		    c->state.total ? (double)c->state.covered / (double)c->state.total :
				     0;
}

static int listen_for_jobs(struct conductor *c)
{
	char err[JOBS_ERRLEN] = "no --run-dir", id[JOBS_ID_LEN];

	jobs_id(c->o->target.path, c->o->target.partition, id);
	c->state.id = "";
	if (c->o->run_dir)
		c->jobs = jobs_listen(c->o->run_dir, id, conductor_serve, c, err);
	if (c->jobs)
		c->state.id = jobs_own_id(c->jobs);
	else if (c->o->kind == CONDUCT_WARM)
		return conductor_fail(c, "usage",
				      "a warm copy needs a socket for `bridgectl disk finish`: %s",
				      err);
	else if (c->o->run_dir)
		conductor_say(c,
			      "`bridgectl disk status`, `rate` and `stop` will not find this "
			      "copy: %s.",
			      err);
	return 0;
}

static void block_signals(sigset_t *ret_old, int *ret_fd)
{
	static const int stop[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t set;

	signals_heeded(stop, ARRAY_SIZE(stop), &set);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What came in the last moment was heeded by ending; it must not kill us before we tell. */
static void restore_signals(const sigset_t *old, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		;
	close(fd);
	sigprocmask(SIG_SETMASK, old, NULL);
}

static void tell_result(struct conductor *c)
{
	json_t *j = conduct_result_json(c->result);

	conductor_tell(c, "result", j);
}

void conduct(const struct conduct_options *o, const struct conduct_ui *ui,
	     struct conduct_result *ret)
{
	struct conductor c = { .o = o, .ui = ui, .result = ret, .began_us = clock_us() };
	/* A reader of our output that went away is no reason to end a copy. */
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old_pipe;
	unsigned tries = 0;
	sigset_t old;
	int r;

	*ret = (struct conduct_result){ .downtime_s = -1 };
	c.state = (struct conduct_state){
		.source = o->source.path,
		.target = o->target.path,
		.from = o->source.host,
		.to = o->target.host,
		.source_partition = o->source.partition,
		.partition = o->target.partition,
		.kind = "",
		.warm = o->kind == CONDUCT_WARM,
		.limit = o->rate,
		.dirty_rate = -1,
		.eta_s = PREDICT_UNKNOWN,
		.downtime_s = PREDICT_UNKNOWN,
	};
	predict_init(&c.predict);
	sigaction(SIGPIPE, &ignore, &old_pipe);
	block_signals(&old, &c.signals);
	r = listen_for_jobs(&c);
	if (!r)
		do
			r = run_once(&c);
		while (r < 0 && retry(&c, &tries) == 0);
	conclude(&c, r);
	tell_result(&c);
	jobs_free(c.jobs);
	restore_signals(&old, c.signals);
	sigaction(SIGPIPE, &old_pipe, NULL);
}
