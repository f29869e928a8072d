/*
 * A simulated network of nodes, each with the real topology module: virtual time, sessions
 * that lose, delay and reorder, faults from a seed, and the flood walk as the judge.
 *
 * A *link* is a session between two nodes; it carries tunnels (*edges*). A *segment* is a
 * bridge of a node, by number: node * SIM_BRIDGES + bridge. A *wire* joins two segments and
 * is not ours. Ends are 0 and 1.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/names.h"
#include "common/util.h"
#include "l2tund/topology/mutant.h"
#include "l2tund/topology/topology.h"
#include "l2tund/topology/view.h"
#include "tests/support/prng.h"

#define SIM_NODES 32
#define SIM_BRIDGES 2
#define SIM_SEGMENTS (SIM_NODES * SIM_BRIDGES)
#define SIM_LINKS 512
#define SIM_EDGES 1024
#define SIM_WIRES 8
#define SIM_BEGIN_US (1000 * US_PER_S) /* clocks do not begin at 0 */

struct world;

struct edge_end {
	struct edge *edge;
	unsigned end;
	struct topo_edge *te; /* NULL: the node does not run, or has it not configured */
	bool admin;	      /* switched on here */
	bool offered;	      /* the far end has told in this session that it has it */
	bool up, ready;	      /* as told to the topology */
	bool never_ready;
	bool gate; /* as told by the topology, like the rest */
	enum tunnel_reason reason;
	char detail[160];
};

struct edge {
	struct link *link;
	unsigned id;
	unsigned bridge[2];
	uint16_t priority;
	bool mesh, preempt[2];
	bool forwarding; /* at the last look */
	struct edge_end ends[2];
};

struct link_end {
	struct link *link;
	unsigned end;
	struct topo_adj *adj;
	bool up;
	uint64_t gen;
	uint64_t heard_us, lease_us; /* last sign of life; until when frames may pass */
	uint64_t hold_us;	     /* closed on purpose: not before that again */
	bool cut;		     /* nothing that this end sends arrives */
	bool held;		     /* topology messages from this end wait until released */
};

struct link {
	struct world *world;
	unsigned id;
	unsigned node[2];
	struct link_end ends[2];
	bool establishing; /* an attempt is planned */
	unsigned ups;	   /* news of a new session on their way to the ends */
	struct edge *edges[4];
	unsigned n_edges;
};

struct node {
	struct world *world;
	unsigned id;
	char name[8];
	uint8_t key[TOPO_NODE_ID_BYTES];
	uint64_t incarnation, greatest;
	unsigned instance; /* of its process: what was meant for an earlier one is lost */
	struct topo *topo; /* NULL: does not run */
	bool paused;
	uint64_t due_us, tick_us; /* wanted, and the earliest tick planned */
	unsigned idle_ticks;	  /* since `idle_us`, without an event between them */
	uint64_t idle_us;
	uint8_t probe_key[TOPO_KEY_BYTES];
	bool in_call, opened; /* a gate was opened within this call */
	struct event *queue;  /* came while it was paused */
	unsigned n_queue, cap_queue;
	uint64_t messages, bytes;
};

enum event_type {
	EV_TICK,
	EV_MSG,	      /* to end b of link a */
	EV_ESTABLISH, /* link a */
	EV_UP,	      /* link a, end b, generation */
	EV_HELLO,     /* link a, end b, generation */
	EV_OFFER,     /* edge a, to end b, generation */
	EV_CLOSE,     /* link a, to end b, generation */
	EV_READY,     /* edge a, end b, value */
	EV_HEAR,      /* segment a hears segment b, value */
	EV_SCRIPT,    /* what the schedule wants */
};

struct event {
	uint64_t at_us, order;
	enum event_type type;
	unsigned node, instance; /* node == SIM_NODES: nobody's */
	unsigned a, b, value;
	uint64_t gen;
	uint8_t *data; /* owned by the event */
	size_t len;
};

struct wire {
	bool present;
	unsigned a, b; /* segments */
};

struct params {
	unsigned loss, duplicate, late; /* per mille, of topology messages */
	uint64_t delay_us, jitter_us, late_us;
	uint64_t hello_us, dead_us;
	uint64_t tick_lag_us; /* a tick comes up to so much late */
	uint64_t slow_us;     /* the two ends learn of sessions and lists up to so much apart */
};

struct stats {
	uint64_t schedules, events, virtual_us, messages, bytes;
	uint64_t openings, loops, failures;
	uint64_t overlays; /* not judged: two that only wires join, twice */
	uint64_t foreign_at_once, foreign_later, foreign_worst_us;
	uint64_t converged, converge_worst_us, converge_worst_seed;
	uint64_t converge_hist[64]; /* by 250 ms */
};

struct world {
	struct prng rng;
	uint64_t seed, now_us, order;
	unsigned variant; /* of a written schedule */
	struct params params;
	bool verbose, steady, calm; /* steady: sessions lose no hellos */
	bool judge_only;	    /* the flood walk alone counts (mutants) */
	struct event *heap;
	unsigned n_heap, cap_heap;
	struct node nodes[SIM_NODES];
	struct link *links;
	struct edge *edges;
	unsigned n_nodes, n_links, n_edges;
	struct wire wires[SIM_WIRES];
	unsigned n_wires;
	bool heard[SIM_SEGMENTS][SIM_SEGMENTS];	 /* told to the topology */
	bool wanted[SIM_SEGMENTS][SIM_SEGMENTS]; /* will be, or is */
	bool more, less;			 /* forwards more, or less, than at the last look */
	uint64_t foreign_loop_us;		 /* since when, 0: there is none */
	uint64_t foreign_bound_us;
	/* True: this message is lost. */
	bool (*filter)(struct world *w, const struct link_end *from, const uint8_t *msg,
		       size_t len);
	void (*script)(struct world *w, const struct event *e);
	void *script_arg;
	bool failed, looped;
	char failure[240];
	struct stats stats;
};

/* world.c: time, and what all parts use. */
struct world *world_new(uint64_t seed, const struct params *p);
void world_free(struct world *w);
struct node *world_add_node(struct world *w, uint64_t incarnation);
struct link *world_add_link(struct world *w, unsigned a, unsigned b);
struct edge *world_add_edge(struct world *w, struct link *l, unsigned bridge_a, unsigned bridge_b);
struct event *world_push(struct world *w, uint64_t at_us, enum event_type type);
void world_run(struct world *w, uint64_t for_us);
/* Until every segment that can be reached is; false when that took longer than `limit_us`. */
bool world_run_spanned(struct world *w, uint64_t limit_us);
void world_fail(struct world *w, const char *fmt, ...) _printf_(2, 3);
void world_trace(struct world *w, const char *fmt, ...) _printf_(2, 3);
uint64_t world_random(struct world *w, uint64_t n); /* 0 … n, both included */
bool world_chance(struct world *w, unsigned permille);

/* node.c: processes, and every call of the topology module. */
void node_start(struct node *n, uint64_t incarnation);
void node_crash(struct node *n);
void node_pause(struct node *n);
void node_continue(struct node *n);
bool node_runs(const struct node *n); /* and is not paused */
void node_tick(struct node *n);
void node_plan_tick(struct node *n, uint64_t due_us);
void node_new_probe_key(struct node *n);
void node_adj_add(struct link_end *le);
void node_adj_remove(struct link_end *le);
void node_adj_up(struct link_end *le);
void node_adj_down(struct link_end *le);
void node_adj_input(struct link_end *le, const uint8_t *msg, size_t len);
void node_edge_add(struct edge_end *ee);
void node_edge_remove(struct edge_end *ee);
void node_edge_up(struct edge_end *ee);
void node_edge_down(struct edge_end *ee);
void node_edge_ready(struct edge_end *ee, bool ready);
void node_set_foreign(struct node *n, unsigned bridge);

/* link.c: sessions. */
struct node *link_node(const struct link_end *le);
struct link_end *link_far(const struct link_end *le);
void link_event(struct world *w, const struct event *e);
void link_consider(struct link *l); /* a session where one can be and is none */
void link_cut(struct link *l, bool from_0, bool from_1);
void link_close(struct link_end *le, uint64_t again_us);
void link_remove(struct link_end *le);
void link_restore(struct link_end *le);
int link_send(struct link_end *le, const uint8_t *msg, size_t len);
void link_release(struct link_end *le);
void link_forget(struct link_end *le); /* its node has crashed */
void edge_admin(struct edge_end *ee, bool on, bool remove);
void edge_schedule_ready(struct edge_end *ee);

/* foreign.c: wires and who hears whom. */
unsigned segment_node(unsigned s);
int wire_add(struct world *w, unsigned a, unsigned b); /* negative: it would close a loop */
void wire_remove(struct world *w, unsigned at);
void foreign_update(struct world *w);
void foreign_event(struct world *w, const struct event *e);
/* Which segments wires join: equal numbers. */
void foreign_groups(const struct world *w, unsigned group[SIM_SEGMENTS]);

/* oracle.c */
bool edge_forwards(const struct edge *e);
void oracle_look(struct world *w); /* after every event */
void oracle_trace(struct world *w);
bool oracle_spanned(struct world *w, char *ret, size_t size);
/* All nodes that sessions join know each other's probe keys, and agree with their members. */
bool oracle_agreed(struct world *w, char *ret, size_t size);
bool oracle_joined(struct world *w, unsigned a, unsigned b); /* by tunnels alone */

/* random.c: a schedule from a seed. directed.c: written ones. cost.c */
void random_run(uint64_t seed, bool verbose, bool judge_only, struct stats *ret);
struct directed {
	const char *name;
	unsigned catches; /* these mutants, as bits */
	void (*run)(struct world *w);
	unsigned variants; /* world->variant counts from 0; 0: there is one */
};
extern const struct directed directed_all[];
extern const unsigned directed_count;
/* False when it failed. */
bool directed_run(const struct directed *d, bool verbose, bool judge_only, bool *ret_looped);
void cost_print(unsigned n_nodes);
void stats_add(struct stats *sum, const struct stats *one);

#endif
