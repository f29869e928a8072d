/* The daemon's command line (l2tund.8). */
#ifndef L2TUND_OPTIONS_H
#define L2TUND_OPTIONS_H

#include <stdbool.h>

#include "common/log.h"

enum options_action { OPTIONS_RUN, OPTIONS_CHECK, OPTIONS_PRINT, OPTIONS_VERSION, OPTIONS_HELP };

struct options {
	enum options_action action;
	const char *config;   /* of argv, or the default */
	const char *pid_file; /* NULL: none */
	bool foreground;
	enum log_level level;
};

/* 0, or -EINVAL after saying on standard error what is wrong. */
int options_parse(int argc, char **argv, struct options *ret);
void options_help(void);

#endif
