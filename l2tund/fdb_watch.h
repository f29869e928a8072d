/*
 * Mirrors of the bridges' forwarding tables, for two purposes. An address that moves between a
 * tunnel's port and another one asks for a burst of probes: it may be a loop, and it may as
 * well be a guest that has moved. And a frame to an address that the bridge does not know is
 * flooded, so that the storm guards have to look at it (doc/loops.md).
 */
#ifndef L2TUND_FDB_WATCH_H
#define L2TUND_FDB_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "l2tund/kernel/os.h"
#include "l2tund/topology/fdb.h"
#include "l2tund/topology/storm.h"

struct bridge;
struct daemon;

/* Embedded in its bridge. */
struct fdb_mirror {
	struct bridge *bridge;
	struct fdb fdb;
	int ifindex;	   /* of the bridge that it is of; 0: of none */
	bool whole;	   /* nothing is missing in it */
	bool full;	   /* there was no room for an entry */
	bool learns;	   /* the bridge does, at all of its ports */
	uint64_t moves;	   /* between a tunnel's port and another one */
	uint64_t bursts;   /* that they, and losses, have asked for */
	uint64_t burst_us; /* when the latest began; 0: none yet */
};

/* One per daemon, embedded in it. */
struct fdb_watch {
	struct os_timer *timer; /* reads mirrors that are not whole */
	bool blind;		/* between lost() and again(): reading would be in vain */
	bool pending;		/* the timer is set */
	uint64_t read_us;	/* when it was the last time; 0: never */
	uint64_t wait_us;	/* what the next one has to wait; doubled each time */
	uint64_t losses;
};

/* Without it the daemon works, and the log says what it lacks. Timers: a negative errno. */
int fdb_watch_start(struct daemon *d);
void fdb_watch_stop(struct daemon *d);

void fdb_mirror_init(struct fdb_mirror *m, struct bridge *b);
void fdb_mirror_fini(struct fdb_mirror *m);
/* Follows the bridge as it is now. */
void fdb_mirror_sync(struct fdb_mirror *m);

/* Whether it says what the bridge does now; else nothing may be concluded from it. */
static inline bool fdb_mirror_reliable(const struct fdb_mirror *m)
{
	return m->whole && m->learns;
}

/* Whether the bridge has learnt the frame's destination at this port; 0: at any. */
static inline bool fdb_mirror_knows(const struct fdb_mirror *m, const uint8_t *frame, int port)
{
	return fdb_mirror_reliable(m) && fdb_knows(&m->fdb, frame, port);
}

/*
 * Whether the bridge floods a frame: to a group, or to an address that it does not know. `port`:
 * where it came out of the bridge, 0 before it enters it. In doubt it does not.
 */
static inline bool fdb_mirror_floods(const struct fdb_mirror *m, const uint8_t *frame, int port)
{
	return frame_is_group(frame) ||
	       (fdb_mirror_reliable(m) && !fdb_knows(&m->fdb, frame, port));
}

#endif
