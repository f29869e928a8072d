/* From a configuration file and a command's options to a plan, for `disk layout` and create. */
#ifndef BRIDGECTL_CMD_DISK_LAYOUT_H
#define BRIDGECTL_CMD_DISK_LAYOUT_H

#include <limits.h>
#include <stdbool.h>

#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/disk/plan_script.h"

#define LAYOUT_SSH_WORDS 32
#define LAYOUT_SSH_DEFAULT "ssh -oBatchMode=yes"

/* What the options say. */
struct layout {
	struct cmd_call *call;
	struct plan_options options;
	struct plan_where where;
	char dir[PATH_MAX], extra_disk[16];
	bool commands;
};

/* --label, --grow-last, --copy-swap, --from, --ssh. False: told. */
bool layout_read_shape(struct layout *l);

/* The plan, made here or asked of --from. NULL: told. Free it with plan_free(). */
struct plan *layout_plan(const struct layout *l, const struct guest_file *f);

/*
 * What the shell of another host is to run: its bridgectl with `words` and those of the options
 * `passed` (NULL-ended) that were given here. To be freed. NULL: out of memory.
 */
char *layout_remote_command(const struct cmd_call *call, const char *words,
			    const char *const passed[]);

/*
 * "ssh -p 22" (which it cuts up) as words in `words` (LAYOUT_SSH_WORDS), then host and command.
 * False: told.
 */
bool layout_ssh_words(char *text, const char *words[], const char *host, const char *command);

#endif
