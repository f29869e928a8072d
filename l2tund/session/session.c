/*
 * One peer: its state, its lease, and what ends an establishment. An establishment lives
 * from the first handshake over any number of rekeys until the lease is over, the peer says
 * goodbye, or it turns out to have begun anew; then every key of it is dropped, so that both
 * ends always come up again with the same new generation.
 * Invariants: SESSION_UP means `cur` exists and the lease runs; events come after the
 * state that they tell of is in place.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

void session_wake(struct session *s)
{
	s->due_us = 0;
	s->calm_until_us = 0;
	s->ss->due_us = 0;
}

uint64_t session_sum(const struct session *s, size_t member)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->ss->p.lanes; i++)
		sum += counter_get((const void *)((const char *)&s->lane[i] + member));
	return sum;
}

void session_count_drop(struct session_lane *l, int error)
{
	if (error == -EALREADY)
		counter_add(&l->drop_replay, 1);
	else if (error == -EPROTO)
		counter_add(&l->drop_decode, 1);
	else
		counter_add(&l->drop_auth, 1);
}

void session_event(struct session *s, enum session_event ev)
{
	struct sessions *ss = s->ss;
	bool outer = ss->in_callback;

	ss->in_callback = true;
	ss->ops->event(ss->arg, s, ev);
	ss->in_callback = outer;
	session_wake(s);
}

static _printf_(3, 0) void note(struct session *s, bool differ, const char *fmt, va_list ap)
{
	char text[sizeof(s->detail)];

	vsnprintf(text, sizeof(text), fmt, ap);
	s->differ = differ;
	if (strcmp(text, s->detail) == 0)
		return;
	memcpy(s->detail, text, sizeof(text));
	session_event(s, SESSION_EV_NOTE);
}

void session_note(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(s, false, fmt, ap);
	va_end(ap);
}

void session_differ(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(s, true, fmt, ap);
	va_end(ap);
}

uint64_t session_lease_us(const struct session *s)
{
	return s->hello.echoed_us ? s->hello.echoed_us + s->p.dead_us : 0;
}

static void set_state(struct session *s, enum session_state state, uint64_t now_us)
{
	if (s->state == state)
		return;
	s->state = state;
	s->since_us = now_us;
}

static void go_up(struct session *s, uint64_t now_us)
{
	set_state(s, SESSION_UP, now_us);
	s->detail[0] = '\0';
	s->differ = false;
	pmtu_init(&s->pmtu, &s->ss->tune.pmtu, SESSION_PACKET_MAX, now_us);
	session_event(s, SESSION_EV_UP);
	if (s->state == SESSION_UP && s->lists.far_list)
		session_event(s, SESSION_EV_SEGMENTS);
}

void session_settle(struct session *s, uint64_t now_us)
{
	if (s->state == SESSION_UP)
		return; /* session_down() alone leaves it */
	if (s->cur && now_us < session_lease_us(s))
		go_up(s, now_us);
	else if (s->cur || s->fresh || (s->p.has_host && s->n_addrs && !s->closed))
		set_state(s, SESSION_HANDSHAKE, now_us);
	else
		set_state(s, SESSION_DOWN, now_us);
	if (s->state == SESSION_DOWN && !s->p.has_host && !s->detail[0])
		session_note(s, "waiting for the peer to call");
}

/* The next call goes to this address, if it is one of those that we know. */
static void begin_with(struct session *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->n_addrs; i++)
		if (addr_equal(&s->addrs[i], a))
			s->addr_at = i;
}

void session_down(struct session *s, uint64_t now_us, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->detail, sizeof(s->detail), fmt, ap);
	va_end(ap);
	s->differ = false;

	keys_drop(s);
	handshake_cancel(s);
	s->generation = 0;
	begin_with(s, &s->path.remote);
	s->call.tries = 0;
	s->call.due_us = now_us;
	s->call.forced = false;
	if (s->p.has_host && !s->closed)
		s->resolve_us = now_us;
	bool was_up = s->state == SESSION_UP;
	hello_reset(s, now_us);
	lists_reset(s);
	set_state(s, SESSION_HANDSHAKE, now_us);
	session_settle(s, now_us); /* or down */
	session_wake(s);
	session_event(s, was_up ? SESSION_EV_DOWN : SESSION_EV_NOTE);
}

void session_establish(struct session *s, struct keypair *kp, uint64_t now_us)
{
	bool was_up = s->state == SESSION_UP;

	if (s->generation)
		snprintf(s->detail, sizeof(s->detail), "%s",
			 kp->far_incarnation != s->far_incarnation ? "the peer was restarted" :
								     "the peer began anew");
	s->generation = kp->generation;
	s->est_us = now_us;
	s->far_incarnation = kp->far_incarnation;
	memcpy(s->far_name, kp->far_name, sizeof(s->far_name));
	hello_reset(s, now_us);
	lists_reset(s);
	handshake_cancel(s);
	set_state(s, SESSION_HANDSHAKE, now_us);
	session_wake(s);
	if (was_up)
		session_event(s, SESSION_EV_DOWN); /* may drop `kp` */
}

/* Says why the lease is over. */
static void lease_over(struct session *s, uint64_t now_us)
{
	const struct hello_state *h = &s->hello;
	char where[ADDR_STRLEN];

	addr_format(&s->path.remote, where);
	if (h->far_came_us && now_us - h->far_came_us < s->p.dead_us / 2)
		session_down(s, now_us, "%s does not hear us: its hellos come, ours do not arrive",
			     where);
	else
		session_down(s, now_us, "no answer for %u.%u s from %s", s->p.dead_us / 1000000,
			     s->p.dead_us / 100000 % 10, where);
}

/* Until when the present state may last without news from the peer. */
static uint64_t patience_us(const struct session *s)
{
	if (!s->cur)
		return NEVER;
	if (s->state == SESSION_UP)
		return session_lease_us(s);
	return s->est_us + MAX((uint64_t)s->p.dead_us, s->ss->tune.establish_us);
}

void session_expire(struct session *s, uint64_t now_us)
{
	if (now_us < s->calm_until_us)
		return;
	if (now_us >= patience_us(s))
		lease_over(s, now_us);
	keys_expire(s, now_us);
	if (s->state == SESSION_HANDSHAKE && !s->cur)
		session_settle(s, now_us); /* an answered call came to nothing */
	s->calm_until_us = MIN(patience_us(s), keys_expire_at(s));
}

static uint64_t resolve_tick(struct session *s, uint64_t now_us)
{
	struct sessions *ss = s->ss;

	if (s->closed || !s->p.has_host || s->cur)
		return NEVER;
	if (now_us >= s->resolve_us) {
		s->resolve_us = now_us + ss->tune.resolve_us;
		bool outer = ss->in_callback;
		ss->in_callback = true;
		ss->ops->resolve(ss->arg, s);
		ss->in_callback = outer;
	}
	return s->resolve_us;
}

static void send_probe(struct session *s, unsigned size, uint32_t id, uint64_t now_us)
{
	unsigned around = session_ip_overhead(s) + CONTROL_AT + CRYPTO_TAG_BYTES;
	struct probe p = { id, (uint16_t)size };
	int len = control_build_probe(&p, size - around, s->ss->buf + CONTROL_AT, CONTROL_CAP);
	uint64_t before = counter_get(&s->lane->tx_datagrams);

	if (len > 0 && session_send_control(s, (size_t)len, now_us) == -EMSGSIZE)
		pmtu_too_big(&s->pmtu, size, now_us);
	hello_forget_sent(s, counter_get(&s->lane->tx_datagrams) - before);
}

static uint64_t pmtu_run(struct session *s, uint64_t now_us)
{
	unsigned before = s->pmtu.mtu, size;
	uint32_t id;

	if (s->state != SESSION_UP)
		return NEVER;
	while (pmtu_tick(&s->pmtu, s->hello.rtt_us, now_us, &size, &id))
		send_probe(s, size, id, now_us);
	if (s->pmtu.mtu != before)
		session_event(s, SESSION_EV_MTU);
	return pmtu_due(&s->pmtu);
}

uint64_t session_tick(struct session *s, uint64_t now_us)
{
	uint64_t due_us;

	session_expire(s, now_us);
	due_us = resolve_tick(s, now_us);
	due_us = MIN(due_us, handshake_tick(s, now_us));
	due_us = MIN(due_us, hello_tick(s, now_us));
	due_us = MIN(due_us, lists_tick(s, now_us));
	due_us = MIN(due_us, pmtu_run(s, now_us));
	due_us = MIN(due_us, patience_us(s));
	return MIN(due_us, keys_expire_at(s));
}

unsigned session_ip_overhead(const struct session *s)
{
	return (s->path.remote.sa.sa_family == AF_INET6 ? 40 : 20) + 8;
}

int session_send_control(struct session *s, size_t len, uint64_t now_us)
{
	struct sessions *ss = s->ss;

	(void)now_us;
	if (!s->cur)
		return -ENOKEY;
	record_put_header(ss->buf + DGRAM_HDR_BYTES, RECORD_CONTROL, 0, 0, (uint16_t)len);
	int n = seal_out(&s->cur->seal, 0, DGRAM_CONTROL, s->cur->far_index, ss->buf,
			 RECORD_HDR_BYTES + len);
	if (n < 0)
		return n;
	counter_add(&s->lane->tx_datagrams, 1);
	counter_add(&s->lane->tx_bytes, (uint64_t)n);
	return ss->ops->send(ss->arg, &s->path, ss->buf, (size_t)n);
}

void session_take_path(struct session *s, const struct path *from, uint64_t now_us)
{
	bool moved = !addr_equal(&s->path.remote, &from->remote);

	s->path = *from;
	if (!moved || s->state != SESSION_UP)
		return;
	pmtu_init(&s->pmtu, &s->ss->tune.pmtu, SESSION_PACKET_MAX, now_us);
	session_event(s, SESSION_EV_MOVED);
}
