/* A tree in memory: a sorted table is not worth it for some dozens of names. */
#include "tests/support/mem_tree.h"

#include <errno.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

struct node {
	char *path; /* "" for the root */
	enum tree_kind kind;
	char *data;
	size_t len;
};

struct mem_tree {
	struct tree tree;
	struct node *v;
	size_t n;
};

static struct mem_tree *of(struct tree *t)
{
	return container_of(t, struct mem_tree, tree);
}

static struct node *find(struct tree *t, const char *path)
{
	struct mem_tree *m = of(t);

	if (strcmp(path, "/") == 0)
		path = "";
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->v[i].path, path) == 0)
			return &m->v[i];
	}
	return NULL;
}

static int mem_stat(struct tree *t, const char *path, struct tree_stat *ret)
{
	const struct node *n = find(t, path);

	if (!n)
		return -ENOENT;
	*ret = (struct tree_stat){ .kind = n->kind, .size = n->len, .mode = 0644 };
	return 0;
}

static int mem_link(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	const struct node *n = find(t, path);

	if (!n)
		return -ENOENT;
	if (n->kind != TREE_LINK)
		return -EINVAL;
	snprintf(ret, TREE_PATH_MAX, "%s", n->data);
	return 0;
}

static int mem_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len)
{
	const struct node *n = find(t, path);

	if (!n || n->kind != TREE_FILE)
		return n ? -EINVAL : -ENOENT;
	if (n->len > max)
		return -EFBIG;
	*ret = mem_strndup(n->data, n->len);
	*ret_len = n->len;
	return 0;
}

static int mem_list(struct tree *t, const char *path, tree_name_fn fn, void *arg)
{
	const struct node *folder = find(t, path);
	struct mem_tree *m = of(t);
	size_t len;

	if (!folder || folder->kind != TREE_DIR)
		return folder ? -ENOTDIR : -ENOENT;
	len = strlen(folder->path);
	for (size_t i = 0; i < m->n; i++) {
		const char *p = m->v[i].path;

		if (strncmp(p, folder->path, len) != 0 || p[len] != '/' || strchr(p + len + 1, '/'))
			continue;
		if (!fn(arg, p + len + 1))
			break;
	}
	return 0;
}

static void set(struct node *n, const char *data, size_t len)
{
	free(n->data);
	n->data = mem_strndup(data, len);
	n->len = len;
}

static struct node *add(struct tree *t, const char *path, enum tree_kind kind)
{
	struct mem_tree *m = of(t);
	struct node *n = find(t, path);
	const char *slash = strrchr(path, '/');

	if (!n) {
		if (slash && slash > path) {
			_cleanup_free_ char *folder = mem_strndup(path, (size_t)(slash - path));

			add(t, folder, TREE_DIR);
		}
		n = mem_push(m->v, m->n);
		n->path = mem_strdup(path);
	}
	n->kind = kind;
	return n;
}

static int mem_write(struct tree *t, const char *path, const char *data, size_t len)
{
	struct node *n = find(t, path);

	if (!n || n->kind != TREE_FILE)
		return -ENOENT;
	set(n, data, len);
	return 0;
}

static int mem_create(struct tree *t, const char *path, uint32_t mode, const char *data, size_t len)
{
	_cleanup_free_ char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));

	(void)mode;
	if (find(t, path))
		return -EEXIST;
	if (!find(t, folder))
		return -ENOENT;
	set(add(t, path, TREE_FILE), data, len);
	return 0;
}

static int mem_remove(struct tree *t, const char *path)
{
	struct mem_tree *m = of(t);
	struct node *n = find(t, path);

	if (!n || n->kind == TREE_DIR)
		return -ENOENT;
	free(n->path);
	free(n->data);
	*n = m->v[--m->n];
	/* mem_push() doubles at powers of two: never shrink below one that it would grow at. */
	m->v = mem_must(reallocarray(m->v, MAX(m->n * 2, 1), sizeof(*m->v)));
	return 0;
}

static void mem_free(struct tree *t)
{
	struct mem_tree *m = of(t);

	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].path);
		free(m->v[i].data);
	}
	free(m->v);
	free(m);
}

static const struct tree_ops mem_ops = {
	.stat = mem_stat,
	.link = mem_link,
	.read = mem_read,
	.list = mem_list,
	.write = mem_write,
	.create = mem_create,
	.remove = mem_remove,
	.free = mem_free,
};

struct tree *mem_tree_new(void)
{
	struct mem_tree *m = mem_new(sizeof(*m));

	m->tree.ops = &mem_ops;
	add(&m->tree, "", TREE_DIR);
	return &m->tree;
}

void mem_tree_put(struct tree *t, const char *path, const char *data, size_t len)
{
	set(add(t, path, TREE_FILE), data, len);
}

void mem_tree_file(struct tree *t, const char *path, const char *text)
{
	mem_tree_put(t, path, text, strlen(text));
}

void mem_tree_link(struct tree *t, const char *path, const char *to)
{
	set(add(t, path, TREE_LINK), to, strlen(to));
}

void mem_tree_folder(struct tree *t, const char *path)
{
	add(t, path, TREE_DIR);
}

const char *mem_tree_get(struct tree *t, const char *path, size_t *ret_len)
{
	const struct node *n = find(t, path);

	if (!n || n->kind != TREE_FILE)
		return NULL;
	*ret_len = n->len;
	return n->data;
}
