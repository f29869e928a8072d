/*
 * Replay window (RFC 6479). The ring has one word more than the window needs: while the
 * newest word fills, the oldest is being reused, so the window is at least REPLAY_BITS
 * counters behind the greatest one. Invariant: a bit set in a word that is in reach means that
 * this very counter was taken.
 */
#include "l2tund/session/replay.h"

#include <string.h>

void replay_init(struct replay *r)
{
	memset(r, 0, sizeof(*r));
}

bool replay_ok(const struct replay *r, uint64_t counter)
{
	if (counter == UINT64_MAX)
		return false; /* `next` could not follow it */
	if (counter >= r->next)
		return true;
	if (r->next - counter > REPLAY_BITS)
		return false;
	return !(r->ring[counter / 64 % REPLAY_RING] >> (counter % 64) & 1);
}

bool replay_update(struct replay *r, uint64_t counter)
{
	bool greatest = counter >= r->next;

	if (greatest) {
		/* Words between the old and the new greatest counter start empty. */
		uint64_t from = r->next ? (r->next - 1) / 64 + 1 : 0;
		uint64_t to = counter / 64;

		if (to >= from && to - from >= REPLAY_RING)
			from = to - REPLAY_RING + 1;
		for (uint64_t w = from; w <= to; w++)
			r->ring[w % REPLAY_RING] = 0;
		r->next = counter + 1;
	}
	r->ring[counter / 64 % REPLAY_RING] |= UINT64_C(1) << (counter % 64);
	return greatest;
}
