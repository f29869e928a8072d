/* One word of bits for each span, changed atomically; bits of chunks that do not exist stay 0. */
#include "bridgectl/transfer/dirty.h"

#include <stdatomic.h>

#include "bridgectl/transfer/frame.h"
#include "common/util.h"

struct dirty {
	uint64_t bytes;
	uint64_t n_chunks;
	uint64_t n_spans;
	_Atomic uint64_t spans[];
};

struct dirty *dirty_new(uint64_t bytes)
{
	uint64_t n_chunks = frame_chunks(bytes);
	uint64_t n_spans = n_chunks / SPAN_CHUNKS + (n_chunks % SPAN_CHUNKS != 0);
	struct dirty *d = calloc(1, sizeof(*d) + n_spans * sizeof(d->spans[0]));

	_Static_assert(SPAN_CHUNKS == 64, "one word a span");
	if (!d)
		return NULL;
	d->bytes = bytes;
	d->n_chunks = n_chunks;
	d->n_spans = n_spans;
	return d;
}

void dirty_free(struct dirty *d)
{
	free(d);
}

/* Chunks `from` to `to` (not included) of 64. */
static uint64_t bits(uint64_t from, uint64_t to)
{
	uint64_t below = from ? UINT64_MAX << from : UINT64_MAX;

	return to < 64 ? below & ~(UINT64_MAX << to) : below;
}

static void mark_chunks(struct dirty *d, uint64_t first, uint64_t end)
{
	while (first < end) {
		uint64_t span = first / SPAN_CHUNKS, base = span * SPAN_CHUNKS;
		uint64_t stop = MIN(end, base + SPAN_CHUNKS);

		atomic_fetch_or(&d->spans[span], bits(first - base, stop - base));
		first = stop;
	}
}

void dirty_mark(struct dirty *d, uint64_t offset, uint64_t len)
{
	if (offset >= d->bytes || len == 0)
		return;
	len = MIN(len, d->bytes - offset);
	mark_chunks(d, offset / CHUNK_BYTES, (offset + len - 1) / CHUNK_BYTES + 1);
}

void dirty_mark_all(struct dirty *d)
{
	mark_chunks(d, 0, d->n_chunks);
}

uint64_t dirty_take_span(struct dirty *d, uint64_t span)
{
	return span < d->n_spans ? atomic_exchange(&d->spans[span], 0) : 0;
}

uint64_t dirty_chunks(const struct dirty *d)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < d->n_spans; i++)
		n += (unsigned)__builtin_popcountll(
			atomic_load_explicit(&d->spans[i], memory_order_relaxed));
	return n;
}
