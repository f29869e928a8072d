/*
 * What people are told. A reason explains by itself; the state says what has to happen: what
 * stands by waits, what is blocked comes back, what is latched wants a person.
 */
#include "l2tund/why_text.h"

#include <stdio.h>
#include <string.h>

#include "common/util.h"

static const struct why_text by_reason[TUNNEL_REASONS] = {
	[REASON_PARALLEL] = { "Another tunnel joins the same two bridges and forwards.",
			      "It takes over by itself within the dead time when the tunnel that "
			      "forwards dies." },
	[REASON_CYCLE] = { "The two bridges are joined already by other tunnels, over other nodes; "
			   "with this one there would be a ring.",
			   "It takes over by itself when one of those tunnels dies and no other "
			   "way is left." },
	[REASON_PRIORITY] = { "The two bridges are joined already by tunnels with a lower "
			      "priority number, which is the better one.",
			      "It takes over by itself when one of those tunnels dies; to have it "
			      "forward in their place, give it the lower number and `preempt = "
			      "yes` at both ends." },
	[REASON_ADMIN] = { "Somebody has switched it off.",
			   "`bridgectl tunnel up {tunnel}` lets it work again." },
	[REASON_FOREIGN] = { "The two bridges are joined already by something that is not ours: a "
			     "cable, a VLAN, another tunnel program, a guest.",
			     "Decide which way is to stay and take the other one away; when the "
			     "foreign one is gone for 3 s, the tunnel opens by itself." },
	[REASON_WATCHDOG] = { "A frame of ours came back to us: there was a loop.",
			      "Look for a second way between the two bridges and take it away; the "
			      "tunnel opens by itself, and is blocked again when the loop is still "
			      "there." },
	[REASON_STORM] = { "The same frame came again and again: there was a loop.",
			   "Look for a second way between the two bridges, also far behind them, "
			   "and take it away, or stop the program that repeats this frame; the "
			   "tunnel opens by itself, and is blocked again when it comes again." },
	[REASON_RECURSION] = { "The tunnel's own packets would travel through the bridge that it "
			       "joins.",
			       "Give the address of peer {peer} a route that does not lead over "
			       "this bridge; the tunnel opens by itself." },
	[REASON_ONE_WAY] = { "What we send arrives, or what the peer sends, but not both.",
			     "Look at firewalls and cabling between the two hosts; the tunnel "
			     "opens by itself when both ways pass." },
	[REASON_NO_BRIDGE] = { "Its bridge does not exist on this host.",
			       "It goes on by itself as soon as the bridge is there." },
	[REASON_NO_PEER] = { "Peer {peer} was never heard.",
			     "It goes on by itself when peer {peer} calls: look there whether "
			     "l2tund runs, and at the keys at both ends." },
	[REASON_UNREACHABLE] = { "Peer {peer} does not answer.",
				 "It goes on by itself when peer {peer} answers; check that l2tund "
				 "runs there, its address, the keys at both ends, that no other "
				 "host uses this one's key, and that UDP passes the firewalls." },
	[REASON_REMOTE] = { "The other end, or another node, is not ready or does not agree yet.",
			    "It goes on by itself when the other end is ready; `bridgectl tunnel "
			    "why` there says more." },
	[REASON_PORT] = { "Its TAP device, or the place of it in the bridge, cannot be had.",
			  "It is tried again by itself." },
	[REASON_LEASE] = { "Nothing authenticated was heard from peer {peer} in time.",
			   "It goes on by itself when peer {peer} is heard again." },
	[REASON_IDENTITY] = { "Another node uses the private key of this one: all gates of both "
			      "are closed.",
			      "Find the host that the key was copied to, or the second l2tund "
			      "here; make a key of its own for it with `bridgectl keygen`, and "
			      "tell its peers. All goes on by itself some time later." },
	[REASON_OVERFLOW] = { "More nodes, tunnels or foreign paths are joined than this node can "
			      "hold, so all its gates are closed.",
			      "Take some out, or split the network; `bridgectl topology` shows "
			      "what is joined. It goes on by itself when there is room." },
};

/* Where no reason is given, and none is needed. */
static const struct why_text by_state[TUNNEL_STATES] = {
	[TUNNEL_REFUSED] = { "Its configuration cannot be right.",
			     "Correct l2tund.conf; `l2tund -t` names the line, `bridgectl reload` "
			     "takes it over." },
	[TUNNEL_DOWN] = { "Something that it needs is missing.",
			  "It goes on by itself when that is there; `bridgectl events` shows what "
			  "has changed." },
	[TUNNEL_HANDSHAKE] = { "Peer {peer} is being called, or has not told of its tunnels yet.",
			       "Nothing has to be done: it takes a second, if the peer is there." },
	[TUNNEL_PREPARE] = { "It looks whether opening would be safe.",
			     "Nothing has to be done: it takes a fraction of a second." },
	[TUNNEL_STANDBY] = { "Another way is in use, or the nodes are about to agree.",
			     "Nothing has to be done: it forwards as soon as it is needed." },
	[TUNNEL_FORWARDING] = { "Frames pass, as far as this end is concerned.",
				"Nothing has to be done." },
	[TUNNEL_BLOCKED] = { "It would close a loop, or did.",
			     "It opens by itself when the evidence is gone." },
	[TUNNEL_LATCHED] = { "It was blocked too often for one and the same cause.",
			     "Find the loop and take one of the two ways away, then `bridgectl "
			     "tunnel clear {tunnel}`." },
};

struct why_text why_text(enum tunnel_state s, enum tunnel_reason r)
{
	const struct why_text *state, *reason;

	s = (unsigned)s < TUNNEL_STATES ? s : TUNNEL_DOWN;
	state = &by_state[s];
	reason = (unsigned)r < TUNNEL_REASONS && by_reason[r].cause ? &by_reason[r] : state;
	/* These two wait for somebody, whatever the reason was. */
	if (s == TUNNEL_LATCHED && r == REASON_PORT)
		return (struct why_text){ reason->cause,
					  "Stop the other program, then `bridgectl tunnel up "
					  "{tunnel}`." };
	if (s == TUNNEL_LATCHED || s == TUNNEL_REFUSED || s == TUNNEL_FORWARDING)
		return (struct why_text){ reason->cause, state->remedy };
	return *reason;
}

const char *why_fill(const char *text, const char *tunnel, const char *peer, char *buf, size_t size)
{
	const struct {
		const char *word, *value;
	} names[] = { { "{tunnel}", tunnel }, { "{peer}", peer } };
	size_t n = 0;

	while (*text && n + 1 < size) {
		const char *value = NULL;

		for (unsigned i = 0; i < ARRAY_SIZE(names) && !value; i++) {
			if (strncmp(text, names[i].word, strlen(names[i].word)) == 0) {
				value = names[i].value;
				text += strlen(names[i].word);
			}
		}
		if (value)
			n += (size_t)snprintf(buf + n, size - n, "%s", value);
		else
			buf[n++] = *text++;
		n = MIN(n, size - 1);
	}
	buf[n] = '\0';
	return buf;
}

bool why_is_told(const char *text, const char *remedy)
{
	bool any = false;

	for (const char *p = strchr(remedy, '`'); p; p = strchr(p, '`')) {
		size_t len = strcspn(p + 1, "`") + 2;

		if (!memmem(text, strlen(text), p, len))
			return false;
		any = true;
		p += MIN(len, strlen(p));
	}
	return any;
}
