/*
 * Hellos. Each carries the sender's clock and the peer's latest back, so one answered
 * hello proves both directions. The lease is counted from when *we sent* the hello that came
 * back: whatever waited in a queue meanwhile can't extend it. Hellos come at a steady
 * pace, and in haste (an eighth of it, each asking for an answer) while something is open: a
 * change of state not yet echoed, or half of the dead time gone without an echo. So 30 % of
 * loss does not end a session, and a dead peer costs a handful of extra datagrams.
 * Invariant: hellos are taken in the order of the sender's clock; an older one is ignored.
 */

#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

#define LOSS_UNIT 1024 /* fractions of a datagram, as sums decay */
#define LOSS_MEMORY 32 /* hellos: about 16 s of an idle tunnel by default */

/* Datagrams of this establishment; probes of the path are not counted. */
static uint64_t hello_tx(const struct session *s)
{
	return session_sum(s, offsetof(struct session_lane, tx_datagrams)) - s->hello.tx_base;
}

static uint64_t hello_rx(const struct session *s)
{
	return session_sum(s, offsetof(struct session_lane, rx_datagrams)) - s->hello.rx_base;
}

void hello_reset(struct session *s, uint64_t now_us)
{
	struct hello_state *h = &s->hello;
	uint64_t sent_us = h->sent_us;

	memset(h, 0, sizeof(*h));
	h->tx_base = hello_tx(s);
	h->rx_base = hello_rx(s);
	h->sent_us = sent_us; /* our clock goes on: each hello has a stamp of its own */
	h->settle_us = now_us;
	h->flush = true;
}

void hello_flush(struct session *s, uint64_t now_us)
{
	s->hello.flush = true;
	s->hello.settle_us = now_us;
	session_wake(s);
}

static void fill(struct session *s, struct hello *h, uint64_t now_us, bool hurry)
{
	const struct hello_state *st = &s->hello;

	h->flags = hurry ? HELLO_F_ANSWER : 0;
	h->list = s->lists.list;
	h->list_seen = s->lists.far_list;
	h->sent_us = MAX(now_us, st->sent_us + 1);
	h->echo_us = st->far_sent_us;
	h->held_us = st->far_sent_us ? (uint32_t)MIN(now_us - st->far_came_us, UINT32_MAX) : 0;
	h->tx = hello_tx(s) + 1;
	h->echo_tx = st->far_tx;
	h->echo_rx = st->rx_then;
	h->n = (uint16_t)s->lists.n;
	for (unsigned i = 0; i < s->lists.n; i++) {
		h->segs[i].id = s->lists.own[i].id;
		h->segs[i].flags = s->lists.open[i] ? HELLO_SEGMENT_OPEN : 0;
	}
}

static void send_hello(struct session *s, uint64_t now_us, bool hurry)
{
	struct hello h;

	fill(s, &h, now_us, hurry);
	int len = control_build_hello(&h, s->ss->buf + CONTROL_AT, CONTROL_CAP);
	if (len < 0)
		return;
	s->hello.sent_us = h.sent_us;
	s->hello.flush = false;
	s->hello.answer = false;
	session_send_control(s, (size_t)len, now_us);
}

void hello_forget_sent(struct session *s, uint64_t n)
{
	s->hello.tx_base += n;
}

void hello_forget_received(struct session *s)
{
	if (hello_rx(s) > s->hello.rx_then)
		s->hello.rx_base++;
}

bool hello_in_haste(const struct session *s, uint64_t now_us)
{
	const struct hello_state *h = &s->hello;

	return h->echoed_us < h->settle_us || now_us - h->echoed_us >= s->p.dead_us / 2;
}

uint64_t hello_tick(struct session *s, uint64_t now_us)
{
	struct hello_state *h = &s->hello;

	if (!s->cur)
		return NEVER;
	bool hurry = hello_in_haste(s, now_us);
	uint64_t due_us = h->sent_us + (hurry ? s->p.hello_us / 8 : s->p.hello_us);
	if (h->answer)
		due_us = MIN(due_us, h->sent_us + s->p.hello_us / 200);
	if (!h->sent_us || h->flush)
		due_us = now_us;
	if (now_us >= due_us) {
		send_hello(s, now_us, hurry);
		due_us = h->sent_us + (hurry ? s->p.hello_us / 8 : s->p.hello_us);
	}
	/* The moment at which haste begins may come before the regular hello. */
	if (!hurry)
		due_us = MIN(due_us, h->echoed_us + s->p.dead_us / 2);
	return MAX(due_us, now_us + 1);
}

/* Between two hellos `sent` datagrams left and `came` arrived. Whether half of a burst was lost. */
static bool loss_add(struct hello_loss *l, uint64_t sent, uint64_t came)
{
	uint64_t late = came > sent ? came - sent : 0;
	uint64_t found = MIN(l->missing, late);
	uint64_t lost = l->missing - found;
	bool burst = l->sent >= 16 && lost > l->sent / 2;

	l->sum[0] = l->sum[0] - l->sum[0] / LOSS_MEMORY + l->sent * LOSS_UNIT;
	l->sum[1] = l->sum[1] - l->sum[1] / LOSS_MEMORY + lost * LOSS_UNIT;
	/* What had been behind several hellos in turn was taken for lost. */
	l->sum[1] -= MIN(l->sum[1], (late - found) * LOSS_UNIT);
	l->sent = sent;
	l->missing = sent - MIN(sent, came);
	return burst;
}

unsigned hello_loss_permille(const struct hello_loss *l)
{
	/* A single one is no rate, least of all in an idle tunnel: it would be several percent. */
	if (l->sum[1] <= LOSS_UNIT)
		return 0;
	return l->sum[0] ? (unsigned)(l->sum[1] * 1000 / l->sum[0]) : 0;
}

/* Loss towards us from their count and ours; towards them from what they say they got. */
static void take_counts(struct session *s, const struct hello *in, uint64_t now_us)
{
	struct hello_state *h = &s->hello;
	uint64_t rx = hello_rx(s);

	if (h->far_tx && in->tx > h->far_tx && rx >= h->rx_then)
		loss_add(&h->rx, in->tx - h->far_tx, rx - h->rx_then);
	h->far_tx = in->tx;
	h->rx_then = rx;

	if (in->echo_tx > h->seen_tx && in->echo_tx <= hello_tx(s) && in->echo_rx >= h->seen_rx) {
		uint64_t sent = in->echo_tx - h->seen_tx, came = in->echo_rx - h->seen_rx;

		if (h->seen_tx && loss_add(&h->tx, sent, came))
			pmtu_suspect(&s->pmtu, now_us);
		h->seen_tx = in->echo_tx;
		h->seen_rx = in->echo_rx;
	}
}

static void take_echo(struct session *s, const struct hello *in, uint64_t now_us)
{
	struct hello_state *h = &s->hello;

	/* Only what we sent in this establishment counts, and nothing that we never sent. */
	if (in->echo_us < s->est_us || in->echo_us > h->sent_us || in->echo_us <= h->echoed_us)
		return;
	h->echoed_us = in->echo_us;
	if (now_us > in->echo_us && in->held_us <= now_us - in->echo_us) {
		uint32_t rtt_us = (uint32_t)MIN(now_us - in->echo_us - in->held_us, UINT32_MAX);

		h->rtt_us = h->rtt_us ? h->rtt_us - h->rtt_us / 8 + rtt_us / 8 : MAX(rtt_us, 1u);
	}
}

/* Takes over the states of their segments. True when some state differs from before. */
static bool take_states(struct session *s, const struct hello *in)
{
	struct hello_state *h = &s->hello;
	bool same = in->n == h->n &&
		    (in->n == 0 || memcmp(in->segs, h->far, in->n * sizeof(h->far[0])) == 0);

	h->n = in->n;
	memcpy(h->far, in->segs, in->n * sizeof(h->far[0]));
	return !same;
}

void hello_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct hello_state *h = &s->hello;
	struct hello in;

	memset(&in, 0, sizeof(in)); /* segs are compared as bytes */
	if (control_parse_hello(msg, len, &in) < 0) {
		session_count_drop(s->lane, -EPROTO);
		return;
	}
	if (in.sent_us <= h->far_sent_us)
		return;
	take_counts(s, &in, now_us);
	h->far_sent_us = in.sent_us;
	h->far_came_us = now_us;
	if (in.flags & HELLO_F_ANSWER)
		h->answer = true;
	take_echo(s, &in, now_us);
	if (in.list_seen == s->lists.list)
		s->lists.acked = in.list_seen;

	bool changed = take_states(s, &in);
	bool was_up = s->state == SESSION_UP;
	session_settle(s, now_us);
	if (changed && was_up && s->state == SESSION_UP)
		session_event(s, SESSION_EV_FAR);
	session_wake(s);
}
