/*
 * An end of a transfer as a process: JSON lines in, sender or receiver at work, answers and events
 * out (doc/transfer.md). It serves the one disk that its command line names.
 */
#ifndef BRIDGECTL_TRANSFER_AGENT_H
#define BRIDGECTL_TRANSFER_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/transfer/agent_request.h"

struct agent_options {
	enum agent_role role;
	const char *path;
	unsigned partition;	 /* 0: none */
	uint64_t offset, length; /* length 0: up to the end */
	bool overwrite;
	const char *state_dir; /* NULL: the usual one */
	const char *program;   /* name and version */
};

/*
 * Serves requests from `in` until its end, SIGTERM or SIGHUP; what is written is durable then.
 * 0, or negative errno when it could not even begin.
 */
int agent_run(const struct agent_options *o, int in, int out);

/* Copies between two pairs of descriptors until both directions have ended. 0 or errno. */
int agent_pipe(int in, int out, const char *socket, char *err);

#endif
