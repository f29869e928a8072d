/* Between the files of the Xen back-end. */
#ifndef BRIDGECTL_HYPERVISOR_XEN_PRIVATE_H
#define BRIDGECTL_HYPERVISOR_XEN_PRIVATE_H

#include "bridgectl/hypervisor/hyper_private.h"
#include "bridgectl/hypervisor/xen_config.h"

#define XEN_ASK_S 30	 /* for xl to say something */
#define XEN_CREATE_S 300 /* for xl create: it waits for the scripts of disks and interfaces */
#define XEN_WORDS_MAX 12

struct xen {
	struct hyper base;
	char *tool;  /* "xl", "/usr/sbin/xm" */
	bool is_xm;  /* speaks as xm does */
	bool failed; /* of the last xen_run(): the tool ran and said no */
};

/*
 * Runs the tool with `words` (NULL-ended). 0: it ended well, and *ret_out (NULL: not wanted) is
 * what it printed. -EIO: it said no; else another negative errno. `err` is a sentence that begins
 * with `about`.
 */
int xen_run(struct xen *x, const char *about, int timeout_s, const char *const words[],
	    char **ret_out, char *err);

/* The running ones, and xend's own, from one quick question. */
int xen_table(struct xen *x, struct hyper_list *l, char *err);
/* The one of that name with its number. -ESRCH: no such running domain. -EPERM: it is Domain-0. */
int xen_running(struct xen *x, const char *domain, int *ret_id, enum hyper_state *ret_state,
		char *err);
/* "12". Into `buf` of 16 bytes, which it returns. */
const char *xen_id(int id, char *buf);

int xen_list(struct hyper *h, struct hyper_list *ret, char *err);
int xen_stop(struct hyper *h, const char *domain, const struct hyper_wait *w, char *err);
int xen_autostart(struct hyper *h, const char *domain, bool on, char **ret_told, char *err);
int xen_migrate(struct hyper *h, const char *domain, const struct hyper_target *to,
		const struct hyper_wait *w, char *err);

/* What of the host's cluster may start the guest: a sentence per line into `f`. */
void xen_ha_tell(const char *domain, const struct xen_configs *c, FILE *f);

#endif
