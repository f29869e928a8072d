/* Reload: takes a new configuration over without disturbing what has not changed. */
#ifndef L2TUND_RELOAD_H
#define L2TUND_RELOAD_H

#include <jansson.h>

struct config;
struct config_report;
struct daemon;

/*
 * Loads the daemon's file again and applies it. *ret_changed and *ret_restart are
 * lists of sentences (new references): what changed, and what needs a restart. -EINVAL with
 * the findings in `report`: the old configuration keeps running untouched.
 */
int reload_run(struct daemon *d, struct config_report *report, json_t **ret_changed,
	       json_t **ret_restart);

#endif
