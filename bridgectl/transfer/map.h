/*
 * What is known to be on the target: one digest per chunk, in a file beside nothing else of ours
 * (STATE/ID.map), on the target's host. It is what makes a transfer resumable.
 *
 * Order, which is the whole point: data is written, then flushed, then its digests are
 * committed and flushed. So a digest in the file is of data on the disk. Before a chunk that
 * already has one is written again, in a resumed pass or a later one, map_touch() puts the map in
 * doubt, durably, until the pass ended well. When it is opened in doubt its digests are wiped and
 * it says so: the target must be read and hashed.
 *
 * 8 KiB header, then 16 bytes a chunk: 256 MiB for 1 TiB. It is read and written in pieces,
 * never mapped; in memory it is one bit a chunk, 2 MiB for 1 TiB. Thread safe.
 */
#ifndef BRIDGECTL_TRANSFER_MAP_H
#define BRIDGECTL_TRANSFER_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/transfer/digest.h"

#define MAP_IDENTITY_LEN 512
#define MAP_ERRLEN 512

struct map;

/* What a map is about. When one of these differs, it is another transfer. */
struct map_subject {
	char source
		[MAP_IDENTITY_LEN]; /* host, path, size, and what tells it from another one there */
	char target[MAP_IDENTITY_LEN]; /* path, inode or LV UUID, window */
	uint64_t length;	       /* of the window, bytes */
};

struct map_state {
	bool resumed;	      /* it was there */
	bool doubt;	      /* what has no digest may be right all the same: read it */
	uint32_t pass;	      /* begun as last */
	bool pass_ended;      /* and ended */
	uint64_t known_bytes; /* covered by digests */
	uint64_t stamp;	      /* the last map_set_stamp() that became durable; 0: none */
	uint8_t seed[DIGEST_SEED_BYTES];
};

/*
 * Opens the map of this subject in `dir` (made with mode 0700 when missing), or makes one with a
 * new random seed. `fresh`: an old one is thrown away. -EBUSY: another process has it locked.
 * A map of another subject for the same target is thrown away. A new map, to be closed; or NULL
 * with *ret_errno and a sentence in `err` (MAP_ERRLEN).
 */
struct map *map_open(const char *dir, const struct map_subject *s, bool fresh,
		     struct map_state *ret, int *ret_errno, char *err);
/* Whether there is one of just this subject; nothing is changed, and nothing locked. */
bool map_exists(const char *dir, const struct map_subject *s);
/* Closes; `done`: the transfer is complete and the file goes. */
void map_close(struct map *m, bool done);

/* A pass begins: durable before it returns. */
int map_begin(struct map *m, uint32_t pass);
/* The pass ended and everything is committed: no doubt any more. Durable. */
int map_end(struct map *m);
/* A number of the caller's, such as a time; durable with the next begin, end or commit. */
void map_set_stamp(struct map *m, uint64_t stamp);

/*
 * These chunks will be written now: call it *before* each write of data or zeros. It costs nothing
 * but when one of them has a digest, for the first time in a pass. On error nothing may be written.
 */
int map_touch(struct map *m, uint64_t first, uint32_t n);

/* Digests of `n` chunks from `first` on; zero: not known, or touched and not yet committed. */
int map_get(struct map *m, uint64_t first, uint32_t n, uint8_t *ret);
/*
 * These chunks were written, or read and hashed, and not flushed: kept in memory until the next
 * commit; a zero digest says nothing. -EPERM: one is known otherwise and was not touched before.
 */
int map_note(struct map *m, uint64_t first, uint32_t n, const uint8_t *digests);
/* Bytes noted since the last take: when to flush. */
uint64_t map_noted_bytes(struct map *m);

struct map_batch; /* what was noted between two takes */

/* Takes all that was noted: call it *before* flushing the target. NULL: nothing, or no memory. */
struct map_batch *map_take(struct map *m);
/* After the target was flushed: into the file, and that flushed. */
int map_commit(struct map *m, const struct map_batch *b);
/* The nth run of chunks in a batch, for reading them back; false: no more. */
bool map_batch_run(const struct map_batch *b, unsigned n, uint64_t *ret_first, uint32_t *ret_n,
		   const uint8_t **ret_digests);
void map_batch_free(struct map_batch *b);

#endif
