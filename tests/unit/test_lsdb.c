/*
 * The database: the newest counts in whatever order it comes, pages put link states together, no
 * member and nobody whom one lists ever makes room for a stranger, and equal contents have equal
 * digests.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/topology/lsdb.h"
#include "l2tund/topology/msg.h"
#include "tests/support/prng.h"

#define SEED 20260002
#define NODES 12

static struct prng rng = { SEED };

/* Ids share their first byte, so that the index has to look further. */
static const uint8_t *id_of(unsigned i)
{
	static uint8_t ids[4096][TOPO_NODE_ID_BYTES];

	assert_true(i < ARRAY_SIZE(ids));
	ids[i][0] = (uint8_t)(250 + i % 2);
	ids[i][1] = (uint8_t)i;
	ids[i][2] = (uint8_t)(i >> 8);
	ids[i][3] = 9;
	return ids[i];
}

static struct lsdb *new_db(unsigned self)
{
	struct lsdb *db = malloc(sizeof(*db));

	assert_non_null(db);
	lsdb_init(db, id_of(self));
	return db;
}

static void free_db(struct lsdb *db)
{
	lsdb_fini(db);
	free(db);
}

/* Link state of node `i` with an edge to each of `far`, encoded into `ret`. */
static size_t body_of(unsigned i, const unsigned *far, unsigned n, uint8_t ret[LSA_BYTES_MAX])
{
	static struct lsa_edge edges[TOPO_EDGES_MAX];
	struct lsa l = { .n_edges = n, .edges = edges };

	snprintf(l.name, sizeof(l.name), "node%u", i);
	memset(edges, 0, sizeof(edges));
	for (unsigned k = 0; k < n; k++) {
		edges[k].far = segment_of(id_of(far[k]), "br0");
		snprintf(edges[k].local, sizeof(edges[k].local), "br0");
		edges[k].generation = 5;
	}
	qsort(edges, n, sizeof(*edges), lsa_edge_compare);
	int len = lsa_build(&l, ret, LSA_BYTES_MAX);
	assert_true(len > 0);
	return (size_t)len;
}

static void tell(struct lsdb *db, unsigned i, uint64_t incarnation, uint32_t seq,
		 const unsigned *far, unsigned n)
{
	static uint8_t body[LSA_BYTES_MAX];
	size_t len = body_of(i, far, n, body);
	unsigned slot = lsdb_get(db, id_of(i));

	assert_true(slot != LSDB_NONE);
	assert_int_equal(lsdb_set_lsa(db, slot, (struct version){ incarnation, seq }, body, len),
			 0);
}

static const struct lsdb_node *node_of(const struct lsdb *db, unsigned i)
{
	unsigned slot = lsdb_find(db, id_of(i));

	return slot == LSDB_NONE ? NULL : &db->node[slot];
}

static bool is_member(const struct lsdb *db, unsigned i)
{
	const struct lsdb_node *n = node_of(db, i);

	return n && n->member;
}

static void test_versions(void **state)
{
	(void)state;
	struct version old = { 5, UINT32_MAX }, new = { 6, 0 }, last = { UINT64_MAX, UINT32_MAX };

	assert_true(version_compare(old, new) < 0 && version_compare(new, old) > 0);
	assert_int_equal(version_compare(old, old), 0);
	assert_true(version_compare(new, last) < 0);
	assert_true(version_compare((struct version){ UINT64_MAX, 0 }, last) < 0);
	assert_true(version_compare((struct version){ 0, 0 }, (struct version){ 0, 1 }) < 0);
}

static void test_index(void **state)
{
	struct lsdb *db = new_db(0);

	(void)state;
	for (unsigned i = 1; i < TOPO_NODES_MAX; i++) {
		assert_int_equal(lsdb_find(db, id_of(i)), LSDB_NONE);
		assert_int_equal(lsdb_get(db, id_of(i)), i);
	}
	for (unsigned i = 0; i < TOPO_NODES_MAX; i++) {
		assert_int_equal(lsdb_find(db, id_of(i)), i);
		assert_int_equal(lsdb_get(db, id_of(i)), i);
	}
	assert_int_equal(lsdb_find(db, id_of(999)), LSDB_NONE);
	free_db(db);
}

/* pages */

#define PAGE 40 /* small ones for tests */

static int page(struct lsdb *db, struct version v, const uint8_t *body, size_t len, unsigned i)
{
	unsigned pages = (unsigned)((len + PAGE - 1) / PAGE);
	size_t at = (size_t)i * PAGE;

	return lsdb_add_page(db, lsdb_get(db, id_of(1)), v, i, pages, PAGE, body + at,
			     MIN(len - at, (size_t)PAGE));
}

static void assert_holds(const struct lsdb *db, struct version v, const uint8_t *body, size_t len)
{
	const struct lsdb_node *n = node_of(db, 1);

	assert_non_null(n);
	assert_int_equal(version_compare(n->version, v), 0);
	assert_int_equal(n->len, len);
	assert_memory_equal(n->body, body, len);
}

static void test_pages_in_any_order(void **state)
{
	static uint8_t body[LSA_BYTES_MAX];
	unsigned far[20];
	struct lsdb *db = new_db(0);

	(void)state;
	for (unsigned round = 1; round < 400; round++) {
		unsigned n = (unsigned)prng_below(&rng, ARRAY_SIZE(far)), done = 0;

		for (unsigned k = 0; k < n; k++)
			far[k] = 100 + k;
		size_t len = body_of(1, far, n, body);
		unsigned pages = (unsigned)((len + PAGE - 1) / PAGE), seen = 0;
		struct version v = { 7, round };

		/* Any page, any number of times, until all were there once. */
		while (seen != (1u << pages) - 1) {
			unsigned i = (unsigned)prng_below(&rng, pages);

			assert_int_equal(done, 0);
			seen |= 1u << i;
			int r = page(db, v, body, len, i);
			assert_true(r == 0 || r == 1);
			done += (unsigned)r;
		}
		assert_int_equal(done, 1);
		assert_holds(db, v, body, len);
		assert_int_equal(node_of(db, 1)->lsa.n_edges, n);
		assert_null(node_of(db, 1)->stage.bytes);
		assert_int_equal(page(db, v, body, len, 0), 0); /* once more is nothing new */
	}
	free_db(db);
}

static void test_stale_pages(void **state)
{
	static uint8_t a[LSA_BYTES_MAX], b[LSA_BYTES_MAX], c[LSA_BYTES_MAX];
	const unsigned far[] = { 10, 11, 12, 13 };
	struct version one = { 7, 1 }, two = { 7, 2 }, three = { 8, 0 };
	struct lsdb *db = new_db(0);
	size_t len_a = body_of(1, far, 2, a), len_b = body_of(1, far, 4, b);
	size_t len_c = body_of(1, far, 0, c);

	(void)state;
	assert_true(len_a > PAGE && len_b > 2 * PAGE && len_c <= PAGE);
	assert_int_equal(page(db, two, b, len_b, 0), 0);
	for (unsigned i = 0; i * PAGE < len_a; i++) /* while a newer one arrives */
		assert_int_equal(page(db, one, a, len_a, i), 0);
	assert_int_equal(node_of(db, 1)->len, 0);
	for (unsigned i = 1; i * PAGE < len_b; i++)
		assert_int_equal(page(db, two, b, len_b, i), (i + 1) * PAGE >= len_b);
	assert_holds(db, two, b, len_b);
	for (unsigned i = 0; i * PAGE < len_a; i++)
		assert_int_equal(page(db, one, a, len_a, i), 0);
	assert_holds(db, two, b, len_b);

	/* A short one overtakes what was arriving, and gives its memory back. */
	assert_int_equal(page(db, (struct version){ 7, 3 }, b, len_b, 1), 0);
	assert_int_equal(page(db, three, c, len_c, 0), 1);
	assert_holds(db, three, c, len_c);
	assert_null(node_of(db, 1)->stage.bytes);
	assert_int_equal(page(db, (struct version){ 7, 3 }, b, len_b, 0), 0);
	assert_null(node_of(db, 1)->stage.bytes);
	free_db(db);
}

static void test_bad_pages(void **state)
{
	static uint8_t body[LSA_BYTES_MAX];
	const unsigned far[] = { 10, 11, 12, 13 };
	struct version v = { 7, 1 };
	struct lsdb *db = new_db(0);
	size_t len = body_of(1, far, 4, body);
	unsigned slot = lsdb_get(db, id_of(1)), pages = (unsigned)((len + PAGE - 1) / PAGE);

	(void)state;
	assert_int_equal(lsdb_add_page(db, slot, v, 0, 0, PAGE, body, 1), -EBADMSG);
	assert_int_equal(lsdb_add_page(db, slot, v, 2, 2, PAGE, body, 1), -EBADMSG);
	assert_int_equal(lsdb_add_page(db, slot, v, 0, 33, PAGE, body, PAGE), -EBADMSG);
	assert_int_equal(lsdb_add_page(db, slot, v, 0, 2, PAGE, body, PAGE - 1), -EBADMSG);
	assert_int_equal(lsdb_add_page(db, slot, v, 1, 2, PAGE, body, PAGE + 1), -EBADMSG);

	/* Another count of pages for the same version begins anew: nothing is mixed. */
	assert_int_equal(lsdb_add_page(db, slot, v, 0, pages + 1, PAGE, body, PAGE), 0);
	for (unsigned i = 0; i < pages; i++)
		assert_int_equal(page(db, v, body, len, i), i + 1 == pages);
	assert_holds(db, v, body, len);

	/* What is no link state when it is complete leaves the one that there is, and no trace. */
	body[0] ^= 0x40;
	v.seq = 2;
	for (unsigned i = 0; i < pages; i++)
		assert_int_equal(page(db, v, body, len, i), i + 1 == pages ? -EBADMSG : 0);
	body[0] ^= 0x40;
	assert_holds(db, (struct version){ 7, 1 }, body, len);
	assert_null(node_of(db, 1)->stage.bytes);
	for (unsigned i = 0; i < pages; i++)
		assert_int_equal(page(db, v, body, len, i), i + 1 == pages);
	assert_holds(db, v, body, len);
	free_db(db);
}

/* A last page of another length than before: what counts is the one that came last. */
static void test_last_page(void **state)
{
	static uint8_t body[LSA_BYTES_MAX];
	const unsigned far[] = { 10, 11, 12, 13 };
	struct version v = { 7, 1 };
	struct lsdb *db = new_db(0);
	size_t len = body_of(1, far, 4, body);
	unsigned slot = lsdb_get(db, id_of(1)), pages = (unsigned)((len + PAGE - 1) / PAGE);

	(void)state;
	assert_int_equal(lsdb_add_page(db, slot, v, pages - 1, pages, PAGE, body, PAGE), 0);
	assert_int_equal(lsdb_add_page(db, slot, v, pages - 1, pages, PAGE, body, 0), 0);
	for (unsigned i = pages; i-- > 0;)
		assert_int_equal(page(db, v, body, len, i), i == 0);
	assert_holds(db, v, body, len);
	free_db(db);
}

static void test_sizes(void **state)
{
	static uint8_t body[MSG_PAGES * MSG_PAGE_BYTES];
	static unsigned far[TOPO_EDGES_MAX];
	struct lsdb *db = new_db(0);
	unsigned slot = lsdb_get(db, id_of(1));

	(void)state;
	for (unsigned i = 0; i < TOPO_EDGES_MAX; i++)
		far[i] = i;
	size_t len = body_of(1, far, TOPO_EDGES_MAX, body);
	assert_int_equal(lsdb_set_lsa(db, slot, (struct version){ 1, 1 }, body, LSA_BYTES_MAX), 0);
	assert_int_equal(lsdb_set_lsa(db, slot, (struct version){ 1, 2 }, body, LSA_BYTES_MAX + 1),
			 -EBADMSG);
	/* All pages full is more than a link state may have. */
	for (unsigned i = 0; i < MSG_PAGES; i++)
		assert_int_equal(lsdb_add_page(db, slot, (struct version){ 1, 2 }, i, MSG_PAGES,
					       MSG_PAGE_BYTES, body + (size_t)i * MSG_PAGE_BYTES,
					       MSG_PAGE_BYTES),
				 i + 1 == MSG_PAGES ? -EBADMSG : 0);
	assert_int_equal(node_of(db, 1)->version.seq, 1);
	assert_true(len < LSA_BYTES_MAX);
	free_db(db);
}

/* syncs and keys */

static void test_keys(void **state)
{
	struct lsdb *db = new_db(0);
	unsigned slot = lsdb_get(db, id_of(1));
	struct sync s = { .version = { 1, 1 } };

	(void)state;
	assert_int_equal(db->node[slot].n_keys, 0);
	for (unsigned i = 1; i < 5; i++) {
		s.version.seq++;
		memset(s.key, (int)i, sizeof(s.key));
		lsdb_set_sync(db, slot, &s);
		lsdb_set_sync(db, slot, &s); /* the same key is no newer one */
		assert_int_equal(db->node[slot].n_keys, MIN(i, (unsigned)TOPO_KEYS));
		assert_int_equal(db->node[slot].keys[0][0], i);
		if (i > 1)
			assert_int_equal(db->node[slot].keys[1][0], i - 1);
	}
	free_db(db);
}

/* members */

static void test_members(void **state)
{
	struct lsdb *db = new_db(0);

	(void)state;
	assert_int_equal(lsdb_settle(db), 0);
	assert_true(is_member(db, 0));
	assert_int_equal(db->n_members, 1);

	/* 0 - 1 - 2, 2 lists 3 that does not list it, 4 - 5 apart. */
	tell(db, 0, 1, 1, (const unsigned[]){ 1 }, 1);
	tell(db, 1, 1, 1, (const unsigned[]){ 0, 2 }, 2);
	tell(db, 2, 1, 1, (const unsigned[]){ 1, 3 }, 2);
	tell(db, 4, 1, 1, (const unsigned[]){ 5 }, 1);
	tell(db, 5, 1, 1, (const unsigned[]){ 4 }, 1);
	assert_int_equal(lsdb_settle(db), 0);
	assert_int_equal(db->n_members, 3);
	assert_true(is_member(db, 0) && is_member(db, 1) && is_member(db, 2));
	assert_non_null(node_of(db, 3)); /* has a slot, so others can be asked for it */
	assert_true(node_of(db, 3)->listed && !node_of(db, 3)->member);
	assert_false(is_member(db, 4) || is_member(db, 5));
	assert_false(node_of(db, 4)->listed);

	tell(db, 1, 1, 2, (const unsigned[]){ 2 }, 1); /* it has lost us */
	assert_int_equal(lsdb_settle(db), 0);
	assert_int_equal(db->n_members, 1);
	assert_true(node_of(db, 1)->listed && !node_of(db, 3)->listed);
	assert_false(db->overflow);
	free_db(db);
}

static void test_strangers_make_room(void **state)
{
	struct lsdb *db = new_db(0);

	(void)state;
	tell(db, 0, 1, 1, (const unsigned[]){ 1, 2 }, 2);
	tell(db, 1, 1, 1, (const unsigned[]){ 0 }, 1);
	tell(db, 2, 1, 1, NULL, 0); /* listed, no more */
	assert_int_equal(lsdb_settle(db), 0);
	uint32_t tenant = node_of(db, 2)->tenant;

	for (unsigned i = 100; i < 2000; i++) {
		assert_true(lsdb_get(db, id_of(i)) != LSDB_NONE);
		assert_non_null(node_of(db, i));
		if (i % 7 == 0)
			assert_int_equal(lsdb_settle(db), 0);
	}
	assert_true(is_member(db, 0) && is_member(db, 1));
	assert_non_null(node_of(db, 2));
	assert_int_equal(node_of(db, 2)->tenant, tenant);
	assert_int_equal(node_of(db, 2)->version.seq, 1);
	assert_false(db->overflow);
	free_db(db);
}

/* Who was a member last goes last. */
static void test_longest_absent_first(void **state)
{
	struct lsdb *db = new_db(0);

	(void)state;
	for (unsigned i = 1; i < TOPO_NODES_MAX; i++) {
		tell(db, 0, 1, i, (const unsigned[]){ i }, 1);
		tell(db, i, 1, 1, (const unsigned[]){ 0 }, 1);
		assert_int_equal(lsdb_settle(db), 0);
		assert_true(is_member(db, i));
	}
	for (unsigned i = 1; i < 20; i++) {
		lsdb_get(db, id_of(1000 + i));
		assert_null(node_of(db, i));
		assert_non_null(node_of(db, i + 1));
		/* The new one is looked at, so it is not the next to go. */
		tell(db, 0, 2, i, (const unsigned[]){ 1000 + i }, 1);
		assert_int_equal(lsdb_settle(db), 0);
	}
	free_db(db);
}

static void star(struct lsdb *db, uint32_t seq, unsigned n)
{
	unsigned far[TOPO_NODES_MAX * 2];

	for (unsigned i = 0; i < n; i++)
		far[i] = i + 1;
	tell(db, 0, 1, seq, far, n);
	assert_int_equal(lsdb_settle(db), 0);
}

static void test_overflow(void **state)
{
	struct lsdb *db = new_db(0);

	(void)state;
	star(db, 1, TOPO_NODES_MAX - 1);
	assert_false(db->overflow);
	assert_int_equal(lsdb_get(db, id_of(3000)), LSDB_NONE); /* all are listed */
	for (unsigned i = 1; i < 10; i++)
		tell(db, i, 1, 1, (const unsigned[]){ 0 }, 1);
	star(db, 2, TOPO_NODES_MAX);
	assert_true(db->overflow);
	assert_int_equal(db->n_members, 10);
	uint32_t tenants = db->tenants;
	assert_int_equal(lsdb_settle(db), 0); /* nobody makes room, again and again */
	assert_true(db->overflow);
	assert_int_equal(db->tenants, tenants);
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(node_of(db, i)->version.seq, 1);
	star(db, 3, TOPO_NODES_MAX - 1);
	assert_false(db->overflow);
	free_db(db);
}

/* digest */

static void test_digest_bytes(void **state)
{
	struct lsdb *db = new_db(1);
	uint8_t bytes[3 * 52] = { 0 }, want[DIGEST_BYTES];
	static const unsigned order[] = { 2, 1, 3 }; /* by id: 250.., 251.1, 251.3 */

	(void)state;
	tell(db, 1, UINT64_C(0x0102030405060708), 9, (const unsigned[]){ 2, 3 }, 2);
	tell(db, 2, 3, 0xa0b0c0d0, (const unsigned[]){ 1 }, 1);
	assert_int_equal(lsdb_settle(db), 0);
	for (unsigned i = 0; i < 3; i++) {
		const struct lsdb_node *n = &db->node[lsdb_find(db, id_of(order[i]))];

		memcpy(bytes + 52 * i, id_of(order[i]), 8);
		put_le64(bytes + 52 * i + 8,
			 (const uint64_t[]){ 3, UINT64_C(0x0102030405060708), 0 }[i]);
		put_le32(bytes + 52 * i + 16, (const uint32_t[]){ 0xa0b0c0d0, 9, 0 }[i]);
		if (n->body)
			assert_int_equal(EVP_Digest(n->body, n->len, bytes + 52 * i + 20, NULL,
						    EVP_sha256(), NULL),
					 1);
	}
	assert_int_equal(EVP_Digest(bytes, sizeof(bytes), want, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(db->digest, want, sizeof(want));
	free_db(db);
}

struct told {
	unsigned node, far[3], n;
	uint64_t incarnation;
	uint32_t seq;
};

/* A random connected graph's link states; some are told in older versions, too. */
static unsigned rand_told(struct told *ret)
{
	bool joined[NODES][NODES] = { { false } };
	unsigned n = 0;

	for (unsigned i = 1; i < NODES; i++) {
		unsigned k = i == 1 || prng_below(&rng, 4) ? i - 1 : i - 2;

		joined[i][k] = joined[k][i] = true;
	}
	for (unsigned i = 0; i < NODES; i++) {
		struct told t = { .node = i, .incarnation = 1 + prng_below(&rng, 3) };

		t.seq = 2 + (uint32_t)prng_below(&rng, 5);
		for (unsigned k = 0; k < NODES; k++) {
			if (joined[i][k] && t.n < ARRAY_SIZE(t.far))
				t.far[t.n++] = k;
		}
		ret[n++] = t;
		t.n = 0;
		t.seq -= 2;
		if (i && prng_below(&rng, 2))
			ret[n++] = t;
	}
	return n;
}

static void tell_shuffled(struct lsdb *db, struct told *t, unsigned n)
{
	static uint8_t body[LSA_BYTES_MAX];

	for (unsigned i = n; i > 1; i--) {
		unsigned k = (unsigned)prng_below(&rng, i);
		struct told x = t[k];

		t[k] = t[i - 1];
		t[i - 1] = x;
	}
	for (unsigned i = 0; i < n; i++) {
		size_t len = body_of(t[i].node, t[i].far, t[i].n, body);
		int r = lsdb_add_page(db, lsdb_get(db, id_of(t[i].node)),
				      (struct version){ t[i].incarnation, t[i].seq }, 0, 1,
				      MSG_PAGE_BYTES, body, len);

		assert_true(r >= 0);
		if (prng_below(&rng, 3) == 0)
			assert_int_equal(lsdb_settle(db), 0);
		if (prng_below(&rng, 3) == 0) /* strangers make no difference */
			lsdb_get(db, id_of(2000 + (unsigned)prng_below(&rng, 1000)));
	}
	assert_int_equal(lsdb_settle(db), 0);
}

static void test_digest_equal(void **state)
{
	struct told told[2 * NODES];
	unsigned whole = 0;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = rand_told(told);
		struct lsdb *a = new_db(0), *b = new_db((unsigned)prng_below(&rng, NODES));

		tell_shuffled(a, told, n);
		tell_shuffled(b, told, n);
		assert_int_equal(a->n_members, b->n_members);
		assert_true(a->n_members > 2);
		if (a->n_members == NODES) {
			assert_memory_equal(a->digest, b->digest, DIGEST_BYTES);
			whole++;
		}
		for (unsigned i = 0; i < NODES; i++) {
			if (!is_member(a, i))
				continue;
			/* Any difference of one member makes another digest. */
			uint8_t before[DIGEST_BYTES];
			struct lsdb_node *x = (struct lsdb_node *)node_of(a, i);

			memcpy(before, a->digest, sizeof(before));
			x->version.seq++;
			assert_int_equal(lsdb_settle(a), 0);
			assert_memory_not_equal(before, a->digest, sizeof(before));
			x->version.seq--;
			x->version.incarnation++;
			assert_int_equal(lsdb_settle(a), 0);
			assert_memory_not_equal(before, a->digest, sizeof(before));
			x->version.incarnation--;
			assert_int_equal(lsdb_settle(a), 0);
			assert_memory_equal(before, a->digest, sizeof(before));
		}
		free_db(a);
		free_db(b);
	}
	assert_true(whole > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_pages_in_any_order),
		cmocka_unit_test(test_stale_pages),
		cmocka_unit_test(test_bad_pages),
		cmocka_unit_test(test_last_page),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_strangers_make_room),
		cmocka_unit_test(test_longest_absent_first),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_digest_bytes),
		cmocka_unit_test(test_digest_equal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
