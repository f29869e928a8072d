/* Small images of ext2, ext3 and ext4 with a made-up guest in them, by mke2fs -d. */
#ifndef TESTS_UNIT_EXT_IMAGE_H
#define TESTS_UNIT_EXT_IMAGE_H

#include <limits.h>
#include <stdbool.h>

/* A folder with the guest's files, made once and gone at the end. */
const char *ext_image_top(void);

/* False: there is no mke2fs, or not with these options. `args`: "-t ext4 -b 1024 -O ^x". */
bool ext_image_make(const char *path, unsigned kib, const char *args);

/* What `e2fsck -fn` says of it: its exit code; its text is printed when that is not 0. */
int ext_image_check(const char *path);

/* Runs a program by words in one string; its exit code, or negative errno. */
int ext_image_run(const char *words);

#endif
