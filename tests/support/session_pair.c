/*
 * Two sessions back to back. Randomness is a fixed sequence, time stands still unless
 * session_pair_run() moves it, so a fuzzer's input does the same each time.
 */
#include "tests/support/session_pair.h"

#include <stdlib.h>

#include "common/util.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static int pair_send(void *arg, const struct path *path, const void *dgram, size_t len)
{
	struct pair_node *n = arg;
	struct session_pair *p = n->pair;

	p->sent++;
	p->sent_max = MAX(p->sent_max, len);
	must(len <= SESSION_DGRAM_MAX);
	unsigned to = n == &p->nodes[0];
	if (p->deaf || (p->hold_control && *(const uint8_t *)dgram == DGRAM_CONTROL) ||
	    p->n_queue == PAIR_QUEUE || len > 1472 ||
	    !addr_equal(&path->remote, &p->nodes[to].addr))
		return 0;
	p->queue[p->n_queue].to = to;
	p->queue[p->n_queue].len = len;
	memcpy(p->queue[p->n_queue++].dgram, dgram, len);
	return 0;
}

static void pair_random(void *arg, void *buf, size_t len)
{
	struct pair_node *n = arg;
	uint8_t *b = buf;

	for (size_t i = 0; i < len; i++) {
		n->pair->rng = n->pair->rng * UINT64_C(6364136223846793005) + 1442695040888963407;
		b[i] = (uint8_t)(n->pair->rng >> 56);
	}
}

static void pair_event(void *arg, struct session *s, enum session_event ev)
{
	struct pair_node *n = arg;
	(void)s;
	(void)ev;
	n->events++;
}

static void pair_records(void *arg, struct session *s, uint8_t *records, size_t len,
			 uint64_t now_us)
{
	struct pair_node *n = arg;
	(void)records;
	(void)len;
	must(session_state(s) == SESSION_UP && now_us < session_lease_us(s));
	n->records++;
}

static void pair_topology(void *arg, struct session *s, const uint8_t *msg, size_t len,
			  uint64_t now_us)
{
	struct pair_node *n = arg;

	must(session_state(s) == SESSION_UP && now_us < session_lease_us(s));
	for (size_t i = 0; i < len; i++)
		n->topology_sum ^= msg[i]; /* every byte can be read */
	n->topology++;
}

static void pair_resolve(void *arg, struct session *s)
{
	(void)arg;
	(void)s;
}

static const struct sessions_ops pair_ops = {
	.send = pair_send,
	.random = pair_random,
	.event = pair_event,
	.records = pair_records,
	.topology = pair_topology,
	.resolve = pair_resolve,
};

static void node_init(struct session_pair *p, unsigned i, const char *numeric, unsigned lanes)
{
	struct pair_node *n = &p->nodes[i];
	struct sessions_params params = {
		.incarnation = 100 + i,
		.aes_mbps = 2,
		.chacha_mbps = 1,
		.lanes = lanes,
	};

	n->pair = p;
	memset(params.private_key.b, 0x30 + (int)i, KEY_BYTES);
	snprintf(params.node_name, sizeof(params.node_name), "node%u", i);
	must(addr_parse(numeric, &n->addr) == 0);
	n->ss = sessions_new(&params, &pair_ops, n);
	must(n->ss != NULL);
}

static struct session *add(struct session_pair *p, unsigned i, const struct key *far,
			   const struct addr *a)
{
	struct session_params params = {
		.public_key = *far,
		.modes = 1u << DATA_AEAD,
		.has_host = a != NULL,
		.hello_us = 500000,
		.dead_us = 2000000,
	};
	struct session *s = session_add(p->nodes[i].ss, &params, NULL, p->now_us);

	must(s != NULL);
	if (a)
		session_set_addresses(s, a, 1, NULL, p->now_us);
	return s;
}

void session_pair_run(struct session_pair *p, uint64_t us)
{
	uint64_t until_us = p->now_us + us, due_us = 0;

	while (p->n_queue || due_us <= until_us) {
		for (unsigned i = 0; i < p->n_queue; i++) {
			unsigned to = p->queue[i].to;
			struct path from = { p->nodes[!to].addr, p->nodes[to].addr, 0 };

			sessions_input(p->nodes[to].ss, &from, p->queue[i].dgram, p->queue[i].len,
				       p->now_us);
		}
		p->n_queue = 0;
		p->now_us = MAX(p->now_us + 1, due_us);
		uint64_t a_us = sessions_tick(p->nodes[0].ss, p->now_us);
		uint64_t b_us = sessions_tick(p->nodes[1].ss, p->now_us);
		due_us = MIN(a_us, b_us);
	}
}

struct session_pair *session_pair_new(void)
{
	return session_pair_new_lanes(1);
}

struct session_pair *session_pair_new_lanes(unsigned lanes)
{
	struct session_pair *p = calloc(1, sizeof(*p));
	struct key nobody = { { 9 } };
	struct addr nowhere;

	must(p != NULL);
	p->now_us = UINT64_C(1000000000);
	node_init(p, 0, "192.0.2.1:4655", lanes);
	node_init(p, 1, "192.0.2.2:4655", lanes);
	p->nodes[0].s = add(p, 0, &p->nodes[1].ss->public_key, &p->nodes[1].addr);
	p->nodes[1].s = add(p, 1, &p->nodes[0].ss->public_key, NULL);
	must(addr_parse("192.0.2.9:4655", &nowhere) == 0);
	p->nodes[0].silent = add(p, 0, &nobody, &nowhere);
	session_pair_run(p, 100000);
	for (unsigned i = 0; i < 2; i++)
		must(session_state(p->nodes[i].s) == SESSION_UP);
	return p;
}

void session_pair_free(struct session_pair *p)
{
	sessions_free(p->nodes[0].ss);
	sessions_free(p->nodes[1].ss);
	free(p);
}
