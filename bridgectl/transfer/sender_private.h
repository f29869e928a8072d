/* What sender.c and sender_span.c share. */
#ifndef BRIDGECTL_TRANSFER_SENDER_PRIVATE_H
#define BRIDGECTL_TRANSFER_SENDER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bridgectl/transfer/codec.h"
#include "bridgectl/transfer/rate.h"
#include "bridgectl/transfer/sender.h"

#define ASK_AHEAD 8
#define PACKED_CHUNKS 16u /* of one compressed frame: small buffers on both ends */
#define PACKED_BYTES (PACKED_CHUNKS * CHUNK_BYTES)

struct sender {
	struct sender_setup setup;
	struct gathered *connections;

	/* Of the pass. */
	enum pass_compress compress;
	struct dirty *dirty;
	bool verify;
	bool by_bits; /* dirty chunks only */
	bool ask;     /* for digests, before anything is sent */
	uint64_t n_spans;
	_Atomic uint64_t next;
	_Atomic uint64_t covered, total, read, sent, wire, zero, same, mismatched;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct rate rate;
	unsigned rate_changes;
	bool stop;
	struct fail why; /* with stop */
	uint64_t mismatches[PASS_MISMATCHES_MAX];
	unsigned n_mismatches;
};

/* One connection and its thread, for one pass. */
struct lane {
	struct sender *sender;
	struct wire *wire;
	pthread_t thread;
	uint64_t wire_before; /* bytes that are counted already */
	uint8_t *buf;	      /* of a span */
	uint8_t *packed;
	struct codec *codec;
	uint8_t digests[SPAN_CHUNKS * DIGEST_BYTES];
	uint8_t theirs[SPAN_CHUNKS * DIGEST_BYTES];
};

/* 4 MiB of the window; a bit for each chunk. */
struct span {
	uint64_t number, offset;
	size_t len;
	uint64_t want; /* chunks to look at */
	uint64_t zero; /* of these: nothing but zeros */
};

static inline uint64_t span_mask(size_t len)
{
	return UINT64_MAX >> (64 - frame_chunks(len));
}

static inline void sender_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void lane_count_wire(struct lane *l)
{
	uint64_t now = conn_sent_bytes(l->wire->conn);

	sender_count(&l->sender->wire, now - l->wire_before);
	l->wire_before = now;
}

void sender_wait_rate(struct sender *s, uint64_t bytes);
void sender_mismatch(struct sender *s, uint64_t offset, uint64_t len);

/* Sends the question for this span; span_run() takes the answer, in the same order. */
int span_ask(struct lane *l, const struct span *span, struct fail *f);
/* Reads, compares when it was asked, sends or counts. */
int span_run(struct lane *l, struct span *span, struct fail *f);

#endif
