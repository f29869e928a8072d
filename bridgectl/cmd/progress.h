/* How a running copy is shown: one line drawn again, or lines now and then, or JSON lines. */
#ifndef BRIDGECTL_CMD_PROGRESS_H
#define BRIDGECTL_CMD_PROGRESS_H

#include "bridgectl/out.h"
#include "bridgectl/transfer/conductor.h"

#define PROGRESS_LINE_LEN 1024

struct progress {
	struct out *out;
	bool live;	  /* a terminal that can go back to the beginning of a line */
	bool drawn;	  /* a line stands there */
	uint64_t then_ms; /* of the last line */
	enum conduct_phase phase;
};

void progress_init(struct progress *p, struct out *out);
/* The callbacks of a copy; `p` must outlive it. */
struct conduct_ui progress_ui(struct progress *p);
/* Takes the line away: other output follows. */
void progress_clear(struct progress *p);

/*
 * The line by itself, of at most `width` columns (0: any): what it does, bar, part, time left,
 * rate, bytes; when warm also what is dirty, how fast it grows, and the predicted downtime.
 */
const char *progress_line(const struct conduct_state *st, unsigned width, bool utf8, char *buf);

#endif
