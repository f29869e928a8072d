/*
 * A boot loader's menu from anybody, in every language there is: what comes out is a tree of
 * bounded size, and the default is an entry of it that starts something.
 */
#include <stdlib.h>
#include <string.h>

#include "bridgectl/fixup/bootcfg.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check(struct boot_menu *m)
{
	CHECK(m->n <= BOOTCFG_ENTRIES_MAX && m->def < (int)m->n);
	for (unsigned i = 0; i < m->n; i++) {
		const struct boot_entry *e = &m->v[i];

		CHECK(e->parent < (int)i && e->line > 0 && e->number < m->n);
		CHECK(e->parent < 0 || m->v[e->parent].submenu);
	}
	CHECK(m->def < 0 || !m->v[m->def].submenu);
	boot_menu_fini(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_menu m;
	char *text, *env;

	if (size > 32 * 1024)
		return 0;
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	/* What stands behind a NUL is the environment block. */
	env = strlen(text) < size ? text + strlen(text) + 1 : NULL;
	boot_menu_grub2(text, env, &m);
	check(&m);
	boot_menu_legacy(text, env, &m);
	check(&m);
	boot_menu_extlinux(text, &m);
	check(&m);
	memset(&m, 0, sizeof(m));
	for (unsigned i = 0; i < 3; i++)
		boot_menu_bls_add(&m, i == 1 ? "b.conf" : "a-1.10.conf", text);
	boot_menu_bls_end(&m, env);
	check(&m);
	free(text);
	return 0;
}
