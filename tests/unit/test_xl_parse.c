/*
 * The scanner and the parser of Xen configuration files: a file on the left, what is assigned on
 * the right. Errors by their place.
 */
#include "bridgectl/domain/xl_parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/domain/xl_scan.h"
#include "common/util.h"

static void put_value(FILE *f, const struct xl_value *v)
{
	switch (v->kind) {
	case XL_STRING:
		fprintf(f, "'%s'", v->text);
		break;
	case XL_INT:
		fprintf(f, "%lld", (long long)v->number);
		break;
	case XL_LIST:
		fputc('[', f);
		for (unsigned i = 0; i < v->n; i++) {
			if (i)
				fputc(',', f);
			put_value(f, v->items[i]);
		}
		fputc(']', f);
		break;
	case XL_UNKNOWN:
		fprintf(f, "?(%s)", v->text);
		break;
	default:
		fputs(v->text, f);
	}
}

/* "a=1 b='x'", the errors as "!line:column" behind. */
static char *parsed(const char *text)
{
	struct xl_file file;
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	xl_parse(text, strlen(text), &file);
	for (unsigned i = 0; i < file.n; i++) {
		if (file.assigns[i].superseded)
			continue;
		fprintf(f, " %s=", file.assigns[i].key);
		put_value(f, file.assigns[i].value);
	}
	for (unsigned i = 0; i < file.report.n; i++)
		if (file.report.items[i].severity == REPORT_ERROR)
			fprintf(f, " !%u:%u", file.report.items[i].line,
				file.report.items[i].column);
	xl_file_fini(&file);
	fclose(f);
	return out;
}

static void check(const char *text, const char *wanted)
{
	_cleanup_free_ char *got = parsed(text);

	if (strcmp(got[0] ? got + 1 : got, wanted) != 0)
		fail_msg("%s\ngives  %s\nwanted %s", text, got, wanted);
}

static void as_xl(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "\n\n# only this", "" },
		{ "a=1", "a=1" },
		{ "a = 1 # one\nb='x'\n", "a=1 b='x'" },
		{ "  a = 0x10\n\tb = 010;c=10;;", "a=16 b=8 c=10" },
		{ "a = []\nb = [ 'x', ]\nc=[\n'x'\n,\n2\n]", "a=[] b=['x'] c=['x',2]" },
		{ "a = [ [ 'x' ], [] ]", "a=[['x'],[]]" },
		{ "a = 'it\\'s' \nb = \"\\\"\\x41\\101\\n\\t\\\\\"", "a='it's' b='\"AA\n\t\\'" },
		{ "a='1'\na='2'", "a='2'" },
		{ "a='x'\na+='y'\nb=['1']\nb += [ '2' ]", "a='xy' b=['1','2']" },
		{ "a = '#'#", "a='#'" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], rows[i][1]);
}

static void as_python(void **state)
{
	static const char *const rows[][2] = {
		{ "a=1\r\nb='x'\r\n", "a=1 b='x'" },
		{ "\xef\xbb\xbf"
		  "a=1",
		  "a=1" },
		{ "a=-1;b=+2;c=--3", "a=-1 b=2 c=3" },
		{ "a=None;b=True;c=False", "a=None b=True c=False" },
		{ "A_b=1\n_c=A_b", "A_b=1 _c=1" },
		{ "a = 'x' + \"y\"", "a='xy'" },
		{ "a = 'x' \"y\" '''z'''", "a='xyz'" },
		{ "a = '''x\n'y'\n'''", "a='x\n'y'\n'" },
		{ "a = '''x\r\ny'''", "a='x\ny'" },
		{ "a = r'x\\n'\nb = u'y'\nc=b'z'\nd='\\d\\''", "a='x\\n' b='y' c='z' d='\\d''" },
		{ "a = 'x\\\ny'", "a='xy'" },
		{ "a = 1 + \\\n 2", "a=3" },
		{ "a = 2 * 3 + 4 * (5 - 1)\nb = 7 / 2\nc = -7 // 2\nd = 7 % 4\ne=5L",
		  "a=22 b=3 c=-4 d=3 e=5" },
		{ "n = 'web'\na = 'x-%s' % n\nb = '%s-%02d%%' % (n, 7)\nc='%d' % True",
		  "n='web' a='x-web' b='web-07%' c='1'" },
		{ "a = 'x%5s|' % 'y'", "a='x    y|'" },
		{ "a = ('x', 'y')\nb = ('x')\nc = 'x',\nd = ()", "a=['x','y'] b='x' c=['x'] d=[]" },
		{ "a = ['x'] + ['y']\nb = a", "a=['x','y'] b=['x','y']" },
		{ "a = b = 'x'", "b='x' a='x'" },
		{ "a = [1]\na.append(2)\na.append('x',)", "a=[1,2,['x']]" },
		{ "'''a text'''\na=1", "a=1" },
		{ "a = 1\na += 2", "a=3" },
		{ "a = 1.5", "a='1.5'" },
		{ "a = f'{x}'", "a=?(a string with code in it)" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], rows[i][1]);
}

/* What Python computes is not known, and nothing else is lost over it. */
static void never_run(void **state)
{
	static const char *const rows[][2] = {
		{ "import os\nfrom x import (y,\n z)\na=1", "a=1" },
		{ "a = os.uname()[1]\nb=2", "a=?(the variable os) b=2" },
		{ "a = f(1,\n 2)\nb=2", "a=?(f()) b=2" },
		{ "a = [ x for x in y ]\nb=2", "a=[?(the variable x)] b=2" },
		{ "a = {'x': 1}\nb=2", "a=?(an expression) b=2" },
		{ "a = 1\nb = a if a > 1 else 2\nc=3", "a=1 b=?(an expression with if) c=3" },
		{ "a = 'x'.upper()\nb=2", "a=?(an expression with .) b=2" },
		{ "a = 'x' % 3\nb = 1 / 0\nc = 'a' * 3",
		  "a=?(the result of %) b=?(the result of /) c=?(the result of *)" },
		{ "def f(x):\n  a = 1\n\n  # c\n  return 3\nb=2", "b=2" },
		{ "a=1\nif x:\n  a = 2\nelse:\n  c = 3\nb=2",
		  "a=?(`if` on line 2) c=?(`else` on line 4) b=2" },
		{ "if x: a = 1; b = 2\nc = 3", "a=?(`if` on line 1) b=?(`if` on line 1) c=3" },
		{ "a=[]\nfor x in [1]:\n\ta.append(x)\n\td[1] = 2\nb=2",
		  "a=?(`for` on line 2) b=2" },
		{ "if f(a=1):\n  pass\nb = 2", "b=2" },
		{ "if x:\n  a = 1\na = 2", "a=2" },
		{ "a=[]\na.extend(['x'])\nb=2", "a=?(this code) b=2" },
		{ "f(1)\nprint a\nb=2", "b=2" },
		{ "@x\ndef f(): return 1\nb=2", "b=2" },
		{ "try:\n  import x\nexcept:\n  x = 1\nb = x + 2",
		  "x=?(`except` on line 3) b=?(`except` on line 3)" },
		{ "x -= 1\nb = 2", "x=?(this code) b=2" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], rows[i][1]);
}

/* An error costs its own statement. */
static void errors(void **state)
{
	static const char *const rows[][2] = {
		{ "a = 'x\nb = 2", "b=2 !1:5" },
		{ "a = '''x\nb = 2", "!1:5" },
		{ "a = [ 'x',\nb = 2", "b=2 !1:5" },
		{ "a = [ 'x'\nb = 2", "b=2 !1:5" },
		{ "a = [ 'x' ) \nb = 2", "b=2 !1:11" },
		{ "a = 1 2\nb = 2", "b=2 !1:7" },
		{ "a =\nb = 2", "b=2 !1:4" },
		{ "a\nb = 2", "b=2 !1:1" },
		{ "a 'x'\nb = 2", "b=2 !1:1" },
		{ "= 2\nb = 2", "b=2 !1:1" },
		{ "a = 12ab\nb = 2", "b=2 !1:5" },
		{ "a = 99999999999999999999\nb=2", "a='99999999999999999999' b=2" },
		{ "a = $x\nb = 2", "b=2 !1:5" },
		{ "a = 'x' $\nb = 2", "b=2 !1:9" },
		{ "a = '\\x4'\nb = 2", "a='4' b=2 !1:8" },
		{ "a = '\\0'\nb = 2", "a='' b=2 !1:7" },
		{ "\xc3\xa4\xc3\xb6 = 1\nb = 2", "b=2 !1:1" },
		{ "a = '\xc3\xa4' $\nb=2", "b=2 !1:9" },
		{ "a = -'x'\nb=2", "b=2 !1:9" },
		{ "a: 1\nb=2", "b=2 !1:1" },
		{ "a = ,\nb=2", "b=2 !1:5" },
		{ "a = b = \nc=2", "c=2 !1:9" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], rows[i][1]);
}

static void warnings(void **state)
{
	static const char text[] = "a = 1\na = 2\nb = [ 'x'\n 'y' ]\nimport z\n";
	static const unsigned lines[] = { 2, 4, 5 };
	struct xl_file file;

	(void)state;
	xl_parse(text, strlen(text), &file);
	assert_int_equal(file.report.n_errors, 0);
	assert_int_equal(file.report.n, ARRAY_SIZE(lines));
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(file.report.items[i].line, lines[i]);
	assert_true(file.assigns[0].superseded);
	assert_int_equal(xl_file_get(&file, "a")->value->number, 2);
	assert_null(xl_file_get(&file, "z"));
	xl_file_fini(&file);
}

static void numbers(void **state)
{
	static const char text[] =
		"a = '0x10'\nb = ' 12 '\nc = '1G'\nd = ''\ne = None\nf = True\ng = [ 1 ]\nh='010'";
	static const int64_t wanted[] = { 16, 12, -1, -1, -1, 1, -1, 8 };
	struct xl_file file;

	(void)state;
	xl_parse(text, strlen(text), &file);
	assert_int_equal(file.n, ARRAY_SIZE(wanted));
	for (unsigned i = 0; i < file.n; i++) {
		int64_t n = -1;

		assert_int_equal(xl_value_number(file.assigns[i].value, &n), wanted[i] != -1);
		assert_int_equal(n, wanted[i]);
	}
	xl_file_fini(&file);
}

static void tokens_have_places(void **state)
{
	static const char text[] = "a = 'x'\n  # c\n\tbb=[ 12 ]";
	static const struct {
		enum xl_token_type type;
		const char *text;
		unsigned line, column;
		bool first;
	} wanted[] = {
		{ XL_NAME, "a", 1, 1, true },	  { XL_PUNCT, "=", 1, 3, false },
		{ XL_QUOTED, "x", 1, 5, false },  { XL_NEWLINE, "", 1, 8, false },
		{ XL_NEWLINE, "", 2, 6, true },	  { XL_NAME, "bb", 3, 2, true },
		{ XL_PUNCT, "=", 3, 4, false },	  { XL_PUNCT, "[", 3, 5, false },
		{ XL_NUMBER, "12", 3, 7, false }, { XL_PUNCT, "]", 3, 10, false },
		{ XL_END, "", 3, 11, false },
	};
	struct report report = { 0 };
	struct xl_tokens t;

	(void)state;
	xl_scan(text, strlen(text), &report, &t);
	assert_int_equal(t.n, ARRAY_SIZE(wanted));
	for (unsigned i = 0; i < t.n; i++) {
		assert_int_equal(t.v[i].type, wanted[i].type);
		assert_string_equal(t.v[i].text, wanted[i].text);
		assert_int_equal(t.v[i].line, wanted[i].line);
		assert_int_equal(t.v[i].column, wanted[i].column);
		assert_int_equal(t.v[i].first, wanted[i].first);
	}
	assert_int_equal(report.n, 0);
	xl_tokens_fini(&t);
}

static void quotes(void **state)
{
	char *q, text[1024];
	unsigned caret = 99;

	(void)state;
	q = report_quote("ab\n\tcd\x1b\r\n", 9, 2, 3, &caret);
	assert_string_equal(q, " cd ");
	assert_int_equal(caret, 2);
	free(q);
	assert_null(report_quote("ab\n", 3, 2, 1, &caret));
	assert_null(report_quote("ab\n", 3, 0, 0, &caret));
	memset(text, 'x', sizeof(text));
	text[500] = '!';
	q = report_quote(text, sizeof(text), 1, 501, &caret);
	assert_int_equal(strlen(q), 100);
	assert_int_equal(q[caret], '!');
	free(q);
}

/* Errors are kept rather than warnings, and all are counted. */
static void many_messages(void **state)
{
	struct report r = { 0 };

	(void)state;
	for (unsigned i = 1; i <= REPORT_MAX + 50; i++)
		report_warning(&r, i, 1, "warning");
	report_error(&r, 7, 1, "error");
	report_error(&r, 7, 1, "error");
	assert_int_equal(r.n, REPORT_MAX);
	assert_int_equal(r.n_errors, 1);
	assert_int_equal(r.n_dropped, 51);
	assert_int_equal(r.items[REPORT_MAX - 1].severity, REPORT_ERROR);
	report_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_xl),
		cmocka_unit_test(as_python),
		cmocka_unit_test(never_run),
		cmocka_unit_test(errors),
		cmocka_unit_test(warnings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(tokens_have_places),
		cmocka_unit_test(quotes),
		cmocka_unit_test(many_messages),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("xl_parse", tests, NULL, NULL);
}
