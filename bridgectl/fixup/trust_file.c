/*
 * Changed files as bytes: how the process that plans tells of them, and how an undo file keeps
 * them. Integers are little endian, a text has its length before it, NONE when it is not there.
 * Both kinds of bytes come from elsewhere, so nothing is taken that could lead out of its place.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/trust.h"
#include "common/tlv.h"
#include "common/util.h"

#define NONE UINT32_MAX
#define XATTRS_MAX (1U << 20)

/* --- Packing --- */

static void put32(FILE *f, uint32_t v)
{
	unsigned char b[4];

	put_le32(b, v);
	fwrite(b, 1, sizeof(b), f);
}

static void put64(FILE *f, uint64_t v)
{
	put32(f, (uint32_t)v);
	put32(f, (uint32_t)(v >> 32));
}

static void put_bytes(FILE *f, const char *p, size_t len)
{
	put32(f, p ? (uint32_t)len : NONE);
	if (p)
		fwrite(p, 1, len, f);
}

static void put_file(FILE *f, const struct trust_file *v)
{
	put32(f, v->where.disk);
	put64(f, v->where.start);
	put64(f, v->where.bytes);
	put32(f, v->where.btrfs);
	put_bytes(f, v->subvol, v->subvol ? strlen(v->subvol) : 0);
	put_bytes(f, v->path, strlen(v->path));
	put_bytes(f, v->before.p, v->before.len);
	put_bytes(f, v->after.p, v->after.len);
	put32(f, v->mode);
	put32(f, v->uid);
	put32(f, v->gid);
	put_bytes(f, v->xattrs.p, v->xattrs.len);
}

char *trust_files_pack(const struct trust_file *v, unsigned n, size_t *ret_len)
{
	char *bytes = NULL;
	FILE *f = open_memstream(&bytes, ret_len);

	mem_must(f);
	for (unsigned i = 0; i < n; i++)
		put_file(f, &v[i]);
	mem_must(fclose(f) == 0 ? bytes : NULL);
	return bytes;
}

/* --- Unpacking --- */

static struct trust_bytes take_bytes(struct tlv_reader *r, size_t max)
{
	struct trust_bytes b = { .p = NULL };
	uint32_t len = tlv_get_u32(r);
	const uint8_t *p;

	if (len == NONE)
		return b;
	r->bad |= len > max;
	p = tlv_get_bytes(r, len);
	if (p)
		b = (struct trust_bytes){ .p = mem_strndup((const char *)p, len), .len = len };
	return b;
}

/* A path without "", "." and ".." in it; it begins with a slash or not. */
static bool is_plain(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && *p == '.') || (n == 2 && !strncmp(p, "..", 2)))
			return false;
		p += n;
		if (*p && !*++p)
			return false;
	}
	return *path != '\0';
}

static char *take_text(struct tlv_reader *r, size_t max)
{
	struct trust_bytes b = take_bytes(r, max - 1);

	r->bad |= b.p && strlen(b.p) != b.len;
	return b.p;
}

static void take_file(struct tlv_reader *r, struct trust_file *v)
{
	v->where.disk = tlv_get_u32(r);
	v->where.start = tlv_get_u64(r);
	v->where.bytes = tlv_get_u64(r);
	v->where.btrfs = tlv_get_u32(r) == 1;
	v->subvol = take_text(r, TRUST_SUBVOL_MAX);
	v->path = take_text(r, TREE_PATH_MAX);
	v->before = take_bytes(r, TREE_FILE_MAX);
	v->after = take_bytes(r, TREE_FILE_MAX);
	v->mode = tlv_get_u32(r) & 07777;
	v->uid = tlv_get_u32(r);
	v->gid = tlv_get_u32(r);
	v->xattrs = take_bytes(r, XATTRS_MAX);
	if (!v->path || *v->path != '/' || !is_plain(v->path + 1) || (v->subvol && !*v->subvol) ||
	    (v->subvol && (!is_plain(v->subvol) || !v->where.btrfs)) ||
	    (!v->before.p && !v->after.p))
		r->bad = true;
}

int trust_files_unpack(const char *bytes, size_t len, struct trust_file **ret, unsigned *ret_n)
{
	struct tlv_reader r = tlv_reader(bytes, len);
	struct trust_file *v = NULL;
	unsigned n = 0;

	r.bad = len > TRUST_FILES_BYTES;
	while (!r.bad && r.left && n < TRUST_FILES_MAX)
		take_file(&r, mem_push(v, n));
	if (r.bad || r.left) {
		trust_files_free(v, n);
		return -EPROTO;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

void trust_files_free(struct trust_file *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(v[i].subvol);
		free(v[i].path);
		free(v[i].before.p);
		free(v[i].after.p);
		free(v[i].xattrs.p);
	}
	free(v);
}
