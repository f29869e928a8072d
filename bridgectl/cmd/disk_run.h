/* What `disk copy` and `disk verify` share: options of both ends, and how a copy's end is told. */
#ifndef BRIDGECTL_CMD_DISK_RUN_H
#define BRIDGECTL_CMD_DISK_RUN_H

#include "bridgectl/cmd.h"
#include "bridgectl/transfer/conductor.h"

#define DISK_RUN_DIR_LEN 108

/*
 * Options by their names (those that the command has): --from, --to, --ssh, --partition, … False:
 * one is wrong and an error was printed. `run_dir` (DISK_RUN_DIR_LEN) must outlive `ret`.
 */
bool disk_run_options(struct cmd_call *call, struct conduct_options *ret, char *run_dir);

/* Runs it, shows it, prints what came of it. */
enum exit_code disk_run(struct cmd_call *call, const struct conduct_options *o);

/* Exit code and text of a result that came as JSON from the copy's own process. */
enum exit_code disk_run_tell(struct cmd_call *call, const json_t *result);

/*
 * `disk finish` of the running copy that has just these ends (disk_jobs.c): a name alone may be
 * that of another guest's disk. False: there is none.
 */
bool disk_finish_of(struct cmd_call *call, const struct conduct_options *o,
		    enum exit_code *ret_code);

#endif
