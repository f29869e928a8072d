/*
 * Answers "why is it so?" from the outside in: the state, then this host's port and
 * bridge, the session, the other end, the gates, and last what would change it.
 */
#include "l2tund/why.h"

#include <stdio.h>

#include "common/jsonline.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/tunnel.h"

/* One sentence of the answer. */
#define say jsonline_append

#define SPAN_LEN 32

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
	char span[SPAN_LEN];

	say(list, "Tunnel %s is %s%s%s%s%s for %s%s%s%s", t->name, on_the_way ? "in " : "",
	    tunnel_state_name(t->state), *reason ? " (" : "", reason, *reason ? ")" : "",
	    span_format(t, t->since_us, span), *t->detail ? ": " : "", t->detail,
	    full_stop(t->detail));
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
	else
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

static void say_unreachable(const struct tunnel *t, json_t *list)
{
	say(list,
	    "It goes on by itself when peer %s answers; check that l2tund runs there, its address, "
	    "the keys at both ends, and that UDP passes the firewalls.",
	    t->peer->name);
}

static void say_no_peer(const struct tunnel *t, json_t *list)
{
	say(list,
	    "It goes on by itself when peer %s calls. We cannot call: its section (%s:%u) has no "
	    "address. One end at least needs the other's; check that, and the keys at both ends.",
	    t->peer->name, t->peer->cfg->src.file, t->peer->cfg->src.line);
}

static void say_block(const struct tunnel *t, json_t *list)
{
	uint64_t now_us = daemon_now_us(t->daemon);
	uint64_t until_us = block_until_us(&t->block);

	if (t->block.latched)
		return; /* its detail says what to do */
	say(list,
	    "It goes on by itself when the cause is gone, not before %u s from now; each block of "
	    "the last half hour makes the next one longer.",
	    until_us == NEVER || until_us < now_us ?
		    0 :
		    (unsigned)((until_us - now_us) / US_PER_S) + 1);
}

/* What brings it back; nothing when all is well. */
static void say_remedy(const struct tunnel *t, json_t *list)
{
	switch (t->reason) {
	case REASON_PARALLEL:
		say(list, "It takes over by itself within the dead time when the tunnel that "
			  "forwards dies.");
		break;
	case REASON_NO_BRIDGE:
		say(list, "It goes on by itself as soon as the bridge is there.");
		break;
	case REASON_NO_PEER:
		say_no_peer(t, list);
		break;
	case REASON_UNREACHABLE:
		say_unreachable(t, list);
		break;
	case REASON_REMOTE:
		say(list,
		    "It goes on by itself when the other end is ready; `bridgectl tunnel why` "
		    "there says more.");
		break;
	case REASON_FOREIGN:
	case REASON_WATCHDOG:
	case REASON_STORM:
	case REASON_RECURSION:
		say_block(t, list);
		break;
	case REASON_PORT:
		if (t->state != TUNNEL_LATCHED)
			say(list, "It is tried again by itself.");
		break;
	default: /* its detail says what to do */
		break;
	}
}

json_t *why_json(const struct tunnel *t)
{
	json_t *list = json_array();

	say_state(t, list);
	say_port(t, list);
	say_session(t, list);
	say_refused(t, list);
	say_gates(t, list);
	say_remedy(t, list);
	return json_pack("{s:s s:s s:s s:o}", "name", t->name, "state", tunnel_state_name(t->state),
			 "reason", tunnel_reason_name(t->reason), "sentences", list);
}
