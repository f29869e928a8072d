/*
 * Commands for people. Every word that is not ours goes through quote_word(); numbers are printed
 * exactly, in the unit that the tool at hand cannot misread. Order for each disk: make it, zero
 * what no source fills, table, swap headers, then the sources.
 */
#include "bridgectl/disk/plan_script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/quote.h"
#include "bridgectl/disk/size.h"
#include "common/util.h"

#define MIB (UINT64_C(1) << 20)
#define PATH_BYTES 4096

struct script {
	FILE *f;
	const struct plan_where *w;
	bool failed;
};

bool plan_volume_path(const struct plan_where *w, const struct plan_disk *d, char *buf, size_t size)
{
	int n = w->vg ? snprintf(buf, size, "/dev/%s/%s", w->vg, d->name) :
			snprintf(buf, size, "%s%s%s.img", w->dir,
				 w->dir[strlen(w->dir) - 1] == '/' ? "" : "/", d->name);

	return n > 0 && (size_t)n < size;
}

/* "ssh HOST 'WORDS SOURCE'": quoted for the shell there, and once more for the one here. */
static void quote_remote(struct script *s, const char *words, const char *source)
{
	_cleanup_free_ char *command = NULL;
	size_t len;
	FILE *f = open_memstream(&command, &len);

	if (!f) {
		s->failed = true;
		return;
	}
	fputs(words, f);
	quote_word(f, source);
	s->failed |= fclose(f) != 0;
	quote_words(s->f, s->w->ssh ? s->w->ssh : "ssh");
	quote_word(s->f, s->w->from);
	fputc(' ', s->f);
	quote_word(s->f, command);
}

static void make_volume(struct script *s, const struct plan_disk *d)
{
	uint64_t bytes = d->sectors * SECTOR_BYTES;

	if (s->w->vg) {
		fprintf(s->f, "lvcreate --yes --wipesignatures y --addtag bridgectl --name %s ",
			d->name);
		fprintf(s->f, "--size %" PRIu64 "b ", bytes);
		quote_word(s->f, s->w->vg);
		fputc('\n', s->f);
		return;
	}
	fputs("[ ! -e \"$disk\" ] || { echo \"$disk exists already\" >&2; exit 1; }\n", s->f);
	fprintf(s->f, "truncate --size=%" PRIu64 " \"$disk\"\n", bytes);
}

/* The last range goes on to the end of the device: a volume is whole extents. */
static void zero_volume(struct script *s, const struct plan_disk *d)
{
	struct plan_range ranges[PLAN_PARTS_MAX + 1];
	uint64_t end = d->sectors * SECTOR_BYTES;
	unsigned n = plan_zeroes(d, ranges);

	if (!s->w->vg) {
		fputs("# The rest of a new file reads as zeros.\n", s->f);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		uint64_t start = ranges[i].start / SECTOR_BYTES * SECTOR_BYTES;
		uint64_t stop = ranges[i].start + ranges[i].bytes;

		fprintf(s->f, "blkdiscard --zeroout --offset %" PRIu64, start);
		if (stop < end)
			fprintf(s->f, " --length %" PRIu64, stop - start);
		fputs(" \"$disk\"\n", s->f);
	}
	if (!n || ranges[n - 1].start + ranges[n - 1].bytes < end)
		fprintf(s->f,
			"[ \"$(blockdev --getsize64 \"$disk\")\" -eq %" PRIu64 " ] ||\n"
			"\tblkdiscard --zeroout --offset %" PRIu64 " \"$disk\"\n",
			end, end);
}

/* Its sectors are those of the device; the guest's are 512 bytes whatever the device has. */
static void check_sectors(struct script *s)
{
	if (s->w->vg)
		fputs("[ \"$(blockdev --getss \"$disk\")\" -eq 512 ] || {\n"
		      "\techo \"$disk: not sectors of 512 bytes; use bridgectl disk create\" >&2\n"
		      "\texit 1\n}\n",
		      s->f);
}

static void make_table(struct script *s, const struct plan_disk *d)
{
	check_sectors(s);
	fprintf(s->f,
		"sfdisk --quiet \"$disk\" <<'TABLE'\n"
		"label: %s\nunit: sectors\n\n",
		d->label == PLAN_GPT ? "gpt" : "dos");
	for (unsigned i = 0; i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];

		fprintf(s->f, "%u : start=%" PRIu64 ", size=%" PRIu64 ", type=%s%s\n", p->number,
			p->start, p->sectors, plan_part_type(d, p), p->boot ? ", bootable" : "");
	}
	fputs("TABLE\n", s->f);
}

/* By way of a sparse file, because mkswap writes to the beginning of what it is given only. */
static void make_swap(struct script *s, const struct plan_part *p)
{
	const struct plan_source *src = &p->source;

	fputs("\n# ", s->f);
	if (p->number)
		fprintf(s->f, "partition %u: ", p->number);
	fputs("new swap in place of ", s->f);
	quote_word(s->f, src->path);
	fputs("\n# (mkswap warns of holes in a file: the volume has none)\nswap=$(mktemp)\n", s->f);
	fprintf(s->f, "truncate --size=%" PRIu64 " \"$swap\"\n", p->sectors * SECTOR_BYTES);
	fprintf(s->f, "mkswap --pagesize %u --uuid ", src->swap_page);
	quote_word(s->f, *src->uuid ? src->uuid : "clear");
	if (*src->label) {
		fputs(" --label ", s->f);
		quote_word(s->f, src->label);
	}
	fprintf(s->f,
		" \"$swap\"\n"
		"dd if=\"$swap\" of=\"$disk\" bs=%u count=1 seek=%" PRIu64
		" conv=notrunc,fsync status=none\n"
		"rm -f \"$swap\"\n",
		src->swap_page, p->start * SECTOR_BYTES / src->swap_page);
}

static void copy_here(struct script *s, const struct plan_part *p)
{
	fputs("dd if=", s->f);
	quote_word(s->f, p->source.path);
	fprintf(s->f,
		" of=\"$disk\" bs=1M count=%" PRIu64 " seek=%" PRIu64 " \\\n"
		"\tiflag=fullblock,count_bytes conv=notrunc,%sfsync status=progress\n",
		p->source.bytes, p->start * SECTOR_BYTES / MIB, s->w->dir ? "sparse," : "");
	fprintf(s->f, "cmp --bytes=%" PRIu64 " --ignore-initial=0:%" PRIu64 " \\\n\t",
		p->source.bytes, p->start * SECTOR_BYTES);
	quote_word(s->f, p->source.path);
	fputs(" \"$disk\"\n", s->f);
}

static void copy_there(struct script *s, const struct plan_part *p)
{
	quote_remote(s, "dd bs=1M status=none if=", p->source.path);
	fprintf(s->f,
		" |\n\tdd of=\"$disk\" bs=1M count=%" PRIu64 " seek=%" PRIu64 " \\\n"
		"\t\tiflag=fullblock,count_bytes conv=notrunc,%sfsync status=progress\n",
		p->source.bytes, p->start * SECTOR_BYTES / MIB, s->w->dir ? "sparse," : "");
	fputs("there=$(", s->f);
	quote_remote(s, "sha256sum <", p->source.path);
	fprintf(s->f,
		")\n"
		"here=$(dd if=\"$disk\" bs=1M skip=%" PRIu64 " count=%" PRIu64 " \\\n"
		"\tiflag=fullblock,count_bytes status=none | sha256sum)\n"
		"[ \"$there\" = \"$here\" ] || { echo \"$disk differs from its source\" >&2; "
		"exit 1; }\n",
		p->start * SECTOR_BYTES / MIB, p->source.bytes);
}

static void copy_source(struct script *s, const struct plan_part *p)
{
	if (p->number)
		fprintf(s->f, "\n# partition %u\n", p->number);
	if (s->w->from)
		copy_there(s, p);
	else
		copy_here(s, p);
}

static void one_disk(struct script *s, const struct plan_disk *d)
{
	char path[PATH_BYTES], size[SIZE_STRLEN];

	if (!plan_volume_path(s->w, d, path, sizeof(path))) {
		s->failed = true;
		return;
	}
	fprintf(s->f, "\n# --- %s: %s, now %s, %s ---\n\ndisk=", d->name, d->target, d->vdev,
		size_format(d->sectors * SECTOR_BYTES, size));
	quote_word(s->f, path);
	fputc('\n', s->f);
	make_volume(s, d);
	zero_volume(s, d);
	if (d->label != PLAN_WHOLE)
		make_table(s, d);
	for (unsigned i = 0; i < d->n_parts; i++)
		if (d->parts[i].fill == PLAN_SWAP)
			make_swap(s, &d->parts[i]);
	for (unsigned i = 0; i < d->n_parts; i++)
		if (d->parts[i].fill == PLAN_COPY)
			copy_source(s, &d->parts[i]);
	if (d->label != PLAN_WHOLE)
		fputs("sfdisk --verify --quiet \"$disk\"\n", s->f);
}

char *plan_script(const struct plan *p, const struct plan_where *w)
{
	struct script s = { .w = w };
	char *text = NULL;
	size_t len;

	s.f = open_memstream(&text, &len);
	if (!s.f)
		return NULL;
	fprintf(s.f,
		"#!/bin/sh\n"
		"# The disks of guest %s, as bridgectl disk layout has planned them.\n"
		"# Makes new volumes only, and stops at the first failure. Shut the guest down "
		"first:\n# what is copied while it runs is of no use.\n"
		"set -eu\numask 077\nPATH=$PATH:/usr/sbin:/sbin\n",
		p->guest);
	for (unsigned i = 0; i < p->n_disks; i++)
		one_disk(&s, &p->disks[i]);
	if (fclose(s.f) != 0 || s.failed) {
		free(text);
		return NULL;
	}
	return text;
}
