/*
 * One folder for each program, whatever number of tests asks for it. Children of a test that end by
 * exit(3) leave it alone.
 */
#include "tests/support/temp_dir.h"

#include <err.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"

static char top[PATH_MAX];
static pid_t owner; /* 0: there is none */

static int gone(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

void temp_dir_drop(void)
{
	if (getpid() == owner)
		nftw(top, gone, 16, FTW_DEPTH | FTW_PHYS);
	owner = 0;
}

const char *temp_dir(const char *name)
{
	static bool at_exit;
	const char *dir = getenv("TMPDIR");

	if (owner)
		return top;
	snprintf(top, sizeof(top), "%.1000s/l2t-%.100s-XXXXXX", dir ? dir : "/tmp", name);
	if (!mkdtemp(top))
		err(1, "%s", top);
	owner = getpid();
	if (!at_exit)
		atexit(temp_dir_drop);
	at_exit = true;
	return top;
}

const char *temp_dir_path(const char *path)
{
	static char buf[PATH_MAX * 2];

	snprintf(buf, sizeof(buf), "%s/%s", top, path);
	return buf;
}

void temp_dir_put(const char *path, const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(temp_dir_path(path), "w");

	if (!f || fputs(text, f) == EOF)
		err(1, "%s", temp_dir_path(path));
}

void temp_dir_link(const char *path, const char *to)
{
	if (symlink(to, temp_dir_path(path)) < 0)
		err(1, "%s", temp_dir_path(path));
}

void temp_dir_folder(const char *path)
{
	if (mkdir(temp_dir_path(path), 0755) < 0)
		err(1, "%s", temp_dir_path(path));
}
