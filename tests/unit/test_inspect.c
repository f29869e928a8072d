/*
 * What is seen in a guest: each tree of tests/support/guest_trees.py against
 * tests/golden/inspect/NAME.json (GOLDEN_UPDATE=1 writes them), trees with something changed, and
 * the record as JSON, also from a child that lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/fixup/inspect.h"
#include "common/proc.h"
#include "common/util.h"
#include "tests/support/temp_dir.h"

static char *names[32]; /* of the trees */
static unsigned n_names;

static const char *srcdir(void)
{
	const char *dir = getenv("srcdir");

	return dir ? dir : ".";
}

/* Runs the builder of trees; its answer, to be freed. */
static char *builder(const char *arg, const char *where)
{
	const struct proc_limits limits = { .timeout_ms = 60000, .out_bytes = 4096 };
	const char *python = getenv("PYTHON");
	struct proc_result r;
	char script[PATH_MAX], *out;

	snprintf(script, sizeof(script), "%s/tests/support/guest_trees.py", srcdir());
	if (proc_run((const char *const[]){ python ? python : "python3", "-B", script, arg, where,
					    NULL },
		     &limits, NULL, 0, &r) < 0)
		return NULL;
	if (r.exit_code)
		print_error("%s", r.err);
	assert_int_equal(r.exit_code, 0);
	out = steal(r.out);
	proc_result_fini(&r);
	return out;
}

static void path_of(char path[PATH_MAX], const char *tree, const char *file)
{
	assert_true(snprintf(path, PATH_MAX, "%.1000s/%.100s%.1000s", temp_dir("inspect"), tree,
			     file) < PATH_MAX);
}

static struct inspection *look(const char *name)
{
	char path[PATH_MAX];
	struct inspection *in;
	struct tree *t;

	path_of(path, name, "");
	assert_int_equal(tree_dir_open(path, true, &t), 0);
	in = inspect(t);
	tree_free(t);
	return in;
}

/* A tree of its own, to be changed. */
static void fresh(const char *name)
{
	char path[PATH_MAX];

	path_of(path, name, "");
	free(builder(name, path));
}

static void put(const char *tree, const char *file, const char *content)
{
	char path[PATH_MAX];
	FILE *f;

	path_of(path, tree, file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

static void drop(const char *tree, const char *file)
{
	char path[PATH_MAX];

	path_of(path, tree, file);
	assert_int_equal(unlink(path), 0);
}

static void make_folder(const char *tree, const char *name)
{
	char path[PATH_MAX];

	path_of(path, tree, name);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

/* --- Golden records --- */

static void test_golden(void **state)
{
	const char *name = *state;
	struct inspection *in, *back;
	char path[PATH_MAX];
	json_t *got, *want, *again;

	fresh(name);
	in = look(name);
	got = inspection_json(in);
	snprintf(path, sizeof(path), "%s/tests/golden/inspect/%s.json", srcdir(), name);
	if (getenv("GOLDEN_UPDATE"))
		assert_int_equal(json_dump_file(got, path, JSON_INDENT(1)), 0);
	want = json_load_file(path, 0, NULL);
	assert_non_null(want);
	if (!json_equal(got, want)) {
		char *text = json_dumps(got, JSON_INDENT(1));

		fail_msg("%s is not what was seen:\n%s", path, text);
	}
	back = inspection_from_json(got);
	assert_non_null(back);
	again = inspection_json(back);
	assert_true(json_equal(got, again));
	json_decref(again);
	json_decref(want);
	json_decref(got);
	inspection_free(back);
	inspection_free(in);
}

/* --- Which kernel --- */

static void assert_kernel(const char *name, const char *path)
{
	struct inspection *in = look(name);
	const struct guest_kernel *k = inspection_kernel(in);

	if (path)
		assert_non_null(k);
	else
		assert_null(k);
	if (k)
		assert_string_equal(k->path, path);
	inspection_free(in);
}

static void test_kernel(void **state)
{
	(void)state;
	fresh("debian6");
	assert_kernel("debian6", "/boot/vmlinuz-2.6.32-5-xen-amd64");
	/* The default has nothing but Xen's driver. */
	put("debian6", "/boot/grub/menu.lst",
	    "default 0\ntitle a\nkernel /boot/vmlinuz-2.6.32-5-amd64 ro\n"
	    "initrd /boot/initrd.img-2.6.32-5-amd64\n");
	assert_kernel("debian6", "/boot/vmlinuz-2.6.32-5-xen-amd64");
	/* The newest does not run here; neither is the default. */
	assert_kernel("sles11", "/boot/vmlinuz-3.0.101-108.7-default");
	/* Only the rescue entry's initramfs has what is needed. */
	assert_kernel("centos7", "/boot/vmlinuz-0-rescue-c0ffee00c0ffee00c0ffee00c0ffee00");
	drop("centos7", "/boot/vmlinuz-0-rescue-c0ffee00c0ffee00c0ffee00c0ffee00");
	assert_kernel("centos7", NULL);
	fresh("centos7");
}

/* Two boot loaders' menus: the one counts that our boot record looks for first. */
static void test_two_menus(void **state)
{
	struct inspection *in;

	(void)state;
	put("debian8", "/boot/grub/menu.lst", "title a\nkernel /boot/vmlinuz-3.16.0-4-amd64 ro\n");
	in = look("debian8");
	assert_int_equal(in->boot, BOOT_GRUB2);
	assert_string_equal(in->notes[0],
			    "/boot/grub/menu.lst is there as well as /boot/grub/grub.cfg, "
			    "which counts");
	inspection_free(in);
	put("debian8", "/boot/grub/grub.cfg", "# nothing\n");
	in = look("debian8");
	assert_int_equal(in->boot, BOOT_GRUB_LEGACY);
	assert_true(in->kernels[1].is_default);
	inspection_free(in);
	fresh("debian8");
}

/* What is not understood is not "no". */
static void test_unknown_initrd(void **state)
{
	struct inspection *in;

	(void)state;
	fresh("leap15");
	put("leap15", "/boot/initrd-5.14.21-150500.55.52-default", "no initramfs at all");
	in = look("leap15");
	assert_non_null(in->kernels[0].initrd_why);
	assert_int_equal(in->kernels[0].drivers.virtio_blk, NOT_KNOWN);
	assert_int_equal(in->kernels[0].drivers.virtio_net, YES);
	assert_non_null(strstr(in->notes[0], "is not understood: a part begins with 6e 6f"));
	assert_ptr_equal(inspection_kernel(in), &in->kernels[0]);
	inspection_free(in);
	drop("leap15", "/boot/initrd-5.14.21-150500.55.52-default");
	in = look("leap15");
	assert_null(in->kernels[0].initrd);
	assert_int_equal(in->kernels[0].drivers.virtio_blk, NO);
	assert_null(inspection_kernel(in));
	inspection_free(in);
	fresh("leap15");
}

/* A kernel without a configuration and lists: its name and its file's head are all there is. */
static void test_bare_kernels(void **state)
{
	static const struct {
		const char *name, *arch;
		bool xen_only;
	} cases[] = {
		{ "2.6.18-8.el5xen", NULL, true },	  { "2.6.16.33-xenU", NULL, true },
		{ "2.6.26-2-xen-amd64", "x86_64", true }, { "2.6.32-5-xen-686", "i686", false },
		{ "4.19.0-amd64", "x86_64", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct inspection *in;
		char file[128];

		fresh("debian8");
		snprintf(file, sizeof(file), "/boot/vmlinuz-%s", cases[i].name);
		put("debian8", file, "neither ELF nor bzImage");
		in = look("debian8");
		for (unsigned k = 0; k < in->n_kernels; k++) {
			const struct guest_kernel *g = &in->kernels[k];

			if (strcmp(g->version, cases[i].name) != 0)
				continue;
			assert_int_equal(g->xen_only, cases[i].xen_only);
			assert_int_equal(g->drivers.virtio_blk, NOT_KNOWN);
			if (cases[i].arch)
				assert_string_equal(g->arch, cases[i].arch);
			file[0] = '\0';
		}
		assert_int_equal(file[0], '\0');
		inspection_free(in);
	}
	fresh("debian8");
}

/* --- Other things --- */

static bool nics_renamed(const char *tree)
{
	struct inspection *in = look(tree);
	bool renames = in->renames_nics;

	inspection_free(in);
	return renames;
}

static void test_renames(void **state)
{
	char path[PATH_MAX];

	(void)state;
	assert_true(nics_renamed("debian12"));
	assert_false(nics_renamed("debian12-ifnames"));
	assert_false(nics_renamed("debian8"));
	assert_false(nics_renamed("centos6"));
	make_folder("debian12", "/etc/systemd/network");
	path_of(path, "debian12", "/etc/systemd/network/99-default.link");
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_false(nics_renamed("debian12"));
	fresh("debian12");
	make_folder("debian12", "/etc/udev");
	make_folder("debian12", "/etc/udev/rules.d");
	put("debian12", "/etc/udev/rules.d/80-net-setup-link.rules", "");
	assert_false(nics_renamed("debian12"));
	fresh("debian12");
}

static bool renamed_once(const char *udev)
{
	struct inspection *in;
	char status[256];
	bool once;

	snprintf(status, sizeof(status),
		 "Package: libudev1\nVersion: 9\n\nPackage: udev\nStatus: install ok installed\n%s"
		 "\nPackage: x\nVersion: 1\n",
		 udev);
	make_folder("debian12", "/var/lib/dpkg");
	put("debian12", "/var/lib/dpkg/status", status);
	in = look("debian12");
	once = in->renames_once;
	inspection_free(in);
	fresh("debian12");
	return once;
}

static void test_renames_once(void **state)
{
	(void)state;
	assert_true(renamed_once("Version: 237-3ubuntu10.57\n"));
	assert_true(renamed_once("Version: 232-25+deb9u1\n"));
	assert_false(renamed_once("Version: 241-7~deb10u8\n"));
	assert_false(renamed_once(""));
}

/* What there was before os-release counts where that does not say what it is of. */
static void test_release_without_id(void **state)
{
	struct inspection *in;

	(void)state;
	put("debian12", "/usr/lib/os-release", "VERSION_ID=99\nPRETTY_NAME=x\n");
	in = look("debian12");
	assert_string_equal(in->id, "debian");
	assert_string_equal(in->version, "12.5");
	inspection_free(in);
	fresh("debian12");
}

static void test_empty(void **state)
{
	struct inspection *in;
	char path[PATH_MAX];
	json_t *j;

	(void)state;
	path_of(path, "empty", "");
	assert_int_equal(mkdir(path, 0755), 0);
	in = look("empty");
	assert_int_equal(in->n_kernels, 0);
	assert_int_equal(in->family, FAMILY_UNKNOWN);
	assert_null(inspection_kernel(in));
	assert_int_equal(in->n_notes, 4);
	j = inspection_json(in);
	assert_non_null(j);
	json_decref(j);
	inspection_free(in);
}

/* Many kernels: the newest are told, and the default though it is the oldest. */
static void test_many_kernels(void **state)
{
	struct inspection *in;
	unsigned defaults = 0;

	(void)state;
	fresh("debian6");
	put("debian6", "/boot/grub/menu.lst", "title a\nkernel /boot/vmlinuz-2.6.32-5-amd64 ro\n");
	for (unsigned i = 10; i < 90; i++) {
		char file[64];

		snprintf(file, sizeof(file), "/boot/vmlinuz-6.%u.0", i);
		put("debian6", file, "x");
	}
	in = look("debian6");
	assert_int_equal(in->n_kernels, INSPECT_KERNELS_MAX);
	assert_string_equal(in->kernels[0].version, "6.89.0");
	for (unsigned i = 0; i < in->n_kernels; i++)
		defaults += in->kernels[i].is_default;
	assert_int_equal(defaults, 1);
	inspection_free(in);
	fresh("debian6");
}

/* --- A record from a child that may have been taken over --- */

static json_t *good_record(void)
{
	struct inspection *in = look("debian12");
	json_t *j = inspection_json(in);

	inspection_free(in);
	return j;
}

static void assert_refused(json_t *j)
{
	assert_null(inspection_from_json(j));
	json_decref(j);
}

static void test_json_keys(void **state)
{
	json_t *good = good_record(), *v;
	const char *key;

	(void)state;
	json_object_foreach(good, key, v) {
		json_t *j = json_deep_copy(good);

		json_object_del(j, key);
		if (json_is_string(v) || json_is_null(v)) {
			inspection_free(inspection_from_json(j)); /* a text may be missing or not */
			json_object_set_new(j, key, json_integer(7));
		}
		assert_refused(j);
	}
	json_decref(good);
	assert_null(inspection_from_json(NULL));
	assert_refused(json_array());
}

static void test_json_bounds(void **state)
{
	static char text[INSPECT_TEXT_MAX + 2];
	json_t *good = good_record(), *j, *list;

	(void)state;
	memset(text, 'x', INSPECT_TEXT_MAX + 1);
	j = json_deep_copy(good);
	json_object_set_new(j, "pretty", json_string(text));
	assert_refused(j);
	j = json_deep_copy(good);
	json_object_set_new(j, "pretty", json_stringn("a\0b", 3));
	assert_refused(j);
	j = json_deep_copy(good);
	list = json_object_get(j, "kernels");
	while (json_array_size(list) <= INSPECT_KERNELS_MAX)
		json_array_append(list, json_array_get(list, 0));
	assert_refused(j);
	j = json_deep_copy(good);
	list = json_object_get(j, "notes");
	while (json_array_size(list) <= INSPECT_NAMES_MAX)
		json_array_append_new(list, json_string("note"));
	assert_refused(j);
	j = json_deep_copy(good);
	json_object_set_new(json_array_get(json_object_get(j, "kernels"), 0), "path", json_null());
	assert_refused(j);
	json_decref(good);
}

static int set_up(void **state)
{
	char *list;

	(void)state;
	list = builder("--list", NULL);
	if (!list)
		return -1;
	for (char *s = strtok(list, "\n"); s && n_names < ARRAY_SIZE(names); s = strtok(NULL, "\n"))
		names[n_names++] = strdup(s);
	free(list);
	return n_names > 10 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_names; i++)
		free(names[i]);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_unknown_initrd),
		cmocka_unit_test(test_bare_kernels),
		cmocka_unit_test(test_renames),
		cmocka_unit_test(test_renames_once),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_release_without_id),
		cmocka_unit_test(test_two_menus),
		cmocka_unit_test(test_many_kernels),
		cmocka_unit_test(test_json_keys),
		cmocka_unit_test(test_json_bounds),
	};
	struct CMUnitTest tests[ARRAY_SIZE(names) + ARRAY_SIZE(others)];
	unsigned n = 0;
	void *none = NULL;

	if (set_up(&none) < 0) {
		printf("1..0 # SKIP no trees: there is no Python\n");
		return 77;
	}
	for (unsigned i = 0; i < n_names; i++)
		tests[n++] = (struct CMUnitTest){ .name = names[i],
						  .test_func = test_golden,
						  .initial_state = names[i] };
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("inspect", tests, n, NULL, tear_down);
}
