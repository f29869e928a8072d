/* What Xen's toolstacks print about domains. Pure: text in, records out. */
#ifndef BRIDGECTL_HYPERVISOR_XEN_READ_H
#define BRIDGECTL_HYPERVISOR_XEN_READ_H

#include <stddef.h>

#include "bridgectl/hypervisor/hyper.h"

#define XEN_DOMAINS_MAX 10000 /* Xen has 15 bits for their numbers; what is beyond is left out */
#define XEN_VIFS_MAX 128

/*
 * Adds the domains that `xl list`, `xl list -v` or `xm list` tell of, a line each. What is no such
 * line, as the title, is left out.
 */
void xen_read_table(const char *text, struct hyper_list *l);

/*
 * Adds the domains of `list -l`: S-expressions of xm and of xl 4.1, JSON objects of xl 4.2 and its
 * successors, one behind the other or in an array. -EINVAL: it is neither; nothing was added.
 */
int xen_read_details(const char *text, size_t len, struct hyper_list *l);

/* Adds the MAC addresses that `network-list` tells of where the interfaces of `d` have none. */
void xen_read_nics(const char *text, struct hyper_domain *d);

#endif
