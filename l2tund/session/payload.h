/*
 * What the two handshake messages say, encrypted inside them (doc/protocol.md,
 * "Handshake payload"): a list of items, type u8, length u16, value.
 */
#ifndef L2TUND_SESSION_PAYLOAD_H
#define L2TUND_SESSION_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l2tund/session/crypto.h"
#include "l2tund/session/session.h"

#define PROTOCOL_VERSION 1
#define PAYLOAD_TEXT_MAX 119

enum refusal {
	REFUSAL_NONE = 0,
	REFUSAL_VERSION = 1,
	REFUSAL_MODE = 2,
	REFUSAL_CIPHER = 3,
	REFUSAL_ITEM = 4, /* an item that must be understood and is not */
};

struct payload {
	/* Both messages. */
	uint8_t version_min, version_max;
	uint64_t incarnation;
	uint64_t counter; /* of the initiation; the response repeats it */
	char name[SESSION_NAME_MAX + 1];
	uint8_t modes;		/* bit 1 << enum data_mode */
	uint32_t mbps[CIPHERS]; /* speed of each cipher; 0: not offered */
	/*
	 * Initiation: the establishment to go on with (0: a new one) and the proposed
	 * epoch. Response: what was decided.
	 */
	uint64_t generation;
	uint32_t epoch;
	/* Response only. */
	bool chosen;
	uint8_t version, mode, cipher;
	uint8_t refusal;
	char text[PAYLOAD_TEXT_MAX + 1];
	/* Reading only: the first mandatory item that is not known here, or 0. */
	uint8_t unknown;
};

/*
 * Writes the items and pads with zeros up to `pad_to` bytes (0: no padding). Gives
 * the length, or -ENOBUFS.
 */
int payload_build(const struct payload *p, uint8_t *buf, size_t cap, size_t pad_to);
/* 0, or -EBADMSG: an item is cut off, malformed, doubled or missing. Unknown ones are skipped. */
int payload_parse(const uint8_t *buf, size_t len, struct payload *ret);

/* Strongest mode in both masks, or -ENOENT. */
int payload_pick_mode(unsigned ours, unsigned theirs);
/* The cipher whose slower end is fastest (AES first when equal), or -ENOENT. */
int payload_pick_cipher(const uint32_t ours[CIPHERS], const uint32_t theirs[CIPHERS]);

#endif
