/*
 * A seeded generator for tests, so that a failing run can be had again: SplitMix64
 * (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
 * Not for secrets.
 */
#ifndef TESTS_SUPPORT_PRNG_H
#define TESTS_SUPPORT_PRNG_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct prng {
	uint64_t state;
};

static inline uint64_t prng_next(struct prng *p)
{
	uint64_t z = (p->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 … n - 1; n > 0. */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
	return prng_next(p) % n;
}

static inline void prng_fill(struct prng *p, void *buf, size_t len)
{
	uint8_t *b = buf;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = prng_next(p);
		memcpy(b + i, &v, len - i < 8 ? len - i : 8);
	}
}

#endif
