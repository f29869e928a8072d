/*
 * Files of mounted file systems: looked at, written, brought back. Each time in a process of its
 * own (child.h), which compares each file with what it was and what it shall be: in between is what
 * a crash leaves, pieces of both; all else is somebody else's, and left alone.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/child.h"
#include "bridgectl/fixup/trust.h"
#include "bridgectl/fixup/trust_attr.h"
#include "common/util.h"

#define TIMEOUT_MS 120000
#define SECTOR 512U
#define FRAME_FOUND 1
#define FRAME_HEAD 20U /* five numbers */

#define fail(err, r, ...) disk_fail(err, TRUST_ERRLEN, r, __VA_ARGS__)

/* What the process finds in its memory, and what comes back. */
struct run {
	struct trust_file *v;
	unsigned n;
	const int *fds;
	struct trust_mount mounts[TRUST_MOUNTS_MAX];
	unsigned n_mounts;
	enum trust_how how;
	bool after, note;
	unsigned answered;
	enum trust_found all;
};

/* --- What is there --- */

static bool match(const struct trust_bytes *a, const struct trust_bytes *b, size_t from, size_t to)
{
	return to <= a->len && to <= b->len && !memcmp(a->p + from, b->p + from, to - from);
}

/* `a` was written over `b`, ends here, and was not cut yet. */
static bool is_end(const struct trust_bytes *now, const struct trust_bytes *a,
		   const struct trust_bytes *b, size_t from, size_t to)
{
	return a->len > from && a->len < to && match(now, a, from, a->len) &&
	       match(now, b, a->len, to);
}

/* Written from its beginning on, and cut at last: each piece of it may be of either. */
static bool is_mixed(const struct trust_file *v, const struct trust_bytes *now)
{
	const struct trust_bytes *a = &v->before, *b = &v->after;

	if (now->len < MIN(a->len, b->len) || now->len > MAX(a->len, b->len))
		return false;
	for (size_t at = 0; at < now->len; at += SECTOR) {
		size_t end = MIN(now->len, at + SECTOR);

		if (!match(now, a, at, end) && !match(now, b, at, end) &&
		    !is_end(now, a, b, at, end) && !is_end(now, b, a, at, end))
			return false;
	}
	return true;
}

static bool same(const struct trust_bytes *a, const struct trust_bytes *b)
{
	return a->p && b->p && a->len == b->len && !memcmp(a->p, b->p, a->len);
}

static enum trust_found compare(const struct trust_file *v, const struct trust_bytes *now)
{
	if (!now->p)
		return !v->before.p ? TRUST_BEFORE : !v->after.p ? TRUST_AFTER : TRUST_ELSE;
	if (same(now, &v->before))
		return TRUST_BEFORE;
	if (same(now, &v->after))
		return TRUST_AFTER;
	return is_mixed(v, now) ? TRUST_MIXED : TRUST_ELSE;
}

/* Negative errno: it cannot be read. */
static int find(struct tree *t, const struct trust_file *v, enum trust_found *ret)
{
	_cleanup_free_ char *text = NULL;
	struct trust_bytes now = { .p = NULL };
	int r = t->ops->read(t, v->path, MAX(v->before.len, v->after.len), &text, &now.len);

	if (r == -EFBIG || r == -EINVAL || r == -EISDIR || r == -ELOOP || r == -EXDEV) {
		*ret = TRUST_ELSE;
		return 0;
	}
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return r;
	now.p = text;
	*ret = compare(v, &now);
	return 0;
}

static unsigned mount_of(const struct run *run, const struct trust_file *v)
{
	for (unsigned i = 0; i < run->n_mounts; i++)
		if (run->mounts[i].disk == v->where.disk && run->mounts[i].start == v->where.start)
			return i;
	return run->n_mounts;
}

/* --- In the process: looking --- */

static int send_found(struct child_out *out, unsigned i, enum trust_found found,
		      const struct trust_file *v)
{
	_cleanup_free_ unsigned char *frame = mem_new(FRAME_HEAD + v->xattrs.len + 1);

	put_le32(frame, i);
	put_le32(frame + 4, found);
	put_le32(frame + 8, v->mode);
	put_le32(frame + 12, v->uid);
	put_le32(frame + 16, v->gid);
	if (v->xattrs.p)
		memcpy(frame + FRAME_HEAD, v->xattrs.p, v->xattrs.len);
	return child_send(out, FRAME_FOUND, frame, FRAME_HEAD + v->xattrs.len);
}

static int look_at(const struct run *run, unsigned i, struct child_out *out)
{
	struct trust_file *v = &run->v[i];
	unsigned m = mount_of(run, v);
	enum trust_found found = TRUST_ELSE;
	struct tree *t;
	int r = trust_open(m, v->subvol, &t);

	if (r == -ENOENT || r == -ENOTDIR)
		return send_found(out, i, TRUST_ELSE, v); /* no such subvolume any more */
	if (r < 0)
		return r;
	r = find(t, v, &found);
	tree_free(t);
	if (r == 0 && run->note && v->before.p)
		r = trust_attr_read(m, v);
	if (r == 0 && !run->note && found == TRUST_BEFORE && !v->after.p && !trust_attr_equal(m, v))
		found = TRUST_MIXED;
	return r < 0 ? r : send_found(out, i, found, v);
}

/* --- In the process: writing --- */

static int bring(struct tree *t, unsigned m, const struct trust_file *v, bool after)
{
	const struct trust_bytes *want = after ? &v->after : &v->before;
	enum trust_found found;
	int r = find(t, v, &found);

	if (r < 0 || found == TRUST_ELSE)
		return r < 0 ? r : -ESTALE;
	if (found == (after ? TRUST_AFTER : TRUST_BEFORE) &&
	    (after || v->after.p || trust_attr_equal(m, v)))
		return 0;
	if (!want->p)
		return t->ops->remove(t, v->path);
	r = t->ops->write(t, v->path, want->p, want->len);
	if (r == -ENOENT)
		r = t->ops->create(t, v->path, v->mode, want->p, want->len);
	/* It was gone: owner and attributes are nowhere else. */
	if (r == 0 && !after && !v->after.p)
		r = trust_attr_write(m, v);
	return r;
}

static int write_one(const struct run *run, const struct trust_file *v)
{
	unsigned m = mount_of(run, v);
	struct tree *t;
	int r = trust_open(m, v->subvol, &t);

	if (r < 0)
		return r;
	r = bring(t, m, v, run->after);
	tree_free(t);
	return r;
}

static int enter(void *arg, char *err)
{
	struct run *run = arg;

	return trust_enter(run->mounts, run->n_mounts, run->fds, run->how, err);
}

static int work(void *arg, struct child_out *out, char *err)
{
	struct run *run = arg;
	const char *path = "";
	int r = 0;

	for (unsigned i = 0; r == 0 && i < run->n; i++) {
		path = run->v[i].path;
		r = run->how == TRUST_WRITE ? write_one(run, &run->v[i]) : look_at(run, i, out);
	}
	if (r < 0)
		return fail(err, r, "%.300s of the guest: %s", path,
			    r == -ESTALE ? "it is not what it was" : strerror(-r));
	r = trust_leave(run->n_mounts);
	return r < 0 ? fail(err, r, "the guest's file system cannot be unmounted: %s",
			    strerror(-r)) :
		       0;
}

/* --- On our side --- */

static int take_frame(void *ctx, uint8_t kind, const unsigned char *bytes, size_t len, char *err)
{
	struct run *run = ctx;
	struct trust_file *v;
	uint32_t found;

	if (kind != FRAME_FOUND || len < FRAME_HEAD || run->answered == run->n ||
	    get_le32(bytes) != run->answered || get_le32(bytes + 4) > TRUST_ELSE)
		return fail(err, -EPROTO, "the process that reads the guest answered nonsense");
	v = &run->v[run->answered++];
	found = get_le32(bytes + 4);
	if (run->answered == 1 || found == TRUST_ELSE)
		run->all = found;
	else if (run->all != TRUST_ELSE && run->all != found)
		run->all = TRUST_MIXED;
	if (!run->note || !v->before.p)
		return 0;
	v->mode = get_le32(bytes + 8) & 07777;
	v->uid = get_le32(bytes + 12);
	v->gid = get_le32(bytes + 16);
	free(v->xattrs.p);
	v->xattrs.len = len - FRAME_HEAD;
	v->xattrs.p = mem_strndup((const char *)bytes + FRAME_HEAD, v->xattrs.len);
	return 0;
}

static int add_mounts(struct run *run, char *err)
{
	for (unsigned i = 0; i < run->n; i++) {
		if (mount_of(run, &run->v[i]) < run->n_mounts)
			continue;
		if (run->n_mounts == TRUST_MOUNTS_MAX)
			return fail(err, -E2BIG, "more than %u file systems", TRUST_MOUNTS_MAX);
		run->mounts[run->n_mounts++] = run->v[i].where;
	}
	return 0;
}

static int start(struct run *run, char *err)
{
	int fds[TRUST_MOUNTS_MAX];
	struct child_job j = {
		.fn = work,
		.arg = run,
		.rights = CHILD_WRITES,
		.enter = enter,
		.fds = fds,
		.timeout_ms = TIMEOUT_MS,
		.frame = take_frame,
		.ctx = run,
	};
	char why[CHILD_ERRLEN] = "";
	int r = add_mounts(run, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < run->n_mounts; i++)
		fds[j.n_fds++] = run->fds[run->mounts[i].disk];
	r = child_run(&j, why);
	return r < 0 ? fail(err, r, "%s", *why ? why : strerror(-r)) : 0;
}

int trust_look(struct trust_file *v, unsigned n, const int *fds, bool replay, bool note,
	       enum trust_found *ret, char *err)
{
	struct run run = { .v = v, .n = n, .fds = fds, .note = note };
	int r;

	run.how = replay ? TRUST_REPLAY : TRUST_READ;
	r = start(&run, err);
	if (r == 0 && run.answered != n)
		r = fail(err, -EPROTO, "the process that reads the guest answered nonsense");
	if (r == 0)
		*ret = run.all;
	return r;
}

int trust_write(const struct trust_file *v, unsigned n, const int *fds, bool after, char *err)
{
	struct run run = {
		.v = (struct trust_file *)v, .n = n, .fds = fds, .how = TRUST_WRITE, .after = after
	};

	return start(&run, err);
}
