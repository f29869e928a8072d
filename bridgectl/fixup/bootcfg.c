/* Menus of boot loaders, whatever language they were written in: entries, and the default. */
#include "bridgectl/fixup/bootcfg.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

void boot_set(char **to, const char *s, size_t len)
{
	free(*to);
	*to = mem_strndup(s, len);
}

struct boot_entry *boot_menu_add(struct boot_menu *m, int parent, unsigned line)
{
	struct boot_entry *e;
	unsigned number = 0;

	if (m->n == BOOTCFG_ENTRIES_MAX)
		return NULL;
	for (unsigned i = 0; i < m->n; i++)
		number += m->v[i].parent == parent;
	e = mem_push(m->v, m->n);
	e->parent = parent;
	e->number = number;
	e->line = line;
	return e;
}

static void entry_fini(struct boot_entry *e)
{
	free(e->title);
	free(e->id);
	free(e->kernel);
	free(e->initrd);
	free(e->cmdline);
}

void boot_menu_fini(struct boot_menu *m)
{
	for (unsigned i = 0; i < m->n; i++)
		entry_fini(&m->v[i]);
	free(m->v);
	free(m->want);
	free(m->kernelopts);
	memset(m, 0, sizeof(*m));
}

char *grubenv_get(const char *env, const char *name)
{
	size_t len = strlen(name);

	for (const char *s = env; s && *s; s += strcspn(s, "\n"), s += *s == '\n')
		if (strncmp(s, name, len) == 0 && s[len] == '=')
			return mem_strndup(s + len + 1, strcspn(s + len + 1, "\r\n"));
	return NULL;
}

static bool same(const char *a, const char *s, size_t len)
{
	return a && strlen(a) == len && memcmp(a, s, len) == 0;
}

/* The child of `parent` that s[0..len) means, or -1. */
static int child(const struct boot_menu *m, int parent, const char *s, size_t len)
{
	size_t digits = strspn(s, "0123456789");
	unsigned long number = ULONG_MAX;

	if (digits == len && len > 0 && len < 9)
		number = strtoul(s, NULL, 10);
	for (unsigned i = 0; i < m->n; i++) {
		const struct boot_entry *e = &m->v[i];

		if (e->parent == parent &&
		    (e->number == number || same(e->id, s, len) || same(e->title, s, len)))
			return (int)i;
	}
	return -1;
}

/* A submenu starts nothing: its first entry stands for it. Parents come before their children. */
static int leaf(const struct boot_menu *m, int i)
{
	while (i >= 0 && m->v[i].submenu)
		i = child(m, i, "0", 1);
	return i;
}

static int find(const struct boot_menu *m, const char *want)
{
	int at = child(m, -1, want, strlen(want));

	if (at >= 0)
		return at;
	for (const char *s = want;; s++) {
		size_t len = strcspn(s, ">");

		at = child(m, at, s, len);
		s += len;
		if (at < 0 || !*s)
			return at;
	}
}

void boot_menu_choose(struct boot_menu *m, const char *want)
{
	m->def = -1;
	if (want && *want)
		m->def = leaf(m, find(m, want));
	/* As GRUB does when it finds no such entry. */
	for (unsigned i = 0; i < m->n && m->def < 0; i++)
		if (m->v[i].parent < 0)
			m->def = leaf(m, (int)i);
}
