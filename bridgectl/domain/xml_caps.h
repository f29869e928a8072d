/* What libvirt's capabilities say about guests: https://libvirt.org/formatcaps.html. */
#ifndef BRIDGECTL_DOMAIN_XML_CAPS_H
#define BRIDGECTL_DOMAIN_XML_CAPS_H

#include <stdbool.h>

/* Of full virtualization on one architecture. */
struct xml_caps {
	char *types;	/* "qemu, kvm" */
	char *machines; /* "pc, q35": those without a version in their names */
	bool has;	/* the machine that was asked for, with or without version */
};

/*
 * `arch` NULL: the host's. False: it has no such architecture, and nothing is set. Else free with
 * xml_caps_fini().
 */
bool xml_caps_read(const char *text, const char *arch, const char *machine, struct xml_caps *ret);
void xml_caps_fini(struct xml_caps *c);

#endif
