/*
 * By path, from the root directory that has only the guest: a link in it leads nowhere else.
 * Packed, an attribute is the length of its name, the name, the length of the value, the value.
 */
#include "bridgectl/fixup/trust_attr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

#define PATH_LEN (TREE_PATH_MAX + TRUST_SUBVOL_MAX + 32)
#define VALUE_MAX 65536U /* XATTR_SIZE_MAX, XATTR_LIST_MAX */
#define ALL_MAX (1U << 20)
#define NAME_LEN_MAX 256

static void path_of(unsigned mount, const struct trust_file *v, char buf[static PATH_LEN])
{
	if (v->subvol)
		snprintf(buf, PATH_LEN, "/%u.top/%s%s", mount, v->subvol, v->path);
	else
		snprintf(buf, PATH_LEN, "/%u%s", mount, v->path);
}

static void put(FILE *f, const char *p, size_t len)
{
	unsigned char head[4];

	put_le32(head, (uint32_t)len);
	fwrite(head, 1, sizeof(head), f);
	fwrite(p, 1, len, f);
}

static int pack(const char *path, struct trust_bytes *ret)
{
	_cleanup_free_ char *names = mem_new(VALUE_MAX), *value = mem_new(VALUE_MAX);
	ssize_t len = llistxattr(path, names, VALUE_MAX), n;
	FILE *f;

	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	f = mem_must(open_memstream(&ret->p, &ret->len));
	for (const char *p = names; p < names + len; p += strlen(p) + 1) {
		n = lgetxattr(path, p, value, VALUE_MAX);
		if (n < 0)
			continue;
		put(f, p, strlen(p));
		put(f, value, (size_t)n);
	}
	mem_must(fclose(f) == 0 ? ret->p : NULL);
	return ret->len > ALL_MAX ? -E2BIG : 0;
}

int trust_attr_read(unsigned mount, struct trust_file *v)
{
	char path[PATH_LEN];
	struct stat st;

	path_of(mount, v, path);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	v->mode = st.st_mode & 07777;
	v->uid = st.st_uid;
	v->gid = st.st_gid;
	free(v->xattrs.p);
	v->xattrs = (struct trust_bytes){ .p = NULL };
	return v->after.p ? 0 : pack(path, &v->xattrs);
}

bool trust_attr_equal(unsigned mount, const struct trust_file *v)
{
	char path[PATH_LEN];
	struct stat st;

	path_of(mount, v, path);
	return lstat(path, &st) == 0 && (st.st_mode & 07777) == v->mode && st.st_uid == v->uid &&
	       st.st_gid == v->gid;
}

/* One length and its bytes, of at most `max`. NULL: there are no more, or they are none. */
static const char *take(const char **p, const char *end, size_t max, size_t *ret_len)
{
	const char *bytes = *p + 4;

	if (end - *p < 4)
		return NULL;
	*ret_len = get_le32(*p);
	if (*ret_len > max || *ret_len > (size_t)(end - bytes))
		return NULL;
	*p = bytes + *ret_len;
	return bytes;
}

static int unpack(const char *path, const struct trust_bytes *b)
{
	const char *end = b->p + b->len, *name, *value;
	char text[NAME_LEN_MAX];
	size_t name_len, len;

	for (const char *p = b->p; p && p < end;) {
		name = take(&p, end, sizeof(text) - 1, &name_len);
		value = name ? take(&p, end, VALUE_MAX, &len) : NULL;
		if (!value)
			return -EUCLEAN;
		snprintf(text, sizeof(text), "%.*s", (int)name_len, name);
		if (lsetxattr(path, text, value, len, 0) < 0)
			return -errno;
	}
	return 0;
}

int trust_attr_write(unsigned mount, const struct trust_file *v)
{
	char path[PATH_LEN];
	int r;

	path_of(mount, v, path);
	r = unpack(path, &v->xattrs);
	/* The mode last: it is what trust_attr_equal() goes by. A new owner takes setuid away. */
	if (r == 0 && (lchown(path, v->uid, v->gid) < 0 || chmod(path, v->mode) < 0))
		r = -errno;
	return r;
}
