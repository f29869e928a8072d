/*
 * A gate that opens changes where addresses are reached, and no switch knows. One broadcast
 * from each local address through the new edge tells them all.
 */
#include "l2tund/announce.h"

#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/topology/rarp.h"
#include "l2tund/tunnel.h"

struct announcement {
	struct tunnel *tunnel;
	unsigned n;
};

static void announce_mac(struct announcement *a, const uint8_t mac[6])
{
	struct tunnel *t = a->tunnel;
	uint8_t frame[RARP_FRAME_BYTES];

	rarp_build(mac, frame);
	if (stream_put(t->peer->stream, t->far_id, &(struct vnet){ 0 }, frame, sizeof(frame)) == 0)
		a->n++;
}

/* Addresses behind tunnels are announced by the ends that have them. */
static void announce_entry(void *arg, const struct os_fdb_entry *e)
{
	struct announcement *a = arg;
	struct daemon *d = a->tunnel->daemon;
	const struct os_link *l = d->os->link_by_index(d->os, e->ifindex);

	if (e->local || e->vlan || a->n >= ANNOUNCE_MAX || !l || daemon_find_tap(d, l->name))
		return;
	announce_mac(a, e->mac);
}

static unsigned announce(struct tunnel *t, const uint8_t *mac)
{
	struct announcement a = { .tunnel = t };
	struct os *os = t->daemon->os;

	if (mac)
		announce_mac(&a, mac);
	else
		os->fdb_dump(os, t->bridge->ifindex, announce_entry, &a);
	stream_flush(t->peer->stream);
	return a.n;
}

unsigned announce_tunnel(struct tunnel *t)
{
	return announce(t, NULL);
}

unsigned announce_bridge(struct bridge *b, const uint8_t *mac)
{
	struct tunnel *t;
	unsigned n = 0;

	TAILQ_FOREACH(t, &b->daemon->tunnels, link) {
		if (t->bridge == b && t->state == TUNNEL_FORWARDING)
			n += announce(t, mac);
	}
	return n;
}
