/*
 * Differential test: what Xen's own library reads, we read in the same way. libxlutil is taken when
 * the machine has it (Debian: libxen-dev) and never linked; without it the test is skipped.
 *
 * Only what it accepts is compared: we accept more. Files and disk strings are made up from a seed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/domain/diskspec.h"
#include "bridgectl/domain/xl_parse.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define FILES 4000
#define DISKS 20000

/* The first fields of libxl_device_disk (libxl.h of Xen 4.2 to 4.20), and room for the others. */
struct disk {
	uint32_t backend_domid;
	char *backend_domname, *pdev_path, *vdev;
	int backend, format;
	char *script;
	int removable, readwrite, is_cdrom;
	char rest[512];
};

static const char *const formats[] = { "?", "qcow", "qcow2", "vhd", "raw", "empty", "qed" };

#define FORMAT_EMPTY 5

static struct {
	void *lib;
	FILE *report;
	void *(*cfg_init)(FILE *report, const char *name);
	int (*cfg_readdata)(void *cfg, const char *data, int len);
	void (*cfg_destroy)(void *cfg);
	int (*cfg_get_string)(const void *cfg, const char *name, const char **ret, int quiet);
	int (*cfg_get_list)(const void *cfg, const char *name, void **ret, int *ret_n, int quiet);
	const char *(*cfg_get_listitem)(const void *list, int i);
	int (*disk_parse)(void *cfg, int n, const char *const *specs, struct disk *disk);
} xlu;

static void *open_library(void)
{
	char name[32];
	void *lib = dlopen("libxlutil.so", RTLD_NOW | RTLD_LOCAL);

	for (unsigned i = 30; i >= 2 && !lib; i--) {
		snprintf(name, sizeof(name), "libxlutil.so.4.%u", i);
		lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	}
	return lib;
}

static int load(void **state)
{
	const struct {
		const char *name;
		void **field;
	} symbols[] = {
		{ "xlu_cfg_init", (void **)&xlu.cfg_init },
		{ "xlu_cfg_readdata", (void **)&xlu.cfg_readdata },
		{ "xlu_cfg_destroy", (void **)&xlu.cfg_destroy },
		{ "xlu_cfg_get_string", (void **)&xlu.cfg_get_string },
		{ "xlu_cfg_get_list", (void **)&xlu.cfg_get_list },
		{ "xlu_cfg_get_listitem", (void **)&xlu.cfg_get_listitem },
		{ "xlu_disk_parse", (void **)&xlu.disk_parse },
	};

	(void)state;
	xlu.lib = open_library();
	for (unsigned i = 0; i < ARRAY_SIZE(symbols) && xlu.lib; i++) {
		*symbols[i].field = dlsym(xlu.lib, symbols[i].name);
		if (!*symbols[i].field)
			xlu.lib = NULL;
	}
	xlu.report = fopen("/dev/null", "w");
	return xlu.report ? 0 : -1;
}

static void need_library(void)
{
	if (xlu.lib)
		return;
	print_message("no libxlutil on this machine; Debian has it in libxen-dev\n");
	skip();
}

/* --- Files --- */

struct text {
	char s[4096];
	size_t n;
};

static void put(struct text *t, const char *s)
{
	size_t n = strlen(s);

	assert_true(t->n + n < sizeof(t->s));
	memcpy(t->s + t->n, s, n + 1);
	t->n += n;
}

static const char *pick(struct prng *p, const char *const *words, size_t n)
{
	return words[prng_below(p, n)];
}

#define PICK(p, words) pick(p, words, ARRAY_SIZE(words))

static const char *const keys[] = { "a", "bc", "d_e", "f0", "name", "disk" };

static void put_atom(struct prng *p, struct text *t)
{
	static const char *const atoms[] = {
		"1",	   "0x1f",	 "007",	     "'x'",
		"\"y z\"", "''",	 "'a\\'b'",  "\"\\\"\\n\"",
		"'# no'",  "'a=b,c;d'",	 "\"'\"",    "'\\\\'",
		"42",	   "'\xc3\xa4'", "'\\t\\r'", "'phy:/dev/x,xvda,w'",
	};

	put(t, PICK(p, atoms));
}

static void put_space(struct prng *p, struct text *t, bool lines)
{
	static const char *const spaces[] = { "", " ", "\t", "  ", "" };
	static const char *const wide[] = { "\n", " \n\n", " # c ]\n", "\n  " };

	put(t, PICK(p, spaces));
	if (lines && prng_below(p, 4) == 0)
		put(t, PICK(p, wide));
}

static void put_list(struct prng *p, struct text *t)
{
	unsigned n = (unsigned)prng_below(p, 5);

	put(t, "[");
	put_space(p, t, true);
	for (unsigned i = 0; i < n; i++) {
		put_atom(p, t);
		put_space(p, t, true);
		if (i + 1 < n || prng_below(p, 3) == 0)
			put(t, ",");
		put_space(p, t, true);
	}
	put(t, "]");
}

static void put_line(struct prng *p, struct text *t)
{
	static const char *const ends[] = { "\n", "\n", ";", " # end\n", "\n\n", " ; " };
	static const char *const odd[] = { "import os\n", "if x:\n", "a = ;\n", "b = 'x\n",
					   "c = [\n" };

	if (prng_below(p, 200) == 0)
		put(t, PICK(p, odd));
	put_space(p, t, false);
	put(t, PICK(p, keys));
	put_space(p, t, false);
	put(t, "=");
	put_space(p, t, false);
	if (prng_below(p, 3) == 0)
		put_list(p, t);
	else
		put_atom(p, t);
	put(t, PICK(p, ends));
}

static void same_list(const char *text, const struct xl_value *v, const void *list, int n)
{
	if (!v || v->kind != XL_LIST || v->n != (unsigned)n)
		fail_msg("%s: a list of %d", text, n);
	for (int i = 0; i < n; i++)
		if (strcmp(v->items[i]->text, xlu.cfg_get_listitem(list, i)) != 0)
			fail_msg("%s: %s", text, v->items[i]->text);
}

static void same_key(const char *text, const void *cfg, const struct xl_file *file, const char *key)
{
	const struct xl_assign *a = xl_file_get(file, key);
	const char *s;
	void *list;
	int n, r = xlu.cfg_get_string(cfg, key, &s, 1);

	if (r == ESRCH && a)
		fail_msg("%s: %s is not there", text, key);
	if (r == 0 && (!a || a->value->kind == XL_LIST || strcmp(a->value->text, s) != 0))
		fail_msg("%s: %s is %s", text, key, s);
	if (r == EINVAL && xlu.cfg_get_list(cfg, key, &list, &n, 1) == 0)
		same_list(text, a ? a->value : NULL, list, n);
}

/* Whether the library took it. */
static bool compare_file(const char *text)
{
	void *cfg = xlu.cfg_init(xlu.report, "x");
	bool taken = xlu.cfg_readdata(cfg, text, (int)strlen(text)) == 0;
	struct xl_file file;

	xl_parse(text, strlen(text), &file);
	if (taken && file.report.n_errors)
		fail_msg("%s: %u:%u %s", text, file.report.items[0].line,
			 file.report.items[0].column, file.report.items[0].text);
	for (unsigned i = 0; i < ARRAY_SIZE(keys) && taken; i++)
		same_key(text, cfg, &file, keys[i]);
	for (unsigned i = 0; i < file.n && taken; i++)
		same_key(text, cfg, &file, file.assigns[i].key);
	xl_file_fini(&file);
	xlu.cfg_destroy(cfg);
	return taken;
}

static void files(void **state)
{
	struct prng p = { 20261121 };
	unsigned taken = 0;

	(void)state;
	need_library();
	for (unsigned i = 0; i < FILES; i++) {
		unsigned lines = 1 + (unsigned)prng_below(&p, 12);
		struct text t = { .n = 0 };

		for (unsigned k = 0; k < lines; k++)
			put_line(&p, &t);
		taken += compare_file(t.s);
	}
	print_message("%u of %u files were taken by libxlutil\n", taken, FILES);
	assert_true(taken > FILES / 2);
}

/* The files of the golden tests. */
static void golden(void **state)
{
	const char *top = getenv("srcdir");
	unsigned taken = 0;
	char pattern[4096];
	glob_t found;

	(void)state;
	need_library();
	snprintf(pattern, sizeof(pattern), "%s/tests/golden/domain/*.cfg", top ? top : ".");
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		_cleanup_fclose_ FILE *f = fopen(found.gl_pathv[i], "r");
		char text[65536];

		assert_non_null(f);
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		taken += compare_file(text);
	}
	print_message("%u of %zu golden files were taken by libxlutil\n", taken, found.gl_pathc);
	assert_true(taken > found.gl_pathc / 3);
	globfree(&found);
}

/* --- Disks --- */

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

/* What we made of the library's target. */
static bool same_target(const struct diskspec *d, const char *target)
{
	size_t n = target ? strlen(target) : 0;

	if (!n || d->kind == DISK_EMPTY)
		return d->kind == DISK_EMPTY;
	if (d->resource)
		return !strcmp(d->resource, target);
	return strlen(d->path) >= n && !strcmp(d->path + strlen(d->path) - n, target);
}

/* libxl refuses a disk without a source later, we do at once; or an empty drive with a medium. */
static bool makes_sense(const struct disk *d)
{
	bool target = d->pdev_path && d->pdev_path[0];

	return target ? d->format != FORMAT_EMPTY : d->is_cdrom;
}

static bool compare_disk(void *cfg, const char *spec)
{
	struct disk theirs = { 0 };
	struct diskspec ours;
	char err[DISKSPEC_ERRLEN];
	unsigned offset;
	bool taken = xlu.disk_parse(cfg, 1, &spec, &theirs) == 0 && makes_sense(&theirs);

	if (taken && diskspec_parse(spec, &ours, err, &offset) < 0)
		fail_msg("%s: %s", spec, err);
	if (taken) {
		if (!same_text(ours.vdev, theirs.vdev) || ours.readonly == theirs.readwrite ||
		    ours.cdrom != theirs.is_cdrom || !same_text(ours.script, theirs.script) ||
		    !same_text(ours.backend, theirs.backend_domname) ||
		    !same_target(&ours, theirs.pdev_path) ||
		    (ours.kind != DISK_EMPTY && !same_text(ours.format, formats[theirs.format])))
			fail_msg(
				"%s: vdev %s rw %d cdrom %d script %s backend %s path %s format %s",
				spec, theirs.vdev, theirs.readwrite, theirs.is_cdrom, theirs.script,
				theirs.backend_domname, theirs.pdev_path, formats[theirs.format]);
		diskspec_fini(&ours);
	}
	free(theirs.backend_domname);
	free(theirs.pdev_path);
	free(theirs.vdev);
	free(theirs.script);
	return taken;
}

static void put_positions(struct prng *p, struct text *t)
{
	static const char *const prefixes[] = { "",
						"",
						"",
						"phy:",
						"file:",
						"tap:",
						"aio:",
						"tap:aio:",
						"tap2:aio:",
						"qcow2:",
						"vhd:",
						"raw:",
						"drbd:",
						"iscsi:",
						"nbd:",
						"ioemu:",
						"tap:tapdisk:aio:",
						"tap:qcow:" };
	static const char *const targets[] = { "/dev/vg/x", "vg0/y", "/srv/a b.img", "r0", "" };
	static const char *const middle[] = { "raw", "qcow2", "", "vhd", "qcow", "empty", "qed" };
	static const char *const vdevs[] = { "xvda",	 "xvda1", "hdc:cdrom",
					     "sda:disk", "51712", "hda" };
	static const char *const modes[] = { "w", "r", "rw", "ro", "" };
	const char *prefix = PICK(p, prefixes);

	put(t, prefix);
	put(t, PICK(p, targets));
	put(t, ",");
	if (!prefix[0] && prng_below(p, 8)) {
		put(t, PICK(p, middle));
		put(t, ",");
	}
	put(t, PICK(p, vdevs));
	if (prng_below(p, 5)) {
		put(t, ",");
		put(t, PICK(p, modes));
	}
}

static void put_named(struct prng *p, struct text *t)
{
	static const char *const words[] = {
		"format=raw",	  "format=qcow2",    "vdev=xvdb",     "access=ro",
		"access=rw",	  "cdrom",	     "devtype=cdrom", "devtype=disk",
		"backend=stor",	  "script=block-x",  "discard",	      "no-discard",
		"direct-io-safe", "backendtype=phy", "format=",
	};

	put(t, PICK(p, words));
}

static void make_disk(struct prng *p, struct text *t)
{
	bool positions = prng_below(p, 4) != 0, target = !positions || prng_below(p, 8) == 0;
	unsigned n = (unsigned)prng_below(p, positions ? 3 : 5);

	if (positions)
		put_positions(p, t);
	for (unsigned i = 0; i < n; i++) {
		if (t->n)
			put(t, prng_below(p, 2) ? "," : ", ");
		put_named(p, t);
	}
	if (target) {
		put(t, t->n ? "," : "");
		put(t, "target=/t,with:all=of it");
	}
}

static void disks(void **state)
{
	struct prng p = { 7 };
	unsigned taken = 0;
	void *cfg;

	(void)state;
	need_library();
	cfg = xlu.cfg_init(xlu.report, "x");
	for (unsigned i = 0; i < DISKS; i++) {
		struct text t = { .n = 0 };

		make_disk(&p, &t);
		taken += compare_disk(cfg, t.s);
	}
	xlu.cfg_destroy(cfg);
	print_message("%u of %u disks were taken by libxlutil\n", taken, DISKS);
	assert_true(taken > DISKS / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(golden),
		cmocka_unit_test(disks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("xl_oracle", tests, load, NULL);
}
