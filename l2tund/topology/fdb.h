/*
 * A mirror of one bridge's forwarding table: at which port an address was heard, by VLAN. It
 * says what an update was, so that an address that moves between ports is noticed, and
 * whether the bridge knows an address, because what it does not know it floods. Pure.
 */
#ifndef L2TUND_TOPOLOGY_FDB_H
#define L2TUND_TOPOLOGY_FDB_H

#include <stdbool.h>
#include <stdint.h>

#define FDB_MAX 16384 /* entries of one bridge; half a MiB */

enum fdb_change {
	FDB_NONE,      /* there was nothing to forget */
	FDB_LEARNT,    /* it was not known */
	FDB_REFRESHED, /* at the same port as before, or one of the bridge's own addresses */
	FDB_MOVED,     /* it was known at another port */
	FDB_GONE,
	FDB_FULL, /* no room for it: from now on the mirror lacks something */
};

struct fdb_entry {
	uint8_t mac[6];
	uint16_t vlan;
	int port;
	uint32_t next; /* of this bucket, or of the free ones: index + 1; 0: no more */
	bool used;
	bool local;
	bool round; /* of the last full read that showed it */
};

/* Owned by whoever called fdb_init(), freed by fdb_fini(). Grows as it is filled. */
struct fdb {
	struct fdb_entry *entries;
	uint32_t *buckets; /* index + 1; 0: empty */
	unsigned n, size;  /* used; of both arrays, a power of two or 0 */
	uint32_t free;
	uint64_t seed;
	bool round;
};

/* `seed` is random: nobody is to know which addresses share a bucket. */
void fdb_init(struct fdb *f, uint64_t seed);
void fdb_fini(struct fdb *f);
/* Forgets everything and gives the memory back. */
void fdb_clear(struct fdb *f);

/*
 * The bridge has this address at `port`; `local`: it is one of its own. After FDB_MOVED
 * *ret_from is the port of before.
 */
enum fdb_change fdb_put(struct fdb *f, const uint8_t mac[6], uint16_t vlan, int port, bool local,
			int *ret_from);
/* It has it no more: FDB_GONE or FDB_NONE. */
enum fdb_change fdb_drop(struct fdb *f, const uint8_t mac[6], uint16_t vlan);

/* Around a full read of the bridge's table: what is not put in between is gone at the end. */
void fdb_begin(struct fdb *f);
void fdb_end(struct fdb *f);

/* Whether the address is known at this port, in any VLAN. One look-up; `port` 0: at any port. */
bool fdb_knows(const struct fdb *f, const uint8_t mac[6], int port);

#endif
