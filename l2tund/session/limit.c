/*
 * Source limits. A bucket is one number: the time at which it would be full. Invariants: the
 * table never grows; a new source takes the place of the one in its set whose
 * bucket is fullest, so a busy source is not forgotten while an idle one is kept.
 */
#include "l2tund/session/limit.h"

#include <string.h>

#include "common/util.h"

void limit_init(struct limit *l, uint64_t seed, unsigned per_second, unsigned burst)
{
	memset(l, 0, sizeof(*l));
	l->seed = seed;
	l->token_us = US_PER_S / per_second;
	l->burst = burst;
}

/* Mixes as splitmix64 does; secrecy comes from the seed. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t network_of(const struct limit *l, const struct addr *a)
{
	uint64_t h = mix(l->seed ^ a->sa.sa_family);

	if (a->sa.sa_family == AF_INET6)
		h = mix(h ^ get_le64(a->in6.sin6_addr.s6_addr));
	else
		h = mix(h ^ a->in.sin_addr.s_addr);
	return h ? h : 1;
}

static struct limit_bucket *find(struct limit *l, uint64_t net)
{
	struct limit_bucket *set = l->sets[net % LIMIT_SETS];
	struct limit_bucket *fullest = set;

	for (unsigned i = 0; i < LIMIT_WAYS; i++) {
		if (set[i].net == net)
			return &set[i];
		if (set[i].full_us < fullest->full_us)
			fullest = &set[i];
	}
	*fullest = (struct limit_bucket){ net, 0 };
	return fullest;
}

bool limit_pass(struct limit *l, const struct addr *from, uint64_t now_us)
{
	struct limit_bucket *b = find(l, network_of(l, from));
	uint64_t full_us = MAX(b->full_us, now_us) + l->token_us;

	if (full_us - now_us > l->burst * l->token_us)
		return false;
	b->full_us = full_us;
	return true;
}

void load_init(struct load *l, unsigned threshold)
{
	memset(l, 0, sizeof(*l));
	l->threshold = threshold;
}

bool load_note(struct load *l, uint64_t now_us)
{
	if (now_us - l->window_us >= US_PER_S) {
		l->window_us = now_us;
		l->count = 0;
	}
	if (++l->count > l->threshold)
		l->until_us = now_us + US_PER_S;
	return now_us < l->until_us;
}
