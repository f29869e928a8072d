/* From the assignments of a Xen configuration file to the guest record. */
#ifndef BRIDGECTL_DOMAIN_XL_GUEST_H
#define BRIDGECTL_DOMAIN_XL_GUEST_H

#include "bridgectl/domain/guest.h"
#include "bridgectl/domain/xl_parse.h"

/*
 * What the file says about a guest. Never NULL; what is wrong is added to file->report, and with an
 * error there the record is not to be used. `accept`: keys whose loss the user accepts. Free it
 * with guest_free().
 */
struct guest *xl_guest(struct xl_file *file, const char *const *accept, unsigned n_accept);

/* A file that is something else than its name says: a sentence on what to do, or NULL. */
const char *xl_foreign(const char *text, size_t len);

#endif
