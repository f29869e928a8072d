/*
 * What an initramfs carries: the names of the files in it. It is made of segments one behind
 * another, cpio archives as they are or compressed, with zeros in between
 * (Documentation/driver-api/early-userspace/buffer-format.rst). No content is kept, no file is
 * opened, no program started: this may run where all of that is forbidden.
 */
#ifndef BRIDGECTL_FIXUP_INITRD_H
#define BRIDGECTL_FIXUP_INITRD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INITRD_UNPACKED_MAX (512U << 20)
#define INITRD_NAMES_MAX 200000
#define INITRD_NAME_MAX 4096
#define INITRD_WHYLEN 120

/* A regular file's name as the archive has it: may begin with "./" or "/", or be anything. */
typedef void (*initrd_name_fn)(void *arg, const char *name);

/*
 * Calls `fn` for every regular file. 0, or -EINVAL and the end of a sentence in `why` ("it is not
 * understood: …"); what was read until then has been told.
 */
int initrd_names(const void *data, size_t len, initrd_name_fn fn, void *arg,
		 char why[INITRD_WHYLEN]);

/* The first `size` bytes of what is compressed. How many there are; 0: it is not understood. */
size_t initrd_unpack_head(const void *data, size_t len, void *ret, size_t size);

#endif
