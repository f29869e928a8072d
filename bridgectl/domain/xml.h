/* The choices for a KVM guest as libvirt's domain XML. */
#ifndef BRIDGECTL_DOMAIN_XML_H
#define BRIDGECTL_DOMAIN_XML_H

#include "bridgectl/domain/convert.h"

/*
 * As https://libvirt.org/formatdomain.html has it, with a last newline: a new string. -EILSEQ:
 * *ret_bad, which is borrowed, has a character that XML cannot hold, or is no UTF-8. Out of memory
 * ends the program.
 */
int domain_xml(const struct choices *c, char **ret, const char **ret_bad);

#endif
