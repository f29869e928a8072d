/*
 * rtnetlink: the table of links, kept up to date by events, and changes to links. The calls of
 * struct os with the same names are these; see os.h for what they promise.
 */
#ifndef L2TUND_KERNEL_RTNL_H
#define L2TUND_KERNEL_RTNL_H

#include "l2tund/kernel/loop.h"
#include "l2tund/kernel/os.h"

#define RTNL_LINKS_MAX 65536 /* more than that are not seen, with a warning */

struct rtnl;

/* Opens both sockets and reads the table. */
int rtnl_new(struct loop *loop, struct rtnl **ret);
void rtnl_free(struct rtnl *r);

/* `fn` may be NULL: nobody looks. */
void rtnl_watch(struct rtnl *r, void (*fn)(void *arg), void *arg);
const struct os_link *rtnl_by_name(const struct rtnl *r, const char *name);
const struct os_link *rtnl_by_index(const struct rtnl *r, int index);
const struct os_link *rtnl_next(const struct rtnl *r, const struct os_link *prev);

int rtnl_set_mtu(struct rtnl *r, int index, unsigned mtu);
int rtnl_set_mac(struct rtnl *r, int index, const uint8_t mac[6]);
int rtnl_set_up(struct rtnl *r, int index, bool up);
int rtnl_set_master(struct rtnl *r, int index, int master);
int rtnl_set_isolated(struct rtnl *r, int index, bool on);
int rtnl_flush(struct rtnl *r, int index);
int rtnl_bridge_add(struct rtnl *r, const char *name, bool stp, unsigned forward_delay_s);
int rtnl_fdb_dump(struct rtnl *r, int bridge, void (*fn)(void *arg, const struct os_fdb_entry *e),
		  void *arg);
int rtnl_fdb_watch(struct rtnl *r, const struct os_fdb_ops *ops, void *arg);

/* Frames that may wait in the device (IFLA_TXQLEN). */
int rtnl_set_txqueuelen(struct rtnl *r, int index, unsigned frames);
/* No link-local address, by IFLA_INET6_ADDR_GEN_MODE; -EAFNOSUPPORT without IPv6. */
int rtnl_set_no_addrgen(struct rtnl *r, int index);

/* How often events were lost and everything was read again. */
unsigned rtnl_resyncs(const struct rtnl *r);
/* For tests: a receive buffer for events of this many bytes (socket(7), SO_RCVBUF). */
int rtnl_set_event_buffer(struct rtnl *r, int bytes);
/* The same for the watch of forwarding tables. */
int rtnl_set_fdb_buffer(struct rtnl *r, int bytes);

#endif
