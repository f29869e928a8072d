/*
 * Passes, from the first to the last.
 *
 * A pass is: the target is told, the source sends, the target settles (all flushed, noted in the
 * map, read back). What the next one must do depends on what is known: nothing (compare digests),
 * or which chunks were written meanwhile (tracking). Tracking that has lost an event knows nothing.
 *
 * A warm copy ends its last pass with the guest off. When tracking sees writes even then, the guest
 * is not off, and the copy goes back to waiting rather than telling that all is well.
 */
#include <string.h>

#include "bridgectl/transfer/conductor_private.h"
#include "bridgectl/transfer/frame.h"
#include "common/clock.h"

#define POLL_MS 1000
#define WAIT_PASS_US (30 * US_PER_S) /* what is dirty is copied so often while it waits */
#define WAIT_SCAN_TIMES 4	     /* comparing all takes at most a fifth of the time */
#define FINAL_TRIES 3

static void add_to_result(struct conductor *c, const json_t *r)
{
	struct conduct_result *res = c->result;

	res->sent += conductor_uint(r, "sent_bytes");
	res->wire += conductor_uint(r, "wire_bytes");
	res->zero += conductor_uint(r, "zero_bytes");
	res->same += conductor_uint(r, "same_bytes");
	res->passes++;
	c->state.read = conductor_uint(r, "read_bytes");
	c->state.sent = conductor_uint(r, "sent_bytes");
	c->state.zero = conductor_uint(r, "zero_bytes");
	c->state.same = conductor_uint(r, "same_bytes");
	c->state.wire = conductor_uint(r, "wire_bytes");
	c->state.dirty = conductor_uint(r, "dirty_bytes");
	c->state.lost = conductor_uint(r, "lost") > c->lost_seen;
	c->state.covered = conductor_uint(r, "covered_bytes");
	conductor_measure(c);
	c->state.covered = c->state.total;
	c->state.sent_in_all = res->sent;
}

static void take_places(struct conductor *c, const json_t *r)
{
	const json_t *list = json_object_get(r, "mismatches"), *v;
	size_t i;

	c->result->mismatched_bytes = conductor_uint(r, "mismatched_bytes");
	c->result->n_places = 0;
	json_array_foreach(list, i, v) {
		if (i < CONDUCT_PLACES_MAX)
			c->result->places[c->result->n_places++] = (uint64_t)json_integer_value(v);
	}
}

static int settle(struct conductor *c)
{
	json_t *r;
	uint64_t began = clock_us();

	c->state.phase = PHASE_SETTLE;
	if (conductor_ask(c, TARGET, "settle", json_pack("{sI}", "pass", (json_int_t)c->pass), &r) <
	    0)
		return -1;
	if (c->pass)
		predict_settled(&c->predict, clock_us() - began);
	c->result->verified += conductor_uint(r, "verified_bytes");
	take_places(c, r);
	json_decref(r);
	if (!c->result->mismatched_bytes && !c->result->n_places)
		return 0;
	return conductor_fail(c, "io",
			      "%s does not keep what is written: %llu bytes read back otherwise, "
			      "the first at byte %llu",
			      end_name(c->ends[TARGET]),
			      (unsigned long long)c->result->mismatched_bytes,
			      (unsigned long long)(c->result->n_places ? c->result->places[0] : 0));
}

static int begin(struct conductor *c, const char *kind, uint64_t total)
{
	conductor_reset(c, kind, c->pass, total);
	c->state.phase = PHASE_PASS;
	conductor_show(c, true);
	return conductor_ask(c, TARGET, "begin",
			     json_pack("{sIss}", "pass", (json_int_t)c->pass, "kind", kind), NULL);
}

/* Between two disks of one host there is no link to be relieved. */
static const char *compression(const struct conductor *c)
{
	bool local = !c->o->source.host && !c->o->target.host;

	return local && !strcmp(c->o->compress, "auto") ? "never" : c->o->compress;
}

static int send_pass(struct conductor *c, const char *kind, json_t **ret)
{
	return conductor_ask(c, SOURCE, "pass",
			     json_pack("{sssIss}", "kind", kind, "pass", (json_int_t)c->pass,
				       "compress", compression(c)),
			     ret);
}

static int one_pass(struct conductor *c, const char *kind)
{
	json_t *r;

	if (begin(c, kind, !strcmp(kind, "dirty") ? c->state.dirty : c->state.bytes) < 0 ||
	    send_pass(c, kind, &r) < 0)
		return -1;
	add_to_result(c, r);
	json_decref(r);
	if (settle(c) < 0)
		return -1;
	c->pass++;
	c->moved = true;
	return 0;
}

/* --- Where to begin --- */

static void say_resumed(struct conductor *c)
{
	double part = c->state.bytes ? (double)c->known / (double)c->state.bytes : 0;

	if (!c->resumed)
		return;
	if (c->doubt)
		conductor_say(c, "An earlier copy was broken off while it wrote once more what had "
				 "changed, or somebody else has written to the target since: "
				 "comparing all of it.");
	else if (c->pass)
		conductor_say(c, "An earlier copy is there: sending what has changed since.");
	else
		conductor_say(c, "Going on from %.0f %%: that much is on the target.", part * 100);
}

static const char *first_kind(const struct conductor *c)
{
	bool compares = c->o->kind == CONDUCT_DELTA || c->o->kind == CONDUCT_FINAL;

	return c->pass || c->doubt || compares ? "delta" : "full";
}

/* --- Warm --- */

static int track(struct conductor *c)
{
	json_t *r;

	if (conductor_ask(c, SOURCE, "track", json_pack("{sb}", "on", 1), &r) < 0)
		return -1;
	c->state.tracking = json_is_true(json_object_get(r, "on"));
	c->state.lost = false;
	if (!c->state.tracking)
		conductor_say(c,
			      "Writes to the source cannot be watched (%s): each pass reads all of "
			      "it and compares.",
			      json_string_value(json_object_get(r, "why")) ?: "no reason given");
	json_decref(r);
	return 0;
}

static int ask_dirty(struct conductor *c)
{
	uint64_t now = clock_us();
	json_t *r;

	if (!c->state.tracking)
		return 0;
	if (conductor_ask(c, SOURCE, "dirty", NULL, &r) < 0)
		return -1;
	c->state.dirty = conductor_uint(r, "bytes");
	c->state.lost = conductor_uint(r, "lost") > c->lost_seen;
	c->lost_now = conductor_uint(r, "lost");
	json_decref(r);
	if (c->state.phase == PHASE_WAIT && !c->state.lost) {
		uint64_t then = MIN(c->last.dirty, c->state.dirty);

		predict_written(&c->predict, c->state.dirty - then, now - c->last.us);
		c->state.dirty_rate = c->predict.write.value;
		c->last.us = now;
		c->last.dirty = c->state.dirty;
	}
	return 0;
}

static bool knows_dirty(const struct conductor *c)
{
	return c->state.tracking && !c->state.lost;
}

static double predicted(struct conductor *c)
{
	if (knows_dirty(c))
		c->state.downtime_s = predict_downtime_s(&c->predict, c->state.dirty, 0);
	else
		c->state.downtime_s =
			predict_downtime_s(&c->predict, c->state.sent, c->state.bytes);
	return c->state.downtime_s;
}

/* A pass while the guest runs. */
static int warm_pass(struct conductor *c)
{
	if (knows_dirty(c))
		return one_pass(c, "dirty");
	if (c->state.tracking)
		conductor_say(c, "Events of the write tracking were lost: comparing all of it.");
	c->lost_seen = c->lost_now;
	return one_pass(c, "delta");
}

static void say_waiting(struct conductor *c, bool shrinks)
{
	const char *more = shrinks ? "" :
				     " It does not get shorter: the guest writes as fast as "
				     "this copies.";
	const char *id = c->state.id;
	char takes[64] = "";

	if (c->state.downtime_s < PREDICT_UNKNOWN)
		snprintf(takes, sizeof(takes), ": the last pass will take about %.1f s",
			 c->state.downtime_s);
	conductor_say(c, "Ready%s.%s Turn the guest off, then run: bridgectl disk finish%s%s",
		      takes, more, *id ? " " : "", id);
}

/* A guest that writes faster than this copies must not keep it busy for ever: then `helped` is
 * false. */
static bool pass_is_due(const struct conductor *c, uint64_t next_us, bool helped)
{
	if (knows_dirty(c) && !c->state.dirty)
		return false;
	if (clock_us() >= next_us)
		return true;
	return helped && knows_dirty(c) && c->state.downtime_s > c->o->max_downtime_s / 2;
}

/* Keeps the rest small until `finish`. */
static int wait_for_finish(struct conductor *c)
{
	uint64_t took, next = clock_us() + WAIT_PASS_US;
	bool helped = true;

	while (!c->finish) {
		c->state.phase = PHASE_WAIT;
		if (conductor_pause(c, POLL_MS) < 0 || ask_dirty(c) < 0)
			return -1;
		predicted(c);
		if (c->finish || !pass_is_due(c, next, helped))
			continue;
		took = clock_us();
		if (warm_pass(c) < 0 || ask_dirty(c) < 0)
			return -1;
		took = clock_us() - took;
		next = clock_us() + MAX(WAIT_PASS_US, took * WAIT_SCAN_TIMES);
		helped = predicted(c) <= c->o->max_downtime_s / 2;
	}
	return 0;
}

/* The guest is off. True in *ret_still: it is not. */
static int last_pass(struct conductor *c, bool *ret_still)
{
	*ret_still = false;
	c->state.final = true;
	for (unsigned i = 0; i < FINAL_TRIES; i++) {
		bool compares;

		if (ask_dirty(c) < 0)
			return -1;
		compares = !knows_dirty(c);
		if (compares) {
			if (c->state.tracking)
				conductor_say(c, "Events of the write tracking were lost: the last "
						 "pass compares all of the disk.");
			c->lost_seen = c->lost_now;
		} else if (i && !c->state.dirty) {
			return 0;
		}
		if (one_pass(c, compares ? "delta" : "dirty") < 0)
			return -1;
		c->result->final_read += c->state.read;
		c->result->final_sent += c->state.sent + c->state.zero;
		if (!c->state.tracking)
			return 0;
	}
	if (ask_dirty(c) < 0)
		return -1;
	*ret_still = c->state.lost || c->state.dirty;
	return 0;
}

static int finish_warm(struct conductor *c)
{
	bool still;

	for (;;) {
		if (wait_for_finish(c) < 0 || last_pass(c, &still) < 0)
			return -1;
		if (!still)
			break;
		conductor_say(c, "The source is still written to, so the guest is not off: waiting "
				 "again. Turn it off, then repeat: bridgectl disk finish");
		c->finish = c->state.final = false;
	}
	c->result->downtime_s = (double)(clock_us() - c->finish_us) / US_PER_S;
	conductor_say(c, "The last pass read %llu chunks of 64 KiB and sent %llu.",
		      (unsigned long long)frame_chunks(c->result->final_read),
		      (unsigned long long)frame_chunks(c->result->final_sent));
	return 0;
}

static int run_warm(struct conductor *c)
{
	bool shrinks = true;

	if (track(c) < 0 || one_pass(c, first_kind(c)) < 0)
		return -1;
	while (!c->finish && shrinks) {
		if (ask_dirty(c) < 0)
			return -1;
		if (predicted(c) <= c->o->max_downtime_s)
			break;
		shrinks = predict_shrinks(&c->predict, c->state.downtime_s);
		if (shrinks && warm_pass(c) < 0)
			return -1;
	}
	if (!c->finish)
		say_waiting(c, shrinks);
	return finish_warm(c);
}

int conductor_passes(struct conductor *c)
{
	if (c->o->kind == CONDUCT_VERIFY)
		return conductor_verify(c);
	say_resumed(c);
	if (c->o->kind == CONDUCT_WARM)
		return run_warm(c);
	if (c->o->kind == CONDUCT_FINAL)
		conductor_say(c, "No running copy has watched the writes: comparing all of the "
				 "disk.");
	return one_pass(c, first_kind(c));
}

int conductor_verify(struct conductor *c)
{
	json_t *r;

	if (begin(c, "verify", c->state.bytes) < 0 || send_pass(c, "verify", &r) < 0)
		return -1;
	add_to_result(c, r);
	take_places(c, r);
	json_decref(r);
	c->result->verified = c->state.bytes;
	return 0;
}
