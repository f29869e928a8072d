/*
 * Telling a service manager how far we are: the protocol of sd_notify(3) over the datagram
 * socket in $NOTIFY_SOCKET. Without that variable nothing happens and 0 is answered;
 * errors are for a debug line at most.
 */
#ifndef L2TUND_KERNEL_NOTIFY_H
#define L2TUND_KERNEL_NOTIFY_H

#include "common/util.h"

int notify_ready(void); /* after start, and after a reload */
int notify_reloading(void);
int notify_stopping(void);
/* One line for people. */
int notify_status(const char *fmt, ...) _printf_(1, 2);

#endif
