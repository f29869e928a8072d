/*
 * The one place where the conductor waits: for answers and events of both ends, for requests from
 * `disk finish` and its like, for signals. Steps are written one after the other above it, as
 * questions that return when they are answered.
 *
 * A stop is asked for once; then both ends are told, and what waits for an answer gets it, because
 * ends answer a stopped request too. If they do not within a time, waiting ends without them.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>

#include "bridgectl/transfer/conductor_private.h"
#include "common/clock.h"
#include "common/jsonline.h"

#define STOP_MAX_US (60 * US_PER_S) /* for flushing what is written: a slow disk */
#define STOP_EARLY_US US_PER_S	    /* nothing was written yet */
#define LAST_WORDS_US (2 * US_PER_S)
#define TICK_MS 250
#define SHOW_US (200 * US_PER_MS)
#define TELL_US US_PER_S
#define TAU_SHOWN_S 3.0
#define SAMPLE_MIN_US (2 * US_PER_MS)
#define HELLO_LOCAL_US (20 * US_PER_S)
#define HELLO_SSH_US (180 * US_PER_S) /* somebody may be typing a password */

uint64_t conductor_uint(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	if (json_is_array(v))
		return json_array_size(v);
	return json_is_true(v) ? 1 : (uint64_t)MAX(json_integer_value(v), 0);
}

int conductor_fail(struct conductor *c, const char *code, const char *fmt, ...)
{
	va_list ap;

	if (c->result->code[0])
		return -1;
	snprintf(c->result->code, sizeof(c->result->code), "%s", code);
	va_start(ap, fmt);
	vsnprintf(c->result->message, sizeof(c->result->message), fmt, ap);
	va_end(ap);
	return -1;
}

void conductor_say(struct conductor *c, const char *fmt, ...)
{
	char text[END_ERRLEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->ui->say(c->ui->arg, text);
	conductor_tell(c, "note", json_pack("{so}", "text", jsonline_text(text)));
}

void conductor_tell(struct conductor *c, const char *event, json_t *j)
{
	if (c->jobs && j) {
		json_object_set_new(j, "event", json_string(event));
		jobs_tell(c->jobs, j);
	}
	json_decref(j);
}

/* --- What is seen --- */

void conductor_reset(struct conductor *c, const char *kind, unsigned pass, uint64_t total)
{
	struct conduct_state *st = &c->state;

	st->kind = kind;
	st->pass = pass;
	st->total = total;
	st->covered = st->read = st->sent = st->wire = st->zero = st->same = st->verified = 0;
	st->eta_s = PREDICT_UNKNOWN;
	c->last = (struct sample){ .us = clock_us(), .dirty = st->dirty };
	c->rate = c->sent_rate = (struct predict_mean){ 0 };
}

void conductor_show(struct conductor *c, bool now)
{
	uint64_t us = clock_us();

	if (!now && us - c->shown_us < SHOW_US)
		return;
	c->shown_us = us;
	c->state.seconds = (double)(us - c->began_us) / US_PER_S;
	c->ui->progress(c->ui->arg, &c->state);
	if (us - c->told_us < TELL_US)
		return;
	c->told_us = us;
	conductor_tell(c, "progress", conduct_state_json(&c->state));
}

static uint64_t over(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

void conductor_measure(struct conductor *c)
{
	const struct conduct_state *st = &c->state;
	struct sample now = { clock_us(), st->covered, st->sent, st->dirty };
	uint64_t us = now.us - c->last.us, covered = over(now.covered, c->last.covered);
	uint64_t sent = over(now.sent, c->last.sent);
	bool dirty_pass = !strcmp(st->kind, "dirty");
	/* In a pass over dirty chunks those that it takes are none any more. */
	uint64_t written = over(now.dirty + (dirty_pass ? covered : 0), c->last.dirty);

	if (us < SAMPLE_MIN_US)
		return;
	predict_mean_add(&c->rate, (double)covered, (double)us / US_PER_S, TAU_SHOWN_S);
	predict_mean_add(&c->sent_rate, (double)sent, (double)us / US_PER_S, TAU_SHOWN_S);
	if (st->tracking && !st->lost)
		predict_written(&c->predict, written, us);
	if (!strcmp(st->kind, "delta"))
		predict_scanned(&c->predict, covered, us);
	/* Zeros and what is there already say nothing about sending. */
	if (sent > covered / 2)
		predict_copied(&c->predict, sent, us);
	c->last = now;
}

static void take_pass_progress(struct conductor *c, const json_t *j)
{
	struct conduct_state *st = &c->state;

	st->covered = conductor_uint(j, "covered_bytes");
	if (conductor_uint(j, "total_bytes"))
		st->total = conductor_uint(j, "total_bytes");
	c->moved |= conductor_uint(j, "sent_bytes") > st->sent;
	st->read = conductor_uint(j, "read_bytes");
	st->sent = conductor_uint(j, "sent_bytes");
	st->wire = conductor_uint(j, "wire_bytes");
	st->zero = conductor_uint(j, "zero_bytes");
	st->same = conductor_uint(j, "same_bytes");
	st->dirty = conductor_uint(j, "dirty_bytes");
	st->lost = conductor_uint(j, "lost") > c->lost_seen;
	conductor_measure(c);
	st->rate = c->rate.value;
	st->sent_rate = c->sent_rate.value;
	st->dirty_rate = c->predict.write.weight > 0 ? c->predict.write.value : -1;
	st->eta_s = predict_eta_s(over(st->total, st->covered), st->rate);
}

/* The reason behind a connection that the target closes, which is all that the source sees. */
static void take_failed(struct conductor *c, const json_t *j)
{
	const char *code = json_string_value(json_object_get(j, "code"));
	const char *message = json_string_value(json_object_get(j, "message"));

	if (c->failed.code[0] || !code || !message)
		return;
	snprintf(c->failed.code, sizeof(c->failed.code), "%s", code);
	snprintf(c->failed.message, sizeof(c->failed.message), "%s", message);
}

void conductor_event(void *arg, struct end *e, const char *event, const json_t *line)
{
	struct conductor *c = arg;
	struct conduct_state *st = &c->state;

	if (!strcmp(event, "failed")) {
		take_failed(c, line);
	} else if (strcmp(event, "progress") != 0) {
		return;
	} else if (st->phase == PHASE_PASS && e == c->ends[SOURCE]) {
		take_pass_progress(c, line);
	} else if (st->phase == PHASE_SETTLE) {
		st->verified = conductor_uint(line, "verified_bytes");
	} else if (st->phase == PHASE_SHA256 && e == c->ends[SOURCE]) {
		st->covered = conductor_uint(line, "covered_bytes");
		st->total = conductor_uint(line, "total_bytes");
	}
}

/* --- What others ask --- */

static json_t *serve_finish(struct conductor *c, const char **ret_code, char *err)
{
	if (c->o->kind != CONDUCT_WARM) {
		*ret_code = "refused";
		snprintf(err, JOBS_ERRLEN, "this copy ends by itself: only one with --warm waits");
		return NULL;
	}
	if (!c->finish)
		c->finish_us = clock_us();
	c->finish = true;
	return json_pack("{sb}", "finish", 1);
}

static json_t *serve_rate(struct conductor *c, const json_t *params, const char **ret_code,
			  char *err)
{
	struct end_call ignored;
	json_t *v = json_object_get(params, "bytes_per_s");

	if (!json_is_integer(v) || json_integer_value(v) < 0) {
		*ret_code = "usage";
		snprintf(err, JOBS_ERRLEN, "bytes_per_s is a number, 0 for no limit");
		return NULL;
	}
	c->state.limit = (uint64_t)json_integer_value(v);
	if (c->ends[SOURCE] && c->state.phase >= PHASE_CONNECT) {
		end_ask(c->ends[SOURCE], "rate", json_pack("{sO}", "bytes_per_s", v), &ignored);
		end_forget(c->ends[SOURCE], &ignored);
	}
	return json_pack("{sO}", "bytes_per_s", v);
}

json_t *conductor_serve(void *arg, const char *method, const json_t *params, const char **ret_code,
			char *err)
{
	struct conductor *c = arg;

	if (!strcmp(method, "status")) {
		c->state.seconds = (double)(clock_us() - c->began_us) / US_PER_S;
		return conduct_state_json(&c->state);
	}
	if (!strcmp(method, "finish"))
		return serve_finish(c, ret_code, err);
	if (!strcmp(method, "rate"))
		return serve_rate(c, params, ret_code, err);
	if (!strcmp(method, "stop")) {
		c->stop = true;
		return json_pack("{sb}", "stop", 1);
	}
	*ret_code = "no-method";
	snprintf(err, JOBS_ERRLEN, "no method \"%.40s\"", method);
	return NULL;
}

/* --- Waiting --- */

static void take_signal(struct conductor *c)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != sizeof(info))
		return;
	/* The second time: without waiting for a flush. */
	if (c->stop) {
		c->stop_by_us = 0;
		c->hurried = true;
	}
	c->stop = true;
}

bool conductor_hurried(struct conductor *c)
{
	take_signal(c);
	return c->hurried;
}

static void turn(struct conductor *c, int ms)
{
	struct pollfd p[2 * ENDS + 1 + JOBS_POLL_MAX];
	unsigned n = 0, n_jobs;

	for (int i = 0; i < ENDS; i++) {
		struct end *e = c->ends[i];

		p[n++] = (struct pollfd){ .fd = e ? end_fd(e) : -1, .events = POLLIN };
		p[n++] = (struct pollfd){ .fd = e ? end_stderr_fd(e) : -1, .events = POLLIN };
	}
	p[n++] = (struct pollfd){ .fd = c->signals, .events = POLLIN };
	n_jobs = c->jobs ? jobs_poll(c->jobs, p + n) : 0;
	if (poll(p, n + n_jobs, ms) <= 0)
		return;
	for (int i = 0; i < ENDS; i++) {
		if (p[2 * i + 1].revents)
			end_read_stderr(c->ends[i]);
		if (p[2 * i].revents)
			end_read(c->ends[i]);
	}
	if (p[n - 1].revents)
		take_signal(c);
	if (n_jobs)
		jobs_work(c->jobs, p + n, n_jobs);
}

static void tell_stop(struct conductor *c)
{
	if (c->stopping)
		return;
	c->stopping = true;
	c->stop_by_us = clock_us() + (c->state.phase < PHASE_CONNECT ? STOP_EARLY_US : STOP_MAX_US);
	for (int i = 0; i < ENDS; i++)
		if (c->ends[i])
			end_ask(c->ends[i], "stop", NULL, &c->stops[i]);
}

static struct end *gone(struct conductor *c)
{
	for (int i = 0; i < ENDS; i++)
		if (c->ends[i] && end_ended(c->ends[i]))
			return c->ends[i];
	return NULL;
}

/* One turn while something waits. -1: it waits in vain. */
static int wait_turn(struct conductor *c)
{
	turn(c, TICK_MS);
	conductor_show(c, false);
	if (c->stop)
		tell_stop(c);
	if (c->stopping && clock_us() > c->stop_by_us)
		return conductor_fail(c, "stopped", "stopped without waiting for the ends");
	if (gone(c) && !c->stopping)
		return conductor_fail(c, end_answered(gone(c)) ? "connection" : "unreachable", "%s",
				      end_why(gone(c)));
	return 0;
}

/* A connection failed: often because an end did, and that says more. */
static bool wait_last_words(struct conductor *c)
{
	uint64_t until = clock_us() + LAST_WORDS_US;

	while (!gone(c) && !c->failed.code[0] && !c->stop && clock_us() < until)
		turn(c, 50);
	return c->failed.code[0] && strcmp(c->failed.code, "connection") != 0;
}

static int refused(struct conductor *c, int which, const struct end_call *call)
{
	bool connection = !strcmp(call->code, "connection");

	if (connection && wait_last_words(c) && !c->stop)
		return conductor_fail(c, c->failed.code, "%s: %s", end_name(c->ends[TARGET]),
				      c->failed.message);
	if (c->stop)
		return conductor_fail(c, "stopped", "stopped");
	if (connection && gone(c))
		return conductor_fail(c, "connection", "%s", end_why(gone(c)));
	if (!strcmp(call->code, "ended"))
		return conductor_fail(c,
				      end_answered(c->ends[which]) ? "connection" : "unreachable",
				      "%s", call->message);
	return conductor_fail(c, call->code, "%s: %s", end_name(c->ends[which]), call->message);
}

static uint64_t patience_us(const struct conductor *c, int which, const char *method)
{
	if (strcmp(method, "hello") != 0)
		return NEVER;
	return clock_us() + (end_spec(c->ends[which])->host ? HELLO_SSH_US : HELLO_LOCAL_US);
}

static int await(struct conductor *c, int which, const char *method, struct end_call *call)
{
	uint64_t until = patience_us(c, which, method);

	while (!call->done && wait_turn(c) == 0)
		if (clock_us() > until) {
			conductor_fail(c, "unreachable", "%s does not answer",
				       end_name(c->ends[which]));
			break;
		}
	if (!call->done) {
		end_forget(c->ends[which], call);
		return -1;
	}
	return call->result ? 0 : refused(c, which, call);
}

int conductor_ask(struct conductor *c, int which, const char *method, json_t *params, json_t **ret)
{
	struct end_call call;
	int r;

	if (c->stop) {
		json_decref(params);
		return conductor_fail(c, "stopped", "stopped");
	}
	end_ask(c->ends[which], method, params, &call);
	r = await(c, which, method, &call);
	if (!r && ret)
		*ret = json_incref(call.result);
	end_call_fini(&call);
	return r;
}

int conductor_ask_both(struct conductor *c, const char *method, json_t *params, json_t *ret[ENDS])
{
	struct end_call calls[ENDS];
	int r = 0;

	for (int i = 0; i < ENDS; i++)
		end_ask(c->ends[i], method, json_incref(params), &calls[i]);
	json_decref(params);
	for (int i = 0; i < ENDS; i++)
		r = r || await(c, i, method, &calls[i]) ? -1 : 0;
	for (int i = 0; i < ENDS; i++) {
		if (!calls[i].done)
			end_forget(c->ends[i], &calls[i]);
		if (!r)
			ret[i] = json_incref(calls[i].result);
		end_call_fini(&calls[i]);
	}
	return r;
}

int conductor_pause(struct conductor *c, unsigned ms)
{
	uint64_t until = clock_us() + ms * US_PER_MS;

	while (!c->finish && !c->stop && clock_us() < until)
		if (wait_turn(c) < 0)
			return -1;
	return c->stop ? conductor_fail(c, "stopped", "stopped") : 0;
}
