/*
 * A bridge's forwarding table, read as a whole: RTM_GETNEIGH of family AF_BRIDGE. Entries
 * of the bridge's own table carry NDA_MASTER; the others in the same dump are address
 * filters of devices (NTF_SELF) and not meant here.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/util.h"
#include "l2tund/kernel/rtnl_private.h"

struct fdb_walk {
	int bridge;
	void (*fn)(void *arg, const struct os_fdb_entry *e);
	void *arg;
};

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

static void fdb_reply(void *arg, struct nlmsghdr *h)
{
	const struct fdb_walk *w = arg;
	const struct ndmsg *ndm = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	struct os_fdb_entry e = { 0 };

	if (h->nlmsg_type != RTM_NEWNEIGH || nlmsg_parse(h, sizeof(*ndm), tb, NDA_MAX, NULL) < 0)
		return;
	if (ndm->ndm_family != AF_BRIDGE || !tb[NDA_MASTER] || !tb[NDA_LLADDR] ||
	    nla_len(tb[NDA_LLADDR]) != sizeof(e.mac) || nla_len(tb[NDA_MASTER]) < 4)
		return;
	/* Kernels that do not know the filter tell of all bridges. */
	if ((int)nla_get_u32(tb[NDA_MASTER]) != w->bridge)
		return;
	memcpy(e.mac, nla_data(tb[NDA_LLADDR]), sizeof(e.mac));
	e.ifindex = ndm->ndm_ifindex;
	e.local = ndm->ndm_state & NUD_PERMANENT;
	if (tb[NDA_VLAN] && nla_len(tb[NDA_VLAN]) >= 2)
		e.vlan = nla_get_u16(tb[NDA_VLAN]);
	entry_age(&e, tb[NDA_CACHEINFO]);
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
