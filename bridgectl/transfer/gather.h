/*
 * The data connections of a transfer, from both sides: one end calls the other N times, which takes
 * exactly one connection of each number. A stranger can delay nothing: each caller greets
 * in a thread of its own and is dropped when that takes long.
 */
#ifndef BRIDGECTL_TRANSFER_GATHER_H
#define BRIDGECTL_TRANSFER_GATHER_H

#include "bridgectl/transfer/wire.h"

/* As large as any transfer needs; wires[0] to wires[n - 1] are connected. */
struct gathered {
	struct wire wires[WIRE_CONNECTIONS_MAX];
	unsigned n;
};

/* Closes all, in order when all went well. */
void gathered_free(struct gathered *g, bool orderly);
/* Whoever is blocked on one of them returns. */
void gathered_abort(struct gathered *g);

/*
 * Calls `address` (as conn_connect() takes it) `n` times, one after the other. 0, or negative
 * errno with `f` filled in and nothing open.
 */
int gather_call(struct gathered *ret, const char *address, unsigned n, const struct wire_setup *s,
		struct fail *f);

struct gather;

/*
 * Begins to take `n` connections at the listening socket `fd`, which it takes over, for at
 * most `limit_ms`. `s` must outlive it. NULL: no memory, no thread.
 */
struct gather *gather_listen(int fd, unsigned n, const struct wire_setup *s, int limit_ms);
/* Waits for the last one. 0 with all in `ret`, or negative errno with `f`. Once. */
int gather_wait(struct gather *g, struct gathered *ret, struct fail *f);
/* From another thread: the wait ends with FAIL_STOPPED. */
void gather_stop(struct gather *g);
/* Closes what was not fetched. NULL is fine. */
void gather_free(struct gather *g);

#endif
