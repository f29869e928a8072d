/*
 * What topologies tell each other, as bytes (doc/protocol.md, "Topology messages"). Kind u8, count
 * or page u8, then a fixed layout per kind; little-endian.
 */
#ifndef L2TUND_TOPOLOGY_MSG_H
#define L2TUND_TOPOLOGY_MSG_H

#include "l2tund/topology/lsdb.h"

enum msg_kind {
	MSG_LSA = 1,  /* one page of a link state */
	MSG_SYNC = 2, /* digests */
	MSG_HAVE = 3, /* what the sender has: acknowledges, asks, and mends wrong beliefs */
};

#define MSG_PAGE_BYTES 1040 /* of a link state in one message; the last page may be shorter */
#define MSG_PAGES 32	    /* of a link state; as many as LSA_BYTES_MAX takes */
#define MSG_SYNCS ((TOPO_MSG_MAX - 2) / 68)
#define MSG_HAVES ((TOPO_MSG_MAX - 2) / 32)

struct msg_page {
	uint8_t node[TOPO_NODE_ID_BYTES];
	struct version version;
	uint8_t page, pages;
	const uint8_t *bytes; /* into the message */
	size_t len;
};

struct msg_sync {
	uint8_t node[TOPO_NODE_ID_BYTES];
	struct sync sync;
};

struct msg_have {
	uint8_t node[TOPO_NODE_ID_BYTES];
	struct version lsa, sync; /* all zero: nothing */
};

struct msg {
	enum msg_kind kind;
	unsigned n; /* of syncs or haves */
	union {
		struct msg_page page;
		struct msg_sync syncs[MSG_SYNCS];
		struct msg_have haves[MSG_HAVES];
	};
};

/* Writes it and gives its length; what fits the struct fits TOPO_MSG_MAX. */
size_t msg_build(const struct msg *m, uint8_t buf[TOPO_MSG_MAX]);
/* 0; -EBADMSG; -ENOTSUP: a kind of a later version, to be ignored. */
int msg_parse(const uint8_t *buf, size_t len, struct msg *ret);

#endif
