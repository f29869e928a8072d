/*
 * The answering side. The order of checks is the order of their cost: layout, mac1, cookie
 * and source limit when under load, then two X25519 operations, then who it is. Invariants:
 * nothing that runs is disturbed before the caller has proven itself with a datagram
 * under the new keys (keys_take); a response is never longer than its initiation; an
 * initiation is answered once.
 */
#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

static void send_cookie(struct sessions *ss, const struct path *from, const uint8_t *dgram,
			size_t len)
{
	uint8_t nonce[16], reply[COOKIE_REPLY_BYTES];

	ss->ops->random(ss->arg, nonce, sizeof(nonce));
	if (cookie_reply(&ss->checker, ss->c, dgram, len, get_le32(dgram + 4), &from->remote, nonce,
			 reply) < 0)
		return;
	ss->counters.cookies_sent++;
	ss->ops->send(ss->arg, from, reply, sizeof(reply));
}

/* Under load only who receives at its source address gets further, and not too often. */
static bool admit(struct sessions *ss, const struct path *from, const uint8_t *dgram, size_t len,
		  uint64_t now_us)
{
	if (!load_note(&ss->load, now_us))
		return true;
	if (cookie_rotation_due(&ss->checker, now_us)) {
		uint8_t fresh[32];

		ss->ops->random(ss->arg, fresh, sizeof(fresh));
		cookie_rotate(&ss->checker, fresh, now_us);
		crypto_wipe(fresh, sizeof(fresh));
	}
	if (!cookie_check_mac2(&ss->checker, ss->c, dgram, len, &from->remote, now_us)) {
		send_cookie(ss, from, dgram, len);
		return false;
	}
	if (!limit_pass(&ss->limit, &from->remote, now_us)) {
		ss->counters.rate_limited++;
		return false;
	}
	return true;
}

static bool knows_host(const struct session *s, const struct addr *a)
{
	if (s->cur && addr_same_host(&s->path.remote, a))
		return true;
	for (unsigned i = 0; i < s->n_addrs; i++)
		if (addr_same_host(&s->addrs[i], a))
			return true;
	return false;
}

/* The peer with this key; among several, the one that the source host belongs to. */
static struct session *find_peer(struct sessions *ss, const uint8_t pub[32],
				 const struct addr *from)
{
	struct session *one = NULL, *hostless = NULL, *known = NULL;
	unsigned n = 0;

	for (struct session *s = ss->all; s; s = s->next) {
		if (memcmp(s->p.public_key.b, pub, KEY_BYTES) != 0)
			continue;
		n++;
		one = s;
		if (!known && knows_host(s, from))
			known = s;
		if (!hostless && !s->p.has_host)
			hostless = s;
	}
	if (n == 1 || known)
		return known ? known : one;
	return hostless;
}

static void refuse(struct session *s, struct payload *r, enum refusal code, const char *text)
{
	r->refusal = (uint8_t)code;
	snprintf(r->text, sizeof(r->text), "%.*s", PAYLOAD_TEXT_MAX, text);
	if (s->state != SESSION_UP)
		session_differ(s, "refused the peer's call: %s", text);
}

static void format_modes(unsigned modes, char ret[64])
{
	size_t n = 0;

	ret[0] = '\0';
	for (unsigned m = 0; m < DATA_MODES; m++)
		if (modes & 1u << m)
			n += (size_t)snprintf(ret + n, 64 - n, "%s%s", n ? ", " : "",
					      data_mode_name((enum data_mode)m));
}

/* Fills the choice, or the refusal. */
static void decide(struct session *s, const struct payload *p, struct payload *r)
{
	int mode = payload_pick_mode(s->p.modes, p->modes);
	int cipher = payload_pick_cipher(r->mbps, p->mbps);
	char text[256], ours[64], theirs[64];

	if (p->version_min > PROTOCOL_VERSION || p->version_max < PROTOCOL_VERSION) {
		snprintf(text, sizeof(text), "protocol version: %s speaks %u, %s speaks %u to %u",
			 r->name, PROTOCOL_VERSION, p->name, p->version_min, p->version_max);
		refuse(s, r, REFUSAL_VERSION, text);
	} else if (p->unknown) {
		snprintf(text, sizeof(text), "%s does not know item 0x%02x", r->name, p->unknown);
		refuse(s, r, REFUSAL_ITEM, text);
	} else if (mode < 0) {
		format_modes(s->p.modes, ours);
		format_modes(p->modes, theirs);
		snprintf(text, sizeof(text), "no common data mode: %s allows %s, %s allows %s",
			 r->name, ours, p->name, theirs);
		refuse(s, r, REFUSAL_MODE, text);
	} else if (cipher < 0) {
		refuse(s, r, REFUSAL_CIPHER, "no common cipher");
	} else {
		r->chosen = true;
		r->version = PROTOCOL_VERSION;
		r->mode = (uint8_t)mode;
		r->cipher = (uint8_t)cipher;
	}
}

static void fill_response(struct session *s, const struct payload *p, struct payload *r)
{
	const struct sessions *ss = s->ss;
	bool go_on = s->cur && p->generation && p->generation == s->generation &&
		     p->incarnation == s->far_incarnation;

	memset(r, 0, sizeof(*r));
	r->version_min = r->version_max = PROTOCOL_VERSION;
	r->incarnation = ss->p.incarnation;
	r->counter = p->counter;
	memcpy(r->name, ss->p.node_name, sizeof(r->name));
	r->modes = (uint8_t)s->p.modes;
	r->mbps[CIPHER_AES256GCM] = ss->p.aes_mbps;
	r->mbps[CIPHER_CHACHAPOLY] = ss->p.chacha_mbps;
	r->generation = go_on ? s->generation : 0;
	r->epoch = MAX(p->epoch, s->epoch + 1);
	decide(s, p, r);
}

/* Builds the response with our index; at most `max` bytes. Gives the length or an error. */
static int build_response(struct session *s, struct noise *n, const struct payload *r,
			  uint32_t index, uint32_t far_index, size_t max, uint8_t *msg,
			  uint64_t now_us)
{
	struct sessions *ss = s->ss;
	uint8_t e_priv[32], plain[DGRAM_HANDSHAKE_MAX];
	int len = payload_build(r, plain, max - DGRAM_RESPONSE_MIN, 0);

	if (len < 0)
		return len;
	memset(msg, 0, DGRAM_RESPONSE_HDR);
	msg[0] = DGRAM_RESPONSE;
	put_le32(msg + 4, index);
	put_le32(msg + 8, far_index);
	ss->ops->random(ss->arg, e_priv, sizeof(e_priv));
	len = noise_write_2(n, e_priv, s->p.psk.b, plain, (size_t)len, msg + DGRAM_RESPONSE_HDR);
	crypto_wipe(e_priv, sizeof(e_priv));
	if (len < 0)
		return len;
	len += DGRAM_RESPONSE_HDR + COOKIE_MACS_BYTES;
	int e = cookie_stamp(&s->answer, ss->c, msg, (size_t)len, now_us);
	return e < 0 ? e : len;
}

static void answer(struct session *s, struct noise *n, const struct payload *p,
		   const struct path *from, const uint8_t *dgram, size_t len, uint64_t now_us)
{
	struct sessions *ss = s->ss;
	uint32_t far_index = get_le32(dgram + 4), index = 0;
	struct payload r;
	uint8_t random[4];

	fill_response(s, p, &r);
	if (!r.refusal) {
		keys_set_fresh(s, NULL); /* its index is free for the new one */
		ss->ops->random(ss->arg, random, sizeof(random));
		index = index_add(&ss->indexes, get_le32(random), s);
		if (!index)
			return;
	}
	int n_out = build_response(s, n, &r, index, far_index, len, ss->buf, now_us);
	struct keypair *kp =
		n_out > 0 && index ? keypair_new(s, n, &r, p, index, far_index, now_us) : NULL;
	if (kp)
		keys_set_fresh(s, kp);
	else if (index)
		index_remove(&ss->indexes, index);
	if (n_out > 0 && (kp || r.refusal))
		ss->ops->send(ss->arg, from, ss->buf, (size_t)n_out);
}

static bool replayed(struct session *s, const struct payload *p)
{
	if (p->incarnation < s->greatest_incarnation ||
	    (p->incarnation == s->greatest_incarnation && p->counter <= s->greatest_counter)) {
		s->ss->counters.replayed_initiations++;
		s->ss->counters.stale_initiations += p->incarnation < s->greatest_incarnation;
		return true;
	}
	s->greatest_incarnation = p->incarnation;
	s->greatest_counter = p->counter;
	return false;
}

/*
 * A running peer that has just answered our hello has no reason to begin anew: the call is of
 * another session under the same key (a second path that we do not know of), and
 * answering it would make the two throw each other out for ever.
 */
static bool superfluous(const struct session *s, const struct payload *p, uint64_t now_us)
{
	return s->state == SESSION_UP && p->generation != s->generation &&
	       p->incarnation == s->far_incarnation && !hello_in_haste(s, now_us);
}

/* `n` has read the message; its payload is `plain`. */
static void opened(struct sessions *ss, struct noise *n, const uint8_t *plain, size_t plain_len,
		   const struct path *from, const uint8_t *dgram, size_t len, uint64_t now_us)
{
	struct session *s = find_peer(ss, n->rs, &from->remote);
	struct payload p;

	if (!s || s->closed) {
		ss->counters.unknown_key++;
		return;
	}
	if (payload_parse(plain, plain_len, &p) < 0) {
		session_count_drop(s->lane, -EPROTO);
		return;
	}
	if (replayed(s, &p))
		return;
	session_expire(s, now_us);
	if (superfluous(s, &p, now_us))
		return;
	s->called_us = now_us;
	answer(s, n, &p, from, dgram, len, now_us);
	session_settle(s, now_us);
	session_wake(s);
}

void handshake_input_init(struct sessions *ss, const struct path *from, const uint8_t *dgram,
			  size_t len, uint64_t now_us)
{
	uint8_t plain[DGRAM_HANDSHAKE_MAX];
	struct noise n;

	if (len < DGRAM_INIT_MIN || len > DGRAM_HANDSHAKE_MAX || !get_le32(dgram + 4)) {
		counter_add(&ss->lane->bad_header, 1);
		return;
	}
	if (!cookie_check_mac1(&ss->checker, ss->c, dgram, len)) {
		ss->counters.bad_mac++;
		return;
	}
	if (!admit(ss, from, dgram, len, now_us))
		return;
	int r = noise_init(&n, ss->c, false, true, DGRAM_PROLOGUE, sizeof(DGRAM_PROLOGUE) - 1,
			   ss->p.private_key.b, ss->public_key.b, NULL);
	if (r == 0)
		r = noise_read_1(&n, dgram + DGRAM_INIT_HDR,
				 len - DGRAM_INIT_HDR - COOKIE_MACS_BYTES, plain);
	if (r < 0)
		ss->counters.bad_mac++;
	else
		opened(ss, &n, plain, (size_t)r, from, dgram, len, now_us);
	noise_wipe(&n);
	crypto_wipe(plain, sizeof(plain));
}
