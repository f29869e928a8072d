/*
 * Which chunks were written since they were read: one bit each, set by the thread that watches
 * the source, taken by those that copy. A chunk is taken *before* it is read, so that a write in
 * between sets it again. Thread safe.
 */
#ifndef BRIDGECTL_TRANSFER_DIRTY_H
#define BRIDGECTL_TRANSFER_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

struct dirty;

struct dirty *dirty_new(uint64_t bytes); /* NULL: no memory (2 MiB for 1 TiB) */
void dirty_free(struct dirty *d);
/* Bytes of the window; what lies beyond its end is ignored. */
void dirty_mark(struct dirty *d, uint64_t offset, uint64_t len);
void dirty_mark_all(struct dirty *d);
/* Takes the chunks of one span (64 of them) as bits, lowest first. */
uint64_t dirty_take_span(struct dirty *d, uint64_t span);
uint64_t dirty_chunks(const struct dirty *d);

#endif
