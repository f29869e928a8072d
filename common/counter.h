/*
 * Counts that several threads may read at any time. They say nothing about the order of other
 * things (memory_order_relaxed), and where one thread alone writes they cost what a plain
 * integer costs.
 */
#ifndef COMMON_COUNTER_H
#define COMMON_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
	_Atomic uint64_t v;
};

static inline uint64_t counter_get(const struct counter *c)
{
	return atomic_load_explicit(&c->v, memory_order_relaxed);
}

/* For the one thread that writes it. */
static inline void counter_set(struct counter *c, uint64_t v)
{
	atomic_store_explicit(&c->v, v, memory_order_relaxed);
}

/* For the one thread that writes it. */
static inline void counter_add(struct counter *c, uint64_t n)
{
	counter_set(c, counter_get(c) + n);
}

/* For any thread: what it was, which nobody else is given. */
static inline uint64_t counter_next(struct counter *c)
{
	return atomic_fetch_add_explicit(&c->v, 1, memory_order_relaxed);
}

#endif
