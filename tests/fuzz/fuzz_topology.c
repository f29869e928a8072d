/*
 * Topology messages from an authenticated neighbour that says whatever it likes. Ours has two
 * tunnels and two sessions, one to that neighbour and one to a node that is silent. Input: steps
 * of an opcode, a length u16 (little-endian) and so many bytes; most are messages, a few are
 * what else happens. Never may a gate open that the barrier forbids, nor a message be too long,
 * nor a deadline lie in the past; what parses has one form.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/topology/state.h"
#include "l2tund/topology/topology.h"
#include "l2tund/topology/view.h"
#include "tests/fuzz/fuzz.h"

#define STEPS 64

static struct {
	struct topo *topo;
	struct topo_adj *adj[2];
	struct topo_edge *edge[2];
	uint64_t now_us;
} w;

static const uint8_t own_id[TOPO_NODE_ID_BYTES] = { 10 }, far_id[TOPO_NODE_ID_BYTES] = { 11 },
		     mute_id[TOPO_NODE_ID_BYTES] = { 12 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* A node whose digest is not ours, though a member: nothing may open. */
static bool all_agree(void)
{
	const struct topo *t = w.topo;

	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		const struct lsdb_node *n = &t->db.node[i];

		if (n->member && (memcmp(n->sync.digest, t->db.digest, DIGEST_BYTES) != 0 ||
				  n->sync.version.incarnation != n->version.incarnation))
			return false;
	}
	return true;
}

static void on_gate(void *arg, struct topo_edge *e, bool open, enum tunnel_reason reason,
		    const char *detail)
{
	(void)arg;
	must(reason < TUNNEL_REASONS);
	for (const char *c = detail; *c; c++)
		must((uint8_t)*c >= ' ' && (uint8_t)*c < 0x7f);
	if (!open)
		return;
	must(all_agree() && !w.topo->db.overflow && !w.topo->twin);
	must(e->up && e->ready);
}

static int on_send(void *arg, struct topo_adj *a, const uint8_t *msg, size_t len)
{
	struct msg m;
	uint8_t again[TOPO_MSG_MAX];

	(void)arg;
	(void)a;
	must(len <= TOPO_MSG_MAX && msg_parse(msg, len, &m) == 0);
	must(msg_build(&m, again) == len && memcmp(again, msg, len) == 0);
	return 0;
}

static void on_alarm(void *arg, const char *text)
{
	(void)arg;
	must(strlen(text) > 0);
}

static const struct topo_ops ops = { .gate = on_gate, .send = on_send, .alarm = on_alarm };

static void edge_up(unsigned i, uint64_t generation)
{
	struct topo_ends ends = { .priority = 100, .generation = generation };

	strcpy(ends.local_bridge, "br0");
	ends.far = segment_of(i ? mute_id : far_id, "br0");
	topo_edge_up(w.edge[i], &ends, w.now_us);
	topo_edge_ready(w.edge[i], true, w.now_us);
}

static void begin(void)
{
	struct topo_params p = { .incarnation = 1000, .name = "self" };

	memset(&w, 0, sizeof(w));
	w.now_us = US_PER_S;
	memcpy(p.node_id, own_id, sizeof(p.node_id));
	w.topo = topo_new(&p, &ops, NULL);
	must(w.topo != NULL);
	for (unsigned i = 0; i < 2; i++) {
		w.adj[i] = topo_adj_add(w.topo, NULL);
		w.edge[i] = topo_edge_add(w.topo, i ? "t1" : "t0", NULL);
		must(w.adj[i] && w.edge[i]);
		topo_adj_up(w.adj[i], i ? mute_id : far_id, 5, 0);
		edge_up(i, 5);
	}
}

static void tick(void)
{
	must(topo_tick(w.topo, w.now_us) > w.now_us);
}

/* What is taken builds again to what it was, but for bytes that no version knows yet. */
static void check_codec(const uint8_t *msg, size_t len)
{
	static uint8_t again[LSA_BYTES_MAX];
	struct msg m;
	struct lsa l, back;

	if (msg_parse(msg, len, &m) < 0)
		return;
	must(m.n <= MSG_HAVES);
	size_t n = msg_build(&m, again);
	must(n <= len && n <= TOPO_MSG_MAX && memcmp(again, msg, 1) == 0);
	must(memcmp(again, msg, n) == 0);
	if (m.kind != MSG_LSA || lsa_parse(m.page.bytes, m.page.len, &l) < 0)
		return;
	int built = lsa_build(&l, again, sizeof(again));
	must(built > 0 && (size_t)built <= m.page.len);
	must(lsa_parse(again, (size_t)built, &back) == 0);
	must(back.n_edges == l.n_edges && back.n_foreign == l.n_foreign);
	for (unsigned i = 0; i < l.n_edges; i++)
		must(memcmp(&back.edges[i], &l.edges[i], sizeof(l.edges[i])) == 0);
	lsa_fini(&l);
	lsa_fini(&back);
}

static void hear(unsigned i, const uint8_t *msg, size_t len)
{
	/* A copy of its own size: a sanitizer sees one byte too many. */
	uint8_t *tight = malloc(len ? len : 1);

	must(tight != NULL);
	memcpy(tight, msg, len);
	check_codec(tight, len);
	int r = topo_adj_input(w.adj[i], tight, len, w.now_us);
	must(r == 0 || r == -EBADMSG);
	free(tight);
}

static void see_edge(void *arg, const struct topo_edge_view *v)
{
	unsigned *n = arg;

	*n += strlen(v->a.bridge) + strlen(v->name_a) + strlen(v->name_b) > 0;
}

static void look(void)
{
	static const struct topo_visitor visitor = { .edge = see_edge };
	struct topo_summary s;
	unsigned n = 0;

	topo_get_summary(w.topo, &s);
	must(s.members >= 1 && s.disagreeing <= s.members && strlen(s.digest) == 64);
	topo_visit(w.topo, &visitor, &n);
}

static void foreign(const uint8_t *bytes, size_t len)
{
	struct topo_segment segs[160];
	unsigned n = (unsigned)MIN(len, ARRAY_SIZE(segs));

	for (unsigned i = 0; i < n; i++) {
		uint8_t id[TOPO_NODE_ID_BYTES] = { bytes[i] };

		segs[i] = segment_of(id, "br0");
		if (i >= 1) /* each once, as the guard has them */
			segs[i].node[1] = (uint8_t)i;
	}
	topo_set_foreign(w.topo, "br0", segs, n, w.now_us);
}

/* Other things that happen to us. */
static void happen(uint8_t op, const uint8_t *bytes, size_t len)
{
	unsigned i = op & 1;

	switch (op >> 1 & 7) {
	case 0:
		topo_edge_down(w.edge[i], w.now_us);
		break;
	case 1:
		edge_up(i, 5 + len);
		break;
	case 2:
		topo_edge_ready(w.edge[i], len & 1, w.now_us);
		break;
	case 3:
		topo_adj_down(w.adj[i]);
		break;
	case 4:
		topo_adj_up(w.adj[i], i ? mute_id : far_id, 5 + len, (uint32_t)len);
		break;
	case 5:
		foreign(bytes, len);
		break;
	case 6:
		look();
		break;
	case 7:
		w.now_us += (uint64_t)len * 100 * US_PER_MS;
		break;
	}
}

/* Bit 7: not a message; 6: no tick after it; 5: 10 ms later; 0: whose. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	for (unsigned step = 0; step < STEPS && size >= 3; step++) {
		uint8_t op = data[0];
		size_t len = MIN((size_t)get_le16(data + 1), size - 3);

		if (op & 0x80)
			happen(op, data + 3, len);
		else
			hear(op & 1, data + 3, len);
		w.now_us += 1 + 10 * US_PER_MS * (op >> 5 & 1);
		if (!(op & 0x40))
			tick();
		data += 3 + len;
		size -= 3 + len;
	}
	tick();
	look();
	topo_free(w.topo);
	return 0;
}
