/*
 * A listen address in the kernel: what udp.c (opening), udp_send.c and udp_recv.c share.
 *
 * It has two sockets on the same port, so that a flood of data neither fills the buffers nor
 * stands in the way of what keeps sessions and gates alive. Where there are lanes beside the
 * main thread, each of them has a socket for data. The kernel sorts by the first two bytes of a
 * datagram, type and sender's lane, yet each socket takes any: what GRO has merged goes where
 * its first datagram belongs.
 */
#ifndef L2TUND_KERNEL_UDP_PRIVATE_H
#define L2TUND_KERNEL_UDP_PRIVATE_H

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "l2tund/kernel/os_linux.h"

/* Ancillary data of one datagram or run: pktinfo of either family, and its segment size. */
#define UDP_CONTROL_BYTES (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

/* In order of binding: control, the main thread's; then data, of the first lane and the others. */
enum { UDP_CONTROL, UDP_DATA };

struct udp_socket {
	struct os_udp *udp;
	int fd;
	struct loop_fd *event;	    /* watched by the main thread, */
	struct lane_fd *lane_event; /* or by a lane */
	unsigned batch;		    /* buffers offered to the next recvmmsg() */
};

/* Owned by the daemon. */
struct os_udp {
	struct os_linux *ol;
	int family;
	unsigned socket;
	uint16_t port;
	struct offloads offloads;
	const struct os_udp_ops *ops;
	void *arg;
	bool busy; /* its read loop is under way: closed now, freed at the end of it */
	bool closed;
	unsigned n; /* sockets; 1: data could not have its own, control's serves for both */
	struct udp_socket socks[];
};

static inline bool udp_has_data(const struct os_udp *u)
{
	return u->n > 1;
}

/* udp_recv.c: the loop's callback, and a lane's; `arg` is a struct udp_socket */
void udp_ready(void *arg, unsigned what);
void udp_lane_ready(void *arg, unsigned lane);

#endif
