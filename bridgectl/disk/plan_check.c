/*
 * The rules of the layout, each asked of the finished plan and nowhere derived: of one that was
 * just computed this is the second opinion, of one that came as JSON the only one. All bounds
 * are checked before anything is added or multiplied.
 */
#include <inttypes.h>
#include <string.h>
#include <uuid.h>

#include "bridgectl/disk/plan_private.h"
#include "bridgectl/disk/swap.h"

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_.+-", c));
}

bool plan_name_is_valid(const char *name)
{
	if (!*name || *name == '-' || *name == '.')
		return false;
	while (is_name_char(*name))
		name++;
	return !*name;
}

static bool is_plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* As jansson sees it, which leaves out of a document whatever is not. */
static bool is_utf8(const char *s)
{
	json_t *j = json_string(s);

	json_decref(j);
	return j != NULL;
}

static bool is_device_name(const char *s)
{
	if (!*s)
		return false;
	while ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9'))
		s++;
	return !*s;
}

static bool check_source(const struct plan_source *s, const char *where, char *err)
{
	if (s->path[0] != '/' || !is_plain(s->path))
		return plan_fail(err, "%s: the source is no absolute path", where);
	if (!is_utf8(s->path))
		return plan_fail(err,
				 "%s: the source's path is not UTF-8; make a symbolic link with "
				 "another name and put that into the configuration",
				 where);
	if (!is_plain(s->type) || !is_plain(s->table) || !is_plain(s->uuid) || !is_plain(s->label))
		return plan_fail(err, "%s: a control character", where);
	if (!s->bytes || s->bytes > PLAN_SECTORS_MAX * SECTOR_BYTES)
		return plan_fail(err, "%s: no source has %" PRIu64 " bytes", where, s->bytes);
	if (s->hibernated)
		return plan_fail(err, "%s: the source holds the memory of a guest", where);
	if (s->swap_page && !swap_page_is_valid(s->swap_page))
		return plan_fail(err, "%s: no page of swap has %u bytes", where, s->swap_page);
	return true;
}

static bool can_become_swap(const struct plan_part *p)
{
	const struct plan_source *s = &p->source;
	uuid_t uuid;

	return s->swap_page && p->sectors * SECTOR_BYTES / s->swap_page >= SWAP_PAGES_MIN &&
	       strlen(s->label) <= SWAP_LABEL_MAX && (!*s->uuid || uuid_parse(s->uuid, uuid) == 0);
}

static bool check_fill(const struct plan_disk *d, const struct plan_part *p, const char *where,
		       char *err)
{
	if (p->fill == PLAN_BIOS_BOOT)
		return d->label == PLAN_GPT ||
		       plan_fail(err, "%s: a BIOS boot partition is a GPT's", where);
	if (!check_source(&p->source, where, err))
		return false;
	if (p->sectors < (p->source.bytes + SECTOR_BYTES - 1) / SECTOR_BYTES)
		return plan_fail(err, "%s: smaller than its source", where);
	return p->fill == PLAN_COPY || can_become_swap(p) ||
	       plan_fail(err, "%s: cannot become swap", where);
}

static bool check_part(const struct plan_disk *d, const struct plan_part *p, uint64_t at,
		       const char *where, char *err)
{
	if (p->number < 1 || p->number > (d->label == PLAN_MSDOS ? 4 : PLAN_PARTS_MAX))
		return plan_fail(err, "%s: no such number in this table", where);
	if (p->start % PLAN_ALIGN_SECTORS || p->sectors % PLAN_ALIGN_SECTORS || !p->sectors)
		return plan_fail(err, "%s: not aligned to 1 MiB", where);
	if (p->start < at)
		return plan_fail(err, "%s: begins before the end of what is in front of it", where);
	/* Neither can overflow: a disk's end is below 2^50 sectors. */
	if (p->start > d->sectors || p->sectors > d->sectors - p->start ||
	    d->sectors - p->start - p->sectors < PLAN_ALIGN_SECTORS)
		return plan_fail(err, "%s: ends behind the last MiB of its disk", where);
	if (p->boot && d->label != PLAN_MSDOS)
		return plan_fail(err, "%s: the boot flag is an msdos table's", where);
	return check_fill(d, p, where, err);
}

static bool check_parts(const struct plan_disk *d, char *err)
{
	bool used[PLAN_PARTS_MAX + 1] = { false };
	unsigned boots = 0, bios = 0;
	uint64_t at = PLAN_ALIGN_SECTORS;

	if (d->n_parts < 1 || d->n_parts > PLAN_PARTS_MAX)
		return plan_fail(err, "%s: no partitions, or too many", d->name);
	for (unsigned i = 0; i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];
		char where[sizeof(d->name) + 32];

		snprintf(where, sizeof(where), "%s, partition %u", d->name, p->number);
		if (!check_part(d, p, at, where, err))
			return false;
		if (used[p->number])
			return plan_fail(err, "%s: is there twice", where);
		used[p->number] = true;
		boots += p->boot;
		bios += p->fill == PLAN_BIOS_BOOT;
		at = p->start + p->sectors;
	}
	return (boots <= 1 && bios <= 1) ||
	       plan_fail(err, "%s: more than one partition to boot from", d->name);
}

static bool check_whole(const struct plan_disk *d, char *err)
{
	const struct plan_part *p = d->parts;

	if (d->n_parts != 1 || p->number || p->start || p->sectors != d->sectors || p->boot)
		return plan_fail(err, "%s: a whole disk is one source", d->name);
	return check_fill(d, p, d->name, err);
}

static bool check_disk(const struct plan_disk *d, char *err)
{
	if (!plan_name_is_valid(d->name))
		return plan_fail(err, "\"%s\" is no name for a volume", d->name);
	if (!is_device_name(d->target) || !is_device_name(d->vdev))
		return plan_fail(err, "%s: no name of a device", d->name);
	if (!d->sectors || d->sectors > PLAN_SECTORS_MAX ||
	    (d->label == PLAN_MSDOS && d->sectors > PLAN_MSDOS_SECTORS_MAX))
		return plan_fail(err, "%s: a disk of %" PRIu64 " sectors", d->name, d->sectors);
	return d->label == PLAN_WHOLE ? check_whole(d, err) : check_parts(d, err);
}

/* Names make files and volumes, targets make devices. */
static bool check_unique(const struct plan *p, unsigned i, char *err)
{
	const struct plan_disk *d = &p->disks[i];

	for (unsigned j = 0; j < i; j++)
		if (!strcmp(d->name, p->disks[j].name) || !strcmp(d->target, p->disks[j].target))
			return plan_fail(err, "%s is there twice", d->name);
	return true;
}

bool plan_check(const struct plan *p, char *err)
{
	if (!*p->guest || !is_plain(p->guest))
		return plan_fail(err, "the guest has no name");
	if (!p->n_disks || p->n_disks > PLAN_DISKS_MAX)
		return plan_fail(err, "the guest has no disks, or too many");
	for (unsigned i = 0; i < p->n_disks; i++)
		if (!check_disk(&p->disks[i], err) || !check_unique(p, i, err))
			return false;
	return true;
}
