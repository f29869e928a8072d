/*
 * Watches what the kernel writes to a block device, through a private instance of tracefs with the
 * event block_bio_complete filtered by device. What it sees goes into a struct dirty. It is
 * a help, not a proof: as soon as one event may have been lost, all chunks count as dirty and
 * `lost` says so; then the copy compares digests instead.
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
 * matters; marks in `d`, which must outlive it. Events are seen from before it returns.
 * NULL and why it is not possible (no tracefs, a file, not root) in `err` (TRACK_ERRLEN).
 */
struct track *track_start(int fd, uint64_t offset, uint64_t length, struct dirty *d, char *err);
/* All that was written before this call is marked when it returns. False: events were lost. */
bool track_sync(struct track *t);
uint64_t track_events(const struct track *t);
void track_stop(struct track *t);

#endif
