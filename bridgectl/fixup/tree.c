/*
 * Paths as the guest means them: symbolic links are followed part by part, never above the root,
 * and never by anything but this file: what the implementations get has no link left in it.
 * Names in directories are the guest's word, too; those that are no names are left out.
 */
#include "bridgectl/fixup/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/sort.h"
#include "common/util.h"

/* Where a walk is: `at` has no links, "" being the root; `rest` is still to go. */
struct walk {
	char at[TREE_PATH_MAX];
	char rest[TREE_PATH_MAX];
	unsigned links;
};

static void up(char *at)
{
	char *slash = strrchr(at, '/');

	if (slash)
		*slash = '\0';
}

/* Takes the next part off `rest` into `part`. False: there is none. */
static bool take_part(struct walk *w, char part[TREE_PATH_MAX])
{
	size_t skip = strspn(w->rest, "/"), len = strcspn(w->rest + skip, "/");

	memcpy(part, w->rest + skip, len);
	part[len] = '\0';
	memmove(w->rest, w->rest + skip + len, strlen(w->rest + skip + len) + 1);
	return len > 0;
}

static int append(char *at, const char *part)
{
	size_t len = strlen(at), more = strlen(part);

	if (len + 1 + more >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	at[len] = '/';
	memcpy(at + len + 1, part, more + 1);
	return 0;
}

/* `at` is a link: what it says stands before what is left to go. */
static int follow(struct tree *t, struct walk *w)
{
	char text[TREE_PATH_MAX];
	size_t len, rest = strlen(w->rest);
	int r = t->ops->link(t, w->at, text);

	if (r < 0)
		return r;
	len = strlen(text);
	if (++w->links > TREE_LINKS_MAX)
		return -ELOOP;
	if (!len)
		return -ENOENT;
	if (len + rest >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	memmove(w->rest + len, w->rest, rest + 1);
	memcpy(w->rest, text, len);
	if (*text == '/')
		w->at[0] = '\0';
	else
		up(w->at);
	return 0;
}

static bool nothing_left(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == '\0';
}

/* One part further. 1: go on; 0: that was all; else errno. */
static int step(struct tree *t, struct walk *w)
{
	char part[TREE_PATH_MAX];
	struct tree_stat st;
	int r;

	if (!take_part(w, part))
		return 0;
	if (strcmp(part, ".") == 0)
		return 1;
	if (strcmp(part, "..") == 0) {
		up(w->at);
		return 1;
	}
	r = append(w->at, part);
	if (r < 0)
		return r;
	r = t->ops->stat(t, w->at, &st);
	if (r < 0)
		return r;
	if (st.kind == TREE_LINK)
		r = follow(t, w);
	else if (st.kind != TREE_DIR && !nothing_left(w))
		r = -ENOTDIR;
	return r < 0 ? r : 1;
}

int tree_resolve(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	struct walk w = { 0 };
	int r;

	ret[0] = '\0';
	if (*path != '/')
		return -EINVAL;
	if (strlen(path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	strcpy(w.rest, path);
	do {
		r = step(t, &w);
	} while (r > 0);
	if (r == 0 || (r == -ENOENT && nothing_left(&w)))
		strcpy(ret, w.at[0] ? w.at : "/");
	return r;
}

int tree_stat(struct tree *t, const char *path, struct tree_stat *ret)
{
	char to[TREE_PATH_MAX];
	int r = tree_resolve(t, path, to);

	return r < 0 ? r : t->ops->stat(t, to, ret);
}

bool tree_is_file(struct tree *t, const char *path)
{
	struct tree_stat st;

	return tree_stat(t, path, &st) == 0 && st.kind == TREE_FILE;
}

bool tree_is_dir(struct tree *t, const char *path)
{
	struct tree_stat st;

	return tree_stat(t, path, &st) == 0 && st.kind == TREE_DIR;
}

int tree_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len)
{
	char to[TREE_PATH_MAX];
	struct tree_stat st;
	int r = tree_resolve(t, path, to);

	if (r == 0)
		r = t->ops->stat(t, to, &st);
	if (r < 0)
		return r;
	if (st.kind != TREE_FILE)
		return st.kind == TREE_DIR ? -EISDIR : -EINVAL;
	if (st.size > max)
		return -EFBIG;
	return t->ops->read(t, to, max, ret, ret_len);
}

char *tree_text(struct tree *t, const char *path, size_t *ret_len)
{
	size_t len;
	char *text;

	if (tree_read(t, path, TREE_FILE_MAX, &text, &len) < 0)
		return NULL;
	if (ret_len)
		*ret_len = len;
	return text;
}

struct names {
	char **v;
	size_t n;
	bool more; /* than there may be */
};

static bool is_name(const char *s)
{
	return *s && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static bool collect(void *arg, const char *name)
{
	struct names *l = arg;

	if (!is_name(name))
		return true;
	l->more = l->n == TREE_NAMES_MAX;
	if (!l->more)
		*mem_push(l->v, l->n) = mem_strdup(name);
	return !l->more;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int tree_list(struct tree *t, const char *path, tree_name_fn fn, void *arg)
{
	struct names l = { 0 };
	char to[TREE_PATH_MAX];
	int r = tree_resolve(t, path, to);

	if (r == 0)
		r = t->ops->list(t, to, collect, &l);
	if (r == 0 && l.more)
		r = -E2BIG;
	if (r == 0 && l.n)
		sort(l.v, l.n, sizeof(*l.v), by_name);
	for (size_t i = 0; r == 0 && i < l.n && fn(arg, l.v[i]); i++)
		;
	for (size_t i = 0; i < l.n; i++)
		free(l.v[i]);
	free(l.v);
	return r;
}

void tree_free(struct tree *t)
{
	if (t)
		t->ops->free(t);
}
