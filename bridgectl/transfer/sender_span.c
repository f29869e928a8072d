/*
 * One span of the source: read, hashed, compared, sent. A span's chunks are bits of one word, and
 * runs of them become frames. Every digest is made of the very bytes that are sent.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/transfer/sender_private.h"
#include "common/clock.h"

/* The first run of bits in *mask, which it loses; false: none is left. */
static bool next_run(uint64_t *mask, unsigned *ret_first, unsigned *ret_n)
{
	unsigned first, n;

	if (!*mask)
		return false;
	first = (unsigned)__builtin_ctzll(*mask);
	n = ~(*mask >> first) ? (unsigned)__builtin_ctzll(~(*mask >> first)) : 64;
	*mask &= n == 64 ? 0 : ~(((UINT64_C(1) << n) - 1) << first);
	*ret_first = first;
	*ret_n = n;
	return true;
}

/* Bytes of so many chunks of a span; the last one may be short. */
static size_t run_len(const struct span *span, unsigned first, unsigned n)
{
	return MIN((size_t)n * CHUNK_BYTES, span->len - (size_t)first * CHUNK_BYTES);
}

static uint64_t mask_bytes(const struct span *span, uint64_t mask)
{
	unsigned first, n;
	uint64_t bytes = 0;

	while (next_run(&mask, &first, &n))
		bytes += run_len(span, first, n);
	return bytes;
}

/* --- Reading --- */

/* A file knows where it has nothing: lseek(2). An end of the file before the span's is no hole. */
static bool is_hole(const struct window *w, uint64_t offset, size_t len)
{
	off_t from = (off_t)(w->offset + offset), at;

	if (w->block)
		return false;
	at = lseek(w->fd, from, SEEK_DATA);
	if (at < 0 && errno != ENXIO)
		return false;
	if (at >= 0)
		return at >= from + (off_t)len;
	return lseek(w->fd, 0, SEEK_END) >= from + (off_t)len;
}

/* Finds the very place, for the one who has to look after the disk. */
static int read_failed(struct lane *l, uint64_t offset, size_t len, int r, struct fail *f)
{
	const struct window *w = l->sender->setup.window;
	uint64_t end = offset + len, at = offset;
	int again = 0;

	while (at < end) {
		again = window_read(w, at, l->buf, (size_t)MIN(WINDOW_ALIGN, end - at));
		if (again < 0)
			break;
		at += WINDOW_ALIGN;
	}
	if (again == 0)
		at = offset;
	return fail_set(f, FAIL_IO, "cannot read %s at byte %llu: %s", l->sender->setup.path,
			(unsigned long long)(w->offset + at), strerror(-(again ? again : r)));
}

/* A chunk that is zeros, or a hole, of which a terabyte is not looked at byte by byte. */
static void take_zero(struct lane *l, struct span *span, unsigned i)
{
	const struct digest *d = l->sender->setup.digest;
	uint8_t *bytes = l->buf + (size_t)i * CHUNK_BYTES;
	uint8_t *digest = l->digests + (size_t)i * DIGEST_BYTES;
	size_t len = run_len(span, i, 1);

	span->zero |= UINT64_C(1) << i;
	if (len == CHUNK_BYTES) {
		memcpy(digest, d->zero, DIGEST_BYTES);
	} else {
		memset(bytes, 0, len);
		digest_bytes(d, bytes, len, digest);
	}
}

static void hash_run(struct lane *l, struct span *span, unsigned first, unsigned n)
{
	const struct digest *d = l->sender->setup.digest;

	for (unsigned i = first; i < first + n; i++) {
		const uint8_t *bytes = l->buf + (size_t)i * CHUNK_BYTES;
		size_t len = run_len(span, i, 1);

		if (bytes_are_zero(bytes, len))
			take_zero(l, span, i);
		else
			digest_bytes(d, bytes, len, l->digests + (size_t)i * DIGEST_BYTES);
	}
}

static int read_run(struct lane *l, struct span *span, unsigned first, unsigned n, struct fail *f)
{
	uint64_t offset = span->offset + (uint64_t)first * CHUNK_BYTES;
	uint8_t *buf = l->buf + (size_t)first * CHUNK_BYTES;
	size_t len = run_len(span, first, n);
	int r;

	if (is_hole(l->sender->setup.window, offset, len)) {
		for (unsigned i = first; i < first + n; i++)
			take_zero(l, span, i);
		return 0;
	}
	r = window_read(l->sender->setup.window, offset, buf, len);
	if (r < 0)
		return read_failed(l, offset, len, r, f);
	sender_count(&l->sender->read, len);
	hash_run(l, span, first, n);
	return 0;
}

/* --- Sending --- */

static int send_piece(struct lane *l, const struct span *span, unsigned first, unsigned n,
		      struct fail *f)
{
	uint8_t *bytes = l->buf + (size_t)first * CHUNK_BYTES;
	size_t len = run_len(span, first, n), packed = 0;
	uint64_t began;
	int r;
	struct frame frame = { .type = FRAME_DATA,
			       .offset = span->offset + (uint64_t)first * CHUNK_BYTES,
			       .length = len };
	struct iovec iov[3] = { { 0 },
				{ l->digests + (size_t)first * DIGEST_BYTES, n * DIGEST_BYTES },
				{ bytes, len } };

	if (l->packed)
		packed = codec_compress(l->codec, bytes, len, l->packed);
	if (packed) {
		frame.flags = FRAME_F_ZSTD;
		iov[2] = (struct iovec){ l->packed, packed };
	}
	frame.payload = (uint32_t)(iov[1].iov_len + iov[2].iov_len);
	/* A limit makes the link slow, and compressing worth while. */
	began = clock_us();
	sender_wait_rate(l->sender, frame.payload + FRAME_HEADER_BYTES);
	r = wire_send(l->wire, &frame, iov, 3, f);
	if (l->codec)
		codec_sent(l->codec, frame.payload, clock_us() - began);
	sender_count(&l->sender->sent, len);
	return r;
}

static int send_data(struct lane *l, const struct span *span, unsigned first, unsigned n,
		     struct fail *f)
{
	unsigned step = l->packed ? PACKED_CHUNKS : SPAN_CHUNKS;

	for (unsigned i = 0; i < n; i += step) {
		int r = send_piece(l, span, first + i, MIN(step, n - i), f);

		if (r < 0)
			return r;
	}
	return 0;
}

static int send_chunks(struct lane *l, const struct span *span, uint64_t mask, struct fail *f)
{
	uint64_t zeros = mask & span->zero, data = mask & ~span->zero;
	unsigned first, n;
	int r = 0;

	while (r == 0 && next_run(&zeros, &first, &n)) {
		size_t len = run_len(span, first, n);

		sender_count(&l->sender->zero, len);
		r = wire_send_bare(l->wire, FRAME_ZERO, 0,
				   span->offset + (uint64_t)first * CHUNK_BYTES, len, f);
	}
	while (r == 0 && next_run(&data, &first, &n))
		r = send_data(l, span, first, n, f);
	return r;
}

/* --- Asking --- */

int span_ask(struct lane *l, const struct span *span, struct fail *f)
{
	return wire_send_bare(l->wire, FRAME_ASK, l->sender->verify ? FRAME_F_REREAD : 0,
			      span->offset, span->len, f);
}

/* Which of the chunks are the same there. */
static int take_answer(struct lane *l, const struct span *span, uint64_t *ret, struct fail *f)
{
	struct frame frame;
	uint64_t same = 0;
	int r = wire_flush(l->wire, f);

	if (r == 0)
		r = wire_take(l->wire, &frame, f);
	if (r < 0)
		return r;
	if (frame.type != FRAME_HASHES || frame.offset != span->offset || frame.length != span->len)
		return fail_set(f, FAIL_PROTOCOL, "the target answered something else");
	r = wire_read(l->wire, l->theirs, frame.payload, f);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < frame_chunks(span->len); i++)
		if (memcmp(l->digests + (size_t)i * DIGEST_BYTES,
			   l->theirs + (size_t)i * DIGEST_BYTES, DIGEST_BYTES) == 0)
			same |= UINT64_C(1) << i;
	*ret = same;
	return 0;
}

static void tell_mismatches(struct sender *s, const struct span *span, uint64_t mask)
{
	unsigned first, n;

	while (next_run(&mask, &first, &n))
		for (unsigned i = first; i < first + n; i++)
			sender_mismatch(s, span->offset + (uint64_t)i * CHUNK_BYTES,
					run_len(span, i, 1));
}

int span_run(struct lane *l, struct span *span, struct fail *f)
{
	struct sender *s = l->sender;
	uint64_t runs = span->want, same = 0;
	unsigned first, n;
	int r = 0;

	span->zero = 0;
	/* Before it is read. What is written from now on is for the next pass. */
	if (s->dirty && !s->by_bits)
		dirty_take_span(s->dirty, span->number);
	while (r == 0 && next_run(&runs, &first, &n))
		r = read_run(l, span, first, n, f);
	if (r == 0 && s->ask)
		r = take_answer(l, span, &same, f);
	if (r < 0)
		return r;
	same &= span->want;
	sender_count(&s->same, mask_bytes(span, same));
	if (s->verify)
		tell_mismatches(s, span, span->want & ~same);
	else
		r = send_chunks(l, span, span->want & ~same, f);
	sender_count(&s->covered, mask_bytes(span, span->want));
	lane_count_wire(l);
	return r;
}
