/*
 * TAP devices. One is born without carrier, so that as a bridge port it is DISABLED from the
 * first moment, and never persistent: when this process dies the port is gone.
 *
 * Frames carry a virtio header (VNET_HDR_BYTES) in front. What of segmentation and checksums
 * the kernel may leave to us, and whether it takes super-frames, is asked once at the beginning.
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
#include "l2tund/kernel/lanes.h"
#include "l2tund/kernel/os_linux.h"
#include "l2tund/kernel/pace.h"

#define FRAMES_PER_TURN 64
#define BYTES_PER_TURN ((size_t)128 * 1024) /* about two full super-frames */
#define BATCH_BYTES ((size_t)64 * 1024)	    /* after as much what was read is worked off */
#define PACED_BYTES ((size_t)16 * 1024)	    /* super-frames need not gather */
#define FRAME_MAX (VNET_HDR_BYTES + 65550)  /* a super-frame of 64 KiB with VLAN tag */
#define FRAME_ALIGN ((size_t)64)	    /* a cache line */
#define QUEUE_LEN 1000			    /* as Ethernet devices have it */
#define QUEUE_MAX 2000			    /* above that */
#define TAP_PARTS_MAX 128
#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define TAP_PART \
	(1U << OFFLOAD_CHECKSUM | 1U << OFFLOAD_TSO | 1U << OFFLOAD_USO | 1U << OFFLOAD_JOIN)

_Static_assert(BATCH_BYTES + FRAME_ALIGN + FRAME_MAX <= SCRATCH_BYTES, "a batch has room");

#ifndef IFF_NO_CARRIER
#define IFF_NO_CARRIER 0x0040 /* Linux 6.1 */
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2 */
#define TUN_F_USO6 0x40
#endif

/* The kernel spreads what leaves the bridge over the queues by flow, as it came in (tun.c). */
struct tap_queue {
	struct os_tap *tap;
	int fd;
	struct pace pace;
	struct loop_fd *event;	    /* watched by the main thread, */
	struct lane_fd *lane_event; /* or by a lane */
};

/* Owned by the daemon. */
struct os_tap {
	struct os_linux *ol;
	int ifindex;
	struct offloads offloads;
	const struct os_tap_ops *ops;
	void *arg;
	bool busy; /* its read loop is under way: closed now, freed at the end of it */
	bool closed;
	unsigned n; /* queues */
	struct tap_queue queues[];
};

static int tap_fd(const struct os_tap *t)
{
	return t->queues[0].fd;
}

/* frames */

static void lost(void *arg, void *data, size_t len)
{
	struct os_tap *t = arg;

	(void)len;
	t->ops->lost(t->arg, *(const int *)data);
}

/* Silent from here on: what remains is to be closed, by the main thread. */
static void tap_lost(struct tap_queue *q, unsigned lane, int err)
{
	if (lane) {
		lane_fd_silence(q->lane_event);
		lanes_post(q->tap->ol->lanes, lost, q->tap, &(struct iovec){ &err, sizeof(err) },
			   1);
	} else {
		loop_fd_want(q->event, 0);
		lost(q->tap, &err, sizeof(err));
	}
}

/* How many bytes stand at `buf` now, 0: nothing is waiting, or an error. */
static ssize_t tap_read_one(struct tap_queue *q, unsigned lane, uint8_t *buf)
{
	const struct os_tap *t = q->tap;
	ssize_t n = read(q->fd, buf, FRAME_MAX);
	struct vnet v;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODEV;
	if (n < VNET_HDR_BYTES)
		return n;
	/* A frame that we cannot read is lost like any other. */
	if (vnet_parse(buf, (size_t)n - VNET_HDR_BYTES, &v) == 0)
		t->ops->frame(t->arg, lane, &v, buf + VNET_HDR_BYTES, (size_t)n - VNET_HDR_BYTES);
	return n;
}

/* What was read since the queue was found ready. */
struct turn {
	unsigned frames;
	size_t bytes;
};

/*
 * Frames one behind the other until nothing waits or they are enough to be worked off together:
 * as much as one super-frame, so that all is still in the cache then. What the last read gave:
 * bytes, 0 when nothing was left, or an error.
 */
static ssize_t tap_batch(struct tap_queue *q, unsigned lane, struct turn *turn)
{
	const struct os_tap *t = q->tap;
	uint8_t *buf = os_scratch(t->ol, lane);
	size_t at = 0;
	ssize_t n = 1;

	while (at < BATCH_BYTES && turn->frames < FRAMES_PER_TURN && !t->closed) {
		n = tap_read_one(q, lane, buf + at);
		if (n <= 0)
			break;
		at += ((size_t)n + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN;
		turn->frames++;
	}
	if (at && !t->closed)
		t->ops->drained(t->arg, lane);
	turn->bytes += at;
	return n;
}

static void tap_drain(struct tap_queue *q, unsigned lane)
{
	const struct os_tap *t = q->tap;
	struct turn turn = { 0 };
	ssize_t n = 1;

	pace_begin(&q->pace);
	while (n > 0 && turn.frames < FRAMES_PER_TURN && turn.bytes < BYTES_PER_TURN && !t->closed)
		n = tap_batch(q, lane, &turn);
	if (!t->closed)
		pace_end(&q->pace, n == 0 && turn.bytes < PACED_BYTES);
	/* Other errors pass, these say that the device is no more. */
	if ((n == -EBADFD || n == -ENODEV) && !t->closed)
		tap_lost(q, lane, (int)n);
}

static void tap_lane_ready(void *arg, unsigned lane)
{
	tap_drain(arg, lane);
}

/* Only here it may be closed meanwhile. */
static void tap_ready(void *arg, unsigned what)
{
	struct tap_queue *q = arg;
	struct os_tap *t = q->tap;

	(void)what;
	t->busy = true;
	tap_drain(q, 0);
	t->busy = false;
	if (t->closed)
		free(t);
}

/* Super-frames of this kind are not taken. */
static bool tap_refuses(const struct os_tap *t, uint8_t gso)
{
	if (gso == VNET_GSO_NONE)
		return false;
	return !offload_on(t->offloads.active, OFFLOAD_JOIN) ||
	       (gso == VNET_GSO_UDP && !offload_on(t->offloads.active, OFFLOAD_USO));
}

int tap_write(struct os *os, struct os_tap *t, unsigned lane, const struct vnet *v,
	      const struct iovec *iov, unsigned n)
{
	int fd = t->queues[lane ? lane - 1 : 0].fd;
	uint8_t hdr[VNET_HDR_BYTES];
	struct iovec all[1 + TAP_PARTS_MAX];

	(void)os;
	if (n > TAP_PARTS_MAX)
		return -EINVAL;
	if (tap_refuses(t, v->gso))
		return -EOPNOTSUPP;
	vnet_format(v, hdr);
	all[0] = (struct iovec){ .iov_base = hdr, .iov_len = sizeof(hdr) };
	memcpy(all + 1, iov, n * sizeof(*iov));
	return writev(fd, all, (int)(1 + n)) < 0 ? -errno : 0;
}

void tap_offloads(struct os *os, const struct os_tap *t, struct offloads *ret)
{
	(void)os;
	offload_add(ret, &t->offloads);
}

/* offloads */

static int ask_offload(const struct os_tap *t)
{
	static const struct {
		enum offload o;
		unsigned flags;
	} asks[] = {
		{ OFFLOAD_CHECKSUM, TUN_F_CSUM },
		{ OFFLOAD_TSO, TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN },
		{ OFFLOAD_USO, TUN_F_USO4 | TUN_F_USO6 },
	};
	unsigned flags = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(asks); i++)
		flags |= offload_on(t->offloads.active, asks[i].o) ? asks[i].flags : 0;
	return ioctl(tap_fd(t), TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

/* Asks for all, then for less and less; what it had to do without says why. */
static int set_offloads(struct os_tap *t)
{
	static const enum offload last_first[] = { OFFLOAD_USO, OFFLOAD_TSO, OFFLOAD_CHECKSUM };
	int r = ask_offload(t);

	for (unsigned i = 0; r < 0 && i < ARRAY_SIZE(last_first); i++) {
		offload_refuse(&t->offloads, last_first[i], "the kernel refused it for TAPs: %s%s",
			       strerror(-r),
			       last_first[i] == OFFLOAD_USO ? " (Linux 6.2 has it)" : "");
		r = ask_offload(t);
	}
	return r;
}

static void want_offloads(struct os_tap *t, unsigned offload)
{
	t->offloads.active = offload & TAP_PART;
	if (offload_on(offload, OFFLOAD_CHECKSUM))
		return;
	offload_refuse(&t->offloads, OFFLOAD_TSO, "needs checksum, which is switched off");
	offload_refuse(&t->offloads, OFFLOAD_USO, "needs checksum, which is switched off");
}

/* A minimal super-frame of `gso`: addresses, ports and payload are zeros. */
static int probe_write(const struct os_tap *t, enum vnet_gso gso)
{
	const bool tcp = gso == VNET_GSO_TCP4;
	const uint16_t l4 = 14 + 20, offset = tcp ? 16 : 6, payload = l4 + (tcp ? 20 : 8);
	const struct vnet v = { .csum = true,
				.csum_start = l4,
				.csum_offset = offset,
				.gso = (uint8_t)gso,
				.gso_size = 8 };
	uint8_t buf[VNET_HDR_BYTES + 14 + 20 + 20 + 16] = { 0 }, *frame = buf + VNET_HDR_BYTES;
	size_t len = (size_t)payload + 16;

	vnet_format(&v, buf);
	memcpy(frame, "\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0\x45", 15);
	frame[14 + 3] = (uint8_t)(len - 14);
	frame[14 + 9] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	frame[tcp ? l4 + 12 : l4 + 5] = tcp ? 5 << 4 : 8 + 16;
	return write(tap_fd(t), buf, VNET_HDR_BYTES + len) < 0 ? -errno : 0;
}

/*
 * Whether the kernel takes super-frames, which some stable kernels do not. The device is down: its
 * last word is EIO then, and nobody sees the frame; EINVAL comes before, from the header
 * (drivers/net/tun.c, tun_get_user()).
 */
static void probe_writes(struct os_tap *t)
{
	if (probe_write(t, VNET_GSO_TCP4) == -EINVAL)
		offload_refuse(&t->offloads, OFFLOAD_JOIN,
			       "the kernel takes no TCP super-frames from a TAP: %s",
			       strerror(EINVAL));
	if (probe_write(t, VNET_GSO_UDP) == -EINVAL)
		offload_refuse(&t->offloads, OFFLOAD_USO,
			       "the kernel takes no UDP super-frames from a TAP: %s",
			       strerror(EINVAL));
}

/* the device */

static int set_interface(int fd, const char *name, int flags)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags = (short)(flags | IFF_NO_CARRIER);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	/* Kernels that check flags and do not know this one. */
	if (errno == EINVAL) {
		ifr.ifr_flags = (short)flags;
		if (ioctl(fd, TUNSETIFF, &ifr) == 0)
			return 0;
	}
	/* With IFF_TUN_EXCL the answer for a name in use, by whatever kind of device. */
	return errno == EBUSY ? -EEXIST : -errno;
}

static int open_queue(struct os_tap *t, const char *name)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int flags = TAP_FLAGS;

	if (fd < 0)
		return -errno;
	/* It was ours alone when the first one made it; the carrier is set by each of them. */
	flags |= t->n ? 0 : IFF_TUN_EXCL;
	flags |= t->ol->lanes ? IFF_MULTI_QUEUE : 0;
	t->queues[t->n].tap = t;
	t->queues[t->n++].fd = fd;
	return set_interface(fd, name, flags);
}

static int set_up_queues(struct os_tap *t, unsigned offload)
{
	int header = VNET_HDR_BYTES;
	int carrier = 0;

	/* Kernels that ignore unknown flags have it up now; it is in no bridge yet. */
	if (ioctl(tap_fd(t), TUNSETCARRIER, &carrier) < 0)
		return -errno;
	if (ioctl(tap_fd(t), TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	want_offloads(t, offload);
	probe_writes(t);
	return set_offloads(t);
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

/*
 * The default, 500 frames, is less than what small frames at full rate make while this process
 * waits for its turn; more would only be delay. A device that refuses is slower, not wrong.
 */
static void set_queue_len(struct os_linux *ol, int ifindex, const char *name)
{
	int r = rtnl_set_txqueuelen(ol->rtnl, ifindex, QUEUE_LEN);

	if (r < 0)
		log_debug(LOG_KERNEL, "%s: txqueuelen: %s", name, strerror(-r));
	else
		log_debug(LOG_KERNEL, "%s: txqueuelen is %u now", name, QUEUE_LEN);
}

static int configure(struct os_linux *ol, int ifindex, const struct os_tap_params *p)
{
	int r = rtnl_set_mac(ol->rtnl, ifindex, p->mac);

	if (r == 0)
		r = rtnl_set_mtu(ol->rtnl, ifindex, p->mtu);
	if (r < 0)
		return r;
	quieten(ol, ifindex, p->name);
	set_queue_len(ol, ifindex, p->name);
	return rtnl_set_up(ol->rtnl, ifindex, true);
}

/* Only when all is done: before TUNSETIFF a descriptor reports errors all the time. */
static int watch(struct os_tap *t)
{
	struct os_linux *ol = t->ol;
	int r = 0;

	for (unsigned i = 0; i < t->n && r == 0; i++) {
		struct tap_queue *q = &t->queues[i];

		r = ol->lanes ? lane_fd_new(ol->lanes, i + 1, q->fd, tap_lane_ready, q,
					    &q->lane_event) :
				loop_fd_new(ol->loop, q->fd, tap_ready, q, &q->event);
	}
	return r;
}

static int create(struct os_tap *t, unsigned queues, const struct os_tap_params *p)
{
	int r = 0;

	for (unsigned i = 0; i < queues && r == 0; i++)
		r = open_queue(t, p->name);
	if (r == 0)
		r = set_up_queues(t, p->offload);
	if (r == 0)
		r = t->ifindex = get_ifindex(tap_fd(t));
	if (r > 0)
		r = configure(t->ol, t->ifindex, p);
	return r == 0 ? watch(t) : r;
}

int tap_open(struct os *os, const struct os_tap_params *p, const struct os_tap_ops *ops, void *arg,
	     struct os_tap **ret)
{
	unsigned queues = MAX(os->lanes - 1, 1u);
	struct os_tap *t = calloc(1, sizeof(*t) + queues * sizeof(t->queues[0]));
	int r;

	if (!t)
		return -ENOMEM;
	t->ol = os_linux(os);
	t->ops = ops;
	t->arg = arg;
	r = create(t, queues, p);
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

static void queue_empty(const struct tap_queue *q)
{
	uint8_t head[VNET_HDR_BYTES]; /* not `scratch`, which may hold what called us */

	for (unsigned i = 0; i < QUEUE_MAX; i++) {
		if (read(q->fd, head, sizeof(head)) <= 0)
			break;
	}
}

int tap_carrier(struct os *os, struct os_tap *t, bool on)
{
	int carrier = on;

	(void)os;
	/* What waits since before (we may have been stopped for long) is too old to be sent. */
	for (unsigned i = 0; on && i < t->n; i++)
		queue_empty(&t->queues[i]);
	return ioctl(tap_fd(t), TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

void tap_close(struct os *os, struct os_tap *t)
{
	if (!t)
		return;
	os->lane_forget(os, t);
	for (unsigned i = 0; i < t->n; i++) {
		loop_fd_free(t->queues[i].event);
		lane_fd_free(t->queues[i].lane_event);
		close(t->queues[i].fd);
	}
	t->closed = true;
	if (!t->busy)
		free(t);
}
