/*
 * Why a tunnel end must not forward, how long for, and when enough is enough. Pure.
 *
 * A block begins with evidence of a loop. It lasts as long as the evidence, and, when the
 * tunnel was forwarding, at least the hold-down: 10 s, doubled with each block of the last half
 * hour, at most 300 s; all of that and up to a quarter more. Five watchdog or storm blocks in that
 * time latch it: somebody has to look.
 */
#ifndef L2TUND_TOPOLOGY_BLOCK_H
#define L2TUND_TOPOLOGY_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/names.h"

#define BLOCK_HOLD_US UINT64_C(10000000)
#define BLOCK_HOLD_MAX_US UINT64_C(300000000)
#define BLOCK_MEMORY_US UINT64_C(1800000000) /* blocks older than this are forgotten */
#define BLOCK_LATCH 5
#define BLOCK_PAST 8 /* remembered; as many as it takes to reach BLOCK_HOLD_MAX_US and more */

/*
 * Embedded; all zero: not blocked. Two that cut the same loop in the same moment, without knowing
 * of each other, would come back in the same moment, close it again, and both end up latched. So
 * each owner sets `spread` to something random: hold-downs are that many 1024ths longer.
 */
struct block {
	uint8_t spread;
	enum tunnel_reason reason; /* REASON_NONE: not blocked */
	bool latched;
	bool accounted; /* by block_account() */
	uint64_t since_us;
	uint64_t evidence_until_us;
	uint64_t hold_until_us;
	uint64_t past_us[BLOCK_PAST]; /* when the latest blocks that cost a hold-down began */
	bool past_latches[BLOCK_PAST];
	unsigned n_past; /* in all; the place of the next is n_past % BLOCK_PAST */
};

/*
 * Evidence was seen, and counts until `evidence_until_us`. A block that stands is
 * prolonged and keeps its reason, but for REASON_FOREIGN, which explains the others. True
 * when a block begins with it.
 */
bool block_evidence(struct block *b, enum tunnel_reason reason, bool forwarding,
		    uint64_t evidence_until_us, uint64_t now_us);
/*
 * The path behind a storm or watchdog block is known now, and the tree avoids it: a fifth of the
 * hold-down will do, and it does not count towards the latch. Once per block.
 */
void block_account(struct block *b, uint64_t now_us);
/* Ends it when it is over. True when it stands. */
bool block_stands(struct block *b, uint64_t now_us);
/* When block_stands() may change; NEVER while latched or not blocked. */
uint64_t block_until_us(const struct block *b);
/* The administrator has looked: forgets everything but `spread`. */
void block_clear(struct block *b);

#endif
