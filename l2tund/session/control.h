/*
 * Control messages: what CONTROL records carry inside sealed datagrams
 * (doc/protocol.md, "Control messages"). Kind u8, then a fixed layout per kind; bytes
 * behind the known layout are ignored, so that fields can be added.
 */
#ifndef L2TUND_SESSION_CONTROL_H
#define L2TUND_SESSION_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/session/session.h"

enum control_kind {
	CONTROL_HELLO = 1,
	CONTROL_SEGMENTS = 2,
	CONTROL_PROBE = 3,
	CONTROL_PROBE_ACK = 4,
	CONTROL_CLOSE = 5,
	CONTROL_TOPOLOGY = 6,
};

#define HELLO_F_ANSWER 0x01    /* please answer with a hello at once */
#define CONTROL_BYTES_MAX 1100 /* of one message but PROBE: fits the base path MTU */
#define CONTROL_SEGMENT_MAX 48 /* bytes of one entry, at most */
#define CONTROL_PAGES_MAX 16

/* Own segment as the hello tells it. */
struct hello_segment {
	uint16_t id;
	uint8_t flags; /* HELLO_SEGMENT_OPEN */
};
#define HELLO_SEGMENT_OPEN 0x01

struct hello {
	uint8_t flags;
	uint32_t list;	    /* generation of our list of segments; 0: none was set yet */
	uint32_t list_seen; /* of the peer's, complete here; 0: none */
	uint64_t sent_us;   /* our clock, when this hello left; 0 is not used */
	uint64_t echo_us;   /* sent_us of the peer's latest hello; 0: none yet */
	uint32_t held_us;   /* how long we had it */
	uint64_t tx;	    /* datagrams sent in this establishment, this one included */
	uint64_t echo_tx;   /* tx of the hello that is echoed */
	uint64_t echo_rx;   /* datagrams we had received when it came, it included */
	uint16_t n;
	struct hello_segment segs[SESSION_SEGMENTS_MAX];
};

struct segments_page {
	uint32_t list;
	uint8_t page, pages;
	uint8_t n;
	struct segment segs[CONTROL_BYTES_MAX / 17]; /* the shortest entry has 17 bytes */
};

struct probe {
	uint32_t id;
	uint16_t size; /* bytes of the outer IP packet */
};

/* Each writes one message (kind included) and gives its length, or -ENOBUFS. */
int control_build_hello(const struct hello *h, uint8_t *buf, size_t cap);
/*
 * Writes entries from segs[0] on while they fit; *ret_taken says how many.
 */
int control_build_segments(uint32_t list, uint8_t page, uint8_t pages, const struct segment *segs,
			   unsigned n, uint8_t *buf, size_t cap, unsigned *ret_taken);
/* A probe is padded with zeros to `len` bytes in all. */
int control_build_probe(const struct probe *p, size_t len, uint8_t *buf, size_t cap);
int control_build_probe_ack(const struct probe *p, uint8_t *buf, size_t cap);
int control_build_close(uint8_t *buf, size_t cap);
int control_build_topology(const uint8_t *msg, size_t len, uint8_t *buf, size_t cap);

/* The kind of a message, or -EBADMSG when it is empty. Unknown kinds are for the caller to skip. */
int control_kind(const uint8_t *buf, size_t len);
/* 0, or -EBADMSG with *ret undefined. */
int control_parse_hello(const uint8_t *buf, size_t len, struct hello *ret);
int control_parse_segments(const uint8_t *buf, size_t len, struct segments_page *ret);
int control_parse_probe(const uint8_t *buf, size_t len, struct probe *ret); /* PROBE and its ACK */
/* The message inside, in place; control_kind() has looked. */
const uint8_t *control_parse_topology(const uint8_t *buf, size_t len, size_t *ret_len);

#endif
