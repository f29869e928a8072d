/*
 * ext2, ext3 and ext4 of every kind: what is read, and that e2fsck finds nothing after files were
 * changed, made and removed. What cannot be written to says why. And the overlay below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/fixup/overlay.h"
#include "bridgectl/fixup/tree_ext.h"
#include "common/util.h"
#include "tests/unit/ext_image.h"

struct fs {
	char path[PATH_MAX];
	int fd;
	uint64_t bytes;
	struct overlay *o;
	struct tree *t;
};

static const char *const variants[] = {
	"-t ext2 -b 1024 -I 128",
	"-t ext2 -b 4096",
	"-t ext3 -b 1024 -I 128",
	"-t ext3 -b 4096 -O ^dir_index",
	"-t ext4 -b 1024",
	"-t ext4 -b 4096",
	"-t ext4 -b 4096 -O 64bit,metadata_csum,inline_data,ea_inode,large_dir -I 256",
	"-t ext4 -b 1024 -O inline_data,metadata_csum_seed",
	"-t ext4 -b 2048 -O ^extent,^64bit,uninit_bg,^metadata_csum",
	"-t ext4 -b 4096 -O encrypt,casefold,verity",
	"-t ext4 -b 4096 -O meta_bg,^resize_inode,flex_bg",
};

static void open_fs(struct fs *f)
{
	char err[TREE_EXT_ERRLEN] = "";
	struct stat st;

	f->fd = open(f->path, O_RDWR | O_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(fstat(f->fd, &st), 0);
	f->bytes = (uint64_t)st.st_size;
	f->o = overlay_new(f->fd, 0, f->bytes);
	if (tree_ext_open(f->o, &f->t, err) < 0)
		fail_msg("%s", err);
}

static void close_fs(struct fs *f)
{
	tree_free(f->t);
	overlay_free(f->o);
	close(f->fd);
}

static void make_fs(struct fs *f, const char *args)
{
	snprintf(f->path, sizeof(f->path), "%.200s/image", ext_image_top());
	if (!ext_image_make(f->path, 8192, args)) {
		print_message("mke2fs %s: cannot\n", args);
		skip();
	}
	open_fs(f);
}

static int put_run(void *arg, uint64_t offset, const void *bytes, size_t len)
{
	const struct fs *f = arg;

	assert_true(offset + len <= f->bytes);
	assert_int_equal(pwrite(f->fd, bytes, len, (off_t)offset), len);
	return 0;
}

/* What is in the overlay goes to the image; e2fsck finds nothing; opens it again. */
static void commit(struct fs *f)
{
	assert_int_equal(tree_ext_sync(f->t), 0);
	assert_int_equal(overlay_each(f->o, put_run, f), 0);
	close_fs(f);
	assert_int_equal(ext_image_check(f->path), 0);
	open_fs(f);
}

static void expect_text(struct tree *t, const char *path, const char *text)
{
	size_t len = 0;
	char *got = tree_text(t, path, &len);

	if (!got)
		fail_msg("%s cannot be read", path);
	assert_string_equal(got, text);
	assert_int_equal(len, strlen(text));
	free(got);
}

static bool count(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
	return true;
}

static void read_guest(struct fs *f)
{
	char to[TREE_PATH_MAX], *text;
	struct tree_stat st;
	unsigned n = 0;
	size_t len;

	expect_text(f->t, "/etc/fstab", "/dev/xvda2 / ext3 defaults 0 1\n");
	expect_text(f->t, "/etc/os-release", "ID=debian\nVERSION_ID=\"6.0\"\n");
	expect_text(f->t, "/etc/long", "/dev/xvda2 / ext3 defaults 0 1\n");
	assert_int_equal(tree_resolve(f->t, "/loop", to), -ELOOP);
	assert_int_equal(tree_resolve(f->t, "/out", to), -ENOENT);
	assert_string_equal(to, "/etc/passwd");
	assert_int_equal(tree_list(f->t, "/many", count, &n), 0);
	assert_int_equal(n, 300);
	assert_int_equal(tree_stat(f->t, "/fifo", &st), 0);
	assert_int_equal(st.kind, TREE_OTHER);
	assert_int_equal(tree_read(f->t, "/hole", TREE_FILE_MAX, &text, &len), -EFBIG);
	assert_int_equal(tree_read(f->t, "/usr/lib/blocks", 100, &text, &len), -EFBIG);
	assert_int_equal(tree_stat(f->t, "/etc/fstab/x", &st), -ENOTDIR);
	text = tree_text(f->t, "/usr/lib/blocks", &len);
	assert_non_null(text);
	assert_int_equal(len, 2000 * strlen("a line of a longer file\n"));
	free(text);
}

static void change_guest(struct fs *f)
{
	_cleanup_free_ char *large = malloc(300001);
	const struct tree_ops *ops = f->t->ops;
	char name[64];

	memset(large, 'L', 300000);
	large[300000] = '\0';
	assert_null(f->t->why_readonly);
	assert_int_equal(ops->write(f->t, "/etc/fstab", "short\n", 6), 0);
	assert_int_equal(ops->write(f->t, "/etc/hostname", large, 300000), 0);
	assert_int_equal(ops->write(f->t, "/usr/lib/blocks", "", 0), 0);
	assert_int_equal(ops->write(f->t, "/etc/os-release", "x", 1), -EINVAL);
	assert_int_equal(ops->write(f->t, "/etc", "x", 1), -EISDIR);
	assert_int_equal(ops->write(f->t, "/fifo", "x", 1), -EINVAL);
	assert_int_equal(ops->create(f->t, "/etc/new", 0640, large, 5000), 0);
	assert_int_equal(ops->create(f->t, "/etc/new", 0640, large, 5000), -EEXIST);
	assert_int_equal(ops->create(f->t, "/none/new", 0640, "", 0), -ENOENT);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "/many/another-name-that-is-rather-long-%03u", i);
		assert_int_equal(ops->create(f->t, name, 0644, "tiny\n", 5), 0);
	}
	expect_text(f->t, "/etc/hostname", large);
}

static void test_variant(void **state)
{
	const char *args = *state;
	struct tree_stat st;
	size_t len = 0;
	struct fs f;
	char *text;
	int r;

	make_fs(&f, args);
	read_guest(&f);
	change_guest(&f);
	commit(&f);
	expect_text(f.t, "/etc/fstab", "short\n");
	expect_text(f.t, "/usr/lib/blocks", "");
	text = tree_text(f.t, "/usr/lib/hostname", &len);
	assert_non_null(text);
	assert_int_equal(len, 300000);
	free(text);
	expect_text(f.t, "/many/another-name-that-is-rather-long-059", "tiny\n");
	assert_int_equal(tree_stat(f.t, "/etc/new", &st), 0);
	assert_int_equal(st.mode, 0640);
	assert_int_equal(st.size, 5000);
	r = f.t->ops->remove(f.t, "/etc/new");
	assert_true(r == 0 || (r == -EOPNOTSUPP && strstr(args, "ea_inode")));
	if (r == 0) {
		assert_int_equal(f.t->ops->remove(f.t, "/etc/new"), -ENOENT);
		assert_int_equal(f.t->ops->remove(f.t, "/etc/long"), 0);
		assert_int_equal(f.t->ops->remove(f.t, "/etc/hostname"), 0);
		assert_int_equal(f.t->ops->remove(f.t, "/etc"), -EISDIR);
	}
	assert_int_equal(f.t->ops->write(f.t, "/etc/fstab", "again\n", 6), 0);
	commit(&f);
	close_fs(&f);
}

/* Fills it: the library's error comes out, the disk is as it was. */
static void test_full(void **state)
{
	_cleanup_free_ char *large = calloc(1, 4 << 20);
	struct fs f;
	int r = 0;
	char name[32];

	(void)state;
	make_fs(&f, "-t ext4 -b 1024");
	memset(large, 'x', 4 << 20);
	for (unsigned i = 0; r == 0 && i < 10; i++) {
		snprintf(name, sizeof(name), "/etc/f%u", i);
		r = f.t->ops->create(f.t, name, 0644, large, 4 << 20);
	}
	assert_int_equal(r, -ENOSPC);
	close_fs(&f);
	assert_int_equal(ext_image_check(f.path), 0);
}

/* What `debugfs -w -R` does to an image, and what is then said. */
static const struct damage {
	const char *args, *request;
	const char *refused;  /* part of the error; NULL: it opens */
	const char *readonly; /* part of why it cannot be written */
} damages[] = {
	{ "-t ext4", "feature needs_recovery", "boot the guest once", NULL },
	{ "-t ext4", "feature FEATURE_I22", "not known here", NULL },
	{ "-t ext4", "feature FEATURE_R25", NULL, "newer programs" },
	{ "-t ext4", "ssv state 0", NULL, "cleanly" },
	{ "-t ext4", "ssv state 3", NULL, "errors" },
	{ "-t ext4", "ssv last_orphan 12", NULL, "deleted files" },
	{ "-t ext4 -b 4096", "ssv blocks_count 3000", "larger than its partition", NULL },
	{ "-t ext4 -O quota", "stats", NULL, "quota" },
	{ "-t ext4 -O bigalloc", "stats", NULL, "bigalloc" },
	{ "-t ext4 -O mmp", "stats", NULL, "mmp" },
};

static void test_damage(void **state)
{
	const struct damage *d = *state;
	char err[TREE_EXT_ERRLEN] = "", path[PATH_MAX], script[PATH_MAX];
	_cleanup_fclose_ FILE *s = NULL;
	struct overlay *o;
	struct tree *t;
	char words[PATH_MAX * 3];
	int fd, r;

	snprintf(path, sizeof(path), "%.200s/image", ext_image_top());
	snprintf(script, sizeof(script), "%.200s/script", ext_image_top());
	if (!ext_image_make(path, 8192, d->args))
		skip();
	s = fopen(script, "w");
	assert_non_null(s);
	fprintf(s, "%s\n", d->request);
	fflush(s);
	snprintf(words, sizeof(words), "debugfs -w -f %s %s", script, path);
	if (ext_image_run(words) != 0)
		skip();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	o = overlay_new(fd, 0, 8 << 20);
	r = tree_ext_open(o, &t, err);
	if (d->refused) {
		assert_true(r < 0);
		if (!strstr(err, d->refused))
			fail_msg("%s: %s", d->request, err);
	} else {
		assert_int_equal(r, 0);
		expect_text(t, "/etc/hostname", "guest\n");
		if (d->readonly) {
			assert_non_null(t->why_readonly);
			assert_non_null(strstr(t->why_readonly, d->readonly));
			assert_int_equal(t->ops->write(t, "/etc/fstab", "x", 1), -EROFS);
			assert_int_equal(t->ops->create(t, "/etc/x", 0600, "x", 1), -EROFS);
			assert_int_equal(t->ops->remove(t, "/etc/fstab"), -EROFS);
		}
		tree_free(t);
	}
	overlay_free(o);
	close(fd);
}

/* Flags of a file that stand against a change. */
static void test_flags(void **state)
{
	static const struct {
		const char *flags;
		int r;
	} cases[] = { { "0x10", -EPERM },
		      { "0x20", -EPERM },
		      { "0x800", -EOPNOTSUPP },
		      { "0x100000", -EOPNOTSUPP } };
	char words[PATH_MAX * 2], script[PATH_MAX];
	struct fs f;

	(void)state;
	snprintf(script, sizeof(script), "%.200s/script", ext_image_top());
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		FILE *s = fopen(script, "w");

		make_fs(&f, "-t ext3 -b 1024");
		close_fs(&f);
		fprintf(s, "sif /etc/fstab flags %s\n", cases[i].flags);
		fclose(s);
		snprintf(words, sizeof(words), "debugfs -w -f %.300s %.300s", script, f.path);
		assert_int_equal(ext_image_run(words), 0);
		open_fs(&f);
		assert_int_equal(f.t->ops->write(f.t, "/etc/fstab", "x", 1), cases[i].r);
		assert_int_equal(f.t->ops->remove(f.t, "/etc/fstab"), cases[i].r);
		close_fs(&f);
	}
}

/* --- The overlay --- */

struct seen {
	uint64_t offset;
	size_t len;
	unsigned n;
};

static int see(void *arg, uint64_t offset, const void *bytes, size_t len)
{
	struct seen *s = arg;

	(void)bytes;
	if (!s->n++)
		s->offset = offset;
	s->len += len;
	return 0;
}

static void test_overlay(void **state)
{
	char path[] = "/tmp/l2t-overlay-XXXXXX", buf[5000], back[5000];
	int fd = mkstemp(path);
	struct seen s = { 0 };
	struct overlay *o;

	(void)state;
	unlink(path);
	assert_int_equal(ftruncate(fd, 100000), 0);
	o = overlay_new(fd, 1000, 90100);
	memset(buf, 7, sizeof(buf));
	assert_int_equal(overlay_write(o, 90100, buf, 1), -ERANGE);
	assert_int_equal(overlay_write(o, UINT64_MAX, buf, 2), -ERANGE);
	assert_int_equal(overlay_read(o, 90099, back, 2), -ERANGE);
	assert_int_equal(overlay_write(o, 3000, buf, 5000), 0);
	assert_int_equal(overlay_write(o, 90099, buf, 1), 0);
	assert_int_equal(overlay_read(o, 3000, back, 5000), 0);
	assert_memory_equal(buf, back, 5000);
	assert_int_equal(overlay_read(o, 2999, back, 2), 0);
	assert_true(back[0] == 0 && back[1] == 7);
	assert_int_equal(overlay_each(o, see, &s), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.offset, 1000 + 2048);
	assert_int_equal(s.len, 6 * 1024 + 90100 % 1024);
	assert_int_equal(pread(fd, back, 5000, 4000), 5000);
	assert_int_equal(back[0], 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(overlay_write(o, 3000, buf, 5000), 0);
	assert_int_equal(overlay_write(o, 90099, buf, 1), 0);
	s = (struct seen){ 0 };
	assert_int_equal(overlay_each(o, see, &s), 0);
	assert_int_equal(s.n, 0);
	overlay_free(o);
	close(fd);
}

static void test_overlay_full(void **state)
{
	char path[] = "/tmp/l2t-overlay-XXXXXX", byte = 1;
	int fd = mkstemp(path), r = 0;
	struct overlay *o;
	unsigned n = 0;

	(void)state;
	unlink(path);
	assert_int_equal(ftruncate(fd, (off_t)OVERLAY_MAX * 2), 0);
	o = overlay_new(fd, 0, (uint64_t)OVERLAY_MAX * 2);
	while (r == 0 && n <= OVERLAY_MAX / OVERLAY_CHUNK)
		r = overlay_write(o, (uint64_t)n++ * OVERLAY_CHUNK, &byte, 1);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, OVERLAY_MAX / OVERLAY_CHUNK + 1);
	overlay_free(o);
	close(fd);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(variants) + ARRAY_SIZE(damages) + 4] = {
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_overlay_full),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_flags),
	};
	unsigned n = 4;

	for (unsigned i = 0; i < ARRAY_SIZE(variants); i++)
		tests[n++] = (struct CMUnitTest){ variants[i], test_variant, NULL, NULL,
						  (void *)(uintptr_t)variants[i] };
	for (unsigned i = 0; i < ARRAY_SIZE(damages); i++)
		tests[n++] = (struct CMUnitTest){ damages[i].request, test_damage, NULL, NULL,
						  (void *)(uintptr_t)&damages[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
