/*
 * The table of links: what RTM_NEWLINK and RTM_DELLINK messages say, reduced to struct os_link.
 *
 * A bridge sends messages of family AF_BRIDGE about its ports besides the usual ones. Its
 * RTM_DELLINK means "left the bridge", not "is gone", and its RTM_NEWLINK has the port's
 * attributes in IFLA_PROTINFO; the usual messages have them in IFLA_INFO_SLAVE_DATA.
 *
 * Entries never move: pointers handed out stay good until the loop turns, removed ones too.
 */
#include <errno.h>
#include <net/if.h>
/* behind net/if.h, which lacks IFF_LOWER_UP */
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/log.h"
#include "common/util.h"
#include "l2tund/kernel/rtnl_private.h"

const struct os_link *table_find(const struct table *t, int index, unsigned *ret_at)
{
	unsigned lo = 0, hi = t->live.n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (t->live.at[mid]->link.index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (ret_at)
		*ret_at = lo;
	return lo < t->live.n && t->live.at[lo]->link.index == index ? &t->live.at[lo]->link : NULL;
}

static int list_insert(struct table_list *l, unsigned at, struct table_entry *e)
{
	unsigned more = l->size ? l->size * 2 : 16;
	struct table_entry **bigger;

	if (l->n == l->size) {
		bigger = reallocarray(l->at, more, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		l->at = bigger;
		l->size = more;
	}
	memmove(&l->at[at + 1], &l->at[at], (l->n - at) * sizeof(*l->at));
	l->at[at] = e;
	l->n++;
	return 0;
}

static void list_fini(struct table_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->at[i]);
	free(l->at);
	*l = (struct table_list){ 0 };
}

static void table_insert(struct table *t, unsigned at, const struct os_link *fresh)
{
	struct table_entry *e;

	if (t->live.n >= RTNL_LINKS_MAX) {
		if (!t->full)
			log_warn(LOG_KERNEL, "links: more than %d, the rest is not seen",
				 RTNL_LINKS_MAX);
		t->full = true;
		return;
	}
	e = malloc(sizeof(*e));
	if (!e)
		return;
	e->link = *fresh;
	e->round = t->round;
	if (list_insert(&t->live, at, e) < 0) {
		free(e);
		return;
	}
	t->changed = true;
}

static void table_bury(struct table *t, unsigned at)
{
	struct table_list *l = &t->live;

	/* Without memory for the burial the entry is leaked: somebody may still look at it. */
	list_insert(&t->buried, t->buried.n, l->at[at]);
	l->n--;
	memmove(&l->at[at], &l->at[at + 1], (l->n - at) * sizeof(*l->at));
	t->changed = true;
	t->full = false;
}

void table_remove(struct table *t, int index)
{
	unsigned at;

	if (table_find(t, index, &at))
		table_bury(t, at);
}

static enum os_link_kind kind_parse(const char *kind)
{
	if (strcmp(kind, "bridge") == 0)
		return OS_LINK_BRIDGE;
	if (strcmp(kind, "tun") == 0)
		return OS_LINK_TUN;
	if (strcmp(kind, "veth") == 0)
		return OS_LINK_VETH;
	return OS_LINK_OTHER;
}

static void parse_port(struct os_link *l, struct nlattr *nest)
{
	struct nlattr *isolated = nla_find(nla_data(nest), nla_len(nest), IFLA_BRPORT_ISOLATED);
	struct nlattr *learning = nla_find(nla_data(nest), nla_len(nest), IFLA_BRPORT_LEARNING);

	if (isolated && nla_len(isolated) >= 1)
		l->isolated = nla_get_u8(isolated) != 0;
	if (learning && nla_len(learning) >= 1)
		l->learning_off = nla_get_u8(learning) == 0;
}

static void parse_bridge(struct os_link *l, struct nlattr *data)
{
	unsigned long hz = (unsigned long)sysconf(_SC_CLK_TCK); /* USER_HZ, what the time is in */
	struct nlattr *tb[IFLA_BR_MAX + 1];

	if (nla_parse_nested(tb, IFLA_BR_MAX, data, NULL) < 0)
		return;
	if (tb[IFLA_BR_STP_STATE] && nla_len(tb[IFLA_BR_STP_STATE]) >= 4)
		l->stp = nla_get_u32(tb[IFLA_BR_STP_STATE]) != 0;
	if (tb[IFLA_BR_AGEING_TIME] && nla_len(tb[IFLA_BR_AGEING_TIME]) >= 4)
		l->ageing_ms =
			(unsigned)MIN((uint64_t)nla_get_u32(tb[IFLA_BR_AGEING_TIME]) * 1000 / hz,
				      (uint64_t)UINT32_MAX);
	if (tb[IFLA_BR_VLAN_DEFAULT_PVID] && nla_len(tb[IFLA_BR_VLAN_DEFAULT_PVID]) >= 2)
		l->pvid = nla_get_u16(tb[IFLA_BR_VLAN_DEFAULT_PVID]);
}

static void parse_linkinfo(struct os_link *l, struct nlattr *info)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1];
	char kind[16];

	if (nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL) < 0)
		return;
	if (tb[IFLA_INFO_KIND]) {
		nla_strlcpy(kind, tb[IFLA_INFO_KIND], sizeof(kind));
		l->kind = kind_parse(kind);
	}
	if (l->kind == OS_LINK_BRIDGE && tb[IFLA_INFO_DATA])
		parse_bridge(l, tb[IFLA_INFO_DATA]);
	if (tb[IFLA_INFO_SLAVE_KIND] && tb[IFLA_INFO_SLAVE_DATA]) {
		nla_strlcpy(kind, tb[IFLA_INFO_SLAVE_KIND], sizeof(kind));
		if (strcmp(kind, "bridge") == 0)
			parse_port(l, tb[IFLA_INFO_SLAVE_DATA]);
	}
}

static void parse_link(struct os_link *l, const struct ifinfomsg *ifi, struct nlattr **tb)
{
	l->index = ifi->ifi_index;
	l->up = ifi->ifi_flags & IFF_UP;
	l->carrier = ifi->ifi_flags & IFF_LOWER_UP;
	nla_strlcpy(l->name, tb[IFLA_IFNAME], sizeof(l->name));
	if (tb[IFLA_MASTER] && nla_len(tb[IFLA_MASTER]) >= 4)
		l->master = (int)nla_get_u32(tb[IFLA_MASTER]);
	if (tb[IFLA_MTU] && nla_len(tb[IFLA_MTU]) >= 4)
		l->mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == sizeof(l->mac))
		memcpy(l->mac, nla_data(tb[IFLA_ADDRESS]), sizeof(l->mac));
	if (tb[IFLA_IFALIAS])
		nla_strlcpy(l->alias, tb[IFLA_IFALIAS], sizeof(l->alias));
	if (tb[IFLA_LINKINFO])
		parse_linkinfo(l, tb[IFLA_LINKINFO]);
}

static void table_update(struct table *t, unsigned at, const struct os_link *fresh)
{
	struct table_entry *e = t->live.at[at];

	if (memcmp(&e->link, fresh, sizeof(*fresh)) == 0)
		return;
	e->link = *fresh;
	t->changed = true;
}

/* Only what the bridge knows better than the link itself; never a new entry. */
static void bridge_message(struct table *t, const struct nlmsghdr *h, const struct ifinfomsg *ifi,
			   struct nlattr **tb)
{
	const struct os_link *known;
	struct os_link fresh;
	unsigned at;

	known = table_find(t, ifi->ifi_index, &at);
	if (!known || known->kind == OS_LINK_BRIDGE)
		return;
	fresh = *known;
	if (h->nlmsg_type == RTM_DELLINK) {
		fresh.master = 0;
		fresh.isolated = false;
		fresh.learning_off = false;
	} else if (tb[IFLA_PROTINFO] && tb[IFLA_MASTER]) {
		parse_port(&fresh, tb[IFLA_PROTINFO]);
	}
	table_update(t, at, &fresh);
}

void table_message(struct table *t, struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *ifi = nlmsg_data(h);
	struct os_link fresh;
	unsigned at;

	if (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK)
		return;
	if (nlmsg_parse(h, sizeof(*ifi), tb, IFLA_MAX, NULL) < 0)
		return;
	if (ifi->ifi_family == AF_BRIDGE) {
		bridge_message(t, h, ifi, tb);
		return;
	}
	if (h->nlmsg_type == RTM_DELLINK) {
		table_remove(t, ifi->ifi_index);
		return;
	}
	if (ifi->ifi_family != AF_UNSPEC || !tb[IFLA_IFNAME])
		return;
	memset(&fresh, 0, sizeof(fresh)); /* padding too: entries are compared as bytes */
	parse_link(&fresh, ifi, tb);
	if (!table_find(t, fresh.index, &at)) {
		table_insert(t, at, &fresh);
		return;
	}
	t->live.at[at]->round = t->round;
	table_update(t, at, &fresh);
}

void table_begin(struct table *t)
{
	t->round++;
}

void table_end(struct table *t)
{
	for (unsigned i = t->live.n; i-- > 0;) {
		if (t->live.at[i]->round != t->round)
			table_bury(t, i);
	}
}

bool table_settle(struct table *t)
{
	bool changed = t->changed;

	t->changed = false;
	list_fini(&t->buried);
	return changed;
}

void table_fini(struct table *t)
{
	list_fini(&t->live);
	list_fini(&t->buried);
}
