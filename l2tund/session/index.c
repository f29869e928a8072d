/*
 * Receiver indexes. Invariant: entry i is free or holds an index whose low bits are
 * i. The table only grows, when sessions are added; entries keep their index then, because
 * indexes that differ in few low bits differ in more of them as well.
 */
#include "l2tund/session/index.h"

#include <errno.h>

#include "common/util.h"

int index_reserve(struct index_table *t, uint32_t n)
{
	uint32_t cap = t->cap ? t->cap : 16;

	while (cap / 2 < n)
		cap *= 2;
	if (cap == t->cap)
		return 0;

	struct index_entry *e = calloc(cap, sizeof(*e));
	if (!e)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->cap; i++)
		if (t->e[i].index)
			e[t->e[i].index & (cap - 1)] = t->e[i];
	free(t->e);
	t->e = e;
	t->cap = cap;
	return 0;
}

void index_fini(struct index_table *t)
{
	free(t->e);
	memset(t, 0, sizeof(*t));
}

uint32_t index_add(struct index_table *t, uint32_t random, void *owner)
{
	for (uint32_t i = 0; i < t->cap; i++) {
		uint32_t at = (random + i) & (t->cap - 1);
		uint32_t index = (random & ~(t->cap - 1)) | at;

		if (t->e[at].index)
			continue;
		if (index == 0)
			index = t->cap; /* 0 means free */
		if ((index & (t->cap - 1)) != at)
			continue;
		t->e[at] = (struct index_entry){ index, owner };
		t->used++;
		return index;
	}
	return 0;
}

static struct index_entry *find(const struct index_table *t, uint32_t index)
{
	if (!index || !t->cap)
		return NULL;
	struct index_entry *e = &t->e[index & (t->cap - 1)];
	return e->index == index ? e : NULL;
}

void index_remove(struct index_table *t, uint32_t index)
{
	struct index_entry *e = find(t, index);

	if (!e)
		return;
	*e = (struct index_entry){ 0, NULL };
	t->used--;
}

void index_set_owner(struct index_table *t, uint32_t index, void *owner)
{
	struct index_entry *e = find(t, index);

	if (e)
		e->owner = owner;
}

void *index_find(const struct index_table *t, uint32_t index)
{
	struct index_entry *e = find(t, index);
	return e ? e->owner : NULL;
}
