/*
 * The tree with the digest barrier (doc/tree.md), for Spin. One process: in each step some node
 * does one thing, or something happens to it. Where the model and the daemon differ, the
 * model can do more:
 *
 * - A link state may reach any node at any time after it was told, in any order, or never; only an
 *   older one is not taken after a newer one. So channels lose, delay and reorder without limit.
 * - Digests are told with every change. A node may have heard any that another one ever told: for
 *   one look at the barrier that is what lost newer ones come to.
 * - The underlay always carries: an edge passes frames when both gates are open, with
 *   whatever sessions.
 *
 * Links, wires and crashes are limited by the numbers below, and nothing else is. All numbers and
 * the names of the mutants are set with -D by test_model.py.
 */
#include "graph.pml"

#ifndef DROPS
#define DROPS 0
#endif
#ifndef STARTS
#define STARTS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef CRASHERS
#define CRASHERS 7 /* bit per node */
#endif
#ifndef WIRES
#define WIRES 0 /* 1: a foreign path may appear, 2: and go away */
#endif

#ifndef FRESH
#define FRESH 0
#endif
#ifndef DEAD
#define DEAD -1 /* a node that dies and begins again before the start; all others know that it died */
#endif
#ifndef GENERATIONS
#define GENERATIONS 3 /* of one edge; fits two bits */
#endif
#ifndef HALF_OPEN
#define HALF_OPEN 1 /* what only one end has may end; 0: the other end always follows */
#endif
#ifdef ONLY_LOOP
#define LIMITED 0 /* what is longer is not looked at */
#else
#define LIMITED 1
#endif

#define ENDS (2 * EDGES)
#define SEQS 8 /* in one life of a node; a version is life * SEQS + seq */
#define VERSIONS (LIVES * SEQS)
#ifndef TOLD
#define TOLD 12 /* at most, of those that may still have an effect */
#endif

byte ver[NODES];		/* own link state as it was told last; seq 0: not in this life */
byte know[NODES * NODES];	/* [y * NODES + x]: what y has of x */
STATE state[NODES * VERSIONS];	/* what those versions say; zero when nobody can need it any more */
DIGEST told[NODES * TOLD];	/* digests that a node has told, ascending */
byte up[ENDS];			/* generation of the session at this end, 0: none */
byte latest[ENDS];		/* the latest that this end had; it never comes back */
byte newest[EDGES];		/* that either end had */
bit gate[ENDS];			/* open */
byte wire[WIRES_MAX];		/* foreign path: 0 not yet, 1 there, 2 gone */
bit heard[2 * WIRES_MAX];	/* its probes, by the node at this end */
byte drops, starts, crashes;	/* so many have happened */

bit loop, stray, repeats, stuck, cut_short; /* verdicts about the state that was just reached */
bit reached; /* it is the one that REACH names */

c_code {
static const int end_node[ENDS] = { GRAPH_EDGES };
static const int wire_node[2 * WIRES_MAX] = { GRAPH_WIRES };

struct view {
	unsigned lsa[NODES];
	unsigned members, listed;
	unsigned live, tree; /* edges */
	unsigned digest;
	int join[NODES];
};

static int other(int s) { return s ^ 1; }

/* A link state: three bits for each edge, then one for each foreign path. */
static unsigned gen_in(unsigned lsa, int e) { return lsa >> (3 * e) & 3; }
static int open_in(unsigned lsa, int e) { return lsa >> (3 * e + 2) & 1; }
static int wire_in(unsigned lsa, int f) { return lsa >> (3 * EDGES + f) & 1; }

static unsigned now_lsa(int x)
{
	unsigned lsa = 0;

	for (int s = 0; s < ENDS; s++)
		if (end_node[s] == x && now.up[s])
			lsa |= (now.up[s] | (STICKY && now.gate[s] ? 4u : 0)) << (3 * (s / 2));
	for (int s = 0; s < 2 * WIRES_MAX; s++)
		if (wire_node[s] == x && now.heard[s])
			lsa |= 1u << (3 * EDGES + s / 2);
	return lsa;
}

static unsigned told_lsa(int x, int v)
{
	return v % SEQS ? now.state[x * VERSIONS + v] & ~VALID : 0;
}

/* Without the gates, of which nobody waits to hear. */
static unsigned links_of(unsigned lsa)
{
	for (int e = 0; e < EDGES; e++)
		lsa &= ~(4u << (3 * e));
	return lsa;
}

static int version_at(int y, int x) { return x == y ? now.ver[x] : now.know[y * NODES + x]; }

static int is_told(int x) { return now_lsa(x) == told_lsa(x, now.ver[x]); }

static int dirty(int x)
{
	return now.ver[x] % SEQS == 0 || links_of(now_lsa(x)) != links_of(told_lsa(x, now.ver[x]));
}

static int find(const int *join, int v)
{
	while (join[v] != v)
		v = join[v];
	return v;
}

static int join_two(int *join, int a, int b)
{
	a = find(join, a);
	b = find(join, b);
	join[a] = b;
	return a != b;
}

static void apart(int *join)
{
	for (int x = 0; x < NODES; x++)
		join[x] = x;
}

/* R1: same generation in both link states; members are whom live edges reach. */
static void see_members(struct view *v, int y)
{
	int more;

	for (int e = 0; e < EDGES; e++) {
		unsigned g = gen_in(v->lsa[end_node[2 * e]], e);

		if (g && g == gen_in(v->lsa[end_node[2 * e + 1]], e))
			v->live |= 1u << e;
	}
	v->members = 1u << y;
	do {
		more = 0;
		for (int e = 0; e < EDGES; e++) {
			unsigned ends = 1u << end_node[2 * e] | 1u << end_node[2 * e + 1];

			if (v->live >> e & 1 && v->members & ends && (v->members & ends) != ends) {
				v->members |= ends;
				more = 1;
			}
		}
	} while (more);
}

/* R2: versions of all members and of all whom a member lists; 8 stands for a node unheard of. */
static void see_digest(struct view *v, int y)
{
	v->listed = v->members;
	for (int s = 0; s < ENDS; s++)
		if (v->members >> end_node[s] & 1 && gen_in(v->lsa[end_node[s]], s / 2))
			v->listed |= 1u << end_node[other(s)];
	for (int s = 0; s < 2 * WIRES_MAX; s++)
		if (wire_node[s] >= 0 && v->members >> wire_node[s] & 1 &&
		    wire_in(v->lsa[wire_node[s]], s / 2))
			v->listed |= 1u << wire_node[other(s)];
	for (int x = 0; x < NODES; x++) {
		unsigned n = version_at(y, x) % SEQS ? version_at(y, x) : SEQS;

		if (v->listed >> x & 1)
			v->digest |= n << (4 * x);
	}
}

/* R3: what is open before what is not; among equals, the lower number. */
static void see_tree(struct view *v)
{
	apart(v->join);
	for (int s = 0; s < 2 * WIRES_MAX; s++)
		if (wire_node[s] >= 0 && v->members >> wire_node[s] & 1 &&
		    wire_in(v->lsa[wire_node[s]], s / 2))
			join_two(v->join, wire_node[s], wire_node[other(s)]);
	for (int want = STICKY ? 2 : 0; want >= 0; want--) {
		for (int e = 0; e < EDGES; e++) {
			int a = end_node[2 * e], b = end_node[2 * e + 1];
			int gates = STICKY ? open_in(v->lsa[a], e) + open_in(v->lsa[b], e) : 0;

			if (v->live >> e & 1 && v->members >> a & 1 && gates == want &&
			    join_two(v->join, a, b))
				v->tree |= 1u << e;
		}
	}
}

/* What y makes of what it has; with `draft`, of its own link state as it is, told or not. */
static void look(struct view *v, int y, int draft)
{
	memset(v, 0, sizeof(*v));
	for (int x = 0; x < NODES; x++)
		v->lsa[x] = told_lsa(x, version_at(y, x));
	if (draft)
		v->lsa[y] = now_lsa(y);
	see_members(v, y);
	see_digest(v, y);
	see_tree(v);
}

static unsigned allowed(int x)
{
	struct view told_view, draft;

	look(&told_view, x, 0);
	look(&draft, x, 1);
	return told_view.tree & draft.tree;
}

/* digests */

/* How a digest appears in messages. */
static unsigned wording(unsigned d)
{
#ifdef NO_INCARNATION
	/* In a second life 9 to 15; 8 is a node unheard of. */
	for (int x = 0; x < NODES; x++)
		if ((d >> (4 * x) & 15) > SEQS)
			d -= (unsigned)SEQS << (4 * x);
#endif
	return d;
}

/* The newest version of a node that this number in a digest may ever stand for. */
static int newest_like(int x, int n)
{
#ifdef NO_INCARNATION
	if (n < SEQS && (now.ver[x] >= SEQS || now.crashes < CRASHES))
		return n + SEQS;
#endif
	return n;
}

/* Somebody else may have this digest now or later: all in it is what he has, or newer. */
static int of_use(int teller, unsigned d)
{
	for (int y = 0; y < NODES; y++) {
		int x;

		if (y == teller || newest_like(y, d >> (4 * y) & 15) < now.ver[y])
			continue;
		for (x = 0; x < NODES; x++) {
			int n = d >> (4 * x) & 15;

			if (n && n != SEQS && newest_like(x, n) < version_at(y, x))
				break;
			if (n == SEQS && version_at(y, x) % SEQS)
				break;
		}
		if (x == NODES)
			return 1;
	}
	return 0;
}

static void tell(int x, unsigned d)
{
	DIGEST *t = &now.told[x * TOLD];
	int i = 0;

	while (i < TOLD && t[i] && (unsigned)t[i] < d)
		i++;
	if (i < TOLD && (unsigned)t[i] == d)
		return;
	if (t[TOLD - 1])
		now.cut_short = LIMITED;
	for (int k = TOLD - 1; k > i; k--)
		t[k] = t[k - 1];
	if (i < TOLD)
		t[i] = d;
}

/* Leaves out what can have no effect any more, so that fewer states differ. */
static void forget(void)
{
	for (int x = 0; x < NODES; x++) {
		DIGEST *t = &now.told[x * TOLD];
		int n = 0, oldest = now.ver[x];

		for (int i = 0; i < TOLD && t[i]; i++)
			if (of_use(x, (unsigned)t[i]))
				t[n++] = t[i];
		for (; n < TOLD; n++)
			t[n] = 0;
		for (int y = 0; y < NODES; y++)
			if (version_at(y, x) < oldest)
				oldest = version_at(y, x);
		for (int v = 0; v < oldest; v++)
			now.state[x * VERSIONS + v] = 0;
	}
}

/* R6, for one member: it has told our digest in its present life, as far as we know of that. */
static int has_told(int y, int x, unsigned d)
{
	for (int i = 0; i < TOLD; i++) {
		unsigned t = (unsigned)now.told[x * TOLD + i];

		if (!t || wording(t) != wording(d))
			continue;
#ifndef OLD_SYNC
		if ((t >> (4 * x) & 15) / SEQS != (unsigned)version_at(y, x) / SEQS)
			continue;
#endif
		return 1;
	}
	return 0;
}

static int is_neighbour(int y, int x)
{
	for (int s = 0; s < ENDS; s++)
		if (end_node[s] == y && end_node[other(s)] == x && now.up[s])
			return 1;
	return 0;
}

static int agreed(int y)
{
	struct view v;

#ifdef NO_BARRIER
	return 1;
#endif
	look(&v, y, 0);
	for (int x = 0; x < NODES; x++) {
		if (x == y || !(v.members >> x & 1))
			continue;
#ifdef NEIGHBOURS_ONLY
		if (!is_neighbour(y, x))
			continue;
#endif
		if (!has_told(y, x, v.digest))
			return 0;
	}
	return 1;
}

/* gates */

static void close_outside(int x)
{
	unsigned tree = allowed(x);

	for (int s = 0; s < ENDS; s++) {
		if (end_node[s] != x || tree >> (s / 2) & 1)
			continue;
#ifdef KEEP_DEAD
		if (!now.up[s])
			continue;
#endif
		now.gate[s] = 0;
	}
}

/* An end gets another session, or none. */
static void set_up(int s, int generation)
{
	now.up[s] = generation;
	if (generation)
		now.latest[s] = generation;
#ifndef KEEP_DEAD
	now.gate[s] = 0;
#endif
}

/* verdicts */

static int joined(int e) { return now.gate[2 * e] && now.gate[2 * e + 1]; }
static int session(int e) { return now.up[2 * e] && now.up[2 * e] == now.up[2 * e + 1]; }

static int has_loop(void)
{
	int join[NODES], ret = 0;

	apart(join);
	for (int f = 0; f < WIRES_MAX; f++)
		if (now.heard[2 * f] && now.heard[2 * f + 1])
			ret |= !join_two(join, wire_node[2 * f], wire_node[2 * f + 1]);
	for (int e = 0; e < EDGES; e++)
		if (joined(e))
			ret |= !join_two(join, end_node[2 * e], end_node[2 * e + 1]);
	return ret;
}

static int has_stray(void)
{
	for (int x = 0; x < NODES; x++) {
		unsigned tree = allowed(x);

		for (int s = 0; s < ENDS; s++)
			if (end_node[s] == x && now.gate[s] && !(tree >> (s / 2) & 1))
				return 1;
	}
	return 0;
}

/* Two nodes between whom sessions carry messages. */
static int connected(int a, int b)
{
	int join[NODES];

	apart(join);
	for (int e = 0; e < EDGES; e++)
		if (session(e))
			join_two(join, end_node[2 * e], end_node[2 * e + 1]);
	return find(join, a) == find(join, b);
}

static int can_open(int s);

/* Nothing is left that has to happen sooner or later, with no further event from outside. */
static int at_rest(void)
{
	for (int s = 0; s < ENDS; s++)
		if (now.up[s] != now.up[other(s)])
			return 0;
	for (int x = 0; x < NODES; x++) {
		if (dirty(x) || !is_told(x))
			return 0;
		for (int y = 0; y < NODES; y++)
			if (connected(x, y) && version_at(y, x) != now.ver[x])
				return 0;
	}
	for (int s = 0; s < ENDS; s++)
		if (can_open(s))
			return 0;
	return 1;
}

/* What sessions and foreign paths join is joined by open edges and foreign paths. */
static int spanned(void)
{
	int could[NODES], is[NODES];

	apart(could);
	apart(is);
	for (int s = 0; s < 2 * WIRES_MAX; s++) {
		if (!now.heard[s])
			continue;
		join_two(could, wire_node[s], wire_node[other(s)]);
		join_two(is, wire_node[s], wire_node[other(s)]);
	}
	for (int e = 0; e < EDGES; e++) {
		if (session(e))
			join_two(could, end_node[2 * e], end_node[2 * e + 1]);
		if (joined(e))
			join_two(is, end_node[2 * e], end_node[2 * e + 1]);
	}
	for (int x = 0; x < NODES; x++)
		for (int y = 0; y < NODES; y++)
			if (find(could, x) == find(could, y) && find(is, x) != find(is, y))
				return 0;
	return 1;
}

static int count_joined(void)
{
	int n = 0;

	for (int e = 0; e < EDGES; e++)
		n += joined(e);
	return n;
}

/* States that have to be there, or all the rest proves nothing; -DREACH=... */
static int is_reached(int which)
{
	switch (which) {
	case 1: /* a tree of all three */
		return count_joined() == 2;
	case 2: /* the standby has taken over */
		return joined(2);
	case 3: /* the parallel edge has */
		return joined(3);
	case 4: /* all know of the foreign path, and one edge has given way to it */
		return now.heard[0] && now.heard[1] && at_rest() && count_joined() == 1;
	case 5: /* who died is back, in a tree of all */
		return now.crashes && at_rest() && count_joined() == 2;
	case 6: /* three nodes, three trees */
		return allowed(0) != allowed(1) && allowed(1) != allowed(2) &&
		       allowed(0) != allowed(2);
	}
	return 0;
}

static void judge(void)
{
	now.loop = has_loop();
#ifndef ONLY_LOOP
	now.stray = has_stray();
	now.stuck = at_rest() && !spanned();
	for (int x = 0; x < NODES; x++)
		if (now.ver[x] % SEQS == SEQS - 1 && !is_told(x))
			now.cut_short = 1;
#endif
#ifdef REACH
	now.reached = is_reached(REACH);
#endif
}

/* Evidence that only x has: its word for a digest without it would be worth nothing. */
static int has_untold_wire(int x)
{
	unsigned news = now_lsa(x) & ~told_lsa(x, now.ver[x]);

	return news >> (3 * EDGES) & 1;
}

/* All that follows at once from any change at x: R4, then R5. `before`: its digest until now. */
static void settle(int x, unsigned before)
{
	struct view v;

#ifndef PUBLISH_FIRST
	close_outside(x);
#endif
	look(&v, x, 0);
#ifndef ONLY_LOOP
	/* Something in the digest has become newer, so the one before can never come back. */
	if (before && before != v.digest) {
		int newer = 0;

		for (int y = 0; y < NODES; y++) {
			unsigned n = before >> (4 * y) & 15;

			unsigned m = (unsigned)version_at(x, y);

			if (n == SEQS ? m % SEQS : n && m > n)
				newer = 1;
		}
		now.repeats = !newer;
	}
	for (int i = 0; i < TOLD; i++) {
		unsigned t = (unsigned)now.told[x * TOLD + i];

		if (t && t != v.digest && wording(t) == wording(v.digest))
			now.repeats = 1;
	}
#endif
#ifdef TELL_UNTOLD
	if (now.ver[x] % SEQS)
#else
	if (now.ver[x] % SEQS && !has_untold_wire(x))
#endif
		tell(x, v.digest);
	forget();
	judge();
}

static unsigned digest_of(int x)
{
	struct view v;

	look(&v, x, 0);
	return v.digest;
}

/* steps */

/* The n-th version of x that is newer than what y has; 0: there is none. */
static int newer_version(int y, int x, int n)
{
	if (x == y || LOST(y, x))
		return 0;
#ifdef TOGETHER
	if (y != TOGETHER(x) && now.ver[TOGETHER(x)] != now.ver[x])
		return 0;
#endif
	for (int v = now.know[y * NODES + x] + 1; v <= now.ver[x]; v++)
		if (now.state[x * VERSIONS + v] & VALID && n-- == 0)
			return v;
	return 0;
}

static void learn(int y, int x, int n)
{
	unsigned before = digest_of(y);

	now.know[y * NODES + x] = newer_version(y, x, n);
#ifdef TOGETHER
	if (y != TOGETHER(x))
		now.know[y * NODES + TOGETHER(x)] = now.know[y * NODES + x];
#endif
	settle(y, before);
}

static int can_originate(int x)
{
	return (dirty(x) || !is_told(x)) &&
	       now.ver[x] % SEQS < SEQS - 1;
}

static void originate(int x)
{
	unsigned before = digest_of(x);

	now.ver[x]++;
	now.state[x * VERSIONS + now.ver[x]] = now_lsa(x) | VALID;
	settle(x, before);
}

static int can_open(int s)
{
	int x = end_node[s];

	return now.up[s] && !now.gate[s] && !dirty(x) && allowed(x) >> (s / 2) & 1 && agreed(x);
}

static void open_end(int s)
{
	now.gate[s] = 1;
	judge();
}

/* A session ends at one end: the underlay does it, or the other end has none or another one. */
static int can_drop(int s)
{
	if (now.up[s] != now.up[other(s)])
		return now.up[s] && HALF_OPEN;
	return now.up[s] && now.drops < DROPS;
}

static void drop(int s)
{
	unsigned before = digest_of(end_node[s]);

	if (now.up[other(s)] == now.up[s])
		now.drops++;
	set_up(s, 0);
	settle(end_node[s], before);
}

/* A new session, first at one end, then at the other. */
static int can_start(int s)
{
	return !now.up[s] && now.starts < STARTS && now.newest[s / 2] < GENERATIONS;
}

static int can_follow(int s)
{
	return now.up[other(s)] == now.newest[s / 2] && now.latest[s] < now.newest[s / 2];
}

static void start(int s)
{
	unsigned before = digest_of(end_node[s]);

	now.starts++;
	set_up(s, ++now.newest[s / 2]);
	settle(end_node[s], before);
}

static void follow(int s)
{
	unsigned before = digest_of(end_node[s]);

	set_up(s, now.newest[s / 2]);
	settle(end_node[s], before);
}

/*
 * R8: the own edge on the way to whom we hear, before anything else. While others do not agree what
 * is open may be another tree: then all.
 */
static void cut_towards(int x, int far)
{
	struct view v;

	look(&v, x, 0);
#ifndef CUT_ONE
	if (!agreed(x)) {
		for (int s = 0; s < ENDS; s++)
			if (end_node[s] == x)
				now.gate[s] = 0;
		return;
	}
#endif
	for (int s = 0; s < ENDS; s++) {
		int join[NODES];

		if (end_node[s] != x || !(v.tree >> (s / 2) & 1))
			continue;
		/* It is on the way when without it there is none. */
		apart(join);
		for (int e = 0; e < EDGES; e++)
			if (v.tree >> e & 1 && e != s / 2)
				join_two(join, end_node[2 * e], end_node[2 * e + 1]);
		if (find(v.join, x) == find(v.join, far) && find(join, x) != find(join, far))
			now.gate[s] = 0;
	}
}

static int can_hear(int s) { return now.heard[s] != (now.wire[s / 2] == 1); }

static void hear(int s)
{
	int x = wire_node[s];
	unsigned before = digest_of(x);

	now.heard[s] = !now.heard[s];
	if (now.heard[s])
		cut_towards(x, wire_node[other(s)]);
	settle(x, before);
}

/* A killed daemon's ports are gone with it; its next life knows nothing. */
static int can_crash(int x)
{
	return now.crashes < CRASHES && now.ver[x] < SEQS && CRASHERS >> x & 1;
}

static void crash(int x)
{
	now.crashes++;
	now.ver[x] = SEQS;
	for (int s = 0; s < ENDS; s++)
		if (end_node[s] == x)
			now.up[s] = now.gate[s] = 0;
	for (int s = 0; s < 2 * WIRES_MAX; s++)
		if (wire_node[s] == x)
			now.heard[s] = 0;
	for (int y = 0; y < NODES; y++)
		now.know[x * NODES + y] = 0;
	forget();
	judge();
}

#ifdef PUBLISH_FIRST
static int can_close(int x)
{
	for (int s = 0; s < ENDS; s++)
		if (end_node[s] == x && now.gate[s] && !(allowed(x) >> (s / 2) & 1))
			return 1;
	return 0;
}
#endif

/*
 * It dies, the other ends of its edges tell, and all the others hear of it. Then its edges have
 * new sessions, which nobody has told yet.
 */
static void die_and_return(int x)
{
	now.crashes = CRASHES;
	crash(x);
	for (int s = 0; s < ENDS; s++) {
		int y = end_node[s];

		if (end_node[other(s)] != x)
			continue;
		set_up(s, 0);
		originate(y);
		for (int z = 0; z < NODES; z++)
			if (z != x && z != y)
				now.know[z * NODES + y] = now.ver[y];
	}
	for (int y = 0; y < NODES; y++)
		if (y != x)
			settle(y, 0);
	for (int s = 0; s < ENDS; s++)
		if (end_node[s] == x || end_node[other(s)] == x)
			now.up[s] = now.latest[s] = now.newest[s / 2] = 2;
}

/*
 * The edges of UP have sessions, those of OPEN are open. SETTLED: every node knows all of them,
 * and has told its digest; but of those of FRESH nobody has told yet.
 */
static void begin(void)
{
	for (int s = 0; s < ENDS; s++) {
		now.up[s] = UP >> (s / 2) & 1;
		now.newest[s / 2] = now.latest[s] = now.up[s];
		now.gate[s] = OPEN >> (s / 2) & 1;
	}
	if (!SETTLED)
		return;
	int fresh[ENDS];

	for (int s = 0; s < ENDS; s++) {
		fresh[s] = FRESH >> (s / 2) & 1;
		now.up[s] = now.up[s] && !fresh[s];
	}
	for (int x = 0; x < NODES; x++) {
		now.ver[x] = 1;
		now.state[x * VERSIONS + 1] = now_lsa(x) | VALID;
		for (int y = 0; y < NODES; y++)
			now.know[y * NODES + x] = x != y;
	}
	for (int x = 0; x < NODES; x++)
		tell(x, digest_of(x));
	for (int s = 0; s < ENDS; s++)
		now.up[s] = now.up[s] || fresh[s];
	if (DEAD >= 0)
		die_and_return(DEAD);
	forget();
	judge();
}
}

/* In brackets: Spin takes a call at the beginning of a c_expr for a side effect. */
#define WHEN(call) c_expr { (call) }

#define JUDGE				\
	assert(!loop);			\
	assert(!stray);			\
	assert(!repeats);		\
	assert(!stuck);			\
	assert(!cut_short);			\
	assert(!reached)

#define LEARN(y, x, n)						\
	:: d_step {						\
		WHEN(newer_version(y, x, n)) ->		\
		c_code { learn(y, x, n); };			\
		printf("%d learns of %d: %d\n", y, x, know[y * NODES + x]);	\
		JUDGE	\
	}
#define ORIGINATE(x)						\
	:: d_step {						\
		WHEN(can_originate(x)) ->			\
		c_code { originate(x); };			\
		printf("%d tells its link state %d\n", x, ver[x]);	\
		JUDGE	\
	}
#define CRASH(x)						\
	:: d_step {						\
		WHEN(can_crash(x)) -> c_code { crash(x); };\
		printf("%d dies and begins again\n", x);	\
		JUDGE	\
	}
#define END(s)							\
	:: d_step {						\
		WHEN(can_open(s)) -> c_code { open_end(s); };	\
		printf("edge %d opens at end %d\n", s / 2, s % 2);	\
		JUDGE	\
	}						\
	:: d_step {						\
		WHEN(can_drop(s)) -> c_code { drop(s); };	\
		printf("edge %d: session ends at end %d\n", s / 2, s % 2);	\
		JUDGE	\
	}						\
	:: d_step {						\
		WHEN(can_start(s)) -> c_code { start(s); };\
		printf("edge %d: session begins at end %d\n", s / 2, s % 2);	\
		JUDGE	\
	}						\
	:: d_step {						\
		WHEN(can_follow(s)) -> c_code { follow(s); };	\
		printf("edge %d: session is up at end %d, too\n", s / 2, s % 2);	\
		JUDGE	\
	}
#define HEAR(s)							\
	:: d_step {						\
		WHEN(can_hear(s)) -> c_code { hear(s); };	\
		printf("foreign path %d: %d at end %d\n", s / 2, heard[s], s % 2);	\
		JUDGE	\
	}
#define WIRE(f)							\
	:: d_step {						\
		wire[f] < WIRES -> wire[f]++;			\
		printf("foreign path %d: %d\n", f, wire[f])	\
	}
#ifdef PUBLISH_FIRST
#define LATE_CLOSE(x)						\
	:: d_step {						\
		WHEN(can_close(x)) -> c_code { close_outside(x); judge(); };	\
		printf("%d closes what is not in its tree\n", x);	\
		JUDGE	\
	}
#else
#define LATE_CLOSE(x)
#endif

active proctype world()
{
	d_step { c_code { begin(); }; JUDGE };
	do
	EACH_NODE(ORIGINATE)
	EACH_NODE(CRASH)
	EACH_NODE(LATE_CLOSE)
	EACH_PAIR(LEARN)
	EACH_END(END)
	EACH_WIRE(WIRE)
	EACH_WIRE_END(HEAR)
	od
}
