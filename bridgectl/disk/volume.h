/*
 * LVM volumes, by LVM's own programs: lists of arguments, no shell, an end to every wait. What is
 * made here has the tag "bridgectl", and signatures of what was there before are wiped.
 */
#ifndef BRIDGECTL_DISK_VOLUME_H
#define BRIDGECTL_DISK_VOLUME_H

#include <stddef.h>
#include <stdint.h>

#define VOLUME_ERRLEN 512
#define VOLUME_TAG "bridgectl"

struct volume {
	char vg[128], name[128];
	uint64_t bytes;
	uint64_t vg_free; /* bytes */
	uint64_t extent;  /* every volume's size is a multiple of it */
};

struct volume_group {
	uint64_t free, extent; /* bytes */
};

/* Room in a group. 0, or negative errno and a sentence in `err` (VOLUME_ERRLEN). */
int volume_group_look(const char *vg, struct volume_group *ret, char *err);

/*
 * Makes volume `name` in group `vg`, `bytes` rounded up to extents. lvcreate(8) wipes its beginning
 * and the signatures that it knows; all else is as the last tenant has left it. 0, or negative
 * errno and a sentence in `err` (VOLUME_ERRLEN); -EREMOTEIO: LVM's own words.
 */
int volume_create(const char *vg, const char *name, uint64_t bytes, char *err);

/* Removes it with what is on it. */
int volume_remove(const char *vg, const char *name, char *err);

/* The volume that a path belongs to. -ENOENT: none, or there is no LVM on this host. */
int volume_find(const char *path, struct volume *ret, char *err);

/* Whether so many bytes are free in its group. 0, -ENOSPC and a sentence. */
int volume_check_room(const struct volume *v, uint64_t bytes, char *err);

/* Makes it larger by `bytes`, rounded up to extents. */
int volume_extend(const struct volume *v, uint64_t bytes, char *err);

/* What volume_extend() would make of it: bytes afterwards. */
uint64_t volume_size_after(const struct volume *v, uint64_t bytes);

#endif
