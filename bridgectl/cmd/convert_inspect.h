/* `domain convert` looks into the guest's new disks. */
#ifndef BRIDGECTL_CMD_CONVERT_INSPECT_H
#define BRIDGECTL_CMD_CONVERT_INSPECT_H

#include "bridgectl/domain/convert.h"

/* Owns what `hints` refers to. */
struct convert_look {
	struct convert_hints hints;
	char *kernel, *arch;
};

/*
 * Looks for the kernel in the disks at `places`. 0; -ENOENT: they are not all here, which is no
 * failure; else negative errno and a sentence in `err` of `size` bytes. Free it with
 * convert_look_fini() in any case.
 */
int convert_look(const struct convert_place *places, unsigned n, bool trust_guest,
		 struct convert_look *ret, char *err, size_t size);
void convert_look_fini(struct convert_look *l);

#endif
