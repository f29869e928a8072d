/*
 * What is in the images: texts, a file of some blocks, links of both kinds (in the inode and in
 * a block), a directory of
 * many names, a file of two names, a FIFO, a hole of 1 GiB.
 */
#include "tests/unit/ext_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/proc.h"
#include "common/util.h"
#include "tests/support/temp_dir.h"

#define WORDS_MAX 40

static const char *in(const char *path)
{
	char below[PATH_MAX];

	snprintf(below, sizeof(below), "guest/%s", path);
	return temp_dir_path(below);
}

static void put(const char *path, const char *text, unsigned times)
{
	_cleanup_fclose_ FILE *f = fopen(in(path), "w");

	for (unsigned i = 0; f && i < times; i++)
		fputs(text, f);
}

static void fill(void)
{
	static const char *const dirs[] = { "", "etc", "usr", "usr/lib", "many", "boot", "bin" };
	char name[64], text[PATH_MAX + 32];

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		mkdir(in(dirs[i]), 0755);
	put("etc/fstab", "/dev/xvda2 / ext3 defaults 0 1\n", 1);
	put("etc/hostname", "guest\n", 1);
	put("usr/lib/os-release", "ID=debian\nVERSION_ID=\"6.0\"\n", 1);
	put("usr/lib/blocks", "a line of a longer file\n", 2000);
	put("bin/sh", "#!\n", 1);
	if (symlink("../usr/lib/os-release", in("etc/os-release")) < 0)
		return;
	memset(text, '/', 190);
	memcpy(text + 190, "etc/fstab", 10);
	if (symlink(text, in("etc/long")) < 0 || symlink("loop", in("loop")) < 0)
		return;
	if (symlink("../../../../../../etc/passwd", in("out")) < 0)
		return;
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "many/a-name-that-is-rather-long-%03u", i);
		put(name, name, 1);
	}
	snprintf(text, sizeof(text), "%s", in("etc/hostname"));
	if (link(text, in("usr/lib/hostname")) < 0)
		return;
	mkfifo(in("fifo"), 0644);
	put("hole", "", 1);
	if (truncate(in("hole"), 1 << 30) < 0)
		perror("hole");
}

const char *ext_image_top(void)
{
	static bool filled;
	const char *top = temp_dir("ext");

	if (!filled)
		fill();
	filled = true;
	return top;
}

static int run(const char *words, struct proc_result *ret)
{
	static const struct proc_limits limits = { .timeout_ms = 60000, .out_bytes = 1 << 20 };
	_cleanup_free_ char *copy = strdup(words);
	const char *argv[WORDS_MAX + 1] = { NULL };
	unsigned n = 0;
	char *rest = copy;

	for (char *w; n < WORDS_MAX && (w = strtok_r(rest, " ", &rest));)
		argv[n++] = w;
	return proc_run(argv, &limits, NULL, 0, ret);
}

int ext_image_run(const char *words)
{
	struct proc_result result;
	int r = run(words, &result);

	if (r == 0) {
		r = result.exit_code;
		proc_result_fini(&result);
	}
	return r;
}

bool ext_image_make(const char *path, unsigned kib, const char *args)
{
	char words[PATH_MAX * 3];

	unlink(path);
	snprintf(words, sizeof(words), "mke2fs -q -F -N 1000 %s -d %s/guest %s %uk", args,
		 ext_image_top(), path, kib);
	return ext_image_run(words) == 0;
}

int ext_image_check(const char *path)
{
	struct proc_result result;
	char words[PATH_MAX + 32];
	int r;

	snprintf(words, sizeof(words), "e2fsck -fn %s", path);
	r = run(words, &result);
	if (r < 0)
		return r;
	r = result.exit_code;
	if (r)
		fprintf(stderr, "%s%s", result.out, result.err);
	proc_result_fini(&result);
	return r;
}
