/*
 * The longest mounted path that a path begins with says whose it is. Paths have no symbolic links
 * when they come here, and mount points were resolved when they were added, so comparing texts
 * is enough.
 */
#include "bridgectl/fixup/tree_mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

struct mount {
	char where[TREE_PATH_MAX]; /* "" is the root */
	struct tree *tree;
};

struct tree_mounts {
	struct tree tree;
	struct mount v[TREE_MOUNTS_MAX + 1];
	unsigned n;
};

/* --- Which file system, and what path in it --- */

static struct tree *find(struct tree *t, const char *path, const char **ret_path)
{
	struct tree_mounts *m = container_of(t, struct tree_mounts, tree);
	struct tree *best = NULL;
	size_t longest = 0;

	for (unsigned i = 0; i < m->n; i++) {
		size_t len = strlen(m->v[i].where);

		if (strncmp(path, m->v[i].where, len) != 0 || (path[len] && path[len] != '/'))
			continue;
		if (best && len < longest)
			continue;
		best = m->v[i].tree;
		longest = len;
	}
	*ret_path = path[longest] ? path + longest : "/";
	return best;
}

static int mounts_stat(struct tree *t, const char *path, struct tree_stat *ret)
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->stat(sub, path, ret);
}

static int mounts_link(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->link(sub, path, ret);
}

static int mounts_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len)
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->read(sub, path, max, ret, ret_len);
}

static int mounts_list(struct tree *t, const char *path, tree_name_fn fn, void *arg)
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->list(sub, path, fn, arg);
}

static int mounts_write(struct tree *t, const char *path, const char *data, size_t len)
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->write(sub, path, data, len);
}

static int mounts_create(struct tree *t, const char *path, uint32_t mode, const char *data,
			 size_t len)
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->create(sub, path, mode, data, len);
}

static int mounts_remove(struct tree *t, const char *path)
{
	struct tree *sub = find(t, path, &path);

	return sub->ops->remove(sub, path);
}

static void mounts_free(struct tree *t)
{
	struct tree_mounts *m = container_of(t, struct tree_mounts, tree);

	for (unsigned i = 0; i < m->n; i++)
		tree_free(m->v[i].tree);
	free(m);
}

static const struct tree_ops mounts_ops = {
	.stat = mounts_stat,
	.link = mounts_link,
	.read = mounts_read,
	.list = mounts_list,
	.write = mounts_write,
	.create = mounts_create,
	.remove = mounts_remove,
	.free = mounts_free,
};

struct tree *tree_mounts_new(struct tree *root)
{
	struct tree_mounts *m = mem_new(sizeof(*m));

	m->tree.ops = &mounts_ops;
	m->tree.why_readonly = root->why_readonly;
	m->v[m->n++].tree = root;
	return &m->tree;
}

int tree_mounts_add(struct tree *t, const char *where, struct tree *sub)
{
	struct tree_mounts *m = container_of(t, struct tree_mounts, tree);
	char at[TREE_PATH_MAX];
	int r = tree_resolve(t, where, at);

	if (r < 0)
		return r;
	if (!tree_is_dir(t, at))
		return -ENOTDIR;
	if (m->n == ARRAY_SIZE(m->v))
		return -E2BIG;
	for (unsigned i = 0; i < m->n; i++)
		if (strcmp(at, m->v[i].where) == 0 || strcmp(at, "/") == 0)
			return -EEXIST;
	strcpy(m->v[m->n].where, at);
	m->v[m->n++].tree = sub;
	if (!t->why_readonly)
		t->why_readonly = sub->why_readonly;
	return 0;
}

int tree_mounts_sync(struct tree *t, int (*fn)(struct tree *sub))
{
	struct tree_mounts *m = container_of(t, struct tree_mounts, tree);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < m->n; i++)
		r = fn(m->v[i].tree);
	return r;
}

/* --- fstab --- */

static bool needed(const char *where)
{
	static const char *const dirs[] = { "/boot", "/usr", "/var" };

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		if (strcmp(where, dirs[i]) == 0)
			return true;
	return false;
}

/* The next word of a line, unquoted: "\040" is a blank (fstab(5)). False: none, or too long. */
static bool take_word(const char **line, char ret[TREE_PATH_MAX])
{
	const char *p = *line + strspn(*line, " \t");
	size_t n = 0;

	for (; *p && !strchr(" \t\r\n", *p) && n < TREE_PATH_MAX - 1; n++) {
		if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
			ret[n] = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 4;
		} else {
			ret[n] = *p++;
		}
	}
	ret[n] = '\0';
	*line = p;
	return n > 0 && n < TREE_PATH_MAX - 1;
}

/* The value of "subvol=" among the options, without a slash at its ends. */
static void take_subvol(const char *options, char ret[static 256])
{
	static const char key[] = "subvol=";
	const char *p = options;

	ret[0] = '\0';
	for (; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, key, strlen(key)) != 0)
			continue;
		p += strlen(key);
		p += strspn(p, "/");
		snprintf(ret, 256, "%.*s", (int)strcspn(p, ","), p);
	}
	for (size_t n = strlen(ret); n && ret[n - 1] == '/'; n--)
		ret[n - 1] = '\0';
}

/* One line; false: no row of a mount. */
static bool take_row(const char *p, struct tree_mount *m)
{
	char word[TREE_PATH_MAX];

	m->subvol[0] = '\0';
	if (p[strspn(p, " \t")] == '#' || !take_word(&p, m->what) || !take_word(&p, m->where))
		return false;
	if (take_word(&p, word) && take_word(&p, word))
		take_subvol(word, m->subvol);
	return true;
}

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return line + (*line == '\n');
}

unsigned tree_mounts_read(struct tree *root, struct tree_mount ret[TREE_MOUNTS_MAX])
{
	_cleanup_free_ char *text = tree_text(root, "/etc/fstab", NULL);
	unsigned n = 0;

	for (const char *p = text; p && *p && n < TREE_MOUNTS_MAX; p = next_line(p))
		if (take_row(p, &ret[n]) && needed(ret[n].where))
			n++;
	return n;
}

bool tree_mounts_read_root(struct tree *root, struct tree_mount *ret)
{
	_cleanup_free_ char *text = tree_text(root, "/etc/fstab", NULL);

	for (const char *p = text; p && *p; p = next_line(p))
		if (take_row(p, ret) && strcmp(ret->where, "/") == 0)
			return true;
	return false;
}

/* "sda2" after "/dev/": the letter and number. False: another name. */
static bool by_letter(const char *name, char *ret_letter, unsigned *ret_number)
{
	static const char *const kinds[] = { "xvd", "sd", "hd", "vd" };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i]);
		char *end;
		unsigned long number;

		if (strncmp(name, kinds[i], len) != 0 || name[len] < 'a' || name[len] > 'z')
			continue;
		number = strtoul(name + len + 1, &end, 10);
		if (*end || number > 1024 || name[len + 1] == '+' || name[len + 1] == '-')
			return false;
		*ret_letter = name[len];
		*ret_number = (unsigned)number;
		return true;
	}
	return false;
}

static const char *uuid_of(const struct edit_part *p)
{
	return p->uuid;
}

static const char *label_of(const struct edit_part *p)
{
	return p->label;
}

static const char *partuuid_of(const struct edit_part *p)
{
	return p->partuuid;
}

static const struct {
	const char *prefix;
	const char *(*get)(const struct edit_part *p);
	bool any_case;
} names[] = {
	{ "UUID=", uuid_of, true },	    { "/dev/disk/by-uuid/", uuid_of, true },
	{ "LABEL=", label_of, false },	    { "/dev/disk/by-label/", label_of, false },
	{ "PARTUUID=", partuuid_of, true }, { "/dev/disk/by-partuuid/", partuuid_of, true },
};

/* Its value may stand in quotes. */
static bool equals(const char *text, const char *value, bool any_case)
{
	size_t len = strlen(text);

	if (len >= 2 && (*text == '"' || *text == '\'') && text[len - 1] == *text) {
		text++;
		len -= 2;
	}
	if (!*value || strlen(value) != len)
		return false;
	return (any_case ? strncasecmp(text, value, len) : strncmp(text, value, len)) == 0;
}

int tree_mounts_part(const char *what, const struct edit_part *parts, unsigned n)
{
	unsigned number;
	char letter;

	if (strncmp(what, "/dev/", 5) == 0 && by_letter(what + 5, &letter, &number)) {
		for (unsigned i = 0; i < n; i++)
			if (parts[i].letter == letter && parts[i].number == number)
				return (int)i;
		return -1;
	}
	for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
		size_t len = strlen(names[k].prefix);

		if (strncmp(what, names[k].prefix, len) != 0)
			continue;
		for (unsigned i = 0; i < n; i++)
			if (equals(what + len, names[k].get(&parts[i]), names[k].any_case))
				return (int)i;
	}
	return -1;
}
