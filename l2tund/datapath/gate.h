/*
 * The gate of one tunnel end as the data path sees it: drops both directions, at
 * once, while it is closed or its lease is over. The other two halves of a gate, carrier
 * and topology, live in the daemon; this one alone suffices to cut.
 */
#ifndef L2TUND_DATAPATH_GATE_H
#define L2TUND_DATAPATH_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct gate {
	bool open;
};

/* `lease_us`: until when (CLOCK_BOOTTIME) the session covers forwarding, session_lease_us(). */
static inline bool gate_passes(const struct gate *g, uint64_t lease_us, uint64_t now_us)
{
	return g->open && now_us < lease_us;
}

#endif
