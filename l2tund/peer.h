/*
 * A configured peer: its session, its record stream and its host name, and which
 * of our tunnels go through it.
 */
#ifndef L2TUND_PEER_H
#define L2TUND_PEER_H

#include <sys/queue.h>

#include "l2tund/datapath/chunks.h"
#include "l2tund/datapath/stream.h"
#include "l2tund/kernel/os.h"
#include "l2tund/session/session.h"
#include "l2tund/topology/topology.h"

struct config_peer;
struct daemon;
struct tunnel;
struct worker;

/* What one lane has of a peer. */
struct peer_lane {
	struct peer *peer;
	struct worker *worker;
	struct stream *stream;
};

/* Owned by the daemon's list, freed by peer_free(). */
struct peer {
	TAILQ_ENTRY(peer) link;
	struct daemon *daemon;
	const struct config_peer *cfg; /* of the running configuration */
	char name[NAME_MAX_LEN + 1];

	struct session *session;
	struct topo_adj *adj;	 /* the session, to the topology */
	struct peer_lane *lane;	 /* owned, one for each of os->lanes */
	struct chunks chunks;	 /* of all their streams */
	struct os_query *query;	 /* a name look-up under way */
	enum session_state told; /* last state that was made an event */
	uint64_t mark_us;	 /* when that was */

	/* Segment ids are not used again soon: no late frame of an old tunnel meets a new one. */
	struct tunnel *by_slot[SESSION_SEGMENTS_MAX]; /* id % SESSION_SEGMENTS_MAX */
	uint16_t next_id;
	bool segments_dirty;
};

struct peer *peer_new(struct daemon *d, const struct config_peer *cfg);
/* Its tunnels must be gone. */
void peer_free(struct peer *p);
/* Applies what a reload may change: psk, modes, address, timers of its tunnels. */
void peer_update(struct peer *p, const struct config_peer *cfg);
/* Timers follow the fastest profile of its tunnels. */
void peer_update_timers(struct peer *p);

/* Gives the tunnel its segment id; -E2BIG: the peer has SESSION_SEGMENTS_MAX already. */
int peer_join(struct peer *p, struct tunnel *t);
void peer_leave(struct peer *p, struct tunnel *t);
/* The list of our segments is to be told anew, by the next peer_flush_segments(). */
void peer_announce(struct peer *p);
/* True when there was something to tell: the sessions are then to be ticked. */
bool peer_flush_segments(struct peer *p);

/*
 * Data records of one datagram, which stay until the worker's next flush. By any lane: what stands
 * below it is for the main thread only.
 */
void peer_input(struct peer *p, unsigned lane, uint8_t *records, size_t len, uint64_t now_us);
/* The sum over all lanes. */
void peer_counters(const struct peer *p, struct stream_counters *ret);
/* The main thread's stream. */
static inline struct stream *peer_stream(const struct peer *p)
{
	return p->lane[0].stream;
}

/* "down", "handshake", "up": the words of the control protocol. */
const char *peer_state_name(enum session_state s);

/* The ops that the daemon hands to the sessions. */
extern const struct sessions_ops peer_sessions_ops;

#endif
