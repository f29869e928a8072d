/*
 * The last guards, in the data path and without any protocol: a policer for flooded frames and a
 * table that notices the same flooded frame coming round again and again. They bound
 * what a loop can do before it is found, and find it when nothing else does. Pure.
 */
#ifndef L2TUND_TOPOLOGY_STORM_H
#define L2TUND_TOPOLOGY_STORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORM_RATE 4000 /* flooded frames per second, default */
#define STORM_BURST 1000
#define STORM_EARLY_RATE 1000 /* in the first two seconds after a gate opened */
#define STORM_EARLY_US UINT64_C(2000000)
#define STORM_REPEATS 20 /* of one frame within STORM_WINDOW_US are a storm */
#define STORM_WINDOW_US UINT64_C(100000)
#define STORM_SLOTS 256

/* One direction of one tunnel. Plain data, no allocation. */
struct policer {
	unsigned rate;		 /* frames per second */
	uint64_t credit;	 /* millionths of a frame */
	uint64_t last_us;	 /* up to when credit was given */
	uint64_t early_until_us; /* 0: the gate has not opened yet */
};

/* With a whole burst, and without the early rate. */
void policer_init(struct policer *p, unsigned rate, uint64_t now_us);
/* The gate has opened: the early rate holds for STORM_EARLY_US. */
void policer_open(struct policer *p, uint64_t now_us);
/* Whether this flooded frame may pass. */
bool policer_pass(struct policer *p, uint64_t now_us);
/* The same of a super-frame, which becomes `n` frames; more than a burst count as a burst. */
bool policer_pass_many(struct policer *p, uint64_t n, uint64_t now_us);

/* A frame to a group address (broadcast and multicast: first octet's lowest bit, IEEE 802). */
static inline bool frame_is_group(const uint8_t *frame)
{
	return frame[0] & 1;
}

/* One frame: when its window began and how often it has come since. */
struct recirculation_slot {
	uint64_t hash;
	uint64_t since_us;
	unsigned count; /* 0: unused */
};

/* Same flooded frames seen lately, one table per tunnel, both directions. */
struct recirculation {
	struct recirculation_slot slot[STORM_SLOTS];
	uint64_t seed; /* random, so that nobody can aim at a slot */
};

void recirculation_init(struct recirculation *r, uint64_t seed);
/*
 * Takes one flooded frame. True: it has come STORM_REPEATS times within STORM_WINDOW_US,
 * which is a storm. A host that really sends one frame that often at once is
 * taken for one, too: no honest protocol does.
 */
bool recirculation_storm(struct recirculation *r, const uint8_t *frame, size_t len,
			 uint64_t now_us);

#endif
