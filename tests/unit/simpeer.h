/* Nodes with sessions on a simulated network, shared by the tests of sessions. */
#ifndef TESTS_UNIT_SIMPEER_H
#define TESTS_UNIT_SIMPEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/session/state.h"
#include "tests/support/simnet.h"

#define SIM_PEERS 4
#define SIM_A_HOST "10.0.0.1:4655"
#define SIM_B_HOST "10.0.0.2:4655"

struct sim_node {
	struct simnet_node *wire;
	struct simnet *net;
	struct sessions *ss;
	struct sessions_params params;
	struct key pub;
	struct session *peers[SIM_PEERS]; /* user pointer: its place here */
	unsigned n_peers;
	const char *hosts[SIM_PEERS]; /* what resolve answers; NULL: it fails */
	unsigned events[SIM_PEERS][SESSION_EV_NOTE + 1];
	uint64_t event_us[SIM_PEERS][SESSION_EV_NOTE + 1]; /* latest of each */
	unsigned resolves;
	unsigned close_on; /* bit 1 << event: closes the session from inside its callback */
	unsigned topology; /* messages that came up, and the latest */
	size_t topology_len;
	uint8_t topology_msg[SESSION_TOPOLOGY_MAX];
	bool topology_answer, topology_close; /* what is done about one inside its callback */
	uint64_t records;		      /* data datagrams that came up */
	uint8_t last[64];		      /* beginning of the latest */
	bool seen[20000];		      /* by the number at the start of test data */
};

/* A node on `net`; keys come from `number`, the incarnation is given. */
void sim_node_start(struct sim_node *n, struct simnet *net, const char *numeric, unsigned number,
		    uint64_t incarnation);
/* The process dies without a word, and comes back as a new one without any session. */
void sim_node_kill(struct sim_node *n);
void sim_node_restart(struct sim_node *n, uint64_t incarnation);
void sim_node_stop(struct sim_node *n);

/* Defaults: aead, 500 ms, 2 s. `host` NULL: passive. */
struct session_params sim_params(const struct sim_node *far, const char *host);
struct session *sim_add(struct sim_node *n, const struct session_params *p, const char *host);
/* Both call each other, as host. */
void sim_join(struct sim_node *a, const char *a_host, struct sim_node *b, const char *b_host);

bool sim_wait_up(struct sim_node *a, struct sim_node *b, uint64_t limit_us);
/* Sends one data datagram with a number in a FRAME record. Its length or an error. */
int sim_data(struct sim_node *n, unsigned peer, uint32_t number, size_t len);
struct session_info sim_info(const struct sim_node *n, unsigned peer);

/* The usual two, a with incarnation 100 and b with 200, and room for a third. */
struct sim_pair {
	struct simnet net;
	struct sim_node a, b, c;
};

struct sim_pair *sim_pair_new(uint64_t seed);
void sim_pair_free(struct sim_pair *f);
void sim_pass(struct sim_pair *f, uint64_t us);
/* One datagram each way arrives. */
void sim_exchange(struct sim_pair *f, uint32_t number);
/* For simnet_run_until(), with a session. */
bool sim_is_up(void *arg);
bool sim_is_not_up(void *arg);

#endif
