/*
 * Parts that this host's kernel has mounted (trust.h), as trees that remember what should be
 * written. A btrfs is several trees: which one the guest has as its root is told by its default
 * subvolume, by the names that installers give, and by the fstab in there.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/fixup/scene.h"
#include "bridgectl/fixup/tree_mounts.h"
#include "common/util.h"

/* Debian, Ubuntu, Fedora. SUSE's is the default one. */
static const char *const subvols[] = { "@rootfs", "@", "root" };

static const struct {
	const char *type, *name;
} kinds[] = { { "xfs", "XFS" }, { "btrfs", "btrfs" } };

bool scene_needs_trust(const struct edit_part *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(p->type, kinds[i].type))
			return true;
	return false;
}

const char *scene_type_name(const struct edit_part *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(p->type, kinds[i].type))
			return kinds[i].name;
	return p->type;
}

bool scene_looks_like_root(struct tree *t)
{
	static const char *const dirs[] = { "/bin", "/sbin", "/lib", "/usr" };

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		if (tree_is_dir(t, dirs[i]))
			return tree_is_file(t, "/etc/fstab");
	return false;
}

void scene_mounted(struct scene *s, const struct trust_mount *m, unsigned n)
{
	s->mounts = m;
	s->n_mounts = n;
	for (unsigned i = 0; i < s->n; i++) {
		struct scene_part *p = &s->parts[i];

		for (unsigned k = 0; k < n; k++)
			if (m[k].disk == p->disk && m[k].start == p->start &&
			    m[k].bytes == p->bytes && scene_needs_trust(&s->ids[i]))
				p->mount = (int)k;
	}
}

int scene_trust_open(struct scene *s, unsigned i, const char *subvol, struct tree **ret)
{
	unsigned m = (unsigned)s->parts[i].mount;
	struct tree *t;
	int r = s->n_later == SCENE_LATER_MAX ? -E2BIG : trust_open(m, subvol, &t);

	if (r < 0)
		return r;
	*ret = trust_tree_new(t, &s->mounts[m], subvol);
	s->later[s->n_later++] = *ret;
	return 0;
}

/* The last one that was opened. */
static void drop(struct scene *s, struct tree *t)
{
	s->n_later--;
	tree_free(t);
}

/* Its own fstab may name another subvolume for the root than the one it was found in. */
static void follow_fstab(struct scene *s, unsigned i)
{
	struct tree_mount m;
	struct tree *t;

	if (!tree_mounts_read_root(s->parts[i].fs, &m) || !*m.subvol ||
	    scene_trust_open(s, i, m.subvol, &t) < 0)
		return;
	if (!scene_looks_like_root(t)) {
		drop(s, t);
		return;
	}
	s->later[s->n_later - 2] = t;
	drop(s, s->parts[i].fs);
	s->parts[i].fs = t;
}

int scene_trust_find(struct scene *s, unsigned i)
{
	struct scene_part *p = &s->parts[i];
	int r = scene_trust_open(s, i, NULL, &p->fs);

	if (r < 0 || !s->mounts[p->mount].btrfs)
		return r;
	for (unsigned k = 0; !scene_looks_like_root(p->fs) && k < ARRAY_SIZE(subvols); k++) {
		struct tree *t;

		if (scene_trust_open(s, i, subvols[k], &t) < 0)
			continue;
		if (!scene_looks_like_root(t)) {
			drop(s, t);
			continue;
		}
		s->later[s->n_later - 2] = t;
		drop(s, p->fs);
		p->fs = t;
	}
	if (scene_looks_like_root(p->fs))
		follow_fstab(s, i);
	return 0;
}
