/* `bridgectl domain start|stop|autostart`: one deed each, here or by the same command elsewhere. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/copy_done.h"
#include "bridgectl/cmd/domain_hyper.h"
#include "bridgectl/cmd/domain_rescue.h"
#include "bridgectl/cmd/mac_seen.h"
#include "common/jsonline.h"

#define STOP_S 120 /* as long as xendomains waits, nearly: most guests need far less */
#define STOP_MAX_S (24 * 60 * 60)

/* What was done, for people or as JSON; `told` is a sentence per line, or NULL. */
static void answer(struct cmd_call *call, const char *domain, const char *key, const char *value,
		   const char *told)
{
	json_t *doc, *lines;
	size_t len;

	if (!call->json) {
		for (const char *s = told; s && *s && !call->quiet; s += len + (s[len] == '\n')) {
			len = strcspn(s, "\n");
			out_line(&call->out, STYLE_NONE, "%s: %.*s", domain, (int)len, s);
		}
		return;
	}
	doc = json_pack("{s:s, s:s}", "name", domain, key, value);
	lines = json_array();
	for (const char *s = told; s && *s; s += len + (s[len] == '\n')) {
		len = strcspn(s, "\n");
		jsonline_append(lines, "%.*s", (int)len, s);
	}
	json_object_set_new(doc, "told", lines);
	out_json(&call->out, doc, false);
	json_decref(doc);
}

/* --- start --- */

static enum exit_code start_console(struct hyper *h, const char *domain)
{
	struct hyper_list l = { 0 };
	char err[HYPER_ERRLEN];
	const char *name = domain;
	int r = 0;

	/* Of a file, the newest domain that was made from it. */
	if (strchr(domain, '/') && h->ops->list(h, &l, err) == 0) {
		int id = HYPER_UNKNOWN;

		for (unsigned i = 0; i < l.n; i++)
			if (l.v[i].id > id) {
				id = l.v[i].id;
				name = l.v[i].name;
			}
	}
	r = h->ops->console(h, name, err);
	hyper_list_fini(&l);
	if (r < 0)
		cmd_error("%s", err);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static enum exit_code start(struct cmd_call *call, struct hyper *h)
{
	const char *domain = call->args[0];
	struct rescue *rescue;
	char err[HYPER_ERRLEN];

	if (!cmd_option(call, "--anyway") &&
	    (!mac_may_start(call, h, domain) || !copies_done(h, domain)))
		return EXIT_FAILED;
	if (!rescue_make(call, h, domain, &rescue))
		return EXIT_FAILED;
	if (h->ops->start(h, domain, err) < 0) {
		cmd_error("%s", err);
		rescue_take_back(rescue);
		return EXIT_FAILED;
	}
	rescue_settle(call, rescue);
	if (cmd_option(call, "--console"))
		return start_console(h, domain);
	answer(call, domain, "state", "running", "started");
	return EXIT_DONE;
}

enum exit_code cmd_domain_start(struct cmd_call *call)
{
	if (cmd_option(call, "--shell") && !cmd_option(call, "--rescue")) {
		cmd_error("--shell is for --rescue: the shell is started by the kernel that is "
			  "put in; give both");
		return EXIT_USAGE;
	}
	return domain_do(call, cmd_option(call, "--console") != NULL, start);
}

/* --- stop --- */

/*
 * By --host the other side's Ctrl-C ends ssh, which tells us by hanging up alone. Then nobody waits
 * any more, as after SIGHUP, and a guest is not to be ended by force later on.
 */
static void show_or_stop(void *arg, const char *what, int permille)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	if (poll(&p, 1, 0) == 1 && p.revents & (POLLERR | POLLHUP))
		raise(SIGHUP);
	else
		domain_progress_show(arg, what, permille);
}

static bool read_timeout(const struct cmd_call *call, unsigned *ret)
{
	return domain_number(call, "--timeout", STOP_MAX_S, STOP_S, ret);
}

static enum exit_code stop(struct cmd_call *call, struct hyper *h)
{
	struct domain_progress progress;
	struct hyper_wait w = { .force = cmd_option(call, "--force") != NULL,
				.stop = cmd_catch_stop(),
				.progress = show_or_stop,
				.arg = &progress };
	char err[HYPER_ERRLEN];
	int r;

	if (!read_timeout(call, &w.timeout_s))
		return EXIT_USAGE;
	domain_progress_init(&progress, call);
	r = h->ops->stop(h, call->args[0], &w, err);
	domain_progress_end(&progress);
	if (r < 0 && r != -EALREADY) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	answer(call, call->args[0], "state", "off", r < 0 ? "it is off already" : "stopped");
	return EXIT_DONE;
}

enum exit_code cmd_domain_stop(struct cmd_call *call)
{
	unsigned timeout_s;

	if (!read_timeout(call, &timeout_s))
		return EXIT_USAGE;
	return domain_do(call, false, stop);
}

/* --- autostart --- */

static enum exit_code autostart(struct cmd_call *call, struct hyper *h)
{
	bool on = !strcmp(call->args[1], "on");
	char err[HYPER_ERRLEN], *told = NULL;

	if (h->ops->autostart(h, call->args[0], on, &told, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	answer(call, call->args[0], "autostart", on ? "on" : "off", told);
	free(told);
	return EXIT_DONE;
}

enum exit_code cmd_domain_autostart(struct cmd_call *call)
{
	if (strcmp(call->args[1], "on") != 0 && strcmp(call->args[1], "off") != 0) {
		cmd_error("domain autostart takes on or off, not \"%.40s\"", call->args[1]);
		return EXIT_USAGE;
	}
	return domain_do(call, false, autostart);
}
