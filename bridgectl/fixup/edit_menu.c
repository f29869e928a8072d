/*
 * Entries of the menus of GRUB 2 and of GRUB before it: as much as it takes to tell which kernel an
 * entry starts, and what the boot loader calls the entry. Not a shell: menus are written by
 * grub-mkconfig and its like, one command in a line.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_private.h"

#define DEPTH_MAX 4
#define LABEL_MAX 128

static const char *const rescue_words[] = { "recovery", "rescue", "failsafe", "single-user" };

/* Where the reader is: how many entries were seen at each depth of submenus. */
struct reader {
	struct menu *m;
	bool legacy;
	unsigned depth, count[DEPTH_MAX + 1];
	char names[DEPTH_MAX + 1][LABEL_MAX]; /* of the submenus around */
	bool submenu[64];
	unsigned braces;
	struct menu_entry *entry; /* the open one */
	unsigned entry_braces, modules;
};

const char *path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_kernel_word(const struct word *w, bool legacy)
{
	if (legacy)
		return word_is(w, "kernel");
	return word_is(w, "linux") || word_is(w, "linux16") || word_is(w, "linuxefi");
}

bool menu_kernel(const char *line, bool legacy, struct word *ret_path, struct word *ret_args)
{
	const char *s = line;
	struct word w;

	if (!word_next(&s, &w) || !is_kernel_word(&w, legacy))
		return false;
	do {
		if (!word_next(&s, ret_path))
			return false;
	} while (word_begins(ret_path, "--"));
	*ret_args = (struct word){ s, strlen(s) };
	return true;
}

static bool is_rescue(const char *line)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rescue_words); i++) {
		if (strcasestr(line, rescue_words[i]))
			return true;
	}
	return false;
}

/* `$menuentry_id_option 'ID'` is what stays when entries come and go; else the number. */
static void put_label(const char *line, unsigned number, char ret[LABEL_MAX])
{
	const char *s = strstr(line, "$menuentry_id_option '");
	size_t len;

	snprintf(ret, LABEL_MAX, "%u", number);
	if (!s)
		return;
	s = strchr(s, '\'') + 1;
	len = strcspn(s, "'");
	if (len > 0 && len < LABEL_MAX && s[len] == '\'' && strcspn(s, ">\"\\$`") >= len)
		snprintf(ret, LABEL_MAX, "%.*s", (int)len, s);
}

static void put_place(const struct reader *r, const char *line, char *ret, size_t size)
{
	char label[LABEL_MAX];
	size_t n = 0;

	put_label(line, r->count[r->depth], label);
	for (unsigned i = 0; i <= r->depth && n < size; i++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? ">" : "",
				      i < r->depth ? r->names[i] : label);
	if (n >= size)
		*ret = '\0';
}

static void begin(struct reader *r, const char *line, unsigned number)
{
	if (r->m->n == MENU_MAX)
		return;
	r->entry = mem_push(r->m->v, r->m->n);
	r->entry->first = r->entry->last = number;
	r->entry->rescue = is_rescue(line);
	r->entry_braces = r->braces;
	r->modules = 0;
	put_place(r, line, r->entry->place, sizeof(r->entry->place));
	r->count[r->depth]++;
}

static void set_kernel(struct menu_entry *e, const struct word *path)
{
	char buf[EDIT_WORD_MAX];

	snprintf(e->kernel, sizeof(e->kernel), "%.*s", (int)sizeof(e->kernel) - 1,
		 path_last(word_text(path, buf)));
	e->xen = strncmp(e->kernel, "xen", 3) == 0;
}

/* What stands in an entry. */
static void inside(struct reader *r, const char *line, unsigned number)
{
	struct word w = word_at(line, 0), path, args;
	struct menu_entry *e = r->entry;

	e->last = number;
	if (menu_kernel(line, r->legacy, &path, &args)) {
		set_kernel(e, &path);
		e->rescue |= is_rescue(line) || strstr(args.s, " single");
	} else if (word_begins(&w, "multiboot")) {
		e->xen = true;
	} else if (word_begins(&w, "module")) {
		e->initrd |= ++r->modules > 1;
	} else if (word_begins(&w, "initrd")) {
		e->initrd = true;
	} else if (word_is(&w, "search") || word_is(&w, "uuid")) {
		e->search = true;
	}
}

static void read_grub2(struct reader *r, const char *line, unsigned number)
{
	struct word w = word_at(line, 0);
	const char *end = line + strlen(line);
	bool menu = word_is(&w, "submenu"), entry = word_is(&w, "menuentry");
	bool block = menu || entry || word_is(&w, "function");

	while (end > line && strchr(" \t\r", end[-1]))
		end--;
	if (word_is(&w, "}") && r->braces > 0) {
		r->braces--;
		if (r->entry && r->entry_braces == r->braces)
			r->entry = NULL;
		if (r->submenu[r->braces])
			r->depth--;
		return;
	}
	if (block && end[-1] == '{' && r->braces < ARRAY_SIZE(r->submenu)) {
		if (entry && !r->entry)
			begin(r, line, number);
		menu = menu && !r->entry && r->depth < DEPTH_MAX - 1;
		if (menu) {
			put_label(line, r->count[r->depth], r->names[r->depth]);
			r->count[r->depth++]++;
			r->count[r->depth] = 0;
		}
		r->submenu[r->braces++] = menu;
	} else if (r->entry) {
		inside(r, line, number);
	}
}

void menu_read(struct menu *m, const char *text, bool legacy)
{
	_cleanup_free_ char *copy = mem_strdup(text);
	struct reader r = { .m = m, .legacy = legacy };
	unsigned number = 0;

	*m = (struct menu){ .n = 0 };
	for (char *s = copy, *line; (line = strsep(&s, "\n"));) {
		struct word w = word_at(line, 0);

		number++;
		line[strcspn(line, "\r")] = '\0';
		if (!legacy)
			read_grub2(&r, line, number);
		else if (word_is(&w, "title"))
			begin(&r, line, number);
		else if (r.entry && *w.s != '#')
			inside(&r, line, number);
	}
}

const struct menu_entry *menu_at(const struct menu *m, unsigned line)
{
	for (unsigned i = 0; i < m->n; i++) {
		if (line >= m->v[i].first && line <= m->v[i].last)
			return &m->v[i];
	}
	return NULL;
}

const struct menu_entry *menu_find(const struct menu *m, const struct guest_kernel *k)
{
	bool rescue;

	if (!k || !k->path)
		return NULL;
	/* That of Red Hat is a kernel like others, with an initramfs for all machines. */
	rescue = strstr(k->path, "rescue") != NULL;
	for (unsigned i = 0; i < m->n; i++) {
		const struct menu_entry *e = &m->v[i];

		if (!e->xen && (rescue || !e->rescue) && strcmp(e->kernel, path_last(k->path)) == 0)
			return e;
	}
	return NULL;
}

void menu_fini(struct menu *m)
{
	free(m->v);
	*m = (struct menu){ .n = 0 };
}
