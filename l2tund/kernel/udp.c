/*
 * UDP sockets. Answers leave from the address that was called: the kernel tells it with
 * every datagram (IP_PKTINFO, ip(7); IPV6_RECVPKTINFO, RFC 3542 section 6) and is told it again.
 *
 * Nothing is fragmented on our side, and the kernel's idea of the path MTU is not used: sizes
 * are found by the sessions' own probes, which no ICMP message can lie to. What is larger than
 * the interface's MTU is refused with EMSGSIZE.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

#define SOCKET_BUFFER_BYTES (4 * 1024 * 1024)
#define CONTROL_BYTES 64 /* one pktinfo of either family */

/* Owned by the daemon. */
struct os_udp {
	struct os_linux *ol;
	int fd;
	int family;
	unsigned socket;
	uint16_t port;
	struct loop_fd *event;
	const struct os_udp_ops *ops;
	void *arg;
	bool busy; /* its read loop is under way: closed now, freed at the end of it */
	bool closed;
};

static void set_buffer(int fd, int force, int plain)
{
	int bytes = SOCKET_BUFFER_BYTES;

	/* Beyond net.core.*mem_max only with CAP_NET_ADMIN. */
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int socket_options(int fd, int family)
{
	int r;

	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
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

static int socket_bind(const struct addr *listen)
{
	_cleanup_close_ int fd = -1;
	int r, done;

	fd = socket(listen->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	r = socket_options(fd, listen->sa.sa_family);
	if (r < 0)
		return r;
	if (bind(fd, &listen->sa, addr_len(listen)) < 0)
		return -errno;
	done = fd;
	fd = -1;
	return done;
}

/* Where it was sent to, from the ancillary data. */
static void local_address(struct msghdr *m, uint16_t port, struct addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			ret->in.sin_family = AF_INET;
			/* Not ipi_addr, which may be a broadcast address. */
			ret->in.sin_addr = info.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			ret->in6.sin6_family = AF_INET6;
			ret->in6.sin6_addr = info.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				ret->in6.sin6_scope_id = info.ipi6_ifindex;
		}
	}
	addr_set_port(ret, port);
}

/* What recvmmsg() fills for one batch. */
struct batch {
	struct mmsghdr msgs[SCRATCH_DATAGRAMS];
	struct iovec iov[SCRATCH_DATAGRAMS];
	struct addr from[SCRATCH_DATAGRAMS];
	char control[SCRATCH_DATAGRAMS][CONTROL_BYTES] __attribute__((aligned(8)));
};

static void batch_init(struct batch *b, uint8_t *scratch)
{
	memset(b->msgs, 0, sizeof(b->msgs));
	for (unsigned i = 0; i < SCRATCH_DATAGRAMS; i++) {
		struct msghdr *m = &b->msgs[i].msg_hdr;

		b->iov[i].iov_base = scratch + (size_t)i * SESSION_DGRAM_MAX;
		b->iov[i].iov_len = SESSION_DGRAM_MAX;
		m->msg_iov = &b->iov[i];
		m->msg_iovlen = 1;
		m->msg_name = &b->from[i];
		m->msg_namelen = sizeof(b->from[i]);
		m->msg_control = b->control[i];
		m->msg_controllen = CONTROL_BYTES;
	}
}

static void udp_datagram(struct os_udp *u, struct batch *b, unsigned i)
{
	struct msghdr *m = &b->msgs[i].msg_hdr;
	struct path path = { .socket = u->socket };

	if (m->msg_flags & MSG_TRUNC)
		return; /* larger than anything that we build */
	if (addr_from_sockaddr(m->msg_name, m->msg_namelen, &path.remote) < 0)
		return;
	local_address(m, u->port, &path.local);
	u->ops->datagram(u->arg, &path, b->iov[i].iov_base, b->msgs[i].msg_len);
}

static void udp_ready(void *arg, unsigned what)
{
	struct os_udp *u = arg;
	struct batch b;
	int n;

	(void)what;
	batch_init(&b, u->ol->scratch);
	/* An error here is one that ICMP left behind, or nothing to read: both are nothing. */
	n = recvmmsg(u->fd, b.msgs, SCRATCH_DATAGRAMS, MSG_DONTWAIT, NULL);
	u->busy = true;
	for (int i = 0; i < n && !u->closed; i++)
		udp_datagram(u, &b, (unsigned)i);
	if (!u->closed && n > 0)
		u->ops->drained(u->arg);
	u->busy = false;
	if (u->closed)
		free(u);
}

int udp_open(struct os *os, const struct addr *listen, unsigned socket, unsigned offload,
	     const struct os_udp_ops *ops, void *arg, struct os_udp **ret)
{
	struct os_udp *u = calloc(1, sizeof(*u));
	struct addr bound;
	socklen_t len = sizeof(bound);
	int r;

	if (!u)
		return -ENOMEM;
	(void)offload;
	u->ol = os_linux(os);
	u->family = listen->sa.sa_family;
	u->socket = socket;
	u->ops = ops;
	u->arg = arg;
	u->fd = r = socket_bind(listen);
	if (r >= 0 && getsockname(u->fd, &bound.sa, &len) == 0)
		u->port = addr_port(&bound);
	if (r >= 0)
		r = loop_fd_new(u->ol->loop, u->fd, udp_ready, u, &u->event);
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

static void put_local(struct msghdr *m, const struct addr *local)
{
	struct cmsghdr *c = m->msg_control;

	memset(c, 0, CONTROL_BYTES);
	if (local->sa.sa_family == AF_INET) {
		struct in_pktinfo info = { .ipi_spec_dst = local->in.sin_addr };

		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		m->msg_controllen = CMSG_SPACE(sizeof(info));
	} else {
		struct in6_pktinfo info = { .ipi6_addr = local->in6.sin6_addr,
					    .ipi6_ifindex = local->in6.sin6_scope_id };

		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		m->msg_controllen = CMSG_SPACE(sizeof(info));
	}
}

/*
 * ICMP errors of earlier datagrams may be reported by a send that has nothing to do with
 * them; asking again gets past it. A local address that is gone is left out:
 * better another one, which the peer will follow, than none.
 */
static int send_once(struct os_udp *u, struct msghdr *m)
{
	for (unsigned tries = 0; tries < 3; tries++) {
		if (sendmsg(u->fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		/* Which of the three a vanished address gives depends on the routes left. */
		if ((errno == EINVAL || errno == EADDRNOTAVAIL || errno == ENETUNREACH) &&
		    m->msg_controllen) {
			m->msg_control = NULL;
			m->msg_controllen = 0;
		} else if (errno != ECONNREFUSED && errno != EINTR) {
			break;
		}
	}
	return -errno;
}

void udp_offloads(struct os *os, const struct os_udp *u, struct offloads *ret)
{
	(void)os;
	(void)u;
	(void)ret;
}

static int send_datagram(struct os_udp *u, const struct path *path, const void *buf, size_t len)
{
	char control[CONTROL_BYTES] __attribute__((aligned(8)));
	struct addr to = path->remote;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr m = {
		.msg_name = &to,
		.msg_namelen = addr_len(&to),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};

	if (to.sa.sa_family != u->family)
		return -EAFNOSUPPORT;
	if (path->local.sa.sa_family == u->family) {
		m.msg_control = control;
		put_local(&m, &path->local);
	}
	return send_once(u, &m);
}

int udp_send(struct os *os, struct os_udp *u, const struct path *path, const void *buf, size_t len,
	     size_t size)
{
	const uint8_t *p = buf;

	(void)os;
	while (len > size) {
		int r = send_datagram(u, path, p, size);
		if (r < 0)
			return r;
		p += size;
		len -= size;
	}
	return send_datagram(u, path, p, len);
}

void udp_close(struct os *os, struct os_udp *u)
{
	(void)os;
	if (!u)
		return;
	loop_fd_free(u->event);
	if (u->fd >= 0)
		close(u->fd);
	u->closed = true;
	if (!u->busy)
		free(u);
}
