/*
 * The list of changes: rules are run in the order of edit_table.c, each sees the files as the ones
 * before it left them, and all changes of one file become one. Nothing is written before
 * edits_write(). A file that ends up as it was is not in the list.
 */
#include <errno.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_private.h"

#define FOLDER_FILES_MAX 1000 /* of one folder; no configuration has as many */

static struct edit *find(struct edits *e, const char *resolved)
{
	for (unsigned i = 0; i < e->n; i++) {
		if (strcmp(e->v[i].path, resolved) == 0)
			return &e->v[i];
	}
	return NULL;
}

/* Only what is a text: no NUL in it. */
static char *read_text(struct plan *p, const char *path, size_t *ret_len)
{
	_cleanup_free_ char *s = tree_text(p->t, path, ret_len);

	if (!s || memchr(s, '\0', *ret_len))
		return NULL;
	return steal(s);
}

char *plan_text(struct plan *p, const char *path, size_t *ret_len)
{
	char resolved[TREE_PATH_MAX];
	int r = tree_resolve(p->t, path, resolved);
	const struct edit *e;

	if (r < 0 && r != -ENOENT)
		return NULL;
	e = find(p->e, resolved);
	if (!e)
		return r < 0 ? NULL : read_text(p, resolved, ret_len);
	if (!e->new)
		return NULL;
	*ret_len = e->new_len;
	return mem_strndup(e->new, e->new_len);
}

bool plan_has(struct plan *p, const char *path)
{
	char resolved[TREE_PATH_MAX];
	int r = tree_resolve(p->t, path, resolved);
	const struct edit *e;

	if (r < 0 && r != -ENOENT)
		return false;
	e = find(p->e, resolved);
	return e ? e->new != NULL : r == 0;
}

static void edit_fini(struct edit *e)
{
	free(e->path);
	free(e->old);
	free(e->new);
	free(e->why);
}

/* One sentence per rule, each once. */
static void add_why(struct edit *e, const char *why)
{
	char *all;

	if (e->why && strstr(e->why, why))
		return;
	all = mem_printf("%s%s%s", e->why ? e->why : "", e->why ? "\n" : "", why);
	free(e->why);
	e->why = all;
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (!a || !b)
		return a == b;
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* The edit of a file, a new one if it has none; NULL: there are too many, or it cannot be read. */
static struct edit *edit_of(struct plan *p, const char *resolved, bool exists)
{
	struct edit *e = find(p->e, resolved);
	size_t len = 0;
	char *old = NULL;

	if (e)
		return e;
	if (p->e->n == EDITS_MAX) {
		p->error = p->error ? p->error : -ENOSPC;
		return NULL;
	}
	if (exists && !(old = read_text(p, resolved, &len)))
		return NULL;
	e = &p->e->v[p->e->n++];
	*e = (struct edit){ .path = mem_strdup(resolved), .old = old, .old_len = len };
	e->new = old ? mem_strndup(old, len) : NULL;
	e->new_len = len;
	return e;
}

void plan_set(struct plan *p, const char *path, char *text, size_t len, const char *why)
{
	_cleanup_free_ char *new = text;
	char resolved[TREE_PATH_MAX];
	int r = tree_resolve(p->t, path, resolved);
	struct edit *e;

	if ((r < 0 && r != -ENOENT) || (new &&len > TREE_FILE_MAX))
		return;
	e = edit_of(p, resolved, r == 0);
	if (!e)
		return;
	if (!same(e->new, e->new_len, new, len)) {
		free(e->new);
		e->new = steal(new);
		e->new_len = e->new ? len : 0;
		add_why(e, why);
	}
	if (same(e->old, e->old_len, e->new, e->new_len)) {
		edit_fini(e);
		memmove(e, e + 1, (size_t)(&p->e->v[--p->e->n] - e) * sizeof(*e));
	}
}

void edit_note(struct plan *p, const char *fmt, ...)
{
	va_list ap;
	char *s;

	if (p->e->n_notes >= EDIT_NOTES_MAX)
		return;
	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < p->e->n_notes; i++) {
		if (strcmp(p->e->notes[i], s) == 0) {
			free(s);
			return;
		}
	}
	*mem_push(p->e->notes, p->e->n_notes) = s;
	if (p->e->n_notes == EDIT_NOTES_MAX) {
		free(s);
		p->e->notes[EDIT_NOTES_MAX - 1] =
			mem_strdup("There is more to say than fits here.");
	}
}

struct names {
	const char *suffix;
	char **v;
	unsigned n;
};

static bool collect(void *arg, const char *name)
{
	struct names *names = arg;
	size_t len = strlen(name), end = strlen(names->suffix);

	if (len >= end && strcmp(name + len - end, names->suffix) == 0)
		*mem_push(names->v, names->n) = mem_strdup(name);
	return names->n < FOLDER_FILES_MAX;
}

void plan_each(struct plan *p, const char *folder, const char *suffix, plan_file_fn fn, void *arg)
{
	struct names names = { .suffix = suffix };

	tree_list(p->t, folder, collect, &names);
	for (unsigned i = 0; i < names.n; i++) {
		char path[TREE_PATH_MAX];
		int n = snprintf(path, sizeof(path), "%s/%s", folder, names.v[i]);

		if (n > 0 && (size_t)n < sizeof(path) && tree_is_file(p->t, path))
			fn(p, path, arg);
		free(names.v[i]);
	}
	free(names.v);
}

int edits_plan(struct tree *t, const struct inspection *in, const struct edit_options *o,
	       struct edits *ret)
{
	struct plan p = { .t = t, .in = in, .o = o, .e = ret };

	*ret = (struct edits){ .n = 0 };
	for (const struct edit_rule *rule = edit_rules; rule->name; rule++)
		rule->fn(&p);
	return p.error;
}

int edits_write(struct tree *t, const struct edits *e, unsigned *ret_failed)
{
	for (unsigned i = 0; i < e->n; i++) {
		const struct edit *v = &e->v[i];
		int r;

		if (!v->new)
			r = t->ops->remove(t, v->path);
		else if (v->old)
			r = t->ops->write(t, v->path, v->new, v->new_len);
		else
			r = t->ops->create(t, v->path, 0644, v->new, v->new_len);
		if (r < 0) {
			*ret_failed = i;
			return r;
		}
	}
	return 0;
}

void edits_fini(struct edits *e)
{
	for (unsigned i = 0; i < e->n; i++)
		edit_fini(&e->v[i]);
	for (unsigned i = 0; i < e->n_notes; i++)
		free(e->notes[i]);
	free(e->notes);
	*e = (struct edits){ .n = 0 };
}
