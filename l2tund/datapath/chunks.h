/*
 * What the streams of one session share about frames that travel as chunks: their numbers, and the
 * table that they are put together in. Each lane has a stream of its own, but chunks of one
 * frame may come in by any of them. Chunks are rare, so a lock does.
 */
#ifndef L2TUND_DATAPATH_CHUNKS_H
#define L2TUND_DATAPATH_CHUNKS_H

#include <pthread.h>
#include <stdbool.h>

#include "common/counter.h"
#include "l2tund/datapath/reasm.h"

/* Embedded in whoever owns the streams. */
struct chunks {
	struct counter message; /* of the next frame that becomes chunks */
	bool shared;		/* by several lanes: there is something to lock */
	pthread_mutex_t lock;	/* of `reasm`, and of what comes out of it until it is used */
	struct reasm reasm;
};

static inline void chunks_init(struct chunks *c, bool shared)
{
	*c = (struct chunks){ .shared = shared };
	pthread_mutex_init(&c->lock, NULL);
}

static inline void chunks_fini(struct chunks *c)
{
	reasm_fini(&c->reasm);
	pthread_mutex_destroy(&c->lock);
}

static inline void chunks_lock(struct chunks *c)
{
	if (c->shared)
		pthread_mutex_lock(&c->lock);
}

static inline void chunks_unlock(struct chunks *c)
{
	if (c->shared)
		pthread_mutex_unlock(&c->lock);
}

#endif
