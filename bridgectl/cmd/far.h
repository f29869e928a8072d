/* Commands that are run by the bridgectl of another host, through ssh. */
#ifndef BRIDGECTL_CMD_FAR_H
#define BRIDGECTL_CMD_FAR_H

#include <stdbool.h>

#include "bridgectl/cmd.h"

#define FAR_SSH_WORDS 32
#define FAR_SSH_DEFAULT "ssh -oBatchMode=yes"
#define FAR_SSH_FAILED 255 /* ssh(1), EXIT STATUS */
#define FAR_NO_COMMAND 127 /* of the shell there */

/*
 * What the shell of another host is to run: its bridgectl (--remote-bridgectl) with `words` and
 * those of the options `passed` (NULL-ended) that were given here. To be freed. NULL: out of
 * memory.
 */
char *far_command(const struct cmd_call *call, const char *words, const char *const passed[]);

/*
 * "ssh -p 22" (which it cuts up) as words in `words` (FAR_SSH_WORDS), then host and command.
 * False: told.
 */
bool far_ssh_words(char *text, const char *words[], const char *host, const char *command);

/*
 * Runs it with `in` (-1: ours) as its input; its output is ours, so that progress is seen while it
 * comes. Its exit code; -EINTR: a signal has ended it; another negative errno: told.
 */
int far_run(const char *const argv[], int in);

/* Whether --host was given. */
bool far_asked(const struct cmd_call *call);

/*
 * The same command there: its words, arguments and options, but for --host, --ssh and
 * --remote-bridgectl. `terminal`: it is to have ours. Its exit code.
 */
enum exit_code far_same(const struct cmd_call *call, bool terminal);
/* Other words there, as far_command() has them, with `in` as their input. Their exit code. */
enum exit_code far_words(const struct cmd_call *call, const char *words, const char *const passed[],
			 int in);

#endif
