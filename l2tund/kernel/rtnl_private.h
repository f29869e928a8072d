/* What the rtnl*.c files share: the two sockets, requests, and the table of links. */
#ifndef L2TUND_KERNEL_RTNL_PRIVATE_H
#define L2TUND_KERNEL_RTNL_PRIVATE_H

#include "l2tund/kernel/rtnl.h"

struct ifinfomsg;
struct nl_msg;
struct nl_sock;
struct nlmsghdr;

/* The table, rtnl_table.c. Entries stay where they are until table_settle(). */
struct table_entry {
	struct os_link link;
	unsigned round; /* the last full read that showed it */
};

struct table_list {
	struct table_entry **at;
	unsigned n, size;
};

struct table {
	struct table_list live; /* by ascending index, each owned */
	struct table_list
		buried; /* left the table, may still be looked at in this turn of the loop */
	unsigned round;
	bool changed; /* since table_settle() */
	bool full;    /* RTNL_LINKS_MAX met */
};

void table_fini(struct table *t);
/* The entry's link, or NULL; *ret_at (may be NULL) is where it stands or belongs. */
const struct os_link *table_find(const struct table *t, int index, unsigned *ret_at);
/* RTM_NEWLINK and RTM_DELLINK of any family; others are ignored. */
void table_message(struct table *t, struct nlmsghdr *h);
void table_remove(struct table *t, int index);
/* Around a full read: what it did not show is removed at its end. */
void table_begin(struct table *t);
void table_end(struct table *t);
/* Whether anything changed since the last call; frees what was removed. */
bool table_settle(struct table *t);

/* Changes of forwarding tables, rtnl_fdb.c. All zero: nobody watches. */
struct fdb_watcher {
	struct nl_sock *sock;
	struct loop_fd *fd;
	struct loop_timer *resume; /* reads on after a pause */
	const struct os_fdb_ops *ops;
	void *arg;
	bool lost;	/* told; what is read is thrown away until the queue is empty */
	unsigned taken; /* events since then: */
	uint64_t window_us;
};

/* Owned by its os, freed by rtnl_free(). */
struct rtnl {
	struct loop *loop;
	struct nl_sock *events, *ask;
	struct loop_fd *events_fd;
	struct loop_timer *notify; /* set when a change of ours moved the table */
	struct loop_timer *retry;  /* set when reading everything failed */
	struct table table;
	struct fdb_watcher fdb;
	bool lost;
	unsigned resyncs;
	void (*fn)(void *arg);
	void *arg;
};

typedef void (*rtnl_reply_fn)(void *arg, struct nlmsghdr *h);

/*
 * Sends `msg` (taken over, NULL is -ENOMEM) and waits for the kernel's verdict; `fn`, if not
 * NULL, gets each answer. The kernel's own errno. -EINTR: a dump changed meanwhile, ask again.
 */
int rtnl_request(struct rtnl *r, struct nl_msg *msg, rtnl_reply_fn fn, void *arg);
/* libnl's code (of either sign) as a negative errno. */
int rtnl_errno(int nlerr);
/* A request that starts with `ifi`; NULL without memory. */
struct nl_msg *rtnl_link_request(int type, int flags, const struct ifinfomsg *ifi);

/*
 * A socket for events of one RTNLGRP_*, with a large buffer, non-blocking; on failure *ret
 * may be set, and is the caller's to free.
 */
int rtnl_listen(int group, struct nl_sock **ret);

/* Takes in the events that wait, then reads link `index` anew into the table. */
int rtnl_read_back(struct rtnl *r, int index);
/* The same for a link that is only known by name. */
int rtnl_read_back_name(struct rtnl *r, const char *name);
/* Has the watcher called from the loop if the table changed. */
void rtnl_notify_later(struct rtnl *r);

#endif
