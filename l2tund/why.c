/*
 * Answers "why is it so?" from the outside in: the state, then this host's port and
 * bridge, the session, the other end, the gates, and last what would change it.
 */
#include "l2tund/why.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/jsonline.h"
#include "l2tund/bridge.h"
#include "l2tund/daemon.h"
#include "l2tund/peer.h"
#include "l2tund/tunnel.h"

static void _printf_(2, 3) say(json_t *list, const char *fmt, ...)
{
	char text[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(list, jsonline_text(text));
}

static unsigned seconds_since(const struct tunnel *t, uint64_t then_us)
{
	return (unsigned)((t->daemon->os->now_us(t->daemon->os) - then_us) / US_PER_S);
}

static void say_state(const struct tunnel *t, json_t *list)
{
	const char *reason = tunnel_reason_name(t->reason);

	say(list, "Tunnel %s is %s%s%s%s for %u s%s%s.", t->name, tunnel_state_name(t->state),
	    *reason ? " (" : "", reason, *reason ? ")" : "", seconds_since(t, t->since_us),
	    *t->detail ? ": " : "", t->detail);
}

static void say_port(const struct tunnel *t, json_t *list)
{
	if (!t->bridge->ifindex)
		say(list, "Bridge %s does not exist on this host.", t->bridge->name);
	else if (t->port_ready)
		say(list, "Its port %s stands in bridge %s (MTU %u), carrier %s.", t->port.name,
		    t->bridge->name, t->bridge->mtu, t->port.carrier ? "on" : "off");
	else
		say(list, "Its port %s is not in bridge %s: %s.", t->port.name, t->bridge->name,
		    t->admin_down ? "the tunnel is switched off" : t->port.detail);
}

static void say_session(const struct tunnel *t, json_t *list)
{
	struct session_info i;
	char at[ADDR_STRLEN];

	session_get_info(t->peer->session, &i);
	addr_format(&i.path.remote, at);
	if (i.state == SESSION_UP)
		say(list,
		    "Peer %s answers at %s: round trip %u.%03u ms, loss %u.%u %% in, %u.%u %% out, "
		    "data %s with %s.",
		    t->peer->name, at, i.rtt_us / 1000, i.rtt_us % 1000, i.loss_rx_permille / 10,
		    i.loss_rx_permille % 10, i.loss_tx_permille / 10, i.loss_tx_permille % 10,
		    data_mode_name(i.mode), i.cipher);
	else if (i.last_rx_us)
		say(list, "Peer %s was last heard %u s ago: %s.", t->peer->name,
		    seconds_since(t, i.last_rx_us), i.detail);
	else
		say(list, "Peer %s has never been heard%s%s.", t->peer->name, *i.detail ? ": " : "",
		    i.detail);
}

static void say_gates(const struct tunnel *t, json_t *list)
{
	if (!t->edge_up)
		return;
	say(list, "Our gate is %s, the other end's is %s; frames pass only while both are open.",
	    t->gate.open ? "open" : "closed",
	    session_far_open(t->peer->session, t->far_id) ? "open" : "closed");
}

/* What brings it back: one sentence per reason, none when nothing is wrong. */
static const char *remedy(enum tunnel_reason r)
{
	static const char *const rows[TUNNEL_REASONS] = {
		[REASON_PARALLEL] =
			"It takes over by itself within the dead time when the tunnel that "
			"forwards dies.",
		[REASON_ADMIN] = "`bridgectl tunnel up NAME` switches it on.",
		[REASON_NO_BRIDGE] = "It goes on by itself as soon as the bridge is there.",
		[REASON_NO_PEER] =
			"It goes on by itself when the peer calls; check address and keys on "
			"the other host.",
		[REASON_UNREACHABLE] =
			"It goes on by itself when the peer answers; check that l2tund runs "
			"there, its address, its keys, and that UDP passes the firewalls.",
		[REASON_REMOTE] =
			"It goes on by itself when the other end is ready; `bridgectl tunnel why` "
			"there says more.",
		[REASON_PORT] = "It is tried again by itself, unless it is latched.",
	};

	return rows[r];
}

json_t *why_json(const struct tunnel *t)
{
	json_t *list = json_array();

	say_state(t, list);
	say_port(t, list);
	say_session(t, list);
	say_gates(t, list);
	if (remedy(t->reason))
		say(list, "%s", remedy(t->reason));
	return json_pack("{s:s s:s s:s s:o}", "name", t->name, "state", tunnel_state_name(t->state),
			 "reason", tunnel_reason_name(t->reason), "sentences", list);
}
