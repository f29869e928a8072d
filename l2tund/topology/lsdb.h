/*
 * The link-state database: of every node the newest link state and the newest digest that
 * it has told; who is a member (joined with us by live edges); the digest of it all (R1, R2).
 */
#ifndef L2TUND_TOPOLOGY_LSDB_H
#define L2TUND_TOPOLOGY_LSDB_H

#include "l2tund/topology/lsa.h"

#define DIGEST_BYTES 32 /* SHA-256 */
#define LSDB_NONE TOPO_NODES_MAX
#define LSDB_INDEX (2 * TOPO_NODES_MAX)

/* Newer is what is greater, the incarnation first. All zero: nothing was told yet. */
struct version {
	uint64_t incarnation;
	uint32_t seq;
};

static inline int version_compare(struct version a, struct version b)
{
	if (a.incarnation != b.incarnation)
		return a.incarnation < b.incarnation ? -1 : 1;
	return (a.seq > b.seq) - (a.seq < b.seq);
}

/* S(x): "my tree for this digest is computed, and every gate outside it is closed". */
struct sync {
	struct version version;
	uint8_t digest[DIGEST_BYTES];
	uint8_t key[TOPO_KEY_BYTES]; /* of the node's probes */
};

/* A link state that arrives in several pages. */
struct lsdb_stage {
	struct version version; /* all zero: none */
	uint8_t pages;
	uint32_t have; /* bit per page */
	uint8_t *bytes;
	uint16_t last_len; /* of the last page; the others are full */
};

struct lsdb_node {
	uint8_t id[TOPO_NODE_ID_BYTES];
	bool used;
	bool member;
	bool listed;	 /* by a member */
	uint32_t tenant; /* another number whenever the slot gets another node */
	uint64_t stamp;	 /* grows while it is a member or listed: who makes room first */
	struct version version;
	struct lsa lsa;
	uint8_t *body; /* the same, encoded */
	size_t len;
	uint8_t hash[DIGEST_BYTES]; /* of `body`; all zero while there is none */
	struct sync sync;
	uint8_t keys[TOPO_KEYS][TOPO_KEY_BYTES]; /* newest first */
	unsigned n_keys;
	struct lsdb_stage stage;
};

struct lsdb {
	struct lsdb_node node[TOPO_NODES_MAX]; /* a node keeps its slot while it is known */
	uint8_t index[LSDB_INDEX];	       /* open addressing over ids; LSDB_NONE: free */
	unsigned self;
	uint32_t tenants;
	uint64_t stamp;
	/* by lsdb_settle(): */
	uint8_t digest[DIGEST_BYTES];
	unsigned n_members;
	uint32_t joined; /* how often a node has become one */
	bool overflow; /* more nodes than there is room for: the digest is of no use */
};

void lsdb_init(struct lsdb *db, const uint8_t self[TOPO_NODE_ID_BYTES]);
void lsdb_fini(struct lsdb *db);

/* The slot of a node, or LSDB_NONE. */
unsigned lsdb_find(const struct lsdb *db, const uint8_t id[TOPO_NODE_ID_BYTES]);
/*
 * The same, made when it is not known; one that is neither a member nor listed makes room.
 * LSDB_NONE: all are.
 */
unsigned lsdb_get(struct lsdb *db, const uint8_t id[TOPO_NODE_ID_BYTES]);

/* Takes a newer link state. -EBADMSG, -ENOMEM, -EIO: it keeps the one it has. */
int lsdb_set_lsa(struct lsdb *db, unsigned slot, struct version v, const uint8_t *body, size_t len);
/*
 * Takes one page of one, all but the last `page_bytes` long; 1 when the link state is complete
 * and taken, 0 when more is wanted, or as lsdb_set_lsa().
 */
int lsdb_add_page(struct lsdb *db, unsigned slot, struct version v, unsigned page, unsigned pages,
		  size_t page_bytes, const uint8_t *bytes, size_t len);
/* Takes what is newer. */
void lsdb_set_sync(struct lsdb *db, unsigned slot, const struct sync *s);

/* Members and digest anew. -EIO when libcrypto fails. */
int lsdb_settle(struct lsdb *db);

#endif
