/*
 * Path MTU discovery by probing, RFC 8899 (DPLPMTUD), as a pure state machine: time and
 * acknowledgements in, probe sizes out. Sizes are bytes of the outer IP packet.
 */
#ifndef L2TUND_SESSION_PMTU_H
#define L2TUND_SESSION_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#define PMTU_BASE 1200 /* RFC 8899 section 5.1.2: works everywhere that we care for */

struct pmtu_tunables {
	unsigned tries;	     /* probes of one size before it counts as too large */
	uint64_t wait_us;    /* least time to wait for an acknowledgement */
	uint64_t confirm_us; /* how often the present size is checked again */
	uint64_t raise_us;   /* how often larger sizes are tried again */
};

extern const struct pmtu_tunables pmtu_defaults;

struct pmtu {
	const struct pmtu_tunables *tune;
	unsigned mtu;	  /* greatest size that was acknowledged, or the base */
	unsigned max;	  /* never probe above */
	unsigned ceiling; /* least size that counts as too large */
	unsigned probing; /* size in question; 0: none */
	unsigned tries;	  /* probes of it that were sent */
	uint32_t id;	  /* of the latest probe */
	uint64_t due_us;  /* when something is to be done */
	uint64_t confirm_at;
	uint64_t raise_at;
};

/* Starts at the base; a new path needs this too. */
void pmtu_init(struct pmtu *p, const struct pmtu_tunables *tune, unsigned max, uint64_t now_us);
/*
 * What is due: true when a probe of *ret_size with *ret_id is to be sent now. A
 * change of p->mtu may come out of it: compare. Call again until false.
 */
bool pmtu_tick(struct pmtu *p, uint64_t rtt_us, uint64_t now_us, unsigned *ret_size,
	       uint32_t *ret_id);
static inline uint64_t pmtu_due(const struct pmtu *p)
{
	return p->due_us;
}
/* The probe of this size came back. */
void pmtu_acked(struct pmtu *p, uint32_t id, unsigned size, uint64_t now_us);
/* The kernel refused a packet of this size, probe or data. */
void pmtu_too_big(struct pmtu *p, unsigned size, uint64_t now_us);
/* Many large packets seem lost: check the present size now. */
void pmtu_suspect(struct pmtu *p, uint64_t now_us);

#endif
