/* What the agent's files share. */
#ifndef BRIDGECTL_TRANSFER_AGENT_PRIVATE_H
#define BRIDGECTL_TRANSFER_AGENT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bridgectl/disk/target.h"
#include "bridgectl/transfer/agent.h"
#include "bridgectl/transfer/receiver.h"
#include "bridgectl/transfer/share.h"
#include "bridgectl/transfer/track.h"

#define SOCKET_DIR_LEN 64

struct agent {
	const struct agent_options *o;
	int out;
	pthread_mutex_t out_lock;
	_Atomic bool gone; /* nobody reads our answers any more */
	_Atomic bool stop;
	_Atomic uint64_t cut_ms; /* when the connections broke; 0: not yet */

	/* The one long request. The thread that does it owns all that follows but `lock`'s. */
	pthread_t job;
	bool has_job; /* to be joined */
	_Atomic bool busy;
	struct agent_request request;
	enum agent_method job_method; /* of the thread that starts jobs */
	_Atomic uint64_t hashed;      /* progress of sha256 */

	bool opened;
	struct target target;
	struct share *share; /* of a target that is a part of a disk */
	struct window window;
	char identity[MAP_IDENTITY_LEN];
	struct map *map;
	bool distrust;
	unsigned flush_ms; /* 0: the usual */
	struct wire_setup wire;
	bool seeded;	/* the digests' secret is there */
	bool connected; /* `gather` may still be at work */
	struct gathered connections;
	char socket_dir[SOCKET_DIR_LEN];

	/* For quick requests too: changed with the lock, by the job's thread alone. */
	pthread_mutex_t lock;
	struct gather *gather;
	struct sender *sender;
	struct receiver *receiver;
	struct dirty *dirty;
	struct track *track;
	uint64_t lost;	   /* how often events were lost */
	bool lost_pending; /* since the last pass that compared all */
	uint64_t rate;
};

/* --- agent.c --- */

void agent_send(struct agent *a, json_t *line); /* takes the reference */
void agent_failed(void *agent, const struct fail *f);

/* --- Methods: a new reference to the result, or NULL with `f` --- */

typedef json_t *(*agent_method_fn)(struct agent *a, const struct agent_params *p, struct fail *f);

/* agent_open.c */
json_t *agent_open_source(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_open_target(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_complete(struct agent *a, const struct agent_params *p, struct fail *f);
void agent_close(struct agent *a);

/* agent_map.c: `created`: the target is a new file, whatever a map says. 0 or errno with `f`. */
int agent_open_map(struct agent *a, const struct agent_params *p, bool created,
		   struct map_state *ret, struct fail *f);

/* agent_wire.c */
json_t *agent_seed(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_listen(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_connect(struct agent *a, const struct agent_params *p, struct fail *f);
/* Waits for the connections, then makes the sender or the receiver. */
int agent_need_connections(struct agent *a, struct fail *f);
void agent_disconnect(struct agent *a);

/* agent_pass.c */
json_t *agent_track(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_dirty(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_rate(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_begin(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_pass(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_settle(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_sha256(struct agent *a, const struct agent_params *p, struct fail *f);
json_t *agent_progress(struct agent *a, enum agent_method m); /* NULL: there is none */

#endif
