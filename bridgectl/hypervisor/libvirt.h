/*
 * What libvirt can do and other hypervisors cannot, for commands that are about libvirt alone. `h`
 * is from hyper_open() with an URI, which fails where libvirt was left out (libvirt_none.c); `err`
 * has room for HYPER_ERRLEN.
 */
#ifndef BRIDGECTL_HYPERVISOR_LIBVIRT_H
#define BRIDGECTL_HYPERVISOR_LIBVIRT_H

#include "bridgectl/hypervisor/hyper.h"

/* LIBVIRT_DEFAULT_URI, or "qemu:///system". */
const char *libvirt_default_uri(void);
/* That it was opened with. */
const char *libvirt_uri(const struct hyper *h);
/* Its files, devices and bridges are those that this process sees. */
bool libvirt_is_here(const struct hyper *h);

/*
 * Whether it has this kind of machine; NULL: its choice. 0; -EOPNOTSUPP: not, and the sentence in
 * `err` names what there is; -ENOSYS: the driver does not say.
 */
int libvirt_check_machine(struct hyper *h, const char *type, const char *arch, const char *machine,
			  char *err);

/*
 * Whether it finds a command line for the definition, which is more than the schema asks. It would
 * make interfaces of the host for those in the text: leave them out. 0; -ENOSYS: the driver cannot
 * tell; else what it said.
 */
int libvirt_check_native(struct hyper *h, const char *xml, char *err);

/* The definition for the next start with all that is in it, as passwords: to be defined again. */
int libvirt_dump_whole(struct hyper *h, const char *domain, char **ret, char *err);

#endif
