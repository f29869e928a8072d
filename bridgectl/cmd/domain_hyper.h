/* What the commands about running domains share: the hypervisor, time limits, progress. */
#ifndef BRIDGECTL_CMD_DOMAIN_HYPER_H
#define BRIDGECTL_CMD_DOMAIN_HYPER_H

#include "bridgectl/cmd.h"
#include "bridgectl/hypervisor/hyper.h"

/* What --connect and --xen choose, else what this host has. NULL: told. For hyper_close(). */
struct hyper *domain_open(const struct cmd_call *call);

typedef enum exit_code (*domain_deed_fn)(struct cmd_call *call, struct hyper *h);

/*
 * A command that is one deed: with --host all of it by that host's bridgectl (`terminal`: it is to
 * have ours), else `deed` with the hypervisor that is chosen, which is closed afterwards.
 */
enum exit_code domain_do(struct cmd_call *call, bool terminal, domain_deed_fn deed);

/* A whole number of the option, `otherwise` without it. False: told. */
bool domain_number(const struct cmd_call *call, const char *option, unsigned max,
		   unsigned otherwise, unsigned *ret);

/* One line on standard error, drawn again on a terminal; else each new sentence once. */
struct domain_progress {
	char last[128];
	bool on_terminal, open_line, silent;
};

void domain_progress_init(struct domain_progress *p, const struct cmd_call *call);
/* A hyper_progress_fn. */
void domain_progress_show(void *arg, const char *what, int permille);
/* Takes the line away: other output follows. */
void domain_progress_end(struct domain_progress *p);

#endif
