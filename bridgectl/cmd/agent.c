/*
 * `bridgectl agent`: an end of a disk transfer, started by `disk copy` here or through ssh. Its
 * standard output belongs to the protocol, so even errors of the command line go to standard
 * error only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/transfer/agent.h"
#include "bridgectl/transfer/conn.h"
#include "build-config.h"

#define PARTITION_MAX 1024

/* Digits only. False: something else, or too large. */
static bool take_number(const struct cmd_call *call, const char *name, uint64_t max, uint64_t *ret)
{
	const char *text = cmd_option(call, name);
	unsigned long long n;
	char *end;

	*ret = 0;
	if (!text)
		return true;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && n <= max) {
		*ret = n;
		return true;
	}
	cmd_error("agent: %s takes a number up to %llu, not \"%s\"", name, (unsigned long long)max,
		  text);
	return false;
}

static enum exit_code run(struct cmd_call *call, enum agent_role role)
{
	struct agent_options o = { .role = role,
				   .path = call->args[0],
				   .overwrite = cmd_option(call, "--overwrite"),
				   .state_dir = cmd_option(call, "--state-dir"),
				   .program = PACKAGE_STRING };
	uint64_t partition;
	int r;

	if (!take_number(call, "--partition", PARTITION_MAX, &partition) ||
	    !take_number(call, "--offset", INT64_MAX, &o.offset) ||
	    !take_number(call, "--length", INT64_MAX, &o.length))
		return EXIT_USAGE;
	o.partition = (unsigned)partition;
	if (partition && (o.offset || o.length)) {
		cmd_error("agent: --partition says where it is; --offset and --length do not go "
			  "with it");
		return EXIT_USAGE;
	}
	r = agent_run(&o, STDIN_FILENO, STDOUT_FILENO);
	if (r == 0)
		return EXIT_DONE;
	cmd_error("agent: %s", strerror(-r));
	return EXIT_FAILED;
}

enum exit_code cmd_agent_source(struct cmd_call *call)
{
	return run(call, AGENT_SOURCE);
}

enum exit_code cmd_agent_target(struct cmd_call *call)
{
	return run(call, AGENT_TARGET);
}

enum exit_code cmd_agent_pipe(struct cmd_call *call)
{
	char err[CONN_ERRLEN] = "";

	if (agent_pipe(STDIN_FILENO, STDOUT_FILENO, call->args[0], err) == 0)
		return EXIT_DONE;
	cmd_error("agent: %s", err);
	return EXIT_FAILED;
}
