/* A limit in bytes per second that may change while it is used. Pure: the time is an argument. */
#ifndef BRIDGECTL_TRANSFER_RATE_H
#define BRIDGECTL_TRANSFER_RATE_H

#include <stdint.h>

/* Shared by threads under a lock of their owner. */
struct rate {
	uint64_t bytes_per_s; /* 0: no limit */
	int64_t credit;	      /* bytes; negative: borrowed */
	uint32_t millionths;  /* of a byte, besides */
	uint64_t then_us;
};

/* A burst of a tenth of a second is allowed. Keeps what was borrowed. */
void rate_set(struct rate *r, uint64_t bytes_per_s, uint64_t now_us);
/* Takes `bytes` and tells how long to wait before sending them, in microseconds. */
uint64_t rate_take(struct rate *r, uint64_t bytes, uint64_t now_us);

#endif
