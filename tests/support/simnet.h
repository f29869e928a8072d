/*
 * A network in one process: nodes with UDP addresses, joined by a line that delays, reorders,
 * loses, filters and limits sizes, in virtual time and from a seed, so that every run of
 * a test is the same run. Knows nothing of what the datagrams are.
 */
#ifndef TESTS_SUPPORT_SIMNET_H
#define TESTS_SUPPORT_SIMNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "l2tund/session/session.h"

#define SIMNET_NODES 8
#define SIMNET_ADDRS 4

struct simnet;

struct simnet_node {
	struct simnet *net;
	struct addr addrs[SIMNET_ADDRS]; /* the index is the path's `socket` */
	unsigned n_addrs;
	bool stopped; /* as with SIGSTOP: what comes waits in its queue */
	bool dead;    /* what comes is lost, no ticks */
	unsigned mtu; /* of its interface: larger packets fail with EMSGSIZE; 0: no limit */
	void (*input)(void *arg, const struct path *from, uint8_t *dgram, size_t len,
		      uint64_t now_us);
	uint64_t (*tick)(void *arg, uint64_t now_us); /* gives its next deadline */
	void *arg;
	uint64_t due_us;
	struct simnet_packet *queue, **queue_end;
};

struct simnet {
	uint64_t now_us;
	uint64_t rng;
	/* The line, changeable at any time. */
	unsigned loss_permille;
	uint64_t delay_us, jitter_us;
	unsigned mtu; /* larger packets vanish; 0: no limit */
	/* False: this packet is lost. Sees and may copy everything. */
	bool (*filter)(void *arg, const struct addr *from, const struct addr *to,
		       const uint8_t *dgram, size_t len);
	void *filter_arg;
	struct simnet_node nodes[SIMNET_NODES];
	unsigned n_nodes;
	struct simnet_packet **heap;
	size_t n_heap, cap_heap;
	uint64_t order; /* of sending, for packets due at the same time */
	uint64_t sent, lost, too_big;
};

void simnet_init(struct simnet *net, uint64_t seed);
void simnet_fini(struct simnet *net);
uint64_t simnet_random(struct simnet *net);

/* `numeric` as addr_parse() takes it. The caller fills input, tick and arg. */
struct simnet_node *simnet_add(struct simnet *net, const char *numeric);
void simnet_bind(struct simnet_node *node, const char *numeric);
/* What is under way to the old address is lost. */
void simnet_rebind(struct simnet_node *node, unsigned at, const char *numeric);

/* For the node's send operation. 0 or -EMSGSIZE. */
int simnet_send(struct simnet_node *node, const struct path *path, const void *dgram, size_t len);

/* Lets time pass up to `until_us`. */
void simnet_run(struct simnet *net, uint64_t until_us);
/* Until `done` holds, looked at after every event; false when `limit_us` from now came first. */
bool simnet_run_until(struct simnet *net, bool (*done)(void *arg), void *arg, uint64_t limit_us);

#endif
