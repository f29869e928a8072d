/*
 * The event loop under everything: file descriptors, timers on CLOCK_BOOTTIME, signals
 * and name look-ups. One thread; a callback runs until it returns, so it does a bounded
 * piece of work. All objects must be freed before their loop, queries are cancelled with it.
 * Any object may be freed inside its own callback.
 */
#ifndef L2TUND_KERNEL_LOOP_H
#define L2TUND_KERNEL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

#define LOOP_ADDRS_MAX 16 /* addresses of one name that are looked at */

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_signal;
struct loop_query;

struct loop_params {
	const char *resolv_conf; /* NULL: /etc/resolv.conf; copied */
	const char *hosts;	 /* NULL: /etc/hosts; copied */
};

/* `p` may be NULL. Missing files are no error: they may come later, and are then read. */
int loop_new(const struct loop_params *p, struct loop **ret);
void loop_free(struct loop *l);

/* Until loop_stop(). */
int loop_run(struct loop *l);
/* Waits for at least one event, runs what is due, returns; for tests. */
int loop_run_once(struct loop *l);
void loop_stop(struct loop *l);

/*
 * `begin` and `end` are called around each callback while the loop runs: between them, and as
 * long as it does not run, the caller's thread may have something to itself. NULL: nothing.
 */
void loop_set_turn(struct loop *l, void (*begin)(void *arg), void (*end)(void *arg), void *arg);

/* CLOCK_BOOTTIME: counts while the machine sleeps, and while this process is stopped. */
uint64_t loop_now_us(void);

#define LOOP_READ 1u
#define LOOP_WRITE 2u

/*
 * Level-triggered; `what` holds LOOP_READ and LOOP_WRITE bits; errors and hang-ups come as
 * whatever is wanted. Wants reading at first. The descriptor stays the caller's:
 * loop_fd_free() before close().
 */
int loop_fd_new(struct loop *l, int fd, void (*fn)(void *arg, unsigned what), void *arg,
		struct loop_fd **ret);
int loop_fd_want(struct loop_fd *f, unsigned what);
/*
 * Whether it is served before all that is not: timers are, other descriptors are not at first.
 * Between any two callbacks of the rest the loop looks for such. After some in a row the rest has
 * its turn; false from a callback that had more than enough to do gives it more.
 */
void loop_fd_first(struct loop_fd *f, bool first);
void loop_fd_free(struct loop_fd *f);

/* One-shot. A deadline that has passed (0 as well) means: in the next turn of the loop. */
int loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg, struct loop_timer **ret);
/* Absolute, on the clock of loop_now_us(); NEVER disarms. */
void loop_timer_set(struct loop_timer *t, uint64_t deadline_us);
void loop_timer_free(struct loop_timer *t);

/* One loop per process may have signals. `fn` runs in the loop, not in signal context. */
int loop_signal_new(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg,
		    struct loop_signal **ret);
void loop_signal_free(struct loop_signal *s);

/*
 * Looks up IPv4 and IPv6 addresses of a name, hosts file first, then DNS (RFC 1035); literals
 * are taken as they are. `fn` is always called from the loop; n = 0 with a reason when
 * there are none. The query is gone when it is called.
 */
int loop_resolve(struct loop *l, const char *host, uint16_t port,
		 void (*fn)(void *arg, const struct addr *addrs, unsigned n, const char *error),
		 void *arg, struct loop_query **ret);
void loop_resolve_cancel(struct loop_query *q);

#endif
