/*
 * Maps of copies that have not come to their end. Each one names its target by what stays when
 * paths change (identity.h), so that is what is compared. Only headers are read, and nothing is
 * locked: a copy that runs right now has not ended, either.
 */
#include "bridgectl/transfer/unfinished.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/transfer/identity.h"
#include "bridgectl/transfer/map_file.h"
#include "common/util.h"

#define STATE_OF_ROOT "/var/lib/bridgectl/transfer"
#define STATE_OF_USER "/.local/state/bridgectl/transfer"
#define SUFFIX ".map"

bool unfinished_dir(const char *given, char *buf, size_t size)
{
	const char *home = getenv("HOME");
	int n;

	if (given)
		n = snprintf(buf, size, "%s", given);
	else if (geteuid() == 0)
		n = snprintf(buf, size, STATE_OF_ROOT);
	else
		n = snprintf(buf, size, "%s" STATE_OF_USER, home ? home : "");
	return n >= 0 && (size_t)n < size;
}

/* What the path leads to, as a map says it; its first *ret_len bytes count. */
static bool identify(const char *path, char buf[MAP_IDENTITY_LEN], size_t *ret_len)
{
	char err[TARGET_ERRLEN];
	struct target t;
	bool ok;

	if (source_open(path, &t, err) < 0)
		return false;
	ok = identity_make(&t, 0, t.bytes, buf, ret_len) == 0;
	target_close(&t);
	return ok;
}

static bool is_of(int dir, const char *name, const char *disk, size_t len)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct map_header h;

	return fd >= 0 && map_file_get_header(fd, &h) == 0 &&
	       !strncmp(h.subject.target, disk, len) && h.subject.target[len] == ' ';
}

static bool is_map(const char *name)
{
	size_t n = strlen(name);

	return n > strlen(SUFFIX) && !strcmp(name + n - strlen(SUFFIX), SUFFIX);
}

bool unfinished_copy(const char *dir, const char *path, char ret_map[PATH_MAX])
{
	char disk[MAP_IDENTITY_LEN], folder[PATH_MAX];
	const struct dirent *e;
	bool found = false;
	size_t len;
	DIR *d;

	if (!unfinished_dir(dir, folder, sizeof(folder)) || !identify(path, disk, &len))
		return false;
	d = opendir(folder);
	while (d && !found && (e = readdir(d)))
		found = is_map(e->d_name) && is_of(dirfd(d), e->d_name, disk, len) &&
			snprintf(ret_map, PATH_MAX, "%s/%s", folder, e->d_name) < PATH_MAX;
	if (d)
		closedir(d);
	return found;
}
