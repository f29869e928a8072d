/*
 * Reading partition tables through libblkid: what is on a disk, and whether it is what a plan
 * says. It shares no code with libfdisk's writing.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <strings.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/table.h"
#include "common/util.h"

#define BOOT_FLAG 0x80 /* of an msdos entry */

#define fail(err, r, ...) disk_fail(err, TABLE_ERRLEN, r, __VA_ARGS__)

static void cleanup_probe(blkid_probe *pr)
{
	if (*pr)
		blkid_free_probe(*pr);
}

static void read_part(blkid_partition from, bool gpt, struct table_part *to)
{
	const char *type = blkid_partition_get_type_string(from);
	const char *name = blkid_partition_get_name(from);
	const char *uuid = blkid_partition_get_uuid(from);

	*to = (struct table_part){
		.number = (unsigned)blkid_partition_get_partno(from),
		.start = (uint64_t)blkid_partition_get_start(from),
		.sectors = (uint64_t)blkid_partition_get_size(from),
		.logical = blkid_partition_is_logical(from),
		.container = blkid_partition_is_extended(from),
		.boot = !gpt && (blkid_partition_get_flags(from) & BOOT_FLAG),
	};
	if (gpt && type)
		snprintf(to->type, sizeof(to->type), "%s", type);
	if (!gpt)
		snprintf(to->type, sizeof(to->type), "%x",
			 (unsigned)blkid_partition_get_type(from));
	snprintf(to->name, sizeof(to->name), "%s", name ? name : "");
	snprintf(to->uuid, sizeof(to->uuid), "%s", uuid ? uuid : "");
}

static int by_number(const void *a, const void *b)
{
	const struct table_part *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int read_list(blkid_partlist list, struct table *t, char *err)
{
	int n = blkid_partlist_numof_partitions(list);

	if (n < 0 || n > TABLE_PARTS_MAX)
		return fail(err, -E2BIG, "the partition table has %d partitions", n);
	for (int i = 0; i < n; i++)
		read_part(blkid_partlist_get_partition(list, i), t->label == PLAN_GPT,
			  &t->parts[t->n++]);
	qsort(t->parts, t->n, sizeof(t->parts[0]), by_number);
	return 0;
}

static int label_of(blkid_probe pr, enum plan_label *ret, char *err)
{
	const char *name = NULL;

	if (blkid_probe_lookup_value(pr, "PTTYPE", &name, NULL) < 0 || !name) {
		*ret = PLAN_WHOLE;
		return 0;
	}
	if (strcmp(name, "gpt") && strcmp(name, "dos"))
		return fail(err, -EMEDIUMTYPE, "its partition table is of the kind \"%s\"", name);
	*ret = strcmp(name, "gpt") ? PLAN_MSDOS : PLAN_GPT;
	return 0;
}

/* The list must be asked for before anything else is: it resets the probe. */
int table_read(int fd, struct table *ret, char *err)
{
	_cleanup_(cleanup_probe) blkid_probe pr = blkid_new_probe();
	struct table t = { .label = PLAN_WHOLE };
	int r;

	if (!pr)
		return fail(err, -ENOMEM, "out of memory");
	errno = 0;
	if (blkid_probe_set_device(pr, fd, 0, 0) < 0 ||
	    blkid_probe_set_sectorsize(pr, SECTOR_BYTES) < 0)
		return fail(err, -errno, "libblkid cannot read the disk: %s", strerror(errno));
	blkid_probe_enable_superblocks(pr, 0);
	blkid_probe_enable_partitions(pr, 1);
	r = blkid_do_fullprobe(pr);
	if (r < 0)
		return fail(err, errno ? -errno : -EIO, "its partition table cannot be read");
	if (r > 0) {
		*ret = t;
		return 0;
	}
	r = label_of(pr, &t.label, err);
	if (!r && t.label != PLAN_WHOLE) {
		blkid_partlist list = blkid_probe_get_partitions(pr);

		r = list ? read_list(list, &t, err) :
			   fail(err, -EUCLEAN, "its partition table cannot be understood");
	}
	if (!r)
		*ret = t;
	return r;
}

const struct table_part *table_find(const struct table *t, unsigned number)
{
	const struct table_part *last = NULL;

	for (unsigned i = 0; i < t->n; i++) {
		const struct table_part *p = &t->parts[i];

		if (number && p->number == number)
			return p;
		if (!number && !p->container &&
		    (!last || p->start + p->sectors > last->start + last->sectors))
			last = p;
	}
	return last;
}

const struct table_part *table_next(const struct table *t, const struct table_part *p)
{
	const struct table_part *next = NULL;

	for (unsigned i = 0; i < t->n; i++) {
		const struct table_part *q = &t->parts[i];

		if (q != p && q->start > p->start && (!next || q->start < next->start))
			next = q;
	}
	return next;
}

static bool same(const struct plan_disk *d, const struct plan_part *p, const struct table_part *t)
{
	return t->number == p->number && t->start == p->start && t->sectors == p->sectors &&
	       !strcasecmp(t->type, plan_part_type(d, p)) &&
	       (d->label == PLAN_GPT || t->boot == p->boot) && !t->logical && !t->container;
}

int table_check(int fd, const struct plan_disk *d, char *err)
{
	struct table t;
	int r;

	if (d->label == PLAN_WHOLE)
		return 0;
	r = table_read(fd, &t, err);
	if (r < 0)
		return r;
	if (t.label != d->label || t.n != d->n_parts)
		return fail(err, -EUCLEAN,
			    "a %s table with %u partitions was read back, not %s with %u",
			    plan_label_name(t.label), t.n, plan_label_name(d->label), d->n_parts);
	for (unsigned i = 0; i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];
		const struct table_part *found = table_find(&t, p->number);

		if (!found || !same(d, p, found))
			return fail(err, -EUCLEAN,
				    "partition %u was read back otherwise than planned", p->number);
	}
	return 0;
}
