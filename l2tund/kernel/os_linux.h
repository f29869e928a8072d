/*
 * struct os on the running kernel. The files of this folder each implement a part of its
 * table; what the calls promise stands in os.h. Everything that is opened must be
 * closed before os_linux_free(), but for connections that still send what they owe.
 */
#ifndef L2TUND_KERNEL_OS_LINUX_H
#define L2TUND_KERNEL_OS_LINUX_H

#include <sys/queue.h>

#include "l2tund/kernel/loop.h"
#include "l2tund/kernel/os.h"
#include "l2tund/kernel/rtnl.h"

struct lane_fd;
struct lanes;
struct lookout;

/*
 * A region for whatever a lane reads: no two reads of one are under way at once, and each ends with
 * its drained(). The strides are no powers of two, and no multiples of a page either: so the
 * heads of all buffers fall into different sets of the caches.
 */
#define SCRATCH_DATAGRAMS 48
#define SCRATCH_STRIDE (SESSION_DGRAM_MAX + 640)
#define SCRATCH_RUN 65536 /* datagrams that UDP_GRO has merged */
#define SCRATCH_RUN_STRIDE (SCRATCH_RUN + 1664)
#define SCRATCH_BYTES ((size_t)SCRATCH_DATAGRAMS * SCRATCH_RUN_STRIDE)

/* Owned by whoever called os_linux_new(); os->priv points to it. */
struct os_linux {
	struct os os;
	struct loop *loop;
	struct rtnl *rtnl;
	uint8_t *scratch;	    /* one region behind the other, for each lane */
	struct lanes *lanes;	    /* NULL: the main thread is the only one */
	bool buffers_told;	    /* that socket buffers are small, once */
	struct lookout *lookout;    /* NULL: we look ourselves; run.c sets it */
	LIST_HEAD(, os_conn) conns; /* all of them, also those that only flush */
};

int os_linux_new(struct loop *loop, struct os **ret);
void os_linux_free(struct os *os);
/*
 * As many lanes beside the main thread, which is the caller; before anything is opened. Their
 * threads begin with os_linux_start(), which has nothing to do where there are none.
 */
int os_linux_lanes(struct os *os, unsigned lanes);
int os_linux_start(struct os *os);

static inline struct os_linux *os_linux(struct os *os)
{
	return os->priv;
}

static inline uint8_t *os_scratch(const struct os_linux *ol, unsigned lane)
{
	return ol->scratch + lane * SCRATCH_BYTES;
}

/* udp.c, udp_send.c, udp_recv.c */
int udp_open(struct os *os, const struct addr *listen, unsigned socket, unsigned offload,
	     const struct os_udp_ops *ops, void *arg, struct os_udp **ret);
int udp_send(struct os *os, struct os_udp *u, unsigned lane, const struct path *path,
	     const void *buf, size_t len, size_t size);
void udp_offloads(struct os *os, const struct os_udp *u, struct offloads *ret);
void udp_close(struct os *os, struct os_udp *u);
/* The port that the kernel chose for listen port 0; for tests. */
uint16_t udp_port(const struct os_udp *u);

/* tap.c */
int tap_open(struct os *os, const struct os_tap_params *p, const struct os_tap_ops *ops, void *arg,
	     struct os_tap **ret);
int tap_ifindex(struct os *os, struct os_tap *t);
int tap_carrier(struct os *os, struct os_tap *t, bool on);
int tap_write(struct os *os, struct os_tap *t, unsigned lane, const struct vnet *v,
	      const struct iovec *iov, unsigned n);
void tap_offloads(struct os *os, const struct os_tap *t, struct offloads *ret);
void tap_close(struct os *os, struct os_tap *t);

/* owner.c: all TUN/TAP devices of this network namespace that a process holds */
#define OWNERS_MAX 512
#define OWNER_TEXT 64
struct owners {
	unsigned n;
	int missing; /* what to say of a device that is not here: -ENOENT or -EACCES */
	struct {
		char name[IFNAMSIZ];
		char owner[OWNER_TEXT]; /* "vtund pid 812" */
	} at[OWNERS_MAX];
};
int owners_read(struct owners *o);
int owners_find(const struct owners *o, const char *name, char *buf, size_t size);
int tap_owner(struct os *os, const char *name, char *buf, size_t size);

/* sysctl.c */
unsigned bridge_filters(struct os *os, const char *bridge);

/* packet.c */
int packet_open(struct os *os, int ifindex, uint16_t ethertype, const struct os_packet_ops *ops,
		void *arg, struct os_packet **ret);
int packet_send(struct os *os, struct os_packet *p, const uint8_t *frame, size_t len);
void packet_close(struct os *os, struct os_packet *p);

/* unix.c */
int unix_listen(struct os *os, const char *path, const char *group, const struct os_conn_ops *ops,
		void *arg, struct os_listener **ret);
void unix_listener_close(struct os *os, struct os_listener *l);
int unix_conn_send(struct os *os, struct os_conn *c, const char *data, size_t len);
void unix_conn_close(struct os *os, struct os_conn *c);
/* At the end: what was not sent by now is lost. */
void unix_drop_all(struct os_linux *ol);

#endif
