/*
 * Making a disk larger: the look. Everything that a step will need is asked for here, so that what
 * can be known to fail fails before anything is changed. The file system is checked (e2fsck)
 * as the first step for the same reason.
 */
#include "bridgectl/disk/grow.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bridgectl/disk/grow_private.h"
#include "bridgectl/disk/loopdev.h"
#include "bridgectl/disk/probe.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/disk/swap.h"
#include "common/proc.h"
#include "common/util.h"

#define EXT_INCOMPAT_64BIT 0x80
#define CONTENT_UNIT_MAX UINT64_C(65536) /* the largest block or page */

bool grow_is_ext(const struct grow *g)
{
	return !strcmp(g->type, "ext2") || !strcmp(g->type, "ext3") || !strcmp(g->type, "ext4");
}

bool grow_is_swap(const struct grow *g)
{
	return !strcmp(g->type, "swap") || !strcmp(g->type, "swsuspend");
}

/* They open devices exclusively, as we do, and take no offset. */
bool grow_needs_loop(const struct grow *g)
{
	return grow_is_ext(g) && (g->label != PLAN_WHOLE || g->kind != GROW_FILE);
}

/* Where the content begins, and how many bytes it may have in the end. */
uint64_t grow_start(const struct grow *g)
{
	return g->label == PLAN_WHOLE ? 0 : g->part.start * SECTOR_BYTES;
}

uint64_t grow_content_bytes(const struct grow *g)
{
	return g->label == PLAN_WHOLE ? g->after : g->part_after * SECTOR_BYTES;
}

static int check_format(const struct target *t, char *err)
{
	const char *format = t->kind == TARGET_FILE ? probe_image(t->fd) : NULL;

	return format ? grow_fail(err, -EINVAL,
				  "%s is a %s image, not a raw one; use qemu-img resize", t->path,
				  format) :
			0;
}

/* LVM takes /dev/VG/LV and /dev/mapper/NAME, not /dev/dm-7. */
static void path_for_lvm(const struct target *t, char *buf, size_t size)
{
	char name[256], file[64];
	_cleanup_fclose_ FILE *f = NULL;

	snprintf(file, sizeof(file), "/sys/dev/block/%u:%u/dm/name", major(t->dev), minor(t->dev));
	f = fopen(file, "re");
	if (f && fscanf(f, "%255s", name) == 1)
		snprintf(buf, size, "/dev/mapper/%s", name);
	else
		snprintf(buf, size, "%s", t->path);
}

static int look_at_size(struct grow *g, const struct target *t, const char *given, uint64_t more,
			char *err)
{
	char path[sizeof(t->path)];
	int r;

	g->before = t->bytes;
	if (more > INT64_MAX - SECTOR_BYTES - g->before)
		return grow_fail(err, -EINVAL, "no disk can be so large");
	g->after = g->before + more;
	if (more && t->kind == TARGET_FILE)
		g->after = (g->after + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
	if (t->kind == TARGET_FILE)
		return 0;
	path_for_lvm(t, path, sizeof(path));
	r = volume_find(path, &g->volume, err);
	if (r == -ENOENT && strcmp(path, given))
		r = volume_find(given, &g->volume, err);
	if (r && r != -ENOENT)
		return r;
	g->kind = r ? GROW_DEVICE : GROW_VOLUME;
	if (g->kind == GROW_DEVICE && more)
		return grow_fail(err, -EINVAL,
				 "%s is a device that cannot be made larger from here; when it is "
				 "larger already, say +0",
				 t->path);
	if (g->kind == GROW_DEVICE || !more)
		return 0;
	g->after = volume_size_after(&g->volume, more);
	return volume_check_room(&g->volume, g->after - g->before, err);
}

/* Up to 1 MiB before the end of the disk, in whole MiB, as plans have it. */
static uint64_t place_end(const struct grow *g)
{
	uint64_t sectors = g->after / SECTOR_BYTES;
	uint64_t end =
		MIN(table_limit(g->label, sectors), sectors - MIN(sectors, PLAN_ALIGN_SECTORS));

	return MAX(end / PLAN_ALIGN_SECTORS * PLAN_ALIGN_SECTORS, g->part.start + g->part.sectors);
}

static int choose_partition(struct grow *g, const struct table *t, unsigned number, char *err)
{
	const struct table_part *p = table_find(t, number), *last = table_find(t, 0);

	if (!p)
		return number ? grow_fail(err, -ENOENT, "%s has no partition %u", g->path, number) :
				grow_fail(err, -ENOENT, "%s has a table without partitions",
					  g->path);
	if (p->logical || p->container)
		return grow_fail(
			err, -EINVAL,
			"partition %u is an extended one, or in one: that is left to sfdisk",
			p->number);
	if (p != last)
		return grow_fail(err, -EINVAL, "partition %u is not the last: %u is behind it",
				 p->number, last->number);
	if (p->start > g->before / SECTOR_BYTES || p->sectors > g->before / SECTOR_BYTES - p->start)
		return grow_fail(err, -EUCLEAN,
				 "%s is cut off: partition %u goes on to byte %ju of %ju; look for "
				 "a whole copy first",
				 g->path, p->number,
				 (uintmax_t)((p->start + p->sectors) * SECTOR_BYTES),
				 (uintmax_t)g->before);
	if (g->label == PLAN_MSDOS && g->after > g->before &&
	    g->after / SECTOR_BYTES > PLAN_MSDOS_SECTORS_MAX + 1)
		return grow_fail(err, -EINVAL,
				 "%s has an msdos table, which ends at 2 TiB, and would have %ju "
				 "bytes; make it a GPT first, or take less",
				 g->path, (uintmax_t)g->after);
	g->part = *p;
	g->part_after = place_end(g) - p->start;
	return 0;
}

/* RAID and DRBD may have theirs at the end, behind all partitions: zeros would go over it. */
static int check_nothing_around(struct grow *g, const struct target *t, char *err)
{
	char type[sizeof(g->type)];
	int r = target_type(t->fd, 0, g->before, type, sizeof(type));

	if (r < 0)
		return grow_fail(err, r, "%s cannot be read: %s", g->path, strerror(-r));
	if (strstr(type, "raid") || !strcmp(type, "drbd"))
		return grow_fail(err, -EINVAL,
				 "%s as a whole is of type %s, around its partitions: it grows by "
				 "that one's own means",
				 g->path, type);
	return 0;
}

static int look_at_table(struct grow *g, const struct target *t, unsigned number, char *err)
{
	struct table table;
	int r = table_read(t->fd, &table, err);

	if (r < 0)
		return r;
	g->label = table.label;
	r = g->label != PLAN_WHOLE ? check_nothing_around(g, t, err) : 0;
	if (r < 0)
		return r;
	if (g->label != PLAN_WHOLE)
		return choose_partition(g, &table, number, err);
	if (number)
		return grow_fail(err, -ENOENT, "%s has no partition table", g->path);
	return 0;
}

/* A configuration or an archive would only have zeros behind it; one of zeros may become a disk. */
static int check_is_disk(const struct grow *g, const struct target *t, char *err)
{
	char what[256];
	int r = target_content(t->fd, g->before, what, sizeof(what));

	if (r <= 0)
		return r < 0 ? grow_fail(err, r, "%s cannot be read: %s", g->path, strerror(-r)) :
			       0;
	return grow_fail(err, -EINVAL,
			 "%s is no disk that is known here: it has no partition table, no file "
			 "system and no swap; by hand: truncate -s",
			 g->path);
}

static int look_at_content(struct grow *g, const struct target *t, char *err)
{
	uint64_t bytes = g->label == PLAN_WHOLE ? g->before : g->part.sectors * SECTOR_BYTES;
	int r = bytes ? target_type(t->fd, grow_start(g), bytes, g->type, sizeof(g->type)) : 0;

	if (r < 0)
		return grow_fail(err, r, "%s cannot be read: %s", g->path, strerror(-r));
	if (!g->type[0] && g->label == PLAN_WHOLE && t->kind == TARGET_FILE && bytes)
		r = check_is_disk(g, t, err);
	if (r < 0)
		return r;
	if (grow_is_ext(g) && !grow_needs_loop(g) && strchr(g->path, '?'))
		return grow_fail(err, -EINVAL, "e2fsck takes no path with a question mark: %s",
				 g->path);
	r = grow_needs_loop(g) ? loopdev_possible() : 0;
	if (r < 0)
		return grow_fail(
			err, r,
			"the file system in it can be made larger through a loop device only%s",
			r == -EACCES || r == -EPERM ? ": run this as root" :
						      ", and this host has none");
	return 0;
}

/* Both say their version with -V; resize2fs then fails, because it was given no disk. */
static int look_for_programs(const struct grow *g, char *err)
{
	static const char *const programs[] = { "e2fsck", "resize2fs" };
	static const struct proc_limits limits = { .timeout_ms = 20000, .out_bytes = 65536 };

	for (unsigned i = 0; grow_is_ext(g) && i < ARRAY_SIZE(programs); i++) {
		const char *const argv[] = { programs[i], "-V", NULL };
		struct proc_result result;
		int r = proc_run(argv, &limits, NULL, 0, &result);

		if (r == -ENOENT || r == -EACCES)
			return grow_fail(err, -ENOENT,
					 "there is no %s on this host: install e2fsprogs",
					 programs[i]);
		if (!r)
			proc_result_fini(&result);
	}
	return 0;
}

/* fs/ext4/ext4.h, struct ext4_super_block: s_blocks_count_lo and _hi, s_log_block_size. */
static int look_at_ext(struct grow *g, const struct target *t, char *err)
{
	uint8_t sb[1024];
	uint64_t blocks;
	unsigned log;

	if (pread(t->fd, sb, sizeof(sb), (off_t)grow_start(g) + 1024) != sizeof(sb))
		return grow_fail(err, -EIO, "%s: its superblock cannot be read", g->path);
	blocks = get_le32(sb + 4);
	if (get_le32(sb + 0x60) & EXT_INCOMPAT_64BIT)
		blocks |= (uint64_t)get_le32(sb + 0x150) << 32;
	log = get_le32(sb + 0x18);
	if (log > 6 || blocks >> (53 - log))
		return grow_fail(err, -EUCLEAN, "%s: its superblock makes no sense", g->path);
	g->content = blocks << (10 + log);
	return 0;
}

static int look_at_swap(struct grow *g, const struct target *t, char *err)
{
	_cleanup_free_ uint8_t *buf = calloc(1, SWAP_PAGE_MAX);
	struct swap_header h;
	int r;

	if (!buf)
		return grow_fail(err, -ENOMEM, "out of memory");
	if (pread(t->fd, buf, SWAP_PAGE_MAX, (off_t)grow_start(g)) < 0)
		return grow_fail(err, -errno, "%s: %s", g->path, strerror(errno));
	r = swap_read(buf, SWAP_PAGE_MAX, &h);
	if (r < 0)
		return grow_fail(err, r, "%s: its swap header cannot be understood", g->path);
	if (h.hibernated)
		return grow_fail(err, -EBUSY,
				 "its swap holds an image of the guest's memory: resume the guest "
				 "and shut it down first");
	/* include/linux/swap.h, union swap_header: last_page. */
	g->content = ((uint64_t)get_le32(buf + 1028) + 1) * h.page;
	return 0;
}

static int look_into_content(struct grow *g, const struct target *t, char *err)
{
	if (grow_is_ext(g))
		return look_at_ext(g, t, err);
	return grow_is_swap(g) ? look_at_swap(g, t, err) : 0;
}

static void add_step(struct grow *g, enum grow_step s)
{
	g->steps[g->n_steps++] = s;
}

/* Whether the content leaves a block or page of what it could have. */
static bool content_is_smaller(const struct grow *g)
{
	return g->content && g->content + CONTENT_UNIT_MAX <= grow_content_bytes(g);
}

static int choose_steps(struct grow *g, char *err)
{
	bool disk = g->after > g->before;
	bool part = g->label != PLAN_WHOLE && (g->part_after > g->part.sectors || disk);
	bool content = content_is_smaller(g);

	if (!disk && !part && !content)
		return grow_fail(err, -EALREADY, "%s: there is no room that is not used", g->path);
	if (grow_is_ext(g))
		add_step(g, GROW_CHECK_FS);
	if (disk)
		add_step(g, GROW_EXTEND);
	add_step(g, GROW_ZERO);
	if (part)
		add_step(g, GROW_TABLE);
	if (grow_is_ext(g)) {
		add_step(g, GROW_RESIZE_FS);
		add_step(g, GROW_CHECK_AGAIN);
	}
	if (grow_is_swap(g))
		add_step(g, GROW_SWAP);
	return 0;
}

int grow_look(const char *path, uint64_t more, unsigned partition, struct grow *ret, char *err)
{
	struct target_want want = { .overwrite = true };
	struct grow g = { .target.fd = -1 };
	struct target t;
	int r = target_open(path, &want, &t, err);

	if (r < 0)
		return r;
	snprintf(g.path, sizeof(g.path), "%s", t.path);
	r = check_format(&t, err);
	if (!r)
		r = look_at_size(&g, &t, path, more, err);
	if (!r)
		r = look_at_table(&g, &t, partition, err);
	if (!r)
		r = look_at_content(&g, &t, err);
	if (!r)
		r = look_for_programs(&g, err);
	if (!r)
		r = look_into_content(&g, &t, err);
	if (!r)
		r = choose_steps(&g, err);
	target_close(&t);
	if (!r)
		*ret = g;
	return r;
}

/* --- For the reader --- */

const char *grow_kind_name(enum grow_kind k)
{
	static const char *const names[] = {
		[GROW_FILE] = "file", [GROW_VOLUME] = "volume", [GROW_DEVICE] = "device"
	};

	return names[k];
}

const char *grow_inside(const struct grow *g)
{
	static const struct {
		const char *type, *text;
	} rows[] = {
		{ "xfs", "inside the guest: xfs_growfs MOUNTPOINT" },
		{ "btrfs", "inside the guest: btrfs filesystem resize max MOUNTPOINT" },
		{ "LVM2_member", "inside the guest: pvresize on the partition, then lvextend -r" },
		{ "crypto_LUKS",
		  "inside the guest: cryptsetup resize, then the file system in it" },
		{ "linux_raid_member", "inside the guest: mdadm --grow --size=max" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(g->type, rows[i].type))
			return rows[i].text;
	if (grow_is_ext(g) || grow_is_swap(g))
		return NULL;
	return "what is in it is not known here and stays as large as it was";
}

const char *grow_step_text(const struct grow *g, unsigned step, char *buf)
{
	char before[SIZE_STRLEN], after[SIZE_STRLEN];

	switch (g->steps[step]) {
	case GROW_CHECK_FS:
		snprintf(buf, GROW_TEXTLEN, "check the %s file system: e2fsck -f -p", g->type);
		break;
	case GROW_EXTEND:
		snprintf(buf, GROW_TEXTLEN, "make the %s larger: %s becomes %s",
			 grow_kind_name(g->kind), size_format(g->before, before),
			 size_format(g->after, after));
		break;
	case GROW_ZERO:
		snprintf(buf, GROW_TEXTLEN, "write zeros where there was nothing of the guest's");
		break;
	case GROW_TABLE:
		snprintf(buf, GROW_TEXTLEN,
			 "make partition %u larger: %ju sectors become %ju, from sector %ju on",
			 g->part.number, (uintmax_t)g->part.sectors, (uintmax_t)g->part_after,
			 (uintmax_t)g->part.start);
		break;
	case GROW_RESIZE_FS:
		snprintf(buf, GROW_TEXTLEN, "make the file system larger: resize2fs, to %s",
			 size_format(grow_content_bytes(g), after));
		break;
	case GROW_SWAP:
		snprintf(buf, GROW_TEXTLEN,
			 "write a swap header for %s, with the same UUID and label",
			 size_format(grow_content_bytes(g), after));
		break;
	case GROW_CHECK_AGAIN:
		snprintf(buf, GROW_TEXTLEN, "check the file system again: e2fsck -f -n");
		break;
	}
	return buf;
}
