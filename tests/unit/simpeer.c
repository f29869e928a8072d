/* Glue between sessions and the simulated network, with counters for what tests look at. */
#include "tests/unit/simpeer.h"

static int sim_send(void *arg, const struct path *path, const void *dgram, size_t len)
{
	struct sim_node *n = arg;
	return simnet_send(n->wire, path, dgram, len);
}

static void sim_random(void *arg, void *buf, size_t len)
{
	struct sim_node *n = arg;
	uint8_t *b = buf;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)simnet_random(n->net);
}

static void sim_event(void *arg, struct session *s, enum session_event ev)
{
	struct sim_node *n = arg;
	unsigned peer = (unsigned)(uintptr_t)session_user(s);

	assert_true(peer < SIM_PEERS);
	n->events[peer][ev]++;
	n->event_us[peer][ev] = n->net->now_us;
	if (n->close_on & 1u << ev)
		session_close(s, n->net->now_us);
}

static void sim_records(void *arg, struct session *s, uint8_t *bytes, size_t len, uint64_t now_us)
{
	const uint8_t *p = bytes;
	struct sim_node *n = arg;
	struct record rec;

	assert_int_equal(session_state(s), SESSION_UP);
	assert_true(now_us < session_lease_us(s));
	n->records++;
	memcpy(n->last, p, MIN(len, sizeof(n->last)));
	if (record_next(&p, &len, &rec) == 1 && rec.kind == RECORD_FRAME && rec.len >= 4) {
		uint32_t number = get_le32(rec.bytes);
		assert_true(number < ARRAY_SIZE(n->seen));
		assert_false(n->seen[number]); /* nothing comes twice */
		n->seen[number] = true;
	}
}

static void sim_topology(void *arg, struct session *s, const uint8_t *msg, size_t len,
			 uint64_t now_us)
{
	struct sim_node *n = arg;

	assert_int_equal(session_state(s), SESSION_UP);
	assert_true(now_us < session_lease_us(s));
	assert_true(n->ss->in_callback);
	n->topology++;
	n->topology_len = len;
	memcpy(n->topology_msg, msg, len);
	if (n->topology_close)
		session_close(s, now_us);
	else if (n->topology_answer)
		assert_int_equal(session_send_topology(s, (const uint8_t *)"got it", 6, now_us), 0);
}

static void sim_resolve(void *arg, struct session *s)
{
	struct sim_node *n = arg;
	const char *host = n->hosts[(uintptr_t)session_user(s)];
	struct addr a[SESSION_ADDRS_MAX];
	unsigned count = 0;
	char one[64];

	n->resolves++;
	for (; host && *host; count++) { /* addresses separated by spaces */
		size_t len = strcspn(host, " ");
		snprintf(one, sizeof(one), "%.*s", (int)len, host);
		assert_int_equal(addr_parse(one, &a[count]), 0);
		host += len + (host[len] == ' ');
	}
	session_set_addresses(s, a, count, count ? NULL : "cannot resolve far: no such name",
			      n->net->now_us);
}

static const struct sessions_ops sim_ops = {
	.send = sim_send,
	.random = sim_random,
	.event = sim_event,
	.records = sim_records,
	.topology = sim_topology,
	.resolve = sim_resolve,
};

static void sim_input(void *arg, const struct path *from, uint8_t *dgram, size_t len,
		      uint64_t now_us)
{
	struct sim_node *n = arg;
	sessions_input(n->ss, from, dgram, len, now_us);
}

static uint64_t sim_tick(void *arg, uint64_t now_us)
{
	struct sim_node *n = arg;
	return sessions_tick(n->ss, now_us);
}

void sim_node_start(struct sim_node *n, struct simnet *net, const char *numeric, unsigned number,
		    uint64_t incarnation)
{
	memset(n, 0, sizeof(*n));
	n->net = net;
	n->wire = simnet_add(net, numeric);
	n->wire->input = sim_input;
	n->wire->tick = sim_tick;
	n->wire->arg = n;
	memset(n->params.private_key.b, (int)number + 0x40, KEY_BYTES);
	snprintf(n->params.node_name, sizeof(n->params.node_name), "node%u", number);
	n->params.incarnation = incarnation;
	n->params.aes_mbps = 3000;
	n->params.chacha_mbps = 1500;
	assert_int_equal(crypto_x25519_public(n->params.private_key.b, n->pub.b), 0);
	n->ss = sessions_new(&n->params, &sim_ops, n);
	assert_non_null(n->ss);
}

void sim_node_kill(struct sim_node *n)
{
	n->wire->dead = true;
	sessions_free(n->ss);
	n->ss = NULL;
	n->n_peers = 0;
	memset(n->events, 0, sizeof(n->events));
}

void sim_node_restart(struct sim_node *n, uint64_t incarnation)
{
	n->params.incarnation = incarnation;
	n->ss = sessions_new(&n->params, &sim_ops, n);
	assert_non_null(n->ss);
	n->wire->dead = false;
	n->wire->due_us = n->net->now_us;
}

void sim_node_stop(struct sim_node *n)
{
	sessions_free(n->ss);
	n->ss = NULL;
}

struct session_params sim_params(const struct sim_node *far, const char *host)
{
	return (struct session_params){
		.public_key = far->pub,
		.modes = 1u << DATA_AEAD,
		.has_host = host != NULL,
		.hello_us = 500 * US_PER_MS,
		.dead_us = 2 * US_PER_S,
	};
}

struct session *sim_add(struct sim_node *n, const struct session_params *p, const char *host)
{
	unsigned at = n->n_peers++;

	assert_true(at < SIM_PEERS);
	n->hosts[at] = host;
	n->peers[at] = session_add(n->ss, p, (void *)(uintptr_t)at, n->net->now_us);
	assert_non_null(n->peers[at]);
	n->wire->due_us = n->net->now_us;
	return n->peers[at];
}

void sim_join(struct sim_node *a, const char *a_host, struct sim_node *b, const char *b_host)
{
	struct session_params to_b = sim_params(b, b_host), to_a = sim_params(a, a_host);

	sim_add(a, &to_b, b_host);
	sim_add(b, &to_a, a_host);
}

static bool both_up(void *arg)
{
	struct sim_node **n = arg;

	return session_state(n[0]->peers[0]) == SESSION_UP &&
	       session_state(n[1]->peers[0]) == SESSION_UP &&
	       n[0]->peers[0]->generation == n[1]->peers[0]->generation;
}

bool sim_wait_up(struct sim_node *a, struct sim_node *b, uint64_t limit_us)
{
	struct sim_node *n[] = { a, b };

	return simnet_run_until(a->net, both_up, n, limit_us);
}

int sim_data(struct sim_node *n, unsigned peer, uint32_t number, size_t len)
{
	uint8_t buf[SESSION_DGRAM_MAX];
	uint8_t *rec = buf + SESSION_HEADROOM;
	const struct path *path;

	assert_true(len >= RECORD_HDR_BYTES + 4);
	memset(rec, 0x5a, len);
	record_put_header(rec, RECORD_FRAME, 0, 7, (uint16_t)(len - RECORD_HDR_BYTES));
	put_le32(rec + RECORD_HDR_BYTES, number);
	int r = session_seal(n->peers[peer], 0, buf, len, n->net->now_us, &path);
	if (r < 0)
		return r;
	int e = simnet_send(n->wire, path, buf, (size_t)r);
	return e < 0 ? e : r;
}

struct session_info sim_info(const struct sim_node *n, unsigned peer)
{
	struct session_info info;

	session_get_info(n->peers[peer], &info);
	return info;
}

struct sim_pair *sim_pair_new(uint64_t seed)
{
	struct sim_pair *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	simnet_init(&f->net, seed);
	sim_node_start(&f->a, &f->net, SIM_A_HOST, 1, 100);
	sim_node_start(&f->b, &f->net, SIM_B_HOST, 2, 200);
	return f;
}

void sim_pair_free(struct sim_pair *f)
{
	sim_node_stop(&f->a);
	sim_node_stop(&f->b);
	if (f->c.ss)
		sim_node_stop(&f->c);
	simnet_fini(&f->net);
	free(f);
}

void sim_pass(struct sim_pair *f, uint64_t us)
{
	simnet_run(&f->net, f->net.now_us + us);
}

bool sim_is_up(void *arg)
{
	return session_state(arg) == SESSION_UP;
}

bool sim_is_not_up(void *arg)
{
	return session_state(arg) != SESSION_UP;
}

void sim_exchange(struct sim_pair *f, uint32_t number)
{
	uint64_t a = f->a.records, b = f->b.records;

	assert_true(sim_data(&f->a, 0, number, 200) > 0);
	assert_true(sim_data(&f->b, 0, number, 200) > 0);
	sim_pass(f, 20 * US_PER_MS);
	assert_int_equal(f->a.records, a + 1);
	assert_int_equal(f->b.records, b + 1);
	assert_true(f->a.seen[number] && f->b.seen[number]);
}
