/*
 * UDP sockets: opening and closing. Answers leave from the address that was called: the kernel
 * tells it with every datagram (IP_PKTINFO, ip(7); IPV6_RECVPKTINFO, RFC 3542 section 6)
 * and is told it again.
 *
 * Nothing is fragmented on our side, and the kernel's idea of the path MTU is not used: sizes
 * are found by the sessions' own probes, which no ICMP message can lie to. What is larger than
 * the interface's MTU is refused with EMSGSIZE.
 */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/kernel/lanes.h"
#include "l2tund/kernel/udp_private.h"
#include "l2tund/session/dgram.h"

#define SOCKET_BUFFER_BYTES (4 * 1024 * 1024)
#define BATCH_FIRST 8
#define UDP_PART (1U << OFFLOAD_UDP_SEGMENT | 1U << OFFLOAD_UDP_GRO)

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* buffers */

struct buffer {
	int force, plain, told;
	const char *sysctl;
};

static const struct buffer buffers[] = {
	{ SO_RCVBUFFORCE, SO_RCVBUF, SO_RCVBUF, "net.core.rmem_max" },
	{ SO_SNDBUFFORCE, SO_SNDBUF, SO_SNDBUF, "net.core.wmem_max" },
};

/* Small ones lose datagrams under load, which nobody would look for there. */
static void tell_buffer(struct os_linux *ol, const struct buffer *b, int bytes)
{
	if (bytes >= SOCKET_BUFFER_BYTES / 2 || ol->buffers_told)
		return;
	ol->buffers_told = true;
	log_notice(LOG_KERNEL,
		   "UDP socket buffers of %d KiB instead of %d; `sysctl -w %s=%d` allows more",
		   bytes / 1024, SOCKET_BUFFER_BYTES / 1024, b->sysctl, SOCKET_BUFFER_BYTES);
}

static void set_buffer(struct os_linux *ol, int fd, const struct buffer *b)
{
	int bytes = SOCKET_BUFFER_BYTES;
	socklen_t len = sizeof(bytes);

	/* Beyond net.core.*mem_max only with CAP_NET_ADMIN. */
	if (set_option(fd, SOL_SOCKET, b->force, bytes) < 0)
		set_option(fd, SOL_SOCKET, b->plain, bytes);
	/* The kernel tells twice what was asked for: its own bookkeeping is in it, socket(7). */
	if (getsockopt(fd, SOL_SOCKET, b->told, &bytes, &len) == 0)
		tell_buffer(ol, b, bytes / 2);
}

/* options */

static int set_family(int fd, int family)
{
	int r;

	if (family == AF_INET) {
		r = set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
		return r < 0 ? r : set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	}
	r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (r == 0)
		r = set_option(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	return r < 0 ? r : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

/*
 * Both sockets merge: before the kernel has read a datagram's type it asks either of them
 * whether it may (udp4_gro_lookup_skb() looks up without the packet).
 */
static void set_offloads(struct os_udp *u, int fd)
{
	int r;

	r = offload_on(u->offloads.active, OFFLOAD_UDP_GRO) ? set_option(fd, SOL_UDP, UDP_GRO, 1) :
							      0;
	if (r < 0)
		offload_refuse(&u->offloads, OFFLOAD_UDP_GRO,
			       "the kernel has no UDP_GRO, Linux 5.0 has: %s", strerror(-r));
	/* 0 is what it is anyway: this only asks whether the option is known. */
	r = set_option(fd, SOL_UDP, UDP_SEGMENT, 0);
	if (r < 0)
		offload_refuse(&u->offloads, OFFLOAD_UDP_SEGMENT,
			       "the kernel has no UDP_SEGMENT, Linux 4.18 has: %s", strerror(-r));
}

static int socket_new(struct os_udp *u)
{
	int r, fd = socket(u->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < ARRAY_SIZE(buffers); i++)
		set_buffer(u->ol, fd, &buffers[i]);
	r = set_family(fd, u->family);
	if (r < 0) {
		close(fd);
		return r;
	}
	set_offloads(u, fd);
	return fd;
}

/* several sockets, one port */

/*
 * Which socket of the group gets a datagram: that is its number, in order of binding. The program
 * sees the payload from offset 0 (socket(7), SO_ATTACH_REUSEPORT_CBPF; net/core/sock_reuseport.c,
 * run_bpf_filter()). Data goes by the sender's lane, so a flow stays with one of ours. A datagram
 * that is too short ends it with 0.
 */
static int attach_sorter(int fd, unsigned n_data)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DGRAM_DATA, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DGRAM_PLAIN, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UDP_CONTROL),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n_data),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, UDP_DATA),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	const struct sock_fprog prog = {
		.len = ARRAY_SIZE(code),
		.filter = (struct sock_filter *)(uintptr_t)code,
	};
	int r = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog));

	return r < 0 ? -errno : 0;
}

static int bind_next(struct os_udp *u, const struct addr *bound)
{
	int r, fd = socket_new(u);

	if (fd < 0)
		return fd;
	r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && bind(fd, &bound->sa, addr_len(bound)) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	else
		u->socks[u->n++].fd = fd;
	return r;
}

/*
 * The other sockets join the first. That one was bound alone, so that a port which belongs to
 * another daemon is refused; only then is it ready to share. All of them, or none.
 */
static void open_data(struct os_udp *u, unsigned n_data, const struct addr *bound)
{
	int r = set_option(u->socks[UDP_CONTROL].fd, SOL_SOCKET, SO_REUSEPORT, 1);

	for (unsigned i = 0; i < n_data && r == 0; i++)
		r = bind_next(u, bound);
	if (r == 0)
		r = attach_sorter(u->socks[UDP_CONTROL].fd, n_data);
	if (r == 0)
		return;
	log_debug(LOG_KERNEL, "one socket for control and data: %s", strerror(-r));
	while (u->n > UDP_DATA)
		close(u->socks[--u->n].fd);
}

static int bind_all(struct os_udp *u, unsigned n_data, const struct addr *listen)
{
	struct addr bound = *listen;
	socklen_t len = sizeof(bound);
	int fd = socket_new(u);

	if (fd < 0)
		return fd;
	u->socks[u->n++].fd = fd;
	if (bind(fd, &listen->sa, addr_len(listen)) < 0 || getsockname(fd, &bound.sa, &len) < 0)
		return -errno;
	u->port = addr_port(&bound);
	open_data(u, n_data, &bound);
	return 0;
}

static int watch_all(struct os_udp *u)
{
	for (unsigned i = 0; i < u->n; i++) {
		struct udp_socket *s = &u->socks[i];
		int r = u->ol->lanes && i >= UDP_DATA ?
				lane_fd_new(u->ol->lanes, i, s->fd, udp_lane_ready, s,
					    &s->lane_event) :
				loop_fd_new(u->ol->loop, s->fd, udp_ready, s, &s->event);

		if (r < 0)
			return r;
	}
	if (udp_has_data(u))
		loop_fd_first(u->socks[UDP_CONTROL].event, true);
	return 0;
}

int udp_open(struct os *os, const struct addr *listen, unsigned socket, unsigned offload,
	     const struct os_udp_ops *ops, void *arg, struct os_udp **ret)
{
	unsigned n_data = MAX(os->lanes - 1, 1u);
	struct os_udp *u = calloc(1, sizeof(*u) + (1 + n_data) * sizeof(u->socks[0]));
	int r;

	if (!u)
		return -ENOMEM;
	u->ol = os_linux(os);
	u->family = listen->sa.sa_family;
	u->socket = socket;
	u->offloads.active = offload & UDP_PART;
	u->ops = ops;
	u->arg = arg;
	for (unsigned i = 0; i < 1 + n_data; i++)
		u->socks[i] = (struct udp_socket){ .udp = u, .batch = BATCH_FIRST };
	r = bind_all(u, n_data, listen);
	if (r == 0)
		r = watch_all(u);
	if (r < 0) {
		udp_close(os, u);
		return r;
	}
	*ret = u;
	return 0;
}

uint16_t udp_port(const struct os_udp *u)
{
	return u->port;
}

void udp_offloads(struct os *os, const struct os_udp *u, struct offloads *ret)
{
	(void)os;
	offload_add(ret, &u->offloads);
}

void udp_close(struct os *os, struct os_udp *u)
{
	if (!u)
		return;
	os->lane_forget(os, u);
	for (unsigned i = 0; i < u->n; i++) {
		loop_fd_free(u->socks[i].event);
		lane_fd_free(u->socks[i].lane_event);
		close(u->socks[i].fd);
	}
	u->closed = true;
	if (!u->busy)
		free(u);
}
