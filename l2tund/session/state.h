/*
 * The insides of sessions, shared by the files of this folder and by their tests, and
 * by nobody else. Ownership: struct sessions owns its sessions; a session owns its three
 * key slots, its outstanding call and its lists.
 */
#ifndef L2TUND_SESSION_STATE_H
#define L2TUND_SESSION_STATE_H

#include "common/counter.h"
#include "l2tund/session/cookie.h"
#include "l2tund/session/dgram.h"
#include "l2tund/session/handshake.h"
#include "l2tund/session/hello.h"
#include "l2tund/session/index.h"
#include "l2tund/session/keys.h"
#include "l2tund/session/limit.h"
#include "l2tund/session/lists.h"
#include "l2tund/session/pmtu.h"
#include "l2tund/session/record.h"
#include "l2tund/session/session.h"

#define SESSION_ADDRS_MAX 8
#define SESSION_PACKET_MAX 9000 /* outer IP packet, at most; SESSION_DGRAM_MAX has room for it */

/* Times and volumes that a test wants smaller; the defaults are in sessions.c. */
struct tunables {
	uint64_t rekey_us, reject_us; /* age of keys: replace from, refuse from */
	uint64_t rekey_late_us;	      /* how much later the responder would begin */
	uint64_t rekey_datagrams;
	uint64_t retry_us, retry_max_us; /* unanswered initiation */
	uint64_t refused_us;		 /* before calling again who refused */
	uint64_t resolve_us;		 /* between questions for addresses */
	uint64_t establish_us;		 /* keys agreed to two-way hello, at least */
	uint64_t lists_us;		 /* between repetitions of the list of segments */
	unsigned load_initiations;	 /* per second, before cookies are asked for */
	struct pmtu_tunables pmtu;
};

/* What one lane counts of one session; nobody else writes it. Lane 0 is the main thread. */
struct session_lane {
	struct counter rx_bytes, tx_bytes, rx_datagrams, tx_datagrams;
	struct counter drop_replay, drop_decode, drop_auth;
	struct counter last_rx_us; /* a sealed datagram came, or a handshake's response */
} __attribute__((aligned(64)));	   /* of a cache line of its own */

struct session {
	struct session *next;
	struct sessions *ss;
	void *user;
	struct session_params p;
	uint8_t far_id[NODE_ID_BYTES];
	struct cookie_maker cookie; /* for our initiations */
	struct cookie_maker answer; /* for our responses, which never carry a cookie */

	uint64_t due_us;	/* next deadline; 0: something changed since it was worked out */
	uint64_t calm_until_us; /* nothing expires before; 0: as with due_us */
	enum session_state state;
	uint64_t since_us;
	char detail[160];
	bool differ; /* `detail` says on what the two ends do not agree */
	bool closed; /* by session_close(): neither calls nor answers */

	struct addr addrs[SESSION_ADDRS_MAX];
	unsigned n_addrs, addr_at;
	uint64_t resolve_us; /* when to ask for addresses; NEVER: not wanted */

	uint64_t greatest_incarnation, greatest_counter; /* of initiations that were taken */
	struct call call;
	struct keypair *prev, *cur, *fresh; /* fresh: we answered, not confirmed yet */

	/* The establishment: what lives from the first handshake over rekeys to the end. */
	uint64_t generation; /* 0: none */
	uint32_t epoch;
	uint64_t est_us;
	uint64_t far_incarnation;
	char far_name[SESSION_NAME_MAX + 1];
	struct path path;
	struct hello_state hello;
	struct list_state lists;
	struct pmtu pmtu;

	struct session_lane *lane; /* owned, one for each of sessions_params.lanes */
	uint64_t called_us;	   /* when we last answered the peer's call */
};

/* The same of datagrams that belong to no session. */
struct sessions_lane {
	struct counter bad_header, unknown_index;
} __attribute__((aligned(64)));

struct sessions {
	struct crypto *c;
	struct sessions_params p;
	struct key public_key;
	uint8_t id[NODE_ID_BYTES];
	const struct sessions_ops *ops;
	void *arg;
	struct tunables tune;
	struct session *all;
	unsigned n;
	struct index_table indexes;
	struct cookie_checker checker;
	struct limit limit;
	struct load load;
	uint64_t init_counter;
	struct sessions_lane *lane;	   /* owned */
	struct sessions_counters counters; /* the main thread's, and the sum of all lanes' */
	bool in_callback;
	uint64_t due_us; /* the least of all sessions' */
	uint8_t buf[SESSION_DGRAM_MAX + SESSION_TAILROOM];
};

#define CONTROL_AT (DGRAM_HDR_BYTES + RECORD_HDR_BYTES) /* where messages are built in ss->buf */
#define CONTROL_CAP (SESSION_DGRAM_MAX - CONTROL_AT - SESSION_TAILROOM)

#endif
