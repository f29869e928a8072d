/*
 * The table of struct os for the running kernel. Clocks, randomness and thin adapters are here,
 * the rest is elsewhere in this folder.
 */
#include "l2tund/kernel/os_linux.h"
#include "l2tund/kernel/lanes.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include "common/util.h"

static uint64_t os_now_us(struct os *os)
{
	(void)os;
	return loop_now_us();
}

static uint64_t os_wall_s(struct os *os)
{
	(void)os;
	return (uint64_t)time(NULL);
}

static void os_random(struct os *os, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)os;
	while (len) {
		ssize_t n = getrandom(p, len, 0);

		/* Nothing but a signal interrupts it; keys without randomness are no keys. */
		if (n < 0 && errno != EINTR)
			abort();
		n = MAX(n, 0);
		p += n;
		len -= (size_t)n;
	}
}

/* struct os_timer and struct os_query are the loop's own under another name. */

static int os_timer_new(struct os *os, void (*fn)(void *arg), void *arg, struct os_timer **ret)
{
	return loop_timer_new(os_linux(os)->loop, fn, arg, (struct loop_timer **)ret);
}

static void os_timer_set(struct os *os, struct os_timer *t, uint64_t deadline_us)
{
	(void)os;
	loop_timer_set((struct loop_timer *)t, deadline_us);
}

static void os_timer_free(struct os *os, struct os_timer *t)
{
	(void)os;
	loop_timer_free((struct loop_timer *)t);
}

static int os_resolve(struct os *os, const char *host, uint16_t port,
		      void (*fn)(void *arg, const struct addr *addrs, unsigned n,
				 const char *error),
		      void *arg, struct os_query **ret)
{
	return loop_resolve(os_linux(os)->loop, host, port, fn, arg, (struct loop_query **)ret);
}

static void os_resolve_cancel(struct os *os, struct os_query *q)
{
	(void)os;
	loop_resolve_cancel((struct loop_query *)q);
}

static int os_links_watch(struct os *os, void (*fn)(void *arg), void *arg)
{
	rtnl_watch(os_linux(os)->rtnl, fn, arg);
	return 0;
}

static const struct os_link *os_link_by_name(struct os *os, const char *name)
{
	return rtnl_by_name(os_linux(os)->rtnl, name);
}

static const struct os_link *os_link_by_index(struct os *os, int index)
{
	return rtnl_by_index(os_linux(os)->rtnl, index);
}

static const struct os_link *os_link_next(struct os *os, const struct os_link *prev)
{
	return rtnl_next(os_linux(os)->rtnl, prev);
}

static int os_link_set_mtu(struct os *os, int index, unsigned mtu)
{
	return rtnl_set_mtu(os_linux(os)->rtnl, index, mtu);
}

static int os_link_set_mac(struct os *os, int index, const uint8_t mac[6])
{
	return rtnl_set_mac(os_linux(os)->rtnl, index, mac);
}

static int os_link_set_up(struct os *os, int index, bool up)
{
	return rtnl_set_up(os_linux(os)->rtnl, index, up);
}

static int os_link_set_master(struct os *os, int index, int master)
{
	return rtnl_set_master(os_linux(os)->rtnl, index, master);
}

static int os_port_set_isolated(struct os *os, int index, bool on)
{
	return rtnl_set_isolated(os_linux(os)->rtnl, index, on);
}

static int os_port_flush(struct os *os, int index)
{
	return rtnl_flush(os_linux(os)->rtnl, index);
}

static int os_bridge_add(struct os *os, const char *name, bool stp, unsigned forward_delay_s)
{
	return rtnl_bridge_add(os_linux(os)->rtnl, name, stp, forward_delay_s);
}

static int os_fdb_dump(struct os *os, int bridge,
		       void (*fn)(void *arg, const struct os_fdb_entry *e), void *arg)
{
	return rtnl_fdb_dump(os_linux(os)->rtnl, bridge, fn, arg);
}

static int os_fdb_watch(struct os *os, const struct os_fdb_ops *ops, void *arg)
{
	return rtnl_fdb_watch(os_linux(os)->rtnl, ops, arg);
}

static bool os_lane_post(struct os *os, void (*fn)(void *arg, void *data, size_t len), void *arg,
			 const struct iovec *iov, unsigned n)
{
	return lanes_post(os_linux(os)->lanes, fn, arg, iov, n);
}

static void os_lane_posted(struct os *os, void (*fn)(void *arg), void *arg)
{
	if (os_linux(os)->lanes)
		lanes_on_posts(os_linux(os)->lanes, fn, arg);
}

static void os_lane_forget(struct os *os, const void *arg)
{
	if (os_linux(os)->lanes)
		lanes_forget(os_linux(os)->lanes, arg);
}

static const struct os table = {
	.lanes = 1,
	.lane_post = os_lane_post,
	.lane_posted = os_lane_posted,
	.lane_forget = os_lane_forget,
	.now_us = os_now_us,
	.wall_s = os_wall_s,
	.random = os_random,
	.timer_new = os_timer_new,
	.timer_set = os_timer_set,
	.timer_free = os_timer_free,
	.resolve = os_resolve,
	.resolve_cancel = os_resolve_cancel,
	.udp_open = udp_open,
	.udp_send = udp_send,
	.udp_offloads = udp_offloads,
	.udp_close = udp_close,
	.tap_open = tap_open,
	.tap_ifindex = tap_ifindex,
	.tap_carrier = tap_carrier,
	.tap_write = tap_write,
	.tap_offloads = tap_offloads,
	.tap_close = tap_close,
	.links_watch = os_links_watch,
	.link_by_name = os_link_by_name,
	.link_by_index = os_link_by_index,
	.link_next = os_link_next,
	.link_set_mtu = os_link_set_mtu,
	.link_set_mac = os_link_set_mac,
	.link_set_up = os_link_set_up,
	.link_set_master = os_link_set_master,
	.port_set_isolated = os_port_set_isolated,
	.port_flush = os_port_flush,
	.bridge_add = os_bridge_add,
	.bridge_filters = bridge_filters,
	.fdb_dump = os_fdb_dump,
	.fdb_watch = os_fdb_watch,
	.tap_owner = tap_owner,
	.packet_open = packet_open,
	.packet_send = packet_send,
	.packet_close = packet_close,
	.listen = unix_listen,
	.listener_close = unix_listener_close,
	.conn_send = unix_conn_send,
	.conn_close = unix_conn_close,
};

/* Of which only the pages are used that something was ever read to; no huge ones. */
static uint8_t *scratch_new(unsigned lanes)
{
	size_t size = lanes * SCRATCH_BYTES;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

int os_linux_new(struct loop *loop, struct os **ret)
{
	struct os_linux *ol = calloc(1, sizeof(*ol));
	int r;

	if (!ol)
		return -ENOMEM;
	ol->os = table;
	ol->os.priv = ol;
	ol->loop = loop;
	LIST_INIT(&ol->conns);
	ol->scratch = scratch_new(1);
	r = ol->scratch ? rtnl_new(loop, &ol->rtnl) : -ENOMEM;
	if (r < 0) {
		os_linux_free(&ol->os);
		return r;
	}
	*ret = &ol->os;
	return 0;
}

int os_linux_lanes(struct os *os, unsigned lanes)
{
	struct os_linux *ol = os_linux(os);
	uint8_t *scratch = scratch_new(1 + lanes);

	if (!scratch)
		return -ENOMEM;
	munmap(ol->scratch, SCRATCH_BYTES);
	ol->scratch = scratch;
	os->lanes = 1 + lanes;
	return lanes_new(ol->loop, lanes, &ol->lanes);
}

int os_linux_start(struct os *os)
{
	return os_linux(os)->lanes ? lanes_start(os_linux(os)->lanes) : 0;
}

void os_linux_free(struct os *os)
{
	struct os_linux *ol;

	if (!os)
		return;
	ol = os->priv;
	unix_drop_all(ol);
	lanes_free(ol->lanes);
	rtnl_free(ol->rtnl);
	if (ol->scratch)
		munmap(ol->scratch, os->lanes * SCRATCH_BYTES);
	free(ol);
}
