/*
 * Limits on handshakes from strangers: a token bucket per source network (/32 of IPv4,
 * /64 of IPv6) in a table of fixed size, and the decision when we are under load.
 */
#ifndef L2TUND_SESSION_LIMIT_H
#define L2TUND_SESSION_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

#define LIMIT_SETS 256
#define LIMIT_WAYS 4

struct limit_bucket {
	uint64_t net;	  /* hash of the network; 0: free */
	uint64_t full_us; /* when the bucket will be full again */
};

struct limit {
	uint64_t seed;
	uint64_t token_us; /* one token comes in this time */
	uint64_t burst;	   /* tokens of a full bucket */
	struct limit_bucket sets[LIMIT_SETS][LIMIT_WAYS];
};

/* `seed` is random, so that nobody can aim at another's bucket. */
void limit_init(struct limit *l, uint64_t seed, unsigned per_second, unsigned burst);
/* Takes a token of `from`'s network; false when there is none. */
bool limit_pass(struct limit *l, const struct addr *from, uint64_t now_us);

/* Under load from the moment that a second has seen more than `threshold`, for one quiet second. */
struct load {
	unsigned threshold;
	unsigned count;
	uint64_t window_us;
	uint64_t until_us;
};

void load_init(struct load *l, unsigned threshold);
/* Counts one arrival and tells whether we are under load. */
bool load_note(struct load *l, uint64_t now_us);

#endif
