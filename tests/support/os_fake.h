/*
 * A made-up Linux for unit tests of the daemon: struct os on virtual time. A fake_net holds
 * one clock, the underlay between its hosts, and their links, TAPs, packet sockets and control
 * connections. Everything random comes from one seed, so a run repeats exactly.
 *
 * Rules of the real kernel that the daemon depends on are kept (doc/architecture.md names them
 * where it uses them): a bridge follows the lowest MAC and the least MTU of its ports until it is
 * told otherwise; a TAP without carrier forwards nothing though writes succeed; a port that loses
 * its carrier goes on forwarding for a moment; leaving a bridge forgets the port's attributes.
 *
 * A bridge here is a hub: it learns nothing but what a test tells it, and forwards everywhere,
 * so it shows loops as they are. It says so, too: its ageing time is 0 until a test sets it.
 */
#ifndef TESTS_SUPPORT_OS_FAKE_H
#define TESTS_SUPPORT_OS_FAKE_H

#include "common/util.h"
#include "l2tund/kernel/os.h"

struct fake_net;
struct fake_host;
struct fake_client;

/* ---- the world ---- */

struct fake_net *fake_net_new(uint64_t seed);
/* Frees the hosts too. The daemons are to be freed before: timers and lost TAPs are theirs. */
void fake_net_free(struct fake_net *net);

/* `name` is a literal. At most FAKE_HOSTS. */
#define FAKE_HOSTS 16
struct fake_host *fake_host_new(struct fake_net *net, const char *name);
struct os *fake_host_os(struct fake_host *h);
/* Timers, queries, sockets, TAPs, listeners and connections that the daemon has not closed. */
unsigned fake_host_open(const struct fake_host *h);
/* As many as the configuration is to have; before its daemon starts. */
void fake_host_workers(struct fake_host *h, unsigned workers);
/* The daemon does not run until then (SIGSTOP); what arrives waits in the kernel's queues. */
void fake_host_stall(struct fake_host *h, uint64_t for_us);

/* ---- time ---- */

/* Of the world; each host's own clock differs from it by a constant. */
uint64_t fake_now(const struct fake_net *net);
/* Run all hosts. All abort when the clock stands still (a million events at one instant). */
void fake_run_until(struct fake_net *net, uint64_t deadline_us);
void fake_run_for(struct fake_net *net, uint64_t us);
/* As long as cond() holds, at most `limit_us`. True: it holds no longer. */
bool fake_run_while(struct fake_net *net, bool (*cond)(void *arg), void *arg, uint64_t limit_us);

/* ---- faults ---- */

enum fake_op {
	FAKE_TIMER_NEW,
	FAKE_RESOLVE,
	FAKE_UDP_OPEN,
	FAKE_UDP_SEND,	  /* each datagram */
	FAKE_UDP_SEGMENT, /* each run; its offload is refused then */
	FAKE_TAP_OPEN,
	FAKE_TAP_CARRIER,
	FAKE_TAP_WRITE,
	FAKE_LINKS_WATCH,
	FAKE_LINK_SET_MTU,
	FAKE_LINK_SET_MAC,
	FAKE_LINK_SET_UP,
	FAKE_LINK_SET_MASTER,
	FAKE_PORT_SET_ISOLATED,
	FAKE_PORT_FLUSH,
	FAKE_BRIDGE_ADD,
	FAKE_FDB_DUMP,
	FAKE_FDB_WATCH,
	FAKE_PACKET_OPEN,
	FAKE_PACKET_SEND,
	FAKE_LISTEN,
	FAKE_CONN_SEND,
	FAKE_OPS,
};

/* After `skip` more calls of `op`, the next `times` do nothing and fail with `err` (negative). */
void fake_fail(struct fake_host *h, enum fake_op op, unsigned skip, unsigned times, int err);
/* How often it was called, failed calls included. */
unsigned fake_calls(const struct fake_host *h, enum fake_op op);

/*
 * Devices and sockets have this offload no longer, for the reason `why`. They have every other
 * one that was asked for.
 */
void fake_offload_refuse(struct fake_host *h, enum offload o, const char *why);

/* ---- the underlay ---- */

/* One direction between two hosts. */
struct fake_path {
	bool cut;
	unsigned loss_permille;
	unsigned duplicate_permille;
	unsigned corrupt_permille; /* one bit is turned */
	uint64_t delay_us;	   /* 500 */
	uint64_t jitter_us;	   /* up to this much more: more than the gaps means reordering */
	unsigned mtu;		   /* larger outer packets vanish on the way; 0: none do */
	/* What happened. */
	uint64_t sent, arrived;
};

struct fake_path *fake_path(struct fake_host *from, struct fake_host *to);
/* Both directions with everybody. */
void fake_host_cut(struct fake_host *h, bool cut);
/* Largest outer packet of its own interface: 1500; larger ones are refused with EMSGSIZE. */
void fake_host_set_mtu(struct fake_host *h, unsigned mtu);

/* `ip` is a literal, "192.0.2.1" or "2001:db8::1". */
void fake_addr_add(struct fake_host *h, const char *ip);
void fake_addr_del(struct fake_host *h, const char *ip);
/*
 * What the host sends leaves from `outside` ("203.0.113.5:40000"), and what comes there goes to
 * the socket that sent last. Called again it is the change of a NAT that lost its table.
 * NULL ends it.
 */
void fake_nat(struct fake_host *h, const char *outside);

/* Sees every datagram as it leaves; false: it is lost. May call fake_forge(). */
typedef bool (*fake_filter_fn)(void *arg, const struct addr *from, const struct addr *to,
			       const uint8_t *buf, size_t len);
void fake_filter(struct fake_net *net, fake_filter_fn fn, void *arg);
/* A datagram out of nowhere, without delay. Addresses with ports. */
void fake_forge(struct fake_net *net, const struct addr *from, const struct addr *to,
		const void *buf, size_t len);

/* The name service of all hosts: literals, at most 4. n = 0: fails with `error`. */
void fake_name(struct fake_net *net, const char *name, const char *const *ips, unsigned n,
	       const char *error);

/* ---- links; what somebody else on the host does ---- */

/* Up, random MAC, MTU 1500, with carrier (a bridge: when its ports have one). The ifindex. */
int fake_link_add(struct fake_host *h, const char *name, enum os_link_kind kind);
/* A TAP's owner is told by `lost`; a bridge lets its ports go. */
int fake_link_del(struct fake_host *h, const char *name);
/* It moves to another network namespace: gone from here, while a TAP's owner still holds it. */
int fake_link_leave(struct fake_host *h, const char *name);
/* `master` NULL: none. */
int fake_link_master(struct fake_host *h, const char *name, const char *master);
/* `bridge link set dev NAME isolated on|off` */
int fake_link_isolated(struct fake_host *h, const char *name, bool on);
int fake_link_mtu(struct fake_host *h, const char *name, unsigned mtu);
int fake_link_mac(struct fake_host *h, const char *name, const uint8_t mac[6]);
int fake_link_up(struct fake_host *h, const char *name, bool up);
int fake_link_carrier(struct fake_host *h, const char *name, bool on);
/* Who holds a TUN/TAP, as tap_owner() answers. */
void fake_link_owner(struct fake_host *h, const char *name, const char *owner);
/* Bridge port attribute; on at first, and whenever it joins a bridge. */
void fake_link_learning(struct fake_host *h, const char *name, bool on);
void fake_bridge_ageing(struct fake_host *h, const char *name, unsigned ms);
/* Default VLAN. */
void fake_bridge_pvid(struct fake_host *h, const char *name, uint16_t vlan);
/* What bridge_filters() answers, for one bridge or, without a name, the host. */
void fake_bridge_filters(struct fake_host *h, const char *name, unsigned set);
/* Its bridge has learnt an address at a port, from where it may move it to another. */
void fake_fdb_learn(struct fake_host *h, const char *port, const uint8_t mac[6]);
/* An entry as it stands in `e`, but for the port: with its VLAN and age. */
void fake_fdb_put(struct fake_host *h, const char *port, const struct os_fdb_entry *e);
void fake_fdb_forget(struct fake_host *h, const char *port, const uint8_t mac[6]);
/* Too many changes for their reader: those until `false` are not told. */
void fake_fdb_lose(struct fake_host *h, bool lost);
/* NULL when there is none. Valid until it is deleted. */
const struct os_link *fake_link(struct fake_host *h, const char *name);
/*
 * Whether the kernel passes frames at this port now. It begins 5 ms after the carrier came (with
 * spanning tree, after twice the forward delay) and ends 100 ms after it went.
 */
bool fake_port_forwards(struct fake_host *h, const char *name);
unsigned fake_port_flushes(struct fake_host *h, const char *name);

/* ---- frames ---- */

struct fake_frame {
	struct vnet vnet;
	size_t len;
	const uint8_t *bytes;
};

/*
 * From the bridge's side: into a port, as its guest would send it, and so out of all others; for a
 * TAP: out of its port to the daemon. -ENETDOWN: the port does not forward.
 */
int fake_send(struct fake_host *h, const char *port, const struct vnet *v, const void *frame,
	      size_t len);
/*
 * The next frame that came out of a port to its guest; for a TAP: that the daemon wrote and
 * the bridge took. False: none. Valid until the next call for this port.
 */
bool fake_recv(struct fake_host *h, const char *port, struct fake_frame *ret);
/* What a TAP's kernel side took from the daemon and dropped: no carrier, or not forwarding. */
unsigned fake_tap_dropped(struct fake_host *h, const char *name);
/* The next frame that the daemon sent through a packet socket, and where. */
bool fake_packet_sent(struct fake_host *h, int *ret_ifindex, struct fake_frame *ret);
/* A frame that comes in at an interface, for its packet sockets only. */
void fake_packet_heard(struct fake_host *h, const char *name, const void *frame, size_t len);

/* ---- control clients ---- */

/* NULL: nobody listens there (ECONNREFUSED). To be freed by fake_client_free(), which hangs up. */
struct fake_client *fake_connect(struct fake_host *h, const char *path, uid_t uid);
void fake_client_free(struct fake_client *c);
void fake_client_send(struct fake_client *c, const char *text);
/* The next whole line without its newline, or NULL. Valid until the next call for this client. */
const char *fake_client_line(struct fake_client *c);
/* The daemon has closed it (also when it turned it away) and all lines are read. */
bool fake_client_closed(const struct fake_client *c);

#endif
