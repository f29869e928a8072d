/*
 * The calling side: when an initiation is sent, to which address, and what its response
 * or cookie does. Invariants: a call is only ever begun by our own clock, never by what came
 * from the network unauthenticated; a response that does not fit changes nothing but the
 * detail shown to the administrator.
 */
#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

void handshake_cancel(struct session *s)
{
	if (s->call.index)
		index_remove(&s->ss->indexes, s->call.index);
	s->call.index = 0;
	noise_wipe(&s->call.noise);
}

static uint32_t random_u32(struct sessions *ss)
{
	uint8_t b[4];

	ss->ops->random(ss->arg, b, sizeof(b));
	return get_le32(b);
}

/* Where the next call goes. False when there is no address. */
static bool pick_path(struct session *s, struct path *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (s->cur) {
		*ret = s->path;
		return true;
	}
	if (!s->n_addrs)
		return false;
	ret->remote = s->addrs[s->addr_at++ % s->n_addrs];
	return true;
}

static void fill_payload(struct session *s, struct payload *p)
{
	const struct sessions *ss = s->ss;

	memset(p, 0, sizeof(*p));
	p->version_min = p->version_max = PROTOCOL_VERSION;
	p->incarnation = ss->p.incarnation;
	p->counter = s->call.counter;
	memcpy(p->name, ss->p.node_name, sizeof(p->name));
	p->modes = (uint8_t)s->p.modes;
	p->mbps[CIPHER_AES256GCM] = ss->p.aes_mbps;
	p->mbps[CIPHER_CHACHAPOLY] = ss->p.chacha_mbps;
	p->generation = s->call.generation;
	p->epoch = s->epoch + 1;
}

/* Builds the initiation of s->call into `msg`. Gives its length or a negative errno. */
static int build_init(struct session *s, uint8_t *msg, uint64_t now_us)
{
	struct sessions *ss = s->ss;
	uint8_t e_priv[32], plain[DGRAM_INIT_PAYLOAD];
	struct payload p;

	fill_payload(s, &p);
	int n = payload_build(&p, plain, sizeof(plain), DGRAM_INIT_PAYLOAD);
	int r = n < 0 ? n :
			noise_init(&s->call.noise, ss->c, true, true, DGRAM_PROLOGUE,
				   sizeof(DGRAM_PROLOGUE) - 1, ss->p.private_key.b,
				   ss->public_key.b, s->p.public_key.b);
	if (r < 0)
		return r;

	memset(msg, 0, DGRAM_INIT_HDR);
	msg[0] = DGRAM_INIT;
	put_le32(msg + 4, s->call.index);
	ss->ops->random(ss->arg, e_priv, sizeof(e_priv));
	r = noise_write_1(&s->call.noise, e_priv, plain, (size_t)n, msg + DGRAM_INIT_HDR);
	crypto_wipe(e_priv, sizeof(e_priv));
	if (r < 0)
		return r;
	int len = DGRAM_INIT_HDR + r + COOKIE_MACS_BYTES;
	r = cookie_stamp(&s->cookie, ss->c, msg, (size_t)len, now_us);
	return r < 0 ? r : len;
}

/* Each unanswered call waits half as long again as the last, with jitter on top. */
static uint64_t retry_after(struct session *s)
{
	const struct tunables *t = &s->ss->tune;
	uint64_t wait_us = t->retry_us;

	for (unsigned i = 1; i < s->call.tries && wait_us < t->retry_max_us; i++)
		wait_us += wait_us / 2;
	wait_us = MIN(wait_us, t->retry_max_us);
	return wait_us + random_u32(s->ss) % (wait_us / 4 + 1);
}

static void note_unanswered(struct session *s)
{
	char where[ADDR_STRLEN];

	if (s->state == SESSION_UP || s->call.tries < 2 || !s->n_addrs)
		return;
	addr_format(&s->addrs[0], where);
	if (s->n_addrs > 1)
		session_note(s, "no answer from %s and %u other address%s", where, s->n_addrs - 1,
			     s->n_addrs > 2 ? "es" : "");
	else
		session_note(s, "no answer from %s", where);
}

static void call(struct session *s, uint64_t now_us)
{
	struct sessions *ss = s->ss;
	struct path path;

	/* A refusal or an undecipherable response is better to know than silence. */
	if (s->call.index && !s->call.answered)
		note_unanswered(s);
	handshake_cancel(s);
	if (!pick_path(s, &path))
		return;
	s->call.index = index_add(&ss->indexes, random_u32(ss), s);
	s->call.path = path;
	s->call.counter = ++ss->init_counter;
	s->call.generation = s->cur ? s->generation : 0;
	s->call.answered = false;
	s->call.tries++;
	s->call.due_us = now_us + retry_after(s);

	int len = s->call.index ? build_init(s, ss->buf, now_us) : -1;
	if (len < 0)
		handshake_cancel(s);
	else
		ss->ops->send(ss->arg, &path, ss->buf, (size_t)len);
}

/* From when on a call is wanted; NEVER when not. */
static uint64_t wanted_at(const struct session *s)
{
	if (s->closed || !s->p.has_host)
		return NEVER;
	if (s->cur)
		return keys_replace_at(s);
	return s->n_addrs ? 0 : NEVER;
}

uint64_t handshake_tick(struct session *s, uint64_t now_us)
{
	uint64_t at = wanted_at(s);

	if (at > now_us)
		return at;
	if (now_us >= s->call.due_us)
		call(s, now_us);
	return s->call.due_us;
}

/* Calls again later: the peer is there, but will not have us as things stand. */
static void refused(struct session *s, uint64_t now_us)
{
	handshake_cancel(s);
	s->call.forced = false;
	s->call.due_us = now_us + s->ss->tune.refused_us;
	session_settle(s, now_us);
	session_wake(s);
}

/* Whether the responder's choice is one that we would have made. */
static bool choice_ok(struct session *s, const struct payload *p)
{
	const uint32_t ours[CIPHERS] = {
		[CIPHER_AES256GCM] = s->ss->p.aes_mbps,
		[CIPHER_CHACHAPOLY] = s->ss->p.chacha_mbps,
	};

	if (!p->chosen || p->version != PROTOCOL_VERSION) {
		session_differ(s, "peer answers in protocol version %u, we speak %u", p->version,
			       PROTOCOL_VERSION);
		return false;
	}
	if (p->mode >= DATA_MODES || payload_pick_mode(s->p.modes, p->modes) != p->mode) {
		session_differ(s, "peer chose a data mode that is not the strongest we both allow");
		return false;
	}
	if (p->cipher <= CIPHER_NONE || p->cipher >= CIPHERS || !ours[p->cipher]) {
		session_differ(s, "peer chose cipher %u, which we did not offer", p->cipher);
		return false;
	}
	return true;
}

/* Takes what the (authentic) response says. */
static void answered(struct session *s, struct noise *n, const struct payload *p,
		     uint32_t far_index, const struct path *from, uint64_t now_us)
{
	if (p->refusal) {
		session_differ(s, "peer refuses: %s", p->text);
		refused(s, now_us);
		return;
	}
	if (p->unknown)
		session_differ(s, "peer wants something that we do not know (item 0x%02x)",
			       p->unknown);
	if (p->unknown || !choice_ok(s, p) ||
	    (p->generation && p->generation != s->call.generation)) {
		refused(s, now_us);
		return;
	}
	struct keypair *kp = keypair_new(s, n, p, p, s->call.index, far_index, now_us);
	if (!kp)
		return;	   /* the next call may fare better */
	s->call.index = 0; /* the keys have it now */
	handshake_cancel(s);
	s->call.tries = 0;
	s->call.forced = false;
	s->call.due_us = now_us;
	keys_take(s, kp, now_us);
	if (s->cur == kp)
		session_take_path(s, from, now_us);
	session_settle(s, now_us);
	/* A hello goes ahead of all data, so that the peer takes the new keys up. */
	hello_flush(s, now_us);
	hello_tick(s, now_us);
}

void handshake_input_response(struct sessions *ss, const struct path *from, const uint8_t *dgram,
			      size_t len, uint64_t now_us)
{
	uint8_t plain[DGRAM_HANDSHAKE_MAX];
	struct payload p;

	if (len < DGRAM_RESPONSE_MIN || len > DGRAM_HANDSHAKE_MAX) {
		counter_add(&ss->lane->bad_header, 1);
		return;
	}
	struct session *s = index_find(&ss->indexes, get_le32(dgram + 8));
	if (s)
		session_expire(s, now_us); /* which may end the call */
	if (!s || s->call.index != get_le32(dgram + 8)) {
		counter_add(&ss->lane->unknown_index, 1);
		return;
	}
	if (!cookie_check_mac1(&ss->checker, ss->c, dgram, len)) {
		ss->counters.bad_mac++;
		return;
	}

	struct noise n = s->call.noise;
	int r = noise_read_2(&n, s->p.psk.b, dgram + DGRAM_RESPONSE_HDR,
			     len - DGRAM_RESPONSE_HDR - COOKIE_MACS_BYTES, plain);
	if (r < 0) {
		session_count_drop(s->lane, -EBADMSG);
		if (s->state != SESSION_UP) {
			s->call.answered = true;
			session_differ(s, "response does not decrypt: the preshared keys differ?");
		}
	} else if (payload_parse(plain, (size_t)r, &p) < 0 || p.counter != s->call.counter) {
		session_count_drop(s->lane, -EPROTO);
	} else {
		counter_set(&s->lane->last_rx_us, now_us);
		answered(s, &n, &p, get_le32(dgram + 4), from, now_us);
	}
	noise_wipe(&n);
}

void handshake_input_cookie(struct sessions *ss, const uint8_t *dgram, size_t len, uint64_t now_us)
{
	if (len != COOKIE_REPLY_BYTES) {
		counter_add(&ss->lane->bad_header, 1);
		return;
	}
	struct session *s = index_find(&ss->indexes, get_le32(dgram + 4));
	if (!s || s->call.index != get_le32(dgram + 4)) {
		counter_add(&ss->lane->unknown_index, 1);
		return;
	}
	if (cookie_take(&s->cookie, ss->c, dgram, len, now_us) < 0) {
		ss->counters.bad_mac++;
		return;
	}
	/* Call again with the cookie, soon, but not before a burst of cookies has passed. */
	s->call.due_us = MIN(s->call.due_us, now_us + s->ss->tune.retry_us / 10);
	session_wake(s);
}
