/*
 * A process that is killed cannot clean up; the next one does it. Only folders count, reached
 * without following links, so that nobody can lead us elsewhere in a directory that all may write
 * to.
 */
#include "bridgectl/transfer/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common/util.h"

#define PREFIX "bridgectl-"

void leftover_prefix(char *buf, size_t size)
{
	snprintf(buf, size, PREFIX "%d-", (int)getpid());
}

static bool is_left(const char *name)
{
	int pid, n = 0;

	return sscanf(name, PREFIX "%d-%n", &pid, &n) == 1 && n && pid > 0 && kill(pid, 0) < 0 &&
	       errno == ESRCH;
}

static void remove_one(int parent, const char *name, const char *inside)
{
	_cleanup_close_ int fd = openat(parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	if (inside)
		unlinkat(fd, inside, 0);
	unlinkat(parent, name, AT_REMOVEDIR);
}

void leftover_sweep(const char *dir, const char *inside)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (is_left(e->d_name))
			remove_one(dirfd(d), e->d_name, inside);
	if (d)
		closedir(d);
}
