/*
 * Datagrams from the kernel to the daemon: recvmmsg(2) into the os' scratch region, runs that GRO
 * has merged (UDP_GRO, udp(7)) cut apart where they lie. Nothing is moved or overwritten
 * until drained() has returned.
 *
 * With GRO a buffer must hold 64 KiB. Few are offered at first, and more only as they are filled
 * with little: pages that nobody writes to cost no memory, and what was received should
 * still be in the cache when it is worked on.
 */
#include <string.h>

#include "common/util.h"
#include "l2tund/kernel/udp_private.h"

#define BYTES_PER_TURN ((size_t)256 * 1024)
#define BATCH_MIN 4

/* What recvmmsg() fills for one batch. */
struct batch {
	struct mmsghdr msgs[SCRATCH_DATAGRAMS];
	struct iovec iov[SCRATCH_DATAGRAMS];
	struct addr from[SCRATCH_DATAGRAMS];
	char control[SCRATCH_DATAGRAMS][UDP_CONTROL_BYTES] __attribute__((aligned(8)));
};

static void batch_init(struct batch *b, unsigned n, uint8_t *scratch, size_t stride, size_t room)
{
	memset(b->msgs, 0, n * sizeof(b->msgs[0]));
	for (unsigned i = 0; i < n; i++) {
		struct msghdr *m = &b->msgs[i].msg_hdr;

		b->iov[i].iov_base = scratch + i * stride;
		b->iov[i].iov_len = room;
		m->msg_iov = &b->iov[i];
		m->msg_iovlen = 1;
		m->msg_name = &b->from[i];
		m->msg_namelen = sizeof(b->from[i]);
		m->msg_control = b->control[i];
		m->msg_controllen = UDP_CONTROL_BYTES;
	}
}

/* What the kernel says about a datagram or run beside its sender. */
struct said {
	struct addr local; /* where it was sent to */
	int size;	   /* of each datagram of a run; 0: it is one datagram */
};

static void said_local4(const void *data, struct addr *ret)
{
	struct in_pktinfo info;

	memcpy(&info, data, sizeof(info));
	ret->in.sin_family = AF_INET;
	/* Not ipi_addr, which may be a broadcast address. */
	ret->in.sin_addr = info.ipi_spec_dst;
}

static void said_local6(const void *data, struct addr *ret)
{
	struct in6_pktinfo info;

	memcpy(&info, data, sizeof(info));
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_addr = info.ipi6_addr;
	if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
		ret->in6.sin6_scope_id = info.ipi6_ifindex;
}

static void said_read(struct msghdr *m, uint16_t port, struct said *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			said_local4(CMSG_DATA(c), &ret->local);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			said_local6(CMSG_DATA(c), &ret->local);
		else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&ret->size, CMSG_DATA(c), sizeof(ret->size));
	}
	addr_set_port(&ret->local, port);
}

/* Hands over one datagram, or each of a run. */
static void udp_run(struct os_udp *u, unsigned lane, struct mmsghdr *msg)
{
	struct msghdr *m = &msg->msg_hdr;
	struct path path = { .socket = u->socket };
	uint8_t *p = m->msg_iov->iov_base;
	size_t left = msg->msg_len;
	struct said said;

	/* Larger than anything that we build, or of unknown structure. */
	if (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return;
	if (addr_from_sockaddr(m->msg_name, m->msg_namelen, &path.remote) < 0)
		return;
	said_read(m, u->port, &said);
	size_t size = said.size > 0 ? (size_t)said.size : left;
	if (said.size < 0 || size > SESSION_DGRAM_MAX)
		return;
	path.local = said.local;
	do {
		size_t len = MIN(left, size);

		u->ops->datagram(u->arg, lane, &path, p, len);
		p += len;
		left -= len;
	} while (left && !u->closed);
}

/*
 * How many buffers to offer next time: twice as many, while they stay within the budget. Whether
 * this one used up the budget: then more is waiting, surely.
 */
static bool batch_adapt(struct udp_socket *s, unsigned n, size_t bytes)
{
	unsigned offered = s->batch;
	unsigned next = MIN(2 * s->batch, SCRATCH_DATAGRAMS);

	if (n < s->batch && bytes <= BYTES_PER_TURN)
		return false;
	if (bytes / n * next > BYTES_PER_TURN)
		next = (unsigned)(BYTES_PER_TURN / (bytes / n));
	s->batch = MAX(next, BATCH_MIN);
	return s->batch <= offered;
}

static void udp_batch(struct os_udp *u, unsigned lane, struct udp_socket *s, struct batch *b,
		      unsigned n)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += b->msgs[i].msg_len;
	bool flooded = batch_adapt(s, n, bytes);
	/* Whoever floods the control socket waits in line with the data from here on. */
	if (udp_has_data(u) && s == &u->socks[UDP_CONTROL])
		loop_fd_first(s->event, !flooded);
	for (unsigned i = 0; i < n && !u->closed; i++)
		udp_run(u, lane, &b->msgs[i]);
	if (!u->closed)
		u->ops->drained(u->arg, lane);
}

void udp_lane_ready(void *arg, unsigned lane)
{
	struct udp_socket *s = arg;
	struct os_udp *u = s->udp;
	uint8_t *scratch = os_scratch(u->ol, lane);
	bool gro = offload_on(u->offloads.active, OFFLOAD_UDP_GRO);
	struct batch b;
	int n;

	if (gro)
		batch_init(&b, s->batch, scratch, SCRATCH_RUN_STRIDE, SCRATCH_RUN);
	else
		batch_init(&b, s->batch, scratch, SCRATCH_STRIDE, SESSION_DGRAM_MAX);
	/* An error here is one that ICMP left behind, or nothing to read: both are nothing. */
	n = recvmmsg(s->fd, b.msgs, s->batch, MSG_DONTWAIT, NULL);
	if (n > 0)
		udp_batch(u, lane, s, &b, (unsigned)n);
}

/* Only here it may be closed meanwhile. */
void udp_ready(void *arg, unsigned what)
{
	struct udp_socket *s = arg;
	struct os_udp *u = s->udp;

	(void)what;
	u->busy = true;
	udp_lane_ready(s, 0);
	u->busy = false;
	if (u->closed)
		free(u);
}
