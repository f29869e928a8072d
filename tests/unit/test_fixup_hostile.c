/*
 * Damaged guests: small images with bytes of their metadata changed at random, looked at and
 * planned as by `domain fixup`, in the process that such bytes cannot get out of. Each ends in a
 * plan, or in one sentence; never in a crash of ours, nor in a byte of the image changed.
 *
 * 500 images (100 under a sanitizer); 10,000 with NET_LONG=1. FIXUP_IMAGES says another number,
 * FIXUP_SEED another start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/fixup/fixup.h"
#include "common/util.h"
#include "tests/support/prng.h"
#include "tests/unit/ext_image.h"

#ifdef __SANITIZE_ADDRESS__
#define USUALLY 100
#else
#define USUALLY 500
#endif

#define KIB 4096U
#define TABLE_BYTES (1U << 20) /* in front of the file system, for an image with a table */
#define FLIPS_MAX 24
#define TIMEOUT_MS 20000

static const struct variant {
	const char *args;
	bool table;
} variants[] = {
	{ "-t ext2 -b 1024 -I 128", false },
	{ "-t ext3 -b 1024 -O ^dir_index", false },
	{ "-t ext4 -b 1024 -O ^metadata_csum,inline_data", false },
	{ "-t ext4 -b 4096 -O ^metadata_csum,^64bit", false },
	{ "-t ext4 -b 1024 -O metadata_csum", false },
	{ "-t ext4 -b 1024 -O ^metadata_csum", true },
};

/* One image, mapped; what a change overwrites is kept and put back. */
struct image {
	char path[PATH_MAX];
	unsigned char *bytes;
	size_t len, fs; /* where the file system begins */
	unsigned char *good;
};

static struct image images[ARRAY_SIZE(variants)];
static unsigned n_images;

static void put_table(unsigned char *disk)
{
	unsigned char *e = disk + 446;

	e[4] = 0x83;
	put_le32(e + 8, TABLE_BYTES / 512);
	put_le32(e + 12, KIB * 2);
	disk[510] = 0x55;
	disk[511] = 0xaa;
}

static bool make_image(const struct variant *v, struct image *m)
{
	size_t len = (size_t)KIB * 1024, fs = v->table ? TABLE_BYTES : 0;
	char made[PATH_MAX];
	int fd;

	snprintf(made, sizeof(made), "%.200s/made", ext_image_top());
	snprintf(m->path, sizeof(m->path), "%.200s/image-%u", ext_image_top(), n_images);
	if (!ext_image_make(made, KIB, v->args))
		return false;
	m->fs = fs;
	m->len = len + fs;
	fd = open(m->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)m->len), 0);
	m->bytes = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(m->bytes != MAP_FAILED);
	close(fd);
	fd = open(made, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, m->bytes + fs, len, 0), len);
	close(fd);
	if (v->table)
		put_table(m->bytes);
	m->good = malloc(m->len);
	assert_non_null(m->good);
	memcpy(m->good, m->bytes, m->len);
	return true;
}

/* Where: mostly in what tells where everything else is. */
static size_t somewhere(const struct image *m, struct prng *seed)
{
	static const struct {
		size_t from, to;
	} areas[] = { { 1024, 1280 },	 { 1024, 2048 },     { 2048, 8192 },   { 8192, 65536 },
		      { 65536, 300000 }, { 300000, 600000 }, { 0, KIB * 1024 } };
	unsigned i = (unsigned)prng_below(seed, ARRAY_SIZE(areas));

	if (m->fs && prng_below(seed, 8) == 0)
		return 440 + (size_t)prng_below(seed, 72);
	return m->fs + areas[i].from + (size_t)prng_below(seed, areas[i].to - areas[i].from);
}

static void damage(struct image *m, struct prng *seed)
{
	unsigned n = 1 + (unsigned)prng_below(seed, FLIPS_MAX);

	while (n--) {
		unsigned char *p = m->bytes + somewhere(m, seed);

		switch (prng_below(seed, 4)) {
		case 0:
			*p = (unsigned char)prng_below(seed, 256);
			break;
		case 1:
			*p ^= (unsigned char)(1U << prng_below(seed, 8));
			break;
		case 2:
			*p = 0xff;
			break;
		default:
			*p = 0;
		}
	}
}

enum outcome { PLANNED, REFUSED, DIED, TOO_LONG, OUTCOMES };

static enum outcome plan(const struct image *m)
{
	static const struct edit_vif vif = { .mac = "00:16:3e:11:22:33" };
	struct fixup_options o = { .disks = { m->path },
				   .letters = { 'a' },
				   .n_disks = 1,
				   .vifs = &vif,
				   .n_vifs = 1,
				   .timeout_ms = TIMEOUT_MS };
	char err[FIXUP_ERRLEN] = "";
	struct fixup *f;
	int r = fixup_plan(&o, &f, err);

	if (r == 0) {
		fixup_free(f);
		return PLANNED;
	}
	if (!err[0] || strchr(err, '\n'))
		fail_msg("no sentence: %d \"%s\"", r, err);
	if (r == -ETIMEDOUT)
		return TOO_LONG;
	if (r == -EPROTO) {
		print_message("%s\n", err);
		return DIED;
	}
	return REFUSED;
}

static unsigned how_many(void)
{
	const char *n = getenv("FIXUP_IMAGES"), *all = getenv("NET_LONG");

	if (n)
		return (unsigned)strtoul(n, NULL, 10);
	return all && strcmp(all, "0") != 0 ? 10000 : USUALLY;
}

static void test_damaged(void **state)
{
	const char *start = getenv("FIXUP_SEED");
	uint64_t first = start ? strtoull(start, NULL, 10) : 1;
	unsigned n = how_many(), counts[OUTCOMES] = { 0 };

	(void)state;
	if (!n_images)
		skip();
	for (unsigned i = 0; i < n; i++) {
		struct image *m = &images[i % n_images];
		struct prng seed = { first + i };
		_cleanup_free_ unsigned char *before = malloc(m->len);
		enum outcome o;

		damage(m, &seed);
		memcpy(before, m->bytes, m->len);
		o = plan(m);
		counts[o]++;
		if (o >= DIED)
			print_message("seed %ju: %s\n", (uintmax_t)(first + i),
				      o == DIED ? "the child died" : "it took too long");
		if (memcmp(before, m->bytes, m->len) != 0)
			fail_msg("seed %ju: the image has changed", (uintmax_t)(first + i));
		memcpy(m->bytes, m->good, m->len);
	}
	print_message("%u images: %u planned, %u refused, %u ended the child, %u took too long\n",
		      n, counts[PLANNED], counts[REFUSED], counts[DIED], counts[TOO_LONG]);
	assert_true(counts[PLANNED] && counts[REFUSED]);
	assert_int_equal(counts[TOO_LONG], 0);
}

static void test_whole(void **state)
{
	(void)state;
	if (!n_images)
		skip();
	for (unsigned i = 0; i < n_images; i++)
		assert_int_equal(plan(&images[i]), PLANNED);
}

static int make_images(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(variants); i++)
		if (make_image(&variants[i], &images[n_images]))
			n_images++;
	return 0;
}

static int drop_images(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_images; i++) {
		munmap(images[i].bytes, images[i].len);
		free(images[i].good);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, make_images, drop_images);
}
