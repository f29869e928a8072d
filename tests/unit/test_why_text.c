/*
 * Every state with every reason has a cause and a remedy, as sentences for people; and the way
 * between two bridges is found hop by hop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/hops.h"
#include "l2tund/why_text.h"

/* Sentences */

static void assert_sentence(const char *text, unsigned s, unsigned r)
{
	char filled[512];
	size_t n;

	if (!text || !*text)
		fail_msg("nothing is said of %s (%s)", tunnel_state_name(s), tunnel_reason_name(r));
	n = strlen(text);
	if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ{`", text[0]) || text[n - 1] != '.')
		fail_msg("no sentence: %s", text);
	why_fill(text, "sv", "xen1", filled, sizeof(filled));
	if (strpbrk(filled, "{}") || strlen(filled) >= sizeof(filled) - 1)
		fail_msg("not filled in: %s", filled);
}

static void every_state_and_reason(void **state)
{
	(void)state;
	for (unsigned s = 0; s < TUNNEL_STATES; s++) {
		for (unsigned r = 0; r < TUNNEL_REASONS; r++) {
			struct why_text w = why_text(s, r);

			assert_sentence(w.cause, s, r);
			assert_sentence(w.remedy, s, r);
		}
	}
	assert_sentence(why_text(TUNNEL_STATES, TUNNEL_REASONS).remedy, 0, 0);
}

/* No two reasons share a cause: whoever reads it must know which one it is. */
static void causes_differ(void **state)
{
	(void)state;
	for (unsigned r = 1; r < TUNNEL_REASONS; r++) {
		for (unsigned o = 0; o < r; o++)
			assert_string_not_equal(why_text(TUNNEL_BLOCKED, r).cause,
						why_text(TUNNEL_BLOCKED, o).cause);
	}
}

static void latched_wants_somebody(void **state)
{
	(void)state;
	for (unsigned r = 0; r < TUNNEL_REASONS; r++) {
		const char *remedy = why_text(TUNNEL_LATCHED, r).remedy;

		assert_non_null(strstr(remedy, r == REASON_PORT ? "`bridgectl tunnel up {tunnel}`" :
								  "`bridgectl tunnel clear "
								  "{tunnel}`"));
		assert_null(strstr(remedy, "by itself"));
		assert_non_null(strstr(why_text(TUNNEL_REFUSED, r).remedy, "reload"));
	}
}

static void names_are_filled_in(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(
		why_fill("{tunnel} to {peer}, {x}.", "sv", "{tunnel}", buf, sizeof(buf)),
		"sv to {tunnel}, {x}.");
	assert_string_equal(
		why_fill("{tunnel}{tunnel}", "12345678901234567890", "", buf, sizeof(buf)),
		"1234567890123456789012345678901");
	assert_string_equal(why_fill("", "", "", buf, 1), "");
}

static void commands_are_told_once(void **state)
{
	(void)state;
	assert_true(
		why_is_told("off; `bridgectl tunnel up a`", "`bridgectl tunnel up a` does it."));
	assert_false(
		why_is_told("off; `bridgectl tunnel up b`", "`bridgectl tunnel up a` does it."));
	assert_false(why_is_told("`x`", "`x` and `y`."));
	assert_false(why_is_told("anything", "Nothing has to be done."));
	assert_false(why_is_told("", "odd ` quote"));
}

/* Hops */

static struct topo_segment segment(const char *name)
{
	struct topo_segment s = { 0 };

	s.node[0] = (uint8_t)name[0];
	snprintf(s.bridge, sizeof(s.bridge), "%s", name + 1);
	return s;
}

/* A node's name is its letter, in capitals. */
static void join(struct hops *h, const char *a, const char *b, bool in_tree)
{
	char name_a[] = { (char)(a[0] - 32), 0 }, name_b[] = { (char)(b[0] - 32), 0 };
	struct topo_edge_view v = { .a = segment(a),
				    .b = segment(b),
				    .name_a = name_a,
				    .name_b = name_b,
				    .in_tree = in_tree };

	hops_visitor.edge(h, &v);
}

static void join_foreign(struct hops *h, const char *by, const char *heard)
{
	struct topo_foreign_view v = {
		.by = segment(by), .heard = segment(heard), .name_by = "", .name_heard = ""
	};

	hops_visitor.foreign(h, &v);
}

/* "A:br B:br=C:br": where it leads to, `=` before what a foreign path leads to. */
static const char *way(struct hops *h, const char *from, const char *to, unsigned max,
		       unsigned *ret_n)
{
	struct topo_segment a = segment(from), b = segment(to);
	static char text[256];
	struct hop hops[16];
	size_t len = 0;

	text[0] = '\0';
	*ret_n = hops_find(h, &a, &b, hops, max);
	for (unsigned i = 0; i < MIN(*ret_n, max); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%c%s", i ? " " : "",
					hops[i].foreign ? '=' : hops[i].name_to[0],
					hops[i].to.bridge);
	return text;
}

static void way_over_tunnels(void **state)
{
	struct hops h = { 0 };
	unsigned n;

	(void)state;
	join(&h, "abr", "bbr", true);
	join(&h, "cbr", "bbr", true);
	join(&h, "dbr", "cbr", true);
	join(&h, "abr", "dbr", false); /* stands by */
	join(&h, "bother", "dbr", true);
	assert_string_equal(way(&h, "abr", "dbr", 16, &n), "Bbr Cbr Dbr");
	assert_int_equal(n, 3);
	/* Asked again, and for less than there is. */
	assert_string_equal(way(&h, "dbr", "abr", 2, &n), "Cbr Bbr");
	assert_int_equal(n, 3);
	assert_string_equal(way(&h, "abr", "bother", 16, &n), "Bbr Cbr Dbr Bother");
	assert_string_equal(way(&h, "abr", "abr", 16, &n), "");
	assert_int_equal(n, 0);
	hops_fini(&h);
}

static void way_over_foreign_path(void **state)
{
	struct hops h = { 0 };
	unsigned n;

	(void)state;
	join(&h, "abr", "bbr", true);
	join_foreign(&h, "cbr", "bbr");
	join_foreign(&h, "bbr", "cbr");
	assert_string_equal(way(&h, "abr", "cbr", 16, &n), "Bbr =br");
	assert_string_equal(way(&h, "cbr", "abr", 16, &n), "=br Abr");
	hops_fini(&h);
}

/* Frames do not go from one tunnel of a mesh to another, but on by what else there is. */
static void way_over_a_mesh(void **state)
{
	struct topo_edge_view mesh = { .a = segment("abr"),
				       .b = segment("bbr"),
				       .name_a = "A",
				       .name_b = "B",
				       .in_tree = true,
				       .mesh = true };
	struct hops h = { 0 };
	unsigned n;

	(void)state;
	hops_visitor.edge(&h, &mesh);
	mesh.a = segment("cbr");
	mesh.name_a = "C";
	hops_visitor.edge(&h, &mesh);
	join_foreign(&h, "cbr", "dbr");
	assert_string_equal(way(&h, "abr", "bbr", 16, &n), "Bbr");
	assert_string_equal(way(&h, "abr", "cbr", 16, &n), "");
	assert_string_equal(way(&h, "bbr", "dbr", 16, &n), "Cbr =br");
	hops_fini(&h);
}

static void no_way(void **state)
{
	struct hops h = { 0 };
	unsigned n;

	(void)state;
	assert_string_equal(way(&h, "abr", "bbr", 16, &n), "");
	join(&h, "abr", "bbr", false);
	join(&h, "abr", "cbr", true);
	join(&h, "bbr", "dbr", true);
	assert_string_equal(way(&h, "abr", "bbr", 16, &n), "");
	assert_string_equal(way(&h, "abr", "zbr", 16, &n), "");
	assert_string_equal(way(&h, "zbr", "abr", 16, &n), "");
	assert_int_equal(n, 0);
	hops_fini(&h);
}

/* As many as there may be, in a row and in a heap: it must not take long. */
static void largest_topology(void **state)
{
	struct hops h = { 0 };
	char a[16], b[16];
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < 16384; i++) {
		snprintf(a, sizeof(a), "a%u", i);
		snprintf(b, sizeof(b), "a%u", i + 1);
		join(&h, a, b, true);
		snprintf(b, sizeof(b), "b%u", i);
		join_foreign(&h, "ahub", b);
	}
	way(&h, "a0", "a16384", 1, &n);
	assert_int_equal(n, 16384);
	way(&h, "b0", "b16383", 1, &n);
	assert_int_equal(n, 2);
	way(&h, "b0", "a0", 1, &n);
	assert_int_equal(n, 0);
	hops_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_and_reason),
		cmocka_unit_test(causes_differ),
		cmocka_unit_test(latched_wants_somebody),
		cmocka_unit_test(names_are_filled_in),
		cmocka_unit_test(commands_are_told_once),
		cmocka_unit_test(way_over_tunnels),
		cmocka_unit_test(way_over_foreign_path),
		cmocka_unit_test(way_over_a_mesh),
		cmocka_unit_test(no_way),
		cmocka_unit_test(largest_topology),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
