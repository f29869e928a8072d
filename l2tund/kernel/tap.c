/*
 * TAP devices. One is born without carrier, so that as a bridge port it is DISABLED from the
 * first moment, and never persistent: when this process dies the port is gone.
 *
 * Frames carry a virtio header (VNET_HDR_BYTES) in front; of its offloads only the
 * checksum is accepted, so every frame is one frame.
 *
 * The device must not exist before: attaching to somebody's persistent one would bring its
 * carrier up, which is what must never happen behind our back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

#define FRAMES_PER_TURN 64
#define QUEUE_MAX 2000 /* above the device's queue length (500) */
#define TAP_PARTS_MAX 128
#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL)

#ifndef IFF_NO_CARRIER
#define IFF_NO_CARRIER 0x0040 /* Linux 6.1 */
#endif

/* Owned by the daemon. */
struct os_tap {
	struct os_linux *ol;
	int fd;
	int ifindex;
	struct loop_fd *event;
	const struct os_tap_ops *ops;
	void *arg;
	bool busy; /* its read loop is under way: closed now, freed at the end of it */
	bool closed;
};

/* frames */

static void tap_lost(struct os_tap *t, int err)
{
	/* Silent from here on: what remains is to be closed. */
	loop_fd_want(t->event, 0);
	t->ops->lost(t->arg, err);
}

/* 1: a frame was handed over, 0: nothing is waiting, or an error. */
static int tap_read_one(struct os_tap *t)
{
	uint8_t *buf = t->ol->scratch;
	ssize_t n = read(t->fd, buf, SCRATCH_BYTES);
	struct vnet v;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODEV;
	if (n < VNET_HDR_BYTES)
		return 1;
	/* A frame that we cannot read is lost like any other. */
	if (vnet_parse(buf, (size_t)n - VNET_HDR_BYTES, &v) == 0)
		t->ops->frame(t->arg, &v, buf + VNET_HDR_BYTES, (size_t)n - VNET_HDR_BYTES);
	return 1;
}

static void tap_drain(struct os_tap *t)
{
	unsigned frames = 0;
	int r = 1;

	while (r > 0 && frames < FRAMES_PER_TURN && !t->closed) {
		r = tap_read_one(t);
		frames += r > 0;
	}
	if (frames && !t->closed)
		t->ops->drained(t->arg);
	/* Other errors pass, these say that the device is no more. */
	if ((r == -EBADFD || r == -ENODEV) && !t->closed)
		tap_lost(t, r);
}

static void tap_ready(void *arg, unsigned what)
{
	struct os_tap *t = arg;

	(void)what;
	t->busy = true;
	tap_drain(t);
	t->busy = false;
	if (t->closed)
		free(t);
}

int tap_write(struct os *os, struct os_tap *t, const struct vnet *v, const struct iovec *iov,
	      unsigned n)
{
	uint8_t hdr[VNET_HDR_BYTES];
	struct iovec all[1 + TAP_PARTS_MAX] = { { .iov_base = hdr, .iov_len = sizeof(hdr) } };

	(void)os;
	if (n > TAP_PARTS_MAX)
		return -EINVAL;
	vnet_format(v, hdr);
	memcpy(all + 1, iov, n * sizeof(*iov));
	return writev(t->fd, all, (int)(1 + n)) < 0 ? -errno : 0;
}

void tap_offloads(struct os *os, const struct os_tap *t, struct offloads *ret)
{
	(void)os;
	(void)t;
	(void)ret;
}

/* the device */

static int set_interface(int fd, const char *name)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags = (short)(TAP_FLAGS | IFF_NO_CARRIER);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	/* Kernels that check flags and do not know this one. */
	if (errno == EINVAL) {
		ifr.ifr_flags = (short)TAP_FLAGS;
		if (ioctl(fd, TUNSETIFF, &ifr) == 0)
			return 0;
	}
	/* With IFF_TUN_EXCL the answer for a name in use, by whatever kind of device. */
	return errno == EBUSY ? -EEXIST : -errno;
}

static int set_up_queue(int fd)
{
	int header = VNET_HDR_BYTES;
	int carrier = 0;

	/* Kernels that ignore unknown flags have it up now; it is in no bridge yet. */
	if (ioctl(fd, TUNSETCARRIER, &carrier) < 0)
		return -errno;
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM) < 0)
		return -errno;
	return 0;
}

static int get_ifindex(int fd)
{
	struct ifreq ifr = { 0 };

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return -errno;
	unsigned index = if_nametoindex(ifr.ifr_name);
	return index ? (int)index : -ENODEV;
}

/* The host must not speak through it: no addresses, no router solicitations. */
static void quieten(struct os_linux *ol, int ifindex, const char *name)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	int r = rtnl_set_no_addrgen(ol->rtnl, ifindex);

	if (r < 0 && r != -EAFNOSUPPORT && r != -EOPNOTSUPP)
		log_debug(LOG_KERNEL, "%s: addrgenmode: %s", name, strerror(-r));
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* Read-only in some sandboxes, missing without IPv6: addrgenmode suffices. */
	if (fd >= 0 && write(fd, "1", 1) < 0)
		log_debug(LOG_KERNEL, "%s: %s", path, strerror(errno));
}

static int configure(struct os_linux *ol, int ifindex, const struct os_tap_params *p)
{
	int r = rtnl_set_mac(ol->rtnl, ifindex, p->mac);

	if (r == 0)
		r = rtnl_set_mtu(ol->rtnl, ifindex, p->mtu);
	if (r < 0)
		return r;
	quieten(ol, ifindex, p->name);
	return rtnl_set_up(ol->rtnl, ifindex, true);
}

static int create(struct os_tap *t, const struct os_tap_params *p)
{
	int r;

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	r = set_interface(t->fd, p->name);
	if (r == 0)
		r = set_up_queue(t->fd);
	if (r == 0)
		r = t->ifindex = get_ifindex(t->fd);
	if (r > 0)
		r = configure(t->ol, t->ifindex, p);
	/* Only now: before TUNSETIFF the descriptor reports errors all the time. */
	if (r == 0)
		r = loop_fd_new(t->ol->loop, t->fd, tap_ready, t, &t->event);
	return r;
}

int tap_open(struct os *os, const struct os_tap_params *p, const struct os_tap_ops *ops, void *arg,
	     struct os_tap **ret)
{
	struct os_tap *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->ol = os_linux(os);
	t->ops = ops;
	t->arg = arg;
	r = create(t, p);
	if (r < 0) {
		tap_close(os, t);
		return r;
	}
	*ret = t;
	return 0;
}

int tap_ifindex(struct os *os, struct os_tap *t)
{
	(void)os;
	return t->ifindex;
}

int tap_carrier(struct os *os, struct os_tap *t, bool on)
{
	uint8_t head[VNET_HDR_BYTES]; /* not `scratch`, which may hold what called us */
	int carrier = on;

	(void)os;
	/* What waits since before (we may have been stopped for long) is too old to be sent. */
	for (unsigned i = 0; on && i < QUEUE_MAX; i++) {
		if (read(t->fd, head, sizeof(head)) <= 0)
			break;
	}
	return ioctl(t->fd, TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

void tap_close(struct os *os, struct os_tap *t)
{
	(void)os;
	if (!t)
		return;
	loop_fd_free(t->event);
	if (t->fd >= 0)
		close(t->fd);
	t->closed = true;
	if (!t->busy)
		free(t);
}
