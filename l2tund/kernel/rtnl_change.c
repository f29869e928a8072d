/*
 * Changes to links. The plain ones are built by libnl-route; what it has no setter for (port
 * attributes, bridge options) goes as raw attributes. Every change is read back: for port
 * attributes the kernel has been seen to answer "done" without doing it.
 */
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <sys/random.h>

#include "common/util.h"
#include "l2tund/kernel/rtnl_private.h"

#define BRIDGE_ALIAS "l2tund"
#define FORWARD_DELAY_MAX_S 30 /* BR_MAX_FORWARD_DELAY of the kernel */

static void cleanup_link(struct rtnl_link **l)
{
	if (*l)
		rtnl_link_put(*l);
}

static void cleanup_msg(struct nl_msg **m)
{
	if (*m)
		nlmsg_free(*m);
}

static int link_change(struct rtnl *r, int index, struct rtnl_link *changes)
{
	_cleanup_(cleanup_link) struct rtnl_link *orig = rtnl_link_alloc();
	struct nl_msg *msg;
	int n;

	if (!orig)
		return -ENOMEM;
	rtnl_link_set_ifindex(orig, index);
	n = rtnl_link_build_change_request(orig, changes, 0, &msg);
	if (n < 0)
		return rtnl_errno(n);
	n = rtnl_request(r, msg, NULL, NULL);
	if (n < 0)
		return n;
	return rtnl_read_back(r, index);
}

/* The link after a change, or NULL: somebody deleted it at once. */
static const struct os_link *changed(struct rtnl *r, int index, int *ret_err)
{
	const struct os_link *l = rtnl_by_index(r, index);

	if (!l)
		*ret_err = -ENODEV;
	return l;
}

int rtnl_set_mtu(struct rtnl *r, int index, unsigned mtu)
{
	_cleanup_(cleanup_link) struct rtnl_link *changes = rtnl_link_alloc();
	const struct os_link *l;
	int err;

	if (!changes)
		return -ENOMEM;
	rtnl_link_set_mtu(changes, mtu);
	err = link_change(r, index, changes);
	if (err < 0 || !(l = changed(r, index, &err)))
		return err;
	/* A bridge takes its new MTU at the next change of a port. */
	if (l->master)
		rtnl_read_back(r, l->master);
	return l->mtu == mtu ? 0 : -EIO;
}

int rtnl_set_txqueuelen(struct rtnl *r, int index, unsigned frames)
{
	_cleanup_(cleanup_link) struct rtnl_link *changes = rtnl_link_alloc();

	if (!changes)
		return -ENOMEM;
	rtnl_link_set_txqlen(changes, frames);
	return link_change(r, index, changes);
}

int rtnl_set_mac(struct rtnl *r, int index, const uint8_t mac[6])
{
	_cleanup_(cleanup_link) struct rtnl_link *changes = rtnl_link_alloc();
	struct nl_addr *addr = nl_addr_build(AF_LLC, (void *)(uintptr_t)mac, 6);
	const struct os_link *l;
	int err;

	if (!changes || !addr) {
		nl_addr_put(addr);
		return -ENOMEM;
	}
	rtnl_link_set_addr(changes, addr);
	nl_addr_put(addr);
	err = link_change(r, index, changes);
	if (err < 0 || !(l = changed(r, index, &err)))
		return err;
	return memcmp(l->mac, mac, 6) == 0 ? 0 : -EIO;
}

int rtnl_set_up(struct rtnl *r, int index, bool up)
{
	_cleanup_(cleanup_link) struct rtnl_link *changes = rtnl_link_alloc();
	const struct os_link *l;
	int err;

	if (!changes)
		return -ENOMEM;
	if (up)
		rtnl_link_set_flags(changes, IFF_UP);
	else
		rtnl_link_unset_flags(changes, IFF_UP);
	err = link_change(r, index, changes);
	if (err < 0 || !(l = changed(r, index, &err)))
		return err;
	return l->up == up ? 0 : -EIO;
}

int rtnl_set_master(struct rtnl *r, int index, int master)
{
	_cleanup_(cleanup_link) struct rtnl_link *changes = rtnl_link_alloc();
	const struct os_link *l = rtnl_by_index(r, index);
	int old = l ? l->master : 0;
	int err;

	if (!changes)
		return -ENOMEM;
	rtnl_link_set_master(changes, master);
	err = link_change(r, index, changes);
	/* Coming and going ports change a bridge's MAC, MTU and carrier. */
	if (old && old != master)
		rtnl_read_back(r, old);
	if (master)
		rtnl_read_back(r, master);
	if (err < 0 || !(l = changed(r, index, &err)))
		return err;
	return l->master == master ? 0 : -EIO;
}

int rtnl_set_no_addrgen(struct rtnl *r, int index)
{
	const struct ifinfomsg ifi = { .ifi_index = index };
	_cleanup_(cleanup_msg) struct nl_msg *msg = rtnl_link_request(RTM_SETLINK, 0, &ifi);
	struct nlattr *spec, *inet6;

	if (!msg)
		return -ENOMEM;
	spec = nla_nest_start(msg, IFLA_AF_SPEC);
	inet6 = spec ? nla_nest_start(msg, AF_INET6) : NULL;
	if (!inet6 || nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) < 0)
		return -ENOMEM;
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, spec);
	return rtnl_request(r, steal(msg), NULL, NULL);
}

/* One attribute of a bridge port, IFLA_BRPORT_*; `size` 0 for flags like FLUSH. */
static int port_change(struct rtnl *r, int index, int attr, const void *value, int size)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_BRIDGE, .ifi_index = index };
	_cleanup_(cleanup_msg) struct nl_msg *msg = rtnl_link_request(RTM_SETLINK, 0, &ifi);
	struct nlattr *nest;

	if (!msg)
		return -ENOMEM;
	/* Without NLA_F_NESTED the kernel takes it for the state byte of old interfaces. */
	nest = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
	if (!nest || nla_put(msg, attr, size, value) < 0)
		return -ENOMEM;
	nla_nest_end(msg, nest);
	return rtnl_request(r, steal(msg), NULL, NULL);
}

int rtnl_set_isolated(struct rtnl *r, int index, bool on)
{
	uint8_t value = on;
	const struct os_link *l;
	int err = port_change(r, index, IFLA_BRPORT_ISOLATED, &value, sizeof(value));

	if (err == 0)
		err = rtnl_read_back(r, index);
	if (err < 0 || !(l = changed(r, index, &err)))
		return err;
	return l->isolated == on ? 0 : -EOPNOTSUPP;
}

int rtnl_flush(struct rtnl *r, int index)
{
	return port_change(r, index, IFLA_BRPORT_FLUSH, NULL, 0);
}

static int put_bridge(struct nl_msg *msg, bool stp, unsigned forward_delay_s)
{
	unsigned long hz =
		(unsigned long)sysconf(_SC_CLK_TCK); /* USER_HZ, what the attribute counts in */
	struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO), *data;

	if (!info || nla_put_string(msg, IFLA_INFO_KIND, "bridge") < 0)
		return -ENOMEM;
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	if (!data ||
	    nla_put_u32(msg, IFLA_BR_FORWARD_DELAY, (uint32_t)(forward_delay_s * hz)) < 0 ||
	    nla_put_u32(msg, IFLA_BR_STP_STATE, stp) < 0)
		return -ENOMEM;
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return 0;
}

static int bridge_create(struct rtnl *r, const char *name, bool stp, unsigned forward_delay_s)
{
	const struct ifinfomsg ifi = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	_cleanup_(cleanup_msg) struct nl_msg *msg =
		rtnl_link_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi);
	uint8_t mac[6];

	if (!msg)
		return -ENOMEM;
	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return -EIO;
	mac[0] = 0x02; /* locally administered; given by us, so it does not follow the ports */
	if (nla_put_string(msg, IFLA_IFNAME, name) < 0 ||
	    nla_put(msg, IFLA_ADDRESS, sizeof(mac), mac) < 0 ||
	    put_bridge(msg, stp, forward_delay_s) < 0)
		return -ENOMEM;
	return rtnl_request(r, steal(msg), NULL, NULL);
}

static int set_alias(struct rtnl *r, int index, const char *alias)
{
	const struct ifinfomsg ifi = { .ifi_index = index };
	_cleanup_(cleanup_msg) struct nl_msg *msg = rtnl_link_request(RTM_SETLINK, 0, &ifi);

	/* Without the NUL, which the kernel would keep as a part of it. */
	if (!msg || nla_put(msg, IFLA_IFALIAS, (int)strlen(alias), alias) < 0)
		return -ENOMEM;
	return rtnl_request(r, steal(msg), NULL, NULL);
}

static void link_delete(struct rtnl *r, int index)
{
	const struct ifinfomsg ifi = { .ifi_index = index };

	if (rtnl_request(r, rtnl_link_request(RTM_DELLINK, 0, &ifi), NULL, NULL) == 0)
		rtnl_read_back(r, index);
}

int rtnl_bridge_add(struct rtnl *r, const char *name, bool stp, unsigned forward_delay_s)
{
	const struct os_link *l;
	int err;

	if (strlen(name) >= IFNAMSIZ || forward_delay_s > FORWARD_DELAY_MAX_S)
		return -EINVAL;
	err = bridge_create(r, name, stp, forward_delay_s);
	if (err == 0)
		err = rtnl_read_back_name(r, name);
	if (err < 0)
		return err;
	l = rtnl_by_name(r, name);
	if (!l)
		return -ENODEV;
	/* The mark cannot be given at birth. A bridge without it would be nobody's. */
	err = set_alias(r, l->index, BRIDGE_ALIAS);
	if (err < 0) {
		link_delete(r, l->index);
		return err;
	}
	return rtnl_read_back(r, l->index);
}
