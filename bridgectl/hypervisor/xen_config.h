/* The configuration files of guests that lie in /etc/xen. */
#ifndef BRIDGECTL_HYPERVISOR_XEN_CONFIG_H
#define BRIDGECTL_HYPERVISOR_XEN_CONFIG_H

#include <stdbool.h>

#include "bridgectl/hypervisor/hyper.h"

/* Folders of the host, as the user knows them; hyper_path() says where they are. */
#define XEN_CONFIG_DIR "/etc/xen"

struct xen_config {
	char *path;		   /* "/etc/xen/auto/web1.cfg" */
	char *name;		   /* of the guest */
	bool is_auto, is_disabled; /* in the folder of xendomains; in the one beside it */
	uint64_t memory;	   /* bytes; 0: not said */
	unsigned vcpus;
	struct hyper_vif *vifs; /* without interface */
	unsigned n_vifs;
};

struct xen_configs {
	struct xen_config *v; /* those of /etc/xen first */
	unsigned n;
	char *auto_dir, *off_dir; /* "/etc/xen/auto", "/etc/xen/auto.off" */
	char *save_dir;		  /* where xendomains saves running guests; NULL: it does not */
};

/*
 * Reads what looks like a guest's file in /etc/xen, /etc/xen/vm, the folder from which xendomains
 * starts guests, and the one beside it where `autostart off` puts them. A file that cannot be read
 * is left out. In the two last ones a file that gives no name counts as its own name.
 */
void xen_configs_read(struct xen_configs *ret);
void xen_configs_fini(struct xen_configs *c);

/* One file. False: it cannot be read, or has no name. */
bool xen_config_read(const char *path, struct xen_config *ret);
void xen_config_fini(struct xen_config *c);

/*
 * The file that a guest is started from: the one that has its name, else the first that gives it.
 * NULL: none is known.
 */
const struct xen_config *xen_config_find(const struct xen_configs *c, const char *name);
/* Another file that could be meant as well as `to`, which was found; NULL: none. */
const struct xen_config *xen_config_rival(const struct xen_configs *c, const struct xen_config *to);

#endif
