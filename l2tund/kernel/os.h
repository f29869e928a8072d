/*
 * Everything l2tund asks of Linux, as one table: the daemon is written against it, so
 * that it runs the same on the real kernel (os_linux.c) and in unit tests on a made-up
 * one with virtual time (tests/support/os_fake.c).
 *
 * Callbacks come from the loop, never from inside a call made by the daemon. Every call
 * answers 0 or a positive value, or a negative errno. Objects are freed by their _close/_free;
 * that is allowed inside their own callbacks.
 */
#ifndef L2TUND_KERNEL_OS_H
#define L2TUND_KERNEL_OS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/addr.h"
#include "common/offload.h"
#include "l2tund/datapath/vnet.h"
#include "l2tund/session/session.h" /* struct path */

struct os_timer;
struct os_query;
struct os_udp;
struct os_tap;
struct os_packet;
struct os_listener;
struct os_conn;

enum os_link_kind { OS_LINK_OTHER, OS_LINK_BRIDGE, OS_LINK_TUN, OS_LINK_VETH };

/* One network interface as rtnetlink shows it. Valid until the loop runs again. */
struct os_link {
	int index;
	char name[IFNAMSIZ];
	enum os_link_kind kind;
	int master; /* ifindex of its bridge, 0: none */
	unsigned mtu;
	uint8_t mac[6];
	bool up;	    /* IFF_UP */
	bool carrier;	    /* IFF_LOWER_UP */
	bool isolated;	    /* bridge port attribute, false elsewhere */
	bool learning_off;  /* the same */
	bool stp;	    /* of a bridge */
	unsigned ageing_ms; /* of a bridge: how long it remembers; 0: it learns nothing */
	uint16_t pvid;	    /* of a bridge: the VLAN that ports carry without a tag, 0: none */
	char alias[64];	    /* IFLA_IFALIAS, our mark of ownership on bridges that we made */
};

enum os_filter { OS_FILTER_IPTABLES, OS_FILTER_IP6TABLES, OS_FILTER_ARPTABLES, OS_FILTERS };

struct os_fdb_entry {
	uint8_t mac[6];
	uint16_t vlan;	 /* 0: none */
	int ifindex;	 /* the port */
	bool local;	 /* one of the bridge's own addresses (NUD_PERMANENT) */
	bool stale;	 /* older than the ageing time, about to go */
	unsigned age_ms; /* since last heard */
};

struct os_fdb_ops {
	/* An address was learnt at a bridge's port, or is at another one now; or it is gone. */
	void (*entry)(void *arg, int bridge, const struct os_fdb_entry *e, bool gone);
	/* Changes have been missed, or will be, until again(): then fdb_dump() tells all. */
	void (*lost)(void *arg);
	void (*again)(void *arg);
};

/*
 * Lanes (lanes.h) are threads that move frames; 0 is the main thread. What has a `lane` among
 * its arguments may come from any of them at once, and is the only thing that does. Between
 * lanes and everything else nothing overlaps.
 */
struct os_udp_ops {
	/* One datagram; `buf` may be written to, and stays, until drained() has returned. */
	void (*datagram)(void *arg, unsigned lane, const struct path *from, uint8_t *buf,
			 size_t len);
	/* No more datagrams are waiting, or the budget is used up: flush what was collected. */
	void (*drained)(void *arg, unsigned lane);
};

struct os_tap_ops {
	/* `frame` may be written to, and stays, until drained() has returned. */
	void (*frame)(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len);
	void (*drained)(void *arg, unsigned lane);
	/* The device is gone (deleted by somebody). Close it now or later. */
	void (*lost)(void *arg, int err);
};

struct os_packet_ops {
	/* A frame heard on the interface, VLAN tag put back where the kernel took it out. */
	void (*frame)(void *arg, const uint8_t *frame, size_t len);
};

struct os_tap_params {
	char name[IFNAMSIZ];
	uint8_t mac[6];
	unsigned mtu;
	unsigned offload; /* set of enum offload that are wanted */
};

struct os_cred {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

struct os_conn_ops {
	/* A client has come. Its object for the two others, or NULL to turn it away. */
	void *(*accepted)(void *arg, struct os_conn *c, const struct os_cred *cred);
	void (*input)(void *conn, const char *data, size_t len);
	/* Nothing of `c` may be used after this. Not called for os->conn_close(). */
	void (*closed)(void *conn);
};

struct os {
	void *priv;
	unsigned lanes; /* how many there are, at least 1 */

	/*
	 * From a lane: has the main thread call `fn` later with a copy of the parts, one behind
	 * the other, aligned for anything. False: too much waits already, it is lost.
	 */
	bool (*lane_post)(struct os *os, void (*fn)(void *arg, void *data, size_t len), void *arg,
			  const struct iovec *iov, unsigned n);
	/* `fn` is called by the main thread when what waited has been worked off. */
	void (*lane_posted)(struct os *os, void (*fn)(void *arg), void *arg);
	/* `arg` is about to go: nothing posted with it is called any more. */
	void (*lane_forget)(struct os *os, const void *arg);

	/* CLOCK_BOOTTIME, so that a suspended machine's leases run out. */
	uint64_t (*now_us)(struct os *os);
	uint64_t (*wall_s)(struct os *os);
	void (*random)(struct os *os, void *buf, size_t len);

	/* One-shot timers; set again from the callback to repeat. NEVER disarms. */
	int (*timer_new)(struct os *os, void (*fn)(void *arg), void *arg, struct os_timer **ret);
	void (*timer_set)(struct os *os, struct os_timer *t, uint64_t deadline_us);
	void (*timer_free)(struct os *os, struct os_timer *t);

	/* Name look-up; `fn` gets n = 0 and a reason when it fails. Literals answer later, too. */
	int (*resolve)(struct os *os, const char *host, uint16_t port,
		       void (*fn)(void *arg, const struct addr *addrs, unsigned n,
				  const char *error),
		       void *arg, struct os_query **ret);
	void (*resolve_cancel)(struct os *os, struct os_query *q);

	/*
	 * `offload`: set of enum offload that are wanted. Data and all other types of datagrams
	 * have sockets of their own on the one port, where the kernel can do that: neither
	 * fills the other's buffers, and what is not data is read and sent first.
	 */
	int (*udp_open)(struct os *os, const struct addr *listen, unsigned socket, unsigned offload,
			const struct os_udp_ops *ops, void *arg, struct os_udp **ret);
	/*
	 * Sends `len` bytes: datagrams of `size` bytes each, the last may be smaller; all of a
	 * type. They leave from path->local when that is set and still ours. -EMSGSIZE: larger
	 * than the interface allows unfragmented; -EAGAIN: the send buffer is full. An error
	 * may mean that only some of them have left.
	 */
	int (*udp_send)(struct os *os, struct os_udp *u, unsigned lane, const struct path *path,
			const void *buf, size_t len, size_t size);
	/*
	 * What of its part of the offloads is active, added to *ret. UDP_SEGMENT may be
	 * switched off while sending, when a device turns out not to do it.
	 */
	void (*udp_offloads)(struct os *os, const struct os_udp *u, struct offloads *ret);
	void (*udp_close)(struct os *os, struct os_udp *u);

	/* Without carrier, up, quiet (no IPv6), not yet in any bridge. */
	int (*tap_open)(struct os *os, const struct os_tap_params *p, const struct os_tap_ops *ops,
			void *arg, struct os_tap **ret);
	int (*tap_ifindex)(struct os *os, struct os_tap *t);
	int (*tap_carrier)(struct os *os, struct os_tap *t, bool on);
	/*
	 * One frame or super-frame in `n` parts. -EOPNOTSUPP: this kernel takes no super-frames of
	 * this kind from a TAP, now and later; the caller cuts it. tap_offloads() tells that
	 * before: without OFFLOAD_JOIN it takes none, without OFFLOAD_USO none of UDP.
	 */
	int (*tap_write)(struct os *os, struct os_tap *t, unsigned lane, const struct vnet *v,
			 const struct iovec *iov, unsigned n);
	/* What of its part of the offloads is active, added to *ret. */
	void (*tap_offloads)(struct os *os, const struct os_tap *t, struct offloads *ret);
	void (*tap_close)(struct os *os, struct os_tap *t);

	/*
	 * rtnetlink: the links, kept up to date; `fn` is called after each batch of changes;
	 * NULL ends it.
	 */
	int (*links_watch)(struct os *os, void (*fn)(void *arg), void *arg);
	const struct os_link *(*link_by_name)(struct os *os, const char *name);
	const struct os_link *(*link_by_index)(struct os *os, int index);
	/* All links in order of ifindex; start with NULL. */
	const struct os_link *(*link_next)(struct os *os, const struct os_link *prev);
	/* Changes act at once and are read back; the table shows them before the call returns. */
	int (*link_set_mtu)(struct os *os, int index, unsigned mtu);
	int (*link_set_mac)(struct os *os, int index, const uint8_t mac[6]);
	int (*link_set_up)(struct os *os, int index, bool up);
	int (*link_set_master)(struct os *os, int index, int master);
	int (*port_set_isolated)(struct os *os, int index, bool on);
	int (*port_flush)(struct os *os, int index);
	/* Random 02: MAC that never moves, alias `l2tund`. */
	int (*bridge_add)(struct os *os, const char *name, bool stp, unsigned forward_delay_s);
	/*
	 * Host filters that frames of a bridge go through (br_netfilter): bits 1 << enum
	 * os_filter. What this bridge says for itself; NULL: what the host says for all.
	 */
	unsigned (*bridge_filters)(struct os *os, const char *bridge);
	int (*fdb_dump)(struct os *os, int bridge,
			void (*fn)(void *arg, const struct os_fdb_entry *e), void *arg);
	/*
	 * The changes of all bridges' forwarding tables, from now on; `ops` NULL ends it. Where
	 * there are too many of them they are left unread for a while, see lost().
	 */
	int (*fdb_watch)(struct os *os, const struct os_fdb_ops *ops, void *arg);
	/*
	 * "vtund pid 812" for a TUN/TAP that a process holds. -ENOENT: nobody does; -EACCES:
	 * nobody was found, but not all may be looked into.
	 */
	int (*tap_owner)(struct os *os, const char *name, char *buf, size_t size);

	int (*packet_open)(struct os *os, int ifindex, uint16_t ethertype,
			   const struct os_packet_ops *ops, void *arg, struct os_packet **ret);
	int (*packet_send)(struct os *os, struct os_packet *p, const uint8_t *frame, size_t len);
	void (*packet_close)(struct os *os, struct os_packet *p);

	/*
	 * Unix stream socket; a stale file of a dead daemon is replaced. Mode 0660, `group`
	 * may be NULL.
	 */
	int (*listen)(struct os *os, const char *path, const char *group,
		      const struct os_conn_ops *ops, void *arg, struct os_listener **ret);
	void (*listener_close)(struct os *os, struct os_listener *l);
	/* Queues; -ENOBUFS when more than `OS_CONN_QUEUE_BYTES` would wait. */
	int (*conn_send)(struct os *os, struct os_conn *c, const char *data, size_t len);
	void (*conn_close)(struct os *os, struct os_conn *c); /* after what is queued has left */
};

#define OS_CONN_QUEUE_BYTES (4 * 1024 * 1024 + 4096) /* one reply of the largest size */

#endif
