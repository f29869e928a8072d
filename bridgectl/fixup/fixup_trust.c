/*
 * --trust-guest, on our side. Which partitions there are to mount is asked of the process that
 * may nothing (child.h), so only those file systems' own code in the kernel sees bytes of the
 * guest with rights; and what is planned then has to be about these partitions.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/fixup_private.h"
#include "common/util.h"

#define SECTOR 512U

#define fail(err, r, ...) disk_fail(err, FIXUP_ERRLEN, r, __VA_ARGS__)

/* A part that lies inside its disk and beside all others. */
static bool take_part(struct fixup_request *q, const unsigned char *bytes)
{
	struct trust_mount m = { .disk = get_le32(bytes),
				 .start = get_le64(bytes + 4),
				 .bytes = get_le64(bytes + 12),
				 .btrfs = get_le32(bytes + 20) == 1 };

	if (m.disk >= q->n_disks || !m.bytes || m.start % SECTOR ||
	    m.bytes > q->disks[m.disk].bytes || m.start > q->disks[m.disk].bytes - m.bytes ||
	    q->n_mounts == TRUST_MOUNTS_MAX)
		return false;
	for (unsigned i = 0; i < q->n_mounts; i++) {
		const struct trust_mount *o = &q->mounts[i];

		if (o->disk == m.disk && m.start < o->start + o->bytes &&
		    o->start < m.start + m.bytes)
			return false;
	}
	q->mounts[q->n_mounts++] = m;
	return true;
}

static int take_frame(void *ctx, uint8_t kind, const unsigned char *bytes, size_t len, char *err)
{
	if (kind == FRAME_PART && len == FRAME_PART_LEN && take_part(ctx, bytes))
		return 0;
	return disk_fail(
		err, CHILD_ERRLEN, -EPROTO,
		"the process that reads the guest's partition tables answered nonsense, or "
		"there are more than %u file systems",
		TRUST_MOUNTS_MAX);
}

/* Which partitions are to be mounted, into q->mounts. */
static int find_mounts(struct fixup_request *q, const struct child_job *like, char *err)
{
	struct fixup_request *ask = mem_new(sizeof(*ask));
	struct child_job j = *like;
	char why[CHILD_ERRLEN] = "";
	int r;

	memcpy(ask, q, sizeof(*ask));
	ask->wish = WISH_PARTS;
	j.arg = ask;
	j.frame = take_frame;
	j.ctx = q;
	r = child_run(&j, why);
	free(ask);
	return r < 0 ? fail(err, r, "%s", *why ? why : strerror(-r)) : 0;
}

/* In the child. */
static int enter(void *arg, char *err)
{
	const struct fixup_request *q = arg;

	return trust_enter(q->mounts, q->n_mounts, q->fds, TRUST_READ, err);
}

int fixup_trust_job(struct fixup_request *q, struct child_job *j, char *err)
{
	int r;

	if (!q->o->trust_guest)
		return 0;
	r = find_mounts(q, j, err);
	if (r < 0 || !q->n_mounts)
		return r;
	if (geteuid() != 0)
		return fail(err, -EPERM,
			    "--trust-guest mounts the guest's file systems: for root "
			    "only");
	for (unsigned i = 0; i < q->n_disks; i++)
		q->fds[i] = q->disks[i].fd;
	j->rights = CHILD_READS;
	j->enter = enter;
	return 0;
}

/* --- What is planned --- */

static bool is_mounted(const struct fixup *f, const struct trust_mount *where)
{
	for (unsigned i = 0; i < f->n_mounts; i++) {
		const struct trust_mount *m = &f->mounts[i];

		if (m->disk == where->disk && m->start == where->start &&
		    m->bytes == where->bytes && m->btrfs == where->btrfs)
			return true;
	}
	return false;
}

/* Blocks of a file system whose files are changed: never. */
static bool is_beside(const struct fixup *f, const struct fixup_write *w)
{
	for (unsigned i = 0; i < f->n_mounts; i++) {
		const struct trust_mount *m = &f->mounts[i];

		if (m->disk == w->disk && w->offset < m->start + m->bytes &&
		    m->start < w->offset + w->len)
			return false;
	}
	return true;
}

int fixup_take_files(struct fixup *f, const char *bytes, size_t len)
{
	int r = len ? trust_files_unpack(bytes, len, &f->files, &f->n_files) : 0;

	for (unsigned i = 0; r == 0 && i < f->n_files; i++)
		if (!is_mounted(f, &f->files[i].where) || f->files[i].xattrs.p)
			r = -EPROTO;
	for (unsigned i = 0; r == 0 && i < f->n_writes; i++)
		if (!is_beside(f, &f->writes[i]))
			r = -EPROTO;
	return r;
}
