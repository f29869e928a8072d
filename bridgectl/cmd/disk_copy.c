/*
 * `bridgectl disk copy`: a disk or partition, block by block; with --files a directory tree, by
 * rsync(1), which is good at that.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/disk_run.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/transfer/jobs.h"

#define RSYNC_ARGS_MAX 16

/* --- --files --- */

/* "HOST:PATH"; one here must not look like that. Never freed: the program ends by exec. */
static char *rsync_place(const char *host, const char *path)
{
	const char *colon = strchr(path, ':'), *slash = strchr(path, '/');
	char *s = NULL;
	int n;

	if (host)
		n = asprintf(&s, "%s:%s", host, path);
	else if ((colon && (!slash || colon < slash)) || *path == '-')
		n = asprintf(&s, "./%s", path);
	else
		n = asprintf(&s, "%s", path);
	return n < 0 ? NULL : s;
}

static bool files_options_fit(struct cmd_call *call)
{
	static const char *const fit[] = { "--files", "--from",	  "--to", "--ssh",
					   "--rate",  "--delete", NULL };

	for (unsigned i = 0; i < call->n_given; i++) {
		unsigned k = 0;

		while (fit[k] && strcmp(fit[k], call->given[i].name) != 0)
			k++;
		if (!fit[k]) {
			cmd_error("disk copy: %s is not for --files", call->given[i].name);
			return false;
		}
	}
	return true;
}

static enum exit_code copy_files(struct cmd_call *call)
{
	const char *from = cmd_option(call, "--from"), *to = cmd_option(call, "--to");
	const char *ssh = cmd_option(call, "--ssh"), *rate = cmd_option(call, "--rate");
	const char *argv[RSYNC_ARGS_MAX] = { "rsync", "-aHAXS", "--numeric-ids", "-s" };
	char limit[48];
	unsigned n = 4;
	uint64_t bytes = 0;

	if (!files_options_fit(call))
		return EXIT_USAGE;
	if ((from && to) || (from && !end_host_valid(from)) || (to && !end_host_valid(to))) {
		cmd_error("disk copy: --files takes the name of one host: rsync runs between here "
			  "and there");
		return EXIT_USAGE;
	}
	if (rate && size_parse(rate, &bytes) < 0) {
		cmd_error("disk copy: --rate takes bytes per second as 50M, not \"%s\"", rate);
		return EXIT_USAGE;
	}
	if (!call->quiet)
		argv[n++] = "--info=progress2";
	if (cmd_option(call, "--delete"))
		argv[n++] = "--delete";
	if (bytes) {
		snprintf(limit, sizeof(limit), "--bwlimit=%llu",
			 (unsigned long long)MAX(bytes / 1024, 1u));
		argv[n++] = limit;
	}
	if (ssh) {
		argv[n++] = "-e";
		argv[n++] = ssh;
	}
	argv[n++] = "--";
	argv[n++] = rsync_place(from, call->args[0]);
	argv[n++] = rsync_place(to, call->args[1]);
	argv[n] = NULL;
	execvp(argv[0], (char *const *)argv);
	cmd_error("disk copy: cannot start rsync: %s%s", strerror(errno),
		  errno == ENOENT ? "; the package rsync has it" : "");
	return EXIT_FAILED;
}

/* --- Blocks --- */

static bool kind_of(struct cmd_call *call, enum conduct_kind *ret)
{
	static const struct {
		const char *option;
		enum conduct_kind kind;
	} kinds[] = { { "--delta", CONDUCT_DELTA },
		      { "--warm", CONDUCT_WARM },
		      { "--final", CONDUCT_FINAL } };
	unsigned n = 0;

	*ret = CONDUCT_COPY;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (cmd_option(call, kinds[i].option)) {
			*ret = kinds[i].kind;
			n++;
		}
	if (n > 1)
		cmd_error("disk copy: only one of --delta, --warm and --final");
	else if (cmd_option(call, "--delete"))
		cmd_error("disk copy: --delete is for --files");
	else if (cmd_option(call, "--max-downtime") && *ret != CONDUCT_WARM)
		cmd_error("disk copy: --max-downtime is for --warm");
	else
		return true;
	return false;
}

enum exit_code cmd_disk_copy(struct cmd_call *call)
{
	char run_dir[DISK_RUN_DIR_LEN] = "";
	struct conduct_options o;
	enum conduct_kind kind;
	enum exit_code code;

	if (cmd_option(call, "--files"))
		return copy_files(call);
	if (!disk_run_options(call, &o, run_dir) || !kind_of(call, &kind))
		return EXIT_USAGE;
	o.kind = kind;
	/* The warm copy that still runs knows what was written, so it does the last pass. */
	if (kind == CONDUCT_FINAL && disk_finish_of(call, &o, &code))
		return code;
	/* These compare with what is there, so it is meant to be there. */
	if (kind == CONDUCT_DELTA || kind == CONDUCT_FINAL)
		o.target.overwrite = true;
	return disk_run(call, &o);
}
