/*
 * The state of one thread of the data path. A batch is what one TAP or one socket hands over in
 * one go: it begins with the first frame and ends with worker_flush(), which
 * os_tap_ops.drained and os_udp_ops.drained come to.
 */
#include "l2tund/worker.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "l2tund/daemon.h"
#include "l2tund/datapath/stream.h"
#include "l2tund/tunnel_frames.h"

struct worker *worker_new(struct daemon *d, unsigned lane)
{
	struct worker *w = malloc(sizeof(*w));

	if (!w)
		return NULL;
	/* The train's buffer stays untouched: pages that are never used are never there. */
	memset(w, 0, offsetof(struct worker, train) + offsetof(struct train, buf));
	w->daemon = d;
	w->lane = lane;
	/* A UDP super-frame that is too large would leave in chunks, and be lost with any. */
	w->out_join = join_new(WORKER_FLOWS, JOIN_TCP, tunnel_out, w);
	w->in_join = join_new(WORKER_FLOWS, JOIN_TCP | JOIN_UDP, tunnel_in, w);
	if (w->out_join && w->in_join)
		return w;
	worker_free(w);
	return NULL;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	assert(!w->train.user);
	join_free(w->out_join);
	join_free(w->in_join);
	free(w);
}

uint64_t worker_now_us(struct worker *w)
{
	if (!w->now_us)
		w->now_us = daemon_now_us(w->daemon);
	return w->now_us;
}

void worker_tell(struct worker *w, void (*fn)(void *arg, void *data, size_t len), void *arg,
		 void *data, size_t len)
{
	if (w->lane)
		worker_post(w, fn, arg, &(struct iovec){ data, len }, 1);
	else
		fn(arg, data, len);
}

void worker_post(struct worker *w, void (*fn)(void *arg, void *data, size_t len), void *arg,
		 const struct iovec *iov, unsigned n)
{
	struct os *os = w->daemon->os;

	if (!os->lane_post(os, fn, arg, iov, n))
		w->lost++;
}

void worker_flush(struct worker *w)
{
	join_flush(w->in_join);
	join_flush(w->out_join);
	if (w->train.user)
		stream_flush(w->train.user);
	w->now_us = 0;
}
