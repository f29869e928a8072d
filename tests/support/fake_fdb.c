/*
 * The fake kernel's forwarding tables: what a test says was learnt, until the port leaves its
 * bridge, stops forwarding or is flushed. Changes reach the watcher some time later, in order.
 */
#include <errno.h>

#include "tests/support/fake_private.h"

#define CHANGE_US 120 /* from a change to its event being read */

struct change_event {
	struct fake_event ev;
	struct fake_host *host;
	int bridge;
	struct os_fdb_entry entry;
	bool gone;
};

static void change_discard(struct fake_event *ev)
{
	free(container_of(ev, struct change_event, ev));
}

static void change_fire(struct fake_event *ev)
{
	struct change_event *c = container_of(ev, struct change_event, ev);
	struct fake_host *h = c->host;

	if (h->fdb_ops)
		h->fdb_ops->entry(h->fdb_arg, c->bridge, &c->entry, c->gone);
	free(c);
}

static void change_tell(struct fake_host *h, int bridge, const struct os_fdb_entry *e, bool gone)
{
	struct change_event *c;

	if (!h->fdb_ops || h->fdb_lost)
		return;
	c = calloc(1, sizeof(*c));
	fake_must(c, "no memory");
	*c = (struct change_event){ .host = h, .bridge = bridge, .entry = *e, .gone = gone };
	c->ev = (struct fake_event){ .host = h, .fn = change_fire, .discard = change_discard };
	event_at(h->net, &c->ev, h->net->now_us + CHANGE_US);
}

static struct os_fdb_entry *fdb_find(struct fake_host *h, int bridge, const uint8_t mac[6],
				     uint16_t vlan)
{
	for (unsigned i = 0; i < h->n_fdb; i++) {
		struct os_fdb_entry *e = &h->fdb[i];

		if (memcmp(e->mac, mac, 6) == 0 && e->vlan == vlan &&
		    link_find(h, e->ifindex)->pub.master == bridge)
			return e;
	}
	return NULL;
}

void fake_fdb_put(struct fake_host *h, const char *port, const struct os_fdb_entry *entry)
{
	const struct fake_link *l = link_find_name(h, port);
	struct os_fdb_entry *e;

	fake_must(l && l->pub.master, "no such port");
	e = fdb_find(h, l->pub.master, entry->mac, entry->vlan);
	fake_must(e || h->n_fdb < FAKE_FDB, "too many addresses");
	if (!e)
		e = &h->fdb[h->n_fdb++];
	*e = *entry;
	e->ifindex = l->pub.index;
	change_tell(h, l->pub.master, e, false);
}

void fake_fdb_learn(struct fake_host *h, const char *port, const uint8_t mac[6])
{
	struct os_fdb_entry e = { 0 };

	memcpy(e.mac, mac, sizeof(e.mac));
	fake_fdb_put(h, port, &e);
}

static void fdb_remove(struct fake_host *h, struct os_fdb_entry *e, int bridge)
{
	change_tell(h, bridge, e, true);
	*e = h->fdb[--h->n_fdb];
}

void fake_fdb_forget(struct fake_host *h, const char *port, const uint8_t mac[6])
{
	int bridge = link_find_name(h, port)->pub.master;
	struct os_fdb_entry *e = fdb_find(h, bridge, mac, 0);

	fake_must(e, "no such address");
	fdb_remove(h, e, bridge);
}

void fdb_forget_port(struct fake_host *h, const struct fake_link *port)
{
	for (unsigned i = h->n_fdb; i-- > 0;) {
		if (h->fdb[i].ifindex == port->pub.index)
			fdb_remove(h, &h->fdb[i], port->pub.master);
	}
}

void fake_fdb_lose(struct fake_host *h, bool lost)
{
	bool before = h->fdb_lost;

	h->fdb_lost = lost;
	if (!h->fdb_ops || lost == before)
		return;
	if (lost)
		h->fdb_ops->lost(h->fdb_arg);
	else
		h->fdb_ops->again(h->fdb_arg);
}

static int fdb_dump(struct os *os, int bridge, void (*fn)(void *arg, const struct os_fdb_entry *e),
		    void *arg)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_FDB_DUMP);

	if (r < 0)
		return r;
	if (!link_find(h, bridge))
		return -ENODEV;
	for (unsigned i = 0; i < h->n_fdb; i++) {
		if (link_find(h, h->fdb[i].ifindex)->pub.master == bridge)
			fn(arg, &h->fdb[i]);
	}
	return 0;
}

static int fdb_watch(struct os *os, const struct os_fdb_ops *ops, void *arg)
{
	struct fake_host *h = host_of(os);
	int r = ops ? fault_check(h, FAKE_FDB_WATCH) : 0;

	if (r < 0)
		return r;
	h->fdb_ops = ops;
	h->fdb_arg = arg;
	h->fdb_lost = false;
	return 0;
}

void fdb_init_host(struct fake_host *h)
{
	h->os.fdb_dump = fdb_dump;
	h->os.fdb_watch = fdb_watch;
}

void fdb_fini_host(struct fake_host *h)
{
	h->fdb_ops = NULL;
}
