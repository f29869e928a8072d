/*
 * The codec of virtual disk names: xen-vbd-interface(7), and for what that calls deprecated the
 * majors of Linux, Documentation/admin-guide/devices.txt, as xm used them.
 *
 * Letters are a number without a zero digit: z is 25, aa 26.
 */
#include "bridgectl/domain/vdev.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "common/util.h"

#define XVD_MAJOR 202
#define XVD_WIDE (1U << 28)

static const struct {
	const char *name;
	unsigned disks, partitions;
} buses[] = {
	[VDEV_XVD] = { "xvd", VDEV_XVD_DISKS, VDEV_XVD_PARTITIONS },
	[VDEV_SD] = { "sd", VDEV_SD_DISKS_OLD, VDEV_SD_PARTITIONS },
	[VDEV_HD] = { "hd", VDEV_HD_DISKS_OLD, VDEV_HD_PARTITIONS },
};

/* Sixteen disks of sixteen minors each, and two disks of sixty-four. */
static const uint8_t sd_majors[] = { 8,	  65,  66,  67,	 68,  69,  70,	71,
				     128, 129, 130, 131, 132, 133, 134, 135 };
static const uint8_t hd_majors[] = { 3, 22, 33, 34, 56, 57, 88, 89, 90, 91 };

const char *vdev_bus_name(enum vdev_bus bus)
{
	return buses[bus].name;
}

bool vdev_is_old(const struct vdev *v)
{
	return (v->bus == VDEV_SD && v->disk >= VDEV_SD_DISKS) ||
	       (v->bus == VDEV_HD && v->disk >= VDEV_HD_DISKS);
}

int vdev_from_number(uint32_t number, struct vdev *ret)
{
	unsigned major = number >> 8, minor = number & 0xff;

	if (number >= XVD_WIDE * 2)
		return -EINVAL;
	if (number >= XVD_WIDE) {
		*ret = (struct vdev){ VDEV_XVD, major & (VDEV_XVD_DISKS - 1), minor };
		return 0;
	}
	if (major == XVD_MAJOR) {
		*ret = (struct vdev){ VDEV_XVD, minor >> 4, minor & 15 };
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sd_majors); i++)
		if (major == sd_majors[i]) {
			*ret = (struct vdev){ VDEV_SD, i * 16 + (minor >> 4), minor & 15 };
			return 0;
		}
	for (unsigned i = 0; i < ARRAY_SIZE(hd_majors); i++)
		if (major == hd_majors[i] && minor < 128) {
			*ret = (struct vdev){ VDEV_HD, i * 2 + (minor >> 6), minor & 63 };
			return 0;
		}
	return -EINVAL;
}

int vdev_number(const struct vdev *v, uint32_t *ret)
{
	if (v->disk >= buses[v->bus].disks || v->partition > buses[v->bus].partitions)
		return -ERANGE;
	switch (v->bus) {
	case VDEV_XVD:
		*ret = v->disk < 16 && v->partition < 16 ?
			       (XVD_MAJOR << 8) | v->disk << 4 | v->partition :
			       XVD_WIDE | v->disk << 8 | v->partition;
		return 0;
	case VDEV_SD:
		*ret = (uint32_t)sd_majors[v->disk / 16] << 8 | (v->disk % 16) << 4 | v->partition;
		return 0;
	case VDEV_HD:
		*ret = (uint32_t)hd_majors[v->disk / 2] << 8 | (v->disk % 2) << 6 | v->partition;
		return 0;
	}
	return -ERANGE;
}

/* A decimal number of one to ten digits at *s. False: none, or it begins with a zero. */
static bool decimal(const char **s, unsigned *ret)
{
	unsigned long n = 0;
	const char *p = *s;

	for (; isdigit((unsigned char)*p) && p - *s < 9; p++)
		n = n * 10 + (unsigned)(*p - '0');
	if (p == *s || isdigit((unsigned char)*p) || (**s == '0' && p - *s > 1))
		return false;
	*ret = (unsigned)n;
	*s = p;
	return true;
}

/* "d1p2", "d1" */
static int parse_dp(const char *s, struct vdev *ret)
{
	struct vdev v = { .bus = VDEV_XVD };

	s++;
	if (!decimal(&s, &v.disk))
		return -EINVAL;
	if (*s == 'p') {
		s++;
		if (!decimal(&s, &v.partition))
			return -EINVAL;
	}
	if (*s)
		return -EINVAL;
	if (v.disk >= VDEV_XVD_DISKS || v.partition > VDEV_XVD_PARTITIONS)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* Behind "xvd", "sd", "hd". */
static int parse_letters(const char *s, enum vdev_bus bus, struct vdev *ret)
{
	struct vdev v = { .bus = bus };
	uint64_t n = 0;

	if (!islower((unsigned char)*s))
		return -EINVAL;
	for (; islower((unsigned char)*s); s++) {
		n = n * 26 + (unsigned)(*s - 'a') + 1;
		if (n > VDEV_XVD_DISKS)
			return -ERANGE;
	}
	v.disk = (unsigned)n - 1;
	if (*s && (*s == '0' || !decimal(&s, &v.partition) || *s))
		return -EINVAL;
	if (v.disk >= buses[bus].disks || v.partition > buses[bus].partitions)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int parse_number(const char *s, struct vdev *ret)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(s, &end, 0);
	if (errno || *end || n > INT_MAX)
		return -EINVAL;
	return vdev_from_number((uint32_t)n, ret);
}

int vdev_parse(const char *name, struct vdev *ret)
{
	if (!strncmp(name, "/dev/", 5))
		name += 5;
	if (isdigit((unsigned char)*name))
		return parse_number(name, ret);
	if (name[0] == 'd' && isdigit((unsigned char)name[1]))
		return parse_dp(name, ret);
	for (unsigned i = 0; i < ARRAY_SIZE(buses); i++) {
		size_t n = strlen(buses[i].name);

		if (!strncmp(name, buses[i].name, n))
			return parse_letters(name + n, (enum vdev_bus)i, ret);
	}
	return -EINVAL;
}

const char *vdev_letters(unsigned disk, char *buf)
{
	char digits[VDEV_NAME_LEN];
	unsigned n = 0, i = 0;

	do {
		digits[n++] = (char)('a' + disk % 26);
		disk = disk / 26;
	} while (disk-- > 0 && n < sizeof(digits) - 1);
	while (n)
		buf[i++] = digits[--n];
	buf[i] = '\0';
	return buf;
}

const char *vdev_name(const struct vdev *v, char *buf)
{
	char letters[VDEV_NAME_LEN], partition[8] = "";

	if (v->partition)
		snprintf(partition, sizeof(partition), "%u", v->partition & 0xfff);
	snprintf(buf, VDEV_NAME_LEN, "%s%.7s%s", buses[v->bus].name, vdev_letters(v->disk, letters),
		 partition);
	return buf;
}
