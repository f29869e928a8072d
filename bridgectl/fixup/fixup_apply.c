/*
 * The only place where a guest's disk is written to. The disks are locked, what was there when it
 * was planned still is there, it is kept in an undo file, and only then bytes change. If that
 * breaks off, each sector is as it was or as it should be, which is what undoing asks for.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/fixup_private.h"
#include "bridgectl/fixup/undo.h"
#include "common/io.h"
#include "common/util.h"

#define SECTOR 512U

#define fail(err, r, ...) disk_fail(err, FIXUP_ERRLEN, r, __VA_ARGS__)

/* The disks of an undo file, open for writing and locked. */
struct places {
	struct target t[UNDO_DISKS_MAX];
	unsigned n;
};

static void close_places(struct places *p)
{
	while (p->n)
		target_close(&p->t[--p->n]);
}

static int open_places(struct places *p, const struct undo *u, char *err)
{
	struct target_want want = { .overwrite = true };
	char why[TARGET_ERRLEN];

	for (unsigned i = 0; i < u->n_disks; i++) {
		int r = target_open(u->disks[i].path, &want, &p->t[p->n], why);

		if (r < 0)
			return fail(err, r, "%s", why);
		p->n++;
		if (p->t[i].bytes != u->disks[i].bytes)
			return fail(err, -ESTALE,
				    "%s has %ju bytes, and had %ju: what was written to it then "
				    "cannot be taken back from what it is now",
				    u->disks[i].path, (uintmax_t)p->t[i].bytes,
				    (uintmax_t)u->disks[i].bytes);
	}
	return 0;
}

/* All records, one side of them, and to stable storage. */
static int write_blocks(const struct places *p, const struct undo *u, bool after)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < u->n; i++) {
		const struct undo_record *x = &u->records[i];

		r = io_pwrite_all(p->t[x->disk].fd, after ? x->after : x->before, x->len,
				  x->offset);
	}
	for (unsigned i = 0; i < p->n; i++)
		if (fsync(p->t[i].fd) < 0 && r == 0)
			r = -errno;
	return r;
}

static void list_fds(const struct places *p, int fds[static UNDO_DISKS_MAX])
{
	for (unsigned i = 0; i < p->n; i++)
		fds[i] = p->t[i].fd;
}

static int write_files(const struct places *p, const struct undo *u, bool after, char *why)
{
	int fds[UNDO_DISKS_MAX];

	list_fds(p, fds);
	return u->n_files ? trust_write(u->files, u->n_files, fds, after, why) : 0;
}

/* Blocks first, and back in the other order. What went wrong is in `why` (TRUST_ERRLEN). */
static int write_side(const struct places *p, const struct undo *u, bool after, char *why)
{
	int r = after ? 0 : write_files(p, u, false, why);

	if (r < 0)
		return r;
	r = write_blocks(p, u, after);
	if (r < 0)
		return disk_fail(why, TRUST_ERRLEN, r, "%s", strerror(-r));
	return after ? write_files(p, u, true, why) : 0;
}

/* What is at the places of the records, and in the files. */
enum found {
	ALL_BEFORE = TRUST_BEFORE,
	ALL_AFTER = TRUST_AFTER,
	MIXED = TRUST_MIXED,
	ELSE = TRUST_ELSE
};

static enum found compare(const struct undo_record *x, const unsigned char *now)
{
	bool before = true, after = true;

	for (size_t at = 0; at < x->len; at += SECTOR) {
		size_t n = MIN(x->len - at, (size_t)SECTOR);
		bool is_before = memcmp(now + at, x->before + at, n) == 0;
		bool is_after = memcmp(now + at, x->after + at, n) == 0;

		if (!is_before && !is_after)
			return ELSE;
		before = before && is_before;
		after = after && is_after;
	}
	return before ? ALL_BEFORE : after ? ALL_AFTER : MIXED;
}

static int look_at_blocks(const struct places *p, const struct undo *u, enum found *ret)
{
	bool before = true, after = true;

	for (unsigned i = 0; i < u->n; i++) {
		const struct undo_record *x = &u->records[i];
		_cleanup_free_ unsigned char *now = mem_must(malloc(x->len));
		int r = io_pread_all(p->t[x->disk].fd, now, x->len, x->offset);
		enum found one;

		if (r < 0)
			return r;
		one = compare(x, now);
		if (one == ELSE) {
			*ret = ELSE;
			return 0;
		}
		before = before && one == ALL_BEFORE;
		after = after && one == ALL_AFTER;
	}
	*ret = before ? ALL_BEFORE : after ? ALL_AFTER : MIXED;
	return 0;
}

/* Of both. With `undoing` a log is replayed, which may be what a crash has left of an --apply. */
static int look(const struct places *p, struct undo *u, bool undoing, enum found *ret, char *err)
{
	enum trust_found files;
	enum found blocks;
	int fds[UNDO_DISKS_MAX], r = look_at_blocks(p, u, &blocks);

	if (r < 0)
		return fail(err, r, "the guest's disk cannot be read: %s", strerror(-r));
	if (!u->n_files || blocks == ELSE) {
		*ret = blocks;
		return 0;
	}
	list_fds(p, fds);
	r = trust_look(u->files, u->n_files, fds, undoing, !undoing, &files, err);
	if (r < 0)
		return r;
	if (!u->n || files == TRUST_ELSE)
		*ret = (enum found)files;
	else
		*ret = (enum found)files == blocks ? blocks : MIXED;
	return 0;
}

/* --- Applying --- */

/* The number of a disk of `f` in `u`. */
static unsigned undo_disk_of(const struct fixup *f, struct undo *u, unsigned disk,
			     int of[static FIXUP_DISKS_MAX])
{
	if (of[disk] < 0) {
		struct undo_disk *d = &u->disks[u->n_disks];

		of[disk] = (int)u->n_disks++;
		d->bytes = f->disks[disk].bytes;
		snprintf(d->path, sizeof(d->path), "%s", f->disks[disk].path);
	}
	return (unsigned)of[disk];
}

/* Only the disks that are written to; `u` borrows the bytes of `f`. */
static void make_undo(const struct fixup *f, struct undo *u)
{
	int of[FIXUP_DISKS_MAX];

	memset(of, -1, sizeof(of));
	u->time = (uint64_t)time(NULL);
	u->records = mem_new((f->n_writes + 1) * sizeof(*u->records));
	for (unsigned i = 0; i < f->n_writes; i++) {
		const struct fixup_write *w = &f->writes[i];

		u->records[u->n++] = (struct undo_record){ .disk = undo_disk_of(f, u, w->disk, of),
							   .offset = w->offset,
							   .len = w->len,
							   .before = f->olds[i],
							   .after = w->bytes };
	}
	u->files = mem_new((f->n_files + 1) * sizeof(*u->files));
	for (unsigned i = 0; i < f->n_files; i++) {
		struct trust_file *v = &u->files[u->n_files++];

		*v = f->files[i];
		v->where.disk = undo_disk_of(f, u, v->where.disk, of);
	}
}

/* What trust_look() has found is its own. */
static void drop_undo(struct undo *u)
{
	for (unsigned i = 0; i < u->n_files; i++)
		free(u->files[i].xattrs.p);
	free(u->files);
	free(u->records);
	free(u);
}

static int write_new(const struct places *p, const struct undo *u, const char *undo_path, char *err)
{
	char why[TRUST_ERRLEN], why_back[TRUST_ERRLEN];
	int r = write_side(p, u, true, why), back;

	if (r == 0)
		return 0;
	back = write_side(p, u, false, why_back);
	if (back < 0)
		return fail(err, r,
			    "writing has failed: %.200s; what was written could not be put back "
			    "(%.200s): %s has it",
			    why, why_back, undo_path);
	unlink(undo_path);
	return fail(err, r, "writing has failed, and everything was put back: %s", why);
}

static int apply(struct undo *u, const char *state_dir, struct places *p, char ret_undo[PATH_MAX],
		 char *err)
{
	enum found now = ELSE;
	int r = open_places(p, u, err);

	if (r < 0)
		return r;
	r = look(p, u, false, &now, err);
	if (r < 0)
		return r;
	if (now != ALL_BEFORE)
		return fail(err, -ESTALE,
			    "%s has changed while the changes were planned: is the guest running?",
			    u->disks[0].path);
	r = undo_write(state_dir, u, ret_undo, err);
	return r < 0 ? r : write_new(p, u, ret_undo, err);
}

int fixup_apply(struct fixup *f, const char *state_dir, char ret_undo[PATH_MAX], char *err)
{
	struct places p = { .n = 0 };
	struct undo *u;
	int r;

	ret_undo[0] = '\0';
	if (f->view.why_not)
		return fail(err, -EROFS, "nothing was written: %s", f->view.why_not);
	if (!fixup_count_writes(f))
		return 0;
	u = mem_new(sizeof(*u));
	make_undo(f, u);
	r = apply(u, state_dir, &p, ret_undo, err);
	close_places(&p);
	drop_undo(u);
	return r;
}

/* --- Undoing --- */

/*
 * The file has to be about the image that was named: another's would be written to else. An image
 * that was moved takes the place of the only one in the file; what is on it decides then.
 */
static int find_image(const char *path, struct undo *u, const char *image, char *err)
{
	char now[PATH_MAX], then[PATH_MAX];

	if (!realpath(image, now))
		return fail(err, -errno, "%s: %s", image, strerror(errno));
	for (unsigned i = 0; i < u->n_disks; i++)
		if (realpath(u->disks[i].path, then) && !strcmp(now, then))
			return 0;
	if (u->n_disks != 1)
		return fail(err, -EINVAL, "%s is about %s and %u more, not about %s", path,
			    u->disks[0].path, u->n_disks - 1, image);
	strcpy(u->disks[0].path, now);
	return 0;
}

/* 1: it was so already; 0: done. */
static int undo_one(const char *path, const char *image, char *err)
{
	struct places p = { .n = 0 };
	struct undo *u = mem_new(sizeof(*u));
	char why[TRUST_ERRLEN];
	enum found now = ELSE;
	int r = undo_read(path, u, err);

	if (r == 0)
		r = find_image(path, u, image, err);
	if (r == 0)
		r = open_places(&p, u, err);
	if (r == 0)
		r = look(&p, u, true, &now, err);
	if (r == 0 && now == ELSE)
		r = fail(err, -ESTALE,
			 "%s was written to since then, as a guest does that runs, or is another "
			 "disk: putting back what %s has would damage it",
			 u->disks[0].path, path);
	if (r == 0 && now == ALL_BEFORE)
		r = 1;
	else if (r == 0)
		r = write_side(&p, u, false, why);
	if (r < 0 && !err[0])
		fail(err, r, "%s cannot be written to: %s", u->disks[0].path, why);
	close_places(&p);
	undo_fini(u);
	free(u);
	return r;
}

static int undo_newest(const char *state_dir, const char *image, char ret_path[PATH_MAX], char *err)
{
	char resolved[PATH_MAX];
	char **list;
	int r = 1;

	if (!realpath(image, resolved))
		return fail(err, -errno, "%s: %s", image, strerror(errno));
	list = undo_list(state_dir, resolved);
	if (!list)
		return fail(err, -ENOENT,
			    "%s has no undo file for %s: if the image was moved, name the file "
			    "(--undo-file)",
			    state_dir, resolved);
	for (char **p = list; r == 1 && *p; p++) {
		snprintf(ret_path, PATH_MAX, "%s", *p);
		r = undo_one(*p, image, err);
		/* One of another copy of the disk, older than the one that was undone already. */
		if (r == -ESTALE && p > list)
			r = 1;
	}
	undo_list_free(list);
	return r;
}

int fixup_undo(const char *path, const char *state_dir, const char *image, char ret_path[PATH_MAX],
	       char *err)
{
	int r;

	err[0] = '\0';
	if (path) {
		snprintf(ret_path, PATH_MAX, "%s", path);
		r = undo_one(path, image, err);
	} else {
		r = undo_newest(state_dir, image, ret_path, err);
	}
	if (r > 0)
		ret_path[0] = '\0';
	return r < 0 ? r : 0;
}
