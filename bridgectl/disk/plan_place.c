/*
 * From sizes to sectors. Pure arithmetic on 64-bit sectors, rounding only up; every result is
 * below 2^58, because sources and disks are below PLAN_SECTORS_MAX and partitions are few.
 *
 * A GPT has one partition that the guest did not have, for the boot loader that a BIOS starts:
 * the first number that the guest does not use, the first MiB after the gap.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/plan_private.h"

#define MSDOS_PARTS 4u

static uint64_t bytes_to_sectors(uint64_t bytes)
{
	return bytes / SECTOR_BYTES + (bytes % SECTOR_BYTES != 0);
}

static uint64_t align_up(uint64_t sectors)
{
	return (sectors + PLAN_ALIGN_SECTORS - 1) / PLAN_ALIGN_SECTORS * PLAN_ALIGN_SECTORS;
}

static int compare_numbers(const void *a, const void *b)
{
	unsigned x = ((const struct plan_part *)a)->number;
	unsigned y = ((const struct plan_part *)b)->number;

	return (x > y) - (x < y);
}

static bool numbers_are_valid(const struct plan_disk *d, char *err)
{
	for (unsigned i = 0; i < d->n_parts; i++) {
		unsigned n = d->parts[i].number;

		if (n < 1 || n > PLAN_PARTS_MAX)
			return plan_fail(err, "%s%u: a partition table has numbers from 1 to %u",
					 d->vdev, n, PLAN_PARTS_MAX);
		if (i && n == d->parts[i - 1].number)
			return plan_fail(err, "%s%u is there twice", d->vdev, n);
	}
	return true;
}

/* The first number that nobody has, 0 when there is none. By number. */
static unsigned free_number(const struct plan_disk *d)
{
	unsigned n = 1;

	for (unsigned i = 0; i < d->n_parts && d->parts[i].number == n; i++)
		n++;
	return n <= PLAN_PARTS_MAX ? n : 0;
}

/* In front of the others. */
static bool add_bios_boot(struct plan_disk *d, char *err)
{
	unsigned number = free_number(d);
	struct plan_part *parts;

	if (!number)
		return true;
	parts = realloc(d->parts, (d->n_parts + 1) * sizeof(*parts));
	if (!parts)
		return plan_fail(err, "out of memory");
	memmove(parts + 1, parts, d->n_parts * sizeof(*parts));
	parts[0] = (struct plan_part){ .number = number,
				       .sectors = PLAN_ALIGN_SECTORS,
				       .fill = PLAN_BIOS_BOOT };
	d->parts = parts;
	d->n_parts++;
	return true;
}

static bool grow_last(struct plan_disk *d, uint64_t extra, char *err)
{
	for (unsigned i = d->n_parts; extra && i-- > 0;)
		if (d->parts[i].fill == PLAN_COPY) {
			d->parts[i].sectors += align_up(bytes_to_sectors(extra));
			return true;
		}
	return !extra ||
	       plan_fail(err, "%s: nothing is copied there, so nothing can be grown", d->vdev);
}

/* One behind the other, as they stand in the array. */
static void put_in_place(struct plan_disk *d)
{
	uint64_t at = PLAN_ALIGN_SECTORS;

	for (unsigned i = 0; i < d->n_parts; i++) {
		d->parts[i].start = at;
		at += d->parts[i].sectors;
	}
	d->sectors = at + PLAN_ALIGN_SECTORS;
}

static bool fits_msdos(const struct plan_disk *d)
{
	return d->parts[d->n_parts - 1].number <= MSDOS_PARTS &&
	       d->sectors <= PLAN_MSDOS_SECTORS_MAX;
}

static bool choose_label(struct plan_disk *d, enum plan_label wanted, char *err)
{
	bool msdos = fits_msdos(d);

	if (wanted == PLAN_MSDOS && !msdos)
		return plan_fail(err,
				 "%s: an msdos table has 4 partitions and ends at 2 TiB, this "
				 "disk needs number %u and %" PRIu64 " sectors; leave --label out",
				 d->vdev, d->parts[d->n_parts - 1].number, d->sectors);
	d->label = msdos && wanted != PLAN_GPT ? PLAN_MSDOS : PLAN_GPT;
	if (d->label == PLAN_GPT) {
		if (!add_bios_boot(d, err))
			return false;
		put_in_place(d);
	}
	return true;
}

static bool is_small_enough(const struct plan_disk *d, char *err)
{
	return d->sectors <= PLAN_SECTORS_MAX || plan_fail(err, "%s is too large", d->vdev);
}

static bool sources_are_valid(const struct plan_disk *d, uint64_t extra, char *err)
{
	const uint64_t max = PLAN_SECTORS_MAX * SECTOR_BYTES;

	for (unsigned i = 0; i < d->n_parts; i++)
		if (!d->parts[i].source.bytes || d->parts[i].source.bytes > max)
			return plan_fail(err, "%s%u is empty or too large", d->vdev,
					 d->parts[i].number);
	return extra <= max || plan_fail(err, "%s: no disk can grow so much", d->vdev);
}

bool plan_place(struct plan_disk *d, enum plan_label wanted, uint64_t extra, char *err)
{
	qsort(d->parts, d->n_parts, sizeof(*d->parts), compare_numbers);
	if (!numbers_are_valid(d, err) || !sources_are_valid(d, extra, err))
		return false;
	for (unsigned i = 0; i < d->n_parts; i++)
		d->parts[i].sectors = align_up(bytes_to_sectors(d->parts[i].source.bytes));
	if (!grow_last(d, extra, err))
		return false;
	put_in_place(d);
	return choose_label(d, wanted, err) && is_small_enough(d, err);
}

bool plan_place_whole(struct plan_disk *d, char *err)
{
	if (!sources_are_valid(d, 0, err))
		return false;
	d->label = PLAN_WHOLE;
	d->sectors = bytes_to_sectors(d->parts[0].source.bytes);
	d->parts[0].start = 0;
	d->parts[0].sectors = d->sectors;
	return is_small_enough(d, err);
}

/* --- What follows from a plan --- */

static bool is_copied(const struct plan_part *p)
{
	return p->fill == PLAN_COPY;
}

unsigned plan_zeroes(const struct plan_disk *d, struct plan_range *ret)
{
	uint64_t at = 0, end = d->sectors * SECTOR_BYTES;
	unsigned n = 0;

	for (unsigned i = 0; i <= d->n_parts; i++) {
		const struct plan_part *p = i < d->n_parts ? &d->parts[i] : NULL;
		uint64_t start = p ? p->start * SECTOR_BYTES : end;

		if (p && !is_copied(p))
			continue;
		if (start > at)
			ret[n++] = (struct plan_range){ at, start - at };
		if (p)
			at = start + p->source.bytes;
	}
	return n;
}

static const struct {
	const char *found; /* libblkid's TYPE */
	const char *msdos, *gpt;
} part_types[] = {
	{ "swap", "82", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F" },
	{ "LVM2_member", "8e", "E6D6D379-F507-44C2-A23C-238F2A3DF928" },
	{ "linux_raid_member", "fd", "A19D880F-05FC-4D3B-A006-743F0F84911E" },
	{ "vfat", "c", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" },
	{ "ntfs", "7", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" },
};

const char *plan_part_type(const struct plan_disk *d, const struct plan_part *p)
{
	if (p->fill == PLAN_BIOS_BOOT)
		return "21686148-6449-6E6F-744E-656564454649";
	for (unsigned i = 0; i < ARRAY_SIZE(part_types); i++)
		if (!strcmp(p->source.type, part_types[i].found))
			return d->label == PLAN_GPT ? part_types[i].gpt : part_types[i].msdos;
	return d->label == PLAN_GPT ? "0FC63DAF-8483-4772-8E79-3D69D8477DE4" : "83";
}
