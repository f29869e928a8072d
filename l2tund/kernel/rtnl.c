/*
 * The two rtnetlink sockets. `events` only listens, is non-blocking and has a large buffer; `ask`
 * is blocking and carries requests, one at a time.
 *
 * The order that keeps the table right: an event never overtakes a read. A change of ours
 * first lets the kernel acknowledge, by which time its events are queued; then the queue is
 * emptied; then the link is read. So no older event can undo what the caller was shown.
 *
 * When the kernel had to drop events (ENOBUFS, which libnl reports as NLE_NOMEM) the queue is
 * emptied and everything is read again.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/kernel/rtnl_private.h"

#define EVENT_BUFFER_BYTES (4 * 1024 * 1024)
#define EVENTS_PER_TURN 512   /* messages taken in one callback */
#define EVENTS_PER_READ 65536 /* and before a read back; more than the buffer holds */
#define DUMP_TRIES 8	      /* a dump that changed underneath is asked for again */

int rtnl_errno(int nlerr)
{
	static const struct {
		int nle, err;
	} map[] = {
		{ NLE_INTR, EINTR },
		{ NLE_BAD_SOCK, EBADF },
		{ NLE_AGAIN, EAGAIN },
		{ NLE_NOMEM, ENOMEM },
		{ NLE_EXIST, EEXIST },
		{ NLE_INVAL, EINVAL },
		{ NLE_RANGE, ERANGE },
		{ NLE_MSGSIZE, EMSGSIZE },
		{ NLE_OPNOTSUPP, EOPNOTSUPP },
		{ NLE_AF_NOSUPPORT, EAFNOSUPPORT },
		{ NLE_OBJ_NOTFOUND, ENOENT },
		{ NLE_NODEV, ENODEV },
		{ NLE_PERM, EPERM },
		{ NLE_NOACCESS, EACCES },
		{ NLE_BUSY, EBUSY },
		{ NLE_NOADDR, EADDRNOTAVAIL },
		{ NLE_DUMP_INTR, EINTR },
		{ NLE_MSG_TRUNC, EMSGSIZE },
		{ NLE_MSG_OVERFLOW, EMSGSIZE },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
		if (map[i].nle == abs(nlerr))
			return -map[i].err;
	}
	return nlerr ? -EIO : 0;
}

/* requests */

static void ask_fini(struct rtnl *r)
{
	if (r->ask)
		nl_socket_free(r->ask);
	r->ask = NULL;
}

static int ask_init(struct rtnl *r)
{
	int n;

	r->ask = nl_socket_alloc();
	if (!r->ask)
		return -ENOMEM;
	n = nl_connect(r->ask, NETLINK_ROUTE);
	if (n == 0)
		return 0;
	ask_fini(r);
	return rtnl_errno(n);
}

struct answer {
	rtnl_reply_fn fn;
	void *arg;
	bool done;
	int err;
};

static int answer_valid(struct nl_msg *msg, void *arg)
{
	struct answer *a = arg;

	if (a->fn)
		a->fn(a->arg, nlmsg_hdr(msg));
	return NL_OK;
}

static int answer_done(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *h = nlmsg_hdr(msg);
	struct answer *a = arg;

	/* A dump that failed half way says so in its last message. */
	if (h->nlmsg_type == NLMSG_DONE && nlmsg_datalen(h) >= (int)sizeof(a->err))
		memcpy(&a->err, nlmsg_data(h), sizeof(a->err));
	a->err = MIN(a->err, 0);
	a->done = true;
	return NL_STOP;
}

static int answer_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct answer *a = arg;

	(void)from;
	a->err = e->error;
	a->done = true;
	return NL_STOP;
}

static int answer_wait(struct rtnl *r, struct answer *a)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int n = 0;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, answer_valid, a);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, answer_done, a);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, answer_done, a);
	nl_cb_err(cb, NL_CB_CUSTOM, answer_error, a);
	while (!a->done && (n >= 0 || n == -NLE_INTR))
		n = nl_recvmsgs(r->ask, cb);
	nl_cb_put(cb);
	if (a->err)
		return a->err;
	return n < 0 ? rtnl_errno(n) : 0;
}

int rtnl_request(struct rtnl *r, struct nl_msg *msg, rtnl_reply_fn fn, void *arg)
{
	struct answer a = { .fn = fn, .arg = arg };
	int n;

	if (!msg)
		return -ENOMEM;
	/* libnl asks for an ACK by itself; a dump ends with NLMSG_DONE instead. */
	n = r->ask ? 0 : ask_init(r);
	if (n == 0)
		n = rtnl_errno(MIN(nl_send_auto(r->ask, msg), 0));
	nlmsg_free(msg);
	if (n < 0)
		return n;
	n = answer_wait(r, &a);
	if (!a.done)
		ask_fini(r); /* what is left of this answer must not meet the next request */
	return n;
}

struct nl_msg *rtnl_link_request(int type, int flags, const struct ifinfomsg *ifi)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)ifi, sizeof(*ifi), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* reading */

static void reply_to_table(void *arg, struct nlmsghdr *h)
{
	table_message(arg, h);
}

static struct nl_msg *read_request(int index, const char *name, int flags)
{
	const struct ifinfomsg ifi = { .ifi_index = index };
	struct nl_msg *msg = rtnl_link_request(RTM_GETLINK, flags, &ifi);

	if (!msg)
		return NULL;
	if (nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0 ||
	    (name && nla_put_string(msg, IFLA_IFNAME, name) < 0)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int read_all(struct rtnl *r)
{
	int err = -EINTR;

	for (unsigned i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		table_begin(&r->table);
		err = rtnl_request(r, read_request(0, NULL, NLM_F_DUMP), reply_to_table, &r->table);
	}
	/* An interrupted dump may lack links that exist: nothing is taken away on its word. */
	if (err == 0)
		table_end(&r->table);
	return err;
}

/* events */

static int event_valid(struct nl_msg *msg, void *arg)
{
	struct rtnl *r = arg;

	table_message(&r->table, nlmsg_hdr(msg));
	return NL_OK;
}

/* True when the queue is empty. */
static bool events_take(struct rtnl *r, unsigned budget)
{
	while (budget--) {
		int n = nl_recvmsgs_default(r->events);

		if (n == -NLE_AGAIN)
			return true;
		if (n == -NLE_NOMEM)
			r->lost = true;
		else if (n < 0 && n != -NLE_INTR) {
			log_debug(LOG_KERNEL, "links: event not understood: %s", nl_geterror(n));
			r->lost = true;
		}
	}
	return false;
}

static void resync(struct rtnl *r)
{
	int err;

	r->lost = false;
	r->resyncs++;
	err = read_all(r);
	log_info(LOG_KERNEL, "links: events were lost, everything was read again%s%s",
		 err < 0 ? ": " : "", err < 0 ? strerror(-err) : "");
	if (err < 0)
		loop_timer_set(r->retry, loop_now_us() + US_PER_S);
}

static void retry_due(void *arg)
{
	struct rtnl *r = arg;

	resync(r);
	rtnl_notify_later(r);
}

void rtnl_notify_later(struct rtnl *r)
{
	if (r->table.changed)
		loop_timer_set(r->notify, 0);
}

static void notify_due(void *arg)
{
	struct rtnl *r = arg;

	if (table_settle(&r->table) && r->fn)
		r->fn(r->arg);
}

static void events_ready(void *arg, unsigned what)
{
	struct rtnl *r = arg;

	(void)what;
	/* Losses are repaired only with an empty queue: what waits there is older than the read. */
	if (events_take(r, EVENTS_PER_TURN) && r->lost)
		resync(r);
	notify_due(r);
}

static int read_back(struct rtnl *r, int index, const char *name)
{
	int err;

	if (events_take(r, EVENTS_PER_READ) && r->lost)
		resync(r);
	err = rtnl_request(r, read_request(index, name, 0), reply_to_table, &r->table);
	if (err == -ENODEV && index)
		table_remove(&r->table, index);
	rtnl_notify_later(r);
	return err;
}

int rtnl_read_back(struct rtnl *r, int index)
{
	return read_back(r, index, NULL);
}

int rtnl_read_back_name(struct rtnl *r, const char *name)
{
	return read_back(r, 0, name);
}

/* the table, as others see it */

void rtnl_watch(struct rtnl *r, void (*fn)(void *arg), void *arg)
{
	r->fn = fn;
	r->arg = arg;
}

const struct os_link *rtnl_by_name(const struct rtnl *r, const char *name)
{
	for (unsigned i = 0; i < r->table.live.n; i++) {
		if (strcmp(r->table.live.at[i]->link.name, name) == 0)
			return &r->table.live.at[i]->link;
	}
	return NULL;
}

const struct os_link *rtnl_by_index(const struct rtnl *r, int index)
{
	return table_find(&r->table, index, NULL);
}

const struct os_link *rtnl_next(const struct rtnl *r, const struct os_link *prev)
{
	unsigned at = 0;

	/* By index, not by place: the caller may have changed the table since. */
	if (prev)
		table_find(&r->table, prev->index + 1, &at);
	return at < r->table.live.n ? &r->table.live.at[at]->link : NULL;
}

unsigned rtnl_resyncs(const struct rtnl *r)
{
	return r->resyncs;
}

int rtnl_set_event_buffer(struct rtnl *r, int bytes)
{
	int fd = nl_socket_get_fd(r->events);

	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ? -errno : 0;
}

/* setting up */

static void event_buffer_init(int fd)
{
	int bytes = EVENT_BUFFER_BYTES;

	/* Beyond net.core.rmem_max only with CAP_NET_ADMIN in the initial namespace. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

int rtnl_listen(int group, struct nl_sock **ret)
{
	int n;

	*ret = nl_socket_alloc();
	if (!*ret)
		return -ENOMEM;
	nl_socket_disable_seq_check(*ret);
	n = nl_connect(*ret, NETLINK_ROUTE);
	if (n == 0)
		n = nl_socket_set_nonblocking(*ret);
	if (n < 0)
		return rtnl_errno(n);
	event_buffer_init(nl_socket_get_fd(*ret));
	return rtnl_errno(nl_socket_add_membership(*ret, group));
}

static int events_init(struct rtnl *r)
{
	int err = rtnl_listen(RTNLGRP_LINK, &r->events);

	if (err < 0)
		return err;
	nl_socket_modify_cb(r->events, NL_CB_VALID, NL_CB_CUSTOM, event_valid, r);
	return loop_fd_new(r->loop, nl_socket_get_fd(r->events), events_ready, r, &r->events_fd);
}

int rtnl_new(struct loop *loop, struct rtnl **ret)
{
	struct rtnl *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	err = loop_timer_new(loop, notify_due, r, &r->notify);
	if (err == 0)
		err = loop_timer_new(loop, retry_due, r, &r->retry);
	/* Listen first, read then: nothing falls in between. */
	if (err == 0)
		err = events_init(r);
	if (err == 0)
		err = read_all(r);
	if (err < 0) {
		rtnl_free(r);
		return err;
	}
	table_settle(&r->table);
	*ret = r;
	return 0;
}

void rtnl_free(struct rtnl *r)
{
	if (!r)
		return;
	rtnl_fdb_watch(r, NULL, NULL);
	loop_fd_free(r->events_fd);
	loop_timer_free(r->notify);
	loop_timer_free(r->retry);
	if (r->events)
		nl_socket_free(r->events);
	ask_fini(r);
	table_fini(&r->table);
	free(r);
}
