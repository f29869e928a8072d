/*
 * The spanning tree with a barrier (doc/tree.md). Each node computes the tree of the link
 * states that it holds, closes what is not in it, and only then tells the others for which
 * link states it has done so: the digest. It opens when all members have told the
 * digest that it has itself. So nothing opens while anybody may still have something open that
 * the tree does not have.
 *
 * Everything ends in settle(): draft, trees, close, tell, open, in this order (R4, R5, R6).
 */
#include "l2tund/topology/topology.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/util.h"
#include "l2tund/topology/mutant.h"
#include "l2tund/topology/state.h"

/*
 * Frames that were on their way when a gate closed have arrived by then: as long as ways are not
 * this much slower than those by which nodes agree, none of them passes a gate that opens instead.
 */
#define DRAIN_US (100 * US_PER_MS)
#define TELL_US US_PER_S /* others do not agree: maybe something got lost */
#define TELL_MAX_SHIFT 4
#define TWIN_US (3 * US_PER_S) /* of silence, before we take our identity back */
#define TWIN_MAX_US (300 * US_PER_S)

/* the object */

static int flood_to_ops(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	struct topo *t = arg;

	return t->ops->send(t->arg, a, msg, len);
}

struct topo *topo_new(const struct topo_params *p, const struct topo_ops *ops, void *arg)
{
	struct topo *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->draft_body = malloc(LSA_BYTES_MAX);
	if (!t->draft_body) {
		free(t);
		return NULL;
	}
	t->p = *p;
	t->ops = ops;
	t->arg = arg;
	TAILQ_INIT(&t->edges);
	lsdb_init(&t->db, p->node_id);
	TAILQ_INIT(&t->flood.adjs);
	t->flood.db = &t->db;
	t->flood.send = flood_to_ops;
	t->flood.arg = t;
	t->urgent = true;
	t->stale = true;
	return t;
}

void topo_free(struct topo *t)
{
	struct topo_edge *e;
	struct topo_adj *a;

	if (!t)
		return;
	while ((e = TAILQ_FIRST(&t->edges))) {
		TAILQ_REMOVE(&t->edges, e, link);
		free(e);
	}
	while ((a = TAILQ_FIRST(&t->flood.adjs)))
		flood_remove(&t->flood, a);
	tree_fini(&t->tree);
	tree_fini(&t->draft_tree);
	lsa_fini(&t->draft);
	lsdb_fini(&t->db);
	free(t->draft_body);
	free(t);
}

/* what we tell */

static void publish_sync(struct topo *t, const uint8_t digest[DIGEST_BYTES])
{
	struct lsdb_node *self = topo_self(t);

	if (self->sync.version.seq == UINT32_MAX)
		draft_renew(t, t->p.incarnation + 1);
	struct sync s = { .version = { t->p.incarnation, self->sync.version.seq + 1 } };

	memcpy(s.digest, digest, sizeof(s.digest));
	memcpy(s.key, t->key, sizeof(s.key));
	lsdb_set_sync(&t->db, t->db.self, &s);
	flood_wake(&t->flood);
}

/* the barrier */

bool topo_node_agrees(const struct topo *t, const struct lsdb_node *n)
{
	if (!mutant(MUTANT_OLD_SYNC) && n->sync.version.incarnation != n->version.incarnation)
		return false;
	return memcmp(n->sync.digest, t->db.digest, sizeof(n->sync.digest)) == 0;
}

static bool is_neighbour(const struct topo *t, const struct lsdb_node *n)
{
	const struct topo_edge *e;

	TAILQ_FOREACH(e, &t->edges, link) {
		if (e->up && memcmp(e->ends.far.node, n->id, sizeof(n->id)) == 0)
			return true;
	}
	return false;
}

bool topo_agreed(const struct topo *t)
{
	if (mutant(MUTANT_NO_BARRIER))
		return true;
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &t->db.node[i];

		if (!n->member || (mutant(MUTANT_NEIGHBOURS_ONLY) && !is_neighbour(t, n)))
			continue;
		if (!topo_node_agrees(t, n))
			return false;
	}
	return true;
}

/* gates */

const struct tree_edge *topo_edge_in(const struct tree *tree, const struct topo_edge *e)
{
	struct lsa_edge end = { .far = e->ends.far, .generation = e->ends.generation };

	memcpy(end.local, e->ends.local_bridge, sizeof(end.local));
	return e->up ? tree_find(tree, e->topo->db.self, &end) : NULL;
}

struct topo_edge *topo_edge_of(const struct topo *t, const struct tree_edge *te)
{
	const struct lsa_edge *end = te->node_a == t->db.self ? te->a : te->b;
	struct topo_edge *e;

	if (te->node_a != t->db.self && te->node_b != t->db.self)
		return NULL;
	TAILQ_FOREACH(e, &t->edges, link) {
		if (e->up && e->ends.generation == end->generation &&
		    strcmp(e->ends.local_bridge, end->local) == 0 &&
		    segment_compare(&e->ends.far, &end->far) == 0)
			return e;
	}
	return NULL;
}

static void edge_set(struct topo_edge *e, bool open, enum tunnel_reason reason, const char *detail)
{
	struct topo *t = e->topo;

	if (e->open == open && e->reason == reason && strcmp(e->detail, detail) == 0)
		return;
	e->open = open;
	e->reason = reason;
	snprintf(e->detail, sizeof(e->detail), "%s", detail);
	assert(!t->deciding);
	t->deciding = true;
	t->ops->gate(t->arg, e, open, reason, e->detail);
	t->deciding = false;
}

static bool chosen_in(const struct tree *tree, const struct topo_edge *e)
{
	const struct tree_edge *te = topo_edge_in(tree, e);

	return te && te->chosen;
}

static bool may_be_open(const struct topo_edge *e)
{
	const struct topo *t = e->topo;

	return e->up && e->ready && !t->twin && !t->overflow && chosen_in(&t->tree, e) &&
	       chosen_in(&t->draft_tree, e);
}

static void close_gates(struct topo *t)
{
	struct topo_edge *e;

	TAILQ_FOREACH(e, &t->edges, link) {
		if (e->open && !may_be_open(e) && !(mutant(MUTANT_KEEP_DEAD) && !e->up))
			edge_set(e, false, REASON_REMOTE, "the tree has changed");
	}
}

static void heed_agreement(struct topo *t, bool news, uint64_t now_us)
{
	if (news || !topo_agreed(t))
		t->agreed_us = 0;
	if (!t->agreed_us && topo_agreed(t))
		t->agreed_us = now_us;
}

/* When what was sent before all had agreed has arrived; NEVER: they have not. */
static uint64_t drained_us(const struct topo *t)
{
	return t->agreed_us ? t->agreed_us + DRAIN_US : NEVER;
}

static void open_gates(struct topo *t, uint64_t now_us)
{
	struct topo_edge *e;

	if (t->urgent || t->stale || !topo_agreed(t) || now_us < drained_us(t))
		return;
	TAILQ_FOREACH(e, &t->edges, link) {
		if (!e->open && may_be_open(e))
			edge_set(e, true, REASON_NONE, "");
	}
}

static void explain_gates(struct topo *t)
{
	char detail[sizeof(((struct topo_edge *)0)->detail)] = "";
	struct topo_edge *e;

	TAILQ_FOREACH(e, &t->edges, link) {
		if (e->open)
			continue;
		enum tunnel_reason reason = explain_closed(e, detail, sizeof(detail));
		edge_set(e, false, reason, detail);
	}
}

/* alarms */

static void _printf_(2, 3) alarm_say(struct topo *t, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->ops->alarm(t->arg, text);
}

static void heed_overflow(struct topo *t, bool overflow)
{
	t->overflow = overflow;
	if (overflow && !t->overflow_told)
		alarm_say(t,
			  "too large: more than %d nodes, or more than %d tunnels or %d foreign "
			  "paths of one node; all tunnels are closed",
			  TOPO_NODES_MAX, TOPO_EDGES_MAX, TOPO_FOREIGN_MAX);
	t->overflow_told = overflow;
}

/* News of ourselves that we did not tell: of a node with our key, or of an earlier life. */
static void heed_twin(struct topo *t, uint64_t now_us)
{
	const struct lsdb_node *self = topo_self(t);
	struct version a = t->flood.alien_lsa, b = t->flood.alien_sync;
	bool newer =
		version_compare(a, (struct version){ t->p.incarnation, self->version.seq }) > 0 ||
		version_compare(b, (struct version){ t->p.incarnation, self->sync.version.seq }) >
			0;
	struct version seen = { MAX(a.incarnation, b.incarnation), a.seq + b.seq };

	if (!newer || version_compare(seen, t->twin_seen) == 0 ||
	    (t->twin && t->twin_until_us == NEVER))
		return;
	if (!t->twin)
		alarm_say(t,
			  "identity: another node uses our key, or this one did with a later clock "
			  "(incarnation %llu, ours is %llu); all tunnels are closed until it is "
			  "silent",
			  (unsigned long long)seen.incarnation,
			  (unsigned long long)t->p.incarnation);
	t->twin = true;
	t->twin_seen = seen;
	t->twin_until_us = now_us + MIN(TWIN_US << MIN(t->twins, 7u), TWIN_MAX_US);
}

static void end_twin(struct topo *t)
{
	uint64_t incarnation = MAX(t->twin_seen.incarnation, t->p.incarnation);

	if (incarnation == UINT64_MAX) {
		t->twin_until_us = NEVER;
		alarm_say(t, "identity: another node uses our key, with an incarnation that has no "
			     "greater one; all tunnels stay closed: this node needs a new key");
		return;
	}
	t->twin = false;
	t->twins = (uint8_t)MIN(t->twins + 1, 200);
	draft_renew(t, incarnation + 1);
}

/* settling */

/* Draft and trees; true when they cannot be had: then there is nothing in them. */
static bool recompute(struct topo *t, uint64_t now_us)
{
	tree_clear(&t->tree);
	tree_clear(&t->draft_tree);
	draft_build(t, now_us);
	return lsdb_settle(&t->db) < 0 || tree_compute(&t->tree, &t->db, &topo_self(t)->lsa) < 0 ||
	       tree_compute(&t->draft_tree, &t->db, &t->draft) < 0;
}

static void count_foreign(struct topo *t, uint64_t now_us)
{
	unsigned n = t->draft.n_foreign;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		if (i != t->db.self && t->db.node[i].member)
			n += t->db.node[i].lsa.n_foreign;
	}
	if (n > t->n_known_foreign)
		t->foreign_us = now_us;
	t->n_known_foreign = n;
}

uint64_t topo_foreign_us(const struct topo *t)
{
	return t->n_known_foreign ? t->foreign_us : 0;
}

static bool foreign_find(const struct lsa_foreign *list, unsigned n, const struct lsa_foreign *f)
{
	for (unsigned i = 0; i < n; i++) {
		if (lsa_foreign_compare(&list[i], f) == 0)
			return true;
	}
	return false;
}

/*
 * We have evidence that no digest holds. Our word for one would let others open what closes the
 * loop, and what we keep closed may not be on it.
 */
static bool foreign_untold(const struct topo *t)
{
	const struct lsa *told = &t->db.node[t->db.self].lsa;

	for (unsigned i = 0; i < t->n_foreign; i++) {
		if (!foreign_find(told->foreign, told->n_foreign, &t->foreign[i]))
			return true;
	}
	return false;
}

static void settle(struct topo *t, uint64_t now_us)
{
	bool news;

	t->stale = false;
	t->due_us = 0; /* what is due is worked out by the tick */
	heed_twin(t, now_us);
	t->lost = recompute(t, now_us);
	heed_overflow(t, t->lost || t->db.overflow || t->draft_cut);
	count_foreign(t, now_us);
	news = memcmp(topo_self(t)->sync.digest, t->db.digest, sizeof(t->db.digest)) != 0 ||
	       topo_self(t)->sync.version.incarnation != t->p.incarnation;
	if (!(news && mutant(MUTANT_PUBLISH_FIRST)))
		close_gates(t);
	if (news && !t->lost && topo_self(t)->body && (t->twin || !foreign_untold(t)))
		publish_sync(t, t->db.digest);
	heed_agreement(t, news, now_us);
	open_gates(t, now_us);
	explain_gates(t);
	/* Gates that have changed are told, too. */
	draft_build(t, now_us);
}

/* While others disagree, everybody tells what he has: nothing that got lost stays so. */
static uint64_t tick_unsettled(struct topo *t, uint64_t now_us)
{
	if (topo_agreed(t)) {
		t->unsettled_us = 0;
		return NEVER;
	}
	if (!t->unsettled_us) {
		t->unsettled_us = now_us;
		t->tell_us = now_us + TELL_US;
		t->tells = 0;
	}
	if (now_us >= t->tell_us) {
		flood_tell_all(&t->flood);
		t->tells = (uint8_t)MIN(t->tells + 1, TELL_MAX_SHIFT);
		t->tell_us = now_us + (TELL_US << t->tells);
	}
	return t->tell_us;
}

/* All but flooding; gives when it is due again. */
static uint64_t tick_state(struct topo *t, uint64_t now_us)
{
	uint64_t next_us;

	if (t->twin && now_us >= t->twin_until_us)
		end_twin(t);
	settle(t, now_us);
	if (t->wants_lsa && now_us >= t->lsa_due_us && !t->twin) {
		draft_publish(t, now_us);
		settle(t, now_us);
	}
	next_us = MIN(tick_unsettled(t, now_us), draft_preempt_us(t, now_us));
	if (now_us < drained_us(t))
		next_us = MIN(next_us, drained_us(t));
	if (t->lost)
		next_us = MIN(next_us, now_us + US_PER_S);
	if (t->twin)
		return MIN(next_us, t->twin_until_us);
	return t->wants_lsa ? MIN(next_us, MAX(t->lsa_due_us, now_us + 1)) : next_us;
}

uint64_t topo_tick(struct topo *t, uint64_t now_us)
{
	if (t->stale || now_us >= t->due_us)
		t->due_us = tick_state(t, now_us);
	return MIN(t->due_us, flood_tick(&t->flood, now_us));
}

/* adjacencies */

struct topo_adj *topo_adj_add(struct topo *t, void *user)
{
	return flood_add(&t->flood, t, user);
}

void topo_adj_remove(struct topo_adj *a)
{
	flood_remove(&a->topo->flood, a);
}

void *topo_adj_user(const struct topo_adj *a)
{
	return a->user;
}

void topo_adj_up(struct topo_adj *a, const uint8_t far_node[TOPO_NODE_ID_BYTES],
		 uint64_t generation, uint32_t rtt_us)
{
	flood_up(&a->topo->flood, a, far_node, generation, rtt_us);
}

void topo_adj_down(struct topo_adj *a)
{
	flood_down(a);
}

int topo_adj_input(struct topo_adj *a, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct topo *t = a->topo;
	int r = flood_input(&t->flood, a, msg, len);

	(void)now_us;
	/* -ENOSPC: of a node that no member lists, or the database says itself that it is full. */
	if (r > 0)
		t->stale = true;
	return r == -EBADMSG ? r : 0;
}

/* edges */

struct topo_edge *topo_edge_add(struct topo *t, const char *name, void *user)
{
	struct topo_edge *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->topo = t;
	e->user = user;
	snprintf(e->name, sizeof(e->name), "%s", name);
	TAILQ_INSERT_TAIL(&t->edges, e, link);
	return e;
}

void topo_edge_remove(struct topo_edge *e, uint64_t now_us)
{
	struct topo *t = e->topo;

	if (e->up)
		topo_edge_down(e, now_us);
	TAILQ_REMOVE(&t->edges, e, link);
	free(e);
	t->stale = true;
}

void *topo_edge_user(const struct topo_edge *e)
{
	return e->user;
}

static bool same_ends(const struct topo_ends *a, const struct topo_ends *b)
{
	return segment_compare(&a->far, &b->far) == 0 &&
	       strcmp(a->local_bridge, b->local_bridge) == 0 && a->generation == b->generation &&
	       a->mesh == b->mesh;
}

void topo_edge_up(struct topo_edge *e, const struct topo_ends *ends, uint64_t now_us)
{
	struct topo *t = e->topo;
	bool same = e->up && same_ends(&e->ends, ends);

	if (same && e->ends.priority == ends->priority && e->ends.preempt == ends->preempt)
		return;
	/* Another far end or a new session: nobody has agreed to that one's gate. */
	if (!same) {
		e->up_us = now_us;
		if (e->open && !mutant(MUTANT_KEEP_DEAD))
			edge_set(e, false, REASON_REMOTE, "a new session");
	}
	e->ends = *ends;
	e->up = true;
	t->urgent = true;
	settle(t, now_us);
}

void topo_edge_down(struct topo_edge *e, uint64_t now_us)
{
	if (!e->up)
		return;
	e->up = false;
	e->topo->urgent = true;
	settle(e->topo, now_us);
}

void topo_edge_ready(struct topo_edge *e, bool ready, uint64_t now_us)
{
	if (e->ready == ready)
		return;
	e->ready = ready;
	e->topo->urgent |= e->up;
	settle(e->topo, now_us);
}

bool topo_edge_open(const struct topo_edge *e)
{
	return e->open;
}

/* foreign paths */

/*
 * R8: the loop is there already when our tree joins the two, too. Whoever of its nodes will have to
 * close for good, we close now: our step on that way; in a mesh, all of that bridge. While others
 * do not agree, what forwards may be another tree than ours: then everything.
 */
static bool cut_at_once(struct topo *t, const char *bridge, const struct topo_segment *heard)
{
	struct topo_segment here = topo_local(t, bridge);
	struct tree_hop hops[TOPO_NODES_MAX];
	unsigned n = tree_path(&t->tree, &here, heard, hops, ARRAY_SIZE(hops));
	struct topo_edge *e, *own = NULL;
	bool cut = false, unsure = !topo_agreed(t);

	for (unsigned i = 0; i < MIN(n, (unsigned)ARRAY_SIZE(hops)) && !own; i++)
		own = hops[i].edge ? topo_edge_of(t, hops[i].edge) : NULL;
	TAILQ_FOREACH(e, &t->edges, link) {
		bool meshed = e->ends.mesh && strcmp(e->ends.local_bridge, bridge) == 0;

		if (!e->open || !(e == own || meshed || unsure))
			continue;
		edge_set(e, false, REASON_FOREIGN, "another path was heard");
		cut |= e == own || meshed;
	}
	return cut;
}

static bool same_foreign(const struct topo *t, const struct lsa_foreign *f, unsigned n)
{
	unsigned i = 0;

	while (i < n && i < t->n_foreign && lsa_foreign_compare(&t->foreign[i], &f[i]) == 0)
		i++;
	return i == n && i == t->n_foreign;
}

/* Without those of this bridge. */
static unsigned foreign_of_others(struct topo *t, const char *bridge, struct lsa_foreign *ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_foreign; i++) {
		if (strcmp(t->foreign[i].local, bridge) != 0)
			ret[n++] = t->foreign[i];
	}
	return n;
}

bool topo_set_foreign(struct topo *t, const char *local_bridge, const struct topo_segment *segs,
		      unsigned n, uint64_t now_us)
{
	struct lsa_foreign next[TOPO_FOREIGN_MAX];
	unsigned n_next = foreign_of_others(t, local_bridge, next);
	bool cut = false;

	if (t->stale)
		(void)recompute(t, now_us); /* looked at below; nothing opens before that */
	/* What was left out is only known to be gone when nothing is heard at all. */
	t->foreign_cut = n_next + n > TOPO_FOREIGN_MAX || (t->foreign_cut && n_next + n);
	for (unsigned i = 0; i < n && n_next < TOPO_FOREIGN_MAX; i++) {
		struct lsa_foreign f = { .heard = segs[i] };

		snprintf(f.local, sizeof(f.local), "%s", local_bridge);
		if (foreign_find(next, n_next, &f))
			continue;
		next[n_next++] = f;
		if (foreign_find(t->foreign, t->n_foreign, &f))
			continue;
		t->urgent = true;
		cut |= cut_at_once(t, local_bridge, &segs[i]);
	}
	qsort(next, n_next, sizeof(next[0]), lsa_foreign_compare);
	if (same_foreign(t, next, n_next) && t->foreign_cut == t->draft_cut)
		return cut;
	memcpy(t->foreign, next, n_next * sizeof(next[0]));
	t->n_foreign = n_next;
	settle(t, now_us);
	return cut;
}

/* probe keys */

void topo_set_probe_key(struct topo *t, const uint8_t key[TOPO_KEY_BYTES], uint64_t now_us)
{
	(void)now_us;
	memcpy(t->key, key, sizeof(t->key));
	if (topo_self(t)->sync.version.seq)
		publish_sync(t, topo_self(t)->sync.digest); /* what was told is told again */
}

unsigned topo_probe_keys(const struct topo *t, const uint8_t node[TOPO_NODE_ID_BYTES],
			 const uint8_t (**ret)[TOPO_KEY_BYTES])
{
	unsigned slot = lsdb_find(&t->db, node);

	if (slot == LSDB_NONE)
		return 0;
	*ret = (const uint8_t(*)[TOPO_KEY_BYTES])t->db.node[slot].keys;
	return t->db.node[slot].n_keys;
}
