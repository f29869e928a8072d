/* Names and numbers of virtual disks as Xen has them, xen-vbd-interface(7). */
#ifndef BRIDGECTL_DOMAIN_VDEV_H
#define BRIDGECTL_DOMAIN_VDEV_H

#include <stdbool.h>
#include <stdint.h>

enum vdev_bus { VDEV_XVD, VDEV_SD, VDEV_HD };

#define VDEV_XVD_DISKS (1U << 20)
#define VDEV_XVD_PARTITIONS 255
#define VDEV_SD_DISKS 16
#define VDEV_SD_PARTITIONS 15
#define VDEV_HD_DISKS 4
#define VDEV_HD_PARTITIONS 63
/* Beyond these are numbers of Linux that xm used and Xen calls deprecated; they are read. */
#define VDEV_SD_DISKS_OLD 256
#define VDEV_HD_DISKS_OLD 20

#define VDEV_NAME_LEN 16

struct vdev {
	enum vdev_bus bus;
	unsigned disk;	    /* from 0 */
	unsigned partition; /* 0: the whole disk */
};

/* "xvd", "sd", "hd" */
const char *vdev_bus_name(enum vdev_bus bus);

/*
 * "xvda2", "/dev/sda1", "d1p2", "0x6000", "51712". -EINVAL: no name or number of a disk; -ERANGE:
 * disk or partition are more than Xen has.
 */
int vdev_parse(const char *name, struct vdev *ret);
/* The number in xenstore. -EINVAL: it means no disk. */
int vdev_from_number(uint32_t number, struct vdev *ret);
/* The number for it: the one that Xen would choose. -ERANGE: it has none. */
int vdev_number(const struct vdev *v, uint32_t *ret);
/* "xvda2". Into `buf` of VDEV_NAME_LEN, which it returns. */
const char *vdev_name(const struct vdev *v, char *buf);
/* "a", "z", "aa", … Into `buf` of VDEV_NAME_LEN, which it returns. */
const char *vdev_letters(unsigned disk, char *buf);

/* Whether Xen calls its number deprecated: xl does not take the name. */
bool vdev_is_old(const struct vdev *v);

#endif
