/*
 * Our side of looking at a guest: opens its disks for reading, starts the child, and makes sure
 * that what comes back is what it may be: bytes within the disks, none twice, not too many, a
 * document of the right kind.
 */
#include "bridgectl/fixup/fixup.h"

#include <errno.h>
#include <string.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/probe.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/fixup_private.h"
#include "bridgectl/fixup/overlay.h"
#include "common/io.h"
#include "common/util.h"

#define fail(err, r, ...) disk_fail(err, FIXUP_ERRLEN, r, __VA_ARGS__)

/* What comes from the child, so far. */
struct intake {
	struct fixup *f;
	char *text; /* the document */
	size_t text_len;
	uint64_t bytes; /* of writes */
	char *later;	/* FRAME_FILES */
	size_t later_len;
	int files[2]; /* where FRAME_KERNEL and FRAME_INITRD go; -1: nowhere */
	char *buf;    /* or here, FRAME_KERNEL */
	size_t buf_len, buf_max;
};

/* --- Disks --- */

static int open_disk(struct fixup *f, const char *path, char *err)
{
	struct target *d = &f->disks[f->n_disks];
	char why[TARGET_ERRLEN];
	const char *format;
	int r = source_open(path, d, why);

	if (r < 0)
		return fail(err, r, "%s", why);
	f->n_disks++;
	/* /dev/vg0/web1 lasts; /dev/dm-3, where it leads to, is another volume after a restart. */
	if (d->kind == TARGET_BLOCK && *path == '/')
		snprintf(d->path, sizeof(d->path), "%s", path);
	format = probe_image(d->fd);
	if (format)
		return fail(err, -EOPNOTSUPP,
			    "%s is a %s image: make a raw one of it (qemu-img convert -O raw), or "
			    "give it a device (qemu-nbd -c /dev/nbd0) and name that",
			    path, format);
	if (!d->bytes)
		return fail(err, -ENODATA, "%s is empty", path);
	return 0;
}

static int open_disks(struct fixup *f, const struct fixup_options *o, struct fixup_request *q,
		      char *err)
{
	int r = 0;

	if (!o->n_disks || o->n_disks > FIXUP_DISKS_MAX)
		return fail(err, -EINVAL, "a guest has 1 to %u disks here", FIXUP_DISKS_MAX);
	for (unsigned i = 0; r == 0 && i < o->n_disks; i++)
		r = open_disk(f, o->disks[i], err);
	for (unsigned i = 0; r == 0 && i < o->n_disks; i++)
		q->disks[i] = (struct scene_disk){ .fd = f->disks[i].fd,
						   .bytes = f->disks[i].bytes,
						   .letter = o->letters[i] };
	q->n_disks = o->n_disks;
	q->o = o;
	return r;
}

/* --- Frames --- */

static int nonsense(char *err)
{
	return disk_fail(err, CHILD_ERRLEN, -EPROTO,
			 "the process that reads the guest answered nonsense: is the guest's file "
			 "system damaged?");
}

static int append(char **to, size_t *to_len, size_t max, const unsigned char *bytes, size_t len)
{
	if (len > max - *to_len)
		return -EMSGSIZE;
	*to = mem_must(realloc(*to, *to_len + len + 1));
	memcpy(*to + *to_len, bytes, len);
	*to_len += len;
	(*to)[*to_len] = '\0';
	return 0;
}

static int take_write(struct intake *t, const unsigned char *bytes, size_t len)
{
	struct fixup *f = t->f;
	struct fixup_write w;

	if (len <= FRAME_WRITE_HEAD || f->n_writes == FIXUP_WRITES_MAX)
		return -EPROTO;
	w = (struct fixup_write){ .disk = get_le32(bytes),
				  .offset = get_le64(bytes + 4),
				  .len = len - FRAME_WRITE_HEAD };
	if (w.disk >= f->n_disks || w.len > f->disks[w.disk].bytes ||
	    w.offset > f->disks[w.disk].bytes - w.len)
		return -EPROTO;
	t->bytes += w.len;
	if (t->bytes > OVERLAY_MAX)
		return -EPROTO;
	w.bytes = mem_must(malloc(w.len));
	memcpy(w.bytes, bytes + FRAME_WRITE_HEAD, w.len);
	*mem_push(f->writes, f->n_writes) = w;
	return 0;
}

static int put_file(int fd, const unsigned char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int take_file(struct intake *t, bool initrd, const unsigned char *bytes, size_t len,
		     char *err)
{
	int r = -EPROTO;

	if (!initrd && t->buf_max)
		r = append(&t->buf, &t->buf_len, t->buf_max, bytes, len);
	else if (t->files[initrd] >= 0)
		r = put_file(t->files[initrd], bytes, len);
	if (r < 0 && r != -EPROTO)
		return disk_fail(err, CHILD_ERRLEN, r, "the guest's file cannot be written: %s",
				 strerror(-r));
	return r;
}

static int take_frame(void *ctx, uint8_t kind, const unsigned char *bytes, size_t len, char *err)
{
	struct intake *t = ctx;
	int r = -EPROTO;

	switch (kind) {
	case FRAME_JSON:
		r = append(&t->text, &t->text_len, FIXUP_DOCUMENT_MAX, bytes, len);
		break;
	case FRAME_WRITE:
		r = take_write(t, bytes, len);
		break;
	case FRAME_KERNEL:
	case FRAME_INITRD:
		r = take_file(t, kind == FRAME_INITRD, bytes, len, err);
		break;
	case FRAME_FILES:
		r = append(&t->later, &t->later_len, TRUST_FILES_BYTES, bytes, len);
		break;
	}
	return r == -EPROTO || r == -EMSGSIZE ? nonsense(err) : r;
}

/* Starts the child and takes its answer. 0 or negative errno and `err` (FIXUP_ERRLEN). */
static int ask(struct fixup_request *q, struct intake *t, char *err)
{
	int fds[FIXUP_DISKS_MAX];
	struct child_job j = {
		.fn = fixup_child,
		.arg = q,
		.fds = fds,
		.n_fds = q->n_disks,
		.timeout_ms = q->o->timeout_ms > 0 ? q->o->timeout_ms : FIXUP_TIMEOUT_MS,
		.frame = take_frame,
		.ctx = t,
	};
	char why[CHILD_ERRLEN] = "";
	int r;

	for (unsigned i = 0; i < q->n_disks; i++)
		fds[i] = q->disks[i].fd;
	r = fixup_trust_job(q, &j, err);
	if (r < 0)
		return r;
	r = child_run(&j, why);
	if (r < 0)
		return fail(err, r, "%s", *why ? why : strerror(-r));
	return 0;
}

static json_t *parse(const struct intake *t)
{
	return t->text ? json_loadb(t->text, t->text_len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* --- The plan --- */

static int by_place(const void *a, const void *b)
{
	const struct fixup_write *x = a, *y = b;

	if (x->disk != y->disk)
		return x->disk < y->disk ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool overlap(const struct fixup *f)
{
	for (unsigned i = 1; i < f->n_writes; i++) {
		const struct fixup_write *a = &f->writes[i - 1], *b = &f->writes[i];

		if (a->disk == b->disk && a->offset + a->len > b->offset)
			return true;
	}
	return false;
}

static int read_old(const struct fixup *f, const struct fixup_write *w, unsigned char **ret)
{
	unsigned char *old = mem_must(malloc(w->len));
	int r = io_pread_all(f->disks[w->disk].fd, old, w->len, w->offset);

	if (r < 0) {
		free(old);
		return r;
	}
	*ret = old;
	return 0;
}

static int read_olds(struct fixup *f, char *err)
{
	int r = 0;

	f->olds = mem_new((f->n_writes + 1) * sizeof(*f->olds));
	for (unsigned i = 0; r == 0 && i < f->n_writes; i++)
		r = read_old(f, &f->writes[i], &f->olds[i]);
	return r < 0 ? fail(err, r, "the guest's disk cannot be read: %s", strerror(-r)) : 0;
}

static int take_plan(struct fixup *f, const struct intake *t, char *err)
{
	json_t *j = parse(t);
	int r = j ? fixup_take_document(f, j) : -EPROTO;

	json_decref(j);
	if (r == 0)
		r = fixup_take_files(f, t->later, t->later_len);
	if (r < 0)
		return nonsense(err);
	if (f->n_writes)
		qsort(f->writes, f->n_writes, sizeof(*f->writes), by_place);
	if (overlap(f))
		return nonsense(err);
	return read_olds(f, err);
}

int fixup_plan(const struct fixup_options *o, struct fixup **ret, char *err)
{
	struct fixup_request q = { .wish = WISH_PLAN };
	struct fixup *f = mem_new(sizeof(*f));
	struct intake t = { .f = f, .files = { -1, -1 } };
	int r = open_disks(f, o, &q, err);

	if (r == 0)
		r = ask(&q, &t, err);
	memcpy(f->mounts, q.mounts, sizeof(f->mounts));
	f->n_mounts = q.n_mounts;
	if (r == 0)
		r = take_plan(f, &t, err);
	free(t.text);
	free(t.later);
	if (r < 0)
		fixup_free(f);
	else
		*ret = f;
	return r;
}

const struct fixup_view *fixup_view(const struct fixup *f)
{
	return &f->view;
}

unsigned fixup_count_writes(const struct fixup *f)
{
	return f->n_writes + f->n_files;
}

int fixup_disk_fd(const struct fixup *f, unsigned disk)
{
	return f->disks[disk].fd;
}

void fixup_free(struct fixup *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->n_writes; i++) {
		free(f->writes[i].bytes);
		if (f->olds)
			free(f->olds[i]);
	}
	for (unsigned i = 0; i < f->view.n_changes; i++) {
		free(f->changes[i].path);
		free(f->changes[i].diff);
		free(f->changes[i].why);
	}
	for (unsigned i = 0; i < f->n_notes; i++)
		free(f->notes[i]);
	for (unsigned i = 0; i < f->n_disks; i++)
		target_close(&f->disks[i]);
	inspection_free(f->in);
	trust_files_free(f->files, f->n_files);
	free(f->notes);
	free(f->writes);
	free(f->olds);
	free(f);
}

int fixup_add_write(struct fixup *f, unsigned disk, uint64_t offset, const void *bytes, size_t len,
		    char *err)
{
	struct fixup_write w = { .disk = disk, .offset = offset, .len = len };
	unsigned at = 0;
	int r;

	if (!len || disk >= f->n_disks || len > f->disks[disk].bytes ||
	    offset > f->disks[disk].bytes - len)
		return fail(err, -ERANGE, "%zu bytes at %ju are not inside the disk", len,
			    (uintmax_t)offset);
	while (at < f->n_writes && by_place(&f->writes[at], &w) < 0)
		at++;
	if ((at && f->writes[at - 1].disk == disk &&
	     f->writes[at - 1].offset + f->writes[at - 1].len > offset) ||
	    (at < f->n_writes && f->writes[at].disk == disk && offset + len > f->writes[at].offset))
		return fail(err, -EEXIST, "%zu bytes at %ju are in the way of another change", len,
			    (uintmax_t)offset);
	w.bytes = mem_must(malloc(len));
	memcpy(w.bytes, bytes, len);
	f->olds = mem_must(reallocarray(f->olds, f->n_writes + 2, sizeof(*f->olds)));
	memmove(f->olds + at + 1, f->olds + at, (f->n_writes - at) * sizeof(*f->olds));
	r = read_old(f, &w, &f->olds[at]);
	if (r < 0) {
		memmove(f->olds + at, f->olds + at + 1, (f->n_writes - at) * sizeof(*f->olds));
		free(w.bytes);
		return fail(err, r, "the guest's disk cannot be read: %s", strerror(-r));
	}
	mem_push(f->writes, f->n_writes);
	memmove(f->writes + at + 1, f->writes + at, (f->n_writes - 1 - at) * sizeof(w));
	f->writes[at] = w;
	return 0;
}

/* --- Files of the guest --- */

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool take_kernel(const json_t *j, struct fixup_kernel *k)
{
	const char *version, *root, *cmdline;
	int initrd;

	if (json_unpack((json_t *)j, "{s:s, s:s, s:s, s:b}", "version", &version, "root", &root,
			"cmdline", &cmdline, "initrd", &initrd) < 0)
		return false;
	if (strlen(version) >= sizeof(k->version) || strlen(root) >= sizeof(k->root) ||
	    !is_printable(version) || !is_printable(root))
		return false;
	strcpy(k->version, version);
	strcpy(k->root, root);
	if (strlen(cmdline) < sizeof(k->cmdline) && is_printable(cmdline))
		strcpy(k->cmdline, cmdline);
	k->has_initrd = initrd;
	return true;
}

/* One question to a child that is not a plan. */
static int ask_for(struct fixup_request *q, const struct fixup_options *o, struct intake *t,
		   char *err)
{
	struct fixup *f = mem_new(sizeof(*f));
	int r = open_disks(f, o, q, err);

	t->f = f;
	if (r == 0)
		r = ask(q, t, err);
	free(steal(t->later));
	fixup_free(f);
	return r;
}

int fixup_extract_kernel(const struct fixup_options *o, const char *version, int kernel_fd,
			 int initrd_fd, struct fixup_kernel *ret, char *err)
{
	struct fixup_request q = { .wish = WISH_KERNEL, .version = version };
	struct intake t = { .files = { kernel_fd, initrd_fd } };
	struct fixup_kernel k = { .has_initrd = false };
	int r = ask_for(&q, o, &t, err);
	json_t *j = NULL;

	if (r == 0) {
		j = parse(&t);
		r = j && take_kernel(j, &k) ? 0 : nonsense(err);
	}
	json_decref(j);
	free(t.text);
	if (r == 0)
		*ret = k;
	return r;
}

int fixup_read_file(const struct fixup_options *o, const char *path, size_t max, char **ret,
		    size_t *ret_len, char *err)
{
	struct fixup_request q = { .wish = WISH_FILE, .path = path, .max = max };
	struct intake t = { .files = { -1, -1 }, .buf_max = MIN(max, (size_t)FIXUP_KERNEL_MAX) };
	int r = ask_for(&q, o, &t, err);

	free(t.text);
	if (r < 0) {
		free(t.buf);
		return r;
	}
	*ret_len = t.buf_len;
	*ret = t.buf ? t.buf : mem_strdup("");
	return 0;
}
