/* Command line of l2tund. One table feeds getopt and the help, so they cannot differ. */
#include "l2tund/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "l2tund/run.h"

static const struct {
	char letter;
	const char *name;
	const char *arg;
	const char *help;
} rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of " RUN_CONFIG },
	{ 'f', "foreground", NULL, "stay in the foreground, log to standard error" },
	{ 'p', "pid-file", "FILE", "write the daemon's process id to FILE" },
	{ 't', "test", NULL, "check the configuration and exit" },
	{ 'T', "print", NULL, "print the effective configuration and exit" },
	{ 'v', "verbose", NULL, "log more; twice: everything" },
	{ 'V', "version", NULL, "print the version and exit" },
	{ 'h', "help", NULL, "print this and exit" },
};

void options_help(void)
{
	printf("Usage: l2tund [-fv] [-c FILE] [-p FILE]\n"
	       "       l2tund -t | -T [-c FILE]\n"
	       "Joins the Linux bridges of several hosts over authenticated UDP.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char left[32];

		snprintf(left, sizeof(left), "-%c, --%s%s%s", rows[i].letter, rows[i].name,
			 rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		printf("  %-24s %s\n", left, rows[i].help);
	}
	printf("\nManual: l2tund(8), l2tund.conf(5). Status and control: bridgectl(8).\n");
}

static void fill_getopt(char *letters, struct option *longs)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		*letters++ = rows[i].letter;
		if (rows[i].arg)
			*letters++ = ':';
		longs[i] = (struct option){ rows[i].name,
					    rows[i].arg ? required_argument : no_argument, NULL,
					    rows[i].letter };
	}
}

static void option_apply(int letter, struct options *o)
{
	static const struct {
		char letter;
		enum options_action action;
	} actions[] = {
		{ 't', OPTIONS_CHECK },
		{ 'T', OPTIONS_PRINT },
		{ 'V', OPTIONS_VERSION },
		{ 'h', OPTIONS_HELP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (actions[i].letter == letter)
			o->action = actions[i].action;
	}
	if (letter == 'c')
		o->config = optarg;
	if (letter == 'p')
		o->pid_file = optarg;
	if (letter == 'f')
		o->foreground = true;
	if (letter == 'v')
		o->level = o->level < LOGL_INFO ? LOGL_INFO : LOGL_DEBUG;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct options o = { .config = RUN_CONFIG, .level = LOGL_NOTICE };
	char letters[2 * ARRAY_SIZE(rows) + 1] = { 0 };
	struct option longs[ARRAY_SIZE(rows) + 1] = { 0 };
	int letter;

	fill_getopt(letters, longs);
	while ((letter = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (letter == '?')
			goto usage;
		option_apply(letter, &o);
	}
	if (optind < argc) {
		fprintf(stderr, "l2tund: %s: no arguments are expected besides options\n",
			argv[optind]);
		goto usage;
	}
	*ret = o;
	return 0;
usage:
	fprintf(stderr, "Try `l2tund --help`.\n");
	return -EINVAL;
}
