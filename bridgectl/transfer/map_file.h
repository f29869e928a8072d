/*
 * The file of a map: two slots of 4 KiB for the header, the newer whole one counts, so that
 * a torn write costs one change at most; then 16 bytes a chunk, zeros where nothing is known.
 */
#ifndef BRIDGECTL_TRANSFER_MAP_FILE_H
#define BRIDGECTL_TRANSFER_MAP_FILE_H

#include "bridgectl/transfer/map.h"

#define MAP_SLOT_BYTES 4096u
#define MAP_HEADER_BYTES (2 * MAP_SLOT_BYTES)

struct map_header {
	uint64_t sequence; /* the slot is its lowest bit */
	uint32_t pass;
	bool pass_ended;
	bool doubt;   /* digests in the file may be of data that was overwritten */
	bool content; /* was in doubt: chunks without a digest may be right */
	uint64_t stamp;
	uint8_t seed[DIGEST_SEED_BYTES];
	struct map_subject subject;
};

void map_header_put(uint8_t slot[MAP_SLOT_BYTES], const struct map_header *h);
/* -EBADMSG: torn, damaged, or none of ours. */
int map_header_take(const uint8_t slot[MAP_SLOT_BYTES], struct map_header *ret);
/* The newer of the two slots in MAP_HEADER_BYTES; -EBADMSG when none is whole. */
int map_header_newest(const uint8_t *slots, struct map_header *ret);

/* "DIR/hash of the target's identity.map", to be freed; NULL: no memory. */
char *map_file_path(const char *dir, const char *target);
/*
 * Opens or makes it, and its folder, and locks it: *ret_fd. -EBUSY: locked by another; -EPERM:
 * the folder is one that others may write to.
 */
int map_file_open(const char *dir, const char *path, int *ret_fd, char *err);
/* Length of the file for a window. */
uint64_t map_file_bytes(uint64_t length);
/* All digests become zeros, durably. */
int map_file_wipe(int fd, uint64_t length);
/* The next slot, durably. */
int map_file_put_header(int fd, struct map_header *h);
/* A new file of this subject with a new seed, all durable. */
int map_file_make(int fd, const char *dir, const struct map_subject *s, struct map_header *ret);
/* Both slots; -EBADMSG: no header that can be read. */
int map_file_get_header(int fd, struct map_header *ret);

/* All of it: 0 or negative errno; beyond the end there are zeros. */
int map_file_read(int fd, uint64_t at, void *buf, size_t len);
int map_file_write(int fd, uint64_t at, const void *buf, size_t len);

#endif
