/*
 * Making a disk larger: the steps, under one lock. A file system in a partition is shown to e2fsck
 * and resize2fs as a loop device of just its bytes. Their own FILE?offset=N is a trap: resize2fs
 * cuts the file off at the file system's size as if it began at 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <uuid.h>

#include "bridgectl/disk/grow_private.h"
#include "bridgectl/disk/loopdev.h"
#include "bridgectl/disk/swap.h"
#include "bridgectl/disk/zero.h"
#include "common/proc.h"
#include "common/util.h"

#define TOOL_TIMEOUT_MS (24 * 3600 * 1000) /* a large file system takes hours */
#define TOOL_OUT_BYTES ((size_t)16 << 20)
#define E2FSCK_FAILED 4 /* e2fsck(8): less is "errors corrected" */

struct run {
	struct grow *g;
	const volatile sig_atomic_t *stop;
	grow_show_fn show;
	void *arg;
	unsigned step;
	uint64_t done, total;
	uint64_t content_bytes; /* that the programs may see */
	bool extended;
	char *err;
};

int grow_fail(char *err, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, GROW_ERRLEN, fmt, ap);
	va_end(ap);
	return r < 0 ? r : -EIO;
}

static int take(struct grow *g, char *err)
{
	struct target_want w = { .bytes = g->before, .overwrite = true };

	return g->target.fd >= 0 ? 0 : target_open(g->path, &w, &g->target, err);
}

/* --- The file system's programs --- */

/*
 * The last line that says something, without the program's name in front: neither its version
 * ("e2fsck 1.47.0 (5-Feb-2023)") nor what goes on from the line before. NULL: there is none.
 */
static const char *reason_in(char *text, const char *name)
{
	char *save, *line = text ? strtok_r(text, "\n", &save) : NULL;
	const char *last = NULL;
	size_t n = strlen(name);

	for (; line; line = strtok_r(NULL, "\n", &save)) {
		bool is_named = !strncmp(line, name, n);

		if (strchr(" \t(", *line) || (is_named && line[n] == ' '))
			continue;
		last = is_named && line[n] == ':' ? line + n + 1 + strspn(line + n + 1, " ") : line;
	}
	return last;
}

static int tool_failed(struct run *r, const char *name, struct proc_result *result)
{
	const char *reason = reason_in(result->err, name);

	if (!reason)
		reason = reason_in(result->out, name);
	return grow_fail(r->err, -EIO, "%s: %.300s", name, reason ? reason : "it does not say why");
}

/* What is open is locked; the device is gone with its descriptor. */
static int open_content(struct run *r, char path[4096])
{
	struct grow *g = r->g;
	char loop[LOOPDEV_PATHLEN];
	int fd;

	if (!grow_needs_loop(g)) {
		snprintf(path, 4096, "%s", g->path);
		return -1;
	}
	fd = loopdev_open(g->target.fd, grow_start(g), r->content_bytes, loop);
	if (fd < 0)
		return grow_fail(r->err, fd, "no loop device for the file system: %s",
				 strerror(-fd)) -
		       1;
	snprintf(path, 4096, "%s", loop);
	return fd;
}

/* `option` and `size` may be NULL. An exit code from `bad` on is a failure. */
static int run_tool(struct run *r, const char *name, const char *option, const char *size, int bad)
{
	static const struct proc_limits limits = { .timeout_ms = TOOL_TIMEOUT_MS,
						   .out_bytes = TOOL_OUT_BYTES };
	char path[4096];
	_cleanup_close_ int loop = open_content(r, path);
	const char *argv[6] = { name };
	struct proc_result result;
	unsigned n = 1;
	int e;

	if (loop < -1)
		return loop;
	if (option) {
		argv[n++] = "-f";
		argv[n++] = option;
	}
	argv[n++] = path;
	argv[n++] = size;
	e = proc_run(argv, &limits, NULL, 0, &result);
	if (e < 0)
		return grow_fail(r->err, e, "%s does not run: %s", name, strerror(-e));
	e = result.exit_code < bad ? 0 : tool_failed(r, name, &result);
	proc_result_fini(&result);
	return e;
}

static int check_fs(struct run *r)
{
	r->content_bytes =
		r->g->label == PLAN_WHOLE ? r->g->before : r->g->part.sectors * SECTOR_BYTES;
	return run_tool(r, "e2fsck", "-p", NULL, E2FSCK_FAILED);
}

static int check_again(struct run *r)
{
	r->content_bytes = grow_content_bytes(r->g);
	return run_tool(r, "e2fsck", "-n", NULL, 1);
}

static int resize_fs(struct run *r)
{
	char size[32];

	r->content_bytes = grow_content_bytes(r->g);
	snprintf(size, sizeof(size), "%jus", (uintmax_t)(r->content_bytes / SECTOR_BYTES));
	return run_tool(r, "resize2fs", NULL, size, 1);
}

/* --- Ours --- */

static int extend(struct run *r)
{
	struct grow *g = r->g;
	int e;

	if (g->kind == GROW_VOLUME) {
		target_close(&g->target);
		e = volume_extend(&g->volume, g->after - g->before, r->err);
		r->extended = !e;
		if (!e)
			e = take(g, r->err);
	} else {
		e = ftruncate(g->target.fd, (off_t)g->after) < 0 ? -errno : 0;
		if (e)
			return grow_fail(r->err, e, "%s: %s", g->path, strerror(-e));
		g->target.bytes = g->after;
	}
	if (!e && g->target.bytes < g->after)
		return grow_fail(r->err, -ENOSPC, "%s has %ju bytes now, not %ju", g->path,
				 (uintmax_t)g->target.bytes, (uintmax_t)g->after);
	return e;
}

static int zeroing_step(void *arg, uint64_t bytes)
{
	struct run *r = arg;

	r->done += bytes;
	if (r->show)
		r->show(r->arg, r->g, r->step, r->done, r->total);
	return r->stop && *r->stop ? -ECANCELED : 0;
}

/*
 * From where on nothing is the guest's. The second copy of a GPT lies there as well: it belongs
 * somewhere else from now on.
 */
static uint64_t end_of_content(const struct grow *g)
{
	if (g->label != PLAN_WHOLE)
		return (g->part.start + g->part.sectors) * SECTOR_BYTES;
	return g->content ? MIN(g->content, g->before) : g->before;
}

static int zero(struct run *r)
{
	struct grow *g = r->g;
	uint64_t start = end_of_content(g);
	int e;

	r->done = 0;
	r->total = g->target.bytes - start;
	e = zero_range(&g->target, start, r->total, zeroing_step, r);
	if (!e && fdatasync(g->target.fd) < 0)
		e = -errno;
	return e ? grow_fail(r->err, e, "cannot write zeros: %s", strerror(-e)) : 0;
}

static int enlarge_partition(struct run *r)
{
	return table_enlarge(r->g->target.fd, r->g->part.number, r->g->part_after, r->err);
}

static int rewrite_swap(struct run *r)
{
	_cleanup_free_ uint8_t *buf = calloc(1, SWAP_PAGE_MAX);
	uint64_t start = grow_start(r->g);
	struct swap_header h;
	char uuid[UUID_STR_LEN];
	int e = -ENOMEM, fd = r->g->target.fd;

	if (buf)
		e = pread(fd, buf, SWAP_PAGE_MAX, (off_t)start) < 0 ?
			    -errno :
			    swap_read(buf, SWAP_PAGE_MAX, &h);
	if (!e) {
		uuid_unparse_lower(h.uuid, uuid);
		e = swap_write(fd, start, grow_content_bytes(r->g), h.page, uuid, h.label);
	}
	if (!e && fsync(fd) < 0)
		e = -errno;
	return e ? grow_fail(r->err, e, "cannot write the swap header: %s", strerror(-e)) : 0;
}

/* --- One after the other --- */

static const struct {
	int (*run)(struct run *r);
	bool is_before; /* a failure leaves all as it was */
} steps[] = {
	[GROW_CHECK_FS] = { check_fs, true },
	[GROW_EXTEND] = { extend, true },
	[GROW_ZERO] = { zero, false },
	[GROW_TABLE] = { enlarge_partition, false },
	[GROW_RESIZE_FS] = { resize_fs, false },
	[GROW_SWAP] = { rewrite_swap, false },
	[GROW_CHECK_AGAIN] = { check_again, false },
};

/* Which state it is in, and what to do. */
static void add_advice(const struct run *r)
{
	const struct grow *g = r->g;
	enum grow_step s = g->steps[r->step];
	size_t n = strlen(r->err);
	char *p = r->err + n, name[512], offset[32] = "";
	size_t room = GROW_ERRLEN - n;

	if (grow_start(g))
		snprintf(offset, sizeof(offset), "?offset=%ju", (uintmax_t)grow_start(g));
	snprintf(name, sizeof(name), "'%.300s%s'", g->path, offset);
	if (s == GROW_CHECK_FS)
		snprintf(p, room, "; nothing has become larger; by hand: e2fsck -f %s, then again",
			 name);
	else if (s == GROW_CHECK_AGAIN)
		snprintf(p, room, "; all is larger now; by hand: e2fsck -f %s", name);
	else if (steps[s].is_before && !r->extended)
		snprintf(p, room, "; nothing has become larger");
	else
		snprintf(p, room,
			 "; steps 1 to %u are done, the data is whole; to go on: bridgectl disk "
			 "grow %.300s +0",
			 r->step, g->path);
}

/* The size on the outside, and the partition's. */
static int check_end(struct run *r)
{
	struct grow *g = r->g;
	const struct table_part *p;
	struct table t;
	off_t end = lseek(g->target.fd, 0, SEEK_END);
	int e;

	if (end < 0 || (uint64_t)end < g->after)
		return grow_fail(r->err, -EUCLEAN, "%s has %jd bytes in the end, not %ju", g->path,
				 (intmax_t)end, (uintmax_t)g->after);
	if (g->label == PLAN_WHOLE)
		return 0;
	e = table_read(g->target.fd, &t, r->err);
	if (e < 0)
		return e;
	p = table_find(&t, g->part.number);
	if (t.label == g->label && p && p->start == g->part.start && p->sectors == g->part_after)
		return 0;
	return grow_fail(r->err, -EUCLEAN, "%s: its partition table is not what was written",
			 g->path);
}

int grow_run(struct grow *g, const volatile sig_atomic_t *stop, grow_show_fn show, void *arg,
	     char *err)
{
	struct run run = { .g = g, .stop = stop, .show = show, .arg = arg, .err = err };
	int r = take(g, err);

	if (r < 0)
		return r;
	if (g->target.bytes != g->before)
		r = grow_fail(err, -ESTALE, "%s has changed meanwhile", g->path);
	for (run.step = 0; !r && run.step < g->n_steps; run.step++) {
		if (show)
			show(arg, g, run.step, 0, 0);
		r = stop && *stop ? grow_fail(err, -ECANCELED, "stopped on request") :
				    steps[g->steps[run.step]].run(&run);
		if (r) {
			add_advice(&run);
			break;
		}
	}
	if (!r)
		r = check_end(&run);
	target_close(&g->target);
	return r;
}
