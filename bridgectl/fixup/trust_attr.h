/* Mode, owner and extended attributes of a file of a mounted guest, in the process that mounts. */
#ifndef BRIDGECTL_FIXUP_TRUST_ATTR_H
#define BRIDGECTL_FIXUP_TRUST_ATTR_H

#include "bridgectl/fixup/trust.h"

/* Of what is there into `v`; the extended ones only when the file shall go. 0 or negative errno. */
int trust_attr_read(unsigned mount, struct trust_file *v);
/* Whether mode and owner are as `v` says. */
bool trust_attr_equal(unsigned mount, const struct trust_file *v);
/* From `v` to what is there. 0 or negative errno. */
int trust_attr_write(unsigned mount, const struct trust_file *v);

#endif
