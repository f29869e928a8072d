/*
 * A bucket of bytes that fills with time, up to a tenth of a second's worth. It may be emptied
 * below nothing by one taker, who then waits until it is level again.
 */
#include "bridgectl/transfer/rate.h"

#include "common/util.h"

/* Time for so many bytes; rounded up. */
static uint64_t worth_us(uint64_t bytes_per_s, uint64_t bytes)
{
	unsigned __int128 v = (unsigned __int128)bytes * US_PER_S + bytes_per_s - 1;

	v /= bytes_per_s;
	return (uint64_t)MIN(v, (unsigned __int128)INT64_MAX);
}

static void fill(struct rate *r, uint64_t now_us)
{
	int64_t burst = (int64_t)MIN(r->bytes_per_s / 10, (uint64_t)INT64_MAX);
	unsigned __int128 got;

	if (now_us <= r->then_us)
		return;
	got = (unsigned __int128)r->bytes_per_s * (now_us - r->then_us) + r->millionths;
	r->then_us = now_us;
	if (r->credit >= burst || got / US_PER_S >= (uint64_t)burst - (uint64_t)r->credit) {
		r->credit = burst;
		r->millionths = 0;
	} else {
		r->credit += (int64_t)(got / US_PER_S);
		r->millionths = (uint32_t)(got % US_PER_S);
	}
}

void rate_set(struct rate *r, uint64_t bytes_per_s, uint64_t now_us)
{
	if (r->bytes_per_s)
		fill(r, now_us);
	r->bytes_per_s = bytes_per_s;
	r->then_us = now_us;
	if (bytes_per_s)
		r->credit = MIN(r->credit, (int64_t)MIN(bytes_per_s / 10, (uint64_t)INT64_MAX));
	else
		r->credit = 0;
}

uint64_t rate_take(struct rate *r, uint64_t bytes, uint64_t now_us)
{
	if (r->bytes_per_s == 0)
		return 0;
	fill(r, now_us);
	bytes = MIN(bytes, (uint64_t)INT64_MAX / 4);
	/* Debts beyond any sense stay countable. */
	r->credit = MAX(r->credit, INT64_MIN / 4) - (int64_t)bytes;
	return r->credit >= 0 ? 0 : worth_us(r->bytes_per_s, (uint64_t)-r->credit);
}
