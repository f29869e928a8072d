/*
 * Every access is checked against the window before anything else happens; then it is cut into
 * what direct I/O can do (whole units from an aligned buffer) and the rest, which goes through the
 * page cache. Both ways see each other's bytes: the kernel writes dirty pages out before a direct
 * read and drops pages that a direct write passed by. To be safe from a half-old page all the
 * same, a window whose rest would share a page with its other chunks has no direct way at all.
 *
 * A regular file has one cache whoever writes to it, so what is in there is taken from there. For
 * a device that is not so: a Xen back end writes past the cache, whose pages may be old.
 */
#include "bridgectl/transfer/window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/util.h"

#define PIECE_BYTES (4u << 20)		       /* of one call */
#define ZERO_PIECE_BYTES (UINT64_C(256) << 20) /* so that an abort is not kept waiting */
#define ZERO_BUFFER_BYTES (1u << 20)

enum way { READ, WRITE };

void *window_buffer(size_t bytes)
{
	void *p;

	return posix_memalign(&p, WINDOW_ALIGN, bytes) == 0 ? p : NULL;
}

/* The smallest unit that the kernel takes here, by trying; 0: none. */
static unsigned try_units(int fd, uint64_t offset)
{
	static const unsigned units[] = { 512, 4096 };
	_cleanup_free_ void *buf = window_buffer(4096);

	for (unsigned i = 0; buf && i < ARRAY_SIZE(units); i++) {
		if (offset % units[i])
			continue;
		/* A sector that cannot be read is no matter of the unit. */
		if (pread(fd, buf, units[i], (off_t)offset) >= 0 || errno == EIO)
			return units[i];
	}
	return 0;
}

/* Opened once more, since the flag belongs to the open file and others may use `fd`. */
static void open_direct(struct window *w)
{
	int flags = fcntl(w->fd, F_GETFL);
	char path[sizeof("/proc/self/fd/") + 12];
	int fd;

	if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd);
	fd = open(path, (flags & O_ACCMODE) | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return;
	w->unit = try_units(fd, w->offset);
	if (!w->unit || (w->length % w->unit && w->offset % WINDOW_ALIGN))
		close(fd);
	else
		w->direct_fd = fd;
}

int window_init(struct window *w, int fd, uint64_t size, uint64_t offset, uint64_t length)
{
	struct window n = { .fd = fd, .direct_fd = -1, .offset = offset };
	struct stat st;

	if (size > INT64_MAX || offset > size || length > size - offset)
		return -ERANGE;
	n.length = length ? length : size - offset;
	if (n.length == 0)
		return -ERANGE;
	if (fstat(fd, &st) < 0)
		return -errno;
	n.block = S_ISBLK(st.st_mode);
	open_direct(&n);
	*w = n;
	return 0;
}

void window_fini(struct window *w)
{
	if (w->direct_fd >= 0)
		close(w->direct_fd);
	w->direct_fd = -1;
}

static bool inside(const struct window *w, uint64_t offset, uint64_t len)
{
	return offset <= w->length && len <= w->length - offset;
}

/* One piece of at most PIECE_BYTES, at a place of the file. All of it: 0. */
static int transfer(int fd, enum way way, uint64_t at, uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = way == READ ? pread(fd, buf, len, (off_t)at) :
					  pwrite(fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) /* the file became shorter, or the device is gone */
			return -EIO;
		buf += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Through the cache, which is not left full of what nobody else wants. */
static int transfer_cached(const struct window *w, enum way way, uint64_t at, uint8_t *buf,
			   size_t len)
{
	int r = transfer(w->fd, way, at, buf, len);

	if (r < 0)
		return r;
	if (way == READ)
		posix_fadvise(w->fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
	else /* begins to write, and says nothing about errors: those are window_flush()'s */
		sync_file_range(w->fd, (off_t)at, (off_t)len, SYNC_FILE_RANGE_WRITE);
	return 0;
}

/* What of it, from its beginning, direct I/O can do. */
static size_t direct_part(const struct window *w, uint64_t at, const uint8_t *buf, size_t len)
{
	if (w->direct_fd < 0 || at % w->unit || (uintptr_t)buf % WINDOW_ALIGN)
		return 0;
	return len - len % w->unit;
}

static int transfer_piece(const struct window *w, enum way way, uint64_t at, uint8_t *buf,
			  size_t len)
{
	size_t direct = direct_part(w, at, buf, len);

	if (direct) {
		int r = transfer(w->direct_fd, way, at, buf, direct);

		if (r == -EINVAL) /* a file system that takes the flag and not the access */
			direct = 0;
		else if (r < 0)
			return r;
	}
	if (direct == len)
		return 0;
	return transfer_cached(w, way, at + direct, buf + direct, len - direct);
}

/* Whether all of these bytes of a regular file are in the cache: mincore(2). */
static bool in_cache(const struct window *w, uint64_t at, size_t len)
{
	static const size_t page = 4096;
	uint64_t begin = at - at % page;
	size_t bytes = (size_t)(at - begin) + len, n = (bytes + page - 1) / page;
	unsigned char there[PIECE_BYTES / 4096 + 1];
	bool all = true;
	void *p;

	if (sysconf(_SC_PAGESIZE) != (long)page || n > sizeof(there))
		return false;
	p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, w->fd, (off_t)begin);
	if (p == MAP_FAILED)
		return false;
	if (mincore(p, bytes, there) < 0)
		all = false;
	for (size_t i = 0; all && i < n; i++)
		all = there[i] & 1;
	munmap(p, bytes);
	return all;
}

static int read_piece(const struct window *w, uint64_t at, uint8_t *buf, size_t len)
{
	if (!w->block && w->direct_fd >= 0 && in_cache(w, at, len))
		return transfer(w->fd, READ, at, buf, len);
	return transfer_piece(w, READ, at, buf, len);
}

/* Clean pages go; dirty ones, of a write after the last flush, are still the newest. */
static int reread_piece(const struct window *w, uint64_t at, uint8_t *buf, size_t len)
{
	posix_fadvise(w->fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
	return transfer_piece(w, READ, at, buf, len);
}

static int write_piece(const struct window *w, uint64_t at, uint8_t *buf, size_t len)
{
	return transfer_piece(w, WRITE, at, buf, len);
}

static int each_piece(const struct window *w, uint64_t offset, uint8_t *p, size_t len,
		      int (*piece)(const struct window *w, uint64_t at, uint8_t *buf, size_t len))
{
	if (!inside(w, offset, len))
		return -ERANGE;
	while (len) {
		size_t n = MIN(len, PIECE_BYTES);
		int r = piece(w, w->offset + offset, p, n);

		if (r < 0)
			return r;
		p += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int window_read(const struct window *w, uint64_t offset, void *buf, size_t len)
{
	return each_piece(w, offset, buf, len, read_piece);
}

int window_write(struct window *w, uint64_t offset, const void *buf, size_t len)
{
	return each_piece(w, offset, (uint8_t *)buf, len, write_piece); /* only read */
}

int window_reread(const struct window *w, uint64_t offset, void *buf, size_t len)
{
	return each_piece(w, offset, buf, len, reread_piece);
}

static int write_zeros(struct window *w, uint64_t offset, uint64_t len)
{
	size_t size = (size_t)MIN(len, (uint64_t)ZERO_BUFFER_BYTES);
	_cleanup_free_ void *zeros = window_buffer(size);

	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, size);
	while (len) {
		size_t n = (size_t)MIN(len, (uint64_t)size);
		int r = window_write(w, offset, zeros, n);

		if (r < 0)
			return r;
		offset += n;
		len -= n;
	}
	return 0;
}

static bool not_possible(int error)
{
	return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENOTTY ||
	       error == EPERM;
}

/* By the kernel: a device may have a command for it, a file gets a hole. 1: not possible. */
static int zero_by_kernel(struct window *w, uint64_t at, uint64_t len)
{
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	uint64_t range[2] = { at, len };

	if (w->block) {
		if (ioctl(w->fd, BLKZEROOUT, range) == 0)
			return 0;
		return not_possible(errno) ? 1 : -errno;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (fallocate(w->fd, modes[i], (off_t)at, (off_t)len) == 0)
			return 0;
		if (!not_possible(errno))
			return -errno;
	}
	return 1;
}

int window_zero(struct window *w, uint64_t offset, uint64_t len)
{
	if (!inside(w, offset, len))
		return -ERANGE;
	while (len) {
		uint64_t n = MIN(len, ZERO_PIECE_BYTES);
		int r;

		/* BLKZEROOUT takes whole sectors: what is left of one is written. */
		if (w->block && n > 4096)
			n -= n % 4096;
		r = zero_by_kernel(w, w->offset + offset, n);
		if (r == 1)
			r = write_zeros(w, offset, n);
		if (r < 0)
			return r;
		offset += n;
		len -= n;
	}
	return 0;
}

int window_flush(struct window *w)
{
	int r, none = 0;

	/* Both open files, as each is told of an error only once. */
	r = fdatasync(w->fd) < 0 ? -errno : 0;
	if (w->direct_fd >= 0 && fdatasync(w->direct_fd) < 0 && r == 0)
		r = -errno;
	if (r < 0)
		atomic_compare_exchange_strong(&w->failed, &none, r);
	if (w->direct_fd < 0)
		posix_fadvise(w->fd, (off_t)w->offset, (off_t)w->length, POSIX_FADV_DONTNEED);
	return w->failed;
}
