/* Menus of boot loaders: which entries, and above all which of them is the default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/fixup/bootcfg.h"
#include "common/util.h"

#define ENTRY(title, kernel) \
	"menuentry '" title "' --id '" title "-id' {\n linux " kernel " ro\n}\n"

/* Three entries, the second and third in a submenu. */
#define MENU                                                                            \
	ENTRY("first", "/k0")                                                           \
	"submenu 'more' --class x $menuentry_id_option 'more-id' {\n" ENTRY("a", "/k1") \
		ENTRY("b > c", "/k2") "}\n" ENTRY("last", "/k3")

static void assert_default(const char *text, const char *env, const char *kernel)
{
	struct boot_menu m;

	boot_menu_grub2(text, env, &m);
	assert_true(m.def >= 0);
	assert_string_equal(m.v[m.def].kernel, kernel);
	boot_menu_fini(&m);
}

static void test_grub2_default(void **state)
{
	static const struct {
		const char *set, *saved, *kernel;
	} cases[] = {
		{ "", NULL, "/k0" },
		{ "set default=2\n", NULL, "/k3" },
		{ "set default=\"1>0\"\n", NULL, "/k1" },
		{ "set default='more>b > c'\n", NULL, "/k0" }, /* as GRUB splits it */
		{ "set default='more-id>a-id'\n", NULL, "/k1" },
		{ "set default=1\n", NULL, "/k1" },
		{ "set default=last\n", NULL, "/k3" },
		{ "set default=nowhere\n", NULL, "/k0" },
		{ "set default=99\n", NULL, "/k0" },
		{ "set default=\"${saved_entry}\"\n", "last-id", "/k3" },
		{ "set default=$saved_entry\n", "more>a", "/k1" },
		{ "set default=\"${saved_entry}\"\n", "", "/k0" },
		{ "set default=\"${saved_entry}\"\n", NULL, "/k0" },
		/* Conditions, as grub-mkconfig and Red Hat write them. */
		{ "if [ \"${next_entry}\" ] ; then\n set default=\"${next_entry}\"\n set "
		  "next_entry=\nelse\n set default=\"2\"\nfi\n",
		  NULL, "/k3" },
		{ "if [ x ]; then set default=\"${saved_entry}\"; fi\nif [ \"${boot_counter}\" = 0 "
		  "]; then\n set default=1\nfi\n",
		  "last", "/k3" },
		{ "set default=0\nif [ x ]; then set default=1; fi\n", NULL, "/k0" },
		{ "if x; then set default=0; fi\nset default=last\n", NULL, "/k3" },
		{ "function f {\n set default=2\n}\n", NULL, "/k0" },
		{ "# set default=2\n", NULL, "/k0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[2048], env[256];

		snprintf(text, sizeof(text), "%s" MENU, cases[i].set);
		snprintf(env, sizeof(env), "# GRUB Environment Block\nsaved_entry=%s\n####",
			 cases[i].saved ? cases[i].saved : "");
		assert_default(text, cases[i].saved ? env : NULL, cases[i].kernel);
	}
}

static void test_grub2_words(void **state)
{
	static const char text[] =
		"menuentry \"A \\\"b\\\"\" --users '' --unrestricted --class x --id=i1 { # no }\n"
		"\tif [ x$y = z ]; then insmod gzio; fi\n"
		"\tsearch --set=root ${x}\n"
		"\tlinux16 /boot/k\\ 1 root=UUID=1 \\\n\t\tcmd='a b' $opts\n"
		"\tinitrd16 /ucode.img /initrd $more\n}\n"
		"menuentry Xen {\n\tmultiboot2 /xen.gz dom0_mem=1\n"
		"\tmodule2 /vmlinuz placeholder root=/dev/xvda1\n"
		"\tmodule2 --nounzip /initrd.img\n}\n";
	struct boot_menu m;

	(void)state;
	boot_menu_grub2(text, NULL, &m);
	assert_int_equal(m.n, 2);
	assert_string_equal(m.v[0].title, "A \"b\"");
	assert_string_equal(m.v[0].id, "i1");
	assert_string_equal(m.v[0].kernel, "/boot/k 1");
	assert_string_equal(m.v[0].cmdline, "root=UUID=1 cmd=a b $opts");
	assert_string_equal(m.v[0].initrd, "/initrd");
	assert_false(m.v[0].xen);
	assert_int_equal(m.v[1].line, 8);
	assert_true(m.v[1].xen);
	assert_string_equal(m.v[1].kernel, "/vmlinuz");
	assert_string_equal(m.v[1].cmdline, "root=/dev/xvda1");
	assert_string_equal(m.v[1].initrd, "/initrd.img");
	boot_menu_fini(&m);
}

static void test_grub2_bounds(void **state)
{
	size_t size = 600 * 64;
	char *text = calloc(1, size);
	struct boot_menu m;

	(void)state;
	for (unsigned i = 0; i < 600; i++)
		strcat(text, "menuentry a {\nlinux /k\n}\n");
	boot_menu_grub2(text, NULL, &m);
	assert_int_equal(m.n, BOOTCFG_ENTRIES_MAX);
	boot_menu_fini(&m);
	*text = '\0';
	for (unsigned i = 0; i < 600; i++)
		strcat(text, "submenu s {\n");
	strcat(text, "menuentry deep {\nlinux /k\n}\n");
	boot_menu_grub2(text, NULL, &m);
	assert_true(m.n <= BOOTCFG_ENTRIES_MAX);
	boot_menu_fini(&m);
	free(text);
}

static void test_legacy(void **state)
{
	static const char text[] = "# a comment\ndefault=1\ntimeout 5\ntitle  One \nroot (hd0,0)\n"
				   "kernel --no-mem-option (hd0,0)/k1 root=/dev/xvda1  ro\r\n"
				   "initrd /i1 /more\n\n"
				   "title Two\n\tkernel /xen.gz dom0_mem=1\n"
				   "\tmodule /k2 root=/dev/xvda2\n\tmodule /i2\n"
				   "title Windows\nchainloader +1\n";
	struct boot_menu m;

	(void)state;
	boot_menu_legacy(text, NULL, &m);
	assert_int_equal(m.n, 3);
	assert_int_equal(m.def, 1);
	assert_string_equal(m.v[0].title, "One");
	assert_int_equal(m.v[0].line, 4);
	assert_string_equal(m.v[0].kernel, "(hd0,0)/k1");
	assert_string_equal(m.v[0].cmdline, "root=/dev/xvda1  ro");
	assert_string_equal(m.v[0].initrd, "/i1");
	assert_true(m.v[1].xen);
	assert_string_equal(m.v[1].kernel, "/k2");
	assert_string_equal(m.v[1].initrd, "/i2");
	assert_null(m.v[2].kernel);
	boot_menu_fini(&m);
}

static void test_legacy_saved(void **state)
{
	static const char text[] = "default saved\ntitle a\nkernel /a\ntitle b\nkernel /b\n";
	struct boot_menu m;

	(void)state;
	boot_menu_legacy(text, "1\n#\n#\n", &m);
	assert_int_equal(m.def, 1);
	boot_menu_fini(&m);
	boot_menu_legacy(text, NULL, &m);
	assert_int_equal(m.def, 0);
	boot_menu_fini(&m);
}

static void test_extlinux(void **state)
{
	static const char text[] = "default l1\nprompt 0\nlabel l0\n menu label A system\n"
				   " linux ../vmlinuz\n append root=/dev/vda1 quiet\n"
				   "LABEL l1\n\tKERNEL /k\n"
				   "\tAPPEND ro initrd=/ucode,/initrd root=LABEL=r\n";
	struct boot_menu m;

	(void)state;
	boot_menu_extlinux(text, &m);
	assert_int_equal(m.n, 2);
	assert_int_equal(m.def, 1);
	assert_string_equal(m.v[0].title, "A system");
	assert_string_equal(m.v[0].kernel, "../vmlinuz");
	assert_string_equal(m.v[0].cmdline, "root=/dev/vda1 quiet");
	assert_string_equal(m.v[1].kernel, "/k");
	assert_string_equal(m.v[1].initrd, "/initrd");
	boot_menu_fini(&m);
}

static void bls(struct boot_menu *m, const char *env)
{
	memset(m, 0, sizeof(*m));
	boot_menu_bls_add(m, "id-5.14.0-70.conf",
			  "title old\nlinux /k70\ninitrd /i70 $tuned_initrd\n"
			  "options $kernelopts $tuned_params quiet\n");
	boot_menu_bls_add(m, "id-5.14.0-362.conf",
			  "title new\nlinux /k362\ninitrd /i362\noptions root=/dev/vda1\n"
			  "options ro\n");
	boot_menu_bls_end(m, env);
}

static void test_bls(void **state)
{
	struct boot_menu m;

	(void)state;
	bls(&m, NULL);
	assert_string_equal(m.v[m.def].kernel, "/k362");
	assert_string_equal(m.v[m.def].cmdline, "root=/dev/vda1 ro");
	assert_string_equal(m.v[1].cmdline, "quiet");
	assert_string_equal(m.v[1].initrd, "/i70");
	boot_menu_fini(&m);
	bls(&m, "saved_entry=id-5.14.0-70\nkernelopts=root=UUID=1 ro\n");
	assert_string_equal(m.v[m.def].kernel, "/k70");
	assert_string_equal(m.v[m.def].cmdline, "root=UUID=1 ro quiet");
	boot_menu_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grub2_default), cmocka_unit_test(test_grub2_words),
		cmocka_unit_test(test_grub2_bounds),  cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_legacy_saved),  cmocka_unit_test(test_extlinux),
		cmocka_unit_test(test_bls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
