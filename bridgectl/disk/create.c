/*
 * Carrying out a plan. All questions come first, for all disks; then each disk is made, zeroed
 * where no source will be, given its table and swap headers, synced and read back. The undo knows
 * what was made from create_made.bytes alone. A device that was there before cannot be given
 * back what was on it: that is said.
 */
#include "bridgectl/disk/create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <uuid/uuid.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/disk/space.h"
#include "bridgectl/disk/swap.h"
#include "bridgectl/disk/table.h"
#include "bridgectl/disk/target.h"
#include "bridgectl/disk/target_private.h"
#include "bridgectl/disk/volume.h"
#include "bridgectl/disk/zero.h"
#include "common/util.h"

#define fail(err, r, ...) disk_fail(err, CREATE_ERRLEN, r, __VA_ARGS__)

static uint64_t bytes_of(const struct plan_disk *d)
{
	return d->sectors * SECTOR_BYTES;
}

/* --- Questions --- */

static int check_one_place(const struct create_options *o, char *err)
{
	unsigned n = !!o->where.vg + !!o->where.dir + !!o->onto;

	return n == 1 ? 0 : fail(err, -EINVAL, "say one of --vg, --dir and --onto");
}

static int name_places(const struct plan *p, const struct create_options *o,
		       struct create_made *made, char *err)
{
	if (!p->n_disks)
		return fail(err, -ENODATA, "the plan has no disk");
	if (o->onto && p->n_disks > 1)
		return fail(err, -EINVAL,
			    "the plan has %u disks, and --onto is one: choose with --disk",
			    p->n_disks);
	for (unsigned i = 0; i < p->n_disks; i++) {
		struct create_made *m = &made[i];

		*m = (struct create_made){ .disk = &p->disks[i] };
		m->kind = o->onto ? CREATE_ONTO : o->where.vg ? CREATE_VOLUME : CREATE_FILE;
		if (o->onto)
			snprintf(m->path, sizeof(m->path), "%s", o->onto);
		else if (!plan_volume_path(&o->where, m->disk, m->path, sizeof(m->path)))
			return fail(err, -ENAMETOOLONG, "disk %s: too long a path", m->disk->name);
	}
	return 0;
}

static int check_hibernation(const struct plan *p, char *err)
{
	for (unsigned i = 0; i < p->n_disks; i++)
		for (unsigned k = 0; k < p->disks[i].n_parts; k++)
			if (p->disks[i].parts[k].source.hibernated)
				return fail(err, -EBUSY,
					    "%s holds an image of the guest's memory: resume the "
					    "guest and shut it down first",
					    p->disks[i].parts[k].source.path);
	return 0;
}

static int check_space(const struct plan *p, const struct create_options *o, char *err)
{
	struct space s;
	char free_text[SIZE_STRLEN], needed[SIZE_STRLEN];
	const char *exists;
	int r = space_look(p, &o->where, &s, err);

	if (r < 0)
		return r;
	exists = json_string_value(json_array_get(s.exists, 0));
	if (exists)
		r = fail(err, -EEXIST,
			 "%s exists already; remove it, take another name by --name, or write "
			 "over it by --onto and --overwrite",
			 exists);
	else if (!s.fits && !(s.sparse && o->overcommit))
		r = fail(err, -ENOSPC, "%s has %s free, and the plan needs %s%s", s.place,
			 size_format(s.free, free_text), size_format(s.needed, needed),
			 s.sparse ? "; --overcommit when the sources are mostly empty" : "");
	space_fini(&s);
	return r;
}

/* Of the disks that --disk leaves out as well: with --overwrite they would be gone. */
static int check_not_a_source(const struct plan *p, const char *onto, char *err)
{
	struct place place;
	struct stat st;

	if (stat(onto, &st) < 0)
		return 0;
	place_from_stat(&st, &place);
	for (unsigned i = 0; i < p->n_disks + p->n_others; i++)
		for (unsigned k = 0; k < p->disks[i].n_parts; k++) {
			const char *source = p->disks[i].parts[k].source.path;

			if (*source && !stat(source, &st) && place_reaches(&place, &st))
				return fail(err, -EXDEV, "%s is a source of the plan (%s)", onto,
					    source);
		}
	return 0;
}

static int open_onto(const struct plan *p, const struct create_options *o, struct target *t,
		     char *err)
{
	struct target_want w = { .bytes = bytes_of(&p->disks[0]), .overwrite = o->overwrite };
	int r = o->elsewhere ? 0 : check_not_a_source(p, o->onto, err);

	return r ? r : target_open(o->onto, &w, t, err);
}

/* What does not exist will be a file, which target_create() looks after; its folder must. */
static int check_onto(const struct plan *p, const struct create_options *o, char *err)
{
	const char *slash = strrchr(o->onto, '/');
	_cleanup_free_ char *folder =
		slash ? strndup(o->onto, (size_t)(slash - o->onto) + 1) : NULL;
	struct target t = { .fd = -1 };
	int r = open_onto(p, o, &t, err);

	target_close(&t);
	if (r != -ENOENT)
		return r;
	return folder && access(folder, W_OK | X_OK) < 0 ?
		       fail(err, -errno, "%s: %s", folder, strerror(errno)) :
		       0;
}

int create_check(const struct plan *p, const struct create_options *o, struct create_made *ret,
		 char *err)
{
	int r = check_one_place(o, err);

	if (!r)
		r = name_places(p, o, ret, err);
	if (!r)
		r = check_hibernation(p, err);
	if (!r)
		r = o->onto ? check_onto(p, o, err) : check_space(p, o, err);
	return r;
}

/* --- One disk --- */

static int check_stop(const struct create_options *o, char *err)
{
	return o->stop && *o->stop ? fail(err, -ECANCELED, "stopped on request") : 0;
}

static int open_volume(const struct create_options *o, struct create_made *m, struct target *t,
		       char *err)
{
	struct target_want w = { .bytes = bytes_of(m->disk), .overwrite = true };
	int r = volume_create(o->where.vg, m->disk->name, w.bytes, err);

	if (r < 0)
		return r;
	m->bytes = w.bytes;
	return target_open(m->path, &w, t, err);
}

/* `ret_fresh`: all of it reads as zeros. */
static int open_disk(const struct plan *p, const struct create_options *o, struct create_made *m,
		     struct target *t, bool *ret_fresh, char *err)
{
	int r = -ENOENT;

	*ret_fresh = false;
	if (m->kind == CREATE_VOLUME)
		r = open_volume(o, m, t, err);
	if (m->kind == CREATE_ONTO)
		r = open_onto(p, o, t, err);
	m->opened = !r && m->kind == CREATE_ONTO;
	if (m->kind == CREATE_FILE || (m->kind == CREATE_ONTO && r == -ENOENT)) {
		r = target_create(m->path, bytes_of(m->disk), o->overcommit, t, err);
		*ret_fresh = true;
		m->kind = CREATE_FILE;
	}
	if (r < 0)
		return r;
	m->bytes = t->bytes;
	if (m->kind != CREATE_VOLUME)
		snprintf(m->path, sizeof(m->path), "%s", t->path);
	return 0;
}

struct zeroing {
	const struct create_options *o;
	const char *path;
	uint64_t done, total;
};

static int zeroing_step(void *arg, uint64_t bytes)
{
	struct zeroing *z = arg;

	z->done += bytes;
	if (z->o->progress)
		z->o->progress(z->o->arg, z->path, z->done, z->total);
	return z->o->stop && *z->o->stop ? -ECANCELED : 0;
}

/* What no source fills, and what the target has more than the plan. */
static int zero_rest(const struct create_options *o, const struct create_made *m,
		     const struct target *t, char *err)
{
	struct plan_range ranges[PLAN_PARTS_MAX + 2];
	unsigned n = plan_zeroes(m->disk, ranges);
	struct zeroing z = { .o = o, .path = m->path };
	int r = 0;

	ranges[n++] = (struct plan_range){ bytes_of(m->disk), t->bytes - bytes_of(m->disk) };
	for (unsigned i = 0; i < n; i++)
		z.total += ranges[i].bytes;
	for (unsigned i = 0; i < n && !r; i++)
		r = zero_range(t, ranges[i].start, ranges[i].bytes, zeroing_step, &z);
	if (r == -ECANCELED)
		return fail(err, r, "stopped on request");
	return r ? fail(err, r, "%s: cannot be zeroed: %s", m->path, strerror(-r)) : 0;
}

static int check_swap(int fd, const struct plan_part *p)
{
	_cleanup_free_ uint8_t *page = calloc(1, SWAP_PAGE_MAX);
	const struct plan_source *s = &p->source;
	struct swap_header h;
	uuid_t uuid;
	int r;

	if (!page)
		return -ENOMEM;
	if (pread(fd, page, s->swap_page, (off_t)(p->start * SECTOR_BYTES)) != s->swap_page)
		return -EIO;
	r = swap_read(page, s->swap_page, &h);
	if (r < 0)
		return r;
	if (h.page != s->swap_page || strcmp(h.label, s->label) ||
	    (s->uuid[0] && (uuid_parse(s->uuid, uuid) < 0 || memcmp(uuid, h.uuid, sizeof(uuid)))))
		return -EUCLEAN;
	return 0;
}

static int make_swaps(int fd, const struct plan_disk *d, char *err)
{
	int r = 0;

	for (unsigned i = 0; i < d->n_parts && !r; i++) {
		const struct plan_part *p = &d->parts[i];
		const struct plan_source *s = &p->source;

		if (p->fill != PLAN_SWAP)
			continue;
		r = swap_write(fd, p->start * SECTOR_BYTES, p->sectors * SECTOR_BYTES, s->swap_page,
			       s->uuid, s->label);
		if (!r && fdatasync(fd) < 0)
			r = -errno;
		if (!r)
			r = check_swap(fd, p);
		if (r)
			return fail(err, r, "no swap header for partition %u: %s", p->number,
				    strerror(-r));
	}
	return r;
}

static int sync_all(const struct target *t, char *err)
{
	return fsync(t->fd) < 0 ? fail(err, -errno, "%s: %s", t->path, strerror(errno)) : 0;
}

static int fill_disk(const struct create_options *o, const struct create_made *m,
		     const struct target *t, bool fresh, char *err)
{
	int r = fresh ? 0 : zero_rest(o, m, t, err);

	if (!r)
		r = table_write(t->fd, m->disk, err);
	if (!r)
		r = make_swaps(t->fd, m->disk, err);
	if (!r)
		r = sync_all(t, err);
	if (!r)
		r = table_check(t->fd, m->disk, err);
	return r ? r : check_stop(o, err);
}

static int make_disk(const struct plan *p, const struct create_options *o, struct create_made *m,
		     char *err)
{
	struct target t = { .fd = -1 };
	bool fresh;
	int r = check_stop(o, err);

	if (!r)
		r = open_disk(p, o, m, &t, &fresh, err);
	if (!r)
		r = fill_disk(o, m, &t, fresh, err);
	target_close(&t);
	return r;
}

/* --- Undo --- */

static void add_to(char *err, const char *fmt, ...) _printf_(2, 3);

static void add_to(char *err, const char *fmt, ...)
{
	size_t n = strlen(err);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err + n, CREATE_ERRLEN - n, fmt, ap);
	va_end(ap);
}

/* Says what is left. */
static void undo_disk(const struct create_options *o, struct create_made *m, char *err)
{
	char why[VOLUME_ERRLEN];

	if (m->kind == CREATE_ONTO && m->opened)
		add_to(err, "; %s is half done, and what was on it is gone: go on with --overwrite",
		       m->path);
	if (m->kind == CREATE_FILE && m->bytes) {
		if (unlink(m->path) < 0)
			add_to(err, "; %s is left behind: %s", m->path, strerror(errno));
		else
			add_to(err, "; %s is removed again", m->path);
	}
	if (m->kind == CREATE_VOLUME && m->bytes) {
		if (volume_remove(o->where.vg, m->disk->name, why) < 0)
			add_to(err, "; volume %s is left behind: %s", m->path, why);
		else
			add_to(err, "; volume %s is removed again", m->path);
	}
	m->bytes = 0;
}

int create_run(const struct plan *p, const struct create_options *o, struct create_made *ret,
	       char *err)
{
	int r = create_check(p, o, ret, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < p->n_disks && !r; i++)
		r = make_disk(p, o, &ret[i], err);
	for (unsigned i = p->n_disks; r && i-- > 0;)
		undo_disk(o, &ret[i], err);
	return r;
}

/* --- For the reader --- */

const char *create_kind_name(enum create_kind k)
{
	static const char *const names[] = {
		[CREATE_FILE] = "file", [CREATE_VOLUME] = "volume", [CREATE_ONTO] = "existing"
	};

	return names[k];
}

static json_t *parts_to_json(const struct plan_disk *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; d->label != PLAN_WHOLE && i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];

		json_array_append_new(list,
				      json_pack("{s:i, s:I, s:I, s:s, s:s}", "number",
						(int)p->number, "start", (json_int_t)p->start,
						"sectors", (json_int_t)p->sectors, "fill",
						plan_fill_name(p->fill), "source", p->source.path));
	}
	return list;
}

json_t *create_to_json(const struct create_made *m, unsigned n)
{
	json_t *disks = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(disks,
				      json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:o}", "target",
						m[i].disk->target, "name", m[i].disk->name, "path",
						m[i].path, "kind", create_kind_name(m[i].kind),
						"bytes", (json_int_t)m[i].bytes, "label",
						plan_label_name(m[i].disk->label), "partitions",
						parts_to_json(m[i].disk)));
	return json_pack("{s:o}", "disks", disks);
}
