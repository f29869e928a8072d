/*
 * What xl and xm print, cut off anywhere, of any size and of bad will: the readers of
 * S-expressions, tables and JSON. What they make of real outputs is in
 * tests/golden/test_domain_xen.py.
 */
#include "bridgectl/hypervisor/xen_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/hyper_private.h"
#include "bridgectl/hypervisor/sxp.h"

/* --- S-expressions --- */

static void sxp_texts(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{ "(a b)", "b" },
		{ "\v(a\r\nb)\f", "b" },
		{ "(a 'b c')", "b c" },
		{ "(a \"it's\")", "it's" },
		{ "(a 'it\\'s')", "it's" },
		{ "(a '\\x41\\101\\n\\\\\\q')", "AA\n\\q" },
		{ "(a '\\x00b')", "b" },
		{ "(a '\\xZZ')", "xZZ" },
		{ "(a '')", "" },
		{ "(a x='y')", "x='y'" },
		{ "# (a c)\n(a b) # (a d)", "b" },
		{ "(a b) (a c)", "b" },
		{ "(x y) (a b c)", "b" },
		{ "(b a) ((a c)) (a (b))", NULL },
		{ "(a)", NULL },
		{ "", NULL },
		{ "a", NULL },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sxp *s = NULL;
		const char *got;

		assert_int_equal(sxp_parse(cases[i].text, strlen(cases[i].text), &s), 0);
		got = sxp_text(s, "a");
		assert_true(got ? cases[i].value && !strcmp(got, cases[i].value) : !cases[i].value);
		sxp_free(s);
	}
}

static void sxp_refused(void **state)
{
	static const char *const cases[] = { "(",	 ")",	   "(a))",     "(a 'b",
					     "(a 'b\\'", "(a \"b", "(a \x01)", "((((" };
	struct sxp *s = (struct sxp *)cases;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(sxp_parse(cases[i], strlen(cases[i]), &s), -EINVAL);
	assert_int_equal(sxp_parse("(a '\0')", 7, &s), -EINVAL);
	assert_ptr_equal(s, cases); /* untouched */
}

static void sxp_bounds(void **state)
{
	size_t n = 4 * SXP_NODES_MAX;
	char *text = malloc(n);
	struct sxp *s;

	(void)state;
	memset(text, '(', n);
	assert_int_equal(sxp_parse(text, n, &s), -E2BIG);
	memset(text + SXP_DEPTH_MAX, ')', SXP_DEPTH_MAX);
	assert_int_equal(sxp_parse(text, (size_t)2 * SXP_DEPTH_MAX, &s), 0);
	sxp_free(s);
	for (size_t i = 0; i < n; i++)
		text[i] = i % 2 ? ' ' : 'a';
	assert_int_equal(sxp_parse(text, n, &s), -E2BIG);
	/* One atom of megabytes is fine. */
	memset(text, 'a', n);
	assert_int_equal(sxp_parse(text, n, &s), 0);
	assert_int_equal(strlen(s->items[0].text), n);
	sxp_free(s);
	free(text);
}

/* --- Details --- */

static const char json[] =
	"[{\"domid\": 3, \"config\": {\"c_info\": {\"name\": \"web1\", \"uuid\": "
	"\"B6DC29ED-0ACE-49E3-BA30-F2DCD4182C5B\"}, \"b_info\": {\"target_memkb\": 1024}, "
	"\"nics\": [{\"devid\": 0, \"mac\": \"00:16:3E:00:00:01\", \"bridge\": \"br0\"}]}}]";
static const char sxp[] = "(domain (domid 3) (name web1) (uuid b6dc29ed-0ace-49e3-ba30-"
			  "f2dcd4182c5b) (target_memkb 1024) (state -b----) (device (vif (bridge "
			  "br0) (mac 00163e000001))))";

static void check_web1(const struct hyper_list *l)
{
	assert_int_equal(l->n, 1);
	assert_string_equal(l->v[0].name, "web1");
	assert_int_equal(l->v[0].id, 3);
	assert_string_equal(l->v[0].uuid, "b6dc29ed-0ace-49e3-ba30-f2dcd4182c5b");
	assert_int_equal(l->v[0].memory, 1 << 20);
	assert_int_equal(l->v[0].state, HYPER_RUNNING);
	assert_int_equal(l->v[0].n_vifs, 1);
	assert_string_equal(l->v[0].vifs[0].mac, "00:16:3e:00:00:01");
	assert_string_equal(l->v[0].vifs[0].bridge, "br0");
	assert_string_equal(l->v[0].vifs[0].interface, "vif3.0");
}

/* Cut off anywhere it is an error, and nothing is added. */
static void details_cut(const char *text, size_t len)
{
	struct hyper_list l = { 0 };

	assert_int_equal(xen_read_details(text, len, &l), 0);
	check_web1(&l);
	for (size_t n = 1; n < len; n++) {
		char *copy = mem_strndup(text, n);

		assert_int_equal(xen_read_details(copy, n, &l), -EINVAL);
		assert_int_equal(l.n, 1);
		free(copy);
	}
	hyper_list_fini(&l);
}

static void details(void **state)
{
	struct hyper_list l = { 0 };

	(void)state;
	details_cut(json, strlen(json));
	details_cut(sxp, strlen(sxp));
	assert_int_equal(xen_read_details(" \n", 2, &l), 0);
	assert_int_equal(xen_read_details("error", 5, &l), -EINVAL);
	assert_int_equal(l.n, 0);
}

static void details_odd(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
	} cases[] = {
		{ "[]", 0 },
		{ "{}", 0 },
		{ "[1, null, \"x\", [{}]]", 0 },
		{ "[{\"domid\": -1}, {\"domid\": 4294967295}, {\"domid\": \"1\"}]", 0 },
		{ "{\"domid\": 1}{\"domid\": 2}\n[{\"domid\": 3}]", 3 },
		{ "[{\"domid\": 1, \"config\": 5}]", 1 },
		{ "[{\"domid\": 1, \"config\": {\"c_info\": [], \"nics\": {\"mac\": 1}}}]", 1 },
		{ "[{\"domid\": 1, \"config\": {\"nics\": [5, {\"mac\": 7, \"bridge\": []}]}}]",
		  1 },
		{ "(domain)", 1 },
		{ "(domain (domid 99999999999) (device) (device vif) (device (vif)))", 1 },
		{ "(dom (domid 1)) (domain (domid 2))", 1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hyper_list l = { 0 };

		assert_int_equal(xen_read_details(cases[i].text, strlen(cases[i].text), &l), 0);
		assert_int_equal(l.n, cases[i].n);
		for (unsigned k = 0; k < l.n; k++)
			assert_non_null(l.v[k].name);
		hyper_list_fini(&l);
	}
}

/* `n` times a piece between two others. */
static char *repeat(const char *first, const char *piece, const char *last, unsigned n)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(first, f);
	for (unsigned i = 0; i < n; i++)
		fputs(piece, f);
	fputs(last, f);
	fclose(f);
	return text;
}

static void details_many(void **state)
{
	char *text = repeat("", "(domain (domid 1))", "", XEN_DOMAINS_MAX + 5);
	struct hyper_list l = { 0 };

	(void)state;
	assert_int_equal(xen_read_details(text, strlen(text), &l), 0);
	assert_int_equal(l.n, XEN_DOMAINS_MAX);
	hyper_list_fini(&l);
	free(text);
	text = repeat("(domain (domid 1)", "(device (vif (mac 00163e000001)))", ")", 1000);
	assert_int_equal(xen_read_details(text, strlen(text), &l), 0);
	assert_int_equal(l.v[0].n_vifs, XEN_VIFS_MAX);
	hyper_list_fini(&l);
	free(text);
	/* jansson's own limit of depth. */
	text = repeat("", "[", "", 100000);
	assert_int_equal(xen_read_details(text, strlen(text), &l), -EINVAL);
	free(text);
}

/* --- Tables --- */

static void tables(void **state)
{
	static const struct {
		const char *line, *name;
		int id;
		enum hyper_state state;
		unsigned mib;
	} cases[] = {
		{ "web1  2   256     1     -b----       9.6", "web1", 2, HYPER_RUNNING, 256 },
		{ "web1  2   256     1     ------       9.6", "web1", 2, HYPER_RUNNING, 256 },
		{ "web1  2   256     1     -bp---       9.6", "web1", 2, HYPER_PAUSED, 256 },
		{ "web1  2   256     1     ---s--       9.6", "web1", 2, HYPER_ENDING, 256 },
		{ "web1  2   256     1     ---sc-       9.6", "web1", 2, HYPER_CRASHED, 256 },
		{ "web1  2   256     1     ----c-       9.6", "web1", 2, HYPER_CRASHED, 256 },
		{ "(null) 2 0 1 --p--d 9.6 b6dc29ed-0ace-49e3-ba30-f2dcd4182c5b", "(null)", 2,
		  HYPER_ENDING, 0 },
		{ "a b c 2 256 1 r----- 1.0", "a b c", 2, HYPER_RUNNING, 256 },
		{ "7 2 256 1 r----- 1.0", "7", 2, HYPER_RUNNING, 256 },
		{ "r----- 2 256 1 r----- 1.0", NULL, 0, 0, 0 },
		{ "spare          2048     2                 0.0", "spare", -1, HYPER_OFF, 2048 },
		{ "Name   ID   Mem VCPUs\tState\tTime(s)", NULL, 0, 0, 0 },
		{ "web1 x 256 1 -b---- 9.6", NULL, 0, 0, 0 },
		{ "256 1 -b---- 9.6", NULL, 0, 0, 0 },
		{ "web1 2 9999999999 1 -b---- 9.6", NULL, 0, 0, 0 },
		{ "web1 2 256 1 -B---- 9.6", NULL, 0, 0, 0 },
		{ "", NULL, 0, 0, 0 },
		{ "   \t ", NULL, 0, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hyper_list l = { 0 };

		xen_read_table(cases[i].line, &l);
		assert_int_equal(l.n, cases[i].name ? 1 : 0);
		if (!l.n)
			continue;
		assert_string_equal(l.v[0].name, cases[i].name);
		assert_int_equal(l.v[0].id, cases[i].id);
		assert_int_equal(l.v[0].state, cases[i].state);
		assert_int_equal(l.v[0].memory >> 20, cases[i].mib);
		hyper_list_fini(&l);
	}
}

static void table_huge(void **state)
{
	char *text = repeat("", "web1 2 256 1 -b---- 9.6\n", "", XEN_DOMAINS_MAX + 10), *line;
	struct hyper_list l = { 0 };

	(void)state;
	xen_read_table(text, &l);
	assert_int_equal(l.n, XEN_DOMAINS_MAX);
	hyper_list_fini(&l);
	free(text);
	line = repeat("", "a ", "2 256 1 r----- 1.0", 100000);
	xen_read_table(line, &l);
	assert_int_equal(l.n, 0);
	free(line);
}

static void nics(void **state)
{
	struct hyper_domain d = { .id = 4 };
	struct hyper_list l = { .v = mem_new(sizeof(d)), .n = 1 };

	(void)state;
	l.v[0] = d;
	xen_read_nics("Idx BE Mac Addr. handle\n"
		      "1   0  00:16:3e:00:00:02     1     4     -1   1/2 /path\n"
		      "0 0 00:16:3E:00:00:01\n"
		      "0 0 00:16:3e:00:00:09\n"
		      "2 0 00:00:00:00:00:00\n"
		      "5000 0 00:16:3e:00:00:03\n"
		      "x 0 00:16:3e:00:00:04\n"
		      "3 0 00:16:3e:00:00:0g\n"
		      "3 0",
		      &l.v[0]);
	assert_int_equal(l.v[0].n_vifs, 2);
	assert_string_equal(l.v[0].vifs[0].mac, "00:16:3e:00:00:01");
	assert_string_equal(l.v[0].vifs[1].mac, "00:16:3e:00:00:02");
	assert_string_equal(l.v[0].vifs[1].interface, "vif4.1");
	hyper_list_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sxp_texts),   cmocka_unit_test(sxp_refused),
		cmocka_unit_test(sxp_bounds),  cmocka_unit_test(details),
		cmocka_unit_test(details_odd), cmocka_unit_test(details_many),
		cmocka_unit_test(tables),      cmocka_unit_test(table_huge),
		cmocka_unit_test(nics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
