/* What the files target*.c share. */
#ifndef BRIDGECTL_DISK_TARGET_PRIVATE_H
#define BRIDGECTL_DISK_TARGET_PRIVATE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define PLACE_KIN_MAX 260

/* What is asked about: a file, or a device with those that share its bytes. */
struct place {
	bool block;
	dev_t dev; /* of the device, or of the file system that has the file */
	ino_t inode;
	/* The device, its partitions, or the disk that it is a partition of. */
	dev_t kin[PLACE_KIN_MAX];
	unsigned n_kin;
};

/* Where sysfs is: tests have one of their own. */
extern const char *target_sys;

/* From what stat() or fstat() says of a file or block device. */
void place_from_stat(const struct stat *st, struct place *ret);
/* Whether a write to one may change what the other holds. */
bool place_is(const struct place *p, const struct stat *st);
/* The same, through loop devices too. */
bool place_reaches(const struct place *p, const struct stat *st);
/* As target_user(). */
int place_user(const struct place *p, char *buf, size_t size);

#endif
