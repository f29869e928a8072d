/*
 * What is known to be on the target: one digest per chunk, in a file beside nothing else of ours
 * (STATE/ID.map), on the target's host. It is what makes a transfer resumable.
 *
 * Order, which is the whole point: data is written, then flushed, then its digests are
 * committed and flushed. So a digest in the file is of data on the disk. From the second pass on
 * chunks that already have a digest are written again; then the map is put in doubt (durably,
 * before the first write) until the pass ended well. A map that is in doubt at resume tells
 * nothing: the target is read and hashed.
 *
 * 4 KiB header, then 16 bytes a chunk: 256 MiB for 1 TiB. It is read and written in pieces,
 * never mapped, so it costs no memory. Thread safe.
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
	bool doubt;	      /* it was there and tells nothing */
	uint32_t pass;	      /* begun as last */
	bool pass_ended;      /* and ended */
	uint64_t known_bytes; /* covered by digests */
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
/* Closes; `done`: the transfer is complete and the file goes. */
void map_close(struct map *m, bool done);

/* A pass begins: durable before it returns. From pass 1 on the map is in doubt meanwhile. */
int map_begin(struct map *m, uint32_t pass);
/* The pass ended and everything is committed: no doubt any more. Durable. */
int map_end(struct map *m);

/* Digests of `n` chunks from `first` on; those not known, or in doubt, are zero. */
int map_get(struct map *m, uint64_t first, uint32_t n, uint8_t *ret);
/* These chunks were written, not flushed: kept in memory until the next commit. */
int map_note(struct map *m, uint64_t first, uint32_t n, const uint8_t *digests);
/* Bytes noted since the last take: when to flush. */
uint64_t map_noted_bytes(struct map *m);

struct map_batch; /* what was noted between two takes */

/* Takes all that was noted: call it *before* flushing the target. NULL: nothing. */
struct map_batch *map_take(struct map *m);
/* After the target was flushed: into the file, and that flushed. */
int map_commit(struct map *m, const struct map_batch *b);
/* The nth run of chunks in a batch, for reading them back; false: no more. */
bool map_batch_run(const struct map_batch *b, unsigned n, uint64_t *ret_first, uint32_t *ret_n,
		   const uint8_t **ret_digests);
void map_batch_free(struct map_batch *b);

#endif
