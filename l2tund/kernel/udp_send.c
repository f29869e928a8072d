/*
 * Datagrams from the daemon to the kernel. A run of equal ones leaves in one call (UDP_SEGMENT,
 * udp(7)); where the kernel or the device does not do that, in one sendmmsg(2), which
 * still saves the way into the kernel.
 *
 * The offload is switched off for good only by errors that speak of it. Whatever else
 * goes wrong with a run is found out datagram by datagram, where errors are clear.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/datapath/train.h"
#include "l2tund/kernel/lanes.h"
#include "l2tund/kernel/udp_private.h"
#include "l2tund/session/dgram.h"

#define SEND_TRIES 3
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

/* Where something is sent to, and from; the header of every message of a call. */
struct route {
	int fd;
	struct addr to;
	size_t control_len; /* of the local address; the segment size comes behind it */
	char control[UDP_CONTROL_BYTES] __attribute__((aligned(8)));
};

static size_t put_cmsg(char *at, int level, int type, const void *data, size_t len)
{
	struct cmsghdr c = { .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len) };

	memset(at, 0, CMSG_SPACE(len));
	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), data, len);
	return CMSG_SPACE(len);
}

static size_t put_local(char *at, const struct addr *local)
{
	if (local->sa.sa_family == AF_INET) {
		struct in_pktinfo info = { .ipi_spec_dst = local->in.sin_addr };

		return put_cmsg(at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	struct in6_pktinfo info = { .ipi6_addr = local->in6.sin6_addr,
				    .ipi6_ifindex = local->in6.sin6_scope_id };
	return put_cmsg(at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

/* By type, as the receiver's kernel sorts, and by lane; each has a send buffer of its own. */
static int send_fd(const struct os_udp *u, unsigned lane, const uint8_t *dgram, size_t len)
{
	bool data = len && (*dgram == DGRAM_DATA || *dgram == DGRAM_PLAIN);

	if (!data || !udp_has_data(u))
		return u->socks[UDP_CONTROL].fd;
	return u->socks[lane ? lane : UDP_DATA].fd;
}

static void route_init(struct route *r, int fd, const struct path *path)
{
	r->fd = fd;
	r->to = path->remote;
	r->control_len = 0;
	if (path->local.sa.sa_family == path->remote.sa.sa_family)
		r->control_len = put_local(r->control, &path->local);
}

static struct msghdr route_message(struct route *r, struct iovec *iov)
{
	return (struct msghdr){
		.msg_name = &r->to,
		.msg_namelen = addr_len(&r->to),
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = r->control_len ? r->control : NULL,
		.msg_controllen = r->control_len,
	};
}

static struct iovec piece(const uint8_t *p, size_t len)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)p, .iov_len = len };
}

/* ICMP errors of earlier datagrams may be reported by a send that has nothing to do with them. */
static bool passes(int err)
{
	return err == ECONNREFUSED || err == EINTR;
}

/*
 * Asking again gets past such errors. A local address that is gone is left out from here on: better
 * another one, which the peer will follow, than none.
 */
static int send_single(struct route *r, const uint8_t *p, size_t len)
{
	struct iovec iov = piece(p, len);

	for (unsigned tries = 0; tries < SEND_TRIES; tries++) {
		struct msghdr m = route_message(r, &iov);

		if (sendmsg(r->fd, &m, SEND_FLAGS) >= 0)
			return 0;
		/* Which of the three a vanished address gives depends on the routes left. */
		if ((errno == EINVAL || errno == EADDRNOTAVAIL || errno == ENETUNREACH) &&
		    r->control_len)
			r->control_len = 0;
		else if (!passes(errno))
			break;
	}
	return -errno;
}

/* As many as the kernel takes at once, at least one; how many of the bytes that was. */
static ssize_t send_some(struct route *r, const uint8_t *p, size_t len, size_t size)
{
	struct mmsghdr msgs[TRAIN_DATAGRAMS];
	struct iovec iov[TRAIN_DATAGRAMS];
	unsigned n = 0;
	int sent, err;

	for (size_t at = 0; at < len && n < TRAIN_DATAGRAMS; at += size, n++) {
		iov[n] = piece(p + at, MIN(size, len - at));
		msgs[n].msg_hdr = route_message(r, &iov[n]);
	}
	sent = n > 1 ? sendmmsg(r->fd, msgs, n, SEND_FLAGS) : 0;
	if (sent > 0)
		return (ssize_t)MIN((size_t)sent * size, len);
	err = send_single(r, p, MIN(size, len));
	return err < 0 ? err : (ssize_t)MIN(size, len);
}

static int send_each(struct route *r, const uint8_t *p, size_t len, size_t size)
{
	do {
		ssize_t sent = send_some(r, p, len, size);

		if (sent < 0)
			return (int)sent;
		p += sent;
		len -= (size_t)sent;
	} while (len);
	return 0;
}

static int send_segments(struct route *r, const uint8_t *p, size_t len, size_t size)
{
	struct iovec iov = piece(p, len);
	struct msghdr m = route_message(r, &iov);
	uint16_t segment = (uint16_t)size;

	m.msg_control = r->control;
	m.msg_controllen = r->control_len + put_cmsg(r->control + r->control_len, SOL_UDP,
						     UDP_SEGMENT, &segment, sizeof(segment));
	for (unsigned tries = 0; tries < SEND_TRIES; tries++) {
		if (sendmsg(r->fd, &m, SEND_FLAGS) >= 0)
			return 0;
		if (!passes(errno))
			break;
	}
	return -errno;
}

/*
 * EIO: a device that cannot compute checksums, before Linux 6.11 (net/ipv4/udp.c, udp_send_skb());
 * the others: no such option, or a security module that does not know it.
 */
static void refused(void *arg, void *data, size_t len)
{
	struct os_udp *u = arg;
	int err = *(const int *)data;

	(void)len;
	if (!offload_on(u->offloads.active, OFFLOAD_UDP_SEGMENT))
		return;
	offload_refuse(&u->offloads, OFFLOAD_UDP_SEGMENT,
		       "the kernel refused a run of datagrams: %s%s", strerror(-err),
		       err == -EIO ? " (device without checksum offload?)" : "");
	log_info(LOG_KERNEL, "%s", u->offloads.why[OFFLOAD_UDP_SEGMENT]);
}

/* It is switched off for all lanes, so the main thread does it. */
static void heed_refusal(struct os_udp *u, unsigned lane, int err)
{
	if (err != -EIO && err != -ENOPROTOOPT && err != -EOPNOTSUPP)
		return;
	if (lane)
		lanes_post(u->ol->lanes, refused, u, &(struct iovec){ &err, sizeof(err) }, 1);
	else
		refused(u, &err, sizeof(err));
}

/* A run that one call may carry. */
static int send_run(struct os_udp *u, unsigned lane, struct route *r, const uint8_t *p, size_t len,
		    size_t size)
{
	int err;

	if (len <= size || !offload_on(u->offloads.active, OFFLOAD_UDP_SEGMENT))
		return send_each(r, p, len, size);
	err = send_segments(r, p, len, size);
	/* Full is full: the rest would be refused as well. */
	if (err == 0 || err == -EAGAIN || err == -ENOBUFS)
		return err;
	heed_refusal(u, lane, err);
	return send_each(r, p, len, size);
}

int udp_send(struct os *os, struct os_udp *u, unsigned lane, const struct path *path,
	     const void *buf, size_t len, size_t size)
{
	const uint8_t *p = buf;
	size_t most = size ? size * MIN(TRAIN_DATAGRAMS, MAX(TRAIN_BYTES / size, 1)) : 0;
	struct route r;
	int err;

	(void)os;
	if (path->remote.sa.sa_family != u->family)
		return -EAFNOSUPPORT;
	if (!size)
		return -EINVAL;
	route_init(&r, send_fd(u, lane, p, len), path);
	do {
		size_t n = MIN(len, most);

		err = send_run(u, lane, &r, p, n, size);
		p += n;
		len -= n;
	} while (err == 0 && len);
	return err;
}
