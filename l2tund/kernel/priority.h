/* How soon the daemon gets a processor when there is something to do. */
#ifndef L2TUND_KERNEL_PRIORITY_H
#define L2TUND_KERNEL_PRIORITY_H

/*
 * Nice PRIORITY_NICE, and short turns (sched_setattr(2); Linux 6.12 heeds it), for the calling
 * thread and those that it begins. Whoever was started with a nice value other than 0 keeps it,
 * and whoever was started under another policy than SCHED_OTHER keeps all. What the kernel
 * refuses is left as it is, and said in the log.
 */
void priority_raise(void);

#define PRIORITY_NICE (-10)

#endif
