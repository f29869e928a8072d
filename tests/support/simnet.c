/*
 * The simulated network: a heap of packets by time of arrival, and nodes with deadlines.
 * After every input a node is ticked at once, as the daemon does after a batch.
 */
#include "tests/support/simnet.h"

#include <assert.h>
#include <errno.h>

#include "common/util.h"

struct simnet_packet {
	uint64_t at_us, order;
	struct addr from, to;
	struct simnet_packet *next;
	size_t len;
	uint8_t dgram[];
};

void simnet_init(struct simnet *net, uint64_t seed)
{
	memset(net, 0, sizeof(*net));
	net->now_us = 1000 * US_PER_S;
	net->rng = seed * 2 + 1;
	net->delay_us = 1000;
}

static void queue_free(struct simnet_node *node)
{
	while (node->queue) {
		struct simnet_packet *p = node->queue;
		node->queue = p->next;
		free(p);
	}
	node->queue_end = &node->queue;
}

void simnet_fini(struct simnet *net)
{
	for (size_t i = 0; i < net->n_heap; i++)
		free(net->heap[i]);
	free(net->heap);
	for (unsigned i = 0; i < net->n_nodes; i++)
		queue_free(&net->nodes[i]);
}

uint64_t simnet_random(struct simnet *net)
{
	uint64_t x = net->rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	net->rng = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

struct simnet_node *simnet_add(struct simnet *net, const char *numeric)
{
	assert(net->n_nodes < SIMNET_NODES);
	struct simnet_node *node = &net->nodes[net->n_nodes++];

	node->net = net;
	node->queue_end = &node->queue;
	simnet_bind(node, numeric);
	return node;
}

void simnet_bind(struct simnet_node *node, const char *numeric)
{
	assert(node->n_addrs < SIMNET_ADDRS);
	simnet_rebind(node, node->n_addrs++, numeric);
}

void simnet_rebind(struct simnet_node *node, unsigned at, const char *numeric)
{
	int r = addr_parse(numeric, &node->addrs[at]);
	assert(r == 0);
	(void)r;
}

static bool before(const struct simnet_packet *a, const struct simnet_packet *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_push(struct simnet *net, struct simnet_packet *p)
{
	if (net->n_heap == net->cap_heap) {
		net->cap_heap = net->cap_heap ? 2 * net->cap_heap : 64;
		net->heap = realloc(net->heap, net->cap_heap * sizeof(*net->heap));
		assert(net->heap);
	}
	size_t i = net->n_heap++;
	for (; i && before(p, net->heap[(i - 1) / 2]); i = (i - 1) / 2)
		net->heap[i] = net->heap[(i - 1) / 2];
	net->heap[i] = p;
}

static struct simnet_packet *heap_pop(struct simnet *net)
{
	struct simnet_packet *top = net->heap[0], *last = net->heap[--net->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < net->n_heap) {
		if (child + 1 < net->n_heap && before(net->heap[child + 1], net->heap[child]))
			child++;
		if (!before(net->heap[child], last))
			break;
		net->heap[i] = net->heap[child];
		i = child;
	}
	net->heap[i] = last;
	return top;
}

static const struct addr *source(const struct simnet_node *node, const struct path *path)
{
	if (addr_is_set(&path->local)) /* answer from where we were called, if we still are there */
		for (unsigned i = 0; i < node->n_addrs; i++)
			if (addr_same_host(&node->addrs[i], &path->local))
				return &node->addrs[i];
	for (unsigned i = 0; i < node->n_addrs; i++)
		if (node->addrs[i].sa.sa_family == path->remote.sa.sa_family)
			return &node->addrs[i];
	return NULL;
}

int simnet_send(struct simnet_node *node, const struct path *path, const void *dgram, size_t len)
{
	struct simnet *net = node->net;
	size_t packet = len + 8 + (path->remote.sa.sa_family == AF_INET6 ? 40 : 20);
	const struct addr *from = source(node, path);

	if (node->mtu && packet > node->mtu)
		return -EMSGSIZE;
	net->sent++;
	if (net->mtu && packet > net->mtu) {
		net->too_big++;
		return 0;
	}
	if (!from || simnet_random(net) % 1000 < net->loss_permille ||
	    (net->filter && !net->filter(net->filter_arg, from, &path->remote, dgram, len))) {
		net->lost++;
		return 0;
	}
	struct simnet_packet *p = malloc(sizeof(*p) + len);
	assert(p);
	p->at_us = net->now_us + net->delay_us +
		   (net->jitter_us ? simnet_random(net) % net->jitter_us : 0);
	p->order = net->order++;
	p->from = *from;
	p->to = path->remote;
	p->next = NULL;
	p->len = len;
	memcpy(p->dgram, dgram, len);
	heap_push(net, p);
	return 0;
}

static void tick(struct simnet_node *node)
{
	if (!node->stopped && !node->dead && node->tick)
		node->due_us = node->tick(node->arg, node->net->now_us);
}

static void deliver(struct simnet_node *node, struct simnet_packet *p, unsigned socket)
{
	struct path path = { p->from, p->to, socket };

	if (node->stopped) {
		*node->queue_end = p;
		node->queue_end = &p->next;
		return;
	}
	if (!node->dead && node->input)
		node->input(node->arg, &path, p->dgram, p->len, node->net->now_us);
	free(p);
	tick(node);
}

static void arrive(struct simnet *net, struct simnet_packet *p)
{
	for (unsigned i = 0; i < net->n_nodes; i++) {
		struct simnet_node *node = &net->nodes[i];

		for (unsigned j = 0; j < node->n_addrs; j++) {
			if (addr_equal(&node->addrs[j], &p->to)) {
				deliver(node, p, j);
				return;
			}
		}
	}
	net->lost++;
	free(p);
}

/* A node that goes on takes first what waited. */
static bool drain(struct simnet_node *node)
{
	if (node->stopped || !node->queue)
		return false;
	struct simnet_packet *p = node->queue;
	node->queue = p->next;
	if (!node->queue)
		node->queue_end = &node->queue;
	p->next = NULL;
	arrive(node->net, p);
	return true;
}

static uint64_t next_event(const struct simnet *net)
{
	uint64_t at_us = net->n_heap ? net->heap[0]->at_us : NEVER;

	for (unsigned i = 0; i < net->n_nodes; i++) {
		const struct simnet_node *node = &net->nodes[i];
		if (!node->stopped && !node->dead && node->tick)
			at_us = MIN(at_us, node->queue ? net->now_us : node->due_us);
	}
	return at_us;
}

/* One event at `now_us`: a packet that waited, one that arrives, or the ticks that are due. */
static void step(struct simnet *net)
{
	for (unsigned i = 0; i < net->n_nodes; i++)
		if (drain(&net->nodes[i]))
			return;
	if (net->n_heap && net->heap[0]->at_us <= net->now_us) {
		arrive(net, heap_pop(net));
		return;
	}
	for (unsigned i = 0; i < net->n_nodes; i++)
		if (net->nodes[i].due_us <= net->now_us)
			tick(&net->nodes[i]);
}

bool simnet_run_until(struct simnet *net, bool (*done)(void *arg), void *arg, uint64_t limit_us)
{
	uint64_t until_us = net->now_us + limit_us;
	unsigned same = 0;

	for (;;) {
		if (done && done(arg))
			return true;
		uint64_t at_us = next_event(net);
		if (at_us > until_us)
			break;
		same = at_us > net->now_us ? 0 : same + 1;
		assert(same < 1000000); /* somebody's deadline never moves on */
		net->now_us = MAX(net->now_us, at_us);
		step(net);
	}
	net->now_us = until_us;
	return false;
}

void simnet_run(struct simnet *net, uint64_t until_us)
{
	if (until_us > net->now_us)
		simnet_run_until(net, NULL, NULL, until_us - net->now_us);
}
