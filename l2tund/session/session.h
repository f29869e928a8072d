/*
 * Sessions: who the peer is, whether it is alive, and the keys between us
 * (doc/protocol.md). Pure: bytes, time and randomness come in as arguments and through
 * sessions_ops; nothing here does a system call or logs.
 *
 * struct sessions is this node's side of the wire: its key and all its peers.
 * struct session is one peer. One session carries all tunnels with that peer.
 */
#ifndef L2TUND_SESSION_SESSION_H
#define L2TUND_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/key.h"
#include "common/names.h"

#define NODE_ID_BYTES 8		 /* first bytes of SHA-256(static public key) */
#define SESSION_HEADROOM 16	 /* datagram header, in front of the records */
#define SESSION_TAILROOM 16	 /* tag, behind them */
#define SESSION_SEGMENTS_MAX 256 /* tunnels per peer */
#define SESSION_DGRAM_MAX 9216	 /* largest datagram that is built or taken */
#define SESSION_NAME_MAX 31
#define SESSION_BRIDGE_MAX 15
#define SESSION_TOPOLOGY_MAX 1099 /* bytes of a message between topologies */

/*
 * The two ends of the underlay between us and a peer. `local` may be unset, when we
 * call: then `socket` says nothing either, and any of the remote's family will do.
 */
struct path {
	struct addr remote;
	struct addr local;
	unsigned socket; /* index of the listen address that it belongs to */
};

enum session_state {
	SESSION_DOWN,	   /* no address to call and nobody calls */
	SESSION_HANDSHAKE, /* calling, or keys agreed and the two-way hello not seen yet */
	SESSION_UP,	   /* two-way hello within the dead time */
};

enum session_event {
	SESSION_EV_UP,
	SESSION_EV_DOWN,     /* dead timer, close message, or replaced by a restarted peer */
	SESSION_EV_SEGMENTS, /* session_far_segments() is new and complete */
	SESSION_EV_FAR,	     /* a hello changed session_far_open() of some segment */
	SESSION_EV_MOVED,    /* an authenticated packet came from another address */
	SESSION_EV_MTU,	     /* path MTU changed */
	SESSION_EV_NOTE,     /* session_detail() has something new to tell the administrator */
};

/* One end of a tunnel as its owner describes it to the other end. */
struct segment {
	uint16_t id; /* the owner's number for it; records to the owner carry it */
	char bridge[SESSION_BRIDGE_MAX + 1];
	char want[SESSION_BRIDGE_MAX +
		  1];	/* bridge of the other end that it is to be joined with */
	uint8_t mac[6]; /* of the bridge */
	uint16_t mtu;	/* of the bridge */
	uint16_t priority;
	bool mesh;
	bool usable; /* bridge present and the tunnel not switched off */
};

struct session;
struct sessions;

struct sessions_ops {
	/* One datagram out. 0; -EMSGSIZE: cannot leave unfragmented; other errors are loss. */
	int (*send)(void *arg, const struct path *path, const void *dgram, size_t len);
	/* Cryptographically secure bytes; cannot fail. */
	void (*random)(void *arg, void *buf, size_t len);
	void (*event)(void *arg, struct session *s, enum session_event ev);
	/*
	 * Authenticated, decrypted, replay-checked data records of a session that is up: inside
	 * of what was given to sessions_input(), and nobody else's any more.
	 */
	void (*records)(void *arg, struct session *s, uint8_t *records, size_t len,
			uint64_t now_us);
	/* A message of the peer's topology, while the session is up. NULL: not wanted. */
	void (*topology)(void *arg, struct session *s, const uint8_t *msg, size_t len,
			 uint64_t now_us);
	/* The session needs fresh addresses for its host; answer with session_set_addresses(). */
	void (*resolve)(void *arg, struct session *s);
};

struct sessions_params {
	struct key private_key;
	char node_name[SESSION_NAME_MAX + 1];
	uint64_t incarnation;
	uint32_t aes_mbps; /* measured speed of AES-256-GCM and ChaCha20-Poly1305, cipher.h */
	uint32_t chacha_mbps;
	unsigned
		lanes; /* threads that seal and open, the caller's own is the first; 0: only that */
};

struct session_params {
	struct key public_key;
	struct key psk;	   /* all zero: none */
	unsigned modes;	   /* bit 1 << enum data_mode */
	bool has_host;	   /* we can call: addresses come by session_set_addresses() */
	uint32_t hello_us; /* 500 ms, or 100 ms with the fast profile */
	uint32_t dead_us;  /* 2 s, or 400 ms */
};

/* NULL when out of memory or when libcrypto refuses the key. `ops` and `arg` must outlive it. */
struct sessions *sessions_new(const struct sessions_params *p, const struct sessions_ops *ops,
			      void *arg);
/* Frees every session too; sends nothing: session_close() first for a graceful end. */
void sessions_free(struct sessions *ss);
const uint8_t *sessions_node_id(const struct sessions *ss);

/*
 * Takes one datagram, decrypting in place. Garbage is counted and dropped; it never
 * disturbs a running session. `now_us` is CLOCK_BOOTTIME everywhere.
 */
void sessions_input(struct sessions *ss, const struct path *from, uint8_t *dgram, size_t len,
		    uint64_t now_us);
/*
 * The same of one datagram for a lane, any number of lanes at a time, but not while another
 * call here is under way. Takes only data of a session that is up, under keys that
 * are in use, from where the peer is known to be: gives the length of its records at
 * dgram + SESSION_HEADROOM, and whose they are. -EAGAIN: something else, untouched; it is for
 * sessions_input(). Other errors: dropped, and counted.
 */
int sessions_data_input(struct sessions *ss, unsigned lane, const struct path *from, uint8_t *dgram,
			size_t len, uint64_t now_us, struct session **ret);
/*
 * Runs what is due and returns the next deadline (us, NEVER when nothing waits). Due
 * after every other call here: what those calls want sent is sent by the tick.
 */
uint64_t sessions_tick(struct sessions *ss, uint64_t now_us);

/*
 * Two peers may share a public key only when each has its own address: they are
 * two underlay paths to one node. The responder tells them apart by the source host.
 * `user` is the caller's. NULL when out of memory or the key is a low-order point.
 */
struct session *session_add(struct sessions *ss, const struct session_params *p, void *user,
			    uint64_t now_us);
/* Not from inside a callback of sessions_ops: close it there and remove it later. */
void session_remove(struct session *s);
void *session_user(const struct session *s);
/* Modes, psk and timers of a reload; a new handshake follows when the keys depend on it. */
void session_update(struct session *s, const struct session_params *p, uint64_t now_us);

/* Answers `resolve`; n = 0: the name did not resolve (`detail` says why and is copied). */
void session_set_addresses(struct session *s, const struct addr *addrs, unsigned n,
			   const char *detail, uint64_t now_us);

/* Tells the peer that we go (it goes down at once), forgets the keys. */
void session_close(struct session *s, uint64_t now_us);

/* Our tunnels with this peer; sent until acknowledged. -E2BIG above SESSION_SEGMENTS_MAX. */
int session_set_segments(struct session *s, const struct segment *segs, unsigned n,
			 uint64_t now_us);
/* Whether our end of segment `id` forwards. Every hello tells it; a change is told at once. */
void session_set_open(struct session *s, uint16_t id, bool open, uint64_t now_us);

/* The peer's list; valid until the next SESSION_EV_SEGMENTS or _DOWN. */
const struct segment *session_far_segments(const struct session *s, unsigned *ret_n);
bool session_far_open(const struct session *s, uint16_t far_id);

/*
 * Sends one message to the peer's topology, once: what is lost, the caller repeats.
 * 0, -ENOTCONN unless the session is up, -E2BIG above SESSION_TOPOLOGY_MAX, or why it could
 * not leave. May be called from inside callbacks.
 */
int session_send_topology(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us);

enum session_state session_state(const struct session *s);
/* Where its datagrams go now. The path lives as long as the session, and follows the peer. */
const struct path *session_path(const struct session *s);
/*
 * Until when (us, CLOCK_BOOTTIME) forwarding is covered: the send time of our
 * latest hello that the peer has echoed, plus the dead time. Packets that
 * waited in a queue while we were stopped therefore never extend it.
 */
uint64_t session_lease_us(const struct session *s);

/* Bytes of records that fit one datagram on the present path; 0 while there is no key. */
size_t session_room(const struct session *s);
/*
 * Seals `len` bytes of records standing at buf + SESSION_HEADROOM, in place;
 * `buf` has SESSION_TAILROOM behind them. Gives the datagram's length to send on
 * *ret_path, or -ENOKEY. As with sessions_data_input(), each lane may seal at any time.
 */
int session_seal(struct session *s, unsigned lane, uint8_t *buf, size_t len, uint64_t now_us,
		 const struct path **ret_path);
/* Tells path-MTU discovery that a data datagram of `len` was refused with EMSGSIZE. */
void session_too_big(struct session *s, size_t len, uint64_t now_us);

/* The peer's node id, from its key: known before it was ever heard. */
const uint8_t *session_far_id(const struct session *s);
/* Same number at both ends, new with each establishment, kept over rekeys; 0: none. */
uint64_t session_generation(const struct session *s);

struct session_info {
	enum session_state state;
	char far_name[SESSION_NAME_MAX + 1];
	uint8_t far_id[NODE_ID_BYTES];
	uint64_t far_incarnation;
	uint64_t generation;
	struct path path;
	uint32_t rtt_us;
	unsigned loss_rx_permille, loss_tx_permille;
	unsigned path_mtu; /* bytes of the outer IP packet */
	enum data_mode mode;
	const char *cipher; /* "aes-256-gcm", "chacha20-poly1305", "-" before the handshake */
	uint64_t rx_bytes, tx_bytes, rx_datagrams, tx_datagrams;
	uint64_t drop_replay, drop_decode, drop_auth;
	uint64_t since_us;     /* when `state` began */
	uint64_t last_rx_us;   /* 0: nothing authenticated yet */
	uint64_t called_us;    /* when we last answered a call, and nothing else came; 0: no */
	uint64_t handshake_us; /* when the present keys were agreed; 0: never */
	char detail[160];      /* why it is not up, or "" */
	bool differ; /* the peer was heard, but the two are configured differently: `detail` */
};
void session_get_info(const struct session *s, struct session_info *ret);

/* What came from nobody we know. */
struct sessions_counters {
	uint64_t bad_header, bad_mac, unknown_index, unknown_key, rate_limited, cookies_sent,
		replayed_initiations;
	uint64_t stale_initiations; /* of those: of an earlier start than the one that we know */
};
const struct sessions_counters *sessions_counters(struct sessions *ss);

#endif
