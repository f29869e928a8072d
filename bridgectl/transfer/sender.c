/*
 * A pass of the end that reads: its threads, the list of spans that they share, counters, the rate.
 * What is done with one span is in sender_span.c.
 *
 * The first failure is the one that is told. Whoever fails aborts all connections, so that no
 * thread stays behind blocked; they are of no use afterwards.
 */
#include "bridgectl/transfer/sender.h"

#include <errno.h>

#include "bridgectl/transfer/sender_private.h"
#include "common/clock.h"

struct sender *sender_new(const struct sender_setup *s, struct gathered *connections)
{
	struct sender *n = calloc(1, sizeof(*n));
	pthread_condattr_t attr;

	if (!n)
		return NULL;
	n->setup = *s;
	n->connections = connections;
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->wake, &attr);
	pthread_condattr_destroy(&attr);
	return n;
}

void sender_free(struct sender *s)
{
	if (!s)
		return;
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- Rate --- */

void sender_rate(struct sender *s, uint64_t bytes_per_s)
{
	pthread_mutex_lock(&s->lock);
	rate_set(&s->rate, bytes_per_s, clock_us());
	s->rate_changes++;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

/* A new rate ends the wait: what was borrowed at the old one is little at any other. */
void sender_wait_rate(struct sender *s, uint64_t bytes)
{
	struct timespec until;
	uint64_t wait, at;
	unsigned changes;

	pthread_mutex_lock(&s->lock);
	changes = s->rate_changes;
	at = clock_us();
	wait = rate_take(&s->rate, bytes, at);
	at += MIN(wait, 3600 * US_PER_S);
	until = (struct timespec){ (time_t)(at / US_PER_S), (long)(at % US_PER_S) * 1000 };
	while (wait && !s->stop && s->rate_changes == changes)
		if (pthread_cond_timedwait(&s->wake, &s->lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&s->lock);
}

/* --- Stop and failure --- */

static void stop_locked(struct sender *s)
{
	s->stop = true;
	pthread_cond_broadcast(&s->wake);
	gathered_abort(s->connections);
}

static void lane_failed(struct sender *s, const struct fail *f)
{
	pthread_mutex_lock(&s->lock);
	if (!s->stop) {
		s->why = *f;
		stop_locked(s);
	}
	pthread_mutex_unlock(&s->lock);
}

void sender_stop(struct sender *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->stop) {
		fail_set(&s->why, FAIL_STOPPED, "stopped");
		stop_locked(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static bool is_stopped(struct sender *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

void sender_counts(struct sender *s, struct sender_counts *ret)
{
	*ret = (struct sender_counts){
		.covered = atomic_load(&s->covered),
		.total = atomic_load(&s->total),
		.read = atomic_load(&s->read),
		.sent = atomic_load(&s->sent),
		.wire = atomic_load(&s->wire),
		.zero = atomic_load(&s->zero),
		.same = atomic_load(&s->same),
		.mismatched = atomic_load(&s->mismatched),
	};
	pthread_mutex_lock(&s->lock);
	ret->n_mismatches = s->n_mismatches;
	memcpy(ret->mismatches, s->mismatches, sizeof(ret->mismatches));
	pthread_mutex_unlock(&s->lock);
}

/* The lowest are kept, in order. */
void sender_mismatch(struct sender *s, uint64_t offset, uint64_t len)
{
	unsigned i;

	sender_count(&s->mismatched, len);
	pthread_mutex_lock(&s->lock);
	for (i = s->n_mismatches; i > 0 && s->mismatches[i - 1] > offset; i--)
		if (i < PASS_MISMATCHES_MAX)
			s->mismatches[i] = s->mismatches[i - 1];
	if (i < PASS_MISMATCHES_MAX) {
		s->mismatches[i] = offset;
		s->n_mismatches = MIN(s->n_mismatches + 1, PASS_MISMATCHES_MAX);
	}
	pthread_mutex_unlock(&s->lock);
}

/* --- A pass --- */

/* The next span of the pass and what is wanted of it. False: no more. */
static bool next_span(struct sender *s, struct span *ret)
{
	uint64_t length = s->setup.window->length;
	uint64_t number;

	while ((number = atomic_fetch_add(&s->next, 1)) < s->n_spans) {
		struct span span = { .number = number, .offset = number * SPAN_BYTES };

		span.len = (size_t)MIN(SPAN_BYTES, length - span.offset);
		span.want = span_mask(span.len);
		if (s->by_bits)
			span.want &= dirty_take_span(s->dirty, number);
		if (span.want) {
			*ret = span;
			return true;
		}
	}
	return false;
}

/* Spans are asked for ahead, so that the other end hashes while this one does. */
static int run_asking(struct lane *l, struct fail *f)
{
	struct span ahead[ASK_AHEAD];
	unsigned first = 0, n = 0;
	bool more = true;
	int r = 0;

	while (r == 0 && !is_stopped(l->sender)) {
		while (more && n < ASK_AHEAD && r == 0) {
			struct span *span = &ahead[(first + n) % ASK_AHEAD];

			more = next_span(l->sender, span);
			if (!more)
				break;
			r = span_ask(l, span, f);
			n++;
		}
		if (n == 0 || r < 0)
			break;
		r = span_run(l, &ahead[first], f);
		first = (first + 1) % ASK_AHEAD;
		n--;
	}
	return r;
}

static int run_telling(struct lane *l, struct fail *f)
{
	struct span span;
	int r = 0;

	while (r == 0 && !is_stopped(l->sender) && next_span(l->sender, &span))
		r = span_run(l, &span, f);
	return r;
}

static int end_pass(struct lane *l, struct fail *f)
{
	struct frame frame;
	int r = wire_send_bare(l->wire, FRAME_END, 0, 0, 0, f);

	if (r == 0)
		r = wire_flush(l->wire, f);
	if (r == 0)
		r = wire_take(l->wire, &frame, f);
	if (r == 0 && frame.type != FRAME_DONE)
		r = fail_set(f, FAIL_PROTOCOL, "the target did not say that it has written all");
	lane_count_wire(l);
	return r;
}

static void *lane_main(void *arg)
{
	struct lane *l = arg;
	struct fail f;
	int r;

	r = l->sender->ask ? run_asking(l, &f) : run_telling(l, &f);
	if (r == 0 && !is_stopped(l->sender))
		r = end_pass(l, &f);
	if (r < 0)
		lane_failed(l->sender, &f);
	return NULL;
}

static int lane_init(struct lane *l, struct sender *s, unsigned i, struct fail *f)
{
	l->sender = s;
	l->wire = &s->connections->wires[i];
	l->wire_before = conn_sent_bytes(l->wire->conn);
	l->buf = window_buffer(SPAN_BYTES);
	if (s->compress != COMPRESS_NEVER) {
		l->packed = malloc(PACKED_BYTES);
		l->codec = codec_new(s->compress == COMPRESS_ALWAYS ? CODEC_ALWAYS : CODEC_AUTO,
				     s->connections->n);
	}
	if (!l->buf || (s->compress != COMPRESS_NEVER && (!l->packed || !l->codec)))
		return fail_set(f, FAIL_INTERNAL, "no memory");
	return 0;
}

static void lane_fini(struct lane *l)
{
	free(l->buf);
	free(l->packed);
	codec_free(l->codec);
}

static void begin(struct sender *s, const struct sender_pass *p)
{
	uint64_t length = s->setup.window->length;
	bool verify = p->kind == PASS_VERIFY;

	s->compress = p->compress;
	s->dirty = verify ? NULL : p->dirty;
	s->verify = verify;
	s->by_bits = p->kind == PASS_DIRTY && p->dirty && !p->lost;
	s->ask = !s->by_bits && (p->kind != PASS_FULL || s->connections->wires[0].known_bytes > 0);
	s->n_spans = length / SPAN_BYTES + (length % SPAN_BYTES != 0);
	s->n_mismatches = 0;
	atomic_store(&s->next, 0);
	atomic_store(&s->covered, 0);
	atomic_store(&s->total, s->by_bits ? dirty_chunks(p->dirty) * CHUNK_BYTES : length);
	atomic_store(&s->read, 0);
	atomic_store(&s->sent, 0);
	atomic_store(&s->wire, 0);
	atomic_store(&s->zero, 0);
	atomic_store(&s->same, 0);
	atomic_store(&s->mismatched, 0);
}

int sender_run(struct sender *s, const struct sender_pass *p, struct fail *f)
{
	struct lane lanes[WIRE_CONNECTIONS_MAX] = { 0 };
	unsigned n = s->connections->n, started = 0;
	struct fail mine;
	int r = 0;

	begin(s, p);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = lane_init(&lanes[i], s, i, &mine);
	for (; r == 0 && started < n; started++)
		if (pthread_create(&lanes[started].thread, NULL, lane_main, &lanes[started]) != 0)
			r = fail_set(&mine, FAIL_INTERNAL, "no more threads can be started");
	if (r < 0)
		lane_failed(s, &mine);
	for (unsigned i = 0; i < started; i++)
		pthread_join(lanes[i].thread, NULL);
	for (unsigned i = 0; i < n; i++)
		lane_fini(&lanes[i]);
	pthread_mutex_lock(&s->lock);
	if (s->stop)
		r = fail_set(f, s->why.code, "%s", s->why.text);
	pthread_mutex_unlock(&s->lock);
	return r;
}
