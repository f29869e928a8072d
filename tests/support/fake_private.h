/* What the files of the fake kernel share. See os_fake.h for what it is. */
#ifndef TESTS_SUPPORT_FAKE_PRIVATE_H
#define TESTS_SUPPORT_FAKE_PRIVATE_H

#include <sys/queue.h>

#include "tests/support/os_fake.h"
#include "tests/support/prng.h"

#define FAKE_ADDRS 8
#define FAKE_NAMES 16
#define FAKE_RCVBUF 512	   /* datagrams */
#define FAKE_TXQUEUE 1000  /* frames waiting for a TAP's reader */
#define FAKE_COLLECT 65536 /* frames kept for the test, per port */
#define FAKE_FDB 1024
#define FAKE_BUDGET 64		   /* of one read callback */
#define FAKE_CARRIER_ON_US 5000	   /* carrier until forwarding */
#define FAKE_CARRIER_OFF_US 100000 /* the link watch notices that it went */

/* Something that happens at a time. Embedded; `host` NULL: happens though its daemon is stalled. */
struct fake_event {
	TAILQ_ENTRY(fake_event) link;
	struct fake_host *host;
	uint64_t at_us;
	bool queued;
	void (*fn)(struct fake_event *ev);
	void (*discard)(struct fake_event *ev); /* NULL: it is part of something else */
};

struct fake_buf {
	TAILQ_ENTRY(fake_buf) link;
	struct path path;
	struct vnet vnet;
	int ifindex;
	size_t len;
	uint8_t bytes[];
};

TAILQ_HEAD(fake_bufs, fake_buf);

struct fake_queue {
	struct fake_bufs bufs;
	unsigned n;
	struct fake_buf *last; /* handed to the test, freed at its next call */
};

struct fake_fault {
	unsigned calls, skip, times;
	int err;
};

struct fake_link {
	TAILQ_ENTRY(fake_link) link;
	struct fake_host *host;
	struct os_link pub;
	bool mac_set, mtu_set; /* of a bridge: by somebody, it follows its ports no more */
	unsigned forward_delay_s;
	struct os_tap *tap;
	bool carrier_wanted;	    /* carrier while up */
	bool forwarding;	    /* of a port, as the kernel has it */
	struct fake_event state_ev; /* when it will follow the carrier */
	unsigned flushes;
	unsigned filters; /* of a bridge */
	unsigned tap_dropped;
	char owner[64];
	struct fake_queue out; /* to the guest, or taken from the TAP's writer */
};

TAILQ_HEAD(fake_links, fake_link);
TAILQ_HEAD(fake_udps, os_udp);
TAILQ_HEAD(fake_packets, os_packet);
TAILQ_HEAD(fake_listeners, os_listener);
TAILQ_HEAD(fake_conns, os_conn);
TAILQ_HEAD(fake_events, fake_event);

struct fake_host {
	struct fake_net *net;
	struct os os;
	const char *name;
	unsigned number;
	struct prng prng;
	uint64_t clock_us; /* its clock minus the world's */
	uint64_t stalled_until_us;
	unsigned open;
	struct fake_fault faults[FAKE_OPS];
	const char *refused[OFFLOADS]; /* why; NULL: it is to be had */
	/* underlay */
	struct addr addrs[FAKE_ADDRS];
	unsigned n_addrs;
	unsigned mtu;
	bool cut;
	struct addr nat;
	struct addr nat_inside; /* of the socket that sent last */
	struct fake_udps udps;
	/* links */
	struct fake_links links;
	struct fake_links gone; /* deleted, kept until the loop runs */
	int next_ifindex;
	unsigned filters; /* of all bridges */
	struct os_fdb_entry fdb[FAKE_FDB];
	unsigned n_fdb;
	const struct os_fdb_ops *fdb_ops;
	void *fdb_arg;
	bool fdb_lost;
	void (*watch_fn)(void *arg);
	void *watch_arg;
	struct fake_event watch_ev;
	struct fake_packets packets;
	struct fake_queue packets_sent;
	/* lanes */
	TAILQ_HEAD(, fake_post) posts;
	unsigned n_posts;
	struct fake_event post_ev;
	void (*posted_fn)(void *arg);
	void *posted_arg;
	/* control */
	struct fake_listeners listeners;
	struct fake_conns conns; /* until both ends are closed */
};

struct fake_name_entry {
	char name[ADDR_HOST_STRLEN];
	char error[64];
	struct addr addrs[4];
	unsigned n;
};

struct fake_net {
	uint64_t now_us;
	struct fake_events events;
	struct prng prng;
	struct fake_host *hosts[FAKE_HOSTS];
	unsigned n_hosts;
	struct fake_path paths[FAKE_HOSTS][FAKE_HOSTS];
	struct fake_name_entry names[FAKE_NAMES];
	unsigned n_names;
	fake_filter_fn filter;
	void *filter_arg;
};

struct os_packet {
	TAILQ_ENTRY(os_packet) link;
	struct fake_host *host;
	int ifindex;
	uint16_t ethertype;
	const struct os_packet_ops *ops;
	void *arg;
	struct fake_event read_ev;
	struct fake_queue queue;
	bool busy, dead;
};

static inline struct fake_host *host_of(struct os *os)
{
	return os->priv;
}

/* Stops the test run: the test itself is wrong, or the machine has no memory. */
void fake_must(bool ok, const char *what);

/* fake_loop.c */
void event_at(struct fake_net *net, struct fake_event *ev, uint64_t at_us);
void event_soon(struct fake_net *net, struct fake_event *ev); /* unless it is queued already */
void event_cancel(struct fake_net *net, struct fake_event *ev);
int fault_check(struct fake_host *h, enum fake_op op);
/* Of `wanted` those that are to be had are added to *ret, and why the others are not. */
void offloads_tell(const struct fake_host *h, unsigned wanted, struct offloads *ret);
struct fake_buf *buf_new(const void *bytes, size_t len);
void queue_init(struct fake_queue *q);
void queue_put(struct fake_queue *q, struct fake_buf *b);
struct fake_buf *queue_take(struct fake_queue *q);
void queue_fini(struct fake_queue *q);
/* The next one for the test, kept in q->last. */
bool queue_show(struct fake_queue *q, struct fake_frame *ret);

/* fake_udp.c: sockets, wire and names */
void udp_init(struct fake_host *h);
void udp_fini(struct fake_host *h);
bool literal_parse(const char *ip, uint16_t port, struct addr *ret);

/* fake_links.c: interfaces and bridges */
void links_init(struct fake_host *h);
void links_fini(struct fake_host *h);
void links_bury(struct fake_host *h);
void links_changed(struct fake_host *h);
struct fake_link *link_find(struct fake_host *h, int ifindex);
struct fake_link *link_find_name(struct fake_host *h, const char *name);
struct fake_link *link_new(struct fake_host *h, const char *name, enum os_link_kind kind);
void link_delete(struct fake_host *h, struct fake_link *l);
void link_update_carrier(struct fake_host *h, struct fake_link *l);

/* fake_fdb.c: what bridges have learnt */
void fdb_init_host(struct fake_host *h);
void fdb_fini_host(struct fake_host *h);
/* It left its bridge, or was flushed: what was learnt there is gone. */
void fdb_forget_port(struct fake_host *h, const struct fake_link *port);

/* fake_frames.c: TAPs, packet sockets and what bridges do with frames */
void frames_init(struct fake_host *h);
void frames_fini(struct fake_host *h);
/* Its device is gone. */
void tap_orphan(struct os_tap *t);
/* Its device is out of reach, but works. */
void tap_leave(struct os_tap *t);

/* fake_conn.c */
void conn_init(struct fake_host *h);
void conn_fini(struct fake_host *h);

/* fake_lanes.c */
void lanes_init(struct fake_host *h);
void lanes_fini(struct fake_host *h);
unsigned fake_lane(struct fake_host *h); /* whose the next batch is */

#endif
