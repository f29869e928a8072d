/*
 * A gate that opens changes where addresses are reached, and no switch knows. One broadcast
 * from each local address through the new edge tells them all. A bridge that sorts by VLAN
 * knows an address in each of its VLANs; there the broadcast bears the tag that our port would
 * send: all but the bridge's default one, which ports carry without.
 */
#include "l2tund/announce.h"

#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/topology/rarp.h"
#include "l2tund/tunnel.h"
#include "l2tund/worker.h"

struct announcement {
	struct tunnel *tunnel;
	const uint8_t *mac; /* only this one; NULL: all */
	uint16_t pvid;
	unsigned n;
};

static void announce_mac(struct announcement *a, const uint8_t mac[6], uint16_t vlan)
{
	struct tunnel *t = a->tunnel;
	uint8_t frame[RARP_TAGGED_BYTES];
	bool tagged = vlan && vlan != a->pvid;

	if (tagged)
		rarp_build_tagged(mac, vlan, frame);
	else
		rarp_build(mac, frame);
	if (stream_put_frame(peer_stream(t->peer), t->far_id, &(struct vnet){ 0 }, frame,
			     tagged ? RARP_TAGGED_BYTES : RARP_FRAME_BYTES) == 0)
		a->n++;
}

/*
 * Addresses behind tunnels are announced by the ends that have them, and one that the bridge is
 * about to forget may be elsewhere by now.
 */
static void announce_entry(void *arg, const struct os_fdb_entry *e)
{
	struct announcement *a = arg;
	struct daemon *d = a->tunnel->daemon;
	const struct os_link *l = d->os->link_by_index(d->os, e->ifindex);

	if (e->local || e->stale || a->n >= ANNOUNCE_MAX || !l || daemon_find_tap(d, l->name))
		return;
	if (!a->mac || memcmp(e->mac, a->mac, sizeof(e->mac)) == 0)
		announce_mac(a, e->mac, e->vlan);
}

static unsigned announce(struct tunnel *t, const uint8_t *mac)
{
	const struct os_link *l = bridge_link(t->bridge);
	struct announcement a = { .tunnel = t, .mac = mac, .pvid = l ? l->pvid : 0 };
	struct os *os = t->daemon->os;

	os->fdb_dump(os, t->bridge->ifindex, announce_entry, &a);
	/* Asked for by name, it is announced even if the bridge has not heard of it. */
	if (mac && a.n == 0)
		announce_mac(&a, mac, 0);
	worker_flush(t->daemon->worker[0]);
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
		if (t->bridge == b && t->state == TUNNEL_FORWARDING && t->gate.open)
			n += announce(t, mac);
	}
	return n;
}
