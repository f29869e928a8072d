/* `bridgectl domain console NAME`: the guest's console on this terminal. */
#include <stdio.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/domain_hyper.h"
#include "bridgectl/cmd/far.h"

enum exit_code cmd_domain_console(struct cmd_call *call)
{
	char err[HYPER_ERRLEN];
	struct hyper *h;
	int r;

	if (far_asked(call))
		return far_same(call, true);
	h = domain_open(call);
	if (!h)
		return EXIT_FAILED;
	r = h->ops->console(h, call->args[0], err);
	hyper_close(h);
	if (r < 0)
		cmd_error("%s", err);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
