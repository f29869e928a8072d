/*
 * The insides of sessions, shared by the files of this folder and by their tests, and
 * by nobody else. Ownership: struct sessions owns its sessions; a session owns its three
 * key slots, its outstanding call and its lists.
 */
#ifndef L2TUND_SESSION_STATE_H
#define L2TUND_SESSION_STATE_H

#include "l2tund/session/control.h"
#include "l2tund/session/cookie.h"
#include "l2tund/session/dgram.h"
#include "l2tund/session/index.h"
#include "l2tund/session/limit.h"
#include "l2tund/session/noise.h"
#include "l2tund/session/payload.h"
#include "l2tund/session/pmtu.h"
#include "l2tund/session/record.h"
#include "l2tund/session/seal.h"
#include "l2tund/session/session.h"

#define SESSION_ADDRS_MAX 8
#define SESSION_PACKET_MAX 9000 /* outer IP packet, at most; SESSION_DGRAM_MAX has room for it */

/* Times and volumes that a test wants smaller; the defaults are in sessions.c. */
struct tunables {
	uint64_t rekey_us, reject_us;	/* age of keys: replace from, refuse from */
	uint64_t rekey_late_us;		/* how much later the responder would begin */
	uint64_t rekey_datagrams;
	uint64_t retry_us, retry_max_us; /* unanswered initiation */
	uint64_t refused_us;		/* before calling again who refused */
	uint64_t resolve_us;		/* between questions for addresses */
	uint64_t establish_us;		/* keys agreed to two-way hello, at least */
	uint64_t lists_us;		/* between repetitions of the list of segments */
	unsigned load_initiations;	/* per second, before cookies are asked for */
	struct pmtu_tunables pmtu;
};

/* The keys of one handshake. */
struct keypair {
	uint32_t index, far_index;
	bool initiator;	 /* we began it */
	uint32_t epoch;	 /* order of handshakes, agreed in them */
	uint64_t generation;
	uint64_t born_us;
	uint64_t far_incarnation;
	char far_name[SESSION_NAME_MAX + 1];
	uint64_t rx;
	struct seal seal;
};

/* Our initiation that waits for its response. */
struct call {
	uint32_t index; /* 0: none */
	struct noise noise;
	uint64_t counter;
	uint64_t generation;
	struct path path;
	uint64_t due_us; /* when to call (again) */
	unsigned tries;	 /* since the last success */
	bool answered;    /* something came that claims to be the response */
	bool forced;	 /* keys are to be replaced whatever their age */
};

struct hello_state {
	uint64_t due_us;	/* regular one */
	bool flush;		/* own state changed: at the end of this tick */
	bool answer;		/* the peer asked for one */
	uint64_t sent_us;	/* latest of ours */
	uint64_t echoed_us;	/* latest of ours that came back; 0: none in this establishment */
	uint64_t settle_us;	/* hurry until one sent at or after this came back */
	uint64_t far_sent_us, far_came_us; /* the peer's latest, in its clock and in ours */
	uint64_t far_tx, rx_then;
	uint64_t tx, rx;	/* datagrams of this establishment */
	uint64_t seen_tx, seen_rx; /* last figures that loss_tx was reckoned from */
	uint64_t sum_tx[2], sum_rx[2]; /* decaying sums: [0] our sending, [1] theirs */
	uint32_t rtt_us;
	uint16_t n;
	struct hello_segment far[SESSION_SEGMENTS_MAX];
};

struct list_state {
	uint32_t list;	   /* generation of ours; 0: never set */
	uint32_t acked;	   /* of ours that the peer has complete */
	uint64_t due_us;
	unsigned n, pages;
	uint16_t page_at[CONTROL_PAGES_MAX + 1];
	struct segment own[SESSION_SEGMENTS_MAX];
	bool open[SESSION_SEGMENTS_MAX];
	uint32_t far_list; /* complete here; 0: none */
	unsigned far_n;
	struct segment far[SESSION_SEGMENTS_MAX];
	uint32_t stage_list; /* being received */
	uint16_t stage_mask;
	uint8_t stage_pages;
	unsigned stage_n;
	struct segment stage[SESSION_SEGMENTS_MAX];
};

struct session {
	struct session *next;
	struct sessions *ss;
	void *user;
	struct session_params p;
	uint8_t far_id[NODE_ID_BYTES];
	struct cookie_maker cookie; /* for our initiations */
	struct cookie_maker answer; /* for our responses, which never carry a cookie */

	enum session_state state;
	uint64_t since_us;
	char detail[160];
	bool closed;	    /* by session_close(): neither calls nor answers */

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

	uint64_t rx_bytes, tx_bytes, rx_datagrams, tx_datagrams;
	uint64_t drop_replay, drop_decode, drop_auth;
	uint64_t last_rx_us;
};

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
	struct sessions_counters counters;
	bool in_callback;
	uint64_t due_us; /* next deadline; 0: something changed, look at everything */
	uint8_t buf[SESSION_DGRAM_MAX + SESSION_TAILROOM];
};

#define CONTROL_AT (DGRAM_HDR_BYTES + RECORD_HDR_BYTES) /* where messages are built in ss->buf */
#define CONTROL_CAP (SESSION_DGRAM_MAX - CONTROL_AT - SESSION_TAILROOM)

/* session.c, for the other files of this folder */
void session_event(struct session *s, enum session_event ev);
/* Sets the detail; an event follows when it is new. */
void session_note(struct session *s, const char *fmt, ...) _printf_(2, 3);
/* The end of an establishment: event when it was up, keys gone, calls again. `fmt`: why. */
void session_down(struct session *s, uint64_t now_us, const char *fmt, ...) _printf_(3, 4);
/* Keys of another generation became current. */
void session_establish(struct session *s, struct keypair *kp, uint64_t now_us);
void session_settle(struct session *s, uint64_t now_us); /* works out `state` */
/* Seals and sends the message of `len` bytes at ss->buf + CONTROL_AT. 0, -EMSGSIZE or -ENOKEY. */
int session_send_control(struct session *s, size_t len, uint64_t now_us);
/* Ends what is over at `now_us`: lease, keys. */
void session_expire(struct session *s, uint64_t now_us);
uint64_t session_tick(struct session *s, uint64_t now_us);
/* IP and UDP headers on the present path. */
unsigned session_ip_overhead(const struct session *s);
void session_wake(struct session *s); /* something is due at once */
/* What an authenticated peer makes us read: the records of a control datagram. */
void session_control_input(struct session *s, const uint8_t *p, size_t len, uint64_t now_us);
void session_take_path(struct session *s, const struct path *from, uint64_t now_us);

#endif
