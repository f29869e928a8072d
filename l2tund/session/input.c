/*
 * Datagrams in: which handshake message or whose keys, and what a sealed one brings.
 * Invariants: only a datagram that authenticated changes anything of a session but its
 * drop counters; the endpoint moves only when such a datagram is also the newest under the
 * current keys; plain data (mode none) can do nothing but deliver frames.
 * Routine data, which is nearly all there is, changes nothing but counters and the replay window:
 * that is why lanes may take it, while the main thread is kept out.
 */
#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

static void probe_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct probe p;

	if (control_parse_probe(msg, len, &p) < 0) {
		session_count_drop(s->lane, -EPROTO);
		return;
	}
	hello_forget_received(s); /* nor did its sender count it */
	int n = control_build_probe_ack(&p, s->ss->buf + CONTROL_AT, CONTROL_CAP);
	if (n > 0)
		session_send_control(s, (size_t)n, now_us);
}

static void probe_ack_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	unsigned before = s->pmtu.mtu;
	struct probe p;

	if (control_parse_probe(msg, len, &p) < 0) {
		session_count_drop(s->lane, -EPROTO);
		return;
	}
	if (s->state != SESSION_UP)
		return;
	pmtu_acked(&s->pmtu, p.id, p.size, now_us);
	if (s->pmtu.mtu != before)
		session_event(s, SESSION_EV_MTU);
	session_wake(s);
}

static void close_input(struct session *s, uint64_t now_us)
{
	session_down(s, now_us, "closed by the peer");
	/* It may be on its way down: do not call before it had time to go. */
	s->call.due_us = now_us + s->ss->tune.retry_max_us;
}

static void topology_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct sessions *ss = s->ss;

	if (s->state != SESSION_UP || !ss->ops->topology)
		return; /* too early: its sender repeats it */
	msg = control_parse_topology(msg, len, &len);
	bool outer = ss->in_callback;
	ss->in_callback = true;
	ss->ops->topology(ss->arg, s, msg, len, now_us);
	ss->in_callback = outer;
}

static void message_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	switch (control_kind(msg, len)) {
	case CONTROL_HELLO:
		hello_input(s, msg, len, now_us);
		break;
	case CONTROL_SEGMENTS:
		lists_input(s, msg, len, now_us);
		break;
	case CONTROL_PROBE:
		probe_input(s, msg, len, now_us);
		break;
	case CONTROL_PROBE_ACK:
		probe_ack_input(s, msg, len, now_us);
		break;
	case CONTROL_CLOSE:
		close_input(s, now_us);
		break;
	case CONTROL_TOPOLOGY:
		topology_input(s, msg, len, now_us);
		break;
	case -EBADMSG:
		session_count_drop(s->lane, -EPROTO);
		break;
	default:
		break; /* a message of a later version */
	}
}

void session_control_input(struct session *s, const uint8_t *p, size_t len, uint64_t now_us)
{
	uint64_t generation = s->generation;
	struct record rec;
	int more = 1;

	while (s->generation == generation && (more = record_next(&p, &len, &rec)) > 0) {
		if (rec.kind == RECORD_CONTROL && rec.flags == 0)
			message_input(s, rec.bytes, rec.len, now_us);
		else
			session_count_drop(s->lane, -EPROTO);
	}
	if (more < 0)
		session_count_drop(s->lane, -EPROTO);
}

static void data_input(struct session *s, uint8_t *records, size_t len, uint64_t now_us)
{
	struct sessions *ss = s->ss;
	bool outer = ss->in_callback;
	ss->in_callback = true;
	ss->ops->records(ss->arg, s, records, len, now_us);
	ss->in_callback = outer;
}

static bool same_path(const struct path *a, const struct path *b)
{
	if (memcmp(a, b, sizeof(*a)) == 0)
		return true; /* nearly always, and quick */
	return a->socket == b->socket && addr_equal(&a->remote, &b->remote) &&
	       addr_same_host(&a->local, &b->local);
}

/* What an authenticated, sealed datagram proves about its keys and its source. */
static void proven(struct session *s, struct keypair *kp, const struct path *from, bool newest,
		   uint64_t now_us)
{
	if (kp == s->fresh) {
		handshake_cancel(s);
		s->call.tries = 0;
		s->call.due_us = now_us;
		s->call.forced = false;
		keys_take(s, kp, now_us);
	}
	if (newest && kp == s->cur && !same_path(&s->path, from))
		session_take_path(s, from, now_us);
}

static void count_datagram(struct session_lane *l, bool sealed, size_t len, uint64_t now_us)
{
	counter_add(&l->rx_datagrams, 1);
	counter_add(&l->rx_bytes, len);
	if (sealed)
		counter_set(&l->last_rx_us, now_us);
}

/* Whether data under these keys can change nothing of the session. */
static bool routine(const struct session *s, const struct keypair *kp, const struct path *from,
		    uint64_t now_us)
{
	return s->state == SESSION_UP && now_us < s->calm_until_us && kp && kp != s->fresh &&
	       kp->generation == s->generation && same_path(&s->path, from);
}

/* What no datagram of any type may look like. */
static bool malformed(const uint8_t *dgram, size_t len)
{
	return len < DGRAM_HDR_BYTES || len > SESSION_DGRAM_MAX || dgram[2] || dgram[3];
}

int sessions_data_input(struct sessions *ss, unsigned lane, const struct path *from, uint8_t *dgram,
			size_t len, uint64_t now_us, struct session **ret)
{
	bool newest;

	if (malformed(dgram, len)) {
		counter_add(&ss->lane[lane].bad_header, 1);
		return -EPROTO;
	}
	if (dgram[0] != DGRAM_DATA && dgram[0] != DGRAM_PLAIN)
		return -EAGAIN;
	uint32_t index = get_le32(dgram + 4);
	struct session *s = index_find(&ss->indexes, index);
	if (!s) {
		counter_add(&ss->lane[lane].unknown_index, 1);
		return -ENOENT;
	}
	struct keypair *kp = keys_find(s, index);
	if (!routine(s, kp, from, now_us))
		return -EAGAIN;
	int n = seal_in(&kp->seal, lane, dgram, len, &newest);
	if (n < 0) {
		session_count_drop(&s->lane[lane], n);
		return n;
	}
	count_datagram(&s->lane[lane], dgram[0] == DGRAM_DATA, len, now_us);
	*ret = s;
	return n;
}

/* Whatever is not routine, and control. */
static void sealed_input(struct sessions *ss, const struct path *from, uint8_t *dgram, size_t len,
			 uint64_t now_us)
{
	uint32_t index = get_le32(dgram + 4);
	struct session *s = index_find(&ss->indexes, index);
	bool plain = dgram[0] == DGRAM_PLAIN, newest;

	if (s)
		session_expire(s, now_us); /* may drop the keys */
	struct keypair *kp = s ? keys_find(s, index) : NULL;
	if (!kp) {
		counter_add(&ss->lane->unknown_index, 1);
		return;
	}
	if (plain && (kp == s->fresh || !addr_same_host(&from->remote, &s->path.remote))) {
		session_count_drop(s->lane, -EBADMSG);
		return;
	}
	int n = seal_in(&kp->seal, 0, dgram, len, &newest);
	if (n < 0) {
		session_count_drop(s->lane, n);
		return;
	}
	if (!plain) {
		counter_set(&s->lane->last_rx_us, now_us);
		proven(s, kp, from, newest, now_us);
		if (!keys_find(s, index))
			return; /* the caller closed the session when it heard of it */
	}
	count_datagram(s->lane, !plain, len, now_us);
	if (dgram[0] == DGRAM_CONTROL)
		session_control_input(s, dgram + DGRAM_HDR_BYTES, (size_t)n, now_us);
	else if (s->state == SESSION_UP && kp->generation == s->generation)
		data_input(s, dgram + DGRAM_HDR_BYTES, (size_t)n, now_us);
}

/* True: it was data, and nothing remains to be done. */
static bool routine_input(struct sessions *ss, const struct path *from, uint8_t *dgram, size_t len,
			  uint64_t now_us)
{
	struct session *s;
	int n = sessions_data_input(ss, 0, from, dgram, len, now_us, &s);

	if (n >= 0)
		data_input(s, dgram + DGRAM_HDR_BYTES, (size_t)n, now_us);
	return n != -EAGAIN;
}

void sessions_input(struct sessions *ss, const struct path *from, uint8_t *dgram, size_t len,
		    uint64_t now_us)
{
	if (routine_input(ss, from, dgram, len, now_us))
		return;
	if (dgram[0] < DGRAM_DATA && dgram[1]) {
		counter_add(&ss->lane->bad_header, 1);
		return;
	}
	switch (dgram[0]) {
	case DGRAM_INIT:
		handshake_input_init(ss, from, dgram, len, now_us);
		break;
	case DGRAM_RESPONSE:
		handshake_input_response(ss, from, dgram, len, now_us);
		break;
	case DGRAM_COOKIE:
		handshake_input_cookie(ss, dgram, len, now_us);
		break;
	case DGRAM_DATA:
	case DGRAM_CONTROL:
	case DGRAM_PLAIN:
		sealed_input(ss, from, dgram, len, now_us);
		break;
	default:
		counter_add(&ss->lane->bad_header, 1);
		break;
	}
}
