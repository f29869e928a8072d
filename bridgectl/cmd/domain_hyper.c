/*
 * The frame of every command about running domains: which hypervisor, how numbers are given, how
 * long deeds show that they go on. Sentences come from libvirt, xl or a guest, so they are cleaned
 * here and in cmd_error().
 */
#include "bridgectl/cmd/domain_hyper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/cmd/far.h"

struct hyper *domain_open(const struct cmd_call *call)
{
	const char *xen = cmd_option(call, "--xen");
	struct hyper_choice choice = {
		.uri = cmd_option(call, "--connect"),
		.xen = xen && !strcmp(xen, "auto") ? "" : xen,
	};
	char err[HYPER_ERRLEN];
	struct hyper *h;

	if (hyper_open(&choice, &h, err) == 0)
		return h;
	cmd_error("%s", err);
	return NULL;
}

enum exit_code domain_do(struct cmd_call *call, bool terminal, domain_deed_fn deed)
{
	enum exit_code code;
	struct hyper *h;

	if (far_asked(call))
		return far_same(call, terminal);
	h = domain_open(call);
	if (!h)
		return EXIT_FAILED;
	code = deed(call, h);
	hyper_close(h);
	return code;
}

bool domain_number(const struct cmd_call *call, const char *option, unsigned max,
		   unsigned otherwise, unsigned *ret)
{
	const char *given = cmd_option(call, option);
	unsigned long v;
	char *end;

	if (!given) {
		*ret = otherwise;
		return true;
	}
	errno = 0;
	v = strtoul(given, &end, 10);
	if (*given >= '0' && *given <= '9' && !*end && !errno && v && v <= max) {
		*ret = (unsigned)v;
		return true;
	}
	cmd_error("%s takes a number from 1 to %u, not \"%.40s\"", option, max, given);
	return false;
}

/* --- Progress --- */

void domain_progress_init(struct domain_progress *p, const struct cmd_call *call)
{
	*p = (struct domain_progress){ .on_terminal = isatty(STDERR_FILENO),
				       .silent = call->json || call->quiet };
}

void domain_progress_show(void *arg, const char *what, int permille)
{
	struct domain_progress *p = arg;
	_cleanup_free_ char *clean = NULL;

	if (p->silent || (!p->on_terminal && !strcmp(p->last, what)))
		return;
	snprintf(p->last, sizeof(p->last), "%s", what);
	clean = out_clean(what);
	if (!p->on_terminal)
		fprintf(stderr, "%s\n", clean);
	else if (permille == HYPER_UNKNOWN)
		fprintf(stderr, "\r%s\033[K\n", clean);
	else
		fprintf(stderr, "\r%s (%d %%)\033[K", clean, permille / 10);
	p->open_line = p->on_terminal && permille != HYPER_UNKNOWN;
}

void domain_progress_end(struct domain_progress *p)
{
	if (p->open_line)
		fputs("\r\033[K", stderr);
	p->open_line = false;
}
