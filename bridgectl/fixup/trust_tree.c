/*
 * What libext2fs' overlay is for blocks, this is for files: reading goes to the mounted file system
 * below, writing stays here, until somebody asks for it. A file that was written to is not read
 * again by those who write, so reading does not look at the changes.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/trust.h"
#include "common/util.h"

struct trust_tree {
	struct tree tree, *inner;
	struct trust_mount where;
	char *subvol;
	struct trust_file *v;
	unsigned n;
};

static struct trust_tree *self(const struct tree *t)
{
	return container_of(t, struct trust_tree, tree);
}

static int later_stat(struct tree *t, const char *path, struct tree_stat *ret)
{
	t = self(t)->inner;
	return t->ops->stat(t, path, ret);
}

static int later_link(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	t = self(t)->inner;
	return t->ops->link(t, path, ret);
}

static int later_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len)
{
	t = self(t)->inner;
	return t->ops->read(t, path, max, ret, ret_len);
}

static int later_list(struct tree *t, const char *path, tree_name_fn fn, void *arg)
{
	t = self(t)->inner;
	return t->ops->list(t, path, fn, arg);
}

/* A change of `path`; `there`: it must be, or must not be there. */
static int add(struct tree *t, const char *path, bool there, struct trust_file **ret)
{
	struct trust_tree *l = self(t);
	struct trust_bytes before = { .p = NULL };
	int r = later_read(t, path, TREE_FILE_MAX, &before.p, &before.len);

	if (r == -ENOENT && !there)
		r = 0;
	else if (r == 0 && !there)
		r = -EEXIST;
	if (r == 0 && l->n == TRUST_FILES_MAX)
		r = -E2BIG;
	if (r < 0) {
		free(before.p);
		return r;
	}
	*ret = mem_push(l->v, l->n);
	**ret = (struct trust_file){ .where = l->where,
				     .subvol = mem_strdup_or_null(l->subvol),
				     .path = mem_strdup(path),
				     .before = before };
	return 0;
}

static int later_write(struct tree *t, const char *path, const char *data, size_t len)
{
	struct trust_file *f;
	int r = add(t, path, true, &f);

	if (r == 0)
		f->after = (struct trust_bytes){ .p = mem_strndup(data, len), .len = len };
	return r;
}

static int later_create(struct tree *t, const char *path, uint32_t mode, const char *data,
			size_t len)
{
	struct trust_file *f;
	int r = add(t, path, false, &f);

	if (r == 0) {
		f->after = (struct trust_bytes){ .p = mem_strndup(data, len), .len = len };
		f->mode = mode;
	}
	return r;
}

static int later_remove(struct tree *t, const char *path)
{
	struct trust_file *f;

	return add(t, path, true, &f);
}

static void later_free(struct tree *t)
{
	struct trust_tree *l = self(t);

	tree_free(l->inner);
	trust_files_free(l->v, l->n);
	free(l->subvol);
	free(l);
}

static const struct tree_ops later_ops = {
	.stat = later_stat,
	.link = later_link,
	.read = later_read,
	.list = later_list,
	.write = later_write,
	.create = later_create,
	.remove = later_remove,
	.free = later_free,
};

struct tree *trust_tree_new(struct tree *inner, const struct trust_mount *where, const char *subvol)
{
	struct trust_tree *l = mem_new(sizeof(*l));

	l->tree.ops = &later_ops;
	l->inner = inner;
	l->where = *where;
	l->subvol = mem_strdup_or_null(subvol);
	return &l->tree;
}

bool trust_tree_is(const struct tree *t)
{
	return t->ops == &later_ops;
}

const struct trust_file *trust_tree_files(const struct tree *t, unsigned *ret_n)
{
	*ret_n = self(t)->n;
	return self(t)->v;
}
