/*
 * A datagram that waits for us waits in a buffer, and all that comes after it as well: what a frame
 * takes on a busy host is the time until we run, not the time that we run. So, as Open vSwitch
 * does, we come before what only computes. That is a weight, no claim: whoever else is
 * ready to run still gets his share.
 *
 * Where sessions are groups of their own (sched(7), "The autogroup feature") a nice value counts
 * within the group only, and the group has one itself.
 */
#include "l2tund/kernel/priority.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#define TURN_NS (500 * 1000) /* what a batch takes at most */

/* Of our session, which must not be that of somebody's shell. */
static int set_group(int nice)
{
	char text[16];
	int fd, r, len = snprintf(text, sizeof(text), "%d", nice);

	if (getsid(0) != getpid())
		return 0;
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = write(fd, text, (size_t)len) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/*
 * Who asks for little at a time gets it sooner. Before Linux 6.12 nothing is done with the value
 * (kernel/sched/syscalls.c, __setparam_fair()).
 */
static int set_own(struct sched_attr *attr)
{
	if (attr->sched_nice == 0)
		attr->sched_nice = PRIORITY_NICE;
	attr->sched_runtime = TURN_NS;
	return syscall(SYS_sched_setattr, 0, attr, 0) < 0 ? -errno : 0;
}

void priority_raise(void)
{
	struct sched_attr attr = { 0 };
	int r = syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 ? -errno : 0;

	/* Pauses are as short as they are meant (kernel/pace.h). */
	prctl(PR_SET_TIMERSLACK, 1);
	/* Real-time, or idle time only: somebody knows what he wants. */
	if (r == 0 && attr.sched_policy != SCHED_NORMAL)
		return;
	if (r == 0)
		r = set_own(&attr);
	if (r == 0)
		r = set_group(attr.sched_nice);
	if (r < 0)
		log_info(LOG_KERNEL, "no higher priority: %s", strerror(-r));
}
