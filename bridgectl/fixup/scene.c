/*
 * Which of the partitions is the root is told by what is in it: /etc/fstab and the folders that
 * every system has. One that looks like it and cannot be read is an error, not a reason to take
 * another one.
 */
#include "bridgectl/fixup/scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/probe.h"
#include "bridgectl/disk/table.h"
#include "bridgectl/fixup/tree_ext.h"
#include "bridgectl/fixup/tree_mounts.h"
#include "common/util.h"

#define NAME_LEN 16
#define SECTOR 512U

#define fail(err, r, ...) disk_fail(err, SCENE_ERRLEN, r, __VA_ARGS__)

const char *scene_name(const struct edit_part *p, char *buf)
{
	if (p->number)
		snprintf(buf, NAME_LEN, "vd%c%u", p->letter, p->number % 10000);
	else
		snprintf(buf, NAME_LEN, "vd%c", p->letter);
	return buf;
}

/* --- Tables --- */

static int add_part(struct scene *s, unsigned disk, const struct table_part *t)
{
	const struct scene_disk *d = &s->disks[disk];
	struct scene_part *p = &s->parts[s->n];
	struct edit_part *id = &s->ids[s->n];
	struct probe_content c;
	int r;

	if (s->n == SCENE_PARTS_MAX)
		return -E2BIG;
	*p = (struct scene_part){ .disk = disk, .bytes = d->bytes, .mount = -1 };
	*id = (struct edit_part){ .letter = d->letter };
	if (t) {
		p->start = t->start * SECTOR;
		p->bytes = t->sectors * SECTOR;
		id->number = t->number;
		snprintf(id->partuuid, sizeof(id->partuuid), "%s", t->uuid);
	}
	if (!p->bytes || p->start > d->bytes || p->bytes > d->bytes - p->start)
		return 0; /* a table of a larger disk: nobody can use this one */
	r = probe_content(d->fd, p->start, p->bytes, &c);
	if (r < 0)
		return r;
	memcpy(id->type, c.type, sizeof(id->type));
	memcpy(id->uuid, c.uuid, sizeof(id->uuid));
	memcpy(id->label, c.label, sizeof(id->label));
	s->n++;
	return 0;
}

static int read_disk(struct scene *s, unsigned disk, char *err)
{
	const struct scene_disk *d = &s->disks[disk];
	char why[TABLE_ERRLEN] = "";
	struct table t;
	int r = table_read(d->fd, &t, why);

	if (r < 0)
		return fail(err, r, "disk vd%c: %s", d->letter, why);
	if (t.label == PLAN_WHOLE)
		r = add_part(s, disk, NULL);
	for (unsigned i = 0; r == 0 && t.label != PLAN_WHOLE && i < t.n; i++)
		if (!t.parts[i].container)
			r = add_part(s, disk, &t.parts[i]);
	return r < 0 ? fail(err, r, "disk vd%c cannot be read: %s", d->letter, strerror(-r)) : 0;
}

int scene_read(struct scene *s, const struct scene_disk *disks, unsigned n, char *err)
{
	int r = 0;

	memset(s, 0, sizeof(*s));
	s->disks = disks;
	s->n_disks = n;
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = read_disk(s, i, err);
	return r;
}

/* --- The root --- */

static bool is_ext(const struct edit_part *p)
{
	return !strcmp(p->type, "ext2") || !strcmp(p->type, "ext3") || !strcmp(p->type, "ext4");
}

static bool is_readable(const struct scene *s, unsigned i)
{
	return is_ext(&s->ids[i]) || s->parts[i].mount >= 0;
}

static int open_ext(struct scene *s, unsigned i, char *why)
{
	struct scene_part *p = &s->parts[i];

	if (!p->overlay)
		p->overlay = overlay_new(s->disks[p->disk].fd, p->start, p->bytes);
	return tree_ext_open(p->overlay, &p->fs, why);
}

/* 0 and parts[i].fs, or negative errno with its sentence. */
static int open_part(struct scene *s, unsigned i, char *err)
{
	char name[NAME_LEN], why[TREE_EXT_ERRLEN] = "";
	int r;

	if (s->parts[i].fs)
		return 0;
	r = s->parts[i].mount < 0 ? open_ext(s, i, why) : scene_trust_find(s, i);
	if (r < 0)
		return fail(err, r, "%s (%s) %s", scene_name(&s->ids[i], name), s->ids[i].type,
			    *why ? why : strerror(-r));
	return 0;
}

static int needs_trust(const struct scene *s, unsigned i, char *err)
{
	char name[NAME_LEN];

	return fail(err, -EOPNOTSUPP,
		    "%s, where the root file system may be, is %s: --trust-guest reads it with "
		    "this host's kernel, which a hostile file system could attack; or prepare the "
		    "guest while it still runs on Xen (bridgectl domain prepare)",
		    scene_name(&s->ids[i], name), scene_type_name(&s->ids[i]));
}

/* What could not be a root, and why; one sentence. */
static int none_found(const struct scene *s, char *err)
{
	static const struct {
		const char *type, *advice;
	} kinds[] = {
		{ "LVM2_member", "LVM inside the guest's disk is not supported: prepare the guest "
				 "while it still runs on Xen (bridgectl domain prepare), or use "
				 "virt-v2v-in-place (--virt-v2v)" },
		{ "crypto_LUKS", "encrypted disks are not supported: prepare the guest while it "
				 "still runs on Xen (bridgectl domain prepare)" },
	};
	char list[256] = "", name[NAME_LEN];
	size_t len = 0;

	for (unsigned i = 0; i < s->n && len < sizeof(list) - 40; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s %s", i ? ", " : "",
					scene_name(&s->ids[i], name),
					*s->ids[i].type ? s->ids[i].type : "unknown");
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
		for (unsigned i = 0; i < s->n; i++)
			if (!strcmp(s->ids[i].type, kinds[k].type))
				return fail(err, -EOPNOTSUPP,
					    "no root file system was found (%s); %s", list,
					    kinds[k].advice);
	for (unsigned i = 0; i < s->n; i++)
		if (!is_readable(s, i) && scene_needs_trust(&s->ids[i]))
			return needs_trust(s, i, err);
	return fail(
		err, -ENOENT,
		"no root file system, one with /etc/fstab, was found (%s): is this the guest's new "
		"disk, and filled?",
		*list ? list : "the disk is empty");
}

static int named_root(struct scene *s, const char *root, char *err)
{
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/dev/%.40s", root);
	i = tree_mounts_part(path, s->ids, s->n);
	if (i < 0)
		return fail(err, -ENOENT, "--root %.40s: there is no such partition", root);
	if (!is_readable(s, (unsigned)i) && scene_needs_trust(&s->ids[i]))
		return needs_trust(s, (unsigned)i, err);
	if (!is_readable(s, (unsigned)i))
		return fail(err, -EOPNOTSUPP,
			    "--root %.40s is %s: only ext2, ext3 and ext4 can be read", root,
			    *s->ids[i].type ? s->ids[i].type : "nothing that is known");
	s->root = (unsigned)i;
	return open_part(s, s->root, err);
}

static int find_root(struct scene *s, char *err)
{
	char a[NAME_LEN], b[NAME_LEN], why[SCENE_ERRLEN] = "";
	int found = -1, broken = 0;

	for (unsigned i = 0; i < s->n; i++) {
		int r = is_readable(s, i) ? open_part(s, i, broken ? why : err) : -EMEDIUMTYPE;

		if (r < 0 && r != -EMEDIUMTYPE && !broken)
			broken = r;
		if (r < 0 || !scene_looks_like_root(s->parts[i].fs))
			continue;
		if (found >= 0)
			return fail(err, -ENOTUNIQ,
				    "%s and %s both look like a root file system: say --root %s or "
				    "--root %s",
				    scene_name(&s->ids[found], a), scene_name(&s->ids[i], b), a, b);
		found = (int)i;
	}
	if (found < 0)
		return broken ? broken : none_found(s, err);
	s->root = (unsigned)found;
	return 0;
}

/* --- What is below it --- */

static void note(struct scene *s, const char *where, const char *why)
{
	if (s->n_notes < ARRAY_SIZE(s->notes))
		snprintf(s->notes[s->n_notes++], sizeof(s->notes[0]), "%.40s: %.200s", where, why);
}

static void note_unreadable(struct scene *s, const char *where, int i)
{
	char why[160];

	if (i < 0)
		note(s, where, "what /etc/fstab mounts there is on none of these disks");
	else if (!scene_needs_trust(&s->ids[i]))
		note(s, where, "what /etc/fstab mounts there is no ext2, ext3 or ext4");
	else {
		snprintf(why, sizeof(why),
			 "what /etc/fstab mounts there is %s: --trust-guest reads it, with this "
			 "host's kernel",
			 scene_type_name(&s->ids[i]));
		note(s, where, why);
	}
}

/* 0 and the tree, 1: there is none to be added, or negative errno and `err`. */
static int open_mount(struct scene *s, const struct tree_mount *m, unsigned i, struct tree **ret,
		      char *err)
{
	int r;

	if (s->parts[i].mount >= 0 && *m->subvol) {
		r = scene_trust_open(s, i, m->subvol, ret);
		if (r == 0)
			return 0;
		note(s, m->where, "the subvolume that /etc/fstab mounts there cannot be read");
		return 1;
	}
	if (i == s->root)
		return 1;
	r = open_part(s, i, err);
	if (r == 0)
		*ret = steal(s->parts[i].fs);
	return r;
}

static int add_mount(struct scene *s, const struct tree_mount *m, char *err)
{
	int i = tree_mounts_part(m->what, s->ids, s->n), r;
	struct tree *t;

	if (i < 0 || !is_readable(s, (unsigned)i)) {
		note_unreadable(s, m->where, i);
		return 0;
	}
	r = open_mount(s, m, (unsigned)i, &t, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (tree_mounts_add(s->tree, m->where, t) < 0) {
		note(s, m->where, "cannot be mounted there");
		s->parts[i].fs = t;
	}
	return 0;
}

int scene_open(struct scene *s, const char *root, char *err)
{
	struct tree_mount mounts[TREE_MOUNTS_MAX];
	unsigned n;
	int r = root ? named_root(s, root, err) : find_root(s, err);

	if (r < 0)
		return r;
	s->tree = tree_mounts_new(steal(s->parts[s->root].fs));
	n = tree_mounts_read(s->tree, mounts);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = add_mount(s, &mounts[i], err);
	return r;
}

static int sync_one(struct tree *t)
{
	return trust_tree_is(t) ? 0 : tree_ext_sync(t);
}

int scene_sync(struct scene *s)
{
	return tree_mounts_sync(s->tree, sync_one);
}

void scene_fini(struct scene *s)
{
	tree_free(s->tree);
	for (unsigned i = 0; i < s->n; i++) {
		tree_free(s->parts[i].fs);
		overlay_free(s->parts[i].overlay);
	}
	s->n = 0;
	s->tree = NULL;
}
