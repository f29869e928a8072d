/*
 * Reassembly of CHUNK records: one bounded table per stream. Chunks may come in any order
 * and more than once; a frame is handed out at most once, and only when every byte of it
 * came. What a peer can make us hold is REASM_ENTRIES frames in REASM_BYTES.
 */
#ifndef L2TUND_DATAPATH_REASM_H
#define L2TUND_DATAPATH_REASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/datapath/vnet.h"

#define REASM_ENTRIES 64		  /* frames under way */
#define REASM_BYTES (256 * 1024)	  /* for their bytes; room for three of the largest */
#define REASM_TIMEOUT_US UINT64_C(100000) /* from the first chunk of a frame to its last */
#define REASM_IDLE_US UINT64_C(1000000)	  /* without chunks: the memory is given back */
#define REASM_CHUNKS_MAX 64		  /* a frame is cut in no more than this */
#define REASM_WINDOW 1024		  /* messages behind the newest that may still begin */

/* One CHUNK record, its header read. `vnet` is valid for `total` bytes. */
struct reasm_chunk {
	uint16_t segment;
	struct vnet vnet;
	uint32_t message; /* counts up by one for every frame that the sender cuts */
	uint32_t offset;
	uint32_t total; /* FRAME_MIN..FRAME_MAX, not checked here beyond the table's own bounds */
	const uint8_t *bytes;
	size_t len;
};

struct reasm_frame {
	uint16_t segment;
	struct vnet vnet;
	uint8_t *bytes;
	size_t len;
};

struct reasm_counters {
	/* Frames lost, by reason. */
	uint64_t lost_timeout;	/* a chunk did not come in time */
	uint64_t lost_full;	/* given up, the oldest first, to make room; or out of memory */
	uint64_t lost_conflict; /* chunks that contradict each other */
	uint64_t lost_reset;	/* half received when the session ended */
	/* Chunks passed over without harm. */
	uint64_t late;	    /* of a frame that is done or given up, or out of the window */
	uint64_t duplicate; /* had these bytes already */
};

struct reasm_store;

/* Embedded in its stream. Zeroed is empty; memory comes with the first chunk. */
struct reasm {
	struct reasm_store *store; /* owned; NULL while idle */
	uint64_t last_us;	   /* when the last chunk was taken */
	/* Which messages up to `newest` are done with: a bit each, by number modulo window. */
	bool window_set;
	uint32_t newest;
	uint64_t done[REASM_WINDOW / 64];
	struct reasm_counters counters;
};

/*
 * Takes one chunk. 1: it completed the frame in *ret, whose bytes stay valid until the
 * next call. 0: kept or passed over. -EBADMSG: its bounds are wrong. -EPROTO: it contradicts
 * what came before, and the frame is given up. -ENOMEM.
 */
int reasm_add(struct reasm *r, const struct reasm_chunk *c, uint64_t now_us,
	      struct reasm_frame *ret);
/* Gives up what is overdue, and the memory when nothing came for a while. */
void reasm_tick(struct reasm *r, uint64_t now_us);
/* Gives up everything and forgets message numbers: the peer may count from anywhere now. */
void reasm_reset(struct reasm *r);
void reasm_fini(struct reasm *r);

/* Sum of the lost_ counters. */
uint64_t reasm_lost(const struct reasm *r);

#endif
