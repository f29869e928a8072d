/*
 * Watches what the kernel writes to a block device, through a private instance of tracefs
 * (Documentation/trace/events.rst) with the events block_bio_complete (LVM and other stacked
 * devices) and block_rq_complete (the others), filtered by device. What it sees goes into a
 * struct dirty. Completions count: a chunk that is read before its write was done is marked after
 * that, and read again. Submissions (block_bio_queue) tell how much a completed write was.
 *
 * It is a help, not a proof: as soon as one event may have been lost, track_sync() says so, and
 * the copy compares digests instead.
 */
#ifndef BRIDGECTL_TRANSFER_TRACK_H
#define BRIDGECTL_TRANSFER_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/transfer/dirty.h"

#define TRACK_ERRLEN 256

struct track;

/*
 * Starts to watch the device open at `fd`, of which the window at `offset` with `length` bytes
 * matters; marks in `d`, which must outlive it. Whatever is written after this returned is seen.
 * NULL and why it is not possible (a file, no tracefs, not root) in `err` (TRACK_ERRLEN).
 */
struct track *track_start(int fd, uint64_t offset, uint64_t length, struct dirty *d, char *err);

/*
 * All whose write ended before this call is marked when it returns. False: events were lost
 * since the start or since the last call; then anything may have been written. Thread safe.
 */
bool track_sync(struct track *t);

/* Writes seen so far. */
uint64_t track_events(const struct track *t);
/* Stops and frees; NULL is fine. */
void track_stop(struct track *t);

/* --- One line of trace_pipe (track_line.c), pure --- */

struct track_event {
	unsigned major, minor;
	uint64_t sector, sectors; /* of 512 bytes, from the beginning of the whole disk */
};

enum track_line { TRACK_OTHER, TRACK_WRITE, TRACK_QUEUED, TRACK_LOST };

/* `line` without its newline, printed with the option context-info off. */
enum track_line track_line_parse(const char *line, struct track_event *ret);

/* --- Writes that were submitted and are not done (track_flight.c), pure --- */

#define TRACK_FLIGHTS_MAX 1024

struct track_flights {
	unsigned n;
	struct track_event e[TRACK_FLIGHTS_MAX]; /* oldest first */
};

/* False: there were too many, and the oldest was forgotten. */
bool track_flight_begin(struct track_flights *f, const struct track_event *e);
/* A completion, which may be of its last part only, becomes all that was written. */
void track_flight_end(struct track_flights *f, struct track_event *e);

#endif
