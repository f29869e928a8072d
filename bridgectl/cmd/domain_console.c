/* `bridgectl domain console NAME`: the guest's console on this terminal. */
#include <stdio.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/domain_hyper.h"

static enum exit_code console(struct cmd_call *call, struct hyper *h)
{
	char err[HYPER_ERRLEN];

	if (h->ops->console(h, call->args[0], err) == 0)
		return EXIT_DONE;
	cmd_error("%s", err);
	return EXIT_FAILED;
}

enum exit_code cmd_domain_console(struct cmd_call *call)
{
	return domain_do(call, true, console);
}
