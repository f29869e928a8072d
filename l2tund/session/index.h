/*
 * Receiver indexes: the 32-bit numbers by which datagrams find their keys. The low bits
 * are the place in the table, the rest is random, so a lookup is one comparison
 * and an index is not used again soon.
 */
#ifndef L2TUND_SESSION_INDEX_H
#define L2TUND_SESSION_INDEX_H

#include <stdint.h>

struct index_entry {
	uint32_t index; /* 0: free */
	void *owner;
};

struct index_table {
	struct index_entry *e;
	uint32_t cap; /* power of two */
	uint32_t used;
};

/* Makes room for `n` entries at once, so that none is allocated later. 0 or -ENOMEM. */
int index_reserve(struct index_table *t, uint32_t n);
void index_fini(struct index_table *t);
/* A fresh index from 32 random bits; 0 when the table is full. */
uint32_t index_add(struct index_table *t, uint32_t random, void *owner);
void index_remove(struct index_table *t, uint32_t index);
void index_set_owner(struct index_table *t, uint32_t index, void *owner);
void *index_find(const struct index_table *t, uint32_t index);

#endif
