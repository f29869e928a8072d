/*
 * This node's side: its key, its peers, and the calls of session.h that configure a peer,
 * seal for it or tell about it. What peers do is in session.c, what comes in is in input.c.
 * Invariant: `due_us` is never later than the earliest deadline of any session; 0 means that
 * something changed since it was worked out.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

static const struct tunables defaults = {
	.rekey_us = 120 * US_PER_S,
	.reject_us = 180 * US_PER_S,
	.rekey_late_us = 10 * US_PER_S,
	.rekey_datagrams = UINT64_C(1) << 26,
	.retry_us = 500 * US_PER_MS,
	.retry_max_us = 2 * US_PER_S,
	.refused_us = 5 * US_PER_S,
	.resolve_us = 10 * US_PER_S,
	.establish_us = 2 * US_PER_S,
	.lists_us = 200 * US_PER_MS,
	.load_initiations = 50,
};

static int node_id(struct crypto *c, const struct key *pub, uint8_t ret[NODE_ID_BYTES])
{
	struct crypto_buf in = { pub->b, KEY_BYTES };
	uint8_t out[CRYPTO_HASH_BYTES];
	int r = crypto_sha256(c, &in, 1, out);

	if (r == 0)
		memcpy(ret, out, NODE_ID_BYTES);
	return r;
}

static int init_keys(struct sessions *ss)
{
	int r = crypto_x25519_public(ss->p.private_key.b, ss->public_key.b);

	if (r == 0)
		r = node_id(ss->c, &ss->public_key, ss->id);
	if (r == 0)
		r = cookie_keys_init(&ss->checker.keys, ss->c, ss->public_key.b);
	return r;
}

/* One struct of `size` bytes for each lane, all zero. */
static void *lanes_alloc(unsigned lanes, size_t size)
{
	void *p = aligned_alloc(64, lanes * size);

	if (p)
		memset(p, 0, lanes * size);
	return p;
}

struct sessions *sessions_new(const struct sessions_params *p, const struct sessions_ops *ops,
			      void *arg)
{
	struct sessions *ss = calloc(1, sizeof(*ss));
	uint8_t seed[8];

	if (!ss)
		return NULL;
	ss->p = *p;
	ss->p.lanes = MAX(p->lanes, 1u);
	ss->ops = ops;
	ss->arg = arg;
	ss->tune = defaults;
	ss->tune.pmtu = pmtu_defaults;
	ss->c = crypto_new();
	ss->lane = lanes_alloc(ss->p.lanes, sizeof(*ss->lane));
	if (!ss->c || !ss->lane || init_keys(ss) < 0) {
		sessions_free(ss);
		return NULL;
	}
	ops->random(arg, seed, sizeof(seed));
	limit_init(&ss->limit, get_le64(seed), 20, 20);
	load_init(&ss->load, ss->tune.load_initiations);
	return ss;
}

static void session_free(struct session *s)
{
	handshake_cancel(s);
	keys_drop(s);
	free(s->lane);
	crypto_wipe(s, sizeof(*s));
	free(s);
}

void sessions_free(struct sessions *ss)
{
	if (!ss)
		return;
	while (ss->all) {
		struct session *s = ss->all;
		ss->all = s->next;
		session_free(s);
	}
	index_fini(&ss->indexes);
	crypto_free(ss->c);
	free(ss->lane);
	crypto_wipe(ss, sizeof(*ss));
	free(ss);
}

const uint8_t *sessions_node_id(const struct sessions *ss)
{
	return ss->id;
}

const struct sessions_counters *sessions_counters(struct sessions *ss)
{
	/* Zero while it is summed up, the lanes' own counts go on. */
	ss->counters.bad_header = ss->counters.unknown_index = 0;
	for (unsigned i = 0; i < ss->p.lanes; i++) {
		ss->counters.bad_header += counter_get(&ss->lane[i].bad_header);
		ss->counters.unknown_index += counter_get(&ss->lane[i].unknown_index);
	}
	return &ss->counters;
}

uint64_t sessions_tick(struct sessions *ss, uint64_t now_us)
{
	/* What one session does may make another due, or itself: look again, but not for ever. */
	for (unsigned round = 0; round < 4 && now_us >= ss->due_us; round++) {
		uint64_t due_us = NEVER;

		ss->due_us = NEVER;
		for (struct session *s = ss->all; s; s = s->next) {
			if (now_us >= s->due_us) {
				s->due_us = NEVER;
				uint64_t own_us = session_tick(s, now_us);
				s->due_us = MIN(s->due_us, own_us);
			}
			due_us = MIN(due_us, s->due_us);
		}
		ss->due_us = MIN(ss->due_us, due_us);
	}
	return MAX(ss->due_us, now_us);
}

static bool usable_key(const struct sessions *ss, const struct key *pub)
{
	uint8_t secret[32];
	int r = crypto_x25519(ss->p.private_key.b, pub->b, secret);

	crypto_wipe(secret, sizeof(secret));
	return r == 0;
}

struct session *session_add(struct sessions *ss, const struct session_params *p, void *user,
			    uint64_t now_us)
{
	if (!usable_key(ss, &p->public_key) || index_reserve(&ss->indexes, (ss->n + 1) * 4) < 0)
		return NULL;
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->lane = lanes_alloc(ss->p.lanes, sizeof(*s->lane));
	if (!s->lane) {
		free(s);
		return NULL;
	}
	s->ss = ss;
	s->user = user;
	s->p = *p;
	s->state = SESSION_DOWN;
	s->since_us = now_us;
	s->resolve_us = now_us;
	if (!p->has_host)
		snprintf(s->detail, sizeof(s->detail), "waiting for the peer to call");
	if (node_id(ss->c, &p->public_key, s->far_id) < 0 ||
	    cookie_keys_init(&s->cookie.keys, ss->c, p->public_key.b) < 0) {
		session_free(s);
		return NULL;
	}
	s->answer.keys = s->cookie.keys;
	s->next = ss->all;
	ss->all = s;
	ss->n++;
	session_wake(s);
	return s;
}

void session_remove(struct session *s)
{
	struct sessions *ss = s->ss;

	assert(!ss->in_callback);
	for (struct session **at = &ss->all; *at; at = &(*at)->next) {
		if (*at != s)
			continue;
		*at = s->next;
		ss->n--;
		session_free(s);
		return;
	}
}

void *session_user(const struct session *s)
{
	return s->user;
}

void session_update(struct session *s, const struct session_params *p, uint64_t now_us)
{
	bool keys = p->modes != s->p.modes || !crypto_equal(&p->psk, &s->p.psk, sizeof(p->psk));
	bool host = p->has_host && !s->p.has_host;

	assert(memcmp(&p->public_key, &s->p.public_key, sizeof(p->public_key)) == 0);
	s->p = *p;
	s->closed = false;
	if (!p->has_host)
		s->n_addrs = 0;
	if (host)
		s->resolve_us = now_us;
	if (s->cur && !(p->modes & 1u << s->cur->seal.mode)) {
		enum data_mode old = s->cur->seal.mode;

		session_close(s, now_us); /* not one datagram more in it */
		s->closed = false;
		session_note(s, "data mode %s is no longer allowed", data_mode_name(old));
	} else if (keys) {
		s->call.forced = s->cur != NULL;
		s->call.due_us = now_us;
	}
	session_settle(s, now_us);
	session_wake(s);
}

void session_set_addresses(struct session *s, const struct addr *addrs, unsigned n,
			   const char *detail, uint64_t now_us)
{
	s->n_addrs = MIN(n, (unsigned)SESSION_ADDRS_MAX);
	if (s->n_addrs)
		memcpy(s->addrs, addrs, s->n_addrs * sizeof(*addrs));
	else if (s->state != SESSION_UP && detail && *detail)
		session_note(s, "%s", detail);
	s->resolve_us = now_us + s->ss->tune.resolve_us;
	session_settle(s, now_us);
	session_wake(s);
}

void session_close(struct session *s, uint64_t now_us)
{
	/* Nothing acknowledges it: three copies make up for loss. */
	for (unsigned i = 0; i < 3 && s->cur; i++) {
		int len = control_build_close(s->ss->buf + CONTROL_AT, CONTROL_CAP);
		session_send_control(s, (size_t)len, now_us);
	}
	s->closed = true;
	session_down(s, now_us, "closed");
}

int session_send_topology(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	_Static_assert(SESSION_TOPOLOGY_MAX == CONTROL_BYTES_MAX - 1, "one byte is the kind");

	if (len > SESSION_TOPOLOGY_MAX)
		return -E2BIG;
	if (s->state != SESSION_UP)
		return -ENOTCONN;
	int n = control_build_topology(msg, len, s->ss->buf + CONTROL_AT, CONTROL_CAP);
	return n < 0 ? n : session_send_control(s, (size_t)n, now_us);
}

enum session_state session_state(const struct session *s)
{
	return s->state;
}

const struct path *session_path(const struct session *s)
{
	return &s->path;
}

const uint8_t *session_far_id(const struct session *s)
{
	return s->far_id;
}

uint64_t session_generation(const struct session *s)
{
	return s->generation;
}

size_t session_room(const struct session *s)
{
	if (s->state != SESSION_UP)
		return 0;
	return s->pmtu.mtu - session_ip_overhead(s) -
	       seal_overhead(&s->cur->seal, seal_data_type(&s->cur->seal));
}

int session_seal(struct session *s, unsigned lane, uint8_t *buf, size_t len, uint64_t now_us,
		 const struct path **ret_path)
{
	struct session_lane *l = &s->lane[lane];

	(void)now_us;
	if (s->state != SESSION_UP)
		return -ENOKEY;
	int n = seal_out(&s->cur->seal, lane, seal_data_type(&s->cur->seal), s->cur->far_index, buf,
			 len);
	if (n < 0)
		return n;
	counter_add(&l->tx_datagrams, 1);
	counter_add(&l->tx_bytes, (uint64_t)n);
	*ret_path = &s->path;
	return n;
}

void session_too_big(struct session *s, size_t len, uint64_t now_us)
{
	unsigned before = s->pmtu.mtu;

	if (s->state != SESSION_UP)
		return;
	pmtu_too_big(&s->pmtu, (unsigned)len + session_ip_overhead(s), now_us);
	if (s->pmtu.mtu != before)
		session_event(s, SESSION_EV_MTU);
	session_wake(s);
}

static const char *cipher_name(enum cipher c)
{
	return c == CIPHER_AES256GCM ? "aes-256-gcm" : "chacha20-poly1305";
}

static void get_counts(const struct session *s, struct session_info *ret)
{
	for (unsigned i = 0; i < s->ss->p.lanes; i++) {
		const struct session_lane *l = &s->lane[i];

		ret->rx_bytes += counter_get(&l->rx_bytes);
		ret->tx_bytes += counter_get(&l->tx_bytes);
		ret->rx_datagrams += counter_get(&l->rx_datagrams);
		ret->tx_datagrams += counter_get(&l->tx_datagrams);
		ret->drop_replay += counter_get(&l->drop_replay);
		ret->drop_decode += counter_get(&l->drop_decode);
		ret->drop_auth += counter_get(&l->drop_auth);
		ret->last_rx_us = MAX(ret->last_rx_us, counter_get(&l->last_rx_us));
	}
}

void session_get_info(const struct session *s, struct session_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->state = s->state;
	memcpy(ret->far_name, s->far_name, sizeof(ret->far_name));
	memcpy(ret->far_id, s->far_id, sizeof(ret->far_id));
	ret->far_incarnation = s->far_incarnation;
	ret->generation = s->generation;
	ret->path = s->path;
	if (!s->cur && s->call.index)
		ret->path = s->call.path;
	ret->rtt_us = s->hello.rtt_us;
	ret->loss_tx_permille = hello_loss_permille(&s->hello.tx);
	ret->loss_rx_permille = hello_loss_permille(&s->hello.rx);
	ret->path_mtu = s->state == SESSION_UP ? s->pmtu.mtu : 0;
	ret->mode = s->cur ? s->cur->seal.mode : DATA_AEAD;
	ret->cipher = s->cur ? cipher_name(s->cur->seal.cipher) : "-";
	get_counts(s, ret);
	ret->since_us = s->since_us;
	if (s->state != SESSION_UP && !s->call.answered && s->called_us > ret->last_rx_us)
		ret->called_us = s->called_us;
	ret->handshake_us = s->cur ? s->cur->born_us : 0;
	memcpy(ret->detail, s->detail, sizeof(ret->detail));
	ret->differ = s->differ;
}
