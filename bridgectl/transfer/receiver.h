/*
 * The end that writes. One thread for each data connection takes frames, checks them, writes and
 * notes; one more flushes and commits, another one reads back what was committed and compares
 * (doc/transfer.md, "Durable").
 *
 * Nothing is written that was not checked: the frame against the window, the bytes against
 * the digests that came with them.
 */
#ifndef BRIDGECTL_TRANSFER_RECEIVER_H
#define BRIDGECTL_TRANSFER_RECEIVER_H

#include "bridgectl/transfer/gather.h"
#include "bridgectl/transfer/map.h"
#include "bridgectl/transfer/sender.h"
#include "bridgectl/transfer/window.h"

struct receiver_setup {
	struct window *window;
	const struct digest *digest;
	struct map *map;   /* NULL: it only answers questions, from the disk */
	bool distrust;	   /* chunks it does not know may be there: they are read and hashed */
	unsigned flush_ms; /* between two commits; 0: 5 s */
	const char *path;  /* for sentences */
	/* Called once, from any thread, when something failed; NULL: nobody wants to know. */
	void (*failed)(void *arg, const struct fail *f);
	void *arg;
};

struct receiver_counts {
	uint64_t written, verified, to_verify, mismatched;
	uint64_t mismatches[PASS_MISMATCHES_MAX];
	unsigned n_mismatches;
};

struct receiver;

/* Borrows what `s` points to, and the connections, on which it begins to listen. */
struct receiver *receiver_new(const struct receiver_setup *s, struct gathered *connections,
			      struct fail *f);
/* Aborts, waits for all threads, flushes and commits what was written. NULL is fine. */
void receiver_free(struct receiver *r);

/* Before the source's pass. 0, or negative errno with `f`. */
int receiver_begin(struct receiver *r, uint32_t pass, enum pass_kind kind, struct fail *f);
/*
 * After the source's pass: waits until all is written, flushed, committed and read back. When
 * something fails, what was written is committed all the same before it returns.
 */
int receiver_settle(struct receiver *r, uint32_t pass, struct fail *f);

/* From other threads, at any time. */
void receiver_stop(struct receiver *r);
void receiver_counts(struct receiver *r, struct receiver_counts *ret);

#endif
