/*
 * An io_manager of libext2fs (ext2_io.h) over an overlay: every block that the library reads or
 * writes passes here, is held against the window, and no file is ever opened by it.
 */
#include <errno.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/tree_ext_private.h"
#include "common/util.h"

struct overlay *tree_ext_io_overlay;

static errcode_t io_open(const char *name, int flags, io_channel *channel)
{
	io_channel c = mem_new(sizeof(*c));

	(void)flags;
	c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	c->manager = &tree_ext_io;
	c->name = mem_strdup(name);
	c->block_size = SUPERBLOCK_SIZE;
	c->refcount = 1;
	c->private_data = tree_ext_io_overlay;
	*channel = c;
	return 0;
}

static errcode_t io_close(io_channel c)
{
	if (--c->refcount > 0)
		return 0;
	free(c->name);
	free(c);
	return 0;
}

static errcode_t io_set_blksize(io_channel c, int size)
{
	c->block_size = size;
	return 0;
}

/* Where `count` blocks are; a negative one is a number of bytes. False: nowhere. */
static bool place(io_channel c, unsigned long long block, int count, uint64_t *ret_offset,
		  size_t *ret_len)
{
	int64_t len = count < 0 ? -(int64_t)count : (int64_t)count * c->block_size;

	if (c->block_size <= 0 || block > UINT64_MAX / (unsigned)c->block_size || len > INT32_MAX)
		return false;
	*ret_offset = block * (unsigned)c->block_size;
	*ret_len = (size_t)len;
	return true;
}

static errcode_t io_read64(io_channel c, unsigned long long block, int count, void *data)
{
	uint64_t offset;
	size_t len;

	if (!place(c, block, count, &offset, &len))
		return EXT2_ET_BAD_BLOCK_NUM;
	return overlay_read(c->private_data, offset, data, len) < 0 ? EXT2_ET_SHORT_READ : 0;
}

static errcode_t io_read(io_channel c, unsigned long block, int count, void *data)
{
	return io_read64(c, block, count, data);
}

static errcode_t io_write64(io_channel c, unsigned long long block, int count, const void *data)
{
	uint64_t offset;
	size_t len;
	int r;

	if (!place(c, block, count, &offset, &len))
		return EXT2_ET_BAD_BLOCK_NUM;
	r = overlay_write(c->private_data, offset, data, len);
	return r == -ENOSPC ? ENOSPC : r < 0 ? EXT2_ET_SHORT_WRITE : 0;
}

static errcode_t io_write(io_channel c, unsigned long block, int count, const void *data)
{
	return io_write64(c, block, count, data);
}

static errcode_t io_write_byte(io_channel c, unsigned long offset, int count, const void *data)
{
	if (count < 0 || overlay_write(c->private_data, offset, data, (size_t)count) < 0)
		return EXT2_ET_SHORT_WRITE;
	return 0;
}

static errcode_t io_flush(io_channel c)
{
	(void)c;
	return 0;
}

static errcode_t io_set_option(io_channel c, const char *option, const char *arg)
{
	(void)c, (void)option, (void)arg;
	return EXT2_ET_INVALID_ARGUMENT;
}

struct struct_io_manager tree_ext_io = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "overlay",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.write_byte = io_write_byte,
	.set_option = io_set_option,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
};
