/* What receiver.c, receiver_frame.c and receiver_flush.c share. */
#ifndef BRIDGECTL_TRANSFER_RECEIVER_PRIVATE_H
#define BRIDGECTL_TRANSFER_RECEIVER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bridgectl/transfer/codec.h"
#include "bridgectl/transfer/dirty.h"
#include "bridgectl/transfer/receiver.h"

#define NO_PASS UINT32_MAX

/* One connection and its thread. */
struct rlane {
	struct receiver *receiver;
	struct wire *wire;
	pthread_t thread;
	bool ended; /* this pass; under the lock */
	uint8_t *buf;
	uint8_t *packed; /* made when something compressed comes */
	size_t packed_size;
	struct codec *codec;
	uint8_t digests[SPAN_CHUNKS * DIGEST_BYTES];
	uint8_t mine[SPAN_CHUNKS * DIGEST_BYTES];
};

struct receiver {
	struct receiver_setup setup;
	struct gathered *connections;
	struct rlane lanes[WIRE_CONNECTIONS_MAX];
	pthread_t flusher, verifier;
	bool has_flusher, has_verifier;
	uint8_t *verify_buf;

	struct dirty *written; /* since the last commit */
	struct dirty *back;    /* committed, to be read back */
	_Atomic uint64_t written_bytes, verified_bytes, mismatched_bytes;
	_Atomic bool halt; /* with `stop`: for those who are in the middle of something */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Of the pass; changed while no lane is in one. */
	uint32_t pass; /* NO_PASS: none */
	enum pass_kind kind;
	bool begun; /* any pass at all */
	unsigned n_ended, n_running;
	bool flush_wanted, flushing, back_work, verifying;
	bool stop; /* with `why` */
	bool quit; /* the last one to flush goes */
	struct fail why;
	uint64_t mismatches[PASS_MISMATCHES_MAX];
	unsigned n_mismatches;
};

/* The first failure is kept and told, and all connections end. */
void receiver_failed(struct receiver *r, const struct fail *f);
/* The same from a disk's error, at a byte of the window. */
void receiver_disk_failed(struct receiver *r, const char *what, uint64_t offset, int error);
int receiver_disk_fail(const struct receiver *r, struct fail *f, const char *what, uint64_t offset,
		       int error);

/* receiver_frame.c: one frame whose header came. 0, or negative errno with `f`. */
int receiver_frame(struct rlane *l, const struct frame *frame, struct fail *f);

/* receiver_flush.c */
void *receiver_flusher(void *arg);
void *receiver_verifier(void *arg);
/* Wakes the flusher when much was noted, and waits for it when it is too much. */
void receiver_press(struct receiver *r);

#endif
