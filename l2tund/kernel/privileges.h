/* The two capabilities that the daemon lives with, and giving up all else. */
#ifndef L2TUND_KERNEL_PRIVILEGES_H
#define L2TUND_KERNEL_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Keeps CAP_NET_ADMIN and CAP_NET_RAW, gives up every other capability for good, and
 * becomes `user` (NULL: stays who it is) with that user's group and no other. Nothing
 * that is executed later can gain privileges. Also for a process that already runs without root
 * and with those two (systemd's AmbientCapabilities), and for root of a user namespace.
 * On failure `err` (`size` bytes) says what and how to help; the process must then end.
 */
int privileges_drop(const char *user, char *err, size_t size);

/* Who privileges_drop() will make of us. Ourselves, when it will fail. */
uid_t privileges_uid(const char *user);

/* Lets the two survive the next execve(), for a daemon that replaces itself. */
int privileges_keep_over_exec(void);

#endif
