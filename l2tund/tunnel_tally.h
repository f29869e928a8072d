/* What the data path of one tunnel end counts and remembers while several lanes are at work. */
#ifndef L2TUND_TUNNEL_TALLY_H
#define L2TUND_TUNNEL_TALLY_H

#include <pthread.h>
#include <stdint.h>

#include "l2tund/datapath/drop.h"
#include "l2tund/topology/storm.h"

struct tunnel;

/* Each lane writes its own. */
struct tunnel_counters {
	uint64_t rx_frames, rx_bytes; /* from the peer to the bridge */
	uint64_t tx_frames, tx_bytes; /* from the bridge to the peer */
	uint64_t drop_gate, drop_policer;
	uint64_t drop[DROPS]; /* behind gate and guards, both directions */
} __attribute__((aligned(64)));

/* What the guards of a tunnel remember of flooded frames, which are few or policed. */
struct tunnel_floods {
	pthread_mutex_t lock; /* taken when there are several lanes */
	struct policer tx, rx;
	struct recirculation recirculation;
};

/* The sum over all lanes. */
void tunnel_counters(const struct tunnel *t, struct tunnel_counters *ret);

#endif
