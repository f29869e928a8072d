/*
 * Both ends of a disk transfer in one process: a source file, a target file with a window in its
 * middle and guard bytes around it, a map, and connections over a Unix socket.
 */
#ifndef TESTS_UNIT_ENDS_PAIR_H
#define TESTS_UNIT_ENDS_PAIR_H

#include "bridgectl/transfer/receiver.h"
#include "bridgectl/transfer/sender.h"
#include "tests/support/prng.h"

#define ENDS_GUARD 65536u /* bytes before and after the target's window */
#define ENDS_GUARD_BYTE 0xa5

/* Sits on the connections, when `active`. */
struct ends_middle {
	bool active;
	uint64_t flip_at; /* of what the source sends on each connection; UINT64_MAX: nothing */
	uint64_t cut_at;
};

struct ends {
	char dir[64];
	uint64_t length;
	uint8_t *bytes; /* of the source, as they should be; owned */
	int source_fd, target_fd;
	struct window source, target;
	struct wire_setup wire_source, wire_target;
	struct map *map;
	struct map_state state;
	struct gathered at_source, at_target;
	struct sender *sender;
	struct receiver *receiver;
	struct ends_middle middle;
	struct fail failed; /* what the receiver told */
	struct prng prng;
};

/* Makes the folder and both files. The target is all holes, or full of garbage. */
void ends_make(struct ends *e, uint64_t length, bool garbage, uint64_t seed);
/* A mix of random bytes, text and zeros, and the same into the source file. */
void ends_fill(struct ends *e);
void ends_write_source(struct ends *e);
/* Opens windows, the map, `n` connections, sender and receiver. */
void ends_open(struct ends *e, unsigned n, bool distrust);
/* Everything but the files and the map's file. */
void ends_close(struct ends *e);
/* The folder too. */
void ends_free(struct ends *e);

/* begin, pass, settle. 0, or what failed first: the target's word counts before the source's. */
int ends_pass(struct ends *e, uint32_t number, const struct sender_pass *p, struct fail *f);
/* The target is like the source, and nothing around it was touched. */
void ends_check(struct ends *e);
void ends_check_guards(struct ends *e);
/* One of the target's bytes, counted from the window's beginning, becomes another one. */
void ends_damage_target(struct ends *e, uint64_t offset);

#endif
