/*
 * `bridgectl domain migrate NAME HOST --live`: a running guest to a host of the same kind. Between
 * Xen and KVM nothing can go live, since neither knows the other's devices; that is said before
 * anything begins.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/domain_hyper.h"
#include "bridgectl/cmd/far.h"
#include "common/proc.h"

#define ASK_MS 60000
#define ASK_BYTES 4096
#define RATE_MAX_MIB 1000000
#define DOWNTIME_MAX_MS 3600000

/* What is true of a Xen host and of no other, whatever is installed there. */
#define XEN_FILE "/proc/xen/capabilities"
#define IS_XEN "test -e " XEN_FILE " && grep -q control_d " XEN_FILE

static bool is_xen(const struct hyper *h)
{
	return !strcmp(h->ops->name, "xl") || !strcmp(h->ops->name, "xm");
}

/* The exit code of a command on the other host; negative: told. */
static int ask(const struct cmd_call *call, const char *host, const char *command)
{
	static const struct proc_limits limits = { .timeout_ms = ASK_MS,
						   .out_bytes = ASK_BYTES,
						   .asks = true };
	const char *given = cmd_option(call, "--ssh"), *argv[FAR_SSH_WORDS];
	_cleanup_free_ char *ssh = strdup(given ? given : FAR_SSH_DEFAULT);
	struct proc_result result;
	int r;

	if (!ssh || !far_ssh_words(ssh, argv, host, command))
		return -EINVAL;
	r = proc_run(argv, &limits, NULL, 0, &result);
	if (r < 0) {
		cmd_error("cannot ask %s: %s: %s", host, argv[0], strerror(-r));
		return r;
	}
	r = result.exit_code;
	if (r > 1) {
		result.err[strcspn(result.err, "\r\n")] = '\0';
		cmd_error("%s: cannot ask it what it is: %s", host,
			  result.err[0] ? result.err : "ssh failed");
		r = -EIO;
	}
	proc_result_fini(&result);
	return r;
}

/* Xen's guests go to Xen hosts only. False: told. */
static bool far_fits(const struct cmd_call *call, const char *domain, const char *host)
{
	int r = ask(call, host, IS_XEN);

	if (r == 0)
		return true;
	if (r > 0)
		cmd_error("%s: it runs under Xen and %s does not: no guest goes from Xen to KVM "
			  "while it runs; use `bridgectl disk copy --warm` for its disks and "
			  "`bridgectl domain convert` for its definition (later `bridgectl "
			  "migrate` for all of it)",
			  domain, host);
	return false;
}

static bool read_target(const struct cmd_call *call, struct hyper_target *to)
{
	*to = (struct hyper_target){
		.host = call->args[1],
		.uri = cmd_option(call, "--to-uri"),
		.ssh = cmd_option(call, "--ssh"),
		.copy_disks = cmd_option(call, "--copy-storage") != NULL,
	};
	if (!cmd_option(call, "--live")) {
		cmd_error(
			"domain migrate moves running guests: say --live; one that is off is moved "
			"by its disks and its definition");
		return false;
	}
	if (*to->host == '-') {
		cmd_error("\"%.40s\" is no name of a host", to->host);
		return false;
	}
	return domain_number(call, "--rate", RATE_MAX_MIB, 0, &to->rate_mib) &&
	       domain_number(call, "--max-downtime", DOWNTIME_MAX_MS, 0, &to->downtime_ms);
}

static void answer(struct cmd_call *call, const struct hyper_target *to)
{
	json_t *doc;

	if (!call->json && !call->quiet)
		out_line(&call->out, STYLE_GOOD, "%s: runs on %s now", call->args[0], to->host);
	if (!call->json)
		return;
	doc = json_pack("{s:s, s:s}", "name", call->args[0], "host", to->host);
	out_json(&call->out, doc, false);
	json_decref(doc);
}

/* Under Xen its file stays here, and so does what starts it. libvirt takes that along. */
static void tell_left(struct hyper *h, const char *domain)
{
	const struct hyper_domain *d;
	struct hyper_list l = { 0 };
	char err[HYPER_ERRLEN];

	d = is_xen(h) && h->ops->list(h, &l, err) == 0 ? hyper_find(&l, domain) : NULL;
	if (d && d->autostart == 1)
		cmd_error("%s: it would still start with this host, and run twice: `bridgectl "
			  "domain autostart %s off`",
			  domain, domain);
	hyper_list_fini(&l);
}

static enum exit_code migrate(struct cmd_call *call, struct hyper *h)
{
	struct domain_progress progress;
	struct hyper_wait w = { .stop = cmd_catch_stop(),
				.progress = domain_progress_show,
				.arg = &progress };
	struct hyper_target to;
	char err[HYPER_ERRLEN];
	int r;

	if (!read_target(call, &to))
		return EXIT_USAGE;
	if (is_xen(h) && !to.uri && !far_fits(call, call->args[0], to.host))
		return EXIT_FAILED;
	domain_progress_init(&progress, call);
	r = h->ops->migrate(h, call->args[0], &to, &w, err);
	domain_progress_end(&progress);
	if (r < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	answer(call, &to);
	tell_left(h, call->args[0]);
	return EXIT_DONE;
}

enum exit_code cmd_domain_migrate(struct cmd_call *call)
{
	struct hyper_target to;

	if (!read_target(call, &to))
		return EXIT_USAGE;
	return domain_do(call, false, migrate);
}
