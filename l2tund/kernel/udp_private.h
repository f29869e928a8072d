/*
 * A listen address in the kernel: what udp.c (opening), udp_send.c and udp_recv.c share.
 *
 * It has two sockets on the same port, so that a flood of data neither fills the buffers nor
 * stands in the way of what keeps sessions and gates alive. The kernel sorts by the first
 * byte of a datagram, yet each socket takes any type: what GRO has merged goes where its
 * first datagram belongs.
 */
#ifndef L2TUND_KERNEL_UDP_PRIVATE_H
#define L2TUND_KERNEL_UDP_PRIVATE_H

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "l2tund/kernel/os_linux.h"

/* Ancillary data of one datagram or run: pktinfo of either family, and its segment size. */
#define UDP_CONTROL_BYTES (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

enum { UDP_CONTROL, UDP_DATA, UDP_SOCKETS };

struct udp_socket {
	struct os_udp *udp;
	int fd; /* -1: this one could not be had, the other serves for both */
	struct loop_fd *event;
	unsigned batch; /* buffers offered to the next recvmmsg() */
};

/* Owned by the daemon. */
struct os_udp {
	struct os_linux *ol;
	int family;
	unsigned socket;
	uint16_t port;
	struct udp_socket socks[UDP_SOCKETS];
	struct offloads offloads;
	const struct os_udp_ops *ops;
	void *arg;
	bool busy; /* its read loop is under way: closed now, freed at the end of it */
	bool closed;
};

static inline bool udp_has_two(const struct os_udp *u)
{
	return u->socks[UDP_DATA].fd >= 0;
}

/* udp_recv.c: the loop's callback, `arg` is a struct udp_socket */
void udp_ready(void *arg, unsigned what);

#endif
