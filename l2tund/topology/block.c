/*
 * Hold-down and latch of one tunnel end. Only blocks that took a forwarding tunnel down cost a
 * hold-down: one that was found before anything was forwarded has disturbed nobody, and
 * may go the moment its cause does.
 */
#include "l2tund/topology/block.h"

#include "common/util.h"

static bool past_counts(const struct block *b, unsigned i, uint64_t now_us)
{
	return b->past_us[i] && b->past_us[i] + BLOCK_MEMORY_US > now_us;
}

static void past_add(struct block *b, bool latches, uint64_t now_us)
{
	unsigned i = b->n_past++ % BLOCK_PAST;

	b->past_us[i] = now_us;
	b->past_latches[i] = latches;
}

/* Doubled with each earlier one that is remembered; at most, too, two must not be the same. */
static uint64_t hold_us(const struct block *b, uint64_t now_us)
{
	uint64_t hold_us = BLOCK_HOLD_US;

	for (unsigned i = 1; i < BLOCK_PAST; i++) {
		unsigned at = (b->n_past + BLOCK_PAST - 1 - i) % BLOCK_PAST;

		if (past_counts(b, at, now_us))
			hold_us *= 2;
	}
	hold_us = MIN(hold_us, BLOCK_HOLD_MAX_US);
	return hold_us + hold_us * b->spread / 1024;
}

static bool too_many(const struct block *b, uint64_t now_us)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BLOCK_PAST; i++)
		n += past_counts(b, i, now_us) && b->past_latches[i];
	return n >= BLOCK_LATCH;
}

/* A storm whose cause is found is no riddle any more, and does not count towards the latch. */
static void past_forgive(struct block *b, uint64_t now_us)
{
	unsigned last = (b->n_past + BLOCK_PAST - 1) % BLOCK_PAST;

	if (b->past_us[last] == b->since_us)
		b->past_latches[last] = false;
	b->latched = too_many(b, now_us);
}

static void block_explain(struct block *b, uint64_t now_us)
{
	b->reason = REASON_FOREIGN;
	past_forgive(b, now_us);
}

void block_account(struct block *b, uint64_t now_us)
{
	if (b->accounted || b->hold_until_us <= b->since_us)
		return;
	b->accounted = true;
	b->hold_until_us = b->since_us + (b->hold_until_us - b->since_us) / 5;
	past_forgive(b, now_us);
}

bool block_evidence(struct block *b, enum tunnel_reason reason, bool forwarding,
		    uint64_t evidence_until_us, uint64_t now_us)
{
	bool begins = b->reason == REASON_NONE;

	b->evidence_until_us = MAX(b->evidence_until_us, evidence_until_us);
	if (!begins && reason == REASON_FOREIGN && b->reason != REASON_FOREIGN)
		block_explain(b, now_us);
	if (!begins)
		return false;
	b->reason = reason;
	b->since_us = now_us;
	b->accounted = false;
	if (!forwarding)
		return true;
	past_add(b, reason == REASON_WATCHDOG || reason == REASON_STORM, now_us);
	b->hold_until_us = now_us + hold_us(b, now_us);
	b->latched = too_many(b, now_us);
	return true;
}

bool block_stands(struct block *b, uint64_t now_us)
{
	if (b->latched)
		return true;
	if (b->reason == REASON_NONE)
		return false;
	if (now_us < b->evidence_until_us || now_us < b->hold_until_us)
		return true;
	b->reason = REASON_NONE;
	b->evidence_until_us = 0;
	b->hold_until_us = 0;
	return false;
}

uint64_t block_until_us(const struct block *b)
{
	if (b->latched || b->reason == REASON_NONE)
		return NEVER;
	return MAX(b->evidence_until_us, b->hold_until_us);
}

void block_clear(struct block *b)
{
	*b = (struct block){ .spread = b->spread };
}
