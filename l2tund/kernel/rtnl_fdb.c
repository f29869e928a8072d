/*
 * Bridges' forwarding tables: read as a whole (RTM_GETNEIGH of family AF_BRIDGE), and their
 * changes as they come. Entries of a bridge's own table carry NDA_MASTER; the others of the
 * same family are address filters of devices (NTF_SELF) and not meant here.
 *
 * Guests decide how many changes there are, so the watch has a socket of its own, with a
 * filter that keeps the IP neighbours of the same group out, and a limit. When the kernel
 * had to drop some (ENOBUFS), or the limit is met and the socket is left alone for a second,
 * lost() is told; again() follows when the queue has been emptied.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/kernel/rtnl_private.h"

#define EVENTS_PER_TURN 256
#define EVENTS_PER_WINDOW 32768 /* twice what a mirror holds: all of it may go at once */
#define WINDOW_US US_PER_S
#define EVENT_BYTES 4096 /* one message; these have some 100 bytes */

struct fdb_walk {
	int bridge;
	void (*fn)(void *arg, const struct os_fdb_entry *e);
	void *arg;
};

/* entries */

static void entry_age(struct os_fdb_entry *e, const struct nlattr *info)
{
	unsigned long hz =
		(unsigned long)sysconf(_SC_CLK_TCK); /* USER_HZ, what the times count in */
	struct nda_cacheinfo ci;

	if (!info || nla_len(info) < (int)sizeof(ci))
		return;
	memcpy(&ci, nla_data(info), sizeof(ci));
	e->age_ms = (unsigned)MIN((uint64_t)ci.ndm_updated * 1000 / hz, (uint64_t)UINT32_MAX);
}

/* False: it is not of a bridge's own table. */
static bool entry_parse(struct nlmsghdr *h, int *ret_bridge, struct os_fdb_entry *ret)
{
	const struct ndmsg *ndm = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	struct os_fdb_entry e = { 0 };

	if (nlmsg_parse(h, sizeof(*ndm), tb, NDA_MAX, NULL) < 0)
		return false;
	if (ndm->ndm_family != AF_BRIDGE || !tb[NDA_MASTER] || !tb[NDA_LLADDR] ||
	    nla_len(tb[NDA_LLADDR]) != sizeof(e.mac) || nla_len(tb[NDA_MASTER]) < 4)
		return false;
	memcpy(e.mac, nla_data(tb[NDA_LLADDR]), sizeof(e.mac));
	e.ifindex = ndm->ndm_ifindex;
	e.local = ndm->ndm_state & NUD_PERMANENT;
	e.stale = ndm->ndm_state & NUD_STALE;
	if (tb[NDA_VLAN] && nla_len(tb[NDA_VLAN]) >= 2)
		e.vlan = nla_get_u16(tb[NDA_VLAN]);
	entry_age(&e, tb[NDA_CACHEINFO]);
	*ret_bridge = (int)nla_get_u32(tb[NDA_MASTER]);
	*ret = e;
	return true;
}

/* the whole table */

static void fdb_reply(void *arg, struct nlmsghdr *h)
{
	const struct fdb_walk *w = arg;
	struct os_fdb_entry e;
	int bridge;

	/* Kernels that do not know the filter tell of all bridges. */
	if (h->nlmsg_type == RTM_NEWNEIGH && entry_parse(h, &bridge, &e) && bridge == w->bridge)
		w->fn(w->arg, &e);
}

int rtnl_fdb_dump(struct rtnl *r, int bridge, void (*fn)(void *arg, const struct os_fdb_entry *e),
		  void *arg)
{
	/* All kernels take a filter behind a header of this size, also those that want ndmsg. */
	const struct ifinfomsg ifi = { .ifi_family = AF_BRIDGE };
	struct fdb_walk w = { .bridge = bridge, .fn = fn, .arg = arg };
	struct nl_msg *msg = rtnl_link_request(RTM_GETNEIGH, NLM_F_DUMP, &ifi);
	int err;

	if (msg && nla_put_u32(msg, IFLA_MASTER, (uint32_t)bridge) < 0) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = rtnl_request(r, msg, fdb_reply, &w);
	/* The table moved while it was read: an entry more or less, as at any other time. */
	return err == -EINTR ? 0 : err;
}

/* changes */

static void watch_lose(struct fdb_watcher *w)
{
	if (w->lost)
		return;
	w->lost = true;
	w->ops->lost(w->arg);
}

static void event_message(struct fdb_watcher *w, struct nlmsghdr *h)
{
	struct os_fdb_entry e;
	int bridge;

	if (h->nlmsg_type != RTM_NEWNEIGH && h->nlmsg_type != RTM_DELNEIGH)
		return;
	if (entry_parse(h, &bridge, &e))
		w->ops->entry(w->arg, bridge, &e, h->nlmsg_type == RTM_DELNEIGH);
}

/* One datagram; libnl would copy each into memory of its own. False: none waits. */
static bool event_take(struct fdb_watcher *w)
{
	union {
		struct nlmsghdr h; /* aligns it */
		uint8_t bytes[EVENT_BYTES];
	} buf;
	struct sockaddr_nl from = { 0 };
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(nl_socket_get_fd(w->sock), &buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&from, &from_len);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 || n > (ssize_t)sizeof(buf))
		watch_lose(w);
	else if (!w->lost && from.nl_pid == 0) { /* the kernel's */
		int left = (int)n;

		for (struct nlmsghdr *h = &buf.h; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
			event_message(w, h);
	}
	return true;
}

/* Counts this one. True: there were too many; the socket is left alone for the time being. */
static bool watch_pause(struct rtnl *r, struct fdb_watcher *w)
{
	uint64_t now_us;

	if (++w->taken < EVENTS_PER_WINDOW)
		return false;
	now_us = loop_now_us();
	w->taken = 0;
	if (now_us - w->window_us >= WINDOW_US) {
		w->window_us = now_us;
		return false;
	}
	watch_lose(w);
	loop_fd_want(w->fd, 0);
	loop_timer_set(r->fdb.resume, now_us + WINDOW_US);
	return true;
}

static void watch_ready(void *arg, unsigned what)
{
	struct rtnl *r = arg;
	struct fdb_watcher *w = &r->fdb;

	(void)what;
	for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
		if (!event_take(w)) {
			if (w->lost) {
				w->lost = false;
				w->ops->again(w->arg);
			}
			return;
		}
		if (watch_pause(r, w))
			return;
	}
}

static void watch_resume(void *arg)
{
	struct rtnl *r = arg;

	r->fdb.taken = 0;
	r->fdb.window_us = loop_now_us();
	loop_fd_want(r->fdb.fd, LOOP_READ);
}

/* Messages that begin with struct ndmsg, whose first byte is the family. */
static int watch_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_BRIDGE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

static void watch_end(struct fdb_watcher *w)
{
	loop_fd_free(w->fd);
	loop_timer_free(w->resume);
	if (w->sock)
		nl_socket_free(w->sock);
	*w = (struct fdb_watcher){ 0 };
}

int rtnl_fdb_watch(struct rtnl *r, const struct os_fdb_ops *ops, void *arg)
{
	struct fdb_watcher *w = &r->fdb;
	int err;

	watch_end(w);
	if (!ops)
		return 0;
	w->ops = ops;
	w->arg = arg;
	w->window_us = loop_now_us();
	err = rtnl_listen(RTNLGRP_NEIGH, &w->sock);
	if (err == 0)
		err = watch_filter(nl_socket_get_fd(w->sock));
	if (err == 0)
		err = loop_timer_new(r->loop, watch_resume, r, &w->resume);
	if (err == 0)
		err = loop_fd_new(r->loop, nl_socket_get_fd(w->sock), watch_ready, r, &w->fd);
	if (err < 0)
		watch_end(w);
	return err;
}

int rtnl_set_fdb_buffer(struct rtnl *r, int bytes)
{
	int fd = nl_socket_get_fd(r->fdb.sock);

	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ? -errno : 0;
}
