/*
 * Changing ext2, ext3 and ext4 by libext2fs, as its own debugfs does it; into an overlay. What was
 * begun and failed leaves the overlay in between: it is then thrown away as a whole.
 *
 * A file keeps its inode: mode, owner, extended attributes, other names. A new one gets the SELinux
 * label of its directory, as the kernel gives it when no rule says otherwise.
 */
#include <errno.h>
#include <time.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/tree_ext_private.h"
#include "common/util.h"

#define SELINUX "security.selinux"

static int need_bitmaps(ext2_filsys fs)
{
	if (fs->block_map && fs->inode_map)
		return 0;
	return tree_ext_errno(ext2fs_read_bitmaps(fs));
}

/* A descriptor of the file that is at `path`, which may be changed. */
static int may_change(struct tree *t, const union tree_ext_inode *inode)
{
	uint32_t flags = inode->small.i_flags;

	if (t->why_readonly)
		return -EROFS;
	if (!LINUX_S_ISREG(inode->small.i_mode))
		return LINUX_S_ISDIR(inode->small.i_mode) ? -EISDIR : -EINVAL;
	if (flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL))
		return -EPERM;
	if (flags & (EXT4_ENCRYPT_FL | EXT4_VERITY_FL | EXT2_COMPRBLK_FL | EXT4_EA_INODE_FL |
		     EXT4_SNAPFILE_FL))
		return -EOPNOTSUPP;
	return 0;
}

/* Now is the time of the last change; the seconds beyond 32 bits and the nanoseconds go. */
static int stamp(ext2_filsys fs, ext2_ino_t ino)
{
	union tree_ext_inode inode;
	int r = tree_ext_inode(fs, ino, &inode);
	size_t size = EXT2_INODE_SIZE(fs->super);

	if (r < 0)
		return r;
	inode.small.i_mtime = inode.small.i_ctime = (uint32_t)time(NULL);
	if (size > EXT2_GOOD_OLD_INODE_SIZE && inode.large.i_extra_isize >= 12)
		inode.large.i_mtime_extra = inode.large.i_ctime_extra = 0;
	return tree_ext_errno(
		ext2fs_write_inode_full(fs, ino, &inode.small, (int)MIN(size, sizeof(inode))));
}

/*
 * In pieces of a block: given more at once for a file with inline data, libext2fs (1.47.0 and
 * older) writes behind its buffer before it finds that the data needs blocks.
 */
static int put_content(ext2_filsys fs, ext2_ino_t ino, const char *data, size_t len)
{
	ext2_file_t f;
	unsigned n = 0;
	errcode_t e = ext2fs_file_open(fs, ino, EXT2_FILE_WRITE, &f), closed;

	if (e)
		return tree_ext_errno(e);
	e = ext2fs_file_set_size2(f, 0);
	while (!e && len) {
		e = ext2fs_file_write(f, data, (unsigned)MIN(len, (size_t)fs->blocksize), &n);
		data += n;
		len -= n;
	}
	closed = ext2fs_file_close(f);
	return tree_ext_errno(e ? e : closed);
}

int tree_ext_write(struct tree *t, const char *path, const char *data, size_t len)
{
	ext2_filsys fs = tree_ext_fs(t);
	union tree_ext_inode inode;
	ext2_ino_t ino;
	int r = tree_ext_walk(fs, path, &ino);

	if (r == 0)
		r = tree_ext_inode(fs, ino, &inode);
	if (r == 0)
		r = may_change(t, &inode);
	if (r == 0)
		r = need_bitmaps(fs);
	if (r == 0)
		r = put_content(fs, ino, data, len);
	return r < 0 ? r : stamp(fs, ino);
}

/* --- New files --- */

/* The directory that `path` is in, and its last part. */
static int parent_of(struct tree *t, const char *path, ext2_ino_t *ret, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = NULL;
	union tree_ext_inode inode;
	int r;

	if (t->why_readonly)
		return -EROFS;
	if (!slash || !slash[1])
		return -EINVAL;
	if (strlen(slash + 1) > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	parent = mem_strndup(path, (size_t)(slash - path));
	r = tree_ext_walk(tree_ext_fs(t), parent, ret);
	if (r == 0)
		r = tree_ext_inode(tree_ext_fs(t), *ret, &inode);
	if (r < 0)
		return r;
	if (!LINUX_S_ISDIR(inode.small.i_mode))
		return LINUX_S_ISLNK(inode.small.i_mode) ? -ELOOP : -ENOTDIR;
	if (inode.small.i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL))
		return -EPERM;
	if (inode.small.i_flags & (EXT4_ENCRYPT_FL | EXT4_CASEFOLD_FL))
		return -EOPNOTSUPP;
	*ret_name = slash + 1;
	return 0;
}

/* The directory's label, if it has one that is well-formed. */
static int copy_label(ext2_filsys fs, ext2_ino_t from, ext2_ino_t to)
{
	struct ext2_xattr_handle *h = NULL;
	void *label = NULL;
	size_t len = 0;
	errcode_t e;

	if (!ext2fs_has_feature_xattr(fs->super) || ext2fs_xattrs_open(fs, from, &h))
		return 0;
	if (ext2fs_xattrs_read(h) || ext2fs_xattr_get(h, SELINUX, &label, &len))
		label = NULL;
	ext2fs_xattrs_close(&h);
	if (!label)
		return 0;
	e = ext2fs_xattrs_open(fs, to, &h);
	if (!e) {
		e = ext2fs_xattrs_read(h);
		if (!e)
			e = ext2fs_xattr_set(h, SELINUX, label, len);
		ext2fs_xattrs_close(&h);
	}
	ext2fs_free_mem(&label);
	return tree_ext_errno(e);
}

/* An empty file with no name yet. */
static int new_inode(ext2_filsys fs, ext2_ino_t dir, uint32_t mode, ext2_ino_t *ret)
{
	union tree_ext_inode inode = { 0 };
	ext2_extent_handle_t h;
	errcode_t e = ext2fs_new_inode(fs, dir, LINUX_S_IFREG | 0644, NULL, ret);

	if (e)
		return tree_ext_errno(e);
	inode.small.i_mode = (uint16_t)(LINUX_S_IFREG | (mode & 07777));
	inode.small.i_links_count = 1;
	inode.small.i_atime = inode.small.i_ctime = inode.small.i_mtime = (uint32_t)time(NULL);
	ext2fs_inode_alloc_stats2(fs, *ret, +1, 0);
	if (ext2fs_has_feature_extents(fs->super)) {
		inode.small.i_flags |= EXT4_EXTENTS_FL;
		e = ext2fs_extent_open2(fs, *ret, &inode.small, &h);
		if (e)
			return tree_ext_errno(e);
		ext2fs_extent_free(h);
	}
	return tree_ext_errno(ext2fs_write_new_inode(fs, *ret, &inode.small));
}

static int give_name(ext2_filsys fs, ext2_ino_t dir, const char *name, ext2_ino_t ino)
{
	errcode_t e = ext2fs_link(fs, dir, name, ino, EXT2_FT_REG_FILE);

	if (e == EXT2_ET_DIR_NO_SPACE) {
		e = ext2fs_expand_dir(fs, dir);
		if (!e)
			e = ext2fs_link(fs, dir, name, ino, EXT2_FT_REG_FILE);
	}
	return tree_ext_errno(e);
}

int tree_ext_create(struct tree *t, const char *path, uint32_t mode, const char *data, size_t len)
{
	ext2_filsys fs = tree_ext_fs(t);
	const char *name = NULL;
	ext2_ino_t dir, ino;
	int r = parent_of(t, path, &dir, &name);

	if (r < 0)
		return r;
	r = tree_ext_errno(ext2fs_lookup(fs, dir, name, (int)strlen(name), NULL, &ino));
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	r = need_bitmaps(fs);
	if (r == 0)
		r = new_inode(fs, dir, mode, &ino);
	if (r == 0)
		r = copy_label(fs, dir, ino);
	if (r == 0)
		r = put_content(fs, ino, data, len);
	if (r == 0)
		r = give_name(fs, dir, name, ino);
	return r < 0 ? r : stamp(fs, dir);
}

/* --- Files that go --- */

static int drop_inode(ext2_filsys fs, ext2_ino_t ino, union tree_ext_inode *inode)
{
	int size = (int)MIN((size_t)EXT2_INODE_SIZE(fs->super), sizeof(*inode));
	errcode_t e = 0;

	if (--inode->small.i_links_count == 0) {
		inode->small.i_dtime = (uint32_t)time(NULL);
		e = ext2fs_free_ext_attr(fs, ino, &inode->large);
		if (!e && ext2fs_inode_has_valid_blocks2(fs, &inode->small))
			e = ext2fs_punch(fs, ino, &inode->small, NULL, 0, ~UINT64_C(0));
		if (e)
			return tree_ext_errno(e);
		ext2fs_inode_alloc_stats2(fs, ino, -1, 0);
	}
	return tree_ext_errno(ext2fs_write_inode_full(fs, ino, &inode->small, size));
}

int tree_ext_remove(struct tree *t, const char *path)
{
	ext2_filsys fs = tree_ext_fs(t);
	union tree_ext_inode inode;
	const char *name = NULL;
	ext2_ino_t dir, ino;
	int r = parent_of(t, path, &dir, &name);

	if (r == 0)
		r = tree_ext_errno(ext2fs_lookup(fs, dir, name, (int)strlen(name), NULL, &ino));
	if (r == 0)
		r = tree_ext_inode(fs, ino, &inode);
	if (r < 0)
		return r;
	if (!LINUX_S_ISLNK(inode.small.i_mode))
		r = may_change(t, &inode);
	if (r == 0 && ext2fs_has_feature_ea_inode(fs->super))
		r = -EOPNOTSUPP;
	if (r == 0)
		r = need_bitmaps(fs);
	if (r == 0)
		r = tree_ext_errno(ext2fs_unlink(fs, dir, name, ino, 0));
	if (r == 0)
		r = drop_inode(fs, ino, &inode);
	return r < 0 ? r : stamp(fs, dir);
}
