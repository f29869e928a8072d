/*
 * The threads of the end that writes, and the beginning and end of a pass. Frames are handled in
 * receiver_frame.c, flushing and reading back in receiver_flush.c.
 *
 * Whatever fails first is what settles the pass: all connections are aborted, their threads
 * end, what they have written is flushed and committed, and then the failure is told.
 */
#include "bridgectl/transfer/receiver.h"

#include <errno.h>
#include <string.h>

#include "bridgectl/transfer/receiver_private.h"

/* --- Failure --- */

void receiver_failed(struct receiver *r, const struct fail *f)
{
	bool first, tell;

	pthread_mutex_lock(&r->lock);
	first = !r->stop;
	/* Between two passes a source may just go: then it is no news. */
	tell = first && r->pass != NO_PASS && f->code != FAIL_STOPPED;
	if (first) {
		r->why = *f;
		r->stop = true;
		atomic_store(&r->halt, true);
		gathered_abort(r->connections);
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	if (tell && r->setup.failed)
		r->setup.failed(r->setup.arg, f);
}

int receiver_disk_fail(const struct receiver *r, struct fail *f, const char *what, uint64_t offset,
		       int error)
{
	unsigned long long at = r->setup.window->offset + offset;

	if (fail_code_of_disk(error) == FAIL_NO_SPACE)
		return fail_set(
			f, FAIL_NO_SPACE,
			"cannot %s %s at byte %llu: %s; make room and start again, what was "
			"copied is kept",
			what, r->setup.path, at, strerror(-error));
	return fail_set(f, FAIL_IO, "cannot %s %s at byte %llu: %s", what, r->setup.path, at,
			strerror(-error));
}

void receiver_stop(struct receiver *r)
{
	struct fail f;

	fail_set(&f, FAIL_STOPPED, "stopped");
	receiver_failed(r, &f);
}

/* --- Threads --- */

static void *lane_main(void *arg)
{
	struct rlane *l = arg;
	struct receiver *r = l->receiver;
	struct frame frame;
	struct fail f;
	int e;

	do {
		e = wire_take(l->wire, &frame, &f);
		if (e < 0)
			break;
		e = receiver_frame(l, &frame, &f);
		if (e < 0)
			wire_send_error(l->wire, &f);
		else
			receiver_press(r);
	} while (e == 0);
	receiver_failed(r, &f);
	pthread_mutex_lock(&r->lock);
	r->n_running--;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static bool start_lane(struct receiver *r, unsigned i)
{
	struct rlane *l = &r->lanes[i];

	l->receiver = r;
	l->wire = &r->connections->wires[i];
	l->buf = window_buffer(SPAN_BYTES);
	if (!l->buf || pthread_create(&l->thread, NULL, lane_main, l) != 0)
		return false;
	r->n_running++;
	return true;
}

static bool start_threads(struct receiver *r)
{
	bool well = true;

	if (r->setup.map) {
		r->verify_buf = window_buffer(SPAN_BYTES);
		r->written = dirty_new(r->setup.window->length);
		r->back = dirty_new(r->setup.window->length);
		if (!r->verify_buf || !r->written || !r->back)
			return false;
		r->has_flusher = pthread_create(&r->flusher, NULL, receiver_flusher, r) == 0;
		r->has_verifier = pthread_create(&r->verifier, NULL, receiver_verifier, r) == 0;
		well = r->has_flusher && r->has_verifier;
	}
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; well && i < r->connections->n; i++)
		well = start_lane(r, i);
	pthread_mutex_unlock(&r->lock);
	return well;
}

struct receiver *receiver_new(const struct receiver_setup *s, struct gathered *connections,
			      struct fail *f)
{
	struct receiver *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r) {
		fail_set(f, FAIL_INTERNAL, "no memory");
		return NULL;
	}
	r->setup = *s;
	r->connections = connections;
	r->pass = NO_PASS;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (start_threads(r))
		return r;
	fail_set(f, FAIL_INTERNAL, "no memory, or no more threads can be started");
	receiver_free(r);
	return NULL;
}

/* With the lock: everything that the lanes have written is committed when it returns. */
static void flush_locked(struct receiver *r)
{
	if (!r->has_flusher || r->quit)
		return;
	while (r->flushing)
		pthread_cond_wait(&r->changed, &r->lock);
	r->flush_wanted = true;
	pthread_cond_broadcast(&r->changed);
	while ((r->flush_wanted || r->flushing) && !r->quit)
		pthread_cond_wait(&r->changed, &r->lock);
}

void receiver_free(struct receiver *r)
{
	if (!r)
		return;
	receiver_stop(r);
	for (unsigned i = 0; i < WIRE_CONNECTIONS_MAX; i++)
		if (r->lanes[i].thread)
			pthread_join(r->lanes[i].thread, NULL);
	pthread_mutex_lock(&r->lock);
	flush_locked(r);
	r->quit = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (r->has_flusher)
		pthread_join(r->flusher, NULL);
	if (r->has_verifier)
		pthread_join(r->verifier, NULL);
	for (unsigned i = 0; i < WIRE_CONNECTIONS_MAX; i++) {
		free(r->lanes[i].buf);
		free(r->lanes[i].packed);
		codec_free(r->lanes[i].codec);
	}
	free(r->verify_buf);
	dirty_free(r->written);
	dirty_free(r->back);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* --- A pass --- */

static int begin_locked(struct receiver *r, uint32_t pass, enum pass_kind kind, struct fail *f)
{
	int e = 0;

	if (r->stop)
		return fail_set(f, r->why.code, "%s", r->why.text);
	if (r->pass != NO_PASS)
		return fail_set(f, FAIL_PROTOCOL, "the pass before has not been settled");
	if (!r->setup.map && kind != PASS_VERIFY)
		return fail_set(f, FAIL_REFUSED, "this target is open for comparing only");
	if (kind != PASS_VERIFY)
		e = map_begin(r->setup.map, pass);
	if (e < 0)
		return fail_set(f, fail_code_of_disk(e), "cannot write the map: %s", strerror(-e));
	/* Holes are where nothing was ever written. */
	if (r->begun)
		r->setup.window->fresh = false;
	r->begun = true;
	r->pass = pass;
	r->kind = kind;
	r->n_ended = 0;
	r->n_mismatches = 0;
	for (unsigned i = 0; i < WIRE_CONNECTIONS_MAX; i++)
		r->lanes[i].ended = false;
	atomic_store(&r->written_bytes, 0);
	atomic_store(&r->verified_bytes, 0);
	atomic_store(&r->mismatched_bytes, 0);
	return 0;
}

int receiver_begin(struct receiver *r, uint32_t pass, enum pass_kind kind, struct fail *f)
{
	int e;

	pthread_mutex_lock(&r->lock);
	e = begin_locked(r, pass, kind, f);
	pthread_mutex_unlock(&r->lock);
	return e;
}

/* With the lock. */
static void settle_locked(struct receiver *r)
{
	while (r->n_ended < r->connections->n && !r->stop)
		pthread_cond_wait(&r->changed, &r->lock);
	while (r->stop && r->n_running)
		pthread_cond_wait(&r->changed, &r->lock);
	flush_locked(r);
	while ((r->back_work || r->verifying) && !r->stop)
		pthread_cond_wait(&r->changed, &r->lock);
}

int receiver_settle(struct receiver *r, uint32_t pass, struct fail *f)
{
	int e = 0;

	pthread_mutex_lock(&r->lock);
	if (r->pass == NO_PASS && !r->stop) {
		e = fail_set(f, FAIL_PROTOCOL, "no pass %u has begun", pass);
	} else {
		settle_locked(r);
		if (!r->stop && r->kind != PASS_VERIFY && !r->n_mismatches)
			e = map_end(r->setup.map);
		if (e < 0)
			e = fail_set(f, fail_code_of_disk(e), "cannot write the map: %s",
				     strerror(-e));
		if (r->stop)
			e = fail_set(f, r->why.code, "%s", r->why.text);
		r->pass = NO_PASS;
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}

void receiver_counts(struct receiver *r, struct receiver_counts *ret)
{
	*ret = (struct receiver_counts){
		.written = atomic_load(&r->written_bytes),
		.verified = atomic_load(&r->verified_bytes),
		.mismatched = atomic_load(&r->mismatched_bytes),
	};
	if (r->setup.map)
		ret->to_verify = ret->verified +
				 (dirty_chunks(r->written) + dirty_chunks(r->back)) * CHUNK_BYTES;
	pthread_mutex_lock(&r->lock);
	ret->n_mismatches = r->n_mismatches;
	memcpy(ret->mismatches, r->mismatches, sizeof(ret->mismatches));
	pthread_mutex_unlock(&r->lock);
}
