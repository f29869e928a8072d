/*
 * What one thread of the data path owns: the train that its datagrams leave by, what it
 * holds of frames until the batch that they came in is over, and the time of that batch.
 * Between two batches all of it is empty, so nothing else needs to know what stands in it.
 */
#ifndef L2TUND_WORKER_H
#define L2TUND_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "l2tund/datapath/join.h"
#include "l2tund/datapath/train.h"

#define WORKER_FLOWS 8 /* joined at a time, in either direction */

struct daemon;

/* Owned by the daemon. */
struct worker {
	struct daemon *daemon;
	unsigned lane;
	struct join *out_join; /* from the bridges to the peers */
	struct join *in_join;  /* and back */
	uint64_t now_us;       /* of the batch under way; 0: none */
	uint64_t lost;	       /* what could not be posted to the main thread */
	struct train train;
};

/* NULL when out of memory. */
struct worker *worker_new(struct daemon *d, unsigned lane);
/* Nothing may be in it. */
void worker_free(struct worker *w);

/*
 * When the batch under way began: reading the clock costs as much as looking into a frame. What
 * leaves is held against the clock once more: the process may have been stopped meanwhile.
 */
uint64_t worker_now_us(struct worker *w);
/*
 * The main thread is to call `fn` with these bytes: at once, if this is it, else it is posted
 * (os->lane_post()). `arg` is for os->lane_forget() before it goes.
 */
void worker_tell(struct worker *w, void (*fn)(void *arg, void *data, size_t len), void *arg,
		 void *data, size_t len);
/* The same of several parts, in any case later. */
void worker_post(struct worker *w, void (*fn)(void *arg, void *data, size_t len), void *arg,
		 const struct iovec *iov, unsigned n);
/* The batch is over: everything that is held leaves. Not from inside a callback of the joins. */
void worker_flush(struct worker *w);

#endif
