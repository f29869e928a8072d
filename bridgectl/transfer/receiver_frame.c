/*
 * What the target does with a frame. The header was checked against the window already
 * (frame_take), and every access is checked once more by the window itself.
 *
 * The map is told before a chunk is overwritten: a digest of old bytes must never outlive them, or
 * a source that goes back to the old ones would be believed to be there.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/transfer/receiver_private.h"

static uint64_t first_chunk(const struct frame *frame)
{
	return frame->offset / CHUNK_BYTES;
}

/* Whether the pass is one that writes. */
static int check_writes(struct rlane *l, struct fail *f)
{
	struct receiver *r = l->receiver;
	bool ok;

	pthread_mutex_lock(&r->lock);
	ok = r->pass != NO_PASS && r->kind != PASS_VERIFY && r->setup.map && !l->ended;
	pthread_mutex_unlock(&r->lock);
	return ok ? 0 : fail_set(f, FAIL_PROTOCOL, "data came when none was asked for");
}

/* --- Before and after writing --- */

static int touch(struct rlane *l, const struct frame *frame, struct fail *f)
{
	uint64_t first = first_chunk(frame), n = frame_chunks(frame->length);
	int e = 0;

	while (e == 0 && n) {
		uint32_t step = (uint32_t)MIN(n, UINT32_MAX);

		e = map_touch(l->receiver->setup.map, first, step);
		first += step;
		n -= step;
	}
	if (e < 0)
		return fail_set(f, fail_code_of_disk(e), "cannot write the map: %s", strerror(-e));
	return 0;
}

static int note(struct rlane *l, uint64_t first, uint32_t n, const uint8_t *digests, struct fail *f)
{
	int e = map_note(l->receiver->setup.map, first, n, digests);

	return e < 0 ? fail_set(f, FAIL_INTERNAL, "cannot note what was written: %s",
				strerror(-e)) :
		       0;
}

/* --- DATA --- */

static int read_packed(struct rlane *l, size_t packed, size_t len, struct fail *f)
{
	int r;

	if (packed > l->packed_size) {
		free(l->packed);
		l->packed = malloc(packed);
		l->packed_size = l->packed ? packed : 0;
	}
	if (!l->codec)
		l->codec = codec_new(CODEC_NEVER, 1);
	if (!l->packed || !l->codec)
		return fail_set(f, FAIL_INTERNAL, "no memory");
	r = wire_read(l->wire, l->packed, packed, f);
	if (r < 0)
		return r;
	if (codec_decompress(l->codec, l->packed, packed, l->buf, len) < 0)
		return fail_set(f, FAIL_PROTOCOL, "what arrived cannot be decompressed");
	return 0;
}

static int take_data(struct rlane *l, const struct frame *frame, struct fail *f)
{
	struct receiver *r = l->receiver;
	uint32_t n = (uint32_t)frame_chunks(frame->length);
	size_t digests = (size_t)n * DIGEST_BYTES, len = (size_t)frame->length;
	int e = check_writes(l, f);

	if (e == 0)
		e = wire_read(l->wire, l->digests, digests, f);
	if (e < 0)
		return e;
	if (frame->flags & FRAME_F_ZSTD)
		e = read_packed(l, frame->payload - digests, len, f);
	else
		e = wire_read(l->wire, l->buf, len, f);
	if (e < 0)
		return e;
	digest_chunks(r->setup.digest, l->buf, len, l->mine);
	if (memcmp(l->mine, l->digests, digests) != 0)
		return fail_set(
			f, FAIL_PROTOCOL,
			"what arrived is not what was sent (near byte %llu): the network or "
			"the memory of a host changes bytes",
			(unsigned long long)frame->offset);
	e = touch(l, frame, f);
	if (e < 0)
		return e;
	e = window_write(r->setup.window, frame->offset, l->buf, len);
	if (e < 0)
		return receiver_disk_fail(r, f, "write", frame->offset, e);
	atomic_fetch_add(&r->written_bytes, len);
	dirty_mark(r->written, frame->offset, len);
	return note(l, first_chunk(frame), n, l->digests, f);
}

/* --- ZERO --- */

static int note_zeros(struct rlane *l, const struct frame *frame, struct fail *f)
{
	const struct digest *d = l->receiver->setup.digest;
	uint64_t first = first_chunk(frame), n = frame_chunks(frame->length);
	size_t rest = (size_t)(frame->length % CHUNK_BYTES);
	int e = 0;

	while (e == 0 && n) {
		uint32_t step = (uint32_t)MIN(n, SPAN_CHUNKS);

		for (uint32_t i = 0; i < step; i++)
			memcpy(l->mine + (size_t)i * DIGEST_BYTES, d->zero, DIGEST_BYTES);
		if (step == n && rest) {
			memset(l->buf, 0, rest);
			digest_bytes(d, l->buf, rest, l->mine + (size_t)(step - 1) * DIGEST_BYTES);
		}
		e = note(l, first, step, l->mine, f);
		first += step;
		n -= step;
	}
	return e;
}

static int take_zero(struct rlane *l, const struct frame *frame, struct fail *f)
{
	struct receiver *r = l->receiver;
	int e = check_writes(l, f);

	if (e == 0)
		e = touch(l, frame, f);
	if (e < 0)
		return e;
	/* Only the first pass of all meets what was never written. */
	if (!r->setup.window->fresh || r->pass != 0) {
		e = window_zero(r->setup.window, frame->offset, frame->length);
		if (e < 0)
			return receiver_disk_fail(r, f, "zero", frame->offset, e);
		atomic_fetch_add(&r->written_bytes, frame->length);
		dirty_mark(r->written, frame->offset, frame->length);
	}
	return note_zeros(l, frame, f);
}

/* --- ASK --- */

/* Chunks `from` to `to` of the frame are read, and those hashed whose digest is not known. */
static int hash_disk(struct rlane *l, const struct frame *frame, unsigned from, unsigned to,
		     struct fail *f)
{
	struct receiver *r = l->receiver;
	uint64_t offset = frame->offset + (uint64_t)from * CHUNK_BYTES;
	size_t len = (size_t)(MIN(frame->length, (uint64_t)to * CHUNK_BYTES) -
			      (uint64_t)from * CHUNK_BYTES);
	int e = window_reread(r->setup.window, offset, l->buf, len);

	if (e < 0)
		return receiver_disk_fail(r, f, "read", offset, e);
	for (unsigned i = from; i < to; i++) {
		size_t at = (size_t)(i - from) * CHUNK_BYTES;
		uint8_t *digest = l->mine + (size_t)i * DIGEST_BYTES;

		if (!digest_is_known(digest))
			digest_bytes(r->setup.digest, l->buf + at, MIN(CHUNK_BYTES, len - at),
				     digest);
	}
	return 0;
}

/* Those that the map does not know, read from the disk. */
static int hash_unknown(struct rlane *l, const struct frame *frame, bool may_note, struct fail *f)
{
	unsigned n = (unsigned)frame_chunks(frame->length), from = 0;

	while (from < n) {
		unsigned to;
		int e;

		if (digest_is_known(l->mine + (size_t)from * DIGEST_BYTES)) {
			from++;
			continue;
		}
		for (to = from; to < n; to++)
			if (digest_is_known(l->mine + (size_t)to * DIGEST_BYTES))
				break;
		e = hash_disk(l, frame, from, to, f);
		if (e == 0 && may_note)
			e = note(l, first_chunk(frame) + from, to - from,
				 l->mine + (size_t)from * DIGEST_BYTES, f);
		if (e < 0)
			return e;
		from = to;
	}
	return 0;
}

static int take_ask(struct rlane *l, const struct frame *frame, struct fail *f)
{
	struct receiver *r = l->receiver;
	uint32_t n = (uint32_t)frame_chunks(frame->length);
	struct frame answer = { .type = FRAME_HASHES,
				.payload = n * DIGEST_BYTES,
				.offset = frame->offset,
				.length = frame->length };
	struct iovec iov[2] = { { 0 }, { l->mine, n * DIGEST_BYTES } };
	bool reread = !r->setup.map || (frame->flags & FRAME_F_REREAD), look, active;
	int e = 0;

	pthread_mutex_lock(&r->lock);
	active = r->pass != NO_PASS && !l->ended;
	look = reread || r->kind != PASS_FULL || r->setup.distrust;
	pthread_mutex_unlock(&r->lock);
	if (!active)
		return fail_set(f, FAIL_PROTOCOL, "a question came when no pass had begun");
	memset(l->mine, 0, sizeof(l->mine));
	if (!reread)
		e = map_get(r->setup.map, first_chunk(frame), n, l->mine);
	if (e < 0)
		return fail_set(f, FAIL_IO, "cannot read the map: %s", strerror(-e));
	if (look)
		e = hash_unknown(l, frame, !reread && r->kind != PASS_VERIFY, f);
	if (e == 0)
		e = wire_send(l->wire, &answer, iov, 2, f);
	return e < 0 ? e : wire_flush(l->wire, f);
}

/* --- END --- */

static int take_end(struct rlane *l, struct fail *f)
{
	struct receiver *r = l->receiver;
	bool ok;
	int e;

	pthread_mutex_lock(&r->lock);
	ok = r->pass != NO_PASS && !l->ended;
	pthread_mutex_unlock(&r->lock);
	if (!ok)
		return fail_set(f, FAIL_PROTOCOL, "the source ended a pass that had not begun");
	e = wire_send_bare(l->wire, FRAME_DONE, 0, 0, 0, f);
	if (e == 0)
		e = wire_flush(l->wire, f);
	if (e < 0)
		return e;
	pthread_mutex_lock(&r->lock);
	l->ended = true;
	r->n_ended++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

int receiver_frame(struct rlane *l, const struct frame *frame, struct fail *f)
{
	switch (frame->type) {
	case FRAME_DATA:
		return take_data(l, frame, f);
	case FRAME_ZERO:
		return take_zero(l, frame, f);
	case FRAME_ASK:
		return take_ask(l, frame, f);
	case FRAME_END:
		return take_end(l, f);
	default:
		return fail_set(f, FAIL_PROTOCOL, "the source sent what only a target sends");
	}
}
