/*
 * How long the guest will have to be off: what the last pass of a warm copy has to do, over the
 * rates seen so far. Pure: bytes and times are arguments.
 */
#ifndef BRIDGECTL_TRANSFER_PREDICT_H
#define BRIDGECTL_TRANSFER_PREDICT_H

#include <stdbool.h>
#include <stdint.h>

#define PREDICT_FIXED_S 0.5  /* questions and answers, the last flush, when nothing is known yet */
#define PREDICT_UNKNOWN 1e12 /* seconds: nothing was measured, or nothing moves */
#define PREDICT_PASSES_STUCK 3

/* Exponential mean over time: what is older than `tau_s` counts for little. */
struct predict_mean {
	double value;
	double weight; /* 0: nothing was added yet */
};

struct predict {
	struct predict_mean copy;  /* bytes/s that are read and sent */
	struct predict_mean scan;  /* bytes/s that are read and compared */
	struct predict_mean write; /* bytes/s that the guest makes dirty */
	struct predict_mean fixed; /* seconds of a pass that are not copying */
	double least_s;		   /* shortest downtime predicted at the end of a pass */
	unsigned stuck;		   /* passes since it became notably shorter */
};

/* Adds `amount` per second, seen over `seconds`. */
void predict_mean_add(struct predict_mean *m, double amount, double seconds, double tau_s);

void predict_init(struct predict *p);
/* What was seen: bytes in microseconds. Spans of less than 1 ms are left out. */
void predict_copied(struct predict *p, uint64_t bytes, uint64_t us);
void predict_scanned(struct predict *p, uint64_t bytes, uint64_t us);
void predict_written(struct predict *p, uint64_t bytes, uint64_t us);
void predict_settled(struct predict *p, uint64_t us);

/* Seconds for sending `dirty` bytes after comparing `scan` bytes (0 when it is known which). */
double predict_downtime_s(const struct predict *p, uint64_t dirty, uint64_t scan);

/*
 * After each pass: whether another one is worth while. False when the downtime has not become
 * 10 % shorter in PREDICT_PASSES_STUCK passes: the guest writes as fast as we copy.
 */
bool predict_shrinks(struct predict *p, double downtime_s);

/* Seconds to the end at `bytes_per_s`, PREDICT_UNKNOWN when that is 0. */
double predict_eta_s(uint64_t left, double bytes_per_s);

#endif
