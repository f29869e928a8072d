/*
 * Writing partition tables through libfdisk. It rounds sizes down to its own idea of alignment
 * unless told that they are meant (fdisk_partition_size_explicit(): asked for 1000001 sectors it
 * has made 999424), so everything is explicit, and everything is read back.
 * It opens the device anew through /proc/self/fd: O_EXCL and the locks stay with our descriptor.
 */
#include "bridgectl/disk/table.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdisk/libfdisk.h>

#include "bridgectl/disk/fail.h"
#include "common/util.h"

#define GPT_NAME_CHARS 36   /* UEFI 2.10, 5.3.3: 72 bytes of UTF-16 */
#define GPT_TAIL_SECTORS 33 /* the second copy: 32 of entries, one header */

#define fail(err, r, ...) disk_fail(err, TABLE_ERRLEN, r, __VA_ARGS__)

static void cleanup_context(struct fdisk_context **c)
{
	if (*c)
		fdisk_unref_context(*c);
}

static void cleanup_partition(struct fdisk_partition **p)
{
	if (*p)
		fdisk_unref_partition(*p);
}

#define _cleanup_context_ _cleanup_(cleanup_context)
#define _cleanup_partition_ _cleanup_(cleanup_partition)

static int open_context(int fd, struct fdisk_context **ret, char *err)
{
	_cleanup_context_ struct fdisk_context *c = fdisk_new_context();
	char path[64];
	int r;

	if (!c)
		return fail(err, -ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fdisk_disable_dialogs(c, 1);
	fdisk_save_user_sector_size(c, SECTOR_BYTES, SECTOR_BYTES);
	r = fdisk_assign_device(c, path, 0);
	if (r < 0)
		return fail(err, r, "libfdisk cannot open the disk: %s", strerror(-r));
	*ret = steal(c);
	return 0;
}

/* Of the file system's label, else of its volume, in characters that nobody has to quote. */
static void name_of(const struct plan_part *p, char buf[GPT_NAME_CHARS + 1])
{
	const char *slash = strrchr(p->source.path, '/');
	const char *text = p->fill == PLAN_BIOS_BOOT ? "bios-boot" :
			   p->source.label[0]	     ? p->source.label :
			   slash		     ? slash + 1 :
						       p->source.path;
	size_t i;

	for (i = 0; text[i] && i < GPT_NAME_CHARS; i++) {
		char c = text[i];
		bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');

		buf[i] = plain || strchr("._+-/ ", c) ? c : '_';
	}
	buf[i] = '\0';
}

static struct fdisk_parttype *type_of(struct fdisk_context *c, const struct plan_disk *d,
				      const struct plan_part *p)
{
	struct fdisk_label *l = fdisk_get_label(c, NULL);
	const char *text = plan_part_type(d, p);

	if (d->label == PLAN_GPT)
		return fdisk_label_get_parttype_from_string(l, text);
	return fdisk_label_get_parttype_from_code(l, (unsigned)strtoul(text, NULL, 16));
}

static int describe(struct fdisk_context *c, const struct plan_disk *d, const struct plan_part *p,
		    struct fdisk_partition *pa)
{
	char name[GPT_NAME_CHARS + 1];
	int r = fdisk_partition_set_partno(pa, p->number - 1);

	if (!r)
		r = fdisk_partition_set_start(pa, p->start);
	if (!r)
		r = fdisk_partition_set_size(pa, p->sectors);
	if (!r)
		r = fdisk_partition_size_explicit(pa, 1);
	if (!r)
		r = fdisk_partition_set_type(pa, type_of(c, d, p));
	if (r || d->label != PLAN_GPT)
		return r;
	name_of(p, name);
	return fdisk_partition_set_name(pa, name);
}

static int add(struct fdisk_context *c, const struct plan_disk *d, const struct plan_part *p,
	       char *err)
{
	_cleanup_partition_ struct fdisk_partition *pa = fdisk_new_partition();
	size_t number = 0;
	int r = pa ? describe(c, d, p, pa) : -ENOMEM;

	if (!r)
		r = fdisk_add_partition(c, pa, &number);
	if (!r && number != p->number - 1)
		return fail(err, -EUCLEAN, "libfdisk has made partition %zu instead of %u",
			    number + 1, p->number);
	if (!r && p->boot && d->label == PLAN_MSDOS)
		r = fdisk_toggle_partition_flag(c, number, DOS_FLAG_ACTIVE);
	if (r)
		return fail(err, r, "libfdisk takes no partition %u at sector %ju with %ju: %s",
			    p->number, (uintmax_t)p->start, (uintmax_t)p->sectors, strerror(-r));
	return 0;
}

/* On the medium, and read from there next time. */
static int settle(int fd, char *err)
{
	if (fdatasync(fd) < 0)
		return fail(err, -errno, "cannot write the partition table: %s", strerror(errno));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int write_out(struct fdisk_context *c, int fd, char *err)
{
	int r = fdisk_write_disklabel(c);

	if (r < 0)
		return fail(err, r, "libfdisk cannot write the partition table: %s", strerror(-r));
	r = fdisk_deassign_device(c, 1);
	if (r < 0)
		return fail(err, r, "libfdisk cannot close the disk: %s", strerror(-r));
	return settle(fd, err);
}

int table_write(int fd, const struct plan_disk *d, char *err)
{
	_cleanup_context_ struct fdisk_context *c = NULL;
	int r;

	if (d->label == PLAN_WHOLE)
		return 0;
	r = open_context(fd, &c, err);
	if (r < 0)
		return r;
	r = fdisk_create_disklabel(c, d->label == PLAN_GPT ? "gpt" : "dos");
	if (r < 0)
		return fail(err, r, "libfdisk makes no %s table here: %s",
			    plan_label_name(d->label), strerror(-r));
	for (unsigned i = 0; i < d->n_parts && !r; i++)
		r = add(c, d, &d->parts[i], err);
	return r ? r : write_out(c, fd, err);
}

uint64_t table_limit(enum plan_label l, uint64_t disk_sectors)
{
	if (l == PLAN_GPT)
		return disk_sectors > GPT_TAIL_SECTORS ? disk_sectors - GPT_TAIL_SECTORS : 0;
	return MIN(disk_sectors, PLAN_MSDOS_SECTORS_MAX);
}

static int set_size(struct fdisk_context *c, unsigned number, uint64_t sectors, char *err)
{
	_cleanup_partition_ struct fdisk_partition *pa = fdisk_new_partition();
	int r = pa ? fdisk_partition_set_size(pa, sectors) : -ENOMEM;

	if (!r)
		r = fdisk_partition_size_explicit(pa, 1);
	if (!r)
		r = fdisk_set_partition(c, number - 1, pa);
	if (r)
		return fail(err, r, "libfdisk does not give partition %u %ju sectors: %s", number,
			    (uintmax_t)sectors, strerror(-r));
	return 0;
}

/* All but the size of the one must be as before. */
static int check_enlarged(int fd, const struct table *before, unsigned number, uint64_t sectors,
			  char *err)
{
	struct table after;
	int r = table_read(fd, &after, err);

	if (r < 0)
		return r;
	if (after.label != before->label || after.n != before->n)
		return fail(err, -EUCLEAN, "the table that was read back has other partitions");
	for (unsigned i = 0; i < after.n; i++) {
		const struct table_part *a = &after.parts[i], *b = &before->parts[i];
		uint64_t wanted = b->number == number ? sectors : b->sectors;

		if (a->number != b->number || a->start != b->start || a->sectors != wanted ||
		    a->boot != b->boot || strcmp(a->type, b->type) || strcmp(a->name, b->name))
			return fail(err, -EUCLEAN,
				    "partition %u was read back otherwise than written", b->number);
	}
	return 0;
}

int table_enlarge(int fd, unsigned number, uint64_t sectors, char *err)
{
	_cleanup_context_ struct fdisk_context *c = NULL;
	const struct table_part *p;
	struct table before;
	int r = table_read(fd, &before, err);

	if (r < 0)
		return r;
	p = table_find(&before, number);
	if (!p || !number)
		return fail(err, -ENOENT, "there is no partition %u", number);
	if (sectors < p->sectors)
		return fail(err, -EINVAL, "partition %u would become smaller", number);
	r = open_context(fd, &c, err);
	if (!r && sectors != p->sectors)
		r = set_size(c, number, sectors, err);
	if (!r)
		r = write_out(c, fd, err);
	return r ? r : check_enlarged(fd, &before, number, sectors, err);
}
