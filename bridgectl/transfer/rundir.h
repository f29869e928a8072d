/* The directory in which running transfers have their sockets: for commands, and for each other. */
#ifndef BRIDGECTL_TRANSFER_RUNDIR_H
#define BRIDGECTL_TRANSFER_RUNDIR_H

#include <stddef.h>
#include <sys/un.h>

#define RUNDIR_ERRLEN 256

/*
 * `given`, or /run/bridgectl for root, or $XDG_RUNTIME_DIR/bridgectl. -ENOENT: none of these;
 * -ENAMETOOLONG.
 */
int rundir_path(const char *given, char *buf, size_t size);

/* Makes it when missing, mode 0700. 0, or negative errno and a sentence (RUNDIR_ERRLEN). */
int rundir_make(const char *dir, char *err);

/* A descriptor; the directory is locked until it is closed. Or negative errno. */
int rundir_lock(const char *dir);

/*
 * With the directory locked: a connected socket of SOCK_STREAM or SOCK_SEQPACKET. -ENOENT: nobody
 * listens (what an earlier one left is removed); another negative errno.
 */
int rundir_connect(const struct sockaddr_un *a, int type);

#endif
