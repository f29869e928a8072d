/*
 * From the guest's record to a plan. What is asked of each source: can it be reached as a path
 * here, is it raw, what is on it. What is decided: order and names of the disks, what becomes
 * of swap, from which partition a BIOS boots. Places are plan_place.c's; plan_check() has the last
 * word. The record is trusted to have each disk either whole or in partitions.
 */
#include "bridgectl/disk/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/plan_private.h"
#include "bridgectl/domain/guest.h"

/* One computation. */
struct work {
	const struct guest *g;
	const struct plan_options *o;
	plan_probe_fn probe;
	void *arg;
	struct plan *p;
	const struct guest_disk *from[PLAN_DISKS_MAX]; /* of each of p->disks */
	char *err;
};

/* --- Which disks --- */

static bool is_left_out(struct work *w, const struct guest_disk *d)
{
	char name[VDEV_NAME_LEN];
	bool empty = d->n == 1 && d->sources[0].spec.kind == DISK_EMPTY;

	if (d->cdrom || empty)
		plan_note(w->p, "%s is %s: nothing is copied of it.", guest_disk_name(d, name),
			  d->cdrom ? "a CD-ROM drive" : "a drive without a medium");
	return d->cdrom || empty;
}

static int compare_disks(const void *a, const void *b)
{
	const struct guest_disk *x = *(const struct guest_disk *const *)a;
	const struct guest_disk *y = *(const struct guest_disk *const *)b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return (int)x->bus - (int)y->bus;
}

/* In the order of their letters, as the guest numbers them. */
static bool choose_disks(struct work *w)
{
	for (unsigned i = 0; i < w->g->n_disks; i++) {
		if (is_left_out(w, &w->g->disks[i]))
			continue;
		if (w->p->n_disks == PLAN_DISKS_MAX)
			return plan_fail(w->err, "the guest has more than %u disks",
					 PLAN_DISKS_MAX);
		w->from[w->p->n_disks++] = &w->g->disks[i];
	}
	qsort(w->from, w->p->n_disks, sizeof(w->from[0]), compare_disks);
	return w->p->n_disks || plan_fail(w->err, "the guest has no disks to copy");
}

/* --- What they are called --- */

static void make_safe(char *name)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_.+-";

	if (*name == '-' || *name == '.')
		*name = '_';
	for (name += strspn(name, safe); *name; name += strspn(name, safe))
		*name = '_';
}

/* "web1-disk", "web1-disk-b"; vda, vdb. */
static bool name_disk(struct work *w, unsigned i)
{
	struct plan_disk *d = &w->p->disks[i];
	char letters[VDEV_NAME_LEN];
	int n;

	vdev_letters(i, letters);
	n = snprintf(d->name, sizeof(d->name), "%s-disk%s%s", w->p->guest, i ? "-" : "",
		     i ? letters : "");
	if (n >= (int)sizeof(d->name))
		return plan_fail(w->err, "the guest's name is too long for names of volumes");
	make_safe(d->name);
	snprintf(d->target, sizeof(d->target), "vd%.8s", letters);
	guest_disk_name(w->from[i], d->vdev);
	return true;
}

static bool name_guest(struct work *w)
{
	const char *name = w->g->name;

	if (!name || !*name)
		return plan_fail(w->err, "the configuration gives the guest no name");
	if (strlen(name) >= sizeof(w->p->guest))
		return plan_fail(w->err, "the guest's name is longer than %zu characters",
				 sizeof(w->p->guest) - 1);
	for (const char *s = name; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			return plan_fail(w->err, "the guest's name has a character that is not "
						 "printable ASCII; change it first");
	snprintf(w->p->guest, sizeof(w->p->guest), "%s", name);
	return true;
}

/* --- What is in them --- */

/* By path, or by another name of the same device or file. */
static bool is_same(const struct plan_source *a, const struct plan_source *b)
{
	return !strcmp(a->path, b->path) ||
	       ((a->dev || a->inode) && a->dev == b->dev && a->inode == b->inode);
}

static const struct plan_source *find_same(const struct work *w, const struct plan_source *s)
{
	for (unsigned i = 0; i < w->p->n_disks; i++)
		for (unsigned j = 0; j < w->p->disks[i].n_parts; j++) {
			const struct plan_source *other = &w->p->disks[i].parts[j].source;

			if (other != s && is_same(other, s))
				return other;
		}
	return NULL;
}

static bool is_swap(const struct plan_source *s)
{
	return s->swap_page && strlen(s->label) <= 16;
}

static bool take_source(struct work *w, const struct guest_source *from, struct plan_part *p)
{
	const struct plan_source *other;
	char name[VDEV_NAME_LEN];

	vdev_name(&from->vdev, name);
	p->number = from->vdev.partition;
	if (!plan_source_find(&from->spec, name, w->probe, w->arg, &p->source, w->err))
		return false;
	other = find_same(w, &p->source);
	if (other)
		return plan_fail(w->err, "%s: %.200s is the source of another one, too%s%.200s",
				 name, p->source.path,
				 strcmp(other->path, p->source.path) ? ", by the name of " : "",
				 strcmp(other->path, p->source.path) ? other->path : "");
	if (p->source.hibernated)
		return plan_fail(w->err,
				 "%s: swap %s holds the memory of a guest that hibernates; start "
				 "the guest and shut it down",
				 name, p->source.path);
	p->fill = is_swap(&p->source) && !w->o->copy_swap ? PLAN_SWAP : PLAN_COPY;
	plan_source_notes(w->p, name, &from->spec, p);
	return true;
}

static bool take_sources(struct work *w, unsigned i)
{
	const struct guest_disk *from = w->from[i];
	struct plan_disk *d = &w->p->disks[i];

	d->parts = calloc(from->n, sizeof(*d->parts));
	if (!d->parts)
		return plan_fail(w->err, "out of memory");
	d->readonly = true;
	for (unsigned j = 0; j < from->n; j++) {
		d->n_parts++;
		if (!take_source(w, &from->sources[j], &d->parts[j]))
			return false;
		d->readonly &= from->sources[j].spec.readonly;
	}
	for (unsigned j = 0; j < from->n && !d->readonly; j++)
		if (from->sources[j].spec.readonly)
			plan_note(w->p,
				  "%s%u was read-only and can be written to in the new disk; "
				  "mount it read-only in the guest.",
				  d->vdev, d->parts[j].number);
	return true;
}

/* --- Where more room goes --- */

/* The disk that --grow-last means: the one that is named, or the only one with partitions. */
static bool find_grown(const struct work *w, unsigned *ret)
{
	unsigned found = 0;

	if (!w->o->extra_bytes)
		return true;
	for (unsigned i = 0; i < w->p->n_disks; i++) {
		const struct plan_disk *d = &w->p->disks[i];

		if (w->o->extra_disk ? strcmp(w->o->extra_disk, d->vdev) != 0 &&
					       strcmp(w->o->extra_disk, d->target) != 0 :
				       w->from[i]->whole)
			continue;
		*ret = i;
		found++;
	}
	if (!found && w->o->extra_disk)
		return plan_fail(w->err, "--grow-last: the guest has no disk %.32s",
				 w->o->extra_disk);
	if (found && w->from[*ret]->whole)
		return plan_fail(w->err,
				 "--grow-last: %s is copied whole with its own table; grow it when "
				 "it is there: bridgectl disk grow",
				 w->p->disks[*ret].vdev);
	return found == 1 ||
	       plan_fail(w->err, found ? "--grow-last: more than one disk has partitions; say "
					 "which, as in --grow-last xvda:10G" :
					 "--grow-last: no disk has partitions of ours");
}

static void note_bios_boot(struct plan *p, const struct plan_disk *d)
{
	if (d->parts[0].fill == PLAN_BIOS_BOOT)
		plan_note(p,
			  "%s gets a GPT; its partition %u is new, a BIOS boot partition for the "
			  "boot loader.",
			  d->target, d->parts[0].number);
	else
		plan_note(p,
			  "%s gets a GPT and has no number left for a BIOS boot partition: a boot "
			  "loader has no room in it.",
			  d->target);
}

static bool place_disks(struct work *w)
{
	unsigned grown = PLAN_DISKS_MAX;

	if (!find_grown(w, &grown))
		return false;
	for (unsigned i = 0; i < w->p->n_disks; i++) {
		struct plan_disk *d = &w->p->disks[i];
		uint64_t extra = i == grown ? w->o->extra_bytes : 0;

		if (w->from[i]->whole ? !plan_place_whole(d, w->err) :
					!plan_place(d, w->o->label, extra, w->err))
			return false;
		if (d->label == PLAN_GPT)
			note_bios_boot(w->p, d);
	}
	return true;
}

static void note_names(struct work *w)
{
	_cleanup_free_ char *list = NULL;
	size_t len;
	FILE *f = open_memstream(&list, &len);

	if (!f)
		return;
	for (unsigned i = 0; i < w->p->n_disks; i++)
		if (strcmp(w->p->disks[i].vdev, w->p->disks[i].target) != 0)
			fprintf(f, "%s%s is %s", ftell(f) ? ", " : "", w->p->disks[i].vdev,
				w->p->disks[i].target);
	if (fclose(f) == 0 && len)
		plan_note(
			w->p,
			"The guest sees other names: %s. Its fstab and its boot loader need UUIDs, "
			"labels, or the new names.",
			list);
}

static bool compute(struct work *w)
{
	if (!name_guest(w) || !choose_disks(w))
		return false;
	for (unsigned i = 0; i < w->p->n_disks; i++)
		if (!name_disk(w, i) || !take_sources(w, i))
			return false;
	if (!place_disks(w))
		return false;
	plan_boot_flag(w->p, w->g, w->from);
	note_names(w);
	return plan_check(w->p, w->err);
}

struct plan *plan_outline(const struct guest *g, char *err)
{
	struct work w = { .g = g, .err = err };
	bool ok;

	w.p = plan_new(err);
	if (!w.p)
		return NULL;
	ok = name_guest(&w) && choose_disks(&w);
	for (unsigned i = 0; ok && i < w.p->n_disks; i++)
		ok = name_disk(&w, i);
	if (ok)
		return w.p;
	plan_free(w.p);
	return NULL;
}

struct plan *plan_compute(const struct guest *g, const struct plan_options *o, plan_probe_fn probe,
			  void *arg, char *err)
{
	struct work w = { .g = g, .o = o, .probe = probe, .arg = arg, .err = err };

	w.p = plan_new(err);
	if (!w.p)
		return NULL;
	if (!compute(&w)) {
		plan_free(w.p);
		return NULL;
	}
	return w.p;
}
