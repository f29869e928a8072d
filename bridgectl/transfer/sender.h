/*
 * The end that reads. One thread for each data connection takes spans off a common list, reads,
 * hashes, and sends what the pass wants. Blocks its caller for a whole pass.
 *
 * With tracking, the dirty bits of a span are taken *before* it is read, in every pass but
 * `verify`: a write in between sets them again.
 */
#ifndef BRIDGECTL_TRANSFER_SENDER_H
#define BRIDGECTL_TRANSFER_SENDER_H

#include "bridgectl/transfer/dirty.h"
#include "bridgectl/transfer/gather.h"
#include "bridgectl/transfer/window.h"

#define PASS_MISMATCHES_MAX 16

enum pass_kind { PASS_FULL, PASS_DELTA, PASS_DIRTY, PASS_VERIFY, PASS_KINDS };
enum pass_compress { COMPRESS_AUTO, COMPRESS_NEVER, COMPRESS_ALWAYS };

struct sender_setup {
	const struct window *window;
	const struct digest *digest;
	const char *path; /* for sentences */
};

struct sender_pass {
	enum pass_kind kind;
	enum pass_compress compress;
	struct dirty *dirty; /* NULL: nothing is tracked */
	bool lost;	     /* `dirty` cannot be trusted: compare all */
};

/* As in doc/transfer.md, "Counters". */
struct sender_counts {
	uint64_t covered, total, read, sent, wire, zero, same, mismatched;
	uint64_t mismatches[PASS_MISMATCHES_MAX];
	unsigned n_mismatches;
};

struct sender;

/* Borrows what `s` points to, and the connections. NULL: no memory. */
struct sender *sender_new(const struct sender_setup *s, struct gathered *connections);
void sender_free(struct sender *s);

/*
 * One pass. 0 when the target has written all of it; else negative errno with `f` filled in, and
 * the connections are of no use any more.
 */
int sender_run(struct sender *s, const struct sender_pass *p, struct fail *f);

/* From other threads, at any time. */
void sender_stop(struct sender *s);
void sender_rate(struct sender *s, uint64_t bytes_per_s);
void sender_counts(struct sender *s, struct sender_counts *ret);

#endif
