/*
 * Codec of link states and of topology messages: what is built comes back, what is cut off, turned
 * round or out of order is refused or is something whole, and the limits fit each other.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/msg.h"
#include "tests/support/prng.h"

#define SEED 20260001
#define ROUNDS 300

static struct prng rng = { SEED };

static void rand_name(char *ret, size_t max)
{
	static const char first[] = "abcXYZ019_", rest[] = "abcXYZ019_-.";
	size_t n = 1 + prng_below(&rng, max);

	memset(ret, 0, max + 1);
	ret[0] = first[prng_below(&rng, sizeof(first) - 1)];
	for (size_t i = 1; i < n; i++)
		ret[i] = rest[prng_below(&rng, sizeof(rest) - 1)];
}

static struct topo_segment rand_segment(void)
{
	struct topo_segment s;

	prng_fill(&rng, s.node, sizeof(s.node));
	rand_name(s.bridge, TOPO_BRIDGE_MAX);
	return s;
}

static struct lsa_edge rand_edge(void)
{
	struct lsa_edge e = {
		.far = rand_segment(),
		.generation = prng_next(&rng),
		.priority = (uint16_t)prng_next(&rng),
		.open = prng_below(&rng, 2),
		.ready = prng_below(&rng, 2),
		.preempt = prng_below(&rng, 2),
		.mesh = prng_below(&rng, 2),
	};

	rand_name(e.local, TOPO_BRIDGE_MAX);
	return e;
}

/* Arrays are the caller's, lsa_fini() frees them. */
static struct lsa rand_lsa(unsigned n_edges, unsigned n_foreign)
{
	struct lsa l = { .n_edges = n_edges, .n_foreign = n_foreign };

	rand_name(l.name, NAME_MAX_LEN);
	l.edges = calloc(n_edges + 1, sizeof(*l.edges));
	l.foreign = calloc(n_foreign + 1, sizeof(*l.foreign));
	assert_true(l.edges && l.foreign);
	for (unsigned i = 0; i < n_edges; i++)
		l.edges[i] = rand_edge();
	for (unsigned i = 0; i < n_foreign; i++) {
		l.foreign[i].heard = rand_segment();
		rand_name(l.foreign[i].local, TOPO_BRIDGE_MAX);
	}
	qsort(l.edges, n_edges, sizeof(*l.edges), lsa_edge_compare);
	qsort(l.foreign, n_foreign, sizeof(*l.foreign), lsa_foreign_compare);
	return l;
}

static void assert_same(const struct lsa *a, const struct lsa *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->n_edges, b->n_edges);
	assert_int_equal(a->n_foreign, b->n_foreign);
	for (unsigned i = 0; i < a->n_edges; i++) {
		const struct lsa_edge *x = &a->edges[i], *y = &b->edges[i];

		assert_int_equal(lsa_edge_compare(x, y), 0);
		assert_int_equal(x->priority, y->priority);
		assert_true(x->open == y->open && x->preempt == y->preempt && x->mesh == y->mesh);
	}
	for (unsigned i = 0; i < a->n_foreign; i++)
		assert_int_equal(lsa_foreign_compare(&a->foreign[i], &b->foreign[i]), 0);
}

static void assert_whole(const struct lsa *l)
{
	assert_true(name_valid(l->name, NAME_MAX_LEN));
	assert_true(l->n_edges <= TOPO_EDGES_MAX && l->n_foreign <= TOPO_FOREIGN_MAX);
	for (unsigned i = 0; i < l->n_edges; i++) {
		assert_true(name_valid(l->edges[i].local, TOPO_BRIDGE_MAX));
		assert_true(name_valid(l->edges[i].far.bridge, TOPO_BRIDGE_MAX));
		if (i)
			assert_true(lsa_edge_compare(&l->edges[i - 1], &l->edges[i]) < 0);
	}
	for (unsigned i = 0; i < l->n_foreign; i++) {
		assert_true(name_valid(l->foreign[i].local, TOPO_BRIDGE_MAX));
		assert_true(name_valid(l->foreign[i].heard.bridge, TOPO_BRIDGE_MAX));
		if (i)
			assert_true(lsa_foreign_compare(&l->foreign[i - 1], &l->foreign[i]) < 0);
	}
}

/* lsa_build() of what parses, in a buffer of its own so that a sanitizer sees overruns. */
static int parse_tight(const uint8_t *bytes, size_t len, struct lsa *ret)
{
	uint8_t *tight = malloc(len ? len : 1);

	assert_non_null(tight);
	memcpy(tight, bytes, len);
	int r = lsa_parse(tight, len, ret);
	free(tight);
	return r;
}

static void test_round_trip(void **state)
{
	static uint8_t bytes[LSA_BYTES_MAX], again[LSA_BYTES_MAX];

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct lsa l = rand_lsa((unsigned)prng_below(&rng, 20),
					(unsigned)prng_below(&rng, 8)),
			   back;
		int len = lsa_build(&l, bytes, sizeof(bytes));

		assert_true(len > 0);
		assert_int_equal(parse_tight(bytes, (size_t)len, &back), 0);
		assert_same(&l, &back);
		assert_whole(&back);
		assert_int_equal(lsa_build(&back, again, sizeof(again)), len);
		assert_memory_equal(bytes, again, (size_t)len);
		/* A writer that has too little room says so. */
		assert_int_equal(lsa_build(&l, again, (size_t)len - 1), -ENOBUFS);
		lsa_fini(&l);
		lsa_fini(&back);
	}
}

static void test_layout(void **state)
{
	static const uint8_t want[] = {
		1,    2,    'n', '1',		   /* version, name */
		1,    0,			   /* edges */
		3,    'b',  'r', '0',		   /* local bridge */
		1,    2,    3,	 4,   5, 6, 7, 8,  /* far node */
		2,    'b',  'x',		   /* far bridge */
		0x11, 0x22, 0,	 0,   0, 0, 0, 99, /* generation */
		0x34, 0x12,			   /* priority */
		5,				   /* open, mesh */
		1,    0,			   /* foreign paths */
		3,    'b',  'r', '0', 8, 7, 6, 5,  4, 3, 2, 1, 1, 'z',
	};
	struct lsa_edge e = {
		.far = { { 1, 2, 3, 4, 5, 6, 7, 8 }, "bx" },
		.local = "br0",
		.generation = UINT64_C(0x6300000000002211),
		.priority = 0x1234,
		.open = true,
		.mesh = true,
	};
	struct lsa_foreign f = { "br0", { { 8, 7, 6, 5, 4, 3, 2, 1 }, "z" } };
	struct lsa l = { "n1", 1, 1, &e, &f };
	uint8_t bytes[sizeof(want) + 1];

	(void)state;
	assert_int_equal(lsa_build(&l, bytes, sizeof(bytes)), sizeof(want));
	assert_memory_equal(bytes, want, sizeof(want));
}

static void test_truncated(void **state)
{
	static uint8_t bytes[LSA_BYTES_MAX];
	struct lsa l = rand_lsa(9, 5), back;
	int len = lsa_build(&l, bytes, sizeof(bytes));

	(void)state;
	back.n_edges = 12345;
	for (size_t i = 0; i < (size_t)len; i++)
		assert_int_equal(parse_tight(bytes, i, &back), -EBADMSG);
	assert_int_equal(back.n_edges, 12345); /* untouched */
	/* What a later version may add is not looked at. */
	bytes[len] = 77;
	assert_int_equal(parse_tight(bytes, (size_t)len + 1, &back), 0);
	assert_same(&l, &back);
	lsa_fini(&back);
	lsa_fini(&l);
}

/* Every byte, every bit of it and some other values. */
static void test_turned(void **state)
{
	static uint8_t bytes[LSA_BYTES_MAX];
	struct lsa l = rand_lsa(6, 4), back;
	int len = lsa_build(&l, bytes, sizeof(bytes));
	unsigned refused = 0, whole = 0;

	(void)state;
	for (int i = 0; i < len; i++) {
		for (unsigned v = 1; v < 256; v++) {
			bytes[i] ^= (uint8_t)v;
			int r = parse_tight(bytes, (size_t)len, &back);

			assert_true(r == 0 || r == -EBADMSG);
			refused += r < 0;
			if (r == 0) {
				whole++;
				assert_whole(&back);
				lsa_fini(&back);
			}
			bytes[i] ^= (uint8_t)v;
		}
	}
	assert_true(refused > 1000 && whole > 1000);
	lsa_fini(&l);
}

static int build_and_parse(const struct lsa *l)
{
	static uint8_t bytes[2 * LSA_BYTES_MAX];
	struct lsa back;
	int len = lsa_build(l, bytes, sizeof(bytes));

	assert_true(len > 0);
	int r = parse_tight(bytes, (size_t)len, &back);
	if (r == 0)
		lsa_fini(&back);
	return r;
}

static void test_order(void **state)
{
	struct lsa l = rand_lsa(4, 4);
	struct lsa_edge e = l.edges[1];
	struct lsa_foreign f = l.foreign[1];

	(void)state;
	assert_int_equal(build_and_parse(&l), 0);
	l.edges[1] = l.edges[2]; /* twice */
	assert_int_equal(build_and_parse(&l), -EBADMSG);
	l.edges[2] = e;
	assert_int_equal(build_and_parse(&l), -EBADMSG);
	l.edges[2] = l.edges[1];
	l.edges[1] = e;
	assert_int_equal(build_and_parse(&l), 0);
	l.foreign[1] = l.foreign[2];
	assert_int_equal(build_and_parse(&l), -EBADMSG);
	l.foreign[2] = f;
	assert_int_equal(build_and_parse(&l), -EBADMSG);
	lsa_fini(&l);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "-x", ".x", "a b", "a/b", "a\x1b[m", "a\"b", "a%n" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct lsa l = rand_lsa(1, 1);

		assert_int_equal(build_and_parse(&l), 0);
		strcpy(l.name, bad[i]);
		assert_int_equal(build_and_parse(&l), -EBADMSG);
		strcpy(l.name, "ok");
		strcpy(l.edges[0].local, bad[i]);
		assert_int_equal(build_and_parse(&l), -EBADMSG);
		strcpy(l.edges[0].local, "ok");
		strcpy(l.edges[0].far.bridge, bad[i]);
		assert_int_equal(build_and_parse(&l), -EBADMSG);
		strcpy(l.edges[0].far.bridge, "ok");
		strcpy(l.foreign[0].local, bad[i]);
		assert_int_equal(build_and_parse(&l), -EBADMSG);
		strcpy(l.foreign[0].local, "ok");
		strcpy(l.foreign[0].heard.bridge, bad[i]);
		assert_int_equal(build_and_parse(&l), -EBADMSG);
		lsa_fini(&l);
	}
}

/* The most of all, with the longest names, fits; one more is refused. */
static void test_limits(void **state)
{
	static uint8_t bytes[LSA_BYTES_MAX];
	struct lsa l = rand_lsa(TOPO_EDGES_MAX + 1, TOPO_FOREIGN_MAX + 1);
	const char *longest = "abcdefghijklmno";

	(void)state;
	memset(l.name, 'x', NAME_MAX_LEN);
	for (unsigned i = 0; i < l.n_edges; i++) {
		strcpy(l.edges[i].local, longest);
		strcpy(l.edges[i].far.bridge, longest);
	}
	for (unsigned i = 0; i < l.n_foreign; i++) {
		strcpy(l.foreign[i].local, longest);
		strcpy(l.foreign[i].heard.bridge, longest);
	}
	qsort(l.foreign, l.n_foreign, sizeof(*l.foreign), lsa_foreign_compare);
	l.n_edges--;
	assert_int_equal(build_and_parse(&l), -EBADMSG);
	l.n_foreign--;
	assert_int_equal(build_and_parse(&l), 0);
	int len = lsa_build(&l, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_true((size_t)len <= MSG_PAGES * MSG_PAGE_BYTES);
	l.n_edges++;
	assert_int_equal(build_and_parse(&l), -EBADMSG);
	lsa_fini(&l);
}

static void test_mirror(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct lsa l = rand_lsa((unsigned)prng_below(&rng, 30), 0);
		struct topo_segment near_end = rand_segment(), far_end = rand_segment();
		struct lsa_edge near_edge = { .far = far_end,
					      .generation = prng_next(&rng),
					      .priority = 7 };

		memcpy(near_edge.local, near_end.bridge, sizeof(near_edge.local));
		assert_null(lsa_find_mirror(&l, near_end.node, &near_edge));
		struct lsa_edge *m = &l.edges[l.n_edges++];
		*m = (struct lsa_edge){ .far = near_end, .generation = near_edge.generation };
		memcpy(m->local, far_end.bridge, sizeof(m->local));
		qsort(l.edges, l.n_edges, sizeof(*l.edges), lsa_edge_compare);
		const struct lsa_edge *found = lsa_find_mirror(&l, near_end.node, &near_edge);
		assert_non_null(found);
		assert_int_equal(segment_compare(&found->far, &near_end), 0);
		near_edge.generation++; /* another session */
		assert_null(lsa_find_mirror(&l, near_end.node, &near_edge));
		near_edge.generation--;
		near_edge.local[0] ^= 1; /* another bridge */
		assert_null(lsa_find_mirror(&l, near_end.node, &near_edge));
		near_edge.local[0] ^= 1;
		near_edge.far.bridge[0] ^= 1;
		assert_null(lsa_find_mirror(&l, near_end.node, &near_edge));
		lsa_fini(&l);
	}
}

/* messages */

static void fill_version(struct version *v)
{
	v->incarnation = 1 + prng_below(&rng, UINT32_MAX);
	v->seq = (uint32_t)prng_next(&rng);
}

static struct msg rand_msg(enum msg_kind kind, const uint8_t page[MSG_PAGE_BYTES])
{
	struct msg m = { .kind = kind };

	if (kind == MSG_LSA) {
		prng_fill(&rng, m.page.node, sizeof(m.page.node));
		fill_version(&m.page.version);
		m.page.pages = (uint8_t)(1 + prng_below(&rng, MSG_PAGES));
		m.page.page = (uint8_t)prng_below(&rng, m.page.pages);
		m.page.bytes = page;
		m.page.len = m.page.page + 1 < m.page.pages ? MSG_PAGE_BYTES :
							      prng_below(&rng, MSG_PAGE_BYTES + 1);
		return m;
	}
	m.n = (unsigned)prng_below(&rng, (kind == MSG_SYNC ? MSG_SYNCS : MSG_HAVES) + 1);
	for (unsigned i = 0; i < m.n && kind == MSG_SYNC; i++) {
		prng_fill(&rng, &m.syncs[i], sizeof(m.syncs[i]));
		fill_version(&m.syncs[i].sync.version);
	}
	for (unsigned i = 0; i < m.n && kind == MSG_HAVE; i++) {
		prng_fill(&rng, m.haves[i].node, sizeof(m.haves[i].node));
		fill_version(&m.haves[i].lsa);
		fill_version(&m.haves[i].sync);
	}
	return m;
}

static void test_messages(void **state)
{
	static uint8_t page[MSG_PAGE_BYTES], bytes[TOPO_MSG_MAX], again[TOPO_MSG_MAX];
	struct msg back;

	(void)state;
	prng_fill(&rng, page, sizeof(page));
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct msg m = rand_msg((enum msg_kind)(1 + i % 3), page);
		size_t len = msg_build(&m, bytes);

		assert_true(len <= TOPO_MSG_MAX);
		assert_int_equal(msg_parse(bytes, len, &back), 0);
		assert_int_equal(back.kind, m.kind);
		assert_int_equal(msg_build(&back, again), len);
		assert_memory_equal(bytes, again, len);
		for (size_t k = 0; k < len; k++) {
			uint8_t *tight = malloc(k + 1);

			/* The last page of a link state may have any length. */
			memcpy(tight, bytes, k);
			int r = msg_parse(tight, k, &back);
			assert_true(r == -EBADMSG || (r == 0 && m.kind == MSG_LSA && k >= 23 &&
						      m.page.page + 1 == m.page.pages));
			free(tight);
		}
	}
}

static int parse_page(unsigned page, unsigned pages, size_t len, uint64_t incarnation)
{
	static uint8_t bytes[MSG_PAGE_BYTES + 1], out[2 * TOPO_MSG_MAX];
	struct msg m = { .kind = MSG_LSA }, back;

	m.page = (struct msg_page){ .version = { incarnation, 1 },
				    .page = (uint8_t)page,
				    .pages = (uint8_t)pages,
				    .bytes = bytes,
				    .len = len };
	size_t n = msg_build(&m, out);
	return msg_parse(out, n, &back);
}

static void test_message_limits(void **state)
{
	static const uint8_t unknown[] = { 4, 1, 2, 3 }, syncs[TOPO_MSG_MAX] = { 2, MSG_SYNCS + 1 },
			     haves[2000] = { 3, MSG_HAVES + 1 }, no_life[100] = { 2, 1 };
	struct msg m;

	(void)state;
	assert_true(23 + MSG_PAGE_BYTES <= TOPO_MSG_MAX);
	assert_int_equal(msg_parse(unknown, sizeof(unknown), &m), -ENOTSUP);
	assert_int_equal(msg_parse(unknown, 0, &m), -EBADMSG);
	assert_int_equal(msg_parse(syncs, sizeof(syncs), &m), -EBADMSG);
	assert_int_equal(msg_parse(haves, sizeof(haves), &m), -EBADMSG);
	assert_int_equal(msg_parse(no_life, sizeof(no_life), &m), -EBADMSG); /* incarnation 0 */

	assert_int_equal(parse_page(0, 1, 0, 1), 0);
	assert_int_equal(parse_page(0, 1, MSG_PAGE_BYTES, 1), 0);
	assert_int_equal(parse_page(0, 1, MSG_PAGE_BYTES + 1, 1), -EBADMSG);
	assert_int_equal(parse_page(0, 1, 10, 0), -EBADMSG);
	assert_int_equal(parse_page(0, 0, 10, 1), -EBADMSG);
	assert_int_equal(parse_page(1, 1, 10, 1), -EBADMSG);
	assert_int_equal(parse_page(0, 2, 10, 1), -EBADMSG); /* not full */
	assert_int_equal(parse_page(0, 2, MSG_PAGE_BYTES, 1), 0);
	assert_int_equal(parse_page(MSG_PAGES - 1, MSG_PAGES, 10, 1), 0);
	assert_int_equal(parse_page(MSG_PAGES, MSG_PAGES + 1, 10, 1), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_layout),
		cmocka_unit_test(test_truncated),  cmocka_unit_test(test_turned),
		cmocka_unit_test(test_order),	   cmocka_unit_test(test_names),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_messages),   cmocka_unit_test(test_message_limits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
