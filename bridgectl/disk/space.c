/*
 * Room on the target, before anything is made there. Of a volume group LVM tells the free
 * bytes and the extent, to which every volume is rounded up; of a folder the file system tells
 * what is left, and a plan that is larger is a warning only: the files are sparse.
 */
#include "bridgectl/disk/space.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "bridgectl/disk/plan_private.h"
#include "bridgectl/disk/volume.h"

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static uint64_t bytes_needed(const struct plan *p, uint64_t unit)
{
	uint64_t sum = 0;

	/* Each is below 2^60; together they may be more than JSON has. */
	for (unsigned i = 0; i < p->n_disks; i++)
		sum = MIN(sum + round_up(p->disks[i].sectors * SECTOR_BYTES, unit),
			  (uint64_t)INT64_MAX);
	return sum;
}

static int look_at_group(const struct plan *p, const char *vg, struct space *s, char *err)
{
	char why[VOLUME_ERRLEN];
	struct volume_group g;
	int r = volume_group_look(vg, &g, why);

	if (r < 0) {
		plan_fail(err, "%s", why);
		return r;
	}
	s->free = g.free;
	s->needed = bytes_needed(p, g.extent);
	return 0;
}

static int look_at_folder(const struct plan *p, const char *dir, struct space *s, char *err)
{
	struct statvfs fs;
	struct stat st;

	if (dir[0] != '/') {
		plan_fail(err, "--dir %s is not an absolute path", dir);
		return -EINVAL;
	}
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || statvfs(dir, &fs) < 0) {
		plan_fail(err, "%s is not a folder on this host", dir);
		return -ENOTDIR;
	}
	s->free = MIN((uint64_t)fs.f_bavail * fs.f_frsize, (uint64_t)INT64_MAX);
	s->needed = bytes_needed(p, 1);
	s->sparse = true;
	return 0;
}

static void look_for_names(const struct plan *p, const struct plan_where *w, struct space *s)
{
	char path[4096];
	struct stat st;

	for (unsigned i = 0; i < p->n_disks; i++)
		if (plan_volume_path(w, &p->disks[i], path, sizeof(path)) && !lstat(path, &st))
			json_array_append_new(s->exists, json_string(path));
}

int space_look(const struct plan *p, const struct plan_where *w, struct space *ret, char *err)
{
	struct space s = { 0 };
	int r = w->vg ? look_at_group(p, w->vg, &s, err) : look_at_folder(p, w->dir, &s, err);

	if (r < 0)
		return r;
	snprintf(s.place, sizeof(s.place), "%s", w->vg ? w->vg : w->dir);
	s.fits = s.needed <= s.free;
	s.exists = json_array();
	look_for_names(p, w, &s);
	*ret = s;
	return 0;
}

void space_fini(struct space *s)
{
	json_decref(s->exists);
	s->exists = NULL;
}
