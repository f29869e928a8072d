/*
 * Reading ext2, ext3 and ext4 by libext2fs. All that it reads may be made to harm us: it runs in a
 * process where that is no harm (child.c), sizes are held against bounds before memory is taken,
 * and what the library does not check (links in a path, deleted inodes) is checked here.
 */
#include "bridgectl/fixup/tree_ext.h"

#include <errno.h>
#include <sys/stat.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/tree_ext_private.h"
#include "common/util.h"

#define ENTRIES_MAX (8U << 20)		  /* of a directory, free ones too */
#define RO_COMPAT_ORPHAN_PRESENT 0x10000U /* Linux, fs/ext4/ext4.h; not in older ext2_fs.h */
#define GROUPS_MAX (1U << 20)		  /* block groups: 128 TiB of 4 KiB blocks */

#define fail(err, r, ...) disk_fail(err, TREE_EXT_ERRLEN, r, __VA_ARGS__)

int tree_ext_errno(errcode_t e)
{
	static const struct {
		errcode_t code;
		int r;
	} table[] = {
		{ EXT2_ET_FILE_NOT_FOUND, -ENOENT },	   { EXT2_ET_NO_DIRECTORY, -ENOTDIR },
		{ EXT2_ET_BLOCK_ALLOC_FAIL, -ENOSPC },	   { EXT2_ET_INODE_ALLOC_FAIL, -ENOSPC },
		{ EXT2_ET_FILE_EXISTS, -EEXIST },	   { EXT2_ET_NO_MEMORY, -ENOMEM },
		{ EXT2_ET_FILE_TOO_BIG, -EFBIG },	   { EXT2_ET_UNIMPLEMENTED, -EOPNOTSUPP },
		{ EXT2_ET_OP_NOT_SUPPORTED, -EOPNOTSUPP },
	};

	if (e == 0)
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].code == e)
			return table[i].r;
	return e == ENOSPC || e == ENOMEM ? -(int)e : -EUCLEAN;
}

ext2_filsys tree_ext_fs(const struct tree *t)
{
	return container_of(t, const struct tree_ext, tree)->fs;
}

int tree_ext_inode(ext2_filsys fs, ext2_ino_t ino, union tree_ext_inode *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = tree_ext_errno(ext2fs_read_inode_full(
		fs, ino, &ret->small, (int)MIN((size_t)EXT2_INODE_SIZE(fs->super), sizeof(*ret))));
	if (r == 0 && (!ret->small.i_links_count || !ret->small.i_mode))
		r = -EUCLEAN;
	return r;
}

/* --- Paths --- */

static int lookup(ext2_filsys fs, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t *ret)
{
	union tree_ext_inode inode;
	int r = tree_ext_inode(fs, dir, &inode);

	if (r < 0)
		return r;
	if (LINUX_S_ISLNK(inode.small.i_mode))
		return -ELOOP;
	if (!LINUX_S_ISDIR(inode.small.i_mode))
		return -ENOTDIR;
	if (inode.small.i_flags & EXT4_ENCRYPT_FL)
		return -ENOKEY;
	if (len > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	return tree_ext_errno(ext2fs_lookup(fs, dir, name, (int)len, NULL, ret));
}

int tree_ext_walk(ext2_filsys fs, const char *path, ext2_ino_t *ret)
{
	ext2_ino_t at = EXT2_ROOT_INO;

	while (*(path += strspn(path, "/"))) {
		size_t len = strcspn(path, "/");
		int r = lookup(fs, at, path, len, &at);

		if (r < 0)
			return r;
		path += len;
	}
	*ret = at;
	return 0;
}

static int inode_at(struct tree *t, const char *path, ext2_ino_t *ret_ino,
		    union tree_ext_inode *ret)
{
	int r = tree_ext_walk(tree_ext_fs(t), path, ret_ino);

	return r < 0 ? r : tree_ext_inode(tree_ext_fs(t), *ret_ino, ret);
}

/* --- Reading --- */

static enum tree_kind kind_of(uint16_t mode)
{
	if (LINUX_S_ISREG(mode))
		return TREE_FILE;
	if (LINUX_S_ISDIR(mode))
		return TREE_DIR;
	return LINUX_S_ISLNK(mode) ? TREE_LINK : TREE_OTHER;
}

static int ext_stat(struct tree *t, const char *path, struct tree_stat *ret)
{
	union tree_ext_inode inode;
	ext2_ino_t ino;
	int r = inode_at(t, path, &ino, &inode);

	if (r < 0)
		return r;
	*ret = (struct tree_stat){
		.kind = kind_of(inode.small.i_mode),
		.size = EXT2_I_SIZE(&inode.small),
		.mode = inode.small.i_mode & 07777,
		.uid = inode_uid(inode.small),
		.gid = inode_gid(inode.small),
	};
	return 0;
}

/* `len` bytes of a file or link, fewer where it ends; *ret_len says. */
static int read_bytes(ext2_filsys fs, ext2_ino_t ino, struct ext2_inode *inode, char *buf,
		      size_t len, size_t *ret_len)
{
	unsigned got = 0;
	ext2_file_t f;
	errcode_t e = ext2fs_file_open2(fs, ino, inode, 0, &f);

	*ret_len = 0;
	if (e)
		return tree_ext_errno(e);
	while (*ret_len < len) {
		unsigned want = (unsigned)MIN(len - *ret_len, (size_t)1 << 20);

		e = ext2fs_file_read(f, buf + *ret_len, want, &got);
		if (e || !got)
			break;
		*ret_len += got;
	}
	ext2fs_file_close(f);
	return tree_ext_errno(e);
}

static int ext_read(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *buf = NULL;
	union tree_ext_inode inode;
	uint64_t size;
	ext2_ino_t ino;
	int r = inode_at(t, path, &ino, &inode);

	if (r < 0)
		return r;
	if (!LINUX_S_ISREG(inode.small.i_mode))
		return LINUX_S_ISDIR(inode.small.i_mode) ? -EISDIR : -EINVAL;
	if (inode.small.i_flags & (EXT4_ENCRYPT_FL | EXT2_COMPRBLK_FL))
		return -ENOKEY;
	size = EXT2_I_SIZE(&inode.small);
	if (size > max)
		return -EFBIG;
	buf = malloc((size_t)size + 1);
	if (!buf)
		return -ENOMEM;
	r = read_bytes(tree_ext_fs(t), ino, &inode.small, buf, (size_t)size, ret_len);
	if (r < 0)
		return r;
	buf[*ret_len] = '\0';
	*ret = steal(buf);
	return 0;
}

static int ext_link(struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	union tree_ext_inode inode;
	size_t size, len;
	ext2_ino_t ino;
	int r = inode_at(t, path, &ino, &inode);

	if (r < 0)
		return r;
	if (!LINUX_S_ISLNK(inode.small.i_mode))
		return -EINVAL;
	if (inode.small.i_flags & EXT4_ENCRYPT_FL)
		return -ENOKEY;
	if (EXT2_I_SIZE(&inode.small) >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	size = (size_t)EXT2_I_SIZE(&inode.small);
	if (ext2fs_is_fast_symlink(&inode.small)) {
		if (size >= sizeof(inode.small.i_block))
			return -EUCLEAN;
		memcpy(ret, inode.small.i_block, size);
		ret[size] = '\0';
		return 0;
	}
	r = read_bytes(tree_ext_fs(t), ino, &inode.small, ret, size, &len);
	ret[r < 0 ? 0 : len] = '\0';
	return r;
}

struct listing {
	tree_name_fn fn;
	void *arg;
	unsigned seen;
	bool too_many;
};

static int one_entry(ext2_ino_t dir, int entry, struct ext2_dir_entry *e, int offset, int blocksize,
		     char *buf, void *arg)
{
	char name[EXT2_NAME_LEN + 1];
	struct listing *l = arg;
	int len = ext2fs_dirent_name_len(e);

	(void)dir, (void)entry, (void)offset, (void)blocksize, (void)buf;
	if (++l->seen > ENTRIES_MAX) {
		l->too_many = true;
		return DIRENT_ABORT;
	}
	if (!e->inode || len > EXT2_NAME_LEN)
		return 0;
	memcpy(name, e->name, (size_t)len);
	name[len] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) != (size_t)len)
		return 0;
	return l->fn(l->arg, name) ? 0 : DIRENT_ABORT;
}

static int ext_list(struct tree *t, const char *path, tree_name_fn fn, void *arg)
{
	struct listing l = { .fn = fn, .arg = arg };
	union tree_ext_inode inode;
	ext2_ino_t ino;
	int r = inode_at(t, path, &ino, &inode);

	if (r < 0)
		return r;
	if (!LINUX_S_ISDIR(inode.small.i_mode))
		return -ENOTDIR;
	if (inode.small.i_flags & EXT4_ENCRYPT_FL)
		return -ENOKEY;
	r = tree_ext_errno(ext2fs_dir_iterate2(tree_ext_fs(t), ino, DIRENT_FLAG_INCLUDE_EMPTY, NULL,
					       one_entry, &l));
	return l.too_many ? -EUCLEAN : r;
}

static void ext_free(struct tree *t)
{
	struct tree_ext *x = container_of(t, struct tree_ext, tree);

	ext2fs_free(x->fs);
	free(x);
}

static const struct tree_ops ext_ops = {
	.stat = ext_stat,
	.link = ext_link,
	.read = ext_read,
	.list = ext_list,
	.write = tree_ext_write,
	.create = tree_ext_create,
	.remove = tree_ext_remove,
	.free = ext_free,
};

/* --- Opening --- */

/* Not even to be read: what is on the disk is not what the guest last saw. */
static int check_readable(ext2_filsys fs, const struct overlay *o, char *err)
{
	if (ext2fs_has_feature_journal_dev(fs->super))
		return fail(err, -EMEDIUMTYPE, "is the journal of another file system");
	if (ext2fs_has_feature_journal_needs_recovery(fs->super))
		return fail(err, -EUCLEAN,
			    "was not unmounted: boot the guest once and shut it down, or run "
			    "e2fsck -f on it");
	if (EXT2_INODE_SIZE(fs->super) > TREE_EXT_INODE_MAX || fs->group_desc_count > GROUPS_MAX)
		return fail(err, -EOPNOTSUPP, "has inodes or groups beyond what is supported");
	if (ext2fs_blocks_count(fs->super) > overlay_bytes(o) / fs->blocksize)
		return fail(err, -EUCLEAN, "is larger than its partition");
	return 0;
}

static const char *why_not_writable(ext2_filsys fs)
{
	struct ext2_super_block *s = fs->super;

	if (!(fs->flags & EXT2_FLAG_RW))
		return "it has features that only newer programs may write";
	if (s->s_state & EXT2_ERROR_FS)
		return "its superblock tells of errors: run e2fsck -f on it";
	if (!(s->s_state & EXT2_VALID_FS))
		return "it was not unmounted cleanly: run e2fsck -f on it";
	if (s->s_last_orphan || s->s_feature_ro_compat & RO_COMPAT_ORPHAN_PRESENT)
		return "it has deleted files that were open: run e2fsck -f on it";
	if (ext2fs_has_feature_mmp(s))
		return "another host may have it mounted (its feature mmp)";
	if (ext2fs_has_feature_quota(s) || ext2fs_has_feature_project(s))
		return "it keeps quota, which would no longer be right";
	if (ext2fs_has_feature_bigalloc(s) || ext2fs_has_feature_shared_blocks(s))
		return "it has the feature bigalloc or shared_blocks";
	return NULL;
}

static int explain(errcode_t e, char *err)
{
	if (e == EXT2_ET_BAD_MAGIC)
		return fail(err, -EMEDIUMTYPE, "is not ext2, ext3 or ext4");
	if (e == EXT2_ET_UNSUPP_FEATURE || e == EXT2_ET_REV_TOO_HIGH)
		return fail(err, -EOPNOTSUPP, "has features that are not known here");
	if (e == EXT2_ET_NO_MEMORY)
		return fail(err, -ENOMEM, "needs more memory than it may have");
	return fail(err, -EUCLEAN, "is damaged: run e2fsck -f on it");
}

static errcode_t open_fs(struct overlay *o, ext2_filsys *ret)
{
	int flags = EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP;
	errcode_t e;

	tree_ext_io_overlay = o;
	e = ext2fs_open2("guest", NULL, flags | EXT2_FLAG_RW, 0, 0, &tree_ext_io, ret);
	if (e == EXT2_ET_RO_UNSUPP_FEATURE)
		e = ext2fs_open2("guest", NULL, flags, 0, 0, &tree_ext_io, ret);
	return e;
}

int tree_ext_open(struct overlay *o, struct tree **ret, char *err)
{
	ext2_filsys fs = NULL;
	struct tree_ext *x;
	errcode_t e;
	int r;

	e = open_fs(o, &fs);
	if (e)
		return explain(e, err);
	r = check_readable(fs, o, err);
	if (r < 0) {
		ext2fs_free(fs);
		return r;
	}
	x = mem_new(sizeof(*x));
	x->fs = fs;
	x->tree.ops = &ext_ops;
	x->tree.why_readonly = why_not_writable(fs);
	*ret = &x->tree;
	return 0;
}

int tree_ext_sync(struct tree *t)
{
	ext2_filsys fs = tree_ext_fs(t);

	if (!ext2fs_test_changed(fs))
		return 0;
	return tree_ext_errno(ext2fs_flush2(fs, EXT2_FLAG_FLUSH_NO_SYNC));
}
