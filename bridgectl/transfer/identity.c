/*
 * "host=xen1 uuid=LVM-… size=… path=/dev/vg0/web1 @0+…", or block=253:4, or file=8:1/1234 of a file
 * or the loop device over it. The path comes last but for the window, as it may hold anything; what
 * is not printable ASCII is written as %XX.
 */
#include "bridgectl/transfer/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/io.h"
#include "common/util.h"

#define UUID_LEN 160

void identity_host(char buf[IDENTITY_HOST_LEN])
{
	if (gethostname(buf, IDENTITY_HOST_LEN) < 0 || !buf[0])
		memcpy(buf, "?", 2);
	buf[IDENTITY_HOST_LEN - 1] = '\0';
}

/* False: it does not fit. */
static bool escape(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = c > ' ' && c < 0x7f && c != '%';

		if (n + 4 > size)
			return false;
		n += (size_t)snprintf(buf + n, size - n, plain ? "%c" : "%%%02X", c);
	}
	buf[n] = '\0';
	return true;
}

/* Of the device mapper, which stays when the number changes; "" for other devices. */
static void dm_uuid(dev_t dev, char buf[UUID_LEN])
{
	char path[80];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/uuid", major(dev), minor(dev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : io_read_all(fd, buf, UUID_LEN - 1);
	buf[MAX(n, 0)] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* A loop device is its file, whatever its number is today. */
static void describe(const struct target *t, char *buf, size_t size)
{
	char uuid[UUID_LEN], clean[3 * UUID_LEN];
	unsigned long long dev = t->dev, inode = t->inode;
	struct loop_info64 loop;
	bool file = t->kind == TARGET_FILE;

	if (!file && major(t->dev) == LOOP_MAJOR && ioctl(t->fd, LOOP_GET_STATUS64, &loop) == 0) {
		dev = loop.lo_device;
		inode = loop.lo_inode;
		file = true;
	}
	if (file) {
		snprintf(buf, size, "file=%u:%u/%llu", major(dev), minor(dev), inode);
		return;
	}
	dm_uuid(t->dev, uuid);
	if (*uuid && escape(uuid, clean, sizeof(clean)))
		snprintf(buf, size, "uuid=%.200s", clean);
	else
		snprintf(buf, size, "block=%u:%u", major(t->dev), minor(t->dev));
}

int identity_make(const struct target *t, uint64_t offset, uint64_t length, char *buf,
		  size_t *ret_disk)
{
	char host[IDENTITY_HOST_LEN], name[3 * IDENTITY_HOST_LEN], path[MAP_IDENTITY_LEN];
	char what[256], all[MAP_IDENTITY_LEN];
	int n, disk;

	identity_host(host);
	if (!escape(host, name, sizeof(name)) || !escape(t->path, path, sizeof(path)))
		return -ENAMETOOLONG;
	describe(t, what, sizeof(what));
	disk = snprintf(all, sizeof(all), "host=%s %s", name, what);
	if (disk < 0 || (size_t)disk >= sizeof(all))
		return -ENAMETOOLONG;
	n = snprintf(all + disk, sizeof(all) - (size_t)disk, " size=%llu path=%s @%llu+%llu",
		     (unsigned long long)t->bytes, path, (unsigned long long)offset,
		     (unsigned long long)length);
	if (n < 0 || (size_t)n >= sizeof(all) - (size_t)disk)
		return -ENAMETOOLONG;
	memcpy(buf, all, sizeof(all));
	*ret_disk = (size_t)disk;
	return 0;
}
