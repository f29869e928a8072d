/*
 * Answers "why is it so?" from the outside in: the state, then this host's port and
 * bridge, the session, the other end, the gates, and last what would change it.
 */
#include "l2tund/why.h"

#include <stdio.h>

#include "common/jsonline.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/hops.h"
#include "l2tund/peer.h"
#include "l2tund/topology/view.h"
#include "l2tund/tunnel.h"
#include "l2tund/why_text.h"

/* One sentence of the answer. */
#define say jsonline_append

#define SPAN_LEN 32
#define WHY_LEN 512
#define HOPS_MAX TOPO_NODES_MAX
#define HOPS_SHOWN 10
#define NAMES_SHOWN 16

/* How long ago `then_us` was, to a precision that people want. */
static const char *span_format(const struct tunnel *t, uint64_t then_us, char buf[SPAN_LEN])
{
	unsigned long s = (daemon_now_us(t->daemon) - then_us) / US_PER_S;

	if (s < 120)
		snprintf(buf, SPAN_LEN, "%lu s", s);
	else if (s < 2 * 3600)
		snprintf(buf, SPAN_LEN, "%lu min", s / 60);
	else
		snprintf(buf, SPAN_LEN, "%lu h %lu min", s / 3600, s / 60 % 60);
	return buf;
}

/* What ends a sentence with this text at its end. */
static const char *full_stop(const char *text)
{
	size_t n = strlen(text);

	return n && strchr(".?!", text[n - 1]) ? "" : ".";
}

/* `why`, or nothing when the first sentence has said it. */
static const char *unsaid(const struct tunnel *t, const char *why)
{
	return strstr(t->detail, why) ? "" : why;
}

static void say_state(const struct tunnel *t, json_t *list)
{
	const char *reason = tunnel_reason_name(t->reason);
	bool on_the_way = t->state >= TUNNEL_HANDSHAKE && t->state <= TUNNEL_STANDBY;
	char span[SPAN_LEN], cause[WHY_LEN];

	say(list, "Tunnel %s is %s%s%s%s%s for %s%s%s%s", t->name, on_the_way ? "in " : "",
	    tunnel_state_name(t->state), *reason ? " (" : "", reason, *reason ? ")" : "",
	    span_format(t, t->since_us, span), *t->detail ? ": " : "", t->detail,
	    full_stop(t->detail));
	if (!*t->detail && t->state != TUNNEL_FORWARDING)
		say(list, "%s",
		    why_fill(why_text(t->state, t->reason).cause, t->name, t->peer->name, cause,
			     sizeof(cause)));
}

static void say_port(const struct tunnel *t, json_t *list)
{
	const struct bridge *b = t->bridge;
	const char *why = t->admin_down ? "" : unsaid(t, t->port.detail);

	if (!b->ifindex)
		return; /* the first sentence is about nothing else */
	if (t->port_ready)
		say(list, "Its port %s stands in bridge %s (MTU %u)%s, carrier %s.", t->port.name,
		    b->name, b->mtu, t->port.isolated ? ", isolated from other tunnels" : "",
		    t->port.carrier ? "on" : "off");
	if (t->port_ready && t->port.note)
		say(list, "%s: %s; that is put back, each time later.", t->port.name, t->port.note);
	if (!t->port_ready)
		say(list, "Its port %s is not in bridge %s%s%s.", t->port.name, b->name,
		    *why ? ": " : "", why);
	if (*b->detail)
		say(list, "Bridge %s: %s.", b->name, b->detail);
	if (b->stp)
		say(list,
		    "Bridge %s runs spanning tree: its port may have to wait twice the forward "
		    "delay, or be blocked; `bridge link` shows it.",
		    b->name);
}

static void say_session_up(const struct tunnel *t, const struct session_info *i, json_t *list)
{
	char at[ADDR_STRLEN];

	say(list,
	    "Peer %s answers at %s: round trip %u.%03u ms, loss %u.%u %% in, %u.%u %% out, "
	    "data %s with %s.",
	    t->peer->name, addr_format(&i->path.remote, at), i->rtt_us / 1000, i->rtt_us % 1000,
	    i->loss_rx_permille / 10, i->loss_rx_permille % 10, i->loss_tx_permille / 10,
	    i->loss_tx_permille % 10, data_mode_name(i->mode), i->cipher);
}

static void say_session(const struct tunnel *t, json_t *list)
{
	struct session_info i;
	char span[SPAN_LEN];
	const char *why;

	session_get_info(t->peer->session, &i);
	why = unsaid(t, i.detail);
	if (i.state == SESSION_UP)
		say_session_up(t, &i, list);
	else if (i.differ)
		say(list, "Peer %s is there, but does not agree with this end%s%s%s", t->peer->name,
		    *why ? ": " : "", why, full_stop(why));
	else if (i.last_rx_us)
		say(list, "Peer %s was last heard %s ago%s%s%s", t->peer->name,
		    span_format(t, i.last_rx_us, span), *why ? ": " : "", why, full_stop(why));
	else
		say(list, "Peer %s has never been heard%s%s%s", t->peer->name, *why ? ": " : "",
		    why, full_stop(why));
}

/* Who has the wrong key of the other cannot tell: the other one refuses without an answer. */
static void say_refused(const struct tunnel *t, json_t *list)
{
	const struct sessions_counters *c = sessions_counters(t->daemon->sessions);
	char key[KEY_STRLEN];

	if (session_state(t->peer->session) == SESSION_UP)
		return;
	if (c->unknown_key)
		say(list,
		    "Since its start this node has refused %llu calls with a key that no peer "
		    "section has: compare the public-key of peer %s with what `bridgectl pubkey` "
		    "makes of its private key there.",
		    (unsigned long long)c->unknown_key, t->peer->name);
	if (c->bad_mac)
		say(list,
		    "Since its start this node has refused %llu packets that were made for "
		    "another key: the public-key of this node on the other host must be %s.",
		    (unsigned long long)c->bad_mac,
		    key_format(&t->daemon->config->node.public_key, key));
}

static void say_gates(const struct tunnel *t, json_t *list)
{
	if (!t->edge_up)
		return;
	say(list, "Our gate is %s, the other end's is %s; frames pass only while both are open.",
	    t->gate.open ? "open" : "closed",
	    session_far_open(t->peer->session, t->far_id) ? "open" : "closed");
}

/* What the topology knows */

/* "our br-sv, br-sv of xen2, behind a foreign path br-sv of xen1" */
static void way_text(const struct tunnel *t, const struct hop *hops, unsigned n, char *buf,
		     size_t size)
{
	const uint8_t *self = sessions_node_id(t->daemon->sessions);
	size_t len = (size_t)snprintf(buf, size, "our %s", t->bridge->name);
	char id[NODE_HEXLEN];

	for (unsigned i = 0; i < MIN(n, HOPS_SHOWN) && len < size; i++) {
		const struct hop *h = &hops[i];
		bool own = memcmp(h->to.node, self, sizeof(h->to.node)) == 0;

		len += (size_t)snprintf(buf + len, size - len, "%s%s%s%s%s",
					h->foreign ? ", by a foreign path " : ", ",
					own ? "our " : "", h->to.bridge, own ? "" : " of ",
					own	    ? "" :
					*h->name_to ? h->name_to :
						      node_id_format(h->to.node, id));
	}
	if (n > HOPS_SHOWN && len < size)
		snprintf(buf + len, size - len, " and %u more", n - HOPS_SHOWN);
}

/* Who was heard, where and since when: only this end may have heard it, or only the other one. */
static void say_heard(const struct tunnel *t, const struct bridge *b, const struct guard_heard *h,
		      json_t *list)
{
	bool own = memcmp(h->node, sessions_node_id(t->daemon->sessions), sizeof(h->node)) == 0;
	const char *name = topo_node_name(t->daemon->topo, h->node);
	char since[SPAN_LEN], id[NODE_HEXLEN];

	say(list,
	    "Probes that %s %s bridge %s arrive on our %s, for %s now, the last one %u ms ago, "
	    "through port %s%s%s.",
	    own	  ? "we" :
	    *name ? name :
		    node_id_format(h->node, id),
	    own ? "send on our" : "sends on its", h->bridge, b->name,
	    span_format(t, h->first_us, since),
	    (unsigned)((daemon_now_us(t->daemon) - h->last_us) / US_PER_MS),
	    *h->via ? h->via : "(not known yet)", *h->owner ? ", which belongs to " : "", h->owner);
}

/* True when one end of this foreign path is a bridge of ours that has heard the other one. */
static bool say_foreign_hop(const struct tunnel *t, const struct hop *hop, json_t *list)
{
	const uint8_t *self = sessions_node_id(t->daemon->sessions);
	bool from = memcmp(hop->from.node, self, sizeof(hop->from.node)) == 0;
	const struct topo_segment *near = from ? &hop->from : &hop->to;
	const struct topo_segment *far = from ? &hop->to : &hop->from;
	struct bridge *b = daemon_find_bridge(t->daemon, near->bridge);

	if (!b || memcmp(near->node, self, sizeof(near->node)) != 0)
		return false;
	const struct guard_heard *h = guard_find(&b->guard, far->node, far->bridge);
	if (h)
		say_heard(t, b, h, list);
	return h;
}

static void say_foreign(const struct tunnel *t, const struct hop *way, unsigned n, json_t *list)
{
	bool elsewhere = false;

	for (unsigned i = 0; i < n; i++) {
		/* Between the tunnel's own ends: say_block() does. */
		if (way[i].foreign && (n > 1 || t->block.reason == REASON_NONE))
			elsewhere |= !say_foreign_hop(t, &way[i], list);
	}
	if (elsewhere)
		say(list, "The hosts at its foreign path know behind which port it is: `bridgectl "
			  "topology` there.");
}

/* Hop by hop, what joins the two bridges already. */
static void say_way(const struct tunnel *t, json_t *list)
{
	bool waits = t->state == TUNNEL_STANDBY || t->state == TUNNEL_BLOCKED;
	struct topo_segment from = tunnel_near_segment(t), to = tunnel_far_segment(t);
	struct hop way[HOPS_MAX];
	struct hops hops = { 0 };
	char text[WHY_LEN - 64];

	if (!waits || t->reason == REASON_REMOTE)
		return;
	topo_visit(t->daemon->topo, &hops_visitor, &hops);
	unsigned n = hops_find(&hops, &from, &to, way, ARRAY_SIZE(way));
	hops_fini(&hops);
	/* One tunnel beside it: the first sentence names that. */
	if (n == 0 || n > ARRAY_SIZE(way) || (n == 1 && !way[0].foreign))
		return;
	way_text(t, way, n, text, sizeof(text));
	say(list, "The way that joins the two bridges without it: %s.", text);
	say_foreign(t, way, n, list);
}

struct waiting {
	char names[NAMES_SHOWN * (NAME_MAX_LEN + 3)];
	unsigned n;
};

static void add_waiting(void *arg, const struct topo_node_view *v)
{
	struct waiting *w = arg;
	size_t len = strlen(w->names);
	char id[NODE_HEXLEN];

	if (!v->member || v->agrees)
		return;
	if (w->n++ < NAMES_SHOWN)
		snprintf(w->names + len, sizeof(w->names) - len, "%s%s", len ? ", " : "",
			 *v->name ? v->name : node_id_format(v->id, id));
}

/* A gate opens when all nodes have told that they know the same; who has not is named. */
static bool say_barrier(const struct tunnel *t, json_t *list)
{
	static const struct topo_visitor visitor = { .node = add_waiting };
	struct waiting w = { 0 };

	/* What is down waits for its other end, whoever agrees. */
	if (!t->edge_up || t->gate.open || t->reason != REASON_REMOTE || t->state == TUNNEL_DOWN)
		return false;
	topo_visit(t->daemon->topo, &visitor, &w);
	if (!w.n)
		return false;
	if (w.n > NAMES_SHOWN)
		say(list, "Not in agreement yet: %s and %u more.", w.names, w.n - NAMES_SHOWN);
	else
		say(list, "Not in agreement yet: %s.", w.names);
	say(list, "It opens by itself when all nodes know the same, which takes some round trips; "
		  "if it lasts, `bridgectl topology` on the nodes named shows what they wait "
		  "for.");
	return true;
}

static unsigned blocks_remembered(const struct tunnel *t)
{
	uint64_t now_us = daemon_now_us(t->daemon);
	unsigned n = 0;

	for (unsigned i = 0; i < MIN(t->block.n_past, (unsigned)BLOCK_PAST); i++)
		n += now_us - t->block.past_us[i] < BLOCK_MEMORY_US;
	return n;
}

static void say_block(const struct tunnel *t, json_t *list)
{
	uint64_t now_us = daemon_now_us(t->daemon);
	uint64_t until_us = block_until_us(&t->block);
	struct topo_segment far = tunnel_far_segment(t);
	const struct guard_heard *h = guard_find(&t->bridge->guard, far.node, far.bridge);
	unsigned n = blocks_remembered(t);

	if (t->block.reason == REASON_NONE)
		return;
	if (h)
		say_heard(t, t->bridge, h, list);
	if (n > 1)
		say(list,
		    "It was blocked %u times while it forwarded, within half an hour; after %d for "
		    "watchdog or storm it is latched.",
		    n, BLOCK_LATCH);
	if (!t->block.latched)
		say(list,
		    "It opens not before %u s from now; each block of the last half hour makes the "
		    "next one longer.",
		    until_us == NEVER || until_us < now_us ?
			    0 :
			    (unsigned)((until_us - now_us) / US_PER_S) + 1);
}

/* What bounds a loop bounds a guest that broadcasts, too. */
static void say_policed(const struct tunnel *t, json_t *list)
{
	struct tunnel_counters c;

	tunnel_counters(t, &c);
	if (c.drop_policer)
		say(list,
		    "The policer has dropped %llu frames that bridges flood, since the tunnel was "
		    "set up: there were more than %u in a second; look for the host that sends "
		    "them, or for a loop far behind, or raise `policer`.",
		    (unsigned long long)c.drop_policer, t->cfg->policer);
}

static void say_no_peer(const struct tunnel *t, json_t *list)
{
	say(list,
	    "It goes on by itself when peer %s calls. We cannot call: its section (%s:%u) has no "
	    "address. One end at least needs the other's; check that, and the keys at both ends.",
	    t->peer->name, t->peer->cfg->src.file, t->peer->cfg->src.line);
}

/* Waiting for the peer and looking at the network would be in vain. */
static bool say_differ(const struct tunnel *t, json_t *list)
{
	struct session_info i;

	session_get_info(t->peer->session, &i);
	if (!i.differ || (t->reason != REASON_UNREACHABLE && t->reason != REASON_NO_PEER))
		return false;
	say(list,
	    "It goes on by itself when both ends agree: compare the section of peer %s (%s:%u) "
	    "with that of this node there.",
	    t->peer->name, t->peer->cfg->src.file, t->peer->cfg->src.line);
	return true;
}

/* What brings it back; nothing when all is well, or when that was said. */
static void say_remedy(const struct tunnel *t, json_t *list)
{
	char text[WHY_LEN];

	if (t->state == TUNNEL_FORWARDING || t->daemon->stopping)
		return;
	if (say_differ(t, list))
		return;
	if (t->reason == REASON_NO_PEER && !t->peer->cfg->host) {
		say_no_peer(t, list);
		return;
	}
	why_fill(why_text(t->state, t->reason).remedy, t->name, t->peer->name, text, sizeof(text));
	if (!why_is_told(t->detail, text))
		say(list, "%s", text);
}

json_t *why_json(const struct tunnel *t)
{
	json_t *list = json_array();

	say_state(t, list);
	say_port(t, list);
	say_session(t, list);
	say_refused(t, list);
	say_gates(t, list);
	say_way(t, list);
	say_block(t, list);
	say_policed(t, list);
	if (!say_barrier(t, list))
		say_remedy(t, list);
	return json_pack("{s:s s:s s:s s:o}", "name", t->name, "state", tunnel_state_name(t->state),
			 "reason", tunnel_reason_name(t->reason), "sentences", list);
}
