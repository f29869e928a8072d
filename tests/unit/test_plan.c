/*
 * The plan: thousands of random guests against the rules, each written down here a second time;
 * exact plans of the usual guests; every sentence that refuses one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/plan.h"
#include "bridgectl/domain/mem.h"
#include "common/util.h"
#include "tests/support/prng.h"
#include "tests/unit/plan_guest.h"

#define ROUNDS 4000
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* One guest and its volumes. */
struct made {
	struct guest *g;
	struct made_volumes volumes;
	struct plan_options options;
	char err[PLAN_ERRLEN];
};

static struct made *made_new(void)
{
	struct made *m = calloc(1, sizeof(*m));

	m->g = made_guest("web1");
	return m;
}

static void made_free(struct made *m)
{
	guest_free(m->g);
	free(m);
}

static struct guest_source *add(struct made *m, const char *vdev, uint64_t bytes, const char *type)
{
	return made_disk(m->g, made_volume(&m->volumes, bytes, type)->path, vdev);
}

static struct plan *compute(struct made *m)
{
	struct plan *p;

	strcpy(m->err, "");
	p = plan_compute(m->g, &m->options, made_probe, &m->volumes, m->err);
	if (!p)
		assert_string_not_equal(m->err, "");
	return p;
}

static struct plan *compute_ok(struct made *m)
{
	struct plan *p = compute(m);

	if (!p)
		fail_msg("%s", m->err);
	return p;
}

/* It must be refused, with these words in the sentence; the guest is freed. */
static void refused(struct made *m, const char *words)
{
	struct plan *p = compute(m);

	if (p)
		fail_msg("a plan, instead of: %s", words);
	if (!strstr(m->err, words))
		fail_msg("\"%s\" says nothing of \"%s\"", m->err, words);
	made_free(m);
}

static bool has_note(const struct plan *p, const char *words)
{
	const json_t *note;
	size_t i;

	json_array_foreach(p->notes, i, note)
		if (strstr(json_string_value(note), words))
			return true;
	return false;
}

/* --- The rules, once more --- */

static const struct plan_part *by_number(const struct plan_disk *d, unsigned number)
{
	const struct plan_part *found = NULL;

	for (unsigned i = 0; i < d->n_parts; i++)
		if (d->parts[i].number == number) {
			assert_null(found);
			found = &d->parts[i];
		}
	return found;
}

static void check_places(const struct plan_disk *d)
{
	uint64_t at = 2048;

	for (unsigned i = 0; i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];

		assert_true(p->start == at);
		assert_true(p->sectors > 0 && p->sectors % 2048 == 0);
		at = p->start + p->sectors;
		if (i && p[-1].fill != PLAN_BIOS_BOOT)
			assert_true(p[-1].number < p->number);
	}
	assert_true(d->sectors == at + 2048);
}

static void check_sources(const struct plan_disk *d, const struct guest_disk *from,
			  const struct made_volumes *m, uint64_t extra)
{
	unsigned copied = 0, last = 0;

	for (unsigned i = 0; i < d->n_parts; i++)
		if (d->parts[i].fill == PLAN_COPY)
			last = d->parts[i].number;
	for (unsigned i = 0; i < from->n; i++) {
		const struct plan_part *p = by_number(d, from->sources[i].vdev.partition);
		struct plan_source s;
		char err[PLAN_ERRLEN];
		uint64_t least, room = 0;

		assert_int_equal(made_probe((void *)m, from->sources[i].spec.path, &s, err), 0);
		assert_non_null(p);
		assert_memory_equal(&p->source, &s, sizeof(s));
		if (p->number == last)
			room = extra;
		least = s.bytes + room;
		assert_true(p->sectors * 512 >= least);
		/* Each of the two is rounded up to 1 MiB. */
		assert_true(p->sectors * 512 < least + (room ? 2 : 1) * MIB);
		assert_int_equal(p->fill, s.swap_page ? PLAN_SWAP : PLAN_COPY);
		copied++;
	}
	assert_int_equal(copied + (d->label == PLAN_GPT), d->n_parts);
}

static void check_label(const struct plan_disk *d, const struct guest_disk *from,
			enum plan_label wanted)
{
	unsigned highest = from->sources[from->n - 1].vdev.partition, boots = 0;
	bool small = highest <= 4 && (d->sectors - 2048 * (d->label == PLAN_GPT)) < UINT64_C(1)
											    << 32;

	for (unsigned i = 0; i < d->n_parts; i++)
		boots += d->parts[i].boot;
	assert_int_equal(d->label, small && wanted != PLAN_GPT ? PLAN_MSDOS : PLAN_GPT);
	assert_true(boots <= (d->label == PLAN_MSDOS));
	assert_int_equal(d->parts[0].fill == PLAN_BIOS_BOOT, d->label == PLAN_GPT);
	if (d->label != PLAN_GPT)
		return;
	assert_int_equal(d->parts[0].start, 2048);
	assert_int_equal(d->parts[0].sectors, 2048);
	for (unsigned n = 1; n < d->parts[0].number; n++)
		assert_non_null(by_number(d, n));
}

/* Zeroes and sources cover the disk and each other nowhere. */
static void check_zeroes(const struct plan_disk *d)
{
	struct plan_range r[PLAN_PARTS_MAX + 1];
	unsigned n = plan_zeroes(d, r), k = 0;
	uint64_t at = 0;

	assert_true(n <= d->n_parts + 1);
	for (unsigned i = 0; i <= d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];

		if (i < d->n_parts && p->fill != PLAN_COPY)
			continue;
		if (k < n && r[k].start == at) {
			assert_true(r[k].bytes > 0);
			at += r[k++].bytes;
		}
		if (i == d->n_parts)
			break;
		assert_true(p->start * 512 == at);
		at += p->source.bytes;
	}
	assert_int_equal(k, n);
	assert_true(at == d->sectors * 512);
}

static void check_json(const struct plan *p)
{
	char err[PLAN_ERRLEN] = "";
	json_t *j = plan_to_json(p), *again;
	struct plan *q = plan_from_json(j, err);

	if (!q)
		fail_msg("%s", err);
	again = plan_to_json(q);
	assert_true(json_equal(j, again));
	assert_int_equal(p->n_disks, q->n_disks);
	for (unsigned i = 0; i < p->n_disks; i++) {
		const struct plan_disk *a = &p->disks[i], *b = &q->disks[i];

		assert_int_equal(a->n_parts, b->n_parts);
		for (unsigned k = 0; k < a->n_parts; k++)
			assert_memory_equal(&a->parts[k].source, &b->parts[k].source,
					    sizeof(a->parts[k].source));
	}
	plan_free(q);
	json_decref(j);
	json_decref(again);
}

/* --- Random guests --- */

/* 1 sector … 4 GiB, small and large ones alike often; now and then not in whole sectors. */
static uint64_t random_bytes(struct prng *r)
{
	uint64_t bytes = (1 + prng_below(r, UINT64_C(1) << prng_below(r, 24))) * 512;

	if (prng_below(r, 3) == 0)
		bytes = bytes / MIB * MIB + MIB;
	if (prng_below(r, 8) == 0)
		bytes += prng_below(r, 512);
	return MIN(bytes, 4 * GIB);
}

static const char *random_type(struct prng *r, uint64_t bytes)
{
	static const char *const types[] = { "ext4", "xfs", "", "swap", "LVM2_member" };
	const char *type = types[prng_below(r, ARRAY_SIZE(types))];

	return strcmp(type, "swap") || bytes >= 40960 ? type : "ext3";
}

static void add_disk(struct made *m, struct prng *r, const char *name)
{
	unsigned n = 1 + (unsigned)prng_below(r, prng_below(r, 4) ? 4 : 15);
	unsigned highest = prng_below(r, 2) ? 4 : prng_below(r, 2) ? 15 : 128;

	for (unsigned i = 0; i < n; i++) {
		unsigned number = 1 + (unsigned)prng_below(r, highest);
		char vdev[16];
		bool used = false;
		uint64_t bytes = random_bytes(r);

		for (unsigned d = 0; d < m->g->n_disks; d++)
			for (unsigned k = 0; k < m->g->disks[d].n; k++)
				used |= d == m->g->n_disks - 1 &&
					m->g->disks[d].sources[k].vdev.partition == number &&
					m->g->disks[d].index == (unsigned)(name[3] - 'a');
		snprintf(vdev, sizeof(vdev), "%s%u", name, number);
		if (!used)
			add(m, vdev, bytes, random_type(r, bytes));
	}
}

static bool has_copy(const struct made *m, const struct guest_disk *d)
{
	for (unsigned i = 0; i < d->n; i++)
		for (unsigned k = 0; k < m->volumes.n; k++)
			if (!strcmp(m->volumes.v[k].path, d->sources[i].spec.path) &&
			    !m->volumes.v[k].swap_page)
				return true;
	return false;
}

static void one_random_guest(struct prng *r)
{
	static const char *const names[] = { "xvda", "xvdb", "xvdc" };
	struct made *m = made_new();
	unsigned n = 1 + (unsigned)prng_below(r, ARRAY_SIZE(names));
	struct plan *p;

	for (unsigned i = 0; i < n; i++)
		add_disk(m, r, names[i]);
	m->options.label = prng_below(r, 3) ? PLAN_WHOLE : PLAN_GPT;
	if (prng_below(r, 3) == 0 && has_copy(m, &m->g->disks[0])) {
		m->options.extra_bytes = random_bytes(r);
		m->options.extra_disk = "xvda";
	}
	p = compute_ok(m);
	assert_int_equal(p->n_disks, n);
	for (unsigned i = 0; i < n; i++) {
		const struct guest_disk *from = &m->g->disks[i];

		check_places(&p->disks[i]);
		check_sources(&p->disks[i], from, &m->volumes, i ? 0 : m->options.extra_bytes);
		check_label(&p->disks[i], from, m->options.label);
		check_zeroes(&p->disks[i]);
	}
	assert_true(plan_check(p, m->err));
	check_json(p);
	plan_free(p);
	made_free(m);
}

static void test_random_guests(void **state)
{
	struct prng r = { 0x5eed0005 };

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++)
		one_random_guest(&r);
}

/* --- The usual guests --- */

static void test_xen_tools(void **state)
{
	struct made *m = made_new();
	struct plan *p;
	const struct plan_disk *d;

	(void)state;
	add(m, "xvda2", 4 * GIB, "ext3");
	add(m, "xvda1", 512 * MIB, "swap");
	p = compute_ok(m);
	d = &p->disks[0];
	assert_string_equal(d->name, "web1-disk");
	assert_string_equal(d->vdev, "xvda");
	assert_string_equal(d->target, "vda");
	assert_int_equal(d->label, PLAN_MSDOS);
	assert_int_equal(d->parts[0].number, 1);
	assert_int_equal(d->parts[0].fill, PLAN_SWAP);
	assert_int_equal(d->parts[0].start, 2048);
	assert_int_equal(d->parts[0].sectors, 1048576);
	assert_false(d->parts[0].boot);
	assert_int_equal(d->parts[1].start, 1050624);
	assert_int_equal(d->parts[1].sectors, 8388608);
	assert_true(d->parts[1].boot);
	assert_int_equal(d->sectors, 9441280);
	assert_string_equal(plan_part_type(d, &d->parts[0]), "82");
	assert_string_equal(plan_part_type(d, &d->parts[1]), "83");
	assert_true(has_note(p, "xvda1 is swap"));
	plan_free(p);
	m->options.copy_swap = true;
	p = compute_ok(m);
	assert_int_equal(p->disks[0].parts[0].fill, PLAN_COPY);
	assert_true(p->disks[0].parts[1].boot);
	plan_free(p);
	made_free(m);
}

static void test_boot_flag(void **state)
{
	struct made *m = made_new();
	struct plan *p;

	(void)state;
	add(m, "xvda3", GIB, "ext3"); /* first in the file */
	add(m, "xvda2", GIB, "ext3");
	strcpy(made_volume(&m->volumes, GIB, "ext2")->label, "/boot");
	made_disk(m->g, m->volumes.v[2].path, "xvda1");
	p = compute_ok(m);
	assert_true(by_number(&p->disks[0], 3)->boot);
	plan_free(p);
	m->g->boot.method = BOOT_KERNEL;
	p = compute_ok(m);
	assert_true(by_number(&p->disks[0], 1)->boot);
	plan_free(p);
	strcpy(m->volumes.v[2].label, "");
	m->g->boot.cmdline = mem_strdup("ro root=/dev/xvda3 x root=/dev/xvda2 quiet");
	p = compute_ok(m);
	assert_true(by_number(&p->disks[0], 2)->boot);
	plan_free(p);
	free(m->g->boot.cmdline);
	m->g->boot.cmdline = mem_strdup("root=UUID=1 root=LABEL=xvda2");
	p = compute_ok(m);
	assert_true(by_number(&p->disks[0], 3)->boot);
	plan_free(p);
	made_free(m);
}

/* The kernel's root= is on the second disk; the first has none to boot from. */
static void test_boot_disk(void **state)
{
	struct made *m = made_new();
	struct plan *p;

	(void)state;
	add(m, "xvda1", GIB, "ext3");
	add(m, "xvdb1", GIB, "ext3");
	m->g->boot.method = BOOT_KERNEL;
	m->g->boot.cmdline = mem_strdup("root=/dev/xvdb1");
	p = compute_ok(m);
	assert_false(p->disks[0].parts[0].boot);
	assert_true(p->disks[1].parts[0].boot);
	plan_free(p);
	m->g->boot.method = BOOT_BOOTLOADER;
	p = compute_ok(m);
	assert_true(p->disks[0].parts[0].boot);
	assert_false(p->disks[1].parts[0].boot);
	plan_free(p);
	made_free(m);
}

static void test_whole_disks(void **state)
{
	struct made *m = made_new();
	struct plan_range r[2];
	struct plan *p;

	(void)state;
	add(m, "hdc", 700 * MIB, "")->spec.readonly = true;
	m->g->disks[0].cdrom = true;
	add(m, "xvda", 10 * GIB, "")->spec.readonly = true;
	strcpy(m->volumes.v[1].table, "dos");
	add(m, "xvde", 1000, "ext4");
	add(m, "xvdb", GIB, "swap");
	p = compute_ok(m);
	assert_int_equal(p->n_disks, 3);
	assert_string_equal(p->disks[2].vdev, "xvde");
	assert_string_equal(p->disks[2].name, "web1-disk-c");
	assert_string_equal(p->disks[2].target, "vdc");
	assert_int_equal(p->disks[0].label, PLAN_WHOLE);
	assert_int_equal(p->disks[0].sectors, 20971520);
	assert_true(p->disks[0].readonly);
	assert_false(p->disks[1].readonly);
	assert_int_equal(plan_zeroes(&p->disks[0], r), 0);
	assert_int_equal(p->disks[2].sectors, 2);
	assert_int_equal(plan_zeroes(&p->disks[2], r), 1);
	assert_int_equal(r[0].start, 1000);
	assert_int_equal(r[0].bytes, 24);
	assert_int_equal(p->disks[1].parts[0].fill, PLAN_SWAP);
	assert_int_equal(plan_zeroes(&p->disks[1], r), 1);
	assert_true(has_note(p, "hdc is a CD-ROM"));
	assert_true(has_note(p, "xvde is vdc"));
	check_json(p);
	plan_free(p);
	made_free(m);
}

static void test_label_limits(void **state)
{
	struct made *m = made_new();
	struct plan *p;

	(void)state;
	/* With a MiB before and one behind it is the largest disk that msdos describes. */
	add(m, "xvda1", 2 * TIB - 3 * MIB, "ext4");
	p = compute_ok(m);
	assert_int_equal(p->disks[0].label, PLAN_MSDOS);
	plan_free(p);
	m->volumes.v[0].bytes += 1;
	p = compute_ok(m);
	assert_int_equal(p->disks[0].label, PLAN_GPT);
	assert_int_equal(p->disks[0].parts[0].number, 2);
	assert_int_equal(p->disks[0].parts[1].start, 4096);
	plan_free(p);
	m->volumes.v[0].bytes = (UINT64_C(1) << 40) * 512;
	p = compute_ok(m);
	check_zeroes(&p->disks[0]);
	plan_free(p);
	m->options.label = PLAN_MSDOS;
	refused(m, "an msdos table has 4 partitions");
}

static void test_all_numbers_used(void **state)
{
	struct made *m = made_new();
	struct plan *p;
	char vdev[16];

	(void)state;
	for (unsigned i = 1; i <= 128; i++) {
		snprintf(vdev, sizeof(vdev), "xvda%u", i);
		add(m, vdev, 512, "");
	}
	p = compute_ok(m);
	assert_int_equal(p->disks[0].n_parts, 128);
	assert_true(has_note(p, "no number left"));
	check_json(p);
	plan_free(p);
	made_free(m);
}

static void test_names(void **state)
{
	struct made *m = made_new();
	struct plan *p;

	(void)state;
	add(m, "xvda1", GIB, "ext4");
	strcpy(m->g->name, "a b/");
	p = compute_ok(m);
	assert_string_equal(p->guest, "a b/");
	assert_string_equal(p->disks[0].name, "a_b_-disk");
	plan_free(p);
	strcpy(m->g->name, "-..");
	p = compute_ok(m);
	assert_string_equal(p->disks[0].name, "_..-disk");
	plan_free(p);
	made_free(m);
}

static void test_grow(void **state)
{
	struct made *m = made_new();
	struct plan *p;

	(void)state;
	add(m, "xvda1", GIB, "ext4");
	add(m, "xvda2", GIB, "swap");
	add(m, "xvdb", GIB, "ext4");
	m->options.extra_bytes = 3 * GIB + 1;
	p = compute_ok(m);
	assert_int_equal(p->disks[0].parts[0].sectors * 512, 4 * GIB + MIB);
	assert_int_equal(p->disks[0].parts[1].sectors * 512, GIB);
	plan_free(p);
	m->options.extra_disk = "xvdb";
	assert_null(compute(m));
	assert_non_null(strstr(m->err, "copied whole"));
	m->options.extra_disk = "xvdz";
	assert_null(compute(m));
	assert_non_null(strstr(m->err, "no disk xvdz"));
	m->options.extra_disk = "vda"; /* as --disk takes it */
	plan_free(compute_ok(m));
	m->options.extra_disk = "xvda";
	m->options.extra_bytes = UINT64_C(8000) << 50;
	assert_null(compute(m));
	assert_non_null(strstr(m->err, "no disk can grow so much"));
	m->options.extra_bytes = GIB;
	m->options.extra_disk = NULL;
	add(m, "xvdc1", GIB, "swap");
	assert_null(compute(m));
	assert_non_null(strstr(m->err, "more than one disk"));
	m->options.extra_disk = "xvdc";
	refused(m, "nothing can be grown");
}

/* --- Refused --- */

static void test_refused_guests(void **state)
{
	struct made *m = made_new();

	(void)state;
	refused(m, "no disks");
	m = made_new();
	add(m, "hdc", GIB, "")->spec.cdrom = true;
	m->g->disks[0].cdrom = true;
	refused(m, "no disks");
	m = made_new();
	free(m->g->name);
	m->g->name = NULL;
	refused(m, "no name");
	m = made_new();
	m->g->name[0] = '\n';
	refused(m, "not printable");
	m = made_new();
	free(m->g->name);
	m->g->name = mem_new(65);
	memset(m->g->name, 'x', 64);
	refused(m, "longer than");
	m = made_new();
	free(m->g->name);
	m->g->name = mem_new(64);
	memset(m->g->name, 'x', 60);
	add(m, "xvda1", GIB, "ext4");
	refused(m, "too long");
}

static void test_refused_sources(void **state)
{
	static const struct {
		enum disk_kind kind;
		const char *words;
	} kinds[] = { { DISK_ISCSI, "iscsiadm" },
		      { DISK_NBD, "nbd-client" },
		      { DISK_SCRIPT, "only the script" } };
	struct made *m;
	struct guest_source *s;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		m = made_new();
		add(m, "xvda1", GIB, "ext4")->spec.kind = kinds[i].kind;
		refused(m, kinds[i].words);
	}
	m = made_new();
	s = add(m, "xvda1", GIB, "");
	free(s->spec.format);
	s->spec.format = mem_strdup("qcow2");
	refused(m, "qemu-img convert -O raw /dev/made/0 /dev/made/0.raw");
	m = made_new();
	s = add(m, "xvda1", GIB, "");
	free(s->spec.format);
	s->spec.format = mem_strdup("qcow2");
	free(s->spec.path);
	s->spec.path = mem_strdup("/srv/my disk");
	refused(m, "qemu-img convert -O raw '/srv/my disk' '/srv/my disk.raw'");
	m = made_new();
	add(m, "xvda1", GIB, "")->spec.backend = mem_strdup("storage");
	refused(m, "in domain storage");
	m = made_new();
	s = add(m, "xvda1", GIB, "");
	s->spec.backend = mem_strdup("domain-0"); /* as the configuration's reader has it */
	s->spec.path[0] = 'x';
	refused(m, "not an absolute path");
	m = made_new();
	add(m, "xvda1", GIB, "")->spec.path[0] = 'x';
	refused(m, "not an absolute path");
	m = made_new();
	strcpy(made_volume(&m->volumes, GIB, "ext4")->path, "/srv/im\xe9.img");
	made_disk(m->g, "/srv/im\xe9.img", "xvda1");
	refused(m, "the source's path is not UTF-8");
	m = made_new();
	made_disk(m->g, "/dev/made/9", "xvda1");
	refused(m, "xvda1: /dev/made/9 does not exist");
	m = made_new();
	add(m, "xvda1", GIB, "swap");
	m->volumes.v[0].hibernated = true;
	refused(m, "hibernates");
	m = made_new();
	add(m, "xvda1", GIB, "ext4");
	made_disk(m->g, "/dev/made/0", "xvdb");
	refused(m, "xvdb: /dev/made/0 is the source of another one");
	m = made_new();
	add(m, "xvda129", GIB, "ext4");
	refused(m, "numbers from 1 to 128");
	m = made_new();
	add(m, "xvda1", UINT64_C(1) << 60, "ext4");
	refused(m, "too large");
	m = made_new();
	add(m, "xvda1", GIB, "ext4");
	add(m, "xvda5", GIB, "ext4");
	m->options.label = PLAN_MSDOS;
	refused(m, "needs number 5");
}

static void test_drbd(void **state)
{
	static const char *const paths[] = { "/dev/drbd/by-res/web1", "/dev/drbd/by-res/web1/0" };
	struct guest_source *s;
	struct made *m;
	struct plan *p;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		m = made_new();
		s = add(m, "xvda1", GIB, "ext4");
		s->spec.kind = DISK_DRBD;
		s->spec.resource = mem_strdup("web1");
		strcpy(m->volumes.v[0].path, paths[i]);
		p = compute_ok(m);
		assert_string_equal(p->disks[0].parts[0].source.path, paths[i]);
		plan_free(p);
		strcpy(m->volumes.v[0].path, "/dev/other");
		refused(m, "is not up on this host");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_guests),
		cmocka_unit_test(test_xen_tools),
		cmocka_unit_test(test_boot_flag),
		cmocka_unit_test(test_boot_disk),
		cmocka_unit_test(test_whole_disks),
		cmocka_unit_test(test_label_limits),
		cmocka_unit_test(test_all_numbers_used),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_refused_guests),
		cmocka_unit_test(test_refused_sources),
		cmocka_unit_test(test_drbd),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
