/*
 * Our own link state: made from our edges and foreign paths after every event, compared with
 * what was told last, and told when it differs. What others wait for is told soon, what nobody
 * waits for a little later, together with what else has changed by then.
 */
#include <stdlib.h>

#include "common/util.h"
#include "l2tund/topology/state.h"

#define LSA_PACE_US (50 * US_PER_MS)  /* of what others wait for; changes meanwhile go together */
#define LSA_LAZY_US (300 * US_PER_MS) /* of what nobody waits for: gates that have opened */
#define PREEMPT_US (60 * US_PER_S)    /* how long a better edge has to be up */

static struct lsa_edge edge_entry(const struct topo_edge *e, uint64_t now_us)
{
	struct lsa_edge ret = {
		.far = e->ends.far,
		.generation = e->ends.generation,
		.priority = e->ends.priority,
		.ready = e->ready,
		.open = e->open,
		.preempt = e->ends.preempt && now_us - e->up_us >= PREEMPT_US,
		.mesh = e->ends.mesh,
	};

	memcpy(ret.local, e->ends.local_bridge, sizeof(ret.local));
	return ret;
}

static unsigned count_up(const struct topo *t)
{
	const struct topo_edge *e;
	unsigned n = 0;

	TAILQ_FOREACH(e, &t->edges, link)
		n += e->up;
	return n;
}

static int draft_reserve(struct topo *t)
{
	unsigned n = MIN(count_up(t) + 1, (unsigned)TOPO_EDGES_MAX);

	if (!t->draft.foreign)
		t->draft.foreign = calloc(TOPO_FOREIGN_MAX, sizeof(*t->draft.foreign));
	if (n > t->cap_draft) {
		struct lsa_edge *more = realloc(t->draft.edges, n * sizeof(*more));

		if (!more)
			return -1;
		t->draft.edges = more;
		t->cap_draft = n;
	}
	return t->draft.foreign ? 0 : -1;
}

static void draft_edges(struct topo *t, uint64_t now_us)
{
	struct lsa *l = &t->draft;
	const struct topo_edge *e;
	unsigned n = 0;

	/* One that is not ready is told, too: what blocks it may be a way between the two. */
	TAILQ_FOREACH(e, &t->edges, link) {
		if (!e->up)
			continue;
		if (n == t->cap_draft) {
			t->draft_cut = true;
			break;
		}
		l->edges[n++] = edge_entry(e, now_us);
	}
	qsort(l->edges, n, sizeof(*l->edges), lsa_edge_compare);
	l->n_edges = 0;
	/* Two tunnels that say the same of themselves cannot be told apart: one counts. */
	for (unsigned i = 0; i < n; i++) {
		if (i == 0 || lsa_edge_compare(&l->edges[i - 1], &l->edges[i]) != 0)
			l->edges[l->n_edges++] = l->edges[i];
	}
}

void draft_build(struct topo *t, uint64_t now_us)
{
	const struct lsdb_node *self = topo_self(t);

	t->draft_cut = t->foreign_cut;
	if (draft_reserve(t) < 0) {
		t->draft_cut = true;
		return;
	}
	memcpy(t->draft.name, t->p.name, sizeof(t->draft.name));
	draft_edges(t, now_us);
	memcpy(t->draft.foreign, t->foreign, t->n_foreign * sizeof(*t->foreign));
	t->draft.n_foreign = t->n_foreign;
	int len = lsa_build(&t->draft, t->draft_body, LSA_BYTES_MAX);
	if (len < 0) {
		t->draft_cut = true;
		return;
	}
	t->draft_len = (size_t)len;
	bool differs = !self->body || self->len != t->draft_len ||
		       memcmp(self->body, t->draft_body, t->draft_len) != 0;
	if (!differs)
		t->urgent = false; /* it was taken back before it was told */
	if (differs && (!t->wants_lsa || t->urgent))
		t->lsa_due_us = t->urgent ? t->lsa_sent_us + LSA_PACE_US : now_us + LSA_LAZY_US;
	t->wants_lsa = differs;
}

void draft_renew(struct topo *t, uint64_t incarnation)
{
	struct lsdb_node *self = topo_self(t);

	t->p.incarnation = incarnation;
	self->version = self->sync.version = (struct version){ incarnation, 0 };
	t->urgent = t->wants_lsa = t->stale = true;
	t->lsa_due_us = 0;
}

void draft_publish(struct topo *t, uint64_t now_us)
{
	struct lsdb_node *self = topo_self(t);

	if (self->version.seq == UINT32_MAX)
		draft_renew(t, t->p.incarnation + 1);
	struct version v = { t->p.incarnation, self->version.seq + 1 };

	if (lsdb_set_lsa(&t->db, t->db.self, v, t->draft_body, t->draft_len) < 0) {
		t->lsa_sent_us = now_us; /* out of memory: a little later */
		t->lsa_due_us = now_us + US_PER_S;
		return;
	}
	t->urgent = false;
	t->wants_lsa = false;
	t->lsa_sent_us = now_us;
	t->stale = true;
	flood_wake(&t->flood);
}

uint64_t draft_preempt_us(const struct topo *t, uint64_t now_us)
{
	const struct topo_edge *e;
	uint64_t next_us = NEVER;

	TAILQ_FOREACH(e, &t->edges, link) {
		if (e->up && e->ends.preempt && e->up_us + PREEMPT_US > now_us)
			next_us = MIN(next_us, e->up_us + PREEMPT_US);
	}
	return next_us;
}
