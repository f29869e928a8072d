/* Going to the background as init scripts expect it: the command returns when the daemon is up. */
#ifndef L2TUND_KERNEL_BACKGROUND_H
#define L2TUND_KERNEL_BACKGROUND_H

struct background {
	int fd; /* the pipe to the process that the user started; -1: there is none */
};

/*
 * Forks a daemon off. 0 in the daemon. 1 in the process that the user started, after
 * the daemon has reported or died; it has to exit with *ret_status then. The daemon keeps
 * standard error until it reports, for its messages. Before anything that a fork would
 * disturb: loops, locks.
 */
int background_start(struct background *b, int *ret_status);

/*
 * 0: up and running; standard input, output and error are /dev/null from here on. Others:
 * the exit status, and the caller exits.
 */
void background_report(struct background *b, int status);

/* One line with our pid, world-readable; unlink() it at the end. */
int background_pidfile(const char *path);

#endif
