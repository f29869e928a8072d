/* What libvirt's domain XML says, as far as we ask: the way back from xml.h. */
#ifndef BRIDGECTL_DOMAIN_XML_READ_H
#define BRIDGECTL_DOMAIN_XML_READ_H

#include <stdbool.h>
#include <stddef.h>

#define XML_ERRLEN 512
#define XML_BYTES_MAX ((size_t)4 << 20)
#define XML_MAC_LEN 18
#define XML_UUID_LEN 37

struct xml_vif {
	char mac[XML_MAC_LEN];	  /* small letters; "": libvirt chooses one */
	char *bridge, *interface; /* the host's end: vnet2; NULL: not said */
	bool ovs;		  /* the bridge is one of Open vSwitch */
};

/* A file or device of the host that the guest cannot start without. */
struct xml_file {
	char *path;
	char what[32]; /* "disk vda", "kernel" */
	bool is_block, is_disk;
	bool may_share; /* of a disk: <shareable/> or <readonly/>, or it is a medium */
};

struct xml_domain {
	char *name;		     /* never empty */
	char uuid[XML_UUID_LEN];     /* "": not said */
	char *type, *arch, *machine; /* "kvm"; NULL: not said */
	struct xml_vif *vifs;
	unsigned n_vifs;
	struct xml_file *files;
	unsigned n_files;
};

/*
 * Never touches the network or another file, and takes no document type, so there are no
 * entities. NULL: `err` (XML_ERRLEN) says why, with the line. Out of memory ends the program.
 */
struct xml_domain *xml_read(const char *text, char *err);
void xml_domain_free(struct xml_domain *d);

/* Copies of a text that xml_read() takes, as new strings. */
char *xml_without_interfaces(const char *text);
/* Its <uuid> is this one. */
char *xml_with_uuid(const char *text, const char *uuid);

/* One difference. */
struct xml_change {
	char *path;	/* "devices/disk[vda]/driver/@cache" */
	char *was, *is; /* NULL: not there */
};

struct xml_changes {
	struct xml_change *v; /* by path */
	unsigned n;
};

/*
 * From one definition of a domain to another, both as xml_read() takes them. What libvirt adds by
 * itself while a domain runs is left out: addresses on buses, aliases, labels, names of
 * interfaces and terminals. `said_only`: what the first does not speak of at all is left to
 * libvirt, but for disks and interfaces. 0, or -EINVAL and `err`. Free with xml_changes_fini().
 */
int xml_diff(const char *was, const char *is, bool said_only, struct xml_changes *ret, char *err);
void xml_changes_fini(struct xml_changes *c);
void xml_change_add(struct xml_changes *c, const char *path, const char *was, const char *is);

#endif
