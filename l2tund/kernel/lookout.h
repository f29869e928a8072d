/*
 * A process beside the daemon that may look into other processes and can do nothing else:
 * it gets the name of a TUN/TAP device and answers who holds it. So the daemon, which parses
 * what strangers send, needs no right over other processes.
 */
#ifndef L2TUND_KERNEL_LOOKOUT_H
#define L2TUND_KERNEL_LOOKOUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct lookout {
	int fd;		    /* -1: not running */
	pid_t pid;	    /* ends by itself when `fd` is closed */
	uint64_t silent_us; /* it did not answer: it is not asked again before */
};

/*
 * Forks it off; before loops and threads, and while CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH
 * are still there (without them it answers what it can). 0 or a negative errno.
 */
int lookout_start(struct lookout *ret);
/* Closes and waits for its end. */
void lookout_stop(struct lookout *l);

/*
 * As os->tap_owner(). Waits a tenth of a second at most, less than any dead time, then -ETIMEDOUT,
 * and so at once for the next ten seconds.
 */
int lookout_ask(struct lookout *l, const char *name, char *buf, size_t size);

#endif
