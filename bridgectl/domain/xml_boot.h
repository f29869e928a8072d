/*
 * What a libvirt definition says of booting: a kernel outside of the disks, put in and taken away
 * again, and the disks that it would boot from.
 */
#ifndef BRIDGECTL_DOMAIN_XML_BOOT_H
#define BRIDGECTL_DOMAIN_XML_BOOT_H

#include <stdbool.h>

#include "bridgectl/domain/xml_read.h"

#define XML_RAW_DISKS_MAX 16

/* Files of the host; NULL: not said. Owned where xml_boot_read() has filled it. */
struct xml_boot {
	char *kernel, *initrd, *cmdline;
};

/* All that a guest may have as vda, sda, hda: raw files and devices, no CD-ROMs. */
struct xml_raw_disks {
	char *path[XML_RAW_DISKS_MAX];
	char letter[XML_RAW_DISKS_MAX]; /* 'a' of vda */
	unsigned n;
};

/* `text` is what xml_read() takes; else these do nothing. */
void xml_boot_read(const char *text, struct xml_boot *ret);
void xml_boot_fini(struct xml_boot *b);
void xml_raw_disks(const char *text, struct xml_raw_disks *ret);
void xml_raw_disks_fini(struct xml_raw_disks *d);

/* A new string: the definition that boots this kernel; NULL: none but its disks'. */
char *xml_with_boot(const char *text, const struct xml_boot *b);

#endif
