/*
 * Durable, then proven. The flusher takes what was noted, flushes the target, commits the digests,
 * and only then marks the chunks to be read back. The verifier reads them from the disk and
 * compares with the digests that the map holds. One that reads back otherwise leaves the map in
 * doubt and is told.
 *
 * Two sets of bits carry this: `written` (since the last commit) and `back` (committed). Chunks
 * that were only looked at, or that are holes of a new file, are in neither.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bridgectl/transfer/receiver_private.h"

#define FLUSH_MS 5000
#define FLUSH_BYTES (UINT64_C(1) << 30)
#define PRESS_BYTES (UINT64_C(4) << 30) /* so much noted and not committed: writers wait */

void receiver_press(struct receiver *r)
{
	uint64_t noted;

	if (!r->setup.map)
		return;
	noted = map_noted_bytes(r->setup.map);
	if (noted < FLUSH_BYTES)
		return;
	pthread_mutex_lock(&r->lock);
	r->flush_wanted = true;
	pthread_cond_broadcast(&r->changed);
	while (noted >= PRESS_BYTES && r->flush_wanted && !r->stop)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* --- Flushing --- */

/* Of these chunks, those that were written are to be read back. */
static void mark_back(struct receiver *r, uint64_t first, uint32_t n)
{
	for (uint64_t span = first / SPAN_CHUNKS; span * SPAN_CHUNKS < first + n; span++) {
		uint64_t bits = dirty_take_span(r->written, span);

		for (uint64_t i = 0; bits && i < SPAN_CHUNKS; i++) {
			uint64_t chunk = span * SPAN_CHUNKS + i;
			bool ours = chunk >= first && chunk < first + n;

			if (bits & UINT64_C(1) << i)
				dirty_mark(ours ? r->back : r->written, chunk * CHUNK_BYTES,
					   CHUNK_BYTES);
		}
	}
}

static int commit(struct receiver *r, const struct map_batch *b, struct fail *f)
{
	const uint8_t *digests;
	uint64_t first;
	uint32_t n;
	struct stat st;
	int e = window_flush(r->setup.window);

	if (e < 0)
		return fail_set(f, fail_code_of_disk(e), "cannot write %s: %s", r->setup.path,
				strerror(-e));
	/* Another one who writes to the file later changes this. */
	if (fstat(r->setup.window->fd, &st) == 0)
		map_set_stamp(r->setup.map, (uint64_t)st.st_mtim.tv_sec * US_PER_S +
						    (uint64_t)st.st_mtim.tv_nsec / 1000);
	e = map_commit(r->setup.map, b);
	if (e < 0)
		return fail_set(f, fail_code_of_disk(e),
				"cannot write down what was copied, in the folder of the state: %s",
				strerror(-e));
	for (unsigned i = 0; map_batch_run(b, i, &first, &n, &digests); i++)
		mark_back(r, first, n);
	return 0;
}

/* What was not flushed is not believed: after a failure nothing is committed any more. */
static void flush_once(struct receiver *r)
{
	struct map_batch *b = map_take(r->setup.map);
	struct fail f;
	int e;

	if (!b)
		return;
	e = commit(r, b, &f);
	map_batch_free(b);
	if (e < 0) {
		receiver_failed(r, &f);
		pthread_mutex_lock(&r->lock);
		r->quit = true;
		pthread_mutex_unlock(&r->lock);
		return;
	}
	pthread_mutex_lock(&r->lock);
	r->back_work = true;
	pthread_mutex_unlock(&r->lock);
}

/* Waits with the lock for a wish or until the time is over. */
static void wait_wish(struct receiver *r)
{
	long ms = r->setup.flush_ms ? r->setup.flush_ms : FLUSH_MS;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!r->flush_wanted && !r->quit)
		if (pthread_cond_timedwait(&r->changed, &r->lock, &until) == ETIMEDOUT)
			return;
}

void *receiver_flusher(void *arg)
{
	struct receiver *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->quit) {
		wait_wish(r);
		r->flush_wanted = false;
		r->flushing = true;
		pthread_mutex_unlock(&r->lock);
		flush_once(r);
		pthread_mutex_lock(&r->lock);
		r->flushing = false;
		pthread_cond_broadcast(&r->changed);
	}
	/* Nobody waits for what will not come. */
	r->flush_wanted = false;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* --- Reading back --- */

static void mismatch(struct receiver *r, uint64_t chunk, size_t len)
{
	uint64_t offset = chunk * CHUNK_BYTES;

	atomic_fetch_add(&r->mismatched_bytes, len);
	pthread_mutex_lock(&r->lock);
	if (r->n_mismatches < PASS_MISMATCHES_MAX)
		r->mismatches[r->n_mismatches++] = offset;
	pthread_mutex_unlock(&r->lock);
	/* The map is in doubt from now on, and this pass will not end that. */
	map_touch(r->setup.map, chunk, 1);
}

static int verify_run(struct receiver *r, uint64_t first, uint32_t n, struct fail *f)
{
	uint8_t want[SPAN_CHUNKS * DIGEST_BYTES], got[DIGEST_BYTES];
	uint64_t offset = first * CHUNK_BYTES;
	size_t len = (size_t)MIN((uint64_t)n * CHUNK_BYTES, r->setup.window->length - offset);
	int e = map_get(r->setup.map, first, n, want);

	if (e < 0)
		return fail_set(f, FAIL_IO, "cannot read the map: %s", strerror(-e));
	e = window_reread(r->setup.window, offset, r->verify_buf, len);
	if (e < 0)
		return receiver_disk_fail(r, f, "read back", offset, e);
	for (uint32_t i = 0; i < n; i++) {
		size_t at = (size_t)i * CHUNK_BYTES, l = MIN(CHUNK_BYTES, len - at);
		const uint8_t *digest = want + (size_t)i * DIGEST_BYTES;

		if (!digest_is_known(digest)) /* it is being written once more */
			continue;
		digest_bytes(r->setup.digest, r->verify_buf + at, l, got);
		if (memcmp(got, digest, DIGEST_BYTES) != 0)
			mismatch(r, first + i, l);
	}
	atomic_fetch_add(&r->verified_bytes, len);
	return 0;
}

static int verify_span(struct receiver *r, uint64_t span, struct fail *f)
{
	uint64_t bits = dirty_take_span(r->back, span);

	while (bits) {
		unsigned from = (unsigned)__builtin_ctzll(bits), n = 0;
		int e;

		while (from + n < SPAN_CHUNKS && bits >> (from + n) & 1)
			n++;
		bits &= from + n == 64 ? 0 : UINT64_MAX << (from + n);
		e = verify_run(r, span * SPAN_CHUNKS + from, n, f);
		if (e < 0)
			return e;
	}
	return 0;
}

static void verify_all(struct receiver *r)
{
	uint64_t n = frame_chunks(r->setup.window->length);
	struct fail f;

	n = n / SPAN_CHUNKS + (n % SPAN_CHUNKS != 0);
	for (uint64_t span = 0; span < n && !atomic_load(&r->halt); span++)
		if (verify_span(r, span, &f) < 0) {
			receiver_failed(r, &f);
			return;
		}
}

void *receiver_verifier(void *arg)
{
	struct receiver *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		if (!r->back_work) {
			pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		r->back_work = false;
		r->verifying = true;
		pthread_mutex_unlock(&r->lock);
		verify_all(r);
		pthread_mutex_lock(&r->lock);
		r->verifying = false;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}
