/*
 * Looking at sources. They are opened read only and never exclusively, because a guest is
 * running on them; O_NONBLOCK and a look at the type come before anything that could wait (a
 * FIFO) or wind a tape. What is read of a live volume may be torn: the type and the UUID do
 * not change while a guest runs, and nothing else is taken from here.
 *
 * Texts come from the guest's own disk. They leave as printable UTF-8 or not at all.
 */
#include "bridgectl/disk/probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/swap.h"
#include "common/util.h"

#define fail(r, err, ...) disk_fail(err, PLAN_ERRLEN, r, __VA_ARGS__)

int probe_size(int fd, uint64_t *ret_bytes)
{
	struct stat st;
	uint64_t bytes;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode)) {
		*ret_bytes = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return -ENODEV;
	if (ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	*ret_bytes = bytes;
	return 0;
}

/* Formats with a head of their own, whose size is not the disk's. */
static const struct {
	unsigned at;
	const char *magic, *name;
} formats[] = {
	{ 0, "QFI\xfb", "qcow2" },
	{ 0, "KDMV", "vmdk" },
	{ 0, "# Disk DescriptorFile", "vmdk" },
	{ 0, "vhdxfile", "vhdx" },
	{ 0, "conectix", "vhd" },
	{ 64, "\x7f\x10\xda\xbe", "vdi" },
	{ 0, "QED", "qed" },
	{ 0, "WithoutFreeSpace", "parallels" },
};

const char *probe_image(int fd)
{
	char head[128] = "";

	if (pread(fd, head, sizeof(head), 0) < 0)
		return NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (!memcmp(head + formats[i].at, formats[i].magic, strlen(formats[i].magic)))
			return formats[i].name;
	return NULL;
}

static int open_failed(int error, const char *path, char *err)
{
	if (error == ENOENT)
		return fail(-error, err, "%s does not exist on this host", path);
	if (error == EMEDIUMTYPE)
		return fail(-error, err,
			    "%s cannot be read: this host is not primary for it; ask the host "
			    "where the guest runs",
			    path);
	return fail(-error, err, "%s cannot be opened: %s", path, strerror(error));
}

/* A descriptor, or negative errno with its sentence. */
static int open_source(const char *path, uint64_t *ret_bytes, char *err)
{
	_cleanup_close_ int fd = -1;
	uint64_t bytes = 0;
	int r;

	if (path[0] != '/')
		return fail(-EINVAL, err, "%s is not an absolute path", path);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return open_failed(errno, path, err);
	r = probe_size(fd, &bytes);
	if (r == -ENODEV)
		return fail(r, err, "%s is neither a block device nor a regular file", path);
	if (r < 0)
		return fail(r, err, "%s: cannot tell its size: %s", path, strerror(-r));
	if (!bytes)
		return fail(-ENODATA, err, "%s is empty", path);
	if (bytes > PLAN_SECTORS_MAX * SECTOR_BYTES)
		return fail(-EFBIG, err, "%s is too large", path);
	*ret_bytes = bytes;
	r = fd;
	fd = -1;
	return r;
}

/* --- Texts --- */

/* Length of the UTF-8 character at `s`, 0 when it is none or is not to be printed. */
static size_t utf8_length(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		unsigned least;
	} forms[] = { { 0x80, 0, 0x20 },
		      { 0xe0, 0xc0, 0xa0 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };
	unsigned v;

	for (size_t n = 0; n < ARRAY_SIZE(forms); n++) {
		if ((s[0] & forms[n].mask) != forms[n].lead)
			continue;
		v = s[0] & (unsigned char)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			v = v << 6 | (s[i] & 0x3f);
		}
		if (v < forms[n].least || v == 0x7f || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			return 0;
		return n + 1;
	}
	return 0;
}

/* A '?' for each byte that is no text; what does not fit is left out. */
static void copy_text(const char *from, char *to, size_t size)
{
	size_t len = 0;

	while (*from) {
		size_t n = utf8_length((const unsigned char *)from);

		if (len + MAX(n, 1u) >= size)
			break;
		if (n)
			memcpy(to + len, from, n);
		else
			to[len] = '?';
		len += MAX(n, 1u);
		from += MAX(n, 1u);
	}
	to[len] = '\0';
}

/* --- Signatures --- */

static void take_value(blkid_probe pr, const char *name, char *buf, size_t size)
{
	const char *value;

	if (!blkid_probe_lookup_value(pr, name, &value, NULL))
		copy_text(value, buf, size);
}

/* 0 or negative errno. Nothing found is no error. */
static int look_up(int fd, struct plan_source *s)
{
	blkid_probe pr = blkid_new_probe();
	int r;

	if (!pr)
		return -ENOMEM;
	errno = 0;
	r = blkid_probe_set_device(pr, fd, 0, (blkid_loff_t)s->bytes);
	if (!r) {
		blkid_probe_enable_superblocks(pr, 1);
		blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID |
							      BLKID_SUBLKS_LABEL);
		blkid_probe_enable_partitions(pr, 1);
		r = blkid_do_safeprobe(pr);
	}
	if (r == 0) {
		take_value(pr, "TYPE", s->type, sizeof(s->type));
		take_value(pr, "PTTYPE", s->table, sizeof(s->table));
		take_value(pr, "UUID", s->uuid, sizeof(s->uuid));
		take_value(pr, "LABEL", s->label, sizeof(s->label));
	} else if (r == -2) {
		copy_text(PROBE_AMBIGUOUS, s->type, sizeof(s->type));
	}
	blkid_free_probe(pr);
	return r == -1 ? (errno ? -errno : -EIO) : 0;
}

/* Another name of the same has the same. */
static int identify(int fd, struct plan_source *s)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	s->dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	s->inode = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	return 0;
}

/* The beginning of the volume; what its end cuts off is left as it is. */
static ssize_t read_head(int fd, uint8_t *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = pread(fd, buf + len, size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static int look_for_swap(int fd, struct plan_source *s)
{
	_cleanup_free_ uint8_t *buf = malloc(SWAP_PAGE_MAX);
	struct swap_header h;
	ssize_t len = buf ? read_head(fd, buf, SWAP_PAGE_MAX) : -ENOMEM;

	if (len < 0)
		return (int)len;
	if (swap_read(buf, (size_t)len, &h) < 0)
		return 0;
	/* mke2fs over old swap leaves the magic there: only what libblkid sees nothing else in. */
	if (strcmp(s->type, h.hibernated ? "swsuspend" : "swap") != 0 &&
	    !(h.hibernated && !s->type[0] && !s->table[0]))
		return 0;
	s->hibernated = h.hibernated;
	/* A header that could not be made again is data like any other. */
	if (h.hibernated || s->bytes / h.page < SWAP_PAGES_MIN)
		return 0;
	s->swap_page = h.page;
	copy_text(h.label, s->label, sizeof(s->label));
	s->uuid[0] = '\0';
	if (!uuid_is_null(h.uuid))
		uuid_unparse_lower(h.uuid, s->uuid);
	return 0;
}

int probe_source(void *arg, const char *path, struct plan_source *ret, char *err)
{
	struct plan_source s = { 0 };
	_cleanup_close_ int fd = open_source(path, &s.bytes, err);
	int r;

	(void)arg;
	if (fd < 0)
		return fd;
	if (strlen(path) >= sizeof(s.path))
		return fail(-ENAMETOOLONG, err, "the path %.64s... is too long", path);
	memcpy(s.path, path, strlen(path) + 1);
	r = identify(fd, &s);
	if (!r)
		r = look_up(fd, &s);
	if (!r)
		r = look_for_swap(fd, &s);
	if (r < 0)
		return fail(r, err, "%s cannot be read: %s", path, strerror(-r));
	s.image = probe_image(fd);
	*ret = s;
	return 0;
}

int probe_content(int fd, uint64_t start, uint64_t bytes, struct probe_content *ret)
{
	blkid_probe pr = blkid_new_probe();
	struct probe_content c = { 0 };
	int r;

	if (!pr)
		return -ENOMEM;
	errno = 0;
	r = blkid_probe_set_device(pr, fd, (blkid_loff_t)start, (blkid_loff_t)bytes);
	if (!r) {
		blkid_probe_enable_superblocks(pr, 1);
		blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID |
							      BLKID_SUBLKS_LABEL);
		r = blkid_do_safeprobe(pr);
	}
	if (r == 0) {
		take_value(pr, "TYPE", c.type, sizeof(c.type));
		take_value(pr, "UUID", c.uuid, sizeof(c.uuid));
		take_value(pr, "LABEL", c.label, sizeof(c.label));
	} else if (r == -2) {
		copy_text(PROBE_AMBIGUOUS, c.type, sizeof(c.type));
	}
	blkid_free_probe(pr);
	if (r == -1)
		return errno ? -errno : -EIO;
	*ret = c;
	return 0;
}
