/*
 * The gate of one tunnel end as the data path sees it: drops both directions, at
 * once, while it is closed or its lease is over. The other two halves of a gate, carrier
 * and topology, live in the daemon; this one alone suffices to cut.
 */
#ifndef L2TUND_DATAPATH_GATE_H
#define L2TUND_DATAPATH_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
	/*
	 * Opened by the main thread alone, while no lane is in a batch; whoever has evidence closes
	 * it.
	 */
	_Atomic bool open;
};

/* `lease_us`: until when (CLOCK_BOOTTIME) the session covers forwarding, session_lease_us(). */
static inline bool gate_passes(const struct gate *g, uint64_t lease_us, uint64_t now_us)
{
	return atomic_load_explicit(&g->open, memory_order_relaxed) && now_us < lease_us;
}

#endif
